//! A worker that hangs, with all connections open, concerns its own tenants, and what waits for it ends.

use std::time::{Duration, Instant};

use tenantry::{
    Error, ErrorClass, ErrorKind, HealthOptions, PoolOptions, TableCatalog, TenantManager,
    doctor::CheckStatus,
    migrate::{End, FailureReason, MigrateOptions, SchemaState, Schemas},
    provision::CreateOptions,
};
use tokio::time::timeout;

use super::Cluster;
use crate::{migrate::Files, support::TestResult};

const IDS: [&str; 12] = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"];

/// How long anything may take here that waits for the worker: more than one attempt to connect to it, and fewer than
/// it has tenants.
const LIMIT: Duration = Duration::from_secs(20);

async fn count(manager: &TenantManager, id: &str) -> Result<i64, Error> {
    let db = manager.tenant(id).await?;
    Ok(sqlx::query_scalar("select count(*) from notes").fetch_one(&db).await?)
}

/// The tenants on a worker.
async fn on(cluster: &Cluster, worker: &(String, i32)) -> Vec<&'static str> {
    let mut there = Vec::new();
    for id in IDS {
        if cluster.workers_of(&format!("tenant_{id}")).await[0] == *worker {
            there.push(id);
        }
    }
    there
}

#[tokio::test]
async fn what_connects_to_it_ends_and_says_so() -> TestResult {
    let Some(cluster) = Cluster::new("frozen::what_connects_to_it").await else { return Ok(()) };
    let files = Files::notes();
    let (manager, provisioner) = cluster.with_table(&files).await;
    for id in IDS {
        provisioner.create(id, CreateOptions::default()).await?;
    }
    manager.close().await;
    cluster.limit_connects("2s").await;
    let worker = cluster.workers_of("tenant_a").await[0].clone();
    let concerned = on(&cluster, &worker).await;
    assert!(concerned.len() > 3 && concerned.len() < IDS.len(), "{concerned:?}");
    // New sessions, which are connected to no worker.
    let (manager, provisioner) = cluster.with_table(&files).await;
    files.write("0900_more.sql", "alter table notes add column more int;");
    let migrator = manager.migrator().tenants(files.read());
    let Some(frozen) = cluster.freeze(&worker).await else { return Ok(()) };

    for id in IDS {
        match (concerned.contains(&id), timeout(LIMIT, count(&manager, id)).await?) {
            (false, Ok(0)) => {}
            (true, Err(error)) => {
                assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
                assert_eq!(error.class(), ErrorClass::ClusterNode, "{error:?}");
            }
            (concerned, found) => panic!("{id} {concerned}: {found:?}"),
        }
    }
    let health = timeout(LIMIT, manager.health(HealthOptions::default())).await?;
    assert!(health.healthy, "{health:?}");
    assert_eq!(health.degraded_pools, concerned.len(), "{health:?}");

    let (began, options) = (Instant::now(), MigrateOptions::default());
    let status = timeout(LIMIT, migrator.plan(Schemas::AllTenants, &options)).await??;
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    for schema in &status.tenants {
        let id = schema.tenant_id.as_deref().unwrap_or_default();
        if concerned.contains(&id) {
            assert_eq!(schema.state, SchemaState::Unreachable, "{schema:?}");
            let error = schema.error.as_ref().expect("a reason");
            assert_eq!(error.reason, FailureReason::ClusterUnavailable, "{schema:?}");
        } else {
            assert_eq!((schema.applied, schema.pending.len()), (2, 1), "{schema:?}");
        }
    }
    let report = timeout(LIMIT, migrator.migrate_all(MigrateOptions::default())).await??;
    assert_eq!(report.end, End::ClusterUnavailable, "{report}");
    assert_eq!((report.total, report.migrated), (IDS.len(), 0), "{report}");

    let report = timeout(LIMIT, manager.doctor().only(["citus"]).run()).await??;
    let check = &report.checks[0];
    assert_eq!(check.status, CheckStatus::Error, "{check:?}");
    let says = format!("node {}:{} does not answer its coordinator", worker.0, worker.1);
    assert!(check.findings.iter().any(|found| found.what == says), "{check:?}");

    let created = timeout(LIMIT, provisioner.create("new", CreateOptions::default())).await?;
    let error = created.expect_err("all nodes take part");
    assert_eq!(error.class(), ErrorClass::ClusterNode, "{error:?}");

    drop(frozen);
    let report = migrator.migrate_all(MigrateOptions::default()).await?;
    assert_eq!((report.end, report.migrated), (End::Completed, IDS.len()), "{report}");
    provisioner.create("new", CreateOptions::default()).await?;
    manager.close().await;
    Ok(())
}

/// The doctor does not depend on how long the cluster would wait for a node.
#[tokio::test]
async fn the_doctor_names_it() -> TestResult {
    let Some(cluster) = Cluster::new("frozen::the_doctor_names_it").await else { return Ok(()) };
    let (manager, _) = cluster.with_table(&Files::notes()).await;
    let worker = cluster.workers[0].clone();
    let Some(_frozen) = cluster.freeze(&worker).await else { return Ok(()) };
    let report = timeout(LIMIT * 2, manager.doctor().only(["citus"]).run()).await??;
    let check = &report.checks[0];
    let says = format!("node {}:{} does not answer its coordinator", worker.0, worker.1);
    assert!(check.findings.iter().any(|found| found.what == says), "{check:?}");
    manager.close().await;
    Ok(())
}

/// A session of the coordinator that is connected to the worker waits for it, and not even the server ends that.
#[tokio::test]
async fn what_is_connected_to_it_ends_and_says_so() -> TestResult {
    let Some(cluster) = Cluster::new("frozen::what_is_connected_to_it").await else {
        return Ok(());
    };
    let files = Files::notes();
    let catalog = TableCatalog::new();
    let builder = TenantManager::builder(cluster.url()).pool_options(
        PoolOptions::default()
            .max_connections(8)
            .statement_timeout(Some(Duration::from_secs(1)))
            .cleanup_timeout(Duration::from_secs(1)),
    );
    let manager = builder.catalog(catalog.clone()).build()?;
    catalog.create_table(manager.shared()).await?;
    let provisioner = manager.provisioner().tenants(files.read());
    for id in IDS {
        provisioner.create(id, CreateOptions::default()).await?;
    }
    cluster.limit_connects("2s").await;
    let worker = cluster.workers_of("tenant_a").await[0].clone();
    let concerned = on(&cluster, &worker).await;
    let migrator = manager.migrator().tenants(files.read());
    let options = MigrateOptions::default();
    // All sessions are connected to both workers now.
    for id in IDS {
        assert_eq!(count(&manager, id).await?, 0);
    }
    migrator.plan(Schemas::AllTenants, &options).await?;
    let Some(frozen) = cluster.freeze(&worker).await else { return Ok(()) };

    for round in 0..2 {
        for id in IDS {
            match (concerned.contains(&id), timeout(LIMIT, count(&manager, id)).await?) {
                (false, Ok(0)) => {}
                (true, Err(error)) => assert!(
                    matches!(error.kind(), ErrorKind::StatementTimeout | ErrorKind::Unavailable),
                    "{error:?}"
                ),
                (concerned, found) => panic!("{round} {id} {concerned}: {found:?}"),
            }
        }
        let health = timeout(LIMIT, manager.health(HealthOptions::default())).await?;
        assert!(health.healthy, "{health:?}");
    }
    assert!(manager.size() <= 8);
    let status =
        timeout(Duration::from_secs(60), migrator.plan(Schemas::AllTenants, &options)).await??;
    for schema in &status.tenants {
        let id = schema.tenant_id.as_deref().unwrap_or_default();
        assert_eq!(schema.state == SchemaState::Unreachable, concerned.contains(&id), "{schema:?}");
    }
    drop(frozen);
    for id in IDS {
        assert_eq!(count(&manager, id).await?, 0);
    }
    manager.close().await;
    Ok(())
}
