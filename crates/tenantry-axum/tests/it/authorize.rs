//! Who is not authorised gets 403, and the handler never runs.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use axum::{
    Extension, Router,
    body::Body,
    http::{Request, StatusCode, request::Parts},
    routing::get as on_get,
};
use tenantry_axum::{Authorize, AuthorizeError, CurrentTenant, TenantDb, TenantLayer};

use crate::support::{TestResult, World, get, offline, send};

/// What an authentication layer has found out.
#[derive(Clone)]
struct User {
    tenant: &'static str,
}

fn app(hook: impl Authorize, calls: &Arc<AtomicUsize>) -> Router {
    let calls = Arc::clone(calls);
    let handler = async move |CurrentTenant(tenant): CurrentTenant| {
        calls.fetch_add(1, Ordering::Relaxed);
        tenant.id().to_string()
    };
    Router::new()
        .route("/", on_get(handler))
        .layer(TenantLayer::new(offline(["acme", "globex"])).authorize(hook))
        .layer(Extension(User { tenant: "acme" }))
}

fn own_tenant(
    db: &TenantDb,
    parts: &Parts,
) -> impl Future<Output = Result<(), AuthorizeError>> + use<> {
    let user = parts.extensions.get::<User>();
    let own = user.is_some_and(|user| user.tenant == db.tenant().id().as_str());
    async move {
        tokio::task::yield_now().await;
        if own { Ok(()) } else { Err(AuthorizeError::Denied) }
    }
}

#[tokio::test]
async fn a_header_alone_opens_nothing() -> TestResult {
    let calls = Arc::default();
    let app = app(own_tenant, &calls);

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
    let hook = move |_: &TenantDb, _: &Parts| {
        count.fetch_add(1, Ordering::Relaxed);
        std::future::ready(Ok(()))
    };
    let app = app(hook, &Arc::default());

    assert_eq!(get(&app, "/", "nobody").await.status, StatusCode::NOT_FOUND);
    assert_eq!(asked.load(Ordering::Relaxed), 0);
    assert_eq!(get(&app, "/", "acme").await.status, StatusCode::OK);
    assert_eq!(asked.load(Ordering::Relaxed), 1);
    Ok(())
}

#[tokio::test]
async fn a_hook_that_cannot_tell_lets_nobody_in() -> TestResult {
    let calls = Arc::default();
    let hook = |_: &TenantDb, _: &Parts| async {
        Err(AuthorizeError::from(tenantry::Error::catalog("secret words")))
    };
    let answer = get(&app(hook, &calls), "/", "acme").await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(answer.headers.contains_key("retry-after"));
    assert!(!answer.body.contains("secret words"));
    assert_eq!(calls.load(Ordering::Relaxed), 0);
    Ok(())
}

#[tokio::test]
async fn a_hook_that_panics_lets_nobody_in() -> TestResult {
    let calls = Arc::default();
    let hook = |_: &TenantDb, _: &Parts| -> std::future::Ready<Result<(), AuthorizeError>> {
        panic!("the hook is broken")
    };
    let app = app(hook, &calls);
    let request = tokio::spawn(async move { get(&app, "/", "acme").await });
    assert!(request.await.is_err_and(|error| error.is_panic()));
    assert_eq!(calls.load(Ordering::Relaxed), 0);
    Ok(())
}

/// Lets those in whom the tenant's own table knows; borrows both of its arguments.
struct Members;

impl Authorize for Members {
    async fn authorize(&self, db: &TenantDb, parts: &Parts) -> Result<(), AuthorizeError> {
        let name = parts.headers.get("x-user").and_then(|name| name.to_str().ok());
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
    let app = Router::new()
        .route("/", on_get(async || "in"))
        .layer(TenantLayer::new(manager.clone()).authorize(Members));
    for (tenant, user, status) in [
        ("acme", "acme", StatusCode::OK),
        ("globex", "acme", StatusCode::FORBIDDEN),
        ("acme", "globex", StatusCode::FORBIDDEN),
    ] {
        let request = Request::get("/")
            .header("x-tenant-id", tenant)
            .header("x-user", user)
            .body(Body::empty())?;
        assert_eq!(send(&app, request).await.status, status, "{tenant} {user}");
    }
    manager.close().await;
    Ok(())
}
