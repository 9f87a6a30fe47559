//! Work over tenants in several databases and on several servers, besides migrations: drift, seeds, surveys.

use tenantry::{
    FixedCatalog, Ident, IsolationKind, TenantRecord,
    drift::{DriftReport, DriftStatus},
    migrate::MigrateOptions,
    seed::{Seed, SeedOptions},
};

use crate::{
    migrate::{Files, Homes, record, records, values},
    support::{TestResult, connect, run},
};

fn statuses(report: &DriftReport) -> Vec<(&str, DriftStatus)> {
    report.details.iter().map(|tenant| (&*tenant.tenant_id, tenant.status)).collect()
}

#[tokio::test]
async fn drift_compares_the_tenants_of_all_databases() -> TestResult {
    let (homes, files) = (Homes::new().await, Files::notes());
    // The schema `public` has another owner and other privileges than one that was created.
    let app = Ident::parse("app")?;
    for id in ["d", "e", "f"] {
        run(&mut connect(&homes.url_of(id)).await, "create schema app").await;
    }
    let in_app = |record: TenantRecord| match record.isolation {
        Some(IsolationKind::Database) => record.container(app.clone()),
        _ => record,
    };
    let manager = homes.manager(records().into_iter().map(in_app).collect());
    let migrator = manager.migrator().tenants(files.read());
    let migrated = migrator.migrate_all(MigrateOptions::default()).await?;
    assert!(migrated.is_success(), "{migrated}");
    run(&mut connect(&homes.url_of("f")).await, "alter table app.notes add stray int").await;
    let report = manager.drift().run().await?;
    let (same, drifted) = (DriftStatus::Same, DriftStatus::Drifted);
    let expected =
        [("a", same), ("b", same), ("c", same), ("d", same), ("e", same), ("f", drifted)];
    assert_eq!(statuses(&report), expected, "{report}");
    let repair = manager.drift().against_tenant("a").repair("f").await?;
    assert!(format!("{repair:?}").contains("stray"), "{repair:?}");

    homes.eu.stop_now().await?;
    let report = manager.drift().run().await?;
    let away = DriftStatus::Error;
    let expected = [("a", same), ("b", away), ("c", away), ("d", same), ("e", same), ("f", away)];
    assert_eq!(statuses(&report), expected, "{report}");
    let error = report.details[1].error.as_deref().unwrap_or_default();
    assert!(error.contains("server eu-1"), "{error}");
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn seeds_run_where_each_tenant_is() -> TestResult {
    let (homes, files) = (Homes::new().await, Files::notes());
    let manager = homes.manager(records());
    let migrator = manager.migrator().tenants(files.read());
    assert!(migrator.migrate_all(MigrateOptions::default()).await?.is_success());
    let seed =
        Seed::sql("first note", "insert into notes (id, text) values (1, current_database())");
    let report = manager.seeder().seed_all(&seed, SeedOptions::default()).await?;
    assert_eq!((report.seeded, report.total), (6, 6), "{report}");
    for (id, table, database) in
        [("b", "tenant_b.notes", "postgres"), ("d", "notes", "db_d"), ("f", "notes", "db_f")]
    {
        let notes = values(&homes.url_of(id), &format!("select text from {table}")).await;
        assert_eq!(notes, [database], "{id}");
    }
    homes.eu.stop_now().await?;
    let again = Seed::sql("second note", "insert into notes (id, text) values (2, 'x')");
    let report = manager.seeder().seed_all(&again, SeedOptions::default()).await?;
    assert_eq!((report.seeded, report.failed), (3, 3), "{report}");
    manager.close().await;
    Ok(())
}

/// The main server can have a schema of the same name, which belongs to another tenant.
#[tokio::test]
async fn a_survey_asks_each_tenant_on_its_server() -> TestResult {
    let homes = Homes::new().await;
    let same = Ident::parse("same")?;
    for (url, name) in [(homes.main.url(), "main"), (homes.eu.url(), "eu-1")] {
        let sql = format!(
            "create schema same; create table same.place (name text); insert into same.place values ('{name}')"
        );
        run(&mut connect(&url).await, &sql).await;
    }
    let of = |id: &str| -> TenantRecord { record(id).container(same.clone()) };
    let catalog = FixedCatalog::new([of("a"), of("b").server("eu-1")]);
    let manager = homes.builder().catalog(catalog).build()?;
    let report = manager.survey::<String>("select name from place").await?;
    let found: Vec<_> = report.values().map(|(id, name)| (id, name.as_str())).collect();
    assert_eq!(found, [("a", "main"), ("b", "eu-1")], "{report:?}");
    manager.close().await;
    Ok(())
}
