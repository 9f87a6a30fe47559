use tenantry::{
    TableCatalog,
    doctor::{CheckStatus, Severity},
    migrate::Migrations,
    provision::CreateOptions,
};

use super::{CHECKS, lines};
use crate::{
    doctor::with_status,
    support::{TestResult, World},
};

/// The folders of migrations in the examples.
const EXAMPLES: &[&str] = &["axum-crud", "actix-crud", "worker", "sessions", "sign-up"];

#[tokio::test]
async fn the_examples_give_no_alarm() -> TestResult {
    for example in EXAMPLES {
        let folder = format!("../../examples/{example}/migrations");
        let Some(folder) = [format!("{folder}/tenants"), folder].into_iter().find(|folder| {
            std::fs::read_dir(folder).is_ok_and(|mut files| {
                files.any(|file| file.is_ok_and(|file| file.path().is_file()))
            })
        }) else {
            continue;
        };
        let world = World::new().await;
        let manager = world.builder().catalog(TableCatalog::new()).build()?;
        TableCatalog::new().create_table(manager.shared()).await?;
        let provisioner = manager.provisioner().tenants(Migrations::from_dir(&folder)?);
        for tenant in ["acme", "globex", "initech"] {
            provisioner.create(tenant, CreateOptions::default()).await?;
        }
        provisioner.suspend("globex").await?;
        provisioner.fill_spares(1).await?;
        let report = manager.doctor().only(CHECKS.iter().copied()).run().await?;
        assert_eq!(
            with_status(&report, CheckStatus::Ok).len(),
            CHECKS.len(),
            "{example}: {report}"
        );
        assert!(
            report.findings().all(|(_, finding)| finding.severity == Severity::Info),
            "{example}: {:#?}",
            lines(&report)
        );
        manager.close().await;
    }
    Ok(())
}
