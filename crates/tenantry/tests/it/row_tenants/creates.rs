use serde_json::json;
use tenantry::{
    ErrorKind, Isolation, IsolationKind, Rows, TableCatalog, TenantDb, TenantState,
    provision::{CreateOptions, HowMade},
    seed::Seed,
};

use super::{Login, Scene, listed, role, users};
use crate::support::{TestResult, World, observe, run};

fn options() -> CreateOptions {
    CreateOptions::default()
}

/// Renames all users that it sees, and adds one.
fn careless() -> Seed {
    Seed::sql(
        "careless",
        "update users set name = 'mine'; insert into users (id, name) values (9, 'new');",
    )
}

fn outside() -> Seed {
    Seed::with_db("outside", |db: TenantDb| async move {
        let insert = "insert into users (id, name) values (10, 'outside')";
        sqlx::query(insert).execute(&db).await.map(drop)
    })
}

#[tokio::test]
async fn a_tenant_is_a_row_in_the_catalog_and_its_seeds_reach_its_rows_alone() -> TestResult {
    for login in [Login::Superuser, Login::Owner] {
        let mut scene = Scene::new(login).await;
        scene.create(&["globex"]).await;
        let provisioner = scene.provisioner().seed(careless()).after_create(|record, tx| {
            let plan = record.attributes["plan"].as_str().map(str::to_owned);
            Box::pin(async move {
                let update = "update users set name = name || $1";
                sqlx::query(update).bind(plan).execute(&mut **tx).await?;
                Ok(())
            })
        });
        let created =
            provisioner.create("acme", options().attributes(json!({"plan": "pro"}))).await?;
        assert_eq!((created.how, &*created.schema), (HowMade::Rows, "app"), "{login:?}");
        assert_eq!(created.seeds, ["careless".into()]);
        let db = scene.manager.tenant("acme").await?;
        assert_eq!(
            observe(&db, "select string_agg(name, ' ') from users").await,
            "Some(\"newpro\")"
        );
        let others =
            "select string_agg(name, ' ' order by id) from app.users where tenant_id = 'globex'";
        assert_eq!(observe(&mut scene.admin, others).await, "Some(\"a b c\")", "{login:?}");
        let again = provisioner.create("acme", options()).await.unwrap_err();
        assert_eq!(again.kind(), ErrorKind::TenantExists, "{again:?}");
        assert_eq!(scene.rows("users").await, "acme 1, globex 3");
        // Nobody but the maintenance role reads whose seeds were run.
        if login == Login::Superuser {
            let seeds = observe(&db, "select name from _tenantry_row_seeds").await;
            assert_eq!(seeds, "error 42501");
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_failed_creation_leaves_nothing() -> TestResult {
    let mut scene = Scene::new(Login::Superuser).await;
    let failing =
        Seed::sql("failing", "insert into users (id, name) values (1, 'a'); select 1 / 0;");
    let error = scene.provisioner().seed(failing).create("acme", options()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Seed, "{error:?}");
    assert_eq!(scene.rows("users").await, "");
    let failing = Seed::with_db("outside", |db: TenantDb| async move {
        sqlx::query("insert into users (id, name) values (1, 'a')").execute(&db).await?;
        Err::<(), tenantry::seed::BoxError>("it fails".into())
    });
    let error = scene.provisioner().seed(failing).create("acme", options()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Seed, "{error:?}");
    assert_eq!(scene.rows("users").await, "");
    assert!(scene.manager.tenants().await?.is_empty());
    scene.free_keys().await;
    scene.create(&["acme"]).await;
    Ok(())
}

#[tokio::test]
async fn a_tenant_is_not_served_before_its_last_seeds_have_run() -> TestResult {
    let mut scene = Scene::new(Login::Owner).await;
    let seen = scene.manager.clone();
    let looks = Seed::with_db("looks", move |db: TenantDb| {
        let seen = seen.clone();
        async move {
            let error = seen.tenant("acme").await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Suspended, "{error:?}");
            let count = observe(&db, "select count(*)::text from users").await;
            assert_eq!(count, "Some(\"1\")");
            Ok::<(), tenantry::seed::BoxError>(())
        }
    });
    let provisioner = scene.provisioner().seed(careless()).seed(looks).seed(outside());
    let created = provisioner.create("acme", options()).await?;
    assert_eq!(created.seeds.len(), 3);
    assert_eq!(scene.rows("users").await, "acme 2");
    assert_eq!(scene.manager.tenants().await?[0].state, TenantState::Active);
    Ok(())
}

#[tokio::test]
async fn a_tenant_of_another_kind_than_the_managers_has_its_key_on_record() -> TestResult {
    let world = World::new().await;
    let mut admin = world.admin().await;
    let role = role(&world, "").await;
    run(
        &mut admin,
        &format!(
            "create schema app; grant usage on schema app to {role}; set search_path to app; {}",
            users(&role)
        ),
    )
    .await;
    let rows = Rows::new().schema("app")?.role(&role)?;
    let builder = world.builder().or_isolation(Isolation::rows(rows)).catalog(TableCatalog::new());
    let manager = builder.build()?;
    TableCatalog::new().create_table(manager.shared()).await?;
    let provisioner = manager.provisioner();
    let in_rows = options().isolation(IsolationKind::Row).key("k 1");
    assert_eq!(provisioner.create("acme", in_rows.clone()).await?.how, HowMade::Rows);
    assert_eq!(provisioner.create("globex", options()).await?.how, HowMade::AtOnce);
    let db = manager.tenant("acme").await?;
    run(&db, "insert into users (id, name) values (1, 'a')").await;
    assert_eq!(observe(&mut admin, "select tenant_id from app.users").await, "Some(\"k 1\")");
    // The rows of another tenant, or of none, are never given away.
    let error = provisioner.create("initech", in_rows).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Placement, "{error:?}");
    assert!(error.to_string().contains("table app.users has rows with its key \"k 1\""), "{error}");
    Ok(())
}

#[tokio::test]
async fn what_cannot_be_created_is_refused_in_a_sentence() -> TestResult {
    let scene = Scene::new(Login::Superuser).await;
    let provisioner = scene.provisioner();
    for (options, says) in [
        (options().from_template(), "templates are schemas"),
        (options().keep_failed(true), "nothing to keep"),
        (options().container("app".parse()?), "no container to name"),
    ] {
        let error = provisioner.create("acme", options).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config, "{error:?}");
        assert!(error.to_string().contains(says), "{error}");
    }
    let read_only = scene.builder().catalog(listed(&["acme"])).build()?;
    let error = read_only.provisioner().create("acme", options()).await.unwrap_err();
    assert!(error.to_string().contains("read-only: add the tenant there"), "{error}");
    let empty = Rows::new().schema("empty")?;
    let builder = scene.world.builder().catalog(TableCatalog::new());
    let empty = builder.isolation(Isolation::rows(empty)).build()?;
    let mut admin = scene.world.admin().await;
    for schema in ["", "create schema empty"] {
        run(&mut admin, schema).await;
        let error = empty.provisioner().create("acme", options()).await.unwrap_err();
        assert!(format!("{error:?}").contains("empty"), "{error:?}");
    }
    assert!(scene.manager.tenants().await?.is_empty());
    Ok(())
}

#[tokio::test]
async fn a_role_that_policies_do_not_keep_to_the_tenants_rows_runs_no_seed() -> TestResult {
    let mut scene = Scene::new(Login::Superuser).await;
    scene.create(&["globex"]).await;
    let rows = Isolation::rows(Rows::new().schema("app")?);
    let superuser = scene.world.builder().catalog(TableCatalog::new()).isolation(rows).build()?;
    let error =
        superuser.provisioner().seed(careless()).create("acme", options()).await.unwrap_err();
    let told = format!("{:#}", anyhow_like(&error));
    assert!(told.contains("row-level security does not keep the maintenance role"), "{told}");
    // Nor where a table has no policies in force.
    run(&mut scene.admin, "alter table app.users disable row level security").await;
    let error = scene.provisioner().seed(careless()).create("acme", options()).await.unwrap_err();
    let told = anyhow_like(&error);
    assert!(told.contains("to the tenant's rows of users"), "{told}");
    let names = "select string_agg(name, ' ' order by id) from app.users";
    assert_eq!(observe(&mut scene.admin, names).await, "Some(\"a b c\")");
    Ok(())
}

/// An error with its sources.
pub(super) fn anyhow_like(error: &dyn std::error::Error) -> String {
    let mut told = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        told = format!("{told}: {source}");
        next = source.source();
    }
    told
}
