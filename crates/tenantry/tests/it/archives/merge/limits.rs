//! Tenants whose rows are not merged, and budgets that are too small.

use tenantry::{ErrorKind, Isolation, Rows, TableCatalog, archive::MergeOptions};

use super::twins;
use crate::support::{TestResult, World, run};

#[tokio::test]
async fn it_needs_three_connections() -> TestResult {
    let world = twins("create table t (id int primary key)").await;
    let manager = world.with_pool(|options| options.max_connections = 2);
    let error = manager.archiver().merge("old", "new", MergeOptions::default().everything()).await;
    let error = error.expect_err("there are too few");
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains("it needs 3 connections"), "{error}");
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn only_tenants_with_a_schema_are_merged() -> TestResult {
    let world = World::with_tenants(&["acme"]).await;
    let manager = world
        .builder()
        .or_isolation(Isolation::database("merged_{id}"))
        .or_isolation(Isolation::rows(Rows::new()))
        .catalog(TableCatalog::new())
        .build()?;
    TableCatalog::new().create_table(manager.shared()).await?;
    run(
        &mut world.admin().await,
        "insert into tenants (id) values ('acme'); insert into tenants (id, isolation) values ('big', 'database'), ('small', 'row')",
    )
    .await;
    let everything = MergeOptions::default().everything();
    for (other, words) in [("big", "it has its own database"), ("small", "it is isolated by row")] {
        for [from, into] in [[other, "acme"], ["acme", other]] {
            let error = manager.archiver().merge(from, into, everything.clone()).await;
            let error = error.expect_err("it has no schema");
            assert_eq!(error.kind(), ErrorKind::Placement, "{error:?}");
            assert_eq!(error.tenant().map(|id| id.as_str()), Some(other));
            assert!(error.to_string().contains(words), "{error}");
        }
    }
    manager.close().await;
    Ok(())
}
