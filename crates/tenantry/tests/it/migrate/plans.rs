//! What would be done: the files as sqlx knows them, compared with what is recorded.

use sqlx::{PgConnection, migrate::Migrator};
use tenantry::migrate::{
    FailureReason, MigrateOptions, Migrations, MigrationsError, Problem, SchemaState, Schemas,
    TenantMigrator,
};

use super::files::{Files, create_schemas, ids, migrator, recorded};
use crate::support::{TestResult, World, observe, run};

fn options() -> MigrateOptions {
    MigrateOptions::default()
}

async fn state(migrator: &TenantMigrator, tenant: &str) -> (SchemaState, Vec<Problem>) {
    let plan = migrator.plan(Schemas::tenants([tenant]), &options()).await.expect("it can be read");
    (plan.tenants[0].state, plan.tenants[0].problems.clone())
}

#[tokio::test]
async fn a_plan_names_the_state_of_every_tenant() -> TestResult {
    let (world, files) = (World::new().await, Files::notes());
    let mut admin = world.admin().await;
    create_schemas(&mut admin, &["new", "old", "same"]).await;
    assert!(migrator(&world, &files).migrate(["old"], options().to(1)).await?.is_success());
    assert!(migrator(&world, &files).migrate(["same"], options()).await?.is_success());
    let migrator = migrator(&world, &files);
    let plan = migrator.plan(Schemas::AllTenants, &options()).await?;
    assert_eq!((plan.total, plan.up_to_date, plan.pending, plan.blocked), (3, 1, 2, 0), "{plan}");
    let pending: Vec<_> = plan.tenants.iter().map(|tenant| tenant.pending.len()).collect();
    assert_eq!(pending, [2, 1, 0]);
    let text = plan.to_string();
    assert!(text.contains("old     tenant_old   pending     1        0002_author.sql"), "{text}");
    let json = serde_json::to_value(&plan)?;
    assert_eq!(json["tenants"][1]["pending"][0]["version"], 2);
    let named = Schemas::tenants(["old", "nobody", "old"]);
    let plan = migrator.plan(named, &options()).await?;
    assert_eq!((plan.total, plan.pending, plan.blocked), (2, 1, 1));
    let error = plan.tenants[1].error.as_ref().map(|error| error.reason);
    assert_eq!(
        (plan.tenants[1].state, error),
        (SchemaState::Unreachable, Some(FailureReason::Tenant))
    );
    Ok(())
}

/// All rows of a database, of the catalogs as well: where each is, and which transaction wrote it.
///
/// Not by `pg_dump`, which knows no newer server than itself. Statistics are left out, since they are
/// gathered at any time.
async fn rows(admin: &mut PgConnection) -> Vec<String> {
    let tables = "select string_agg(format(
            'select format(%L, ctid, xmin, cmin) as row from only %s', oid::regclass || ' %s %s %s',
            oid::regclass), ' union all ' order by oid)
        from pg_class
        where relkind = 'r' and not relisshared and relpersistence = 'p' and relname !~ '^pg_statistic'";
    let sql: String =
        sqlx::query_scalar(tables).fetch_one(&mut *admin).await.expect("it can be read");
    let sql = format!("select array_agg(row order by row) from ({sql}) as rows");
    rows_of(admin, &sql).await
}

#[expect(clippy::disallowed_methods, reason = "the text is the test's own")]
async fn rows_of(admin: &mut PgConnection, sql: &str) -> Vec<String> {
    let query = sqlx::query_scalar(sqlx::AssertSqlSafe(sql));
    query.fetch_one(admin).await.expect("it can be read")
}

#[tokio::test]
async fn a_dry_run_changes_nothing() -> TestResult {
    let (world, files) = (World::new().await, Files::notes());
    let mut admin = world.admin().await;
    create_schemas(&mut admin, &["new", "old"]).await;
    let migrator = migrator(&world, &files).shared(files.read());
    assert!(migrator.migrate(["old"], options().to(1)).await?.is_success());
    let before = rows(&mut admin).await;
    let plan = migrator.plan(Schemas::AllTenants, &options()).await?;
    assert_eq!((plan.pending, plan.is_up_to_date()), (2, false));
    assert_eq!(rows(&mut admin).await, before);
    assert!(migrator.migrate_all(options()).await?.is_success());
    assert_ne!(rows(&mut admin).await, before, "the comparison can see a difference");
    Ok(())
}

#[tokio::test]
async fn an_edited_file_is_found_and_nothing_is_run() -> TestResult {
    let (world, files) = (World::with_managed_tenants(&["acme"]).await, Files::notes());
    assert!(migrator(&world, &files).migrate_all(options().to(1)).await?.is_success());
    files.write("0001_notes.sql", "create table notes (id bigint);");
    let edited = migrator(&world, &files);
    let problem = Problem::ChecksumMismatch { version: 1 };
    assert_eq!(state(&edited, "acme").await, (SchemaState::ChecksumMismatch, vec![problem]));
    let report = edited.migrate_all(options()).await?;
    let failure = report.tenants[0].error().expect("it has failed");
    assert_eq!(failure.reason, FailureReason::ChecksumMismatch);
    assert_eq!(recorded(&mut world.admin().await, "acme").await, "Some(\"1\")");
    Ok(())
}

#[tokio::test]
async fn missing_files_and_those_out_of_order_are_found_and_can_be_allowed() -> TestResult {
    let (world, files) = (World::with_managed_tenants(&["acme"]).await, Files::notes());
    assert!(migrator(&world, &files).migrate_all(options()).await?.is_success());
    files.remove("0001_notes.sql");
    files.write("0000_late.sql", "create table late (id int);");
    files.write("0003_next.sql", "create table next (id int);");
    let migrator = migrator(&world, &files);
    let (state, problems) = state(&migrator, "acme").await;
    assert_eq!(state, SchemaState::MissingFile);
    let late = Problem::OutOfOrder { version: 0, after: 2 };
    assert_eq!(problems, [Problem::MissingFile { version: 1 }, late]);
    for (options, reason) in [
        (options(), FailureReason::MissingFile),
        (options().ignore_missing(true), FailureReason::OutOfOrder),
    ] {
        let report = migrator.migrate_all(options).await?;
        assert_eq!(report.tenants[0].error().map(|failure| failure.reason), Some(reason));
    }
    let lenient = options().ignore_missing(true).allow_out_of_order(true);
    let report = migrator.migrate_all(lenient).await?;
    assert!(report.is_success(), "{report}");
    assert_eq!(recorded(&mut world.admin().await, "acme").await, "Some(\"0 1 2 3\")");
    Ok(())
}

#[tokio::test]
async fn line_ends_and_a_byte_order_mark_make_no_other_file() -> TestResult {
    let world = World::with_managed_tenants(&["acme", "globex"]).await;
    let mut admin = world.admin().await;
    let unix = "create table a (\n  id int\n);\n";
    let windows = unix.replace('\n', "\r\n");
    let files = Files::new(&[
        ("0001_a.sql", windows.clone().into_bytes()),
        (
            "0002_mark.sql",
            b"\xef\xbb\xbf-- no-transaction\r\ncreate index concurrently on a (id);\r\n".to_vec(),
        ),
        ("0003_mark.sql", b"\xef\xbb\xbfcreate table b (id int);\r\n".to_vec()),
    ]);
    let report = migrator(&world, &files).migrate_all(options()).await?;
    assert!(report.is_success(), "{report}");
    for (version, text) in [(1, unix), (1, &windows)] {
        files.write("0001_a.sql", text);
        let plan = migrator(&world, &files).plan(Schemas::AllTenants, &options()).await?;
        assert!(plan.is_up_to_date(), "version {version}: {plan}");
    }
    let indexes = "select count(*)::text from pg_indexes where tablename = 'a'";
    assert_eq!(observe(&mut admin, indexes).await, "Some(\"2\")");
    Ok(())
}

#[tokio::test]
async fn folders_that_are_none_are_refused_with_their_reason() -> TestResult {
    type Contents = &'static [(&'static str, &'static [u8])];
    type IsRight = fn(&MigrationsError) -> bool;
    let cases: [(Contents, IsRight, &str); 6] = [
        (&[], |error| matches!(error, MigrationsError::Empty { .. }), "there is no migration in"),
        (
            &[("1_a.sql", b""), ("0001_b.sql", b"")],
            |error| matches!(error, MigrationsError::SameVersion { version: 1, .. }),
            "has two files",
        ),
        (
            &[("1_a.sql", b""), ("1_a.up.sql", b"")],
            |error| matches!(error, MigrationsError::SameVersion { version: 1, .. }),
            "rename one of them",
        ),
        (
            &[("1_a.down.sql", b"")],
            |error| matches!(error, MigrationsError::Empty { .. }),
            "there is no migration in",
        ),
        (&[("x_a.sql", b"")], |error| matches!(error, MigrationsError::Read { .. }), "x_a.sql"),
        (&[("1_a.sql", b"\xff")], |error| matches!(error, MigrationsError::Read { .. }), "1_a.sql"),
    ];
    for (contents, is_right, says) in cases {
        let files = Files::new(contents);
        let error = Migrations::from_dir(files.path()).expect_err("it is no set of migrations");
        assert!(is_right(&error) && error.to_string().contains(says), "{error}");
    }
    let nowhere = Migrations::from_dir("/nowhere/at/all").expect_err("there is no such folder");
    assert!(nowhere.to_string().contains("/nowhere/at/all"), "{nowhere}");
    Ok(())
}

#[tokio::test]
async fn a_file_of_five_megabytes_is_run() -> TestResult {
    let world = World::with_managed_tenants(&["acme"]).await;
    let mut text = String::from("create table big (id int, text text);\n");
    for row in 0..50_000 {
        text.push_str(&format!("insert into big values ({row}, '{}');\n", "x".repeat(70)));
    }
    assert!(text.len() > 5_000_000);
    let files = Files::new(&[("0001_big.sql", text)]);
    let report = migrator(&world, &files).migrate_all(options()).await?;
    assert!(report.is_success(), "{report}");
    let rows = "select count(*)::text from tenant_acme.big";
    assert_eq!(observe(&mut world.admin().await, rows).await, "Some(\"50000\")");
    Ok(())
}

#[tokio::test]
async fn what_is_recorded_is_what_sqlx_records() -> TestResult {
    let (world, files) = (World::new().await, Files::notes());
    let mut admin = world.admin().await;
    create_schemas(&mut admin, &["ours", "theirs"]).await;
    // sqlx on a schema of ours: nothing to do, and nothing to complain of.
    assert!(migrator(&world, &files).migrate(["ours"], options()).await?.is_success());
    let sqlx = Migrator::new(files.path()).await?;
    run(&mut admin, "set search_path to tenant_ours").await;
    sqlx.run(&mut admin).await?;
    // And the other way round.
    run(&mut admin, "set search_path to tenant_theirs").await;
    sqlx.run_to(1, &mut admin).await?;
    let report = migrator(&world, &files).migrate(["theirs"], options()).await?;
    assert_eq!(report.tenants[0].files.len(), 1, "{report}");
    sqlx.run(&mut admin).await?;
    let columns = |schema: &str| {
        format!(
            "select string_agg(concat_ws(' ', a.attname, format_type(a.atttypid, a.atttypmod), \
             a.attnotnull, pg_get_expr(d.adbin, d.adrelid)), ', ' order by a.attnum) \
             from pg_attribute a left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum \
             where a.attrelid = '{schema}._sqlx_migrations'::regclass and a.attnum > 0"
        )
    };
    let ours = observe(&mut admin, &columns("tenant_ours")).await;
    assert_eq!(ours, observe(&mut admin, &columns("tenant_theirs")).await);
    let rows = |schema: &str| {
        format!(
            "select string_agg(concat_ws(' ', version, description, success, checksum), ', ') \
             from {schema}._sqlx_migrations"
        )
    };
    let ours = observe(&mut admin, &rows("tenant_ours")).await;
    assert_eq!(ours, observe(&mut admin, &rows("tenant_theirs")).await);
    let timed = "select bool_and(execution_time > 0 and execution_time < 60e9)::text \
                 from tenant_ours._sqlx_migrations";
    assert_eq!(observe(&mut admin, timed).await, "Some(\"true\")");
    Ok(())
}

#[tokio::test]
async fn embedded_files_are_the_same_as_those_of_a_folder() -> TestResult {
    let (world, files) = (World::with_managed_tenants(&["acme"]).await, Files::notes());
    let embedded = Migrations::embedded(&Migrator::new(files.path()).await?)?;
    let names: Vec<_> = embedded.files().iter().map(|file| file.name()).collect();
    assert_eq!(names, ["1_notes.sql", "2_author.sql"]);
    let manager = world.manager();
    let report = manager.migrator().tenants(embedded).migrate_all(options()).await?;
    assert!(report.is_success(), "{report}");
    let plan = migrator(&world, &files).plan(Schemas::AllTenants, &options()).await?;
    assert!(plan.is_up_to_date(), "{plan}");
    Ok(())
}

#[tokio::test]
async fn thousands_are_read_although_some_cannot_be() -> TestResult {
    let (world, files) = (World::new().await, Files::notes());
    let mut admin = world.admin().await;
    let ids = ids(1_300);
    for batch in ids.chunks(50) {
        let schemas = batch.iter().map(|id| {
            format!(
                "create schema tenant_{id}; create table tenant_{id}._sqlx_migrations (version bigint \
                 primary key, success boolean, checksum bytea);"
            )
        });
        run(&mut admin, &schemas.collect::<String>()).await;
    }
    run(&mut admin, "alter table tenant_t0777._sqlx_migrations rename checksum to sum").await;
    run(
        &mut admin,
        "alter table tenant_t1299._sqlx_migrations alter checksum type text; \
         insert into tenant_t1299._sqlx_migrations values (1, true, 'x')",
    )
    .await;
    let plan = migrator(&world, &files).plan(Schemas::AllTenants, &options()).await?;
    assert_eq!((plan.total, plan.pending, plan.blocked), (1_300, 1_298, 2), "{:?}", plan.duration);
    for odd in [777, 1_299] {
        let error = plan.tenants[odd].error.as_ref().map(|error| error.reason);
        assert_eq!(error, Some(FailureReason::Unreadable), "{odd}");
    }
    Ok(())
}
