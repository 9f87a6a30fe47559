//! Files outside a transaction, the way back, and putting records right.

use std::{
    env,
    path::Path,
    process::{Child, Command},
    time::Duration,
};

use tenantry::migrate::{
    Action, FailureReason, MigrateOptions, Migrations, Problem, SchemaState, Schemas,
};

use super::files::{Files, create_schemas, ids, migrator, recorded, tables};
use crate::support::{TestResult, World, eventually, observe, run};

fn options() -> MigrateOptions {
    MigrateOptions::default()
}

#[tokio::test]
async fn a_file_outside_a_transaction_can_have_many_statements() -> TestResult {
    let world = World::with_managed_tenants(&["acme", "globex"]).await;
    let files = Files::new(&[
        ("0001_a.sql", "create table a (id int, text text);"),
        (
            "0002_index.sql",
            "-- no-transaction\n-- Two; of them.\ncreate index concurrently a_id on a (id);\n\
             create index concurrently a_text on a (text); -- done\n",
        ),
    ]);
    // Each of two runners waits for the other's snapshots while it builds an index.
    let runners = [migrator(&world, &files), migrator(&world, &files)];
    let tasks = runners.map(|migrator| {
        let run =
            async move { migrator.migrate(["acme", "globex"], options().concurrency(2)).await };
        tokio::spawn(run)
    });
    for task in tasks {
        let report = task.await??;
        assert!(report.is_success(), "{report}");
    }
    let mut admin = world.admin().await;
    let valid = "select count(*)::text from pg_index where indisvalid and indexrelid::regclass::text \
                 in ('tenant_acme.a_id', 'tenant_acme.a_text', 'tenant_globex.a_id', 'tenant_globex.a_text')";
    assert_eq!(observe(&mut admin, valid).await, "Some(\"4\")");
    assert_eq!(recorded(&mut admin, "acme").await, "Some(\"1 2\")");
    Ok(())
}

#[tokio::test]
async fn a_file_that_fails_outside_a_transaction_is_dirty_until_somebody_puts_it_right()
-> TestResult {
    let world = World::with_managed_tenants(&["acme"]).await;
    let mut admin = world.admin().await;
    run(&mut admin, "insert into tenant_acme.users values (2, 'twice'), (3, 'twice')").await;
    let files = Files::new(&[(
        "0001_unique.sql",
        "-- no-transaction\ncreate unique index concurrently users_name on users (name);\n",
    )]);
    let migrator = migrator(&world, &files);
    let report = migrator.migrate_all(options()).await?;
    let failure = report.tenants[0].error().expect("it has failed");
    assert_eq!((failure.sqlstate.as_deref(), failure.line), (Some("23505"), Some(2)), "{failure}");
    assert_eq!(recorded(&mut admin, "acme").await, "Some(\"1!\")");
    let plan = migrator.plan(Schemas::AllTenants, &options()).await?;
    assert_eq!(plan.tenants[0].state, SchemaState::Dirty);
    assert_eq!(plan.tenants[0].problems, [Problem::Dirty { version: 1 }]);
    let report = migrator.migrate_all(options()).await?;
    assert_eq!(report.tenants[0].error().map(|failure| failure.reason), Some(FailureReason::Dirty));
    // Put right by hand, and run again.
    run(
        &mut admin,
        "drop index tenant_acme.users_name; delete from tenant_acme.users where id > 1",
    )
    .await;
    let report = migrator.forget_dirty(Schemas::AllTenants, options()).await?;
    assert_eq!(report.tenants[0].files[0].action, Action::Forgotten);
    assert!(migrator.migrate_all(options()).await?.is_success());
    assert_eq!(recorded(&mut admin, "acme").await, "Some(\"1\")");
    // Or told that it is done.
    run(&mut admin, "update tenant_acme._sqlx_migrations set success = false").await;
    let report = migrator.mark_applied(Schemas::AllTenants, None, options()).await?;
    assert_eq!((report.marked, report.migrated), (1, 0), "nothing was run: {report}");
    assert!(report.to_string().starts_with("1 of 1 tenant marked as applied"), "{report}");
    assert_eq!(report.tenants[0].outcome.as_str(), "marked");
    assert_eq!(report.tenants[0].files[0].action, Action::Marked);
    let time = "select execution_time::text from tenant_acme._sqlx_migrations";
    assert_eq!(
        observe(&mut admin, time).await,
        "Some(\"-1\")",
        "nothing is left of how far it came"
    );
    assert_eq!(recorded(&mut admin, "acme").await, "Some(\"1\")");
    Ok(())
}

#[tokio::test]
async fn a_first_statement_that_fails_leaves_nothing_to_put_right() -> TestResult {
    let world = World::with_managed_tenants(&["acme"]).await;
    let files =
        Files::new(&[("0001_odd.sql", "-- no-transaction\n\nselect nothing;\nselect 1;\n")]);
    let report = migrator(&world, &files).migrate_all(options()).await?;
    assert_eq!(report.tenants[0].error().and_then(|failure| failure.line), Some(3), "{report}");
    assert_eq!(recorded(&mut world.admin().await, "acme").await, "Some(\"\")");
    Ok(())
}

fn reversible() -> Files {
    Files::new(&[
        ("0001_a.up.sql", "create table a (id int);"),
        ("0001_a.down.sql", "drop table a;"),
        ("0002_b.up.sql", "create table b (id int);"),
        ("0002_b.down.sql", "drop table b;"),
        ("0003_i.up.sql", "-- no-transaction\ncreate index concurrently b_id on b (id);"),
        ("0003_i.down.sql", "-- no-transaction\ndrop index concurrently b_id;"),
    ])
}

#[tokio::test]
async fn what_was_applied_is_taken_back_the_latest_first() -> TestResult {
    let world = World::new().await;
    let (files, mut admin) = (reversible(), world.admin().await);
    create_schemas(&mut admin, &ids(3)).await;
    let migrator = migrator(&world, &files);
    assert!(migrator.migrate_all(options()).await?.is_success());
    let report = migrator.revert(Schemas::tenants(["t0001"]), 1, options()).await?;
    let done: Vec<_> =
        report.tenants[0].files.iter().map(|file| (file.version, file.action)).collect();
    assert_eq!(done, [(3, Action::Reverted), (2, Action::Reverted)], "{report}");
    assert_eq!(recorded(&mut admin, "t0001").await, "Some(\"1\")");
    assert_eq!((tables(&mut admin, "a").await, tables(&mut admin, "b").await), (3, 2));
    let report = migrator.revert(Schemas::AllTenants, 0, options()).await?;
    assert_eq!((report.reverted, tables(&mut admin, "a").await), (3, 0), "{report}");
    assert!(migrator.migrate_all(options()).await?.is_success());
    assert_eq!(tables(&mut admin, "b").await, 3);
    Ok(())
}

#[tokio::test]
async fn what_has_no_way_back_is_not_taken_back_and_neither_is_what_comes_after_it() -> TestResult {
    let world = World::with_managed_tenants(&["acme"]).await;
    let files = reversible();
    files.remove("0002_b.down.sql");
    let migrator = migrator(&world, &files);
    assert!(migrator.migrate_all(options()).await?.is_success());
    let report = migrator.revert(Schemas::AllTenants, 0, options()).await?;
    let failure = report.tenants[0].error().expect("it has failed");
    assert_eq!((failure.reason, failure.version), (FailureReason::Irreversible, Some(2)));
    assert_eq!(recorded(&mut world.admin().await, "acme").await, "Some(\"1 2 3\")");
    Ok(())
}

#[tokio::test]
async fn schemas_that_were_made_in_another_way_are_marked_and_orphans_forgotten() -> TestResult {
    let (world, files) = (World::with_managed_tenants(&["acme"]).await, Files::notes());
    let mut admin = world.admin().await;
    run(&mut admin, "create table tenant_acme.notes (id int)").await;
    let before = migrator(&world, &files);
    let report = before.mark_applied(Schemas::AllTenants, Some(1), options()).await?;
    assert_eq!(report.tenants[0].files[0].action, Action::Marked);
    let report = before.migrate_all(options()).await?;
    assert_eq!(report.tenants[0].files.len(), 1, "{report}");
    // A file that was squashed away.
    files.remove("0001_notes.sql");
    let after = migrator(&world, &files);
    let report = after.forget_orphans(Schemas::AllTenants, options()).await?;
    assert_eq!((report.forgotten, report.tenants[0].files[0].version), (1, 1));
    assert_eq!(recorded(&mut admin, "acme").await, "Some(\"2\")");
    assert!(after.plan(Schemas::AllTenants, &options()).await?.is_up_to_date());
    let report = after.forget_orphans(Schemas::AllTenants, options()).await?;
    assert_eq!(report.up_to_date, 1);
    Ok(())
}

const URL: &str = "TENANTRY_MIGRATE_URL";
const FOLDER: &str = "TENANTRY_MIGRATE_FOLDER";

/// What the next test kills in the middle.
#[tokio::test]
#[ignore = "a child that another test starts"]
async fn child_that_is_killed_while_it_migrates() -> TestResult {
    let (url, folder) = (env::var(URL)?, env::var(FOLDER)?);
    let manager = tenantry::TenantManager::builder(url).build()?;
    let migrations = Migrations::from_dir(Path::new(&folder))?;
    let report =
        manager.migrator().tenants(migrations).migrate_all(options().concurrency(3)).await?;
    Err(format!("it was to be killed before it has ended: {report}").into())
}

/// Starts a process that migrates all tenants, three at a time.
pub(super) fn child(world: &World, files: &Files) -> std::io::Result<Child> {
    Command::new(env::current_exe()?)
        .args(["--ignored", "--exact", "migrate::jobs::child_that_is_killed_while_it_migrates"])
        .env(URL, world.database.url())
        .env(FOLDER, files.path())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
}

#[tokio::test]
async fn a_run_that_was_killed_is_gone_on_with_by_the_next() -> TestResult {
    let world = World::new().await;
    let files = Files::new(&[
        ("0001_ran.sql", "create table ran (file int);"),
        ("0002_two.sql", "insert into ran values (2); select pg_sleep(0.02);"),
        ("0003_three.sql", "insert into ran values (3); select pg_sleep(0.02);"),
    ]);
    let mut admin = world.admin().await;
    create_schemas(&mut admin, &ids(60)).await;
    let mut child = child(&world, &files)?;
    eventually("it is in the middle", async || (10..50).contains(&tables(&mut admin, "ran").await))
        .await;
    child.kill()?;
    child.wait()?;
    // What the server has been sent already it brings to its end, as a whole.
    tokio::time::sleep(Duration::from_millis(50)).await;
    let report = migrator(&world, &files).migrate_all(options()).await?;
    assert!(report.is_success() && report.migrated > 0, "{report}");
    for id in ids(60) {
        assert_eq!(recorded(&mut admin, &id).await, "Some(\"1 2 3\")", "{id}");
        let sql = format!("select string_agg(file::text, ' ' order by file) from tenant_{id}.ran");
        assert_eq!(observe(&mut admin, &sql).await, "Some(\"2 3\")", "{id}");
    }
    Ok(())
}

#[tokio::test]
async fn a_statement_that_commits_on_the_way_is_not_run_again() -> TestResult {
    let world = World::with_managed_tenants(&["acme"]).await;
    let files = Files::new(&[(
        "0001_fill.sql",
        "-- no-transaction\ndo $$ begin insert into users values (2, 'x'); commit; \
         lock table users; end $$;",
    )]);
    let (mut admin, mut other) = (world.admin().await, world.admin().await);
    run(&mut other, "begin; select * from tenant_acme.users").await;
    let options = options().lock_timeout(Duration::from_millis(30));
    let report = migrator(&world, &files).migrate_all(options).await?;
    assert_eq!(report.failed, 1, "{report}");
    assert_eq!(recorded(&mut admin, "acme").await, "Some(\"1!\")");
    let rows = "select count(*)::text from tenant_acme.users";
    assert_eq!(observe(&mut admin, rows).await, "Some(\"2\")");
    Ok(())
}
