//! Schemas that are left out are nobody's, names of any kind can be listed, and records can be completed.

use tenantry::{
    ErrorKind, Ident, Isolation, SchemaDiscovery, TableCatalog, TenantId, TenantManager,
    provision::CreateOptions,
};

use crate::support::{TestResult, World, name_of, observe, run};

async fn listed(manager: &TenantManager) -> Result<Vec<String>, tenantry::Error> {
    let tenants = manager.tenants().await?;
    Ok(tenants.into_iter().map(|tenant| tenant.id.to_string()).collect())
}

#[tokio::test]
async fn schemas_that_are_left_out_are_no_tenants() -> TestResult {
    let world = World::new().await;
    let schemas =
        "create schema acme; create schema audit; create schema report_1; create schema report_22";
    run(&mut world.admin().await, schemas).await;
    let manager = world
        .builder()
        .isolation(Isolation::schema("{id}"))
        .catalog(SchemaDiscovery::new().except(["audit", "report_??"]).except(["nobody"]))
        .build()?;
    assert_eq!(listed(&manager).await?, ["acme", "report_1"]);
    for (id, expected) in [
        ("acme", None),
        ("report_1", None),
        ("audit", Some(ErrorKind::UnknownTenant)),
        ("report_22", Some(ErrorKind::UnknownTenant)),
    ] {
        assert_eq!(manager.tenant(id).await.err().map(|error| error.kind()), expected, "{id}");
    }
    for id in ["audit", "nobody"] {
        let refused = manager.provisioner().create(id, CreateOptions::default()).await;
        let refused = refused.expect_err("nobody would find it");
        assert_eq!(refused.kind(), ErrorKind::Placement, "{refused}");
    }
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn names_of_a_closure_are_listed_by_its_inverse() -> TestResult {
    let world = World::new().await;
    let schemas = r#"create schema "X_NORTH_SEA"; create schema "X_north"; create schema "X_"; create schema other"#;
    run(&mut world.admin().await, schemas).await;
    let name = |id: &TenantId| format!("X_{}", id.as_str().replace('-', "_").to_uppercase());
    let id_of = |name: &str| {
        TenantId::parse(&name.strip_prefix("X_")?.replace('_', "-").to_lowercase()).ok()
    };
    let isolation = Isolation::schema_with_inverse(name, id_of);
    let manager = world.builder().isolation(isolation).build()?;
    assert_eq!(listed(&manager).await?, ["north-sea"]);
    let one_way = world.builder().isolation(Isolation::schema_with(name)).build()?;
    let refused = one_way.tenants().await.expect_err("it has no inverse").to_string();
    assert!(refused.contains("schema_with_inverse"), "{refused}");
    manager.close().await;
    one_way.close().await;
    Ok(())
}

#[tokio::test]
async fn records_of_any_catalog_are_completed() -> TestResult {
    let world = World::with_tenants(&["acme"]).await;
    let mut admin = world.admin().await;
    run(
        &mut admin,
        "create role catalog_one; grant catalog_one to current_user; \
         grant usage on schema tenant_acme to catalog_one; \
         grant select on tenant_acme.users to catalog_one",
    )
    .await;
    let complete = |record: tenantry::TenantRecord| {
        let role = Ident::parse("catalog_one").expect("a name");
        record.role(role).setting("statement_timeout", "1234ms")
    };
    let discovered = world.builder().map_records(complete).build()?;
    let listed = world.builder().map_records(complete).catalog(TableCatalog::new()).build()?;
    TableCatalog::new().create_table(listed.shared()).await?;
    run(&mut admin, "insert into tenants (id) values ('acme')").await;
    for manager in [&discovered, &listed] {
        let acme = manager.tenant("acme").await?;
        assert_eq!(name_of(&acme).await?, "acme");
        assert_eq!(observe(&acme, "select current_user::text").await, "Some(\"catalog_one\")");
        assert_eq!(observe(&acme, "show statement_timeout").await, "Some(\"1234ms\")");
        assert_eq!(
            manager.tenants().await?[0].role.as_ref().map(Ident::as_str),
            Some("catalog_one")
        );
    }
    // What the closure gives to a tenant need not be on record.
    listed.provisioner().create("globex", CreateOptions::default()).await?;
    let usage = "select has_schema_privilege('catalog_one', 'tenant_globex', 'usage')::text";
    assert_eq!(observe(&mut admin, usage).await, "Some(\"true\")");
    discovered.close().await;
    listed.close().await;
    run(&mut admin, "drop owned by catalog_one; drop role catalog_one").await;
    Ok(())
}

#[tokio::test]
async fn ids_of_any_type_name_a_tenant() -> TestResult {
    let uuid = uuid::Uuid::from_u128(7);
    let world = World::with_tenants(&["acme", "42", &uuid.to_string()]).await;
    let manager = world.manager();
    let acme = TenantId::parse("acme")?;
    for named in [
        manager.tenant("acme").await?,
        manager.tenant("acme".to_owned()).await?,
        manager.tenant(&acme).await?,
        manager.tenant(acme.clone()).await?,
        manager.tenant_to_authorize("acme").await?,
    ] {
        assert_eq!(name_of(&named).await?, "acme");
    }
    assert_eq!(name_of(&manager.tenant(42_i64).await?).await?, "42");
    assert_eq!(name_of(&manager.tenant(uuid).await?).await?, uuid.to_string());
    assert_eq!(manager.tenant(-1).await.expect_err("no id").kind(), ErrorKind::InvalidTenantId);
    manager.invalidate(42_i64).await;
    manager.invalidate("not an id").await;
    assert!(manager.evict(uuid) && !manager.evict("not an id"));
    manager.close().await;
    Ok(())
}
