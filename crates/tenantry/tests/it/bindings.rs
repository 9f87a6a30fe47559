//! The role and the settings that a tenant has on record hold on its sessions, and on no others.

use tenantry::{ErrorKind, FixedCatalog, Ident, TenantManager, TenantRecord};

use crate::support::{TestResult, World, code_of, kind_of, name_of, observe, pid_of, run};

const HOSTILE: &str = r"it's \ 'quoted'; set role none; -- é";
const SEEN: &str = "select current_user || coalesce(current_setting('app.plan', true), '')";

fn record(id: &str) -> TenantRecord {
    TenantRecord::new(id.parse().expect("an id"))
}

fn one_session(world: &World, tenants: Vec<TenantRecord>) -> TenantManager {
    let builder = world.builder().catalog(FixedCatalog::new(tenants)).max_connections(1);
    builder.build().expect("the configuration is sound")
}

#[tokio::test]
async fn role_and_settings_come_and_go_with_the_tenant() -> TestResult {
    let world = World::with_tenants(&["acme", "globex"]).await;
    // Roles belong to the whole server: the name must be this test's own.
    let role = format!("a \"role\" of {}", std::process::id());
    let quoted = Ident::parse(&role)?.quoted().to_string();
    let create = format!(
        "create role {quoted}; grant usage on schema tenant_acme to {quoted}; \
         grant select on tenant_acme.users to {quoted}"
    );
    run(&mut world.admin().await, &create).await;
    let acme = record("acme").role(Ident::parse(&role)?).setting("app.plan", HOSTILE);
    let manager = one_session(&world, vec![acme, record("globex")]);
    let (acme, globex) = (manager.tenant("acme").await?, manager.tenant("globex").await?);
    let plain = observe(&globex, SEEN).await;
    let bound = format!("{:?}", Some(format!("{role}{HOSTILE}")));
    assert_ne!(plain, bound);
    let pid = pid_of(&acme).await?;
    for _ in 0..2 {
        assert_eq!(observe(&acme, SEEN).await, bound);
        assert_eq!(name_of(&acme).await?, "acme");
        let error = sqlx::query("delete from users").execute(&acme).await.expect_err("read only");
        assert_eq!(code_of(&error), "error 42501");
        assert_eq!(observe(&globex, SEEN).await, plain);
        assert_eq!(observe(&globex, "select current_user = session_user").await, r#"Some("t")"#);
        assert_eq!(name_of(&globex).await?, "globex");
        // What a lease undoes holds again for the next.
        run(&mut *acme.acquire().await?, "reset role; reset app.plan").await;
        assert_eq!(observe(&mut *acme.acquire().await?, SEEN).await, bound);
    }
    assert_eq!(pid_of(&acme).await?, pid);
    manager.close().await;
    let drop = format!("drop owned by {quoted}; drop role {quoted}");
    run(&mut world.admin().await, &drop).await;
    Ok(())
}

#[tokio::test]
async fn a_record_cannot_lead_a_tenant_elsewhere() -> TestResult {
    let world = World::with_tenants(&["acme", "globex"]).await;
    for name in ["search_path", "Search_Path", "role", "SESSION_AUTHORIZATION"] {
        let acme = record("acme").setting(name, "tenant_globex");
        let manager = one_session(&world, vec![acme]);
        assert_eq!(manager.tenant("acme").await.expect_err(name).kind(), ErrorKind::Placement);
        manager.close().await;
    }
    Ok(())
}

#[tokio::test]
async fn a_record_that_does_not_work_harms_nobody_else() -> TestResult {
    let world = World::with_tenants(&["acme", "globex"]).await;
    for acme in [
        record("acme").role(Ident::parse("nobody_has_this_role")?),
        record("acme").setting("work_mem", "much"),
        record("acme").setting("no such setting", "x"),
    ] {
        let manager = one_session(&world, vec![acme, record("globex")]);
        let (acme, globex) = (manager.tenant("acme").await?, manager.tenant("globex").await?);
        let pid = pid_of(&globex).await?;
        for _ in 0..3 {
            let error = acme.acquire().await.expect_err("its session cannot be bound");
            assert_eq!(kind_of(error), ErrorKind::Database);
            assert_eq!(name_of(&globex).await?, "globex");
            assert_eq!(pid_of(&globex).await?, pid, "it cost a connection");
        }
        manager.close().await;
    }
    Ok(())
}
