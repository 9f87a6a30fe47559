//! Sessions of tower-sessions.

use axum::{
    Extension, Router,
    http::request::Parts,
    routing::{get, post},
};
use tenantry::{TenantDb, TenantId, TenantManager};
use tenantry_axum::{AuthorizeError, CurrentTenant, Db, DbError, TenantLayer};
use tower_sessions::{MemoryStore, Session, SessionManagerLayer};

use super::{ADMIN, assert_not_bound, assert_served, name_of, who_am_i, world_with_admins};
use crate::support::{Log, TestResult, request};

/// Signs the administrator of a tenant in.
async fn login(CurrentTenant(tenant): CurrentTenant, session: Extension<Session>) {
    session.insert("tenant", tenant.id().as_str()).await.expect("the store is in memory");
    session.insert("user", ADMIN).await.expect("the store is in memory");
}

/// Trusts the session alone, as handlers do.
async fn me(Db(db): Db, session: Extension<Session>) -> Result<String, DbError> {
    let user = session.get::<String>("user").await.ok().flatten();
    name_of(&db, user.as_deref().unwrap_or(ADMIN)).await
}

fn tenant_of_session(parts: &Parts) -> impl Future<Output = Option<TenantId>> + Send + use<> {
    let session = parts.extensions.get::<Session>().cloned();
    async move {
        let tenant = session?.get::<String>("tenant").await.ok()??;
        TenantId::parse(&tenant).ok()
    }
}

/// A hook that forgets that there may be no session.
fn unless_of_another(
    db: &TenantDb,
    parts: &Parts,
) -> impl Future<Output = Result<(), AuthorizeError>> + Send + use<> {
    let requested = db.tenant().id().clone();
    let caller = tenant_of_session(parts);
    async move {
        match caller.await {
            Some(caller) if caller != requested => Err(AuthorizeError::Denied),
            _ => Ok(()),
        }
    }
}

/// Where the layer of the sessions is, seen from that of the tenants.
#[derive(Clone, Copy)]
enum Sessions {
    Outside,
    Inside,
}

fn app(manager: &TenantManager, tenants: TenantLayer, sessions: Sessions) -> Router {
    let of_sessions = SessionManagerLayer::new(MemoryStore::default());
    let login = Router::new()
        .route("/login", post(login))
        .layer(TenantLayer::new(manager.clone()))
        .layer(of_sessions.clone());
    let me = Router::new().route("/me", get(me));
    login.merge(match sessions {
        Sessions::Outside => me.layer(tenants).layer(of_sessions),
        Sessions::Inside => me.layer(of_sessions).layer(tenants),
    })
}

/// Signs in to a tenant, and returns the cookie.
async fn sign_in(app: &Router, tenant: &str) -> String {
    let answer = request(app, axum::http::Method::POST, "/login", tenant).await;
    let cookie = answer.headers["set-cookie"].to_str().expect("a cookie is text");
    cookie.split(';').next().expect("there is a first part").to_owned()
}

#[tokio::test]
async fn a_cookie_of_one_tenant_opens_no_other() -> TestResult {
    let world = world_with_admins().await;
    let manager = world.manager();
    let layer = TenantLayer::new(manager.clone());

    let open = app(&manager, layer.clone(), Sessions::Outside);
    let cookie = sign_in(&open, "acme").await;
    let cookie = Some(("cookie", cookie.as_str()));
    assert_served(&who_am_i(&open, "acme", cookie).await, "Ada");
    // What `bound_to` is there for: the same id is somebody else's in the other tenant.
    assert_served(&who_am_i(&open, "globex", cookie).await, "Grace");

    let bound = app(&manager, layer.bound_to(tenant_of_session), Sessions::Outside);
    for (own, other, name) in [("acme", "globex", "Ada"), ("globex", "acme", "Grace")] {
        let cookie = sign_in(&bound, own).await;
        let cookie = Some(("cookie", cookie.as_str()));
        assert_served(&who_am_i(&bound, own, cookie).await, name);
        for tenant in [other, "nobody", "frozen"] {
            assert_not_bound(&who_am_i(&bound, tenant, cookie).await);
        }
    }
    for cookie in [None, Some(("cookie", "id=AAAAAAAAAAAAAAAAAAAAAA"))] {
        assert_not_bound(&who_am_i(&bound, "acme", cookie).await);
    }
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn outside_of_the_sessions_nobody_passes() -> TestResult {
    let world = world_with_admins().await;
    let manager = world.manager();
    let layer = TenantLayer::new(manager.clone()).authorize(unless_of_another);

    // The hook finds no session to object to.
    let open = app(&manager, layer.clone(), Sessions::Inside);
    let cookie = sign_in(&open, "acme").await;
    let cookie = Some(("cookie", cookie.as_str()));
    assert_served(&who_am_i(&open, "globex", cookie).await, "Grace");

    let bound = app(&manager, layer.bound_to(tenant_of_session), Sessions::Inside);
    let cookie = sign_in(&bound, "acme").await;
    let cookie = Some(("cookie", cookie.as_str()));
    for tenant in ["acme", "globex"] {
        assert_not_bound(&who_am_i(&bound, tenant, cookie).await);
    }
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn the_log_says_in_one_line_what_was_wrong() -> TestResult {
    let world = world_with_admins().await;
    let manager = world.manager();
    let layer = TenantLayer::new(manager.clone()).bound_to(tenant_of_session);
    let app = app(&manager, layer, Sessions::Outside);
    let cookie = sign_in(&app, "acme").await;
    for (cookie, level, says) in [
        (Some(("cookie", cookie.as_str())), "WARN", "belongs to tenant acme"),
        (None, "INFO", "the session layer runs inside the tenant layer"),
    ] {
        let log = Log::capture();
        assert_not_bound(&who_am_i(&app, "globex", cookie).await);
        let text = log.text();
        let line = text.lines().find(|line| line.contains("request rejected"));
        let line = line.unwrap_or_else(|| panic!("{text}"));
        for part in [level, "not signed in to tenant globex", says] {
            assert!(line.contains(part), "{line}");
        }
    }
    manager.close().await;
    Ok(())
}
