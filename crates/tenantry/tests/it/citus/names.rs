//! Any name of a schema will do, and a tenant without tables is one, too.

use tenantry::{
    Ident, TableCatalog, TenantManager,
    archive::{ExportOptions, ImportOptions},
    citus::CitusNode,
    clone::CloneOptions,
    drift::Reference,
    migrate::MigrateOptions,
    moves::NodeMoveOptions,
    provision::{CreateOptions, DropOptions},
};

use super::{Cluster, distributed};
use crate::{migrate::Files, support::TestResult};

const ODD: &str = "we\"ird 'n' \\odd_102009";

async fn other(cluster: &Cluster, schema: &str) -> Result<CitusNode, Box<dyn std::error::Error>> {
    let at = cluster.workers_of(schema).await[0].clone();
    let to = cluster.workers.iter().find(|worker| **worker != at).expect("there is another one");
    Ok(CitusNode::new(&to.0, u16::try_from(to.1)?))
}

#[tokio::test]
async fn a_name_may_need_quotes() -> TestResult {
    let Some(cluster) = Cluster::new("a_name_may_need_quotes").await else { return Ok(()) };
    let files = Files::new(&[(
        "0001_odd.sql",
        "create table \"no\"\"tes_102009\" (id int primary key, \"te xt\" text);",
    )]);
    let (manager, provisioner) = cluster.with_table(&files).await;
    let odd = CreateOptions::default().container(Ident::parse(ODD)?);
    provisioner.create("odd", odd).await?;
    provisioner.create("plain", CreateOptions::default()).await?;
    let insert = "insert into \"no\"\"tes_102009\" values (1, 'x')";
    sqlx::query(insert).execute(&manager.tenant("odd").await?).await?;
    let quoted = "\"we\"\"ird 'n' \\odd_102009\"";
    let to = other(&cluster, quoted).await?;
    manager.mover().move_to_node("odd", &to, NodeMoveOptions::default()).await?;
    provisioner.clone_tenant("odd", "copy", CloneOptions::default().data(true)).await?;
    files.write("0900_more.sql", "alter table \"no\"\"tes_102009\" add column more int;");
    let migrator = manager.migrator().tenants(files.read());
    let report = migrator.migrate_all(MigrateOptions::default()).await?;
    assert_eq!((report.migrated, report.failed), (3, 0), "{report}");
    let drift = manager.drift().against(Reference::Migrations(files.read())).run().await?;
    assert!(drift.is_clean(), "{drift}");
    provisioner.rename("copy", "renamed").await?;
    for id in ["odd", "renamed"] {
        let sql = "select count(*) from \"no\"\"tes_102009\"";
        let count: i64 = sqlx::query_scalar(sql).fetch_one(&manager.tenant(id).await?).await?;
        assert_eq!(count, 1, "{id}");
    }
    provisioner.drop_tenant("odd", "odd", DropOptions::default().cascade(true)).await?;
    assert_eq!(distributed(&mut cluster.admin().await).await, ["tenant_plain", "tenant_renamed"]);
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn a_tenant_may_have_no_tables() -> TestResult {
    let Some(cluster) = Cluster::new("a_tenant_may_have_no_tables").await else { return Ok(()) };
    let catalog = TableCatalog::new();
    let manager = TenantManager::builder(cluster.url()).catalog(catalog.clone()).build()?;
    catalog.create_table(manager.shared()).await?;
    let provisioner = manager.provisioner();
    provisioner.create("bare", CreateOptions::default()).await?;
    let (host, port) = &cluster.workers[0];
    let to = CitusNode::new(host, u16::try_from(*port)?);
    let moved = manager.mover().move_to_node("bare", &to, NodeMoveOptions::default()).await;
    assert!(moved.unwrap_err().to_string().contains("has no tables"));
    provisioner.clone_tenant("bare", "copy", CloneOptions::default().data(true)).await?;
    provisioner.rename("copy", "renamed").await?;
    let folder = std::env::temp_dir().join(format!("tenantry-bare-{}", std::process::id()));
    let archiver = manager.archiver();
    archiver.export("bare", &folder, ExportOptions::default()).await?;
    archiver.import(&folder, "back", ImportOptions::default()).await?;
    std::fs::remove_dir_all(&folder)?;
    let all = ["tenant_back", "tenant_bare", "tenant_renamed"];
    assert_eq!(distributed(&mut cluster.admin().await).await, all);
    let files = Files::notes();
    let migrator = manager.migrator().tenants(files.read());
    let report = migrator.migrate_all(MigrateOptions::default()).await?;
    assert_eq!((report.migrated, report.failed), (3, 0), "{report}");
    for schema in all {
        assert_eq!(cluster.workers_of(schema).await.len(), 1, "{schema}");
    }
    provisioner.drop_tenant("bare", "bare", DropOptions::default().cascade(true)).await?;
    manager.close().await;
    Ok(())
}
