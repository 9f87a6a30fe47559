//! Indexes that are built concurrently, and whatever else works in several transactions: what it waits for, what it
//! leaves half made, and how a run goes on.

use std::time::Duration;

use sqlx::PgConnection;
use tenantry::{
    TenantManager,
    migrate::{
        FailureReason, Lint, MigrateOptions, MigrateReport, SchemaState, Schemas, TenantMigrator,
        WithoutRecords,
    },
    provision::CreateOptions,
    retry::RetryPolicy,
};

use super::{
    files::{Files, create_schemas, ids, migrator, recorded},
    jobs::child,
};
use crate::{
    faults::{Mode, Proxy},
    support::{
        TestResult, World, connect, eventually, eventually_within, kill, observe, private_server,
        run, state_of, try_run,
    },
};

fn options() -> MigrateOptions {
    MigrateOptions::default().without_records(WithoutRecords::Migrate)
}

pub(super) const TABLE: (&str, &str) =
    ("0001_orders.sql", "create table orders (id int, total int, note text, paid bool);");

/// A tenant with a table `orders`, and a file that is run outside a transaction after it.
pub(super) struct Case {
    pub(super) world: World,
    pub(super) admin: PgConnection,
    pub(super) migrator: TenantMigrator,
}

fn migrator_of(world: &World, statements: &str) -> TenantMigrator {
    let text = format!("-- no-transaction\n{statements}");
    let files = Files::new(&[TABLE, ("0002_after.sql", &text)]);
    let allowed = Lint::default().allow_schema("tenant_acme");
    world.manager().migrator().tenants(files.read().lint(allowed))
}

impl Case {
    pub(super) async fn new(statements: &str) -> Self {
        let world = World::new().await;
        let mut admin = world.admin().await;
        run(&mut admin, "create schema tenant_acme").await;
        let table = migrator(&world, &Files::new(&[TABLE]));
        let done = table.migrate_all(options()).await.expect("there are tenants");
        assert!(done.is_success(), "{done}");
        run(&mut admin, "set search_path to tenant_acme").await;
        let migrator = migrator_of(&world, statements);
        Self { world, admin, migrator }
    }

    /// Has the file hold other statements.
    pub(super) fn edit(&mut self, statements: &str) {
        self.migrator = migrator_of(&self.world, statements);
    }

    pub(super) async fn migrate(&self) -> MigrateReport {
        self.migrator.migrate_all(options()).await.expect("there are tenants")
    }

    fn migrating(&self) -> tokio::task::JoinHandle<MigrateReport> {
        let migrator = self.migrator.clone();
        tokio::spawn(
            async move { migrator.migrate_all(options()).await.expect("there are tenants") },
        )
    }

    pub(super) async fn recorded(&mut self) -> String {
        recorded(&mut self.admin, "acme").await
    }

    /// The indexes of `orders`, with a mark where they are invalid.
    pub(super) async fn indexes(&mut self) -> String {
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

/// How long to wait for a process that has to be started first.
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until so many statements wait for a snapshot. Returns their server processes.
async fn waits(admin: &mut PgConnection, count: usize) -> Vec<i32> {
    let mut pids = Vec::new();
    eventually_within(PATIENCE, "a statement waits for a snapshot", async || {
        pids = sqlx::query_scalar(
            "select pid from pg_stat_activity where datname = current_database() \
             and wait_event = 'virtualxid' and application_name like 'tenantry/%'",
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
                from pg_stat_activity where datname = current_database() and wait_event = 'virtualxid'";
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
async fn a_view_is_refreshed_after_whoever_refreshes_it() -> TestResult {
    let mut case = Case::new("refresh materialized view concurrently totals;").await;
    run(
        &mut case.admin,
        "create materialized view totals as select total from orders; create unique index on totals (total)",
    )
    .await;
    let mut other = case.world.admin().await;
    run(&mut other, "begin; refresh materialized view concurrently tenant_acme.totals").await;
    let migrator = case.migrator.clone();
    let migrating = tokio::spawn(async move {
        migrator.migrate_all(options().lock_timeout(Duration::from_millis(20))).await
    });
    let long = "select coalesce(bool_or(now() - query_start > interval '200 ms'), false)::text \
                from pg_stat_activity where datname = current_database() and wait_event = 'relation'";
    eventually("many lock timeouts have gone by", async || {
        observe(&mut case.admin, long).await == "Some(\"true\")"
    })
    .await;
    run(&mut other, "commit").await;
    let report = migrating.await??;
    assert!(report.is_success() && report.tenants[0].attempts == 1, "{report}");
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

#[tokio::test]
async fn whoever_is_building_an_index_is_waited_for() -> TestResult {
    let mut case =
        Case::new("create index concurrently if not exists by_total on orders (total);").await;
    let (snapshot, mut other) = (case.snapshot().await, case.world.admin().await);
    let building = tokio::spawn(async move {
        run(&mut other, "create index concurrently by_total on tenant_acme.orders (total)").await;
    });
    eventually("it is there and invalid", async || case.indexes().await == "Some(\"by_total!\")")
        .await;
    let oid = "select 'by_total'::regclass::oid::text";
    let first = observe(&mut case.admin, oid).await;
    let migrating = case.migrating();
    eventually("the file is begun", async || case.recorded().await == "Some(\"1 2!\")").await;
    drop(snapshot);
    building.await?;
    let report = migrating.await?;
    assert!(report.is_success(), "{report}");
    assert_eq!(case.indexes().await, "Some(\"by_total\")");
    assert_eq!(observe(&mut case.admin, oid).await, first, "it was not built again");
    Ok(())
}

#[tokio::test]
async fn another_index_that_somebody_builds_on_the_columns_is_none_of_the_files() -> TestResult {
    for (ours, theirs, indexes) in [
        ("index concurrently", "index concurrently theirs_idx", "orders_total_idx theirs_idx"),
        (
            "unique index concurrently",
            "index concurrently orders_idx",
            "orders_idx orders_total_idx",
        ),
        ("index concurrently ours", "unique index concurrently ours", "ours"),
    ] {
        let mut case = Case::new(&format!("create {ours} on orders (total);")).await;
        let (snapshot, mut other) = (case.snapshot().await, case.world.admin().await);
        let theirs = format!("create {theirs} on tenant_acme.orders (total) where paid");
        let building = tokio::spawn(async move { run(&mut other, &theirs).await });
        eventually("theirs is begun", async || case.indexes().await.contains('!')).await;
        let migrating = case.migrating();
        eventually("the file is begun", async || case.recorded().await == "Some(\"1 2!\")").await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        drop(snapshot);
        building.await?;
        let report = migrating.await?;
        // Where the name is taken, there is nothing that could be recorded.
        assert_eq!(report.is_success(), indexes != "ours", "{ours}: {report}");
        assert_eq!(case.indexes().await, format!("Some({indexes:?})"), "{ours}");
    }
    Ok(())
}

#[tokio::test]
async fn an_invalid_index_of_somebody_else_is_not_dropped() -> TestResult {
    let mut case = Case::new(
        "create index concurrently on orders (total); create index concurrently on orders (lower(note));",
    )
    .await;
    for theirs in [
        "unique index orders_total_idx on orders (total)",
        "index orders_total_idx1 on orders (total) where paid",
        "index theirs_idx on orders (upper(note))",
    ] {
        run(&mut case.admin, &format!("create {theirs}")).await;
    }
    run(
        &mut case.admin,
        "update pg_index set indisvalid = false where indrelid = 'orders'::regclass",
    )
    .await;
    let report = case.migrate().await;
    assert!(report.is_success(), "{report}");
    assert_eq!(
        case.indexes().await,
        "Some(\"orders_lower_idx orders_total_idx! orders_total_idx1! orders_total_idx2 theirs_idx!\")"
    );
    Ok(())
}

#[tokio::test]
async fn an_invalid_index_of_another_table_is_neither_dropped_nor_passed_over() -> TestResult {
    for statement in [
        "create index concurrently if not exists by_total on orders (total);",
        "create index concurrently by_total on orders (total);",
    ] {
        let mut case = Case::new(statement).await;
        run(
            &mut case.admin,
            "create table others (total int); create index by_total on others (total)",
        )
        .await;
        let spoil =
            "update pg_index set indisvalid = false where indexrelid = 'by_total'::regclass";
        run(&mut case.admin, spoil).await;
        for report in [
            case.migrate().await,
            case.migrator.mark_applied(Schemas::AllTenants, None, options()).await?,
        ] {
            let failure = report.tenants[0].error().expect("its name is taken");
            assert_eq!(failure.reason, FailureReason::InvalidIndex, "{failure}");
            assert_eq!((failure.version, failure.line), (Some(2), Some(2)), "{failure}");
            let says = "index by_total of table others is invalid, and has the name of the index that the \
                        statement creates on \"orders\": drop or rename it";
            assert!(failure.message.contains(says), "{failure}");
            assert_eq!(case.recorded().await, "Some(\"1\")", "{statement}");
        }
        let theirs =
            "select indrelid::regclass::text from pg_index where indexrelid = 'by_total'::regclass";
        assert_eq!(observe(&mut case.admin, theirs).await, "Some(\"others\")");
        run(&mut case.admin, "drop index by_total").await;
        let report = case.migrate().await;
        assert!(report.is_success(), "{report}");
        assert_eq!(case.indexes().await, "Some(\"by_total\")");
    }
    Ok(())
}

#[tokio::test]
async fn an_invalid_index_of_its_name_is_made_anew_whatever_it_was_of() -> TestResult {
    let mut case =
        Case::new("create index concurrently if not exists by_total on orders (total);").await;
    run(
        &mut case.admin,
        "create unique index by_total on orders (note) where paid; \
         update pg_index set indisvalid = false where indexrelid = 'by_total'::regclass",
    )
    .await;
    let report = case.migrate().await;
    assert!(report.is_success(), "{report}");
    let made = "select pg_get_indexdef('by_total'::regclass)";
    let made = observe(&mut case.admin, made).await;
    assert!(made.contains("CREATE INDEX") && made.contains("(total)"), "{made}");
    Ok(())
}

#[tokio::test]
async fn an_index_with_an_escaped_name_is_not_recorded_while_it_is_invalid() -> TestResult {
    let mut case =
        Case::new(r#"create index concurrently if not exists U&"by\005ftotal" on orders (total);"#)
            .await;
    run(
        &mut case.admin,
        "create index by_total on orders (total); \
         update pg_index set indisvalid = false where indexrelid = 'by_total'::regclass",
    )
    .await;
    let report = case.migrate().await;
    assert!(report.is_success(), "{report}");
    assert_eq!(case.indexes().await, "Some(\"by_total\")");
    Ok(())
}

#[tokio::test]
async fn what_the_server_has_built_for_a_run_that_is_gone_is_not_built_again() -> TestResult {
    for name in ["by_name", ""] {
        let server = private_server(&["acme"]).await;
        let mut admin = connect(&server.url()).await;
        let index = format!("-- no-transaction\ncreate index concurrently {name} on users (name);");
        let files = Files::new(&[("0001_index.sql", &index)]);
        let proxy = Proxy::before(server.port()).await;
        let manager = |url: &str| TenantManager::builder(url).build().expect("it is sound");
        let gone = manager(&proxy.url()).migrator().tenants(files.read());
        let mut other = connect(&server.url()).await;
        run(&mut other, "begin isolation level repeatable read; select * from tenant_acme.users")
            .await;
        let migrating =
            tokio::spawn(
                async move { gone.migrate_all(options().retry(RetryPolicy::never())).await },
            );
        let pid = waits(&mut admin, 1).await[0];
        // Nothing of it reaches the server any more, as when the machine is gone.
        proxy.set(Mode::Cut);
        migrating.abort();
        drop(migrating.await);
        let migrator = manager(&server.url()).migrator().tenants(files.read());
        let next = tokio::spawn(async move { migrator.migrate_all(options()).await });
        let oid = "select indexrelid::text from pg_index where indrelid = 'tenant_acme.users'::regclass \
                   and not indisprimary";
        let first = observe(&mut admin, oid).await;
        assert_eq!(state_of(&mut admin, pid).await, "active");
        run(&mut other, "commit").await;
        let report = next.await??;
        assert!(report.is_success(), "{report}");
        assert_eq!(observe(&mut admin, oid).await, first, "{name:?}");
        let valid = "select string_agg(indisvalid::text, ' ') from pg_index \
                     where indrelid = 'tenant_acme.users'::regclass";
        assert_eq!(observe(&mut admin, valid).await, "Some(\"true true\")");
    }
    Ok(())
}

#[tokio::test]
async fn what_is_invalid_for_another_reason_stays_and_is_told() -> TestResult {
    let statements = "alter table orders add constraint positive check (total > 0) not valid;\n\
                      create index concurrently on orders (total);\n\
                      create index on only parts (id);\n";
    let mut case = Case::new(statements).await;
    run(
        &mut case.admin,
        "create table parts (id int) partition by range (id); \
         create table part partition of parts for values from (0) to (9); \
         insert into orders values (1, 1), (1, 1)",
    )
    .await;
    for index in ["twice on orders (total)", "orders_id_idx on orders (id)"] {
        let create = format!("create unique index concurrently {index}");
        assert!(try_run(&mut case.admin, &create).await.is_err());
    }
    let report = case.migrate().await;
    assert!(report.is_success(), "{report}");
    assert_eq!(case.indexes().await, "Some(\"orders_id_idx! orders_total_idx twice!\")");
    let plan = case.migrator.plan(Schemas::AllTenants, &options()).await?;
    let invalid: Vec<_> = plan.tenants[0].invalid.iter().map(ToString::to_string).collect();
    assert_eq!(
        invalid,
        [
            "index orders_id_idx of orders is invalid",
            "constraint positive of orders is not validated",
            "index twice of orders is invalid",
            "index parts_id_idx of parts is invalid",
        ]
    );
    assert!(plan.is_up_to_date() && plan.to_string().contains("index twice of orders"), "{plan}");
    Ok(())
}

#[tokio::test]
async fn a_statement_that_was_refused_is_the_one_that_is_run_next() -> TestResult {
    let statements = "set statement_timeout = '1h';\n\
                      insert into orders (id) values (7);\n\
                      create unique index concurrently orders_key on orders (id);\n\
                      alter table orders add constraint orders_key unique using index orders_key;\n\
                      alter table orders add constraint small check (total < 9) not valid;\n\
                      alter table orders validate constraint small;\n";
    let mut case = Case::new(statements).await;
    let refuse = |statement: &str| {
        format!(
            "create or replace function refuse() returns event_trigger language plpgsql as $$ begin \
               if current_query() like '{statement}' then \
                 raise exception 'not now' using errcode = '55P03'; end if; end $$"
        )
    };
    run(&mut case.admin, &refuse("alter table orders add constraint orders_key%")).await;
    let trigger = "create event trigger refuse on ddl_command_start execute function refuse()";
    run(&mut case.admin, trigger).await;
    let twice = options().retry(RetryPolicy::default().max_attempts(2));
    let report = case.migrator.migrate_all(twice).await?;
    let failure = report.tenants[0].error().expect("it was refused");
    assert_eq!((failure.line, failure.sqlstate.as_deref()), (Some(5), Some("55P03")), "{failure}");
    assert_eq!(report.tenants[0].attempts, 2);
    assert_eq!(case.recorded().await, "Some(\"1 2!\")");
    let plan = case.migrator.plan(Schemas::AllTenants, &options()).await?;
    assert_eq!(plan.tenants[0].state, SchemaState::Dirty);
    let begun = &plan.tenants[0].begun[0];
    assert!(begun.goes_on, "{begun}");
    assert_eq!(begun.remark, "statement 4 of 6, line 5: not now (55P03)");
    assert!(plan.to_string().contains("the next run continues it"), "{plan}");
    // What is refused next is tried until it is not.
    run(&mut case.admin, &refuse("alter table orders validate%")).await;
    let migrating = case.migrating();
    let refused = "select (description like '%statement 6 of 6%')::text from _sqlx_migrations where version = 2";
    eventually("it was refused", async || {
        observe(&mut case.admin, refused).await == "Some(\"true\")"
    })
    .await;
    run(&mut case.admin, "drop event trigger refuse").await;
    let report = migrating.await?;
    assert!(report.is_success() && report.tenants[0].attempts > 1, "{report}");
    let valid = "select string_agg(conname || convalidated, ' ' order by conname) from pg_constraint \
                 where conrelid = 'orders'::regclass";
    assert_eq!(observe(&mut case.admin, valid).await, "Some(\"orders_keytrue smalltrue\")");
    let rows = "select count(*)::text from orders";
    assert_eq!(observe(&mut case.admin, rows).await, "Some(\"1\")");
    assert_eq!(case.recorded().await, "Some(\"1 2\")");
    Ok(())
}

#[tokio::test]
async fn what_somebody_has_to_see_to_says_what_failed_first() -> TestResult {
    let statements = "alter table orders add constraint small check (total < 9) not valid;\n\
                      alter table orders validate constraint small;\n";
    let mut case = Case::new(statements).await;
    run(&mut case.admin, "insert into orders (total) values (10)").await;
    let report = case.migrate().await;
    let failure = report.tenants[0].error().expect("a row is against it").to_string();
    assert!(failure.contains("(23514)") && failure.contains("line 3"), "{failure}");
    let report = case.migrate().await;
    let failure = report.tenants[0].error().expect("it is dirty");
    assert_eq!(failure.reason, FailureReason::Dirty);
    assert!(failure.message.contains("statement 2 of 2, line 3: check constraint"), "{failure}");
    assert_eq!(failure.file.as_deref(), Some("0002_after.sql"));
    let plan = case.migrator.plan(Schemas::AllTenants, &options()).await?;
    assert!(
        !plan.tenants[0].begun[0].goes_on && plan.to_string().contains("line 3: check"),
        "{plan}"
    );
    // What is half made is made anew.
    run(&mut case.admin, "delete from orders").await;
    drop(case.migrator.forget_dirty(Schemas::AllTenants, options()).await?);
    let report = case.migrate().await;
    assert!(report.is_success(), "{report}");
    let valid = "select string_agg(conname || convalidated, ' ') from pg_constraint where conrelid = 'orders'::regclass";
    assert_eq!(observe(&mut case.admin, valid).await, "Some(\"smalltrue\")");
    Ok(())
}

#[tokio::test]
async fn dropping_and_building_anew_is_gone_on_with() -> TestResult {
    for (statements, left, after) in [
        ("drop index concurrently by_total;", "by_note by_total!", "by_note"),
        (
            "reindex (verbose, concurrently) index by_total;",
            "by_note by_total by_total_ccnew!",
            "by_note by_total",
        ),
        (
            "reindex table concurrently orders;",
            "by_note by_note_ccnew! by_total by_total_ccnew!",
            "by_note by_total",
        ),
        (
            // The first of its tables is another one.
            "reindex schema concurrently tenant_acme;",
            "by_note by_total",
            "by_note by_total",
        ),
    ] {
        let mut case = Case::new(statements).await;
        run(
            &mut case.admin,
            "create index by_total on orders (total); create index by_note on orders (note)",
        )
        .await;
        case.fail().await;
        assert_eq!(case.indexes().await, format!("Some({left:?})"), "{statements}");
        let plan = case.migrator.plan(Schemas::AllTenants, &options()).await?;
        assert!(!plan.tenants[0].invalid.is_empty(), "{statements}");
        let report = case.migrate().await;
        assert!(report.is_success(), "{statements}: {report}");
        assert_eq!(case.indexes().await, format!("Some({after:?})"), "{statements}");
        let plan = case.migrator.plan(Schemas::AllTenants, &options()).await?;
        assert_eq!(plan.tenants[0].invalid, [], "{statements}");
    }
    Ok(())
}

#[tokio::test]
async fn a_partition_that_is_detached_by_half_is_detached_to_the_end() -> TestResult {
    for forgotten in [false, true] {
        let mut case = Case::new("alter table parts detach partition part concurrently;").await;
        let mut other = case.world.admin().await;
        run(
            &mut case.admin,
            "create table parts (id int) partition by range (id); \
             create table part partition of parts for values from (0) to (9)",
        )
        .await;
        run(&mut other, "begin; select * from tenant_acme.parts").await;
        let impatient =
            options().lock_timeout(Duration::from_millis(20)).retry(RetryPolicy::never());
        let report = case.migrator.migrate_all(impatient).await?;
        let failure = report.tenants[0].error().expect("it ends with a lock");
        assert_eq!(failure.reason, FailureReason::LockTimeout, "{failure}");
        let plan = case.migrator.plan(Schemas::AllTenants, &options()).await?;
        assert!(
            plan.to_string().contains("partition part of parts is only partly detached"),
            "{plan}"
        );
        run(&mut other, "commit").await;
        if forgotten {
            drop(case.migrator.forget_dirty(Schemas::AllTenants, options()).await?);
        }
        let report = case.migrate().await;
        assert!(report.is_success(), "{report}");
        let partitions =
            "select count(*)::text from pg_inherits where inhparent = 'parts'::regclass";
        assert_eq!(observe(&mut case.admin, partitions).await, "Some(\"0\")");
        assert_eq!(case.recorded().await, "Some(\"1 2\")");
    }
    Ok(())
}

#[tokio::test]
async fn what_is_taken_back_concurrently_is_gone_on_with() -> TestResult {
    let world = World::new().await;
    let mut admin = world.admin().await;
    run(&mut admin, "create schema tenant_acme").await;
    let files = Files::new(&[
        ("0001_orders.up.sql", "create table orders (id int);"),
        ("0001_orders.down.sql", "drop table orders;"),
        ("0002_index.up.sql", "-- no-transaction\ncreate index concurrently by_id on orders (id);"),
        ("0002_index.down.sql", "-- no-transaction\ndrop index concurrently by_id;"),
    ]);
    let migrator = migrator(&world, &files);
    assert!(migrator.migrate_all(options()).await?.is_success());
    let mut other = world.admin().await;
    run(&mut other, "begin; select * from tenant_acme.orders").await;
    let impatient = options().concurrent_timeout(Duration::from_millis(20));
    let report = migrator.revert(Schemas::AllTenants, 0, impatient).await?;
    assert_eq!(report.failed, 1, "{report}");
    // Going forward is not what was begun.
    let report = migrator.migrate_all(options()).await?;
    let failure = report.tenants[0].error().expect("it is half taken back");
    assert_eq!(failure.reason, FailureReason::Dirty);
    assert!(failure.message.contains("while it was reverted, statement 1 of 1"), "{failure}");
    run(&mut other, "commit").await;
    let report = migrator.revert(Schemas::AllTenants, 0, options()).await?;
    assert!(report.is_success(), "{report}");
    assert_eq!(recorded(&mut admin, "acme").await, "Some(\"\")");
    Ok(())
}

#[tokio::test]
async fn a_tenant_that_is_made_in_steps_waits_for_snapshots_too() -> TestResult {
    let world = World::new().await;
    let (mut admin, mut other) = (world.admin().await, world.admin().await);
    let index = "-- no-transaction\ncreate index concurrently on orders (lower(note));";
    let files = Files::new(&[TABLE, ("0002_index.sql", index)]);
    let manager = world.manager();
    let provisioner = manager.provisioner().tenants(files.read());
    run(&mut other, "begin isolation level repeatable read; select 1").await;
    let creating = tokio::spawn(async move {
        let options = CreateOptions::default().lock_timeout(Duration::from_secs(20));
        provisioner.create("acme", options).await
    });
    let pid = waits(&mut admin, 1).await[0];
    // Tests beside this one wait for snapshots in databases of their own.
    let ungranted = format!(
        "select count(*)::text from pg_locks where not granted and locktype = 'virtualxid' and pid = {pid}"
    );
    assert_eq!(observe(&mut admin, &ungranted).await, "Some(\"1\")");
    run(&mut other, "commit").await;
    creating.await??;
    assert_eq!(recorded(&mut admin, "acme").await, "Some(\"1 2\")");
    Ok(())
}

#[tokio::test]
async fn a_role_that_is_no_superuser_takes_its_own_remains_away() -> TestResult {
    let server = private_server(&[]).await;
    let mut admin = connect(&server.url()).await;
    run(
        &mut admin,
        "create role app login; create schema tenant_acme authorization app; \
         create table tenant_acme.orders (id int, note text); alter table tenant_acme.orders owner to app; \
         create index by_id on tenant_acme.orders (id)",
    )
    .await;
    let url = server.url().replacen("postgres@", "app@", 1);
    let statements = "-- no-transaction\ncreate index concurrently by_note on orders (note);\n\
                      reindex table concurrently orders;\n";
    let files = Files::new(&[("0001_index.sql", statements)]);
    let migrator = TenantManager::builder(&url).build()?.migrator().tenants(files.read());
    for _ in 0..2 {
        let mut other = connect(&server.url()).await;
        run(&mut other, "begin isolation level repeatable read; select * from tenant_acme.orders")
            .await;
        let impatient = options().concurrent_timeout(Duration::from_millis(20));
        let report = migrator.migrate_all(impatient).await?;
        assert_eq!(report.failed, 1, "{report}");
    }
    let report = migrator.migrate_all(options()).await?;
    assert!(report.is_success(), "{report}");
    let invalid = "select count(*)::text from pg_index where not indisvalid and indrelid = 'tenant_acme.orders'::regclass";
    assert_eq!(observe(&mut admin, invalid).await, "Some(\"0\")");
    Ok(())
}

#[tokio::test]
async fn a_process_that_is_killed_leaves_nothing_to_put_right() -> TestResult {
    let world = World::new().await;
    let mut admin = world.admin().await;
    create_schemas(&mut admin, &ids(9)).await;
    let statements = "-- no-transaction\n\
                      create index concurrently on orders (total);\n\
                      insert into orders (id) values (1);\n\
                      create index concurrently by_note on orders (lower(note));\n";
    let files = Files::new(&[TABLE, ("0002_index.sql", statements)]);
    let migrator = migrator(&world, &files);
    let mut other = world.admin().await;
    run(&mut other, "begin isolation level repeatable read; select 1").await;
    for round in 1..=2 {
        let mut child = child(&world, &files)?;
        // The server processes of the first round are still at work in the second.
        waits(&mut admin, 3 * round).await;
        child.kill()?;
        child.wait()?;
    }
    // Some of them end in the middle, and the others build their indexes for the next run.
    let cut = "select pg_terminate_backend(pid) from pg_stat_activity where pid = any (array( \
               select pid from pg_stat_progress_create_index where datname = current_database() \
               limit 2))";
    run(&mut admin, cut).await;
    run(&mut other, "commit").await;
    let report = migrator.migrate_all(options()).await?;
    assert!(report.is_success(), "{report}");
    for id in ids(9) {
        assert_eq!(recorded(&mut admin, &id).await, "Some(\"1 2\")", "{id}");
        let sql = format!(
            "select string_agg(indexrelid::regclass::text || indisvalid, ' ' order by indexrelid::regclass::text) || ' ' || \
             (select count(*) from tenant_{id}.orders) from pg_index where indrelid = 'tenant_{id}.orders'::regclass"
        );
        let expected =
            format!("Some(\"tenant_{id}.by_notetrue tenant_{id}.orders_total_idxtrue 1\")");
        assert_eq!(observe(&mut admin, &sql).await, expected);
    }
    Ok(())
}

#[tokio::test]
async fn what_fails_before_it_makes_anything_leaves_nothing_to_put_right() -> TestResult {
    for (statement, code) in [
        ("create index concurrently by_total on orders (nothing);", "42703"),
        ("create index concurrently by_total on order (total);", "42601"),
        ("create index concurrently by_id on orders (total);", "42P07"),
        ("drop index concurrently nothing;", "42704"),
        ("reindex table concurrently nothing;", "42P01"),
        ("alter table parts detach partition orders concurrently;", "42P01"),
        ("refresh materialized view concurrently orders;", "0A000"),
        ("set statement_timeout = '1h'; vacuum nothing;", "42P01"),
    ] {
        let mut case = Case::new(statement).await;
        run(&mut case.admin, "create index by_id on orders (id); create table parts (id int) partition by range (id)")
            .await;
        let report = case.migrate().await;
        let failure = report.tenants[0].error().expect("it is wrong");
        assert_eq!(failure.sqlstate.as_deref(), Some(code), "{statement}: {failure}");
        assert_eq!(case.recorded().await, "Some(\"1\")", "{statement}");
    }
    Ok(())
}
