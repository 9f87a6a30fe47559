use tenantry::{
    ErrorKind, Isolation, IsolationKind, Rows, TableCatalog,
    migrate::{FailureReason, MigrateOptions, MigrateReport, Outcome, Schemas},
    provision::CreateOptions,
};

use super::{Login, Scene, table};
use crate::{
    migrate::Files,
    support::{TestResult, World, observe, run},
};

fn options() -> MigrateOptions {
    MigrateOptions::default()
}

/// The tenants with their outcomes.
fn told(report: &MigrateReport) -> Vec<(&str, &str, Option<usize>)> {
    let of = report.tenants.iter();
    of.map(|t| (t.tenant_id.as_deref().unwrap_or("-"), t.outcome.as_str(), t.row_tenants)).collect()
}

#[tokio::test]
async fn the_tables_of_all_are_migrated_once_beside_the_schemas() -> TestResult {
    let mut scene = Scene::new(Login::Superuser).await;
    scene.create(&["acme", "globex"]).await;
    let in_schema = CreateOptions::default().isolation(IsolationKind::Schema);
    scene.provisioner().create("initech", in_schema).await?;
    scene.files.write("0002_mail.sql", "alter table users add mail text;");
    let migrator = scene.manager.migrator().tenants(scene.files.read());
    let plan = migrator.plan(Schemas::AllTenants, &options()).await?;
    assert_eq!((plan.total, plan.pending), (2, 2), "{plan}");
    assert!(
        plan.to_string().contains("(rows): schema app, for 2 tenants isolated by row"),
        "{plan}"
    );
    // A session that has prepared a statement for the tables notices the change.
    let db = scene.manager.tenant("acme").await?;
    sqlx::query("select * from users").fetch_all(&db).await?;
    let report = migrator.migrate_all(options().canary(["(rows)"])).await?;
    let both = [("initech", "migrated", None), ("(rows)", "migrated", Some(2))];
    assert_eq!(told(&report), both, "{report}");
    assert_eq!(report.tenants[1].schema.as_deref(), Some("app"));
    assert!(
        report.to_string().contains("\n(rows): schema app, for 2 tenants isolated by row"),
        "{report}"
    );
    assert_eq!(sqlx::query("select * from users").fetch_all(&db).await?.len(), 3);
    run(&db, "update users set mail = 'a'").await;
    let mails = "select count(mail)::text from app.users";
    assert_eq!(observe(&mut scene.admin, mails).await, "Some(\"3\")");
    let report = migrator.migrate_all(options()).await?;
    assert_eq!(report.up_to_date, 2, "{report}");
    let error = migrator.migrate_all(options().canary(["acme"])).await.unwrap_err();
    assert!(error.to_string().contains("isolated by row are one, (rows)"), "{error}");
    Ok(())
}

#[tokio::test]
async fn a_tenant_that_is_named_migrates_the_tables_of_all_but_never_reverts_them() -> TestResult {
    let mut scene = Scene::new(Login::Superuser).await;
    scene.create(&["acme", "globex"]).await;
    scene.files.write("0002_mail.up.sql", "alter table users add mail text;");
    scene.files.write("0002_mail.down.sql", "alter table users drop mail;");
    let migrator = scene.manager.migrator().tenants(scene.files.read());
    let report = migrator.migrate(["acme", "globex"], options()).await?;
    assert_eq!(told(&report), [("(rows)", "migrated", Some(2))], "{report}");
    let tenants = || Schemas::tenants(["acme"]);
    for report in [
        migrator.revert(tenants(), 1, options()).await?,
        migrator.mark_applied(tenants(), None, options()).await?,
        migrator.forget_orphans(tenants(), options()).await?,
        migrator.forget_dirty(tenants(), options()).await?,
        migrator.restart_dirty(tenants(), options()).await?,
    ] {
        assert_eq!(told(&report), [("acme", "failed", None)], "{report}");
        let error = report.tenants[0].error().expect("it failed");
        assert_eq!(error.reason, FailureReason::Tenant);
        assert!(error.message.contains("its tables hold the rows of other tenants"), "{error}");
    }
    assert_eq!(
        observe(&mut scene.admin, "select count(mail)::text from app.users").await,
        "Some(\"0\")"
    );
    let report = migrator.revert(Schemas::tenants(["(rows)"]), 1, options()).await?;
    assert_eq!(told(&report), [("(rows)", "reverted", Some(0))], "{report}");
    assert_eq!(scene.rows("users").await, "acme 3, globex 3");
    Ok(())
}

#[tokio::test]
async fn a_change_of_rows_that_policies_would_hide_is_an_error_with_its_cure() -> TestResult {
    let mut scene = Scene::new(Login::Owner).await;
    scene.create(&["acme", "globex"]).await;
    scene.files.write("0002_names.sql", "update users set name = 'x';");
    let migrator = scene.manager.migrator().tenants(scene.files.read());
    let report = migrator.migrate_all(options()).await?;
    let Outcome::Failed { error } = &report.tenants[0].outcome else { panic!("{report}") };
    assert_eq!(error.reason, FailureReason::Permission, "{error}");
    let hint = error.hint().expect("it has a hint");
    assert!(hint.contains("no force row level security"), "{hint}");
    let cured = "alter table users no force row level security; update users set name = 'x'; \
                 alter table users force row level security;";
    scene.files.write("0002_names.sql", cured);
    let report =
        scene.manager.migrator().tenants(scene.files.read()).migrate_all(options()).await?;
    assert!(report.is_success(), "{report}");
    let names = "select count(*)::text from app.users where name = 'x'";
    assert_eq!(observe(&mut scene.admin, names).await, "Some(\"6\")");
    // Where policies do not apply to the role, as to a superuser, it needs none of that.
    let scene = Scene::new(Login::Superuser).await;
    scene.create(&["acme"]).await;
    scene.files.write("0002_names.sql", "update users set name = 'x';");
    let report =
        scene.manager.migrator().tenants(scene.files.read()).migrate_all(options()).await?;
    assert!(report.is_success(), "{report}");
    Ok(())
}

#[tokio::test]
async fn two_sets_of_files_are_not_recorded_in_one_table() -> TestResult {
    let world = World::new().await;
    let role = super::role(&world, "").await;
    let rows = Isolation::rows(Rows::new().role(&role)?);
    let manager = world.builder().isolation(rows).catalog(TableCatalog::new()).build()?;
    TableCatalog::new().create_table(manager.shared()).await?;
    let tenants = Files::new(&[("0001_users.sql", table("users", "id int", &role))]);
    let shared = Files::new(&[("0001_plans.sql", "create table plans (id int);")]);
    let both = manager.migrator().tenants(tenants.read()).shared(shared.read());
    for error in [
        both.migrate_all(options()).await.unwrap_err(),
        both.plan(Schemas::AllTenants, &options()).await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Config, "{error:?}");
        assert!(
            error.to_string().contains("Rows::schema, or all files into one folder"),
            "{error}"
        );
    }
    let mut admin = world.admin().await;
    assert_eq!(observe(&mut admin, "select to_regclass('plans')::text").await, "None");
    // The shared schema holds the catalog's table, so tables without records are no reason to stop.
    let report = manager.migrator().tenants(tenants.read()).migrate_all(options()).await?;
    assert_eq!(told(&report), [("(rows)", "migrated", Some(0))], "{report}");
    let same = manager.migrator().tenants(tenants.read()).shared(tenants.read());
    assert!(same.migrate_all(options()).await?.is_success());
    run(&mut admin, &format!("drop owned by {role}")).await;
    Ok(())
}

/// The first tenant that is isolated by row finds its tables, even if tenants have schemas by default.
#[tokio::test]
async fn the_tables_are_there_before_the_first_tenant_that_needs_them() -> TestResult {
    for in_shared in [false, true] {
        let world = World::new().await;
        let (role, mut admin) = (super::role(&world, "").await, world.admin().await);
        let rows = Rows::new().role(&role)?;
        run(&mut admin, &format!("create schema app; grant usage on schema app to {role}")).await;
        let rows = if in_shared { rows } else { rows.schema("app")? };
        let builder = world.builder().isolation(Isolation::schema("tenant_{id}"));
        let manager =
            builder.or_isolation(Isolation::rows(rows)).catalog(TableCatalog::new()).build()?;
        TableCatalog::new().create_table(manager.shared()).await?;
        let files = Files::new(&[("0001_users.sql", table("users", "id int", &role))]);
        let migrator = manager.migrator().tenants(files.read());
        let in_rows = || CreateOptions::default().isolation(IsolationKind::Row);
        let provisioner = manager.provisioner().tenants(files.read());
        let report = migrator.migrate_all(options()).await?;
        if in_shared {
            // Its tables are the application's, which may have rows configured for the keys alone.
            assert_eq!(told(&report), [], "{report}");
            let error = provisioner.create("acme", in_rows()).await.unwrap_err();
            assert!(error.to_string().contains("by the name \"(rows)\""), "{error}");
            let report = migrator.migrate(["(rows)"], options()).await?;
            assert_eq!(told(&report), [("(rows)", "migrated", Some(0))], "{report}");
        } else {
            assert_eq!(told(&report), [("(rows)", "migrated", Some(0))], "{report}");
            assert_eq!(migrator.migrate_all(options()).await?.up_to_date, 1);
        }
        provisioner.create("acme", in_rows()).await?;
        run(&manager.tenant("acme").await?, "insert into users (id) values (1)").await;
        let report = migrator.migrate_all(options()).await?;
        assert_eq!(told(&report), [("(rows)", "up_to_date", Some(1))], "{report}");
        run(&mut admin, &format!("drop owned by {role}")).await;
    }
    Ok(())
}
