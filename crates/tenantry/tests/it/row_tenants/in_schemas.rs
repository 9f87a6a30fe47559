//! Tenants in schemas of a manager that has rows configured: their sessions have a key, and it stays that of their rows.

use sqlx::PgConnection;
use tenantry::{
    ErrorKind, Isolation, KeyType, Rows, SchemaDiscovery, TableCatalog, TenantManager,
    clone::CloneOptions,
    provision::{Adopt, CreateOptions, Provisioner},
};

use crate::{
    migrate::Files,
    support::{TestResult, World, observe, run},
};

struct Schemas {
    world: World,
    manager: TenantManager,
    provisioner: Provisioner,
    admin: PgConnection,
}

impl Schemas {
    async fn new() -> Self {
        let world = World::new().await;
        let manager = world
            .builder()
            .isolation(Isolation::schema("tenant_{id}"))
            .or_isolation(Isolation::rows(Rows::new().key(KeyType::Text)))
            .catalog(TableCatalog::new())
            .build()
            .expect("the configuration is sound");
        TableCatalog::new().create_table(manager.shared()).await.expect("the server is running");
        let provisioner = manager.provisioner().tenants(files().read());
        let admin = world.admin().await;
        Self { world, manager, provisioner, admin }
    }

    /// Has a tenant add a row, and returns the keys of all its rows, as its session would filter them.
    async fn add_and_see(&self, id: &str) -> String {
        let db = self.manager.tenant(id).await.expect("it is served");
        run(&db, "insert into notes (text) values ('more')").await;
        let all = observe(&db, "select string_agg(distinct tenant_id, ' ') from notes").await;
        let seen = "select count(*) filter (where tenant_id = current_setting('tenantry.tenant', true)) || ' of ' \
                    || count(*) from notes";
        format!("{all} {}", observe(&db, seen).await)
    }
}

fn files() -> Files {
    Files::new(&[(
        "1_notes.sql",
        "create table notes (tenant_id text not null \
         default nullif(current_setting('tenantry.tenant', true), ''), text text)",
    )])
}

#[tokio::test]
async fn a_renamed_tenant_keeps_its_key() -> TestResult {
    let scene = Schemas::new().await;
    scene.provisioner.create("acme", CreateOptions::default()).await?;
    assert_eq!(scene.add_and_see("acme").await, "Some(\"acme\") Some(\"1 of 1\")");
    scene.provisioner.rename("acme", "umbrella").await?;
    assert_eq!(scene.add_and_see("umbrella").await, "Some(\"acme\") Some(\"2 of 2\")");
    scene.provisioner.suspend("umbrella").await?;
    scene.provisioner.resume("umbrella").await?;
    scene.provisioner.rename("umbrella", "initech").await?;
    assert_eq!(scene.add_and_see("initech").await, "Some(\"acme\") Some(\"3 of 3\")");
    // Another tenant can have the id, in its own tables.
    scene
        .provisioner
        .create("acme", CreateOptions::default().container(tenantry::Ident::parse("other")?))
        .await?;
    assert_eq!(scene.add_and_see("acme").await, "Some(\"acme\") Some(\"1 of 1\")");
    Ok(())
}

#[tokio::test]
async fn a_catalog_that_cannot_record_the_key_refuses_a_rename() -> TestResult {
    let scene = Schemas::new().await;
    let manager = scene
        .world
        .builder()
        .isolation(Isolation::schema("tenant_{id}"))
        .or_isolation(Isolation::rows(Rows::new().key(KeyType::Text)))
        .catalog(SchemaDiscovery::new())
        .build()?;
    let provisioner = manager.provisioner().tenants(files().read());
    provisioner.create("acme", CreateOptions::default()).await?;
    run(&manager.tenant("acme").await?, "insert into notes (text) values ('mine')").await;
    for error in [
        provisioner.rename("acme", "umbrella").await.unwrap_err(),
        provisioner
            .clone_tenant("acme", "copy", CloneOptions::default().data(true))
            .await
            .unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Catalog, "{error:?}");
        assert!(error.to_string().contains("cannot record it"), "{error}");
    }
    let seen = "select count(*)::text from notes where tenant_id = current_setting('tenantry.tenant', true)";
    assert_eq!(observe(&manager.tenant("acme").await?, seen).await, "Some(\"1\")");
    assert_eq!(manager.tenants().await?.len(), 1);
    Ok(())
}

#[tokio::test]
async fn a_clone_keeps_the_key_of_the_rows_that_it_has() -> TestResult {
    let scene = Schemas::new().await;
    scene.provisioner.create("acme", CreateOptions::default()).await?;
    scene.add_and_see("acme").await;
    let copy = CloneOptions::default().data(true);
    scene.provisioner.clone_tenant("acme", "copy", copy.clone()).await?;
    assert_eq!(scene.add_and_see("copy").await, "Some(\"acme\") Some(\"2 of 2\")");
    let another = copy.key("another");
    let error = scene.provisioner.clone_tenant("acme", "wrong", another).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config, "{error:?}");
    scene.provisioner.clone_tenant("acme", "empty", CloneOptions::default()).await?;
    assert_eq!(scene.add_and_see("empty").await, "Some(\"empty\") Some(\"1 of 1\")");
    assert_eq!(scene.add_and_see("acme").await, "Some(\"acme\") Some(\"2 of 2\")");
    Ok(())
}

#[tokio::test]
async fn a_schema_with_rows_of_another_key_is_not_adopted_without_it() -> TestResult {
    let mut scene = Schemas::new().await;
    run(
        &mut scene.admin,
        "create schema legacy; create table legacy.notes (tenant_id text not null default \
         nullif(current_setting('tenantry.tenant', true), ''), text text); \
         insert into legacy.notes values ('k1', 'of before')",
    )
    .await;
    let dry = scene.provisioner.adopt("acme", Adopt::schema("legacy").dry_run(true)).await?;
    assert!(dry.blockers.iter().any(|why| why.contains("\"k1\"")), "{dry}");
    scene.provisioner.adopt("acme", Adopt::schema("legacy")).await.unwrap_err();
    scene.provisioner.adopt("acme", Adopt::schema("legacy").key("k1")).await?;
    assert_eq!(scene.add_and_see("acme").await, "Some(\"k1\") Some(\"2 of 2\")");
    Ok(())
}
