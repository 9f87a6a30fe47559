//! A statement that finds its tenant gone is run again where the tenant is, if nothing was done.

use futures_util::TryStreamExt;
use sqlx::Row;
use tenantry::{ErrorKind, TenantDb, TenantManager};

use super::{listed, move_to, stale, told};
use crate::support::{TestResult, World, code_of, kind_of, name_of, observe, run};

async fn insert(db: &TenantDb, id: i32) -> sqlx::Result<u64> {
    let insert = sqlx::query("insert into users values ($1, 'new')").bind(id);
    insert.execute(db).await.map(|done| done.rows_affected())
}

async fn ids_in(world: &World, schema: &str) -> String {
    let sql = format!("select string_agg(id::text, ' ' order by id) from {schema}.users");
    observe(&mut world.admin().await, &sql).await
}

/// The first schema of the session's search path.
async fn schema_of(db: &TenantDb) -> sqlx::Result<String> {
    sqlx::query_scalar("select current_schema()::text").fetch_one(db).await
}

async fn each(world: &World, test: impl AsyncFn(TenantManager)) {
    for manager in [told(world), stale(world)] {
        test(manager.clone()).await;
        manager.close().await;
    }
}

#[tokio::test]
async fn every_way_to_run_a_statement_follows() -> TestResult {
    let world = listed(&["acme", "globex"]).await;
    let mut admin = world.admin().await;
    for (number, manager) in [told(&world), stale(&world)].into_iter().enumerate() {
        let from = if number == 0 { "tenant_acme".to_owned() } else { "b3".to_owned() };
        let (acme, globex) = (manager.tenant("acme").await?, manager.tenant("globex").await?);
        let places = ["1", "2", "3"].map(|n| format!("{}{n}", if number == 0 { "b" } else { "c" }));
        // Warm, so that the schema was seen a moment ago.
        assert_eq!(name_of(&acme).await?, "acme");
        move_to(&mut admin, "acme", &from, &places[0]).await;
        assert_eq!(insert(&acme, 10 + number as i32).await?, 1, "execute");
        assert_eq!(schema_of(&acme).await?, places[0]);

        move_to(&mut admin, "acme", &places[0], &places[1]).await;
        let rows: Vec<_> = sqlx::query("select id from users order by id")
            .fetch(&acme)
            .map_ok(|row| row.get::<i32, _>(0))
            .try_collect()
            .await?;
        assert_eq!(rows.len(), 2 + number, "a stream");

        move_to(&mut admin, "acme", &places[1], &places[2]).await;
        // Only what the library runs itself is run again: a transaction begins at the place where
        // its session was seen a moment ago.
        drop(acme.acquire().await?);
        let mut tx = acme.begin().await?;
        let name: String =
            sqlx::query_scalar("select name from users where id = 1").fetch_one(&mut *tx).await?;
        tx.commit().await?;
        assert_eq!(name, "acme", "a transaction");
        assert_eq!(name_of(&globex).await?, "globex");
        assert_eq!(acme.tenant().placement().epoch(), 1 + 3 * number as u64, "as looked up");
        let anew = manager.tenant("acme").await?;
        assert_eq!(anew.tenant().placement().epoch(), 4 + 3 * number as u64);
        manager.close().await;
    }
    assert_eq!(ids_in(&world, "c3").await, "Some(\"1 10 11\")");
    assert_eq!(ids_in(&world, "tenant_acme_moved").await, "Some(\"1\")");
    assert_eq!(ids_in(&world, "tenant_globex").await, "Some(\"1\")");
    Ok(())
}

#[tokio::test]
async fn a_transaction_under_way_is_refused_and_nothing_of_it_stays() -> TestResult {
    let world = listed(&["acme"]).await;
    let mut admin = world.admin().await;
    let manager = stale(&world);
    let acme = manager.tenant("acme").await?;
    let mut tx = acme.begin().await?;
    sqlx::query("select 1").execute(&mut *tx).await?;
    move_to(&mut admin, "acme", "tenant_acme", "there").await;
    let late = sqlx::query("insert into users values (2, 'x')").execute(&mut *tx).await;
    assert_eq!(code_of(&late.unwrap_err()), "error 42P01");
    says_moved(tx.commit().await.unwrap_err());
    assert_eq!(insert(&acme, 3).await?, 1, "the next statement follows");
    let mut tx = acme.begin().await?;
    sqlx::query("insert into users values (4, 'x')").execute(&mut *tx).await?;
    tx.commit().await?;
    assert_eq!(ids_in(&world, "there").await, "Some(\"1 3 4\")");
    assert_eq!(ids_in(&world, "tenant_acme_moved").await, "Some(\"1\")");
    manager.close().await;
    Ok(())
}

/// The error of a transaction whose tenant has moved.
fn says_moved(error: sqlx::Error) {
    let error = tenantry::Error::from(error);
    assert_eq!(error.kind(), ErrorKind::StaleHandle, "{error}");
    assert!(error.to_string().contains("the tenant has moved to another place"), "{error}");
    assert!(error.retry_after().is_some() && error.tenant().is_some(), "{error:?}");
}

#[tokio::test]
async fn a_transaction_says_that_its_tenant_has_moved() -> TestResult {
    let world = listed(&["acme"]).await;
    let mut admin = world.admin().await;
    let manager = stale(&world);
    let acme = manager.tenant("acme").await?;
    let insert = "insert into users values (2, 'x')";
    // As long as it is there, errors are what they are.
    let duplicate = "insert into users values (1, 'x')";
    let mut tx = acme.begin().await?;
    let error = sqlx::query(duplicate).execute(&mut *tx).await.unwrap_err();
    assert_eq!(code_of(&tx.explain(error).await), "error 23505");
    let mut tx = acme.begin().await?;
    sqlx::query("select * from missing").execute(&mut *tx).await.unwrap_err();
    assert_eq!(code_of(&tx.commit().await.unwrap_err()), "error 25P02");
    let failed: sqlx::Result<()> = acme
        .transaction(async |tx| {
            sqlx::query("select * from missing").execute(&mut **tx).await.map(drop)
        })
        .await;
    assert_eq!(code_of(&failed.unwrap_err()), "error 42P01");

    let places = ["tenant_acme", "one", "two", "three"];
    let mut tx = acme.begin().await?;
    move_to(&mut admin, "acme", places[0], places[1]).await;
    let error = sqlx::query(insert).execute(&mut *tx).await.unwrap_err();
    assert_eq!(code_of(&error), "error 42P01");
    says_moved(tx.explain(error).await);
    // A closure, whose error is the application's; and one that ignores the error.
    for (at, ignores) in [(1, false), (2, true)] {
        name_of(&acme).await?;
        let moved = acme.transaction(async |tx| {
            move_to(&mut world.admin().await, "acme", places[at], places[at + 1]).await;
            let inserted = sqlx::query(insert).execute(&mut **tx).await;
            if ignores { Ok(()) } else { inserted.map(drop) }
        });
        says_moved(moved.await.unwrap_err());
    }
    assert_eq!(ids_in(&world, "three").await, "Some(\"1\")");
    let done: sqlx::Result<()> =
        acme.transaction(async |tx| sqlx::query(insert).execute(&mut **tx).await.map(drop)).await;
    done?;
    assert_eq!(ids_in(&world, "three").await, "Some(\"1 2\")");
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn what_may_have_done_a_part_is_not_run_again() -> TestResult {
    let world = listed(&["acme"]).await;
    let mut admin = world.admin().await;
    let manager = stale(&world);
    let acme = manager.tenant("acme").await?;
    assert_eq!(name_of(&acme).await?, "acme");
    move_to(&mut admin, "acme", "tenant_acme", "there").await;
    let two = "create table if not exists public.log (id serial); commit; \
               insert into public.log default values; commit; select * from users";
    let error = sqlx::raw_sql(two).execute(&acme).await.unwrap_err();
    assert_eq!(kind_of(error), ErrorKind::StaleHandle);
    assert_eq!(observe(&mut admin, "select count(*) from public.log").await, "Some(\"1\")");
    assert_eq!(manager.tenant("acme").await?.tenant().placement().epoch(), 2, "it was asked");
    assert_eq!(name_of(&acme).await?, "acme");
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn a_tenant_that_was_made_anew_is_not_followed() -> TestResult {
    let world = listed(&["acme"]).await;
    each(&world, async |manager| {
        let acme = manager.tenant("acme").await.unwrap();
        assert_eq!(schema_of(&acme).await.unwrap(), "tenant_acme");
        let mut admin = world.admin().await;
        // Another customer under the same id, whose place has a later number.
        run(
            &mut admin,
            "begin; alter schema tenant_acme rename to other; delete from tenants; \
             insert into tenants (id, container, epoch, created_at) \
             values ('acme', 'other', 7, clock_timestamp()); commit",
        )
        .await;
        let error = insert(&acme, 2).await.expect_err("it is another tenant's");
        let text = code_of(&error);
        assert!(text == "error 42P01" || kind_of(error) == ErrorKind::StaleHandle, "{text}");
        assert_eq!(ids_in(&world, "other").await, "Some(\"1\")");
        assert_eq!(schema_of(&manager.tenant("acme").await.unwrap()).await.unwrap(), "other");
        run(
            &mut admin,
            "begin; alter schema other rename to tenant_acme; update tenants \
             set container = null, epoch = 1; commit",
        )
        .await;
    })
    .await;
    Ok(())
}

#[tokio::test]
async fn a_handle_of_a_catalog_without_creation_times_does_not_follow() -> TestResult {
    let world = listed(&["acme"]).await;
    let mut admin = world.admin().await;
    let columns = tenantry::CatalogColumns::new().container("container").epoch("epoch");
    let catalog = tenantry::TableCatalog::new().columns(columns);
    let manager = super::build(world.builder().catalog(catalog));
    let acme = manager.tenant("acme").await?;
    assert_eq!(name_of(&acme).await?, "acme");
    move_to(&mut admin, "acme", "tenant_acme", "there").await;
    assert_eq!(code_of(&insert(&acme, 2).await.unwrap_err()), "error 42P01");
    assert_eq!(ids_in(&world, "there").await, "Some(\"1\")");
    manager.close().await;
    Ok(())
}
