//! Migrations of tenants in several databases and on several servers: one report, and what happens to a database
//! concerns its tenants only.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use tenantry::{
    Event, FixedCatalog, Ident, Isolation, IsolationKind, ManagerBuilder, PoolOptions, Rows,
    ServerOptions, TenantId, TenantManager, TenantRecord,
    each::EachOptions,
    fan_out::FanOutOptions,
    migrate::{
        End, Failure, FailureReason, MigrateOptions, MigrateReport, Outcome, SchemaState, Schemas,
    },
    seed::{Seed, SeedOptions},
};
use tenantry_devdb::DevServer;

use super::Files;
use crate::{
    faults::Frozen,
    support::{TestResult, connect, pool_options, private_server, run},
};

pub(crate) fn record(id: &str) -> TenantRecord {
    TenantRecord::new(TenantId::parse(id).expect("the id is valid"))
}

pub(super) fn in_database(id: &str) -> TenantRecord {
    record(id).isolation(IsolationKind::Database)
}

/// Two servers. Tenants in schemas: `a` on the main one, `b` and `c` on the other. Tenants in databases: `d` and `e`
/// on the main one, `f` on the other.
pub(crate) struct Homes {
    pub(crate) main: DevServer,
    pub(crate) eu: DevServer,
}

const RECORDS: [(&str, bool, bool); 6] = [
    ("a", false, false),
    ("b", true, false),
    ("c", true, false),
    ("d", false, true),
    ("e", false, true),
    ("f", true, true),
];

pub(crate) fn records() -> Vec<TenantRecord> {
    let record = |(id, is_eu, has_database): (&str, bool, bool)| {
        let record = if has_database { in_database(id) } else { record(id) };
        if is_eu { record.server("eu-1") } else { record }
    };
    RECORDS.into_iter().map(record).collect()
}

impl Homes {
    pub(crate) async fn new() -> Self {
        let homes = Self { main: private_server(&[]).await, eu: private_server(&[]).await };
        for (id, is_eu, has_database) in RECORDS {
            let server = if is_eu { &homes.eu } else { &homes.main };
            match has_database {
                true => drop(server.create_database(&format!("db_{id}")).await.expect("it runs")),
                false => {
                    let sql = format!("create schema tenant_{id}");
                    run(&mut connect(&server.url()).await, &sql).await;
                }
            }
        }
        homes
    }

    pub(crate) fn builder(&self) -> ManagerBuilder {
        let quick = |options: &mut PoolOptions| {
            options.connect_timeout = Duration::from_millis(500);
            options.acquire_timeout = Duration::from_secs(2);
        };
        let eu = ServerOptions::new(self.eu.url()).pool_options(pool_options(quick));
        TenantManager::builder(self.main.url())
            .isolation(Isolation::schema("tenant_{id}"))
            .or_isolation(Isolation::database("db_{id}"))
            .pool_options(pool_options(quick))
            .server("eu-1", eu)
    }

    pub(crate) fn manager(&self, records: Vec<TenantRecord>) -> TenantManager {
        let builder = self.builder().catalog(FixedCatalog::new(records));
        builder.build().expect("the configuration is sound")
    }

    pub(crate) fn url_of(&self, id: &str) -> String {
        let of = |record: &&(&str, bool, bool)| record.0 == id;
        let (_, is_eu, has_database) = *RECORDS.iter().find(of).expect("it is one of them");
        let server = if is_eu { &self.eu } else { &self.main };
        if has_database { server.database_url(&format!("db_{id}")) } else { server.url() }
    }

    /// The versions that are recorded for a tenant.
    async fn versions(&self, id: &str) -> Vec<String> {
        let schema = if ["d", "e", "f"].contains(&id) { "public" } else { &format!("tenant_{id}") };
        let sql = format!("select version from {schema}._sqlx_migrations order by version");
        values(&self.url_of(id), &sql).await
    }
}

/// The first column of what a query returns, as text.
#[expect(clippy::disallowed_methods, reason = "the text is the test's own")]
pub(crate) async fn values(url: &str, query: &str) -> Vec<String> {
    let query = format!("select r::text from ({query}) as q(r)");
    let mut conn = connect(url).await;
    let rows = sqlx::query_scalar(sqlx::AssertSqlSafe(query)).fetch_all(&mut conn).await;
    rows.expect("the query is sound")
}

fn outcomes(report: &MigrateReport) -> Vec<(&str, &str)> {
    let outcome = |tenant: &'_ tenantry::migrate::TenantMigration| tenant.outcome.as_str();
    let of = report.tenants.iter();
    of.map(|tenant| (tenant.tenant_id.as_deref().unwrap_or_default(), outcome(tenant))).collect()
}

fn failure<'a>(report: &'a MigrateReport, id: &str) -> &'a Failure {
    let of = report.tenants.iter().find(|tenant| tenant.tenant_id.as_deref() == Some(id));
    match &of.expect("it is in the report").outcome {
        Outcome::Failed { error } => error,
        other => panic!("{id} did not fail: {other:?}"),
    }
}

const ALL: [&str; 6] = ["a", "b", "c", "d", "e", "f"];

#[tokio::test]
async fn a_run_migrates_the_tenants_of_all_databases() -> TestResult {
    let (homes, files) = (Homes::new().await, Files::notes());
    let manager = homes.manager(records());
    let migrator = manager.migrator().tenants(files.read());
    let plan = migrator.plan(Schemas::AllTenants, &MigrateOptions::default()).await?;
    assert_eq!(plan.tenants.len(), ALL.len());
    assert!(plan.tenants.iter().all(|tenant| tenant.state == SchemaState::Pending), "{plan}");

    let report = migrator.migrate_all(MigrateOptions::default()).await?;
    assert_eq!(outcomes(&report), ALL.map(|id| (id, "migrated")), "{report}");
    for id in ALL {
        assert_eq!(homes.versions(id).await, ["1", "2"], "{id}");
    }
    // No table of a tenant was created anywhere else.
    for url in [homes.main.url(), homes.eu.url()] {
        let elsewhere = "select count(*) from pg_class where relname = 'notes' and relnamespace = 'public'::regnamespace";
        assert_eq!(values(&url, elsewhere).await, ["0"]);
    }
    let again = migrator.migrate_all(MigrateOptions::default()).await?;
    assert_eq!(outcomes(&again), ALL.map(|id| (id, "up_to_date")), "{again}");
    let plan = migrator.plan(Schemas::AllTenants, &MigrateOptions::default()).await?;
    assert!(plan.tenants.iter().all(|tenant| tenant.state == SchemaState::UpToDate), "{plan}");

    let reverted = migrator.revert(Schemas::tenants(["c", "e"]), 1, MigrateOptions::default());
    let reverted = reverted.await;
    // These files have no way back.
    assert!(!reverted?.is_success());
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn schemas_of_the_same_name_are_not_confused() -> TestResult {
    let (homes, files) = (Homes::new().await, Files::notes());
    let same = Ident::parse("same")?;
    for url in [homes.main.url(), homes.eu.url(), homes.main.database_url("db_d")] {
        run(&mut connect(&url).await, "create schema same").await;
    }
    let manager = homes.manager(vec![
        record("a").container(same.clone()),
        record("b").container(same.clone()).server("eu-1"),
        in_database("d").container(same.clone()),
    ]);
    let migrator = manager.migrator().tenants(files.read());
    let report = migrator.migrate(["b"], MigrateOptions::default()).await?;
    assert_eq!(outcomes(&report), [("b", "migrated")], "{report}");
    let there = "select count(*) from pg_tables where schemaname = 'same' and tablename = 'notes'";
    for (url, is_there) in
        [(homes.main.url(), "0"), (homes.eu.url(), "1"), (homes.main.database_url("db_d"), "0")]
    {
        assert_eq!(values(&url, there).await, [is_there], "{url}");
    }
    let report = migrator.migrate_all(MigrateOptions::default()).await?;
    let expected = [("a", "migrated"), ("b", "up_to_date"), ("d", "migrated")];
    assert_eq!(outcomes(&report), expected, "{report}");
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn a_database_that_refuses_concerns_its_tenants_only() -> TestResult {
    let (homes, files) = (Homes::new().await, Files::notes());
    let mut admin = connect(&homes.main.url()).await;
    run(&mut admin, "drop database db_d").await;
    run(&mut admin, "alter database db_e allow_connections false").await;
    let manager = homes.manager(records());
    let migrator = manager.migrator().tenants(files.read());
    let report = migrator.migrate_all(MigrateOptions::default()).await?;
    let expected = [
        ("a", "migrated"),
        ("b", "migrated"),
        ("c", "migrated"),
        ("d", "failed"),
        ("e", "failed"),
        ("f", "migrated"),
    ];
    assert_eq!(outcomes(&report), expected, "{report}");
    assert_eq!(report.end, End::Completed);
    for id in ["d", "e"] {
        let failure = failure(&report, id);
        assert!(failure.message.contains(&format!("database db_{id} of server main")), "{failure}");
    }
    run(&mut admin, "alter database db_e allow_connections true").await;
    let report = migrator.migrate(["e"], MigrateOptions::default()).await?;
    assert_eq!(outcomes(&report), [("e", "migrated")], "{report}");
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn a_server_that_is_away_concerns_its_tenants_only() -> TestResult {
    let (homes, files) = (Homes::new().await, Files::notes());
    homes.eu.stop_now().await?;
    let manager = homes.manager(records());
    let migrator = manager.migrator().tenants(files.read());
    let report = migrator.migrate_all(MigrateOptions::default()).await?;
    for id in ["a", "d", "e"] {
        assert!(outcomes(&report).contains(&(id, "migrated")), "{report}");
    }
    for id in ["b", "c", "f"] {
        assert_eq!(failure(&report, id).reason, FailureReason::Connection, "{report}");
    }
    let plan = migrator.plan(Schemas::AllTenants, &MigrateOptions::default()).await?;
    let state = |id: &str| {
        plan.tenants.iter().find(|of| of.tenant_id.as_deref() == Some(id)).map(|of| of.state)
    };
    assert_eq!(
        (state("a"), state("b")),
        (Some(SchemaState::UpToDate), Some(SchemaState::Unreachable))
    );
    homes.eu.start_again().await?;
    let report = migrator.migrate_all(MigrateOptions::default()).await?;
    assert!(report.is_success(), "{report}");
    assert_eq!(homes.versions("b").await, ["1", "2"]);
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn a_server_that_hangs_during_a_run_ends_the_run_of_its_tenants() -> TestResult {
    let homes = Homes::new().await;
    let files =
        Files::new(&[("0001_slow.sql", "create table slow (id int); select pg_sleep(2);\n")]);
    let manager = homes.manager(records());
    let migrator = manager.migrator().tenants(files.read());
    let run = tokio::spawn(async move { migrator.migrate_all(MigrateOptions::default()).await });
    // The files of the other server are being run.
    let eu = homes.eu.url();
    let running = "select (count(*) > 0) from pg_stat_activity where query like '%pg_sleep(2)%' \
                   and state = 'active' and pid <> pg_backend_pid()";
    while values(&eu, running).await != ["true"] {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let (frozen, began) = (Frozen::freeze(&homes.eu), Instant::now());
    let report = tokio::time::timeout(Duration::from_secs(40), run).await???;
    assert!(began.elapsed() < Duration::from_secs(40));
    for id in ["a", "d", "e"] {
        assert!(outcomes(&report).contains(&(id, "migrated")), "{report}");
    }
    for id in ["b", "c", "f"] {
        let failure = failure(&report, id);
        assert_eq!(failure.reason, FailureReason::Connection, "{failure}");
        // On a busy machine, the next connect may be refused before it is certain that the server hangs.
        let is_told = ["server eu-1 does not answer", "server eu-1): connecting is suspended"]
            .iter()
            .any(|words| failure.message.contains(words));
        assert!(is_told, "{failure}");
    }
    drop(frozen);
    manager.close_within(Duration::from_secs(2)).await;
    Ok(())
}

#[tokio::test]
async fn canaries_and_the_error_budget_are_those_of_the_whole_run() -> TestResult {
    let homes = Homes::new().await;
    let files = Files::new(&[(
        "0001_fails.sql",
        "do $$ begin if current_database() = 'db_f' then raise 'not here'; end if; end $$;\n",
    )]);
    let manager = homes.manager(records());
    let migrator = manager.migrator().tenants(files.read());
    let report = migrator.migrate_all(MigrateOptions::default().canary(["f"])).await?;
    assert_eq!(report.end, End::CanaryFailed, "{report}");
    assert_eq!((report.failed, report.not_started), (1, 5), "{report}");
    let report = migrator.migrate_all(MigrateOptions::default().error_budget(0)).await?;
    assert_eq!((report.end, report.failed), (End::OverBudget, 1), "{report}");
    let report = migrator.migrate_all(MigrateOptions::default().canary(["b"]).wave(1)).await?;
    assert_eq!((report.end, report.failed), (End::Completed, 1), "{report}");
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn the_tables_of_row_tenants_are_a_target_of_each_server() -> TestResult {
    let (homes, files) = (Homes::new().await, Files::notes());
    for url in [homes.main.url(), homes.eu.url()] {
        run(&mut connect(&url).await, "create schema pool").await;
    }
    let rows = Rows::new().schema("pool")?;
    let row = |id| record(id).isolation(IsolationKind::Row);
    let catalog = FixedCatalog::new([row("r1"), row("r2"), row("r3").server("eu-1")]);
    let manager = homes.builder().or_isolation(Isolation::rows(rows)).catalog(catalog).build()?;
    let migrator = manager.migrator().tenants(files.read());
    let report = migrator.migrate_all(MigrateOptions::default()).await?;
    let expected = [("(rows)", "migrated"), ("(rows on eu-1)", "migrated")];
    assert_eq!(outcomes(&report), expected, "{report}");
    let counts: Vec<_> = report.tenants.iter().map(|tenant| tenant.row_tenants).collect();
    assert_eq!(counts, [Some(2), Some(1)]);
    for url in [homes.main.url(), homes.eu.url()] {
        let there = "select count(*) from pool._sqlx_migrations";
        assert_eq!(values(&url, there).await, ["2"], "{url}");
    }
    let report = migrator.migrate(["(rows on eu-1)"], MigrateOptions::default()).await?;
    assert_eq!(outcomes(&report), [("(rows on eu-1)", "up_to_date")], "{report}");
    manager.close().await;
    Ok(())
}

/// The server and database of each entry of a report's list.
fn places(report: &impl serde::Serialize, list: &str) -> Vec<String> {
    let json = serde_json::to_value(report).expect("a report is JSON");
    let entries = json[list].as_array().expect("it is a list").iter();
    let name = |value: &serde_json::Value| value.as_str().unwrap_or("-").to_owned();
    let place = |entry: &serde_json::Value| {
        let [id, server, database] =
            ["tenantId", "server", "database"].map(|key| name(&entry[key]));
        format!("{id} {server}/{database}")
    };
    entries.map(place).collect()
}

#[tokio::test]
async fn reports_and_events_name_the_server_and_the_database() -> TestResult {
    let (homes, files) = (Homes::new().await, Files::notes());
    let events = Arc::new(Mutex::new(Vec::new()));
    let hook = Arc::clone(&events);
    let manager = homes
        .builder()
        .catalog(FixedCatalog::new(records()))
        .on_event(move |event: Event| hook.lock().expect("nothing panics").push(event))
        .build()?;
    let everyone =
        ["a main/-", "b eu-1/-", "c eu-1/-", "d main/db_d", "e main/db_e", "f eu-1/db_f"];
    let migrator = manager.migrator().tenants(files.read());
    let plan = migrator.plan(Schemas::AllTenants, &MigrateOptions::default()).await?;
    assert_eq!(places(&plan, "tenants"), everyone);
    let report = migrator.migrate_all(MigrateOptions::default()).await?;
    assert_eq!(places(&report, "tenants"), everyone);
    assert_eq!(places(&manager.drift().run().await?, "details"), everyone);
    let seed = Seed::sql("none", "select 1");
    let seeded = manager.seeder().seed_all(&seed, SeedOptions::default()).await?;
    assert_eq!(places(&seeded, "tenants"), everyone);
    let each = manager.for_each_tenant(EachOptions::default(), async |db| db.ping().await).await?;
    assert_eq!(places(&each, "tenants"), everyone);
    let only = EachOptions::default().only(["f", "a", "nobody"]);
    let each = manager.for_each_tenant(only, async |db| db.ping().await).await?;
    assert_eq!(places(&each, "tenants"), ["f eu-1/db_f", "a main/-", "nobody -/-"]);
    let surveyed = manager.survey::<i64>("select count(*) from notes").await?;
    assert_eq!(places(&surveyed, "tenants"), everyone);
    let none = |_| std::future::ready(std::ops::ControlFlow::Continue(()));
    let options = FanOutOptions::default();
    let run = manager.fan_out().run(Schemas::AllTenants, "select 1", options, none).await?;
    assert_eq!(places(&run, "tenants"), everyone);
    manager.close().await;

    let events = events.lock().expect("nothing panics");
    let migrated = events.iter().filter(|event| matches!(event, Event::Migrated(_)));
    let mut migrated: Vec<_> = migrated
        .map(|event| {
            let Event::Migrated(of) = event else { unreachable!("they are filtered") };
            let [server, database] = [event.server(), of.database.as_deref()];
            let id = of.tenant_id.as_deref().unwrap_or_default();
            format!("{id} {}/{}", server.unwrap_or("-"), database.unwrap_or("-"))
        })
        .collect();
    migrated.sort_unstable();
    assert_eq!(migrated, everyone);
    Ok(())
}
