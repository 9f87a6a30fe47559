//! Files outside a transaction that have failed in the middle: what is told, and how they are gone on with once
//! somebody has seen to it.

use sqlx::PgConnection;
use tenantry::migrate::{Failure, FailureReason, MigrateOptions, SchemaStatus, Schemas};

use super::{
    concurrent::Case,
    files::{Files, migrator, recorded},
};
use crate::support::{TestResult, World, observe, run};

fn options() -> MigrateOptions {
    MigrateOptions::default()
}

impl Case {
    async fn failure(&self) -> Failure {
        let report = self.migrate().await;
        report.tenants[0].error().expect("it fails").clone()
    }

    async fn status(&self) -> SchemaStatus {
        let plan = self.migrator.plan(Schemas::AllTenants, &options()).await;
        plan.expect("there are tenants").tenants[0].clone()
    }

    async fn forget(&self) {
        let report = self.migrator.forget_dirty(Schemas::AllTenants, options()).await;
        let report = report.expect("there are tenants");
        assert!(report.is_success(), "{report}");
        assert_eq!(report.tenants[0].outcome.as_str(), "forgotten");
    }

    async fn succeeds(&mut self) {
        let report = self.migrate().await;
        assert!(report.is_success(), "{report}");
        assert_eq!(self.recorded().await, "Some(\"1 2\")");
    }

    async fn look(&mut self, sql: &str) -> String {
        observe(&mut self.admin, sql).await
    }
}

const TWICE: &str = "insert into orders (id, total) values (8, 1), (9, 1)";
const ONCE: &str = "delete from orders where id = 9";
const OIDS: &str = "select string_agg(indexrelid::text, ' ' order by indexrelid) from pg_index \
                    where indrelid = 'orders'::regclass and indisvalid";

#[tokio::test]
async fn the_next_run_goes_on_with_the_statement_that_failed() -> TestResult {
    let statements = "insert into orders (id) values (1);\n\
                      create index concurrently by_id on orders (id);\n\
                      create unique index concurrently one on orders (total);\n\
                      create index concurrently on orders (note);\n";
    for times in [1, 2] {
        let mut case = Case::new(statements).await;
        run(&mut case.admin, TWICE).await;
        let failure = case.failure().await;
        assert_eq!((failure.line, failure.sqlstate.as_deref()), (Some(4), Some("23505")));
        let hint = failure.hint().expect("it has left something");
        assert!(hint.contains("index one of orders is invalid: fix the cause"), "{hint}");
        assert_eq!(case.indexes().await, "Some(\"by_id one!\")");
        let first = case.look(OIDS).await;
        let begun = &case.status().await.begun[0];
        assert!(begun.remark.ends_with("; index one of orders is invalid"), "{begun}");
        // Without it nothing is run, and what is not put right fails as before.
        assert_eq!(case.failure().await.reason, FailureReason::Dirty);
        case.forget().await;
        assert!(case.status().await.begun[0].goes_on);
        let failure = case.failure().await;
        assert_eq!(failure.sqlstate.as_deref(), Some("23505"), "{failure}");
        run(&mut case.admin, ONCE).await;
        for _ in 0..times {
            case.forget().await;
        }
        case.succeeds().await;
        assert_eq!(case.indexes().await, "Some(\"by_id one orders_note_idx\")");
        assert!(case.look(OIDS).await.starts_with(first.trim_end_matches("\")")));
        assert_eq!(case.look("select count(*)::text from orders").await, "Some(\"2\")");
    }
    Ok(())
}

#[tokio::test]
async fn what_is_put_right_by_hand_is_not_made_again() -> TestResult {
    for by_hand in [
        "reindex index concurrently one",
        "drop index one; create unique index one on orders (total)",
    ] {
        let mut case = Case::new(
            "create index concurrently by_id on orders (id);\n\
             create unique index concurrently one on orders (total);\n",
        )
        .await;
        run(&mut case.admin, TWICE).await;
        case.failure().await;
        run(&mut case.admin, ONCE).await;
        for statement in by_hand.split(';') {
            run(&mut case.admin, statement).await;
        }
        let oids = case.look(OIDS).await;
        case.forget().await;
        case.succeeds().await;
        assert_eq!(case.look(OIDS).await, oids, "{by_hand}");
    }
    Ok(())
}

#[tokio::test]
async fn an_index_that_was_dropped_with_the_invalid_one_is_built_again() -> TestResult {
    let statements = "create index concurrently by_id on orders (id);\n\
                      create unique index concurrently one on orders (total);\n";
    let mut case = Case::new(statements).await;
    run(&mut case.admin, TWICE).await;
    case.failure().await;
    run(&mut case.admin, &format!("drop index by_id, one; {ONCE}")).await;
    case.forget().await;
    case.succeeds().await;
    assert_eq!(case.indexes().await, "Some(\"by_id one\")");
    Ok(())
}

#[tokio::test]
async fn whatever_has_failed_is_run_again_and_nothing_before_it() -> TestResult {
    for statement in [
        "do $$ begin if exists (select from orders group by total having count(*) > 1) then \
           raise 'twice'; end if; end $$",
        "alter table orders add constraint one unique (total)",
        "alter type kind add value 'other'; create unique index concurrently one on orders (total)",
        "reindex table concurrently orders; drop index concurrently by_note; \
         create unique index concurrently on orders (total)",
        "alter table parts detach partition part concurrently; alter table parts attach partition part \
           for values from (0) to (9); refresh materialized view concurrently totals; \
         create unique index concurrently one on orders (total)",
    ] {
        let mut case = Case::new(&format!(
            "insert into orders (id) values (1); create index concurrently by_id on orders (id); {statement};"
        ))
        .await;
        for before in [
            TWICE,
            "create type kind as enum ('one')",
            "create index by_note on orders (note)",
            "create table parts (id int) partition by range (id)",
            "create table part partition of parts for values from (0) to (9)",
            "create materialized view totals as select total from orders where total is not null with no data",
            "create unique index on totals (total)",
        ] {
            run(&mut case.admin, before).await;
        }
        // A view can be refreshed concurrently once it has data.
        run(&mut case.admin, "update orders set total = id").await;
        run(&mut case.admin, "refresh materialized view totals; update orders set total = 1").await;
        let failure = case.failure().await;
        assert_eq!(case.recorded().await, "Some(\"1 2!\")", "{statement}: {failure}");
        run(&mut case.admin, ONCE).await;
        case.forget().await;
        case.succeeds().await;
        assert!(!case.indexes().await.contains('!'), "{statement}");
        let rows = "select count(*)::text from orders where id = 1";
        assert_eq!(case.look(rows).await, "Some(\"1\")", "{statement}");
    }
    Ok(())
}

#[tokio::test]
async fn a_file_may_be_edited_where_it_was_not_run_yet() -> TestResult {
    let mut case = Case::new(
        "insert into orders (id) values (1);\n\
         create index concurrently by_id on orders (id);\n\
         create unique index concurrently one on orders (total);\n",
    )
    .await;
    run(&mut case.admin, TWICE).await;
    case.failure().await;
    case.edit(
        "set statement_timeout = '1h';\n-- What was run is the same.\n\
         insert into orders (id) values (1); create index concurrently by_id on orders (id);\n\
         create index concurrently one on orders (total);\n",
    );
    let failure = case.failure().await;
    assert_eq!(failure.reason, FailureReason::Dirty);
    assert!(!failure.message.contains("starts over"), "{failure}");
    case.forget().await;
    case.succeeds().await;
    assert_eq!(case.indexes().await, "Some(\"by_id one\")");
    assert_eq!(case.look("select count(*)::text from orders").await, "Some(\"3\")");
    Ok(())
}

#[tokio::test]
async fn a_file_starts_over_where_nobody_knows_what_was_run() -> TestResult {
    let failed = "create index concurrently by_id on orders (id);\n\
                  create unique index concurrently one on orders (total);\n";
    let edited = "create index concurrently if not exists by_id on orders (id);\n\
                  create index concurrently one on orders (total);\n";
    for (record, file) in [
        ("select 1", "create index concurrently by_id on orders (id, note);\n"),
        ("select 1", edited),
        ("update _sqlx_migrations set execution_time = 12 where not success", failed),
    ] {
        let mut case = Case::new(failed).await;
        run(&mut case.admin, TWICE).await;
        case.failure().await;
        run(&mut case.admin, record).await;
        case.edit(file);
        for message in [case.failure().await.message, case.status().await.begun[0].remark.clone()] {
            assert!(message.contains("after forget_dirty the file starts over"), "{message}");
        }
        case.forget().await;
        assert_eq!(case.recorded().await, "Some(\"1\")");
        if file != edited {
            let failure = case.failure().await;
            assert_eq!(failure.sqlstate.as_deref(), Some("42P07"), "{failure}");
            assert!(
                failure.hint().is_some_and(|hint| hint.contains("`if not exists`")),
                "{failure}"
            );
            assert_eq!(case.recorded().await, "Some(\"1\")", "nothing was done");
            case.edit(edited);
        }
        case.succeeds().await;
        assert_eq!(case.indexes().await, "Some(\"by_id one\")");
    }
    Ok(())
}

#[tokio::test]
async fn a_file_starts_over_when_its_session_had_something_set() -> TestResult {
    for sets in [
        "do $$ begin perform set_config('app.k', 'kept', false); end $$;",
        "with q as (select set_config('app.k', 'kept', false)) select * from q;",
        "do $$ begin create temp table k as select 'kept' as k; end $$;",
        "select 'kept' as k into temp k;",
    ] {
        let value = if sets.contains("app.k") { "current_setting('app.k')" } else { "k from k" };
        let mut case = Case::new(&format!(
            "{sets}\ncreate unique index concurrently one on orders (total);\n\
             insert into orders (id, note) select 7, {value};\n"
        ))
        .await;
        run(&mut case.admin, TWICE).await;
        let failure = case.failure().await;
        assert!(failure.hint().is_some_and(|hint| hint.contains("starts over")), "{failure:?}");
        run(&mut case.admin, ONCE).await;
        case.forget().await;
        case.succeeds().await;
        let note = case.look("select note::text from orders where id = 7").await;
        assert_eq!(note, "Some(\"kept\")", "{sets}");
    }
    Ok(())
}

#[tokio::test]
async fn what_was_undone_by_hand_can_be_started_over() -> TestResult {
    let mut case = Case::new(
        "create index concurrently by_id on orders (id);\n\
         create unique index concurrently one on orders (total);\n",
    )
    .await;
    run(&mut case.admin, TWICE).await;
    case.failure().await;
    run(&mut case.admin, ONCE).await;
    run(&mut case.admin, "drop index by_id").await;
    let report = case.migrator.restart_dirty(Schemas::AllTenants, options()).await?;
    assert_eq!(report.tenants[0].outcome.as_str(), "forgotten", "{report}");
    assert_eq!(case.recorded().await, "Some(\"1\")");
    case.succeeds().await;
    assert_eq!(case.indexes().await, "Some(\"by_id one\")");
    Ok(())
}

#[tokio::test]
async fn what_has_failed_while_it_was_taken_back_is_taken_back_to_the_end() -> TestResult {
    let world = World::new().await;
    let mut admin: PgConnection = world.admin().await;
    run(&mut admin, "create schema tenant_acme").await;
    let files = Files::new(&[
        ("0001_orders.up.sql", "create table orders (id int);"),
        ("0001_orders.down.sql", "drop table orders;"),
        ("0002_index.up.sql", "-- no-transaction\ncreate index concurrently by_id on orders (id);"),
        (
            "0002_index.down.sql",
            "-- no-transaction\ndrop index concurrently by_id; alter table orders add check (id < 9);",
        ),
    ]);
    let migrator = migrator(&world, &files);
    assert!(migrator.migrate_all(options()).await?.is_success());
    run(&mut admin, "insert into tenant_acme.orders values (9)").await;
    let report = migrator.revert(Schemas::AllTenants, 0, options()).await?;
    assert_eq!(report.failed, 1, "{report}");
    run(&mut admin, "delete from tenant_acme.orders").await;
    drop(migrator.forget_dirty(Schemas::AllTenants, options()).await?);
    // What is told apart is what was run, whatever is in the file now.
    let edited = "-- no-transaction\nalter table orders add check (id < 9);";
    let down = "0002_index.down.sql";
    let text = std::fs::read_to_string(files.path().join(down))?;
    files.write(down, edited);
    let other = super::files::migrator(&world, &files);
    let report = other.revert(Schemas::AllTenants, 0, options()).await?;
    assert_eq!(report.tenants[0].error().map(|failure| failure.reason), Some(FailureReason::Dirty));
    files.write(down, text);
    let report = migrator.migrate_all(options()).await?;
    let failure = report.tenants[0].error().expect("it is half taken back");
    assert!(failure.message.contains("the next revert continues with it"), "{failure}");
    let report = migrator.revert(Schemas::AllTenants, 0, options()).await?;
    assert!(report.is_success(), "{report}");
    assert_eq!(recorded(&mut admin, "acme").await, "Some(\"\")");
    Ok(())
}
