//! What closures may return, and that none lets in by accident.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use axum::{
    Router,
    http::{StatusCode, request::Parts},
    routing::get as on_get,
};
use tenantry::{Error, TenantId};
use tenantry_axum::{AuthorizeError, TenantDb, TenantLayer};

use super::assert_not_bound;
use crate::support::{TestResult, get, offline};

fn layer() -> TenantLayer {
    TenantLayer::new(offline(["acme", "globex"]))
}

fn id(text: &str) -> Option<TenantId> {
    TenantId::parse(text).ok()
}

/// An app that counts how often its handler runs.
fn app(layer: TenantLayer) -> (Router, Arc<AtomicUsize>) {
    let calls = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&calls);
    let handler = async move || count.fetch_add(1, Ordering::Relaxed).to_string();
    (Router::new().route("/", on_get(handler)).layer(layer), calls)
}

#[tokio::test]
async fn may_be_of_every_kind() -> TestResult {
    fn named(_: &Parts) -> Option<TenantId> {
        id("acme")
    }
    let fallible = |_: &Parts| -> Result<Option<TenantId>, Error> { Ok(id("acme")) };
    for layer in [
        layer().bound_to(|_| id("acme")),
        layer().bound_to(named),
        layer().bound_to(fallible),
        layer().bound_to(|_| async { id("acme") }),
        layer().bound_to(|_| async { Ok(id("acme")) }),
        layer().bound_to(|_| std::future::ready(id("acme"))),
    ] {
        let (app, _) = app(layer);
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
        let layer =
            layer().bound_to(move |_| id(first)).bound_to(move |_| async move { id(second) });
        let (app, calls) = app(layer);
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
    let (app, calls) = app(layer().bound_to(|_| async { Err(Error::catalog("secret words")) }));
    for tenant in ["acme", "nobody"] {
        let answer = get(&app, "/", tenant).await;
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(answer.headers.contains_key("retry-after"));
        assert!(!answer.body.contains("secret words"));
    }
    assert_eq!(calls.load(Ordering::Relaxed), 0);
    Ok(())
}

#[tokio::test]
async fn a_panic_lets_nobody_in() -> TestResult {
    let at_once = |_: &Parts| -> Option<TenantId> { panic!("the closure is broken") };
    let later = |_: &Parts| {
        std::future::poll_fn(|_| -> std::task::Poll<Option<TenantId>> {
            panic!("the closure is broken")
        })
    };
    for layer in [
        layer().bound_to(at_once),
        layer().bound_to(later),
        layer().bound_to(|_| id("acme")).bound_to(at_once),
    ] {
        let (app, calls) = app(layer);
        let request = tokio::spawn(async move { get(&app, "/", "acme").await });
        assert!(request.await.is_err_and(|error| error.is_panic()));
        assert_eq!(calls.load(Ordering::Relaxed), 0);
    }
    Ok(())
}

#[tokio::test]
async fn the_hook_is_asked_about_the_callers_tenant_only() -> TestResult {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let hook = move |_: &TenantDb, _: &Parts| {
        count.fetch_add(1, Ordering::Relaxed);
        std::future::ready(Err(AuthorizeError::Denied))
    };
    // Whatever the order in which they are set.
    let (app, _) = app(layer().authorize(hook).bound_to(|_| id("acme")));
    assert_not_bound(&get(&app, "/", "globex").await);
    assert_eq!(asked.load(Ordering::Relaxed), 0);
    assert_eq!(get(&app, "/", "acme").await.problem_type(), "denied-tenant");
    assert_eq!(asked.load(Ordering::Relaxed), 1);
    Ok(())
}
