//! What a report says is so, whatever the schemas are called, whoever else is at work, and whatever the server's
//! settings are.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use sqlx::{
    PgConnection, SqlSafeStr,
    migrate::{Migrate, Migration, MigrationType, Migrator},
};
use tenantry::{
    ErrorKind, Ident, Isolation, TableCatalog,
    migrate::{
        End, FailureReason, MigrateOptions, Migrations, SchemaState, Schemas, TransactionPer,
        WhenLocked, WithoutRecords,
    },
    provision::{CreateOptions, DropOptions},
    seed::{Seed, SeedOptions},
};

use super::files::{Files, create_schemas, ids, migrator, recorded};
use crate::support::{TestResult, World, eventually, free_names, observe, run};

fn options() -> MigrateOptions {
    MigrateOptions::default().without_records(WithoutRecords::Migrate)
}

/// Records version 1 of another file, or of ours, in the schemas of some tenants.
async fn record_elsewhere(admin: &mut PgConnection, tenants: &[String], ours: bool) {
    let checksum = if ours { "checksum" } else { "'\\x00'::bytea" };
    for tenant in tenants {
        let sql = format!(
            "create table tenant_{tenant}._sqlx_migrations (like tenant_t0000._sqlx_migrations including all); \
             insert into tenant_{tenant}._sqlx_migrations select version, description, installed_on, success, \
             {checksum}, execution_time from tenant_t0000._sqlx_migrations"
        );
        run(&mut *admin, &sql).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenant_that_another_release_has_migrated_otherwise_is_not_up_to_date() -> TestResult {
    let world = World::new().await;
    let files = Files::new(&[("0001_notes.sql", "create table notes (id int);")]);
    let mut admin = world.admin().await;
    let ids = ids(64);
    create_schemas(&mut admin, &ids).await;
    // The run meets what somebody else has done again and again, from whichever end it comes, and so it looks at
    // all that are left.
    let (first, told) = (AtomicBool::new(true), std::sync::mpsc::sync_channel::<()>(0));
    let (reached, go_on) = (tokio::sync::Notify::new(), std::sync::Mutex::new(told.1));
    let reached = std::sync::Arc::new(reached);
    let seen = std::sync::Arc::clone(&reached);
    let once = options().concurrency(1).on_progress(move |progress| {
        let ended = matches!(progress, tenantry::migrate::Progress::Ended { .. });
        if ended && first.swap(false, Ordering::Relaxed) {
            seen.notify_one();
            tokio::task::block_in_place(|| {
                let waiting = go_on.lock().expect("nobody panics");
                let _ = waiting.recv_timeout(Duration::from_secs(60));
            });
        }
    });
    let migrator = migrator(&world, &files);
    let running = tokio::spawn({
        let migrator = migrator.clone();
        async move { migrator.migrate_all(once).await }
    });
    reached.notified().await;
    record_elsewhere(&mut admin, &ids[1..12], true).await;
    record_elsewhere(&mut admin, &ids[12..52], false).await;
    record_elsewhere(&mut admin, &ids[52..], true).await;
    tokio::task::spawn_blocking(move || told.0.send(())).await??;
    let report = running.await??;
    assert_eq!((report.migrated, report.up_to_date, report.failed), (1, 23, 40), "{report}");
    for tenant in &report.tenants[12..52] {
        let reason = tenant.error().map(|error| error.reason);
        assert_eq!(reason, Some(FailureReason::ChecksumMismatch), "{tenant:?}");
    }
    let plan = migrator.plan(Schemas::AllTenants, &options()).await?;
    assert_eq!((plan.up_to_date, plan.blocked), (24, 40), "{plan}");
    assert_eq!(plan.tenants[12].state, SchemaState::ChecksumMismatch);
    let report = migrator.mark_applied(Schemas::AllTenants, None, options()).await?;
    assert_eq!((report.marked, report.up_to_date), (40, 24), "{report}");
    assert!(migrator.plan(Schemas::AllTenants, &options()).await?.is_up_to_date());
    Ok(())
}

#[tokio::test]
async fn a_search_path_that_leads_to_a_schema_called_42_is_found() -> TestResult {
    let world = World::with_managed_tenants(&["acme"]).await;
    let mut admin = world.admin().await;
    run(&mut admin, "create schema \"42\"").await;
    let files = Files::new(&[(
        "0001_leak.sql",
        "do $$ begin execute 'set local sea' || 'rch_path = \"42\"'; end $$; create table leaked (id int);",
    )]);
    for per in [TransactionPer::File, TransactionPer::Tenant] {
        let report = migrator(&world, &files).migrate_all(options().transaction(per)).await?;
        let reason = report.tenants[0].error().map(|failure| failure.reason);
        assert_eq!(reason, Some(FailureReason::SearchPath), "{report}");
    }
    let leaked = "select (to_regclass('\"42\".leaked') is null)::text";
    assert_eq!(observe(&mut admin, leaked).await, "Some(\"true\")");
    Ok(())
}

#[tokio::test]
async fn schemas_can_have_any_name() -> TestResult {
    let files = Files::new(&[
        ("0001_notes.sql", "create table notes (id int primary key, text text);"),
        ("0002_id.sql", "-- no-transaction\ncreate index notes_text on notes (text);"),
    ]);
    for container in ["42", "1e5", "0x2a", "select", "Mixed Case", "with \"quotes\"", "ü'\\; --"] {
        let world = World::new().await;
        let manager = world.builder().catalog(TableCatalog::new()).build()?;
        TableCatalog::new().create_table(manager.shared()).await?;
        let set = files.read();
        let provisioner = manager.provisioner().tenants(set.clone());
        let named = CreateOptions::default().container(Ident::parse(container)?);
        provisioner.create("acme", named).await.map_err(|error| format!("{container}: {error}"))?;
        let migrator = manager.migrator().tenants(set);
        files.write("0003_more.sql", "alter table notes add more int;");
        let report = manager.migrator().tenants(files.read()).migrate_all(options()).await?;
        assert_eq!(report.migrated, 1, "{container}: {report}");
        files.remove("0003_more.sql");
        let orphans = migrator.forget_orphans(Schemas::AllTenants, options()).await?;
        assert_eq!(orphans.forgotten, 1, "{container}: {orphans}");
        assert!(migrator.plan(Schemas::AllTenants, &options()).await?.is_up_to_date());
        let seed = Seed::sql("first", "insert into notes values (1, 'ü')");
        for already in [0, 1] {
            let report = manager.seeder().seed_all(&seed, SeedOptions::default()).await?;
            assert!(report.is_success() && report.already == already, "{container}: {report}");
        }
        let text: String = sqlx::query_scalar("select text from notes")
            .fetch_one(&manager.tenant("acme").await?)
            .await?;
        assert_eq!(text, "ü", "{container}");
        provisioner.drop_tenant("acme", "acme", DropOptions::default()).await?;
    }
    Ok(())
}

#[tokio::test]
async fn ids_can_be_numbers_and_schemas_be_called_like_them() -> TestResult {
    let (world, files) = (World::new().await, Files::notes());
    let manager = world.builder().isolation(Isolation::schema("{id}")).build()?;
    let provisioner = manager.provisioner().tenants(files.read());
    provisioner.fill_spares(1).await?;
    for id in ["42", "7"] {
        provisioner.create(id, CreateOptions::default()).await?;
    }
    let mut admin = world.admin().await;
    let report = manager.migrator().tenants(files.read()).migrate_all(options()).await?;
    assert_eq!((report.total, report.up_to_date), (2, 2), "{report}");
    provisioner.rename("42", "43").await?;
    free_names(&mut admin).await;
    let count = "select count(*) from notes";
    let notes: i64 = sqlx::query_scalar(count).fetch_one(&manager.tenant("43").await?).await?;
    assert_eq!(notes, 0);
    provisioner.drop_tenant("43", "43", DropOptions::default()).await?;
    assert_eq!(manager.tenants().await?.len(), 1);
    Ok(())
}

#[tokio::test]
async fn the_server_s_defaults_neither_end_a_run_nor_change_what_files_do() -> TestResult {
    let world = World::with_managed_tenants(&["acme"]).await;
    let mut admin = world.admin().await;
    let database = world.database.name();
    let mut defaults = vec![
        ("statement_timeout", "'50ms'"),
        ("idle_in_transaction_session_timeout", "'50ms'"),
        ("idle_session_timeout", "'1h'"),
        ("bytea_output", "escape"),
        ("standard_conforming_strings", "off"),
        ("default_transaction_isolation", "serializable"),
        ("client_encoding", "'LATIN1'"),
        ("intervalstyle", "'sql_standard'"),
        ("datestyle", "'SQL, DMY'"),
        ("quote_all_identifiers", "on"),
    ];
    if crate::support::server_version(&mut admin).await >= 17 {
        defaults.push(("transaction_timeout", "'50ms'"));
    }
    for (name, value) in defaults {
        run(&mut admin, &format!("alter database {database} set {name} = {value}")).await;
    }
    let files = Files::new(&[
        (
            "0001_slow.sql",
            "create table notes (text text); select pg_sleep(0.2); \
             do $$ begin assert current_setting('idle_session_timeout') = '0'; end $$;",
        ),
        ("0002_text.sql", r"insert into notes values ('ü \ ');"),
        (
            "0003_outside.sql",
            "-- no-transaction\nselect pg_sleep(0.1);\ninsert into notes values ('\\');",
        ),
    ]);
    // Whatever is idle is ended by the server: only the run itself must not be.
    let manager = world.with_pool(|options| {
        options.idle_in_transaction_timeout = None;
    });
    let migrator = manager.migrator().tenants(files.read());
    let report = migrator.migrate_all(options()).await?;
    assert!(report.is_success() && report.tenants[0].attempts == 1, "{report}");
    assert!(migrator.plan(Schemas::AllTenants, &options()).await?.is_up_to_date());
    let seed = Seed::new("waits", |tx| {
        Box::pin(async move {
            sqlx::query("insert into notes select 'seed' from pg_sleep(0.1)")
                .execute(&mut **tx)
                .await?;
            tokio::time::sleep(Duration::from_millis(150)).await;
            sqlx::query("insert into notes values ('twice')").execute(&mut **tx).await?;
            Ok(())
        })
    });
    let report = manager.seeder().seed_all(&seed, SeedOptions::default()).await?;
    assert!(report.is_success(), "{report}");
    let provisioner = manager.provisioner().tenants(files.read()).seed(seed);
    // While one connection makes it, another keeps a lock.
    assert_eq!(provisioner.fill_spares(1).await?.made, 1);
    provisioner.create("globex", CreateOptions::default()).await?;
    for tenant in ["acme", "globex"] {
        let texts = format!("select string_agg(text, ',') from tenant_{tenant}.notes");
        assert_eq!(observe(&mut admin, &texts).await, r#"Some("ü \\ ,\\,seed,twice")"#);
    }
    Ok(())
}

#[tokio::test]
async fn an_encoding_that_a_file_sets_does_not_reach_what_comes_after_it() -> TestResult {
    let files = Files::new(&[
        ("0001_old.sql", "set client_encoding = 'LATIN1'; create table notes (text text);"),
        ("0002_größe.sql", "insert into notes values ('größe'), ('\u{1f600}');"),
    ]);
    let outside = Files::new(&[
        ("0001_old.sql", "set client_encoding = 'LATIN1'; create table notes (text text);"),
        (
            "0002_größe.sql",
            "-- no-transaction\nset client_encoding = 'LATIN1';\ninsert into notes values ('größe'), ('\u{1f600}');",
        ),
    ]);
    let both = [Seed::sql("sql", "insert into notes values ('süß')"), {
        Seed::new("closure", |tx| {
            Box::pin(async move {
                let insert = sqlx::query("insert into notes values ($1)").bind("größer");
                insert.execute(&mut **tx).await?;
                Ok(())
            })
        })
    }];
    for (files, per) in [
        (&files, TransactionPer::File),
        (&files, TransactionPer::Tenant),
        (&outside, TransactionPer::File),
    ] {
        let world = World::with_managed_tenants(&["acme"]).await;
        let manager = world.manager();
        let report = manager
            .migrator()
            .tenants(files.read())
            .migrate_all(options().transaction(per))
            .await?;
        assert!(report.is_success(), "{report}");
        for seed in &both {
            let report = manager.seeder().seed_all(seed, SeedOptions::default()).await?;
            assert!(report.is_success(), "{report}");
        }
        let [sql, closure] = both.clone();
        let provisioner = manager.provisioner().tenants(files.read()).seed(sql).seed(closure);
        provisioner.create("globex", CreateOptions::default()).await?;
        let mut admin = world.admin().await;
        for tenant in ["acme", "globex"] {
            let texts = format!("select string_agg(text, ',') from tenant_{tenant}.notes");
            let expected = "Some(\"größe,\u{1f600},süß,größer\")";
            assert_eq!(observe(&mut admin, &texts).await, expected, "{tenant}, {per:?}");
            let described = format!(
                "select description from tenant_{tenant}._sqlx_migrations where version = 2"
            );
            assert_eq!(observe(&mut admin, &described).await, "Some(\"größe\")");
        }
    }
    Ok(())
}

#[tokio::test]
async fn an_answer_that_sqlx_cannot_read_is_the_file_s_and_no_lost_connection() -> TestResult {
    let sql = "set client_encoding = 'LATIN1'; create table t (id int); \
               do $$ begin raise exception 'größe'; end $$;";
    for per in [TransactionPer::File, TransactionPer::Tenant] {
        let world = World::with_managed_tenants(&["acme"]).await;
        let (files, mut admin) = (Files::new(&[("0001_it.sql", sql)]), world.admin().await);
        let set = files.read().lint(tenantry::migrate::Lint::default().skip(1));
        let migrator = world.manager().migrator().tenants(set);
        let report = migrator.migrate_all(options().transaction(per)).await?;
        let failure = report.tenants[0].error().expect("it has failed");
        assert_eq!(failure.reason, FailureReason::Statement, "{report}");
        assert!(failure.to_string().contains("client_encoding"), "{failure}");
        assert_eq!(failure.file.as_deref(), Some("0001_it.sql"), "{failure}");
        assert_eq!(report.tenants[0].attempts, 1, "it would be the same again");
        let left = "select (to_regclass('tenant_acme.t') is null)::text";
        assert_eq!(observe(&mut admin, left).await, "Some(\"true\")");
    }
    Ok(())
}

#[tokio::test]
async fn a_run_waits_while_sqlx_s_own_migrator_is_at_work() -> TestResult {
    let (world, files) = (World::with_managed_tenants(&["acme"]).await, Files::notes());
    let (migrator, mut sqlx) = (migrator(&world, &files), world.admin().await);
    sqlx.lock().await?;
    let running = tokio::spawn({
        let migrator = migrator.clone();
        async move { migrator.migrate_all(options()).await }
    });
    // Not the lock itself is waited for: whoever waits inside the server keeps others from building indexes.
    run(&mut world.admin().await, "create index concurrently on tenant_acme.users (name)").await;
    assert!(!running.is_finished(), "it waits");
    let skipping = options().when_locked(WhenLocked::Skip).to(1);
    assert_eq!(migrator.migrate_all(skipping).await?.migrated, 1, "it does not wait");
    let stop = tokio::time::sleep(Duration::from_millis(100));
    let stopped = migrator.migrate(["acme"], options().stop_when(stop)).await?;
    assert_eq!((stopped.end, stopped.not_started), (End::Stopped, 1), "{stopped}");
    sqlx.unlock().await?;
    let report = running.await??;
    assert_eq!(report.migrated, 1, "{report}");
    assert_eq!(recorded(&mut sqlx, "acme").await, "Some(\"1 2\")");
    // With nothing to do nobody looks.
    sqlx.lock().await?;
    assert_eq!(migrator.migrate_all(options()).await?.up_to_date, 1);
    Ok(())
}

#[tokio::test]
async fn a_seed_waits_for_another_of_the_schema_without_keeping_indexes_from_being_built()
-> TestResult {
    let world = World::with_managed_tenants(&["acme"]).await;
    let (begun, may_end) = (std::sync::Arc::new(tokio::sync::Notify::new()), {
        std::sync::Arc::new(tokio::sync::Notify::new())
    });
    let seed = Seed::new("slow", {
        let (begun, may_end) = (begun.clone(), may_end.clone());
        move |tx| {
            let (begun, may_end) = (begun.clone(), may_end.clone());
            Box::pin(async move {
                begun.notify_one();
                may_end.notified().await;
                let insert = "insert into users (id, name) values (2, 'seed')";
                sqlx::query(insert).execute(&mut **tx).await?;
                Ok(())
            })
        }
    });
    let other = world.manager();
    let run_it = |manager: &tenantry::TenantManager| {
        let (seeder, seed) = (manager.seeder(), seed.clone());
        tokio::spawn(async move { seeder.seed_all(&seed, SeedOptions::default()).await })
    };
    let first = run_it(&world.manager());
    begun.notified().await;
    let second = run_it(&other);
    let mut admin = world.admin().await;
    // It gives its connection back between two looks.
    eventually("the second has looked again", async || {
        let acquires = other.snapshot().acquires;
        acquires.hit + acquires.rebind + acquires.open >= 6
    })
    .await;
    let in_vain = "select count(*)::text from pg_locks l join pg_database d on d.oid = l.database \
                   where d.datname = current_database() and not l.granted";
    assert_eq!(observe(&mut admin, in_vain).await, "Some(\"0\")", "nobody waits in the server");
    may_end.notify_one();
    let (first, second) = (first.await??, second.await??);
    assert_eq!((first.seeded, second.already), (1, 1), "{first} {second}");
    Ok(())
}

#[tokio::test]
async fn a_right_that_is_missing_is_named_with_the_role() -> TestResult {
    let (world, files) = (World::with_tenants(&["acme"]).await, Files::notes());
    let mut admin = world.admin().await;
    let role = format!("no_creator_{}", std::process::id());
    run(&mut admin, &format!("create role {role} login")).await;
    let (_, host) = world.database.url().split_once('@').expect("it names a user");
    let manager = tenantry::TenantManager::builder(format!("postgres://{role}@{host}")).build()?;
    let provisioner = manager.provisioner().tenants(files.read());
    for options in [CreateOptions::default(), CreateOptions::default().keep_failed(true)] {
        let error = provisioner.create("globex", options).await.expect_err("it may not");
        assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error:?}");
        let grant = format!("grant create on database \"{}\" to \"{role}\"", world.database.name());
        assert!(error.to_string().contains(&grant), "{error}");
        assert!(!error.is_transient());
    }
    // What a file may not do is the file's failure.
    run(&mut admin, &format!("grant usage, create on schema tenant_acme to {role}")).await;
    let files = Files::new(&[("0001_users.sql", "alter table users add x int;")]);
    let migrator = manager.migrator().tenants(files.read());
    let report = migrator.migrate_all(options()).await?;
    let failure = report.tenants[0].error().expect("the table is another role's");
    assert_eq!((failure.reason, report.tenants[0].attempts), (FailureReason::Permission, 1));
    assert_eq!(failure.file.as_deref(), Some("0001_users.sql"));
    manager.close().await;
    run(&mut admin, &format!("drop owned by {role}; drop role {role}")).await;
    Ok(())
}

#[tokio::test]
async fn a_chain_of_errors_says_nothing_twice() -> TestResult {
    let world = World::new().await;
    let files = Files::new(&[("0001_f.sql", "create table t (id int);\ncreate table t (id int);")]);
    let manager = world.manager();
    let provisioner = manager.provisioner().tenants(files.read());
    let error = provisioner.create("made", CreateOptions::default()).await.expect_err("it fails");
    let sources = std::iter::successors(Some(&error as &dyn std::error::Error), |e| e.source());
    let chain = sources.map(ToString::to_string).collect::<Vec<_>>().join(": ");
    for once in ["0001_f.sql", "already exists", "42P07", "made"] {
        assert_eq!(chain.matches(once).count(), 1, "{once} in {chain}");
    }
    assert_eq!(error.class(), tenantry::ErrorClass::Syntax, "the server's word is still known");
    Ok(())
}

#[tokio::test]
async fn a_way_back_of_nothing_is_passed_over_and_named() -> TestResult {
    let world = World::with_managed_tenants(&["acme"]).await;
    let files = Files::notes();
    files.write("0007_gone.down.sql", "drop table gone;");
    let migrator = migrator(&world, &files);
    assert_eq!(migrator.migrate_all(options()).await?.migrated, 1);
    let plan = migrator.plan(Schemas::AllTenants, &options()).await?;
    assert!(plan.is_up_to_date() && plan.to_string().contains("0007_gone.down.sql"), "{plan}");
    assert_eq!(&*plan.stray[0], "0007_gone.down.sql");
    Ok(())
}

#[tokio::test]
async fn what_sqlx_toml_says_is_followed_or_refused() -> TestResult {
    let migration = || {
        let (text, kind) = ("create table notes (id int);\r\n", MigrationType::Simple);
        Migration::new(1, "notes".into(), kind, text.into_sql_str(), false)
    };
    let mut elsewhere = Migrator::with_migrations(vec![migration()]);
    elsewhere.dangerous_set_table_name("ops.migrations");
    let error = Migrations::embedded(&elsewhere).expect_err("it would be ignored");
    assert!(error.to_string().contains("ops.migrations"), "{error}");
    let mut creating = Migrator::with_migrations(vec![migration()]);
    creating.create_schema("ops");
    let error = Migrations::embedded(&creating).expect_err("it would be ignored");
    assert!(error.to_string().contains("to create ops"), "{error}");
    Migrations::embedded(&Migrator::with_migrations(vec![migration()]))?;
    // Schemas that sqlx has migrated without looking at blanks.
    let world = World::with_managed_tenants(&["acme"]).await;
    let files = Files::new(&[("1_notes.sql", "create table notes (id int);")]);
    let read = |files: &Files| Migrations::from_dir_ignoring(files.path(), [' ', '\n']);
    let report = world.manager().migrator().tenants(read(&files)?).migrate_all(options()).await?;
    assert_eq!(report.migrated, 1, "{report}");
    files.write("1_notes.sql", "create table notes\n    (id int);\n");
    let migrator = world.manager().migrator();
    let same =
        migrator.clone().tenants(read(&files)?).plan(Schemas::AllTenants, &options()).await?;
    assert!(same.is_up_to_date(), "{same}");
    let other = migrator.tenants(files.read()).plan(Schemas::AllTenants, &options()).await?;
    assert_eq!(other.tenants[0].state, SchemaState::ChecksumMismatch);
    Ok(())
}
