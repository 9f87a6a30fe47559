//! Sessions of actix-session, in a signed and encrypted cookie.

use actix_session::{Session, SessionExt, SessionMiddleware, storage::CookieSessionStore};
use actix_web::{App, cookie::Key, dev::ServiceRequest, web};
use tenantry::{TenantDb, TenantId, TenantManager};
use tenantry_actix::{AuthorizeError, CurrentTenant, Db, DbError, TenantMiddleware};

use super::{ADMIN, assert_not_bound, assert_served, name_of, who_am_i, world_with_admins};
use crate::support::{TestResult, TestServer, ask, serve};

/// Signs the administrator of a tenant in.
async fn login(CurrentTenant(tenant): CurrentTenant, session: Session) -> &'static str {
    session.insert("tenant", tenant.id().as_str()).expect("text can be stored");
    session.insert("user", ADMIN).expect("text can be stored");
    "signed in"
}

/// Trusts the session alone, as handlers do.
async fn me(Db(db): Db, session: Session) -> Result<String, DbError> {
    let user = session.get::<String>("user").ok().flatten();
    name_of(&db, user.as_deref().unwrap_or(ADMIN)).await
}

fn tenant_of_session(request: &ServiceRequest) -> Option<TenantId> {
    let tenant = request.get_session().get::<String>("tenant").ok()??;
    TenantId::parse(&tenant).ok()
}

/// A hook that forgets that a session may be empty.
fn unless_of_another(
    db: &TenantDb,
    request: &ServiceRequest,
) -> impl Future<Output = Result<(), AuthorizeError>> + use<> {
    let caller = tenant_of_session(request);
    let other = caller.is_some_and(|caller| caller != *db.tenant().id());
    std::future::ready(if other { Err(AuthorizeError::Denied) } else { Ok(()) })
}

/// Where the middleware of the sessions is, seen from that of the tenants.
#[derive(Clone, Copy)]
enum Sessions {
    Outside,
    Inside,
}

fn app(
    manager: &TenantManager,
    tenants: TenantMiddleware,
    sessions: Sessions,
) -> Result<TestServer, Box<dyn std::error::Error>> {
    let key = Key::from(&[7; 64]);
    let open = TenantMiddleware::new(manager.clone());
    Ok(serve!({
        let of_sessions = || SessionMiddleware::new(CookieSessionStore::default(), key.clone());
        let login = web::resource("/login").wrap(open.clone()).wrap(of_sessions()).post(login);
        let app = App::new().service(login);
        // The last `wrap` is the outermost.
        match sessions {
            Sessions::Outside => app.service(
                web::scope("")
                    .wrap(tenants.clone())
                    .wrap(of_sessions())
                    .route("/me", web::get().to(me)),
            ),
            Sessions::Inside => app.service(
                web::scope("")
                    .wrap(of_sessions())
                    .wrap(tenants.clone())
                    .route("/me", web::get().to(me)),
            ),
        }
    }))
}

/// Signs in to a tenant, and returns the cookie.
async fn sign_in(app: &TestServer, tenant: &str) -> String {
    let head = format!("POST /login HTTP/1.1\r\nhost: x\r\nx-tenant-id: {tenant}");
    let answer = ask(app, head).await;
    let cookie = answer.header("set-cookie").expect("there is a session");
    cookie.split(';').next().expect("there is a first part").to_owned()
}

#[tokio::test]
async fn a_cookie_of_one_tenant_opens_no_other() -> TestResult {
    let world = world_with_admins().await;
    let manager = world.manager();
    let middleware = TenantMiddleware::new(manager.clone());

    let open = app(&manager, middleware.clone(), Sessions::Outside)?;
    let cookie = sign_in(&open, "acme").await;
    let cookie = Some(("cookie", cookie.as_str()));
    assert_served(&who_am_i(&open, "acme", cookie).await, "Ada");
    // What `bound_to` is there for: the same id is somebody else's in the other tenant.
    assert_served(&who_am_i(&open, "globex", cookie).await, "Grace");

    let bound = app(&manager, middleware.bound_to(tenant_of_session), Sessions::Outside)?;
    for (own, other, name) in [("acme", "globex", "Ada"), ("globex", "acme", "Grace")] {
        let cookie = sign_in(&bound, own).await;
        let cookie = Some(("cookie", cookie.as_str()));
        assert_served(&who_am_i(&bound, own, cookie).await, name);
        for tenant in [other, "nobody", "frozen"] {
            assert_not_bound(&who_am_i(&bound, tenant, cookie).await);
        }
    }
    for cookie in [None, Some(("cookie", "id=forged"))] {
        assert_not_bound(&who_am_i(&bound, "acme", cookie).await);
    }
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn outside_of_the_sessions_nobody_passes() -> TestResult {
    let world = world_with_admins().await;
    let manager = world.manager();
    let middleware = TenantMiddleware::new(manager.clone()).authorize(unless_of_another);

    // The hook gets an empty session, which it does not object to.
    let open = app(&manager, middleware.clone(), Sessions::Inside)?;
    let cookie = sign_in(&open, "acme").await;
    let cookie = Some(("cookie", cookie.as_str()));
    assert_served(&who_am_i(&open, "globex", cookie).await, "Grace");

    let bound = app(&manager, middleware.bound_to(tenant_of_session), Sessions::Inside)?;
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
    let middleware = TenantMiddleware::new(manager.clone()).bound_to(tenant_of_session);
    let app = app(&manager, middleware, Sessions::Outside)?;
    let cookie = sign_in(&app, "acme").await;
    for cookie in [Some(("cookie", cookie.as_str())), None] {
        assert_not_bound(&who_am_i(&app, "globex", cookie).await);
    }
    let text = app.log.text();
    let lines: Vec<_> = text.lines().filter(|line| line.contains("request rejected")).collect();
    let [other, none] = lines[..] else { panic!("{text}") };
    for (line, level, says) in [
        (other, "WARN", "belongs to tenant acme"),
        (none, "INFO", "the session layer runs inside the tenant layer"),
    ] {
        for part in [level, "not signed in to tenant globex", says] {
            assert!(line.contains(part), "{line}");
        }
    }
    manager.close().await;
    Ok(())
}
