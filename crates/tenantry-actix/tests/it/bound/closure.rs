//! What closures may return, and that none lets in by accident.

use std::{
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use actix_web::{App, dev::ServiceRequest, http::StatusCode, web};
use tenantry::{Error, TenantId};
use tenantry_actix::{AuthorizeError, TenantDb, TenantMiddleware};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::assert_not_bound;
use crate::support::{TestResult, TestServer, get, offline, serve};

fn middleware() -> TenantMiddleware {
    TenantMiddleware::new(offline(["acme", "globex"]))
}

fn id(text: &str) -> Option<TenantId> {
    TenantId::parse(text).ok()
}

/// An app that counts how often its handler runs.
fn app(
    middleware: TenantMiddleware,
) -> Result<(TestServer, Arc<AtomicUsize>), Box<dyn std::error::Error>> {
    let calls = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&calls);
    let server = serve!({
        let count = Arc::clone(&count);
        let handler = move || std::future::ready(count.fetch_add(1, Ordering::Relaxed).to_string());
        App::new().wrap(middleware.clone()).route("/", web::get().to(handler))
    });
    Ok((server, calls))
}

#[tokio::test]
async fn may_be_of_every_kind() -> TestResult {
    fn named(_: &ServiceRequest) -> Option<TenantId> {
        id("acme")
    }
    let fallible = |_: &ServiceRequest| -> Result<Option<TenantId>, Error> { Ok(id("acme")) };
    // Its future is not `Send`.
    let local = |_: &ServiceRequest| {
        let acme = Rc::new(id("acme"));
        async move {
            tokio::task::yield_now().await;
            (*acme).clone()
        }
    };
    for middleware in [
        middleware().bound_to(|_| id("acme")),
        middleware().bound_to(named),
        middleware().bound_to(fallible),
        middleware().bound_to(local),
        middleware().bound_to(|_| async { id("acme") }),
        middleware().bound_to(|_| async { Ok(id("acme")) }),
        middleware().bound_to(|_| std::future::ready(id("acme"))),
    ] {
        let (app, _) = app(middleware)?;
        assert_eq!(get(&app, "/", "acme").await.status, StatusCode::OK);
        assert_not_bound(&get(&app, "/", "globex").await);
    }
    Ok(())
}

#[tokio::test]
async fn all_have_to_agree() -> TestResult {
    for (first, second, passes) in [
        ("acme", "acme", true),
        ("acme", "globex", false),
        ("globex", "acme", false),
        ("acme", "", false),
        ("", "acme", false),
    ] {
        let middleware =
            middleware().bound_to(move |_| id(first)).bound_to(move |_| async move { id(second) });
        let (app, calls) = app(middleware)?;
        let answer = get(&app, "/", "acme").await;
        if passes {
            assert_eq!(answer.status, StatusCode::OK, "{first} {second}");
        } else {
            assert_not_bound(&answer);
        }
        assert_eq!(calls.load(Ordering::Relaxed), usize::from(passes), "{first} {second}");
    }
    Ok(())
}

#[tokio::test]
async fn an_error_lets_nobody_in() -> TestResult {
    let failing = middleware().bound_to(|_| async { Err(Error::catalog("secret words")) });
    let (app, calls) = app(failing)?;
    for tenant in ["acme", "nobody"] {
        let answer = get(&app, "/", tenant).await;
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(answer.header("retry-after"), Some("1"));
        assert!(!answer.body.contains("secret words"));
    }
    assert_eq!(calls.load(Ordering::Relaxed), 0);
    Ok(())
}

/// actix closes the connection without an answer, as it does when a handler panics.
#[tokio::test]
async fn a_panic_lets_nobody_in() -> TestResult {
    let at_once = |_: &ServiceRequest| -> Option<TenantId> { panic!("the closure is broken") };
    let later = |_: &ServiceRequest| {
        std::future::poll_fn(|_| -> std::task::Poll<Option<TenantId>> {
            panic!("the closure is broken")
        })
    };
    for middleware in [
        middleware().bound_to(at_once),
        middleware().bound_to(later),
        middleware().bound_to(|_| id("acme")).bound_to(at_once),
    ] {
        let (app, calls) = app(middleware)?;
        let mut client = TcpStream::connect(app.address).await?;
        client.write_all(b"GET / HTTP/1.1\r\nhost: x\r\nx-tenant-id: acme\r\n\r\n").await?;
        let mut answer = String::new();
        client.read_to_string(&mut answer).await?;
        assert_eq!(answer, "");
        assert_eq!(calls.load(Ordering::Relaxed), 0);
    }
    Ok(())
}

#[tokio::test]
async fn the_hook_is_asked_about_the_callers_tenant_only() -> TestResult {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let hook = move |_: &TenantDb, _: &ServiceRequest| {
        count.fetch_add(1, Ordering::Relaxed);
        std::future::ready(Err(AuthorizeError::Denied))
    };
    // Whatever the order in which they are set.
    let (app, _) = app(middleware().authorize(hook).bound_to(|_| id("acme")))?;
    assert_not_bound(&get(&app, "/", "globex").await);
    assert_eq!(asked.load(Ordering::Relaxed), 0);
    assert_eq!(get(&app, "/", "acme").await.problem_type(), "denied-tenant");
    assert_eq!(asked.load(Ordering::Relaxed), 1);
    Ok(())
}
