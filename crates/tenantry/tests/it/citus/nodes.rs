//! A worker that is down concerns its own tenants, and changes of schemas.

use tenantry::{
    BreakerState, Error, ErrorClass, ErrorKind, HealthOptions, HealthStatus,
    migrate::{End, FailureReason, MigrateOptions},
    provision::CreateOptions,
};

use super::Cluster;
use crate::{migrate::Files, support::TestResult};

const IDS: [&str; 4] = ["a", "b", "c", "d"];

#[tokio::test]
async fn tenants_of_other_workers_go_on() -> TestResult {
    let Some(cluster) = Cluster::new("tenants_of_other_workers_go_on").await else {
        return Ok(());
    };
    let (manager, provisioner) = cluster.with_table(&Files::notes()).await;
    for id in IDS {
        provisioner.create(id, CreateOptions::default()).await?;
    }
    let stopped = cluster.workers_of("tenant_a").await[0].clone();
    let mut concerned = Vec::new();
    for id in IDS {
        if cluster.workers_of(&format!("tenant_{id}")).await[0] == stopped {
            concerned.push(id);
        }
    }
    assert!((1..4).contains(&concerned.len()), "both workers have tenants: {concerned:?}");
    let count = async |id: &str| -> Result<i64, Error> {
        let db = manager.tenant(id).await?;
        let count = sqlx::query_scalar("select count(*) from notes").fetch_one(&db).await;
        Ok(count?)
    };
    for id in IDS {
        assert_eq!(count(id).await?, 0);
    }

    cluster.stop(&stopped).await;
    for id in IDS {
        // More often than a breaker or a limit of retries would allow.
        for _ in 0..10 {
            match (concerned.contains(&id), count(id).await) {
                (false, Ok(0)) => {}
                (true, Err(error)) => {
                    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
                    assert_eq!(error.class(), ErrorClass::ClusterNode, "{error:?}");
                    assert!(error.is_transient() && error.retry_after().is_some(), "{error:?}");
                }
                (concerned, found) => panic!("{id} {concerned}: {found:?}"),
            }
        }
    }
    let health = manager.health(HealthOptions::default()).await;
    assert!(health.healthy && health.status != HealthStatus::Unhealthy, "{health:?}");
    assert_eq!((health.breaker, health.unhealthy_pools), (BreakerState::Closed, 0), "{health:?}");
    assert_eq!(health.pools.len(), IDS.len(), "{health:?}");
    for pool in &health.pools {
        let says = Some("a node of the Citus cluster does not answer");
        let is_told = pool.reason == says && pool.status == HealthStatus::Degraded;
        assert_eq!(is_told, concerned.contains(&pool.tenant_id.as_str()), "{health:?}");
    }

    cluster.start(&stopped).await;
    for id in IDS {
        assert_eq!(count(id).await?, 0);
    }
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn a_migration_stops_with_a_report_and_goes_on_later() -> TestResult {
    let Some(cluster) = Cluster::new("a_migration_stops_with_a_report").await else {
        return Ok(());
    };
    let (manager, provisioner) = cluster.with_table(&Files::notes()).await;
    for id in IDS {
        provisioner.create(id, CreateOptions::default()).await?;
    }
    let files = Files::notes();
    files.write("0900_more.sql", "alter table notes add column more int;");
    let stopped = cluster.workers_of("tenant_a").await[0].clone();
    cluster.stop(&stopped).await;
    let migrator = manager.migrator().tenants(files.read());
    let options = || MigrateOptions::default().concurrency(1);
    let report = migrator.migrate_all(options()).await?;
    assert_eq!(report.end, End::ClusterUnavailable, "{report}");
    assert_eq!((report.total, report.migrated), (4, 0), "{report}");
    assert_eq!(report.failed + report.not_started, 4, "{report}");
    let failed = report.tenants.iter().find_map(|tenant| tenant.error());
    let failed = failed.expect("one has failed");
    assert_eq!(failed.reason, FailureReason::ClusterUnavailable, "{report}");
    assert!(report.to_string().contains("cluster"), "{report}");
    let refused = provisioner.create("e", CreateOptions::default()).await;
    let error = refused.expect_err("all nodes take part");
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");

    cluster.start(&stopped).await;
    let report = migrator.migrate_all(options()).await?;
    assert_eq!((report.end, report.migrated), (End::Completed, 4), "{report}");
    provisioner.create("e", CreateOptions::default()).await?;
    manager.close().await;
    Ok(())
}
