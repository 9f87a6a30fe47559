//! Tenants on two servers.

use tenantry::{
    ServerOptions, TableCatalog, TenantManager,
    archive::{DiffOptions, ExportOptions, ImportOptions, MergeOptions, RowFound},
};
use tenantry_devdb::DevServer;

use super::{super::Shelf, counts};
use crate::support::{TestResult, connect, create_tenant, observe, run};

#[tokio::test]
async fn yesterday_on_another_server_gives_rows_back() -> TestResult {
    let (main, eu, shelf) = (DevServer::start().await?, DevServer::start().await?, Shelf::new());
    let manager = TenantManager::builder(main.url())
        .server("eu-1", ServerOptions::new(eu.url()))
        .catalog(TableCatalog::new())
        .max_connections(6)
        .build()?;
    TableCatalog::new().create_table(manager.shared()).await?;
    let mut admin = connect(&main.url()).await;
    create_tenant(&mut admin, "acme").await;
    run(
        &mut admin,
        "insert into tenants (id) values ('acme'); set search_path to tenant_acme; \
         create table orders (id bigint generated always as identity primary key, what text, at timestamptz default now(), \
           of regclass); \
         insert into orders (what, of) select 'w' || n, 'orders' from generate_series(1, 1000) n",
    )
    .await;
    let archiver = manager.archiver();
    archiver.export("acme", shelf.at("yesterday"), ExportOptions::default()).await?;
    run(&mut admin, "delete from orders where id in (5, 6, 7); update orders set what = 'new' where id = 8; insert into orders (what) values ('today')").await;
    let to_eu = ImportOptions::default().server("eu-1");
    archiver.import(shelf.at("yesterday"), "acme-yesterday", to_eu).await?;
    let options = DiffOptions::default().tables(["orders"]);
    let mut diff = archiver.diff("acme-yesterday", "acme", options.clone()).await?;
    let orders = &diff.tables[0];
    assert_eq!((orders.only_in_first, orders.only_in_second, orders.different), (3, 1, 1));
    diff.tables[0].rows.retain(|row| row.found == RowFound::OnlyInFirst);
    let merge = MergeOptions::default().listed_in(&diff);
    let report = archiver.merge("acme-yesterday", "acme", merge).await?;
    assert_eq!(counts(&report, "orders"), (3, 0, 0));
    let back =
        "select string_agg(what || of::text, ' ' order by id) from orders where id in (5, 6, 7)";
    assert_eq!(observe(&mut admin, back).await, "Some(\"w5orders w6orders w7orders\")");
    let diff = archiver.diff("acme-yesterday", "acme", options).await?;
    assert_eq!((diff.tables[0].only_in_first, diff.tables[0].only_in_second), (0, 1));
    // And the other way: a tenant on the other server can be the target.
    let merge = MergeOptions::default().everything().delete(true);
    let report = archiver.merge("acme", "acme-yesterday", merge).await?;
    assert_eq!(counts(&report, "orders"), (1, 1, 0));
    let today = "select count(*)::text from \"tenant_acme-yesterday\".orders where what = 'today'";
    assert_eq!(observe(&mut connect(&eu.url()).await, today).await, "Some(\"1\")");
    manager.close().await;
    Ok(())
}
