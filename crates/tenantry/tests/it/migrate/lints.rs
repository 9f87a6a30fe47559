//! What is found in files before they are run: what keeps them from it, and what they are warned of.

use tenantry::{
    ErrorKind,
    migrate::{Lint, MigrateOptions, Problem, Rule, SchemaState, Schemas},
};

use super::files::{Files, create_schemas, migrator, recorded, tables};
use crate::support::{TestResult, World, observe, run};

fn options() -> MigrateOptions {
    MigrateOptions::default()
}

#[tokio::test]
async fn what_must_not_be_in_a_file_is_told_before_anything_is_run() -> TestResult {
    let world = World::with_managed_tenants(&["acme"]).await;
    let mut admin = world.admin().await;
    for (text, line, says) in [
        ("create table a (id int);\ncreate table public.b (id int);", 2, "public"),
        ("create table a (id int);\n\ncommit;", 3, "commit"),
        ("set search_path to globex;", 1, "search_path"),
        ("create extension if not exists pgcrypto;", 1, "schema"),
        ("select 1;\nselect 'never closed;", 2, "not terminated"),
        ("create table a (id int references tenant_globex.users);", 1, "tenant_globex"),
    ] {
        let files = Files::new(&[("0001_odd.sql", text)]);
        let error = migrator(&world, &files).migrate_all(options()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Migration, "{text}");
        let told = error.to_string().to_lowercase();
        assert!(told.contains("0001_odd.sql") && told.contains(&format!("line {line}")), "{told}");
        assert!(told.contains(says), "{told}");
        let provisioner = world.manager().provisioner().tenants(files.read());
        let error = provisioner.create("new", Default::default()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Migration, "{text}");
    }
    assert_eq!(tables(&mut admin, "a").await, 0);
    Ok(())
}

#[tokio::test]
async fn files_that_can_never_run_are_refused_without_any_tenant() -> TestResult {
    let world = World::new().await;
    let files = Files::notes();
    files.write("0003_odd.sql", "create table public.x (id int);");
    let migrator = migrator(&world, &files);
    let error = migrator.migrate_all(options()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Migration);
    let plan = migrator.plan(Schemas::AllTenants, &options()).await?;
    assert_eq!(plan.lint.errors.len(), 1, "{plan}");
    assert_eq!(plan.lint.errors[0].finding.rule, Rule::ForeignSchema);
    assert!(plan.to_string().contains("error: 0003_odd.sql, line 1: "), "{plan}");
    assert!(!plan.is_up_to_date(), "{plan}");
    // Nothing comes of it up to a version before.
    assert!(migrator.migrate_all(options().to(2)).await?.is_success());
    assert_eq!(files.read().check().errors, plan.lint.errors);
    assert!(files.read().check().into_result().is_err());
    assert_eq!(files.read().check_shared().errors, []);
    Ok(())
}

#[tokio::test]
async fn a_file_that_was_applied_is_skipped_and_not_edited() -> TestResult {
    let world = World::with_managed_tenants(&["acme"]).await;
    let mut admin = world.admin().await;
    let files = Files::new(&[("0001_old.sql", "create table a (id int);\nselect public.now();")]);
    run(&mut admin, "create function public.now() returns timestamptz language sql return now()")
        .await;
    let set = |lint| world.manager().migrator().tenants(files.read().lint(lint));
    let allowed = set(Lint::default().allow_schema("public"));
    assert!(allowed.migrate_all(options()).await?.is_success());

    // It is run nowhere, so it keeps nothing from running; a new tenant would be refused.
    let report = set(Lint::default()).migrate_all(options()).await?;
    assert!(report.is_success(), "{report}");
    let [remark] = report.lint.warnings.as_slice() else { panic!("{report}") };
    assert!(remark.applied && report.to_string().contains("Lint::skip(1)"), "{report}");
    create_schemas(&mut admin, &["globex"]).await;
    let error = set(Lint::default()).migrate_all(options()).await.unwrap_err();
    assert!(error.to_string().contains("do not edit it: use Lint::skip(1)"), "{error}");
    let skipped = set(Lint::default().skip(1));
    assert!(skipped.migrate_all(options()).await?.is_success());
    let provisioner =
        world.manager().provisioner().tenants(files.read().lint(Lint::default().skip_until(1)));
    provisioner.create("initech", Default::default()).await?;

    // Whoever has edited it all the same is told how that heals.
    files.write("0001_old.sql", "create table a (id int);");
    let edited = migrator(&world, &files);
    let plan = edited.plan(Schemas::tenants(["acme"]), &options()).await?;
    assert_eq!(plan.tenants[0].problems, [Problem::ChecksumMismatch { version: 1 }]);
    let told = plan.to_string();
    assert!(told.contains("Lint::skip(1)") && told.contains("mark_applied"), "{told}");
    assert!(edited.mark_applied(Schemas::AllTenants, None, options()).await?.is_success());
    assert!(edited.plan(Schemas::AllTenants, &options()).await?.is_up_to_date());
    Ok(())
}

#[tokio::test]
async fn the_file_of_a_dirty_schema_is_looked_into() -> TestResult {
    let world = World::with_managed_tenants(&["acme"]).await;
    let files = Files::new(&[("0001_x.sql", "-- no-transaction\nselect 1;\nselect 1/0;")]);
    assert!(!migrator(&world, &files).migrate_all(options()).await?.is_success());
    let plan = migrator(&world, &files).plan(Schemas::AllTenants, &options()).await?;
    assert_eq!(plan.tenants[0].state, SchemaState::Dirty);
    files.write("0001_x.sql", "-- no-transaction\nselect 1;\ncreate table public.x ();");
    let error = migrator(&world, &files).migrate_all(options()).await.unwrap_err();
    assert!(error.to_string().contains("0001_x.sql, line 3"), "{error}");
    Ok(())
}

#[tokio::test]
async fn a_file_in_a_pair_is_run_without_it_and_keeps_its_checksum() -> TestResult {
    let world = World::with_managed_tenants(&["acme", "globex"]).await;
    let mut admin = world.admin().await;
    let text = "-- psql -f\nBEGIN TRANSACTION;\n\ncreate table a (id int);\nEND; -- done\n";
    let files = Files::new(&[
        ("0001_a.sql", text),
        ("0002_b.up.sql", "\u{feff}start transaction;create table b (id int);commit;"),
        ("0002_b.down.sql", "begin; drop table b; commit;"),
        ("0000_n.sql", "-- no-transaction\nbegin; create table n (id int); commit;"),
    ]);
    assert!(files.read().files().iter().all(|file| file.is_transactional()));
    let report = migrator(&world, &files).migrate_all(options()).await?;
    assert!(report.is_success(), "{report}");
    assert_eq!((tables(&mut admin, "a").await, tables(&mut admin, "b").await), (2, 2));
    let sum = "select encode(checksum, 'hex') from tenant_acme._sqlx_migrations where version = 1";
    let expected = format!("select encode(sha384(convert_to({}, 'UTF8')), 'hex')", quoted(text));
    assert_eq!(observe(&mut admin, sum).await, observe(&mut admin, &expected).await);
    let provisioner = world.manager().provisioner().tenants(files.read());
    provisioner.create("initech", Default::default()).await?;
    assert_eq!(tables(&mut admin, "b").await, 3);
    let reverted = migrator(&world, &files).revert(Schemas::AllTenants, 1, options()).await?;
    assert!(reverted.is_success(), "{reverted}");
    assert_eq!(recorded(&mut admin, "acme").await, "Some(\"0 1\")");
    assert_eq!(tables(&mut admin, "b").await, 0);

    // Where it fails is told in lines of the file.
    files.write("0003_c.sql", "begin;\n\nselect 1;\nselect nothing;\ncommit;\n");
    let report = migrator(&world, &files).migrate_all(options().to(3)).await?;
    let failure = report.tenants[0].error().expect("there is no such column");
    assert_eq!((failure.version, failure.line), (Some(3), Some(4)), "{failure}");
    Ok(())
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

#[tokio::test]
async fn what_may_hurt_is_told_and_run() -> TestResult {
    let world = World::with_managed_tenants(&["acme"]).await;
    let files = Files::new(&[("0001_a.sql", "create table a (id int); create index on a (id);")]);
    let report = migrator(&world, &files).migrate_all(options()).await?;
    assert!(report.is_success() && report.lint.is_empty(), "{report}");
    files.write("0002_b.sql", "create index on a (id);\nalter table a add b int not null;");
    files.write("0003_c.sql", "-- tenantry: allow(drop_column)\nalter table a drop column id;");
    let plan = migrator(&world, &files).plan(Schemas::AllTenants, &options()).await?;
    let rules = |found: &[tenantry::migrate::FileFinding]| {
        found.iter().map(|found| (found.version, found.finding.rule)).collect::<Vec<_>>()
    };
    let expected = [(2, Rule::IndexNotConcurrent), (2, Rule::NotNull)];
    assert_eq!(rules(&plan.lint.warnings), expected);
    assert_eq!(rules(&files.read().check().warnings), expected);
    let json = serde_json::to_value(&plan)?;
    assert_eq!(json["lint"]["warnings"][1]["rule"], "not_null");
    assert_eq!(json["lint"]["warnings"][1]["line"], 2);
    let report = migrator(&world, &files).migrate_all(options()).await?;
    assert!(report.is_success(), "{report}");
    assert_eq!(rules(&report.lint.warnings), expected);
    assert!(report.to_string().contains("warning: 0002_b.sql, line 1: "), "{report}");
    // They have been run everywhere: nobody is warned any more.
    assert!(migrator(&world, &files).migrate_all(options()).await?.lint.is_empty());
    Ok(())
}
