//! What a run does, and what it reports.

use tenantry::migrate::{MigrateOptions, Outcome};

use super::files::{Files, create_schemas, migrator, recorded, tables};
use crate::support::{TestResult, World};

fn ids(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("t{number:04}")).collect()
}

#[tokio::test]
async fn every_tenant_gets_every_file_once_and_a_second_run_has_nothing_to_do() -> TestResult {
    let (world, files) = (World::new().await, Files::notes());
    let mut admin = world.admin().await;
    let ids = ids(25);
    create_schemas(&mut admin, &ids).await;
    let migrator = migrator(&world, &files);
    let report = migrator.migrate_all(MigrateOptions::default()).await?;
    assert_eq!((report.total, report.migrated, report.failed), (25, 25, 0), "{report}");
    assert_eq!(tables(&mut admin, "notes").await, 25);
    for tenant in &report.tenants {
        let id = tenant.tenant_id.as_deref().unwrap_or_default();
        assert_eq!(recorded(&mut admin, id).await, "Some(\"1 2\")", "{id}");
        assert_eq!(tenant.files.len(), 2);
    }
    let report = migrator.migrate_all(MigrateOptions::default()).await?;
    assert_eq!((report.migrated, report.up_to_date), (0, 25), "{report}");
    assert!(report.tenants.iter().all(|tenant| matches!(tenant.outcome, Outcome::UpToDate)));
    Ok(())
}
