//! Runs that remember which tenants have all files: what they do not look at, and what they must not trust.

use tenantry::{
    FixedCatalog, TenantId, TenantManager, TenantRecord,
    migrate::{MigrateOptions, MigrateReport, Migrations, Schemas},
};

use super::{
    Files,
    files::{create_schemas, ids},
    homes::{Homes, in_database, values},
};
use crate::support::{TestResult, World, run};

/// More than a run looks at although it remembers them.
const MANY: usize = 130;

/// A database with many tenants that have all files, and are remembered.
struct Fleet {
    world: World,
    files: Files,
}

fn records(epoch: u64) -> Vec<TenantRecord> {
    let record = |id: String| TenantRecord::new(TenantId::parse(&id).expect("the id is valid"));
    ids(MANY).into_iter().map(record).map(|record| record.epoch(epoch)).collect()
}

impl Fleet {
    async fn new() -> Self {
        let fleet = Self {
            world: World::new().await,
            files: Files::new(&[
                ("0001_notes.up.sql", "create table notes (id int primary key);\n"),
                ("0001_notes.down.sql", "drop table notes;\n"),
            ]),
        };
        create_schemas(&mut fleet.world.admin().await, &ids(MANY)).await;
        let report = fleet.deploy(1, MigrateOptions::default()).await;
        assert_eq!((report.migrated, report.total), (MANY, MANY), "{report}");
        fleet
    }

    fn manager(&self, epoch: u64) -> TenantManager {
        let catalog = FixedCatalog::new(records(epoch));
        self.world.builder().catalog(catalog).build().expect("the configuration is sound")
    }

    /// Deploys in a process of its own.
    async fn deploy(&self, epoch: u64, options: MigrateOptions) -> MigrateReport {
        let manager = self.manager(epoch);
        let migrator = manager.migrator().tenants(self.files.read());
        let report = migrator.migrate_all(options).await.expect("the run begins");
        manager.close().await;
        report
    }

    async fn run(&self, sql: &str) {
        run(&mut self.world.admin().await, sql).await;
    }

    /// Makes a tenant one of the last that would be looked at.
    async fn looked_at_just_now(&self, tenant: &str) {
        let sql = format!(
            "update tenantry_migrated set looked_at = now() + interval '1 day' where tenant = '{tenant}'"
        );
        self.run(&sql).await;
    }

    /// Takes back what was done in a tenant's schema, as if an operator had done so by hand.
    async fn undo(&self, tenant: &str) {
        self.looked_at_just_now(tenant).await;
        let schema = format!("tenant_{tenant}");
        self.run(&format!("drop table {schema}.notes; delete from {schema}._sqlx_migrations"))
            .await;
    }

    async fn remembered(&self) -> Vec<String> {
        let sql = "select count(*) from tenantry_migrated where files is not null and changing = 0";
        values(self.world.database.url(), sql).await
    }
}

fn migrated(report: &MigrateReport) -> Vec<&str> {
    let tenants = report.tenants.iter().filter(|tenant| tenant.outcome.as_str() == "migrated");
    tenants.filter_map(|tenant| tenant.tenant_id.as_deref()).collect()
}

#[tokio::test]
async fn a_deploy_without_pending_files_looks_at_a_sample() -> TestResult {
    let fleet = Fleet::new().await;
    assert_eq!(fleet.remembered().await, ["130"]);
    // What is not looked at is not noticed: this is how the test sees that it was not.
    fleet.undo("t0007").await;
    let report = fleet.deploy(1, MigrateOptions::default()).await;
    assert_eq!((report.up_to_date, report.total), (MANY, MANY), "{report}");
    let report = fleet.deploy(1, MigrateOptions::default().verify(true)).await;
    assert_eq!(migrated(&report), ["t0007"], "{report}");
    Ok(())
}

#[tokio::test]
async fn a_pending_file_is_never_skipped() -> TestResult {
    let fleet = Fleet::new().await;
    fleet.files.write("0002_more.up.sql", "create table more (id int);\n");
    fleet.files.write("0002_more.down.sql", "drop table more;\n");
    let report = fleet.deploy(1, MigrateOptions::default()).await;
    assert_eq!(report.migrated, MANY, "{report}");
    // An earlier release, with other files.
    fleet.files.remove("0002_more.up.sql");
    fleet.files.remove("0002_more.down.sql");
    let report = fleet.deploy(1, MigrateOptions::default()).await;
    assert_eq!(report.failed, MANY, "it looks at all, and misses the file: {report}");
    Ok(())
}

#[tokio::test]
async fn schemas_and_records_that_were_replaced_are_looked_at() -> TestResult {
    let fleet = Fleet::new().await;
    for (tenant, sql) in [
        ("t0001", "drop schema tenant_t0001 cascade; create schema tenant_t0001"),
        ("t0002", "truncate tenant_t0002._sqlx_migrations; drop table tenant_t0002.notes"),
        (
            "t0003",
            "create table tenant_t0003.old (like tenant_t0003._sqlx_migrations including all); \
             drop table tenant_t0003._sqlx_migrations, tenant_t0003.notes; \
             alter table tenant_t0003.old rename to _sqlx_migrations",
        ),
        // The schema of another tenant, under this one's name.
        (
            "t0004",
            "drop schema tenant_t0004 cascade; alter schema tenant_t0001 rename to aside; \
             create schema tenant_t0004; alter schema aside rename to tenant_t0001",
        ),
    ] {
        fleet.looked_at_just_now(tenant).await;
        fleet.run(sql).await;
    }
    let report = fleet.deploy(1, MigrateOptions::default()).await;
    assert_eq!(migrated(&report), ["t0001", "t0002", "t0003", "t0004"], "{report}");
    let report = fleet.deploy(1, MigrateOptions::default()).await;
    assert_eq!(report.up_to_date, MANY, "{report}");
    Ok(())
}

#[tokio::test]
async fn a_tenant_that_has_moved_is_looked_at() -> TestResult {
    let fleet = Fleet::new().await;
    fleet.undo("t0001").await;
    let report = fleet.deploy(2, MigrateOptions::default()).await;
    assert_eq!(migrated(&report), ["t0001"], "{report}");
    Ok(())
}

#[tokio::test]
async fn what_was_reverted_is_not_remembered() -> TestResult {
    let fleet = Fleet::new().await;
    let manager = fleet.manager(1);
    let migrator = manager.migrator().tenants(fleet.files.read());
    let (schemas, options) = (Schemas::tenants(["t0009"]), MigrateOptions::default());
    let report = migrator.revert(schemas, 0, options).await?;
    assert_eq!(report.reverted, 1, "{report}");
    manager.close().await;
    fleet.looked_at_just_now("t0009").await;
    assert_eq!(fleet.remembered().await, ["129"]);
    let report = fleet.deploy(1, MigrateOptions::default()).await;
    assert_eq!(migrated(&report), ["t0009"], "{report}");
    Ok(())
}

#[tokio::test]
async fn a_change_that_was_announced_and_not_ended_is_looked_at() -> TestResult {
    let fleet = Fleet::new().await;
    fleet.undo("t0003").await;
    fleet
        .run("update tenantry_migrated set changing = 1, changed_at = now() where tenant = 't0003'")
        .await;
    let report = fleet.deploy(1, MigrateOptions::default()).await;
    assert_eq!(migrated(&report), ["t0003"], "{report}");
    Ok(())
}

#[tokio::test]
async fn a_sample_that_is_wrong_makes_a_run_look_at_all() -> TestResult {
    let fleet = Fleet::new().await;
    fleet.undo("t0003").await;
    fleet.undo("t0004").await;
    let report = fleet.deploy(1, MigrateOptions::default()).await;
    assert_eq!(migrated(&report), [""; 0], "{report}");
    fleet.run("update tenantry_migrated set looked_at = '2000-01-01' where tenant = 't0003'").await;
    let report = fleet.deploy(1, MigrateOptions::default()).await;
    assert_eq!(migrated(&report), ["t0003", "t0004"], "{report}");
    Ok(())
}

#[tokio::test]
async fn a_table_that_is_lost_is_made_anew() -> TestResult {
    let fleet = Fleet::new().await;
    fleet.undo("t0003").await;
    fleet.run("alter table tenantry_migrated rename to kept").await;
    let report = fleet.deploy(1, MigrateOptions::default()).await;
    assert_eq!(migrated(&report), ["t0003"], "{report}");

    Ok(())
}

#[tokio::test]
async fn databases_that_are_remembered_are_not_connected_to() -> TestResult {
    let homes = Homes::new().await;
    let files = Files::notes();
    let ids: Vec<_> = (0..10).map(|n| format!("m{n}")).collect();
    for id in &ids {
        homes.main.create_database(&format!("db_{id}")).await?;
    }
    let deploy = async |files: Migrations| {
        let manager = homes.manager(ids.iter().map(|id| in_database(id)).collect());
        let migrator = manager.migrator().tenants(files);
        let report = migrator.migrate_all(MigrateOptions::default()).await.expect("it begins");
        manager.close().await;
        report
    };
    let report = deploy(files.read()).await;
    assert_eq!((report.migrated, report.total), (10, 10), "{report}");
    let mut admin = crate::support::connect(&homes.main.url()).await;
    for id in &ids {
        run(&mut admin, &format!("alter database db_{id} allow_connections false")).await;
    }
    let report = deploy(files.read()).await;
    assert_eq!((report.up_to_date, report.failed), (6, 4), "a sample of four: {report}");
    for id in &ids {
        run(&mut admin, &format!("alter database db_{id} allow_connections true")).await;
    }
    // One that was made anew has another identity.
    run(
        &mut admin,
        "update tenantry_migrated set looked_at = now() + interval '1 day' where tenant = 'm9'",
    )
    .await;
    run(&mut admin, "drop database db_m9 with (force)").await;
    run(&mut admin, "create database db_m9").await;
    let report = deploy(files.read()).await;
    assert_eq!(migrated(&report), ["m9"], "{report}");
    Ok(())
}
