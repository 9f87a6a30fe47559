//! Indexes that are built concurrently, and whatever else works in several transactions: what it waits for, what it
//! leaves half made, and how a run goes on.

use std::time::Duration;

use sqlx::PgConnection;
use tenantry::migrate::{FailureReason, MigrateOptions, MigrateReport, Schemas, TenantMigrator};

use super::files::{Files, create_schemas, ids, migrator, recorded};
use crate::support::{TestResult, World, eventually, kill, observe, run};

fn options() -> MigrateOptions {
    MigrateOptions::default()
}

const TABLE: (&str, &str) =
    ("0001_orders.sql", "create table orders (id int, total int, note text, paid bool);");

/// A tenant with a table `orders`, and a file that is run outside a transaction after it.
struct Case {
    world: World,
    admin: PgConnection,
    migrator: TenantMigrator,
}

impl Case {
    async fn new(statements: &str) -> Self {
        let world = World::new().await;
        let mut admin = world.admin().await;
        run(&mut admin, "create schema tenant_acme").await;
        let table = migrator(&world, &Files::new(&[TABLE]));
        let done = table.migrate_all(options()).await.expect("there are tenants");
        assert!(done.is_success(), "{done}");
        run(&mut admin, "set search_path to tenant_acme").await;
        let text = format!("-- no-transaction\n{statements}");
        let files = Files::new(&[TABLE, ("0002_after.sql", &text)]);
        let migrator = migrator(&world, &files);
        Self { world, admin, migrator }
    }

    async fn migrate(&self) -> MigrateReport {
        self.migrator.migrate_all(options()).await.expect("there are tenants")
    }

    fn migrating(&self) -> tokio::task::JoinHandle<MigrateReport> {
        let migrator = self.migrator.clone();
        tokio::spawn(
            async move { migrator.migrate_all(options()).await.expect("there are tenants") },
        )
    }

    async fn recorded(&mut self) -> String {
        recorded(&mut self.admin, "acme").await
    }

    /// The indexes of `orders`, with a mark where they are invalid.
    async fn indexes(&mut self) -> String {
        let sql = "select coalesce(string_agg(c.relname || case when indisvalid then '' else '!' end, \
                   ' ' order by c.relname), '') from pg_index join pg_class c on c.oid = indexrelid \
                   where indrelid = 'orders'::regclass";
        observe(&mut self.admin, sql).await
    }

    /// Opens a transaction with a snapshot, which whatever is built concurrently waits for.
    async fn snapshot(&self) -> PgConnection {
        let mut other = self.world.admin().await;
        run(&mut other, "begin isolation level repeatable read; select * from tenant_acme.orders")
            .await;
        other
    }

    /// Waits until a statement waits for a snapshot. Returns its server process.
    async fn waits(&mut self) -> i32 {
        waits(&mut self.admin, 1).await[0]
    }

    /// Has the statement fail in the middle, as often as it is tried.
    async fn fail(&mut self) {
        let _snapshot = self.snapshot().await;
        let impatient = options().concurrent_timeout(Duration::from_millis(20));
        let report = self.migrator.migrate_all(impatient).await.expect("there are tenants");
        let failure = report.tenants[0].error().expect("it has waited in vain");
        assert_eq!(failure.reason, FailureReason::LockTimeout, "{failure}");
        assert_eq!(self.recorded().await, "Some(\"1 2!\")");
    }
}

/// Waits until so many statements wait for a snapshot. Returns their server processes.
async fn waits(admin: &mut PgConnection, count: usize) -> Vec<i32> {
    let mut pids = Vec::new();
    eventually("a statement waits for a snapshot", async || {
        pids = sqlx::query_scalar(
            "select pid from pg_stat_activity where datname = current_database() \
             and wait_event = 'virtualxid' and application_name = 'tenantry'",
        )
        .fetch_all(&mut *admin)
        .await
        .expect("the server is running");
        pids.len() >= count
    })
    .await;
    pids
}

#[tokio::test]
async fn whoever_waits_for_snapshots_waits_as_long_as_it_takes() -> TestResult {
    let world = World::new().await;
    let (mut admin, mut other) = (world.admin().await, world.admin().await);
    let ids = ids(20);
    create_schemas(&mut admin, &ids).await;
    let index = "-- no-transaction\n\
                 create index concurrently if not exists orders_note on orders (lower(note));\n\
                 create index concurrently on orders (total) where paid;\n";
    let files = Files::new(&[TABLE, ("0002_index.sql", index)]);
    run(&mut other, "begin isolation level repeatable read; select 1").await;
    let migrator = migrator(&world, &files);
    let lock_timeout = Duration::from_millis(100);
    let run_of = options().lock_timeout(lock_timeout);
    let migrating = tokio::spawn(async move { migrator.migrate_all(run_of).await });
    waits(&mut admin, 4).await;
    let long = "select coalesce(bool_or(now() - query_start > interval '400 ms'), false)::text \
                from pg_stat_activity where wait_event = 'virtualxid'";
    eventually("four lock timeouts have gone by", async || {
        observe(&mut admin, long).await == "Some(\"true\")"
    })
    .await;
    run(&mut other, "commit").await;
    let report = migrating.await??;
    assert_eq!((report.migrated, report.is_success()), (20, true), "{report}");
    let attempts: Vec<_> = report.tenants.iter().map(|tenant| tenant.attempts).collect();
    assert_eq!(attempts, [1; 20]);
    let valid = "select count(*)::text from pg_index where indisvalid and indrelid::regclass::text like '%orders'";
    assert_eq!(observe(&mut admin, valid).await, "Some(\"40\")");
    Ok(())
}

#[tokio::test]
async fn what_is_cut_off_is_taken_away_and_built_again() -> TestResult {
    for (statement, index) in [
        ("create index concurrently by_total on orders (total);", "by_total"),
        ("create index concurrently if not exists \"By Total\" on orders (total);", "By Total"),
        (
            "create unique index concurrently on orders (total, lower(note)) include (id);",
            "orders_total_lower_id_idx",
        ),
    ] {
        let mut case = Case::new(statement).await;
        let snapshot = case.snapshot().await;
        let migrating = case.migrating();
        let pid = case.waits().await;
        kill(&mut case.admin, pid).await;
        let again = case.waits().await;
        assert_ne!(pid, again);
        drop(snapshot);
        let report = migrating.await?;
        assert!(report.is_success() && report.tenants[0].attempts > 1, "{report}");
        assert_eq!(case.indexes().await, format!("Some({index:?})"));
        assert_eq!(case.recorded().await, "Some(\"1 2\")");
    }
    Ok(())
}

#[tokio::test]
async fn a_run_that_was_dropped_is_gone_on_with() -> TestResult {
    let statements = "insert into orders (id) values (1);\n\
                      create index concurrently by_total on orders (total);\n\
                      insert into orders (id) values (2);\n\
                      create index concurrently if not exists by_note on orders (note);\n";
    let mut case = Case::new(statements).await;
    for _ in 0..2 {
        let _snapshot = case.snapshot().await;
        let migrating = case.migrating();
        case.waits().await;
        migrating.abort();
        assert!(migrating.await.is_err());
        assert_eq!(case.recorded().await, "Some(\"1 2!\")");
        eventually("the statement has ended", async || {
            observe(&mut case.admin, "select count(*)::text from pg_stat_progress_create_index")
                .await
                == "Some(\"0\")"
        })
        .await;
    }
    let report = case.migrate().await;
    assert!(report.is_success(), "{report}");
    assert_eq!(case.indexes().await, "Some(\"by_note by_total\")");
    let rows = "select string_agg(id::text, ' ' order by id) from orders";
    assert_eq!(observe(&mut case.admin, rows).await, "Some(\"1 2\")");
    let record =
        "select description || ' ' || (execution_time > 0) from _sqlx_migrations where version = 2";
    assert_eq!(observe(&mut case.admin, record).await, "Some(\"after true\")");
    Ok(())
}

#[tokio::test]
async fn after_forgetting_an_invalid_index_is_built_again() -> TestResult {
    for (statement, index) in [
        ("create index concurrently if not exists by_total on orders (total);", "by_total"),
        ("create index concurrently by_total on orders (total);", "by_total"),
        ("create index concurrently on orders (total);", "orders_total_idx"),
    ] {
        let mut case = Case::new(statement).await;
        case.fail().await;
        assert_eq!(case.indexes().await, format!("Some(\"{index}!\")"));
        let report = case.migrator.forget_dirty(Schemas::AllTenants, options()).await?;
        assert!(report.is_success(), "{report}");
        let report = case.migrate().await;
        assert!(report.is_success(), "{report}");
        assert_eq!(case.indexes().await, format!("Some({index:?})"), "{statement}");
    }
    Ok(())
}

#[tokio::test]
async fn nothing_is_recorded_over_an_invalid_index() -> TestResult {
    for statement in [
        "create index concurrently if not exists by_total on orders (total);",
        "create index concurrently on orders (total);",
    ] {
        let mut case = Case::new(statement).await;
        case.fail().await;
        let report = case.migrator.mark_applied(Schemas::AllTenants, None, options()).await?;
        let failure = report.tenants[0].error().expect("the index is invalid");
        assert_eq!(failure.reason, FailureReason::InvalidIndex, "{failure}");
        assert_eq!((failure.version, failure.line), (Some(2), Some(2)), "{failure}");
        assert_eq!(case.recorded().await, "Some(\"1 2!\")");
        run(&mut case.admin, "drop index if exists by_total, orders_total_idx").await;
        let report = case.migrator.mark_applied(Schemas::AllTenants, None, options()).await?;
        assert!(report.is_success(), "{report}");
    }
    Ok(())
}
