use std::time::Duration;

use tenantry::{
    CatalogOptions, ErrorKind,
    provision::{CreateOptions, DropOptions, DropReport},
};

use super::{Login, Scene, creates::anyhow_like, table, users};
use crate::support::{TestResult, kind_of, observe, run};

fn options() -> DropOptions {
    DropOptions::default()
}

fn told(report: &DropReport) -> Vec<(&str, u64)> {
    report.rows.iter().map(|table| (&*table.table, table.rows)).collect()
}

#[tokio::test]
async fn a_drop_deletes_the_tenants_rows_in_batches_and_no_others() -> TestResult {
    for login in [Login::Superuser, Login::Owner] {
        let mut scene = Scene::new(login).await;
        scene.create(&["acme", "globex"]).await;
        let (manager, provisioner) = (scene.manager.clone(), scene.provisioner());
        let dry = provisioner.drop_tenant("acme", "acme", options().dry_run(true)).await?;
        assert_eq!(told(&dry), [("notes", 3), ("users", 3)], "{login:?}");
        assert!(
            dry.to_string().starts_with(
                "would drop tenant acme: 6 rows in schema app: 3 of notes, 3 of users in "
            ),
            "{dry}"
        );
        assert_eq!(scene.rows("users").await, "acme 3, globex 3");
        let stale = manager.tenant("acme").await?;
        let report = provisioner.drop_tenant("acme", "acme", options().batch(2)).await?;
        assert_eq!(told(&report), [("notes", 3), ("users", 3)], "{login:?}");
        // Notes and users in two batches each, the bosses of the users in two, and the catalog.
        assert_eq!(report.transactions, 7, "{login:?}");
        assert_eq!(scene.rows("users").await, "globex 3", "{login:?}");
        assert_eq!(scene.rows("notes").await, "globex 3", "{login:?}");
        let bosses = "select count(boss)::text from app.users";
        assert_eq!(observe(&mut scene.admin, bosses).await, "Some(\"3\")");
        let error = manager.tenant("acme").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnknownTenant, "{error:?}");
        let error = stale.acquire().await.unwrap_err();
        assert_eq!(kind_of(error), ErrorKind::StaleHandle);
        scene.free_keys().await;
        scene.create(&["acme"]).await;
        assert_eq!(scene.rows("users").await, "acme 3, globex 3");
    }
    Ok(())
}

/// Nothing in the tables tells another process that the tenant is another one; the catalog does.
#[tokio::test]
async fn a_handle_of_another_process_does_not_outlive_the_look_up_of_the_next_tenant() -> TestResult
{
    let mut scene = Scene::new(Login::Superuser).await;
    scene.create(&["acme"]).await;
    let at_once = CatalogOptions::default().ttl(Duration::from_millis(1));
    let other = scene.builder().catalog_options(at_once).build()?;
    let held = other.tenant("acme").await?;
    run(&held, "select 1").await;
    scene.provisioner().drop_tenant("acme", "acme", options()).await?;
    scene.free_keys().await;
    scene.provisioner().create("acme", CreateOptions::default()).await?;
    tokio::time::sleep(Duration::from_millis(20)).await;
    let next = other.tenant("acme").await?;
    let error = held.acquire().await.unwrap_err();
    assert_eq!(kind_of(error), ErrorKind::StaleHandle);
    let insert = "insert into users (id, name) values (1, 'of the tenant before')";
    let error = sqlx::query(insert).execute(&held).await.unwrap_err();
    assert_eq!(kind_of(error), ErrorKind::StaleHandle);
    run(&next, "insert into users (id, name) values (2, 'of the next')").await;
    assert_eq!(scene.rows("users").await, "acme 1");
    Ok(())
}

#[tokio::test]
async fn a_dropped_tenants_seeds_run_again_for_the_next_of_its_name() -> TestResult {
    let mut scene = Scene::new(Login::Superuser).await;
    let seed = tenantry::seed::Seed::sql("one", "insert into users (id, name) values (1, 'a');");
    for _ in 0..2 {
        let provisioner = scene.provisioner().seed(seed.clone());
        provisioner.create("acme", CreateOptions::default()).await?;
        assert_eq!(scene.rows("users").await, "acme 1");
        provisioner.drop_tenant("acme", "acme", options()).await?;
        scene.free_keys().await;
        assert_eq!(scene.rows("users").await, "");
    }
    Ok(())
}

/// Statements that close a circle. Forced policies apply to the check of a foreign key.
fn circle(from: &str, to: &str, constraint: &str) -> String {
    let all = |how: &str| {
        let alter = |table| format!("alter table {table} {how} force row level security;");
        alter(from) + &alter(to)
    };
    format!("{} alter table {from} add constraint {constraint}; {}", all("no"), all(""))
}

/// Tables that refer to each other in circles: one that can be broken, one whose constraints are deferred, and a row
/// that must refer to another one of its table.
fn circles(role: &str) -> String {
    let key = "primary key (tenant_id, id)";
    let chain = "next int not null, foreign key (tenant_id, next) references nodes";
    [
        table("nodes", &format!("id int, {key}, {chain} deferrable"), role),
        table("lefts", &format!("id int, {key}, right_id int"), role),
        table("rights", &format!("id int, {key}, left_id int not null, foreign key (tenant_id, left_id) references lefts"), role),
        circle("lefts", "rights", "to_right foreign key (tenant_id, right_id) references rights"),
        table("eggs", &format!("id int, {key}, hen_id int not null"), role),
        table("hens", &format!("id int, {key}, egg_id int not null, foreign key (tenant_id, egg_id) references eggs on delete cascade"), role),
        circle("eggs", "hens", "of_hen foreign key (tenant_id, hen_id) references hens deferrable initially deferred"),
    ]
    .concat()
}

#[tokio::test]
async fn tables_that_refer_to_each_other_in_circles_are_emptied_too() -> TestResult {
    for login in [Login::Superuser, Login::Owner] {
        let mut scene = Scene::with(login, circles).await;
        for tenant in ["acme", "globex"] {
            scene.provisioner().create(tenant, CreateOptions::default()).await?;
            let db = scene.manager.tenant(tenant).await?;
            let mut tx = db.begin().await?;
            run(
                &mut *tx,
                "insert into nodes (id, next) values (1, 2), (2, 3), (3, 1); \
                 insert into lefts (id) values (1), (2); insert into rights (id, left_id) values (1, 1), (2, 2); \
                 update lefts set right_id = id; \
                 insert into eggs (id, hen_id) values (1, 1), (2, 2); insert into hens (id, egg_id) values (1, 1), (2, 2)",
            )
            .await;
            tx.commit().await?;
        }
        let report = scene.provisioner().drop_tenant("acme", "acme", options().batch(1)).await?;
        assert!(
            report.rows.iter().any(|rows| (&*rows.table, rows.rows) == ("nodes", 3)),
            "{report}"
        );
        for (table, left) in [("nodes", 3), ("lefts", 2), ("rights", 2), ("eggs", 2), ("hens", 2)] {
            assert_eq!(scene.rows(table).await, format!("globex {left}"), "{login:?} {table}");
        }
        let broken = "select count(*)::text from app.lefts where right_id is null";
        assert_eq!(observe(&mut scene.admin, broken).await, "Some(\"0\")");
    }
    Ok(())
}

/// Foreign keys without the column of the tenants' key, which refer to whatever row has the id.
fn crossing(role: &str) -> String {
    table("users", "id int primary key, name text not null, boss int", role)
        + &table("notes", "user_id int references users on delete cascade", role)
}

#[tokio::test]
async fn rows_of_others_that_refer_to_the_tenants_stop_the_drop() -> TestResult {
    for login in [Login::Superuser, Login::Owner] {
        let mut scene = Scene::with(login, crossing).await;
        for tenant in ["acme", "globex"] {
            scene.provisioner().create(tenant, CreateOptions::default()).await?;
        }
        run(
            &mut scene.admin,
            "insert into app.users (tenant_id, id, name) values ('acme', 1, 'a'), ('acme', 2, 'b'); \
             insert into app.notes (tenant_id, user_id) values ('acme', 2), ('globex', 1)",
        )
        .await;
        let provisioner = scene.provisioner();
        let error = provisioner.drop_tenant("acme", "acme", options()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Placement, "{error:?}");
        let (says, left) = match login {
            Login::Superuser => {
                ("rows of other tenants in schema app refer to rows of it", "globex 1")
            }
            Login::Owner => ("does not contain the column tenant_id", "acme 1, globex 1"),
        };
        assert!(anyhow_like(&error).contains(says), "{login:?}: {}", anyhow_like(&error));
        assert_eq!(scene.rows("notes").await, left, "{login:?}");
        run(&mut scene.admin, "delete from app.notes where tenant_id = 'globex'").await;
        let again = provisioner.drop_tenant("acme", "acme", options()).await;
        match login {
            Login::Superuser => assert_eq!(told(&again?), [("users", 1)]),
            Login::Owner => assert_eq!(again.unwrap_err().kind(), ErrorKind::Placement),
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_transaction_that_is_open_holds_the_drop_up() -> TestResult {
    let mut scene = Scene::new(Login::Superuser).await;
    scene.create(&["acme", "globex"]).await;
    let mut open = scene.manager.tenant("acme").await?.begin().await?;
    run(&mut *open, "insert into users (id, name) values (7, 'late')").await;
    let provisioner = scene.provisioner();
    let error = provisioner.drop_tenant("acme", "acme", options()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Busy, "{error:?}");
    assert!(error.to_string().contains("the tenant is suspended"), "{error}");
    let says = "a transaction that has written to its tables is still open: process ";
    assert!(anyhow_like(&error).contains(says), "{}", anyhow_like(&error));
    let error = scene.manager.tenant("acme").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Suspended, "{error:?}");
    let (dropped, committed) =
        tokio::join!(provisioner.drop_tenant("acme", "acme", options()), async {
            tokio::time::sleep(std::time::Duration::from_millis(300)).await;
            open.commit().await
        });
    committed?;
    assert_eq!(told(&dropped?), [("notes", 3), ("users", 4)]);
    assert_eq!(scene.rows("users").await, "globex 3");
    Ok(())
}

#[tokio::test]
async fn two_tenants_with_one_key_are_not_dropped() -> TestResult {
    let scene = Scene::with(Login::Superuser, users).await;
    let record = |id: &str| tenantry::TenantRecord::new(id.parse().expect("an id")).key("k");
    let catalog = tenantry::CatalogFn::new(move |id: tenantry::TenantId| {
        let record = record(id.as_str());
        async move { Ok(Some(record)) }
    });
    // It cannot list, and is read-only: so it is not written that the tenant is suspended.
    let manager = scene.builder().catalog(catalog).build()?;
    let error = manager.provisioner().drop_tenant("acme", "acme", options()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Catalog, "{error:?}");
    assert!(error.to_string().contains("read-only"), "{error}");
    Ok(())
}
