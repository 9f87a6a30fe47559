//! What a catalog's row says of a tenant's placement is believed, or refused for that tenant alone.

use tenantry::{ErrorKind, Isolation, IsolationKind, KeyType, Rows, TableCatalog};

use super::{listed, told};
use crate::support::{TestResult, name_of, run};

#[tokio::test]
async fn a_bad_value_is_the_error_of_that_tenant_alone() -> TestResult {
    let world = listed(&["acme", "globex"]).await;
    let mut admin = world.admin().await;
    run(&mut admin, "alter table tenants alter epoch drop not null").await;
    let rows = Isolation::rows(Rows::new().key(KeyType::BigInt));
    let builder = world.builder().catalog(TableCatalog::new()).or_isolation(rows);
    let manager = builder.max_connections(4).build()?;
    for (change, kind, text) in [
        (
            "isolation = 'rows'",
            ErrorKind::Catalog,
            "unknown isolation \"rows\"; expected schema, row or database",
        ),
        ("epoch = 0", ErrorKind::Catalog, "reading the epoch of a tenant: it must be 1 or more"),
        ("epoch = -3", ErrorKind::Catalog, "it must be 1 or more"),
        ("server = ''", ErrorKind::Catalog, "reading the server of a tenant: it is empty"),
        ("database = ''", ErrorKind::Catalog, "reading the database of a tenant"),
        ("key = ''", ErrorKind::Catalog, "reading the key of a tenant: it is empty"),
        ("isolation = 'row', key = 'x'", ErrorKind::Placement, "its record is not a bigint"),
        ("isolation = 'row'", ErrorKind::Placement, "its id is not a bigint"),
        (
            "server = 'eu-1'",
            ErrorKind::Placement,
            "names the server \"eu-1\", which is not configured",
        ),
    ] {
        run(
            &mut admin,
            &format!(
                "update tenants set isolation = null, server = null, database = null, key = null, \
                 epoch = 1 where id = 'acme'; update tenants set {change} where id = 'acme'"
            ),
        )
        .await;
        manager.invalidate("acme").await;
        let error = manager.tenant("acme").await.expect_err(change);
        assert_eq!(error.kind(), kind, "{change}: {error}");
        assert!(error.to_string().contains(text), "{change}: {error}");
        assert_eq!(error.tenant().map(ToString::to_string).as_deref(), Some("acme"));
        assert_eq!(name_of(&manager.tenant("globex").await?).await?, "globex");
    }
    run(&mut admin, "update tenants set server = 'main', epoch = null where id = 'acme'").await;
    manager.invalidate("acme").await;
    let acme = manager.tenant("acme").await?;
    assert_eq!((acme.tenant().placement().epoch(), name_of(&acme).await?), (1, "acme".into()));
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn a_query_may_say_where_tenants_are() -> TestResult {
    let world = listed(&["acme"]).await;
    let mut admin = world.admin().await;
    run(&mut admin, "create table customers (id text, number int, moves smallint)").await;
    run(&mut admin, "insert into customers values ('acme', 7, 3), ('globex', 8, 1)").await;
    let catalog = TableCatalog::query(
        "select id, 'row' as isolation, number as key, moves as epoch from customers",
    );
    let rows = Isolation::rows(Rows::new().key(KeyType::BigInt));
    let manager = world.builder().catalog(catalog).or_isolation(rows).build()?;
    let acme = manager.tenant("acme").await?;
    let placement = acme.tenant().placement();
    assert_eq!((placement.isolation(), placement.key()), (IsolationKind::Row, Some("7")));
    assert_eq!((placement.epoch(), placement.server()), (3, "main"));
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn a_renamed_tenant_keeps_its_placement() -> TestResult {
    let world = listed(&["acme"]).await;
    let mut admin = world.admin().await;
    run(&mut admin, "update tenants set isolation = 'schema', epoch = 4").await;
    let manager = told(&world);
    manager.provisioner().rename("acme", "globex").await?;
    let globex = manager.tenant("globex").await?;
    assert_eq!(globex.tenant().placement().epoch(), 4);
    assert_eq!(name_of(&globex).await?, "acme");
    let record = &manager.tenants().await?[0];
    assert_eq!((record.isolation, record.epoch), (Some(IsolationKind::Schema), 4));
    manager.close().await;
    Ok(())
}
