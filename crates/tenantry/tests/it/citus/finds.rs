//! That a server has Citus is found out, and reported.

use tenantry::{
    ErrorKind, HealthOptions, Isolation, Rows, TableCatalog, TenantManager, citus::CitusNodeKind,
    doctor::CheckStatus, provision::CreateOptions,
};

use super::Cluster;
use crate::{
    migrate::Files,
    support::{TestResult, World, run},
};

#[tokio::test]
async fn health_names_the_version_and_the_kind_of_node() -> TestResult {
    let Some(cluster) = Cluster::new("health_names_the_version").await else { return Ok(()) };
    for (url, node) in [
        (cluster.url(), CitusNodeKind::Coordinator),
        (cluster.url_of(&cluster.workers[0], Some(&cluster.name)), CitusNodeKind::Worker),
    ] {
        let manager = TenantManager::builder(url).build()?;
        let health = manager.health(HealthOptions::default()).await;
        assert_eq!(health.citus.len(), 1, "{health:?}");
        assert_eq!((&*health.citus[0].server, health.citus[0].node), ("main", node));
        assert!(health.citus[0].version.contains('.'), "{health:?}");
        assert!(manager.health(HealthOptions::default()).await.without_tenants().citus.is_empty());
        manager.close().await;
    }
    Ok(())
}

#[tokio::test]
async fn health_says_nothing_of_it_on_a_plain_server() {
    let world = World::new().await;
    let manager = world.manager();
    let health = manager.health(HealthOptions::default()).await;
    assert!(health.healthy && health.citus.is_empty(), "{health:?}");
    manager.close().await;
}

#[tokio::test]
async fn the_doctor_looks_at_every_node() -> TestResult {
    let Some(cluster) = Cluster::new("the_doctor_looks_at_every_node").await else {
        return Ok(());
    };
    let (manager, provisioner) = cluster.with_table(&Files::notes()).await;
    provisioner.create("acme", CreateOptions::default()).await?;
    let plain = "create schema tenant_plain; create table tenant_plain.notes (id int); \
                 insert into tenants (id) values ('plain')";
    run(&mut cluster.admin().await, plain).await;
    let examine = async || -> Result<_, Box<dyn std::error::Error>> {
        let report = manager.doctor().only(["citus"]).run().await?;
        Ok(report.checks[0].clone())
    };
    let check = examine().await?;
    assert_eq!(check.status, CheckStatus::Ok, "{check:?}");
    let worker = &cluster.workers_of("tenant_acme").await[0];
    let says = format!("{}:{} has 1 schema", worker.0, worker.1);
    assert!(check.message.starts_with("Citus ") && check.message.contains(&says), "{check:?}");
    assert!(format!("{check:?}").contains("not distributed"), "{check:?}");

    cluster.stop(worker).await;
    let check = examine().await?;
    assert_eq!(check.status, CheckStatus::Error, "{check:?}");
    let says = format!("node {}:{} does not answer its coordinator", worker.0, worker.1);
    assert!(check.findings.iter().any(|found| found.what == says), "{check:?}");
    cluster.start(worker).await;

    let on_worker = cluster.url_of(worker, Some(&cluster.name));
    let other = TenantManager::builder(on_worker).build()?;
    let report = other.doctor().only(["citus"]).run().await?;
    assert_eq!(report.checks[0].status, CheckStatus::Error, "{report:?}");
    other.close().await;
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn a_tenant_by_row_is_refused() -> TestResult {
    let Some(cluster) = Cluster::new("a_tenant_by_row_is_refused").await else { return Ok(()) };
    run(&mut cluster.admin().await, "create schema app").await;
    let catalog = TableCatalog::new();
    let rows = Rows::new().schema("app")?.role("pg_read_all_data")?;
    let builder = TenantManager::builder(cluster.url()).catalog(catalog.clone());
    let manager = builder.isolation(Isolation::rows(rows)).build()?;
    catalog.create_table(manager.shared()).await?;
    let refused = manager.provisioner().create("acme", CreateOptions::default()).await;
    let error = refused.expect_err("the server has Citus");
    assert_eq!(error.kind(), ErrorKind::Config, "{error:?}");
    assert!(error.to_string().contains("isolation by row is not supported"), "{error:?}");
    manager.close().await;
    Ok(())
}
