//! Who is not authorised gets 403, and the handler never runs.

use std::{
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use actix_web::{
    App, HttpMessage,
    dev::{Service, ServiceRequest},
    http::StatusCode,
    web,
};
use tenantry_actix::{Authorize, AuthorizeError, CurrentTenant, TenantDb, TenantMiddleware};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::support::{TestResult, TestServer, World, ask, get, offline, serve};

/// What an authentication middleware has found out.
struct User {
    tenant: &'static str,
}

fn app(
    hook: impl Authorize,
    calls: &Arc<AtomicUsize>,
) -> Result<TestServer, Box<dyn std::error::Error>> {
    let calls = Arc::clone(calls);
    let middleware = TenantMiddleware::new(offline(["acme", "globex"])).authorize(hook);
    Ok(serve!({
        let calls = Arc::clone(&calls);
        let handler = move |CurrentTenant(tenant): CurrentTenant| {
            calls.fetch_add(1, Ordering::Relaxed);
            std::future::ready(tenant.id().to_string())
        };
        App::new()
            .wrap(middleware.clone())
            .wrap_fn(|request, service| {
                request.extensions_mut().insert(User { tenant: "acme" });
                service.call(request)
            })
            .route("/", web::get().to(handler))
    }))
}

/// Its future is not `Send`.
fn own_tenant(
    db: &TenantDb,
    request: &ServiceRequest,
) -> impl Future<Output = Result<(), AuthorizeError>> + use<> {
    let extensions = request.extensions();
    let own = extensions.get::<User>().is_some_and(|user| user.tenant == db.tenant().id().as_str());
    let verdict = Rc::new(if own { Ok(()) } else { Err(()) });
    async move {
        tokio::task::yield_now().await;
        (*verdict).map_err(|()| AuthorizeError::Denied)
    }
}

#[tokio::test]
async fn a_header_alone_opens_nothing() -> TestResult {
    let calls = Arc::default();
    let app = app(own_tenant, &calls)?;

    assert_eq!(get(&app, "/", "acme").await.body, "acme");
    let denied = get(&app, "/", "globex").await;
    assert_eq!(denied.status, StatusCode::FORBIDDEN);
    assert_eq!(denied.problem_type(), "denied-tenant");
    assert_eq!(calls.load(Ordering::Relaxed), 1);
    Ok(())
}

#[tokio::test]
async fn is_not_asked_about_tenants_that_do_not_exist() -> TestResult {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let hook = move |_: &TenantDb, _: &ServiceRequest| {
        count.fetch_add(1, Ordering::Relaxed);
        std::future::ready(Ok(()))
    };
    let app = app(hook, &Arc::default())?;

    assert_eq!(get(&app, "/", "nobody").await.status, StatusCode::NOT_FOUND);
    assert_eq!(asked.load(Ordering::Relaxed), 0);
    assert_eq!(get(&app, "/", "acme").await.status, StatusCode::OK);
    assert_eq!(asked.load(Ordering::Relaxed), 1);
    Ok(())
}

#[tokio::test]
async fn a_hook_that_cannot_tell_lets_nobody_in() -> TestResult {
    let calls = Arc::default();
    let hook = |_: &TenantDb, _: &ServiceRequest| async {
        Err(AuthorizeError::from(tenantry::Error::catalog("secret words")))
    };
    let answer = get(&app(hook, &calls)?, "/", "acme").await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.header("retry-after"), Some("1"));
    assert!(!answer.body.contains("secret words"));
    assert_eq!(calls.load(Ordering::Relaxed), 0);
    Ok(())
}

/// actix closes the connection without an answer, as it does when a handler panics.
#[tokio::test]
async fn a_hook_that_panics_lets_nobody_in() -> TestResult {
    let calls = Arc::default();
    let hook = |_: &TenantDb, _: &ServiceRequest| -> std::future::Ready<_> {
        panic!("the hook is broken")
    };
    let app = app(hook, &calls)?;
    let mut client = TcpStream::connect(app.address).await?;
    client.write_all(b"GET / HTTP/1.1\r\nhost: x\r\nx-tenant-id: acme\r\n\r\n").await?;
    let mut answer = String::new();
    client.read_to_string(&mut answer).await?;
    assert_eq!(answer, "");
    assert_eq!(calls.load(Ordering::Relaxed), 0);
    Ok(())
}

/// Lets those in whom the tenant's own table knows; borrows both of its arguments.
struct Members;

impl Authorize for Members {
    async fn authorize(
        &self,
        db: &TenantDb,
        request: &ServiceRequest,
    ) -> Result<(), AuthorizeError> {
        let name = request.headers().get("x-user").and_then(|name| name.to_str().ok());
        let known: bool = sqlx::query_scalar("select exists (select from users where name = $1)")
            .bind(name)
            .fetch_one(db)
            .await
            .map_err(tenantry::Error::from)?;
        known.then_some(()).ok_or(AuthorizeError::Denied)
    }
}

#[tokio::test]
async fn may_ask_the_tenants_own_database() -> TestResult {
    let world = World::new().await;
    let manager = world.manager();
    let middleware = TenantMiddleware::new(manager.clone()).authorize(Members);
    let app = serve!({
        let handler = async || "in";
        App::new().wrap(middleware.clone()).route("/", web::get().to(handler))
    });
    for (tenant, user, status) in [
        ("acme", "acme", StatusCode::OK),
        ("globex", "acme", StatusCode::FORBIDDEN),
        ("acme", "globex", StatusCode::FORBIDDEN),
    ] {
        let request =
            format!("GET / HTTP/1.1\r\nhost: x\r\nx-tenant-id: {tenant}\r\nx-user: {user}");
        assert_eq!(ask(&app, request).await.status, status, "{tenant} {user}");
    }
    manager.close().await;
    Ok(())
}
