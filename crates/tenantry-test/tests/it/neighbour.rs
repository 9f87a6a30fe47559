//! A neighbour is neither seen nor changed, and it is told when it is.

use std::{panic::AssertUnwindSafe, time::Duration};

use futures_util::FutureExt as _;
use tenantry_test::{Neighbour, TestTenant};

type TestResult = Result<(), Box<dyn std::error::Error>>;

async fn add_user(db: &tenantry::TenantDb, name: &str) -> sqlx::Result<i64> {
    let add = sqlx::query_scalar("insert into users (name) values ($1) returning id");
    add.bind(name.to_owned()).fetch_one(db).await
}

/// The message that `assert_blind` panics with.
async fn complaint(neighbour: Neighbour) -> String {
    let panic = AssertUnwindSafe(neighbour.assert_blind()).catch_unwind().await;
    *panic.expect_err("it must not be blind").downcast::<String>().expect("a message")
}

#[tenantry_test::test(migrations = "migrations/tenants")]
async fn a_service_that_keeps_tenants_apart_passes(t: TestTenant) -> TestResult {
    let neighbour = t.neighbour().await?;
    assert_eq!(neighbour.unfilled(), []);
    let before = t.manager.snapshot().acquires.rebind;
    for round in 0..30 {
        let id = add_user(&t.db, "Ann").await?;
        let users: Vec<(i64, String)> =
            sqlx::query_as("select id, name from users").fetch_all(&t.db).await?;
        assert_eq!(users.len(), round + 1, "user {id} was added");
        neighbour.assert_not_in(format!("{users:?}"));
        // What the neighbour's tasks do in between is what counts.
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let rebinds = t.manager.snapshot().acquires.rebind - before;
    assert!(rebinds >= 10, "sessions went from one tenant to the other {rebinds} times");
    assert!(neighbour.rounds() > 10);
    neighbour.assert_blind().await;
    Ok(())
}

#[tenantry_test::test(migrations = "migrations/tenants")]
async fn a_value_that_was_copied_is_found(t: TestTenant) -> TestResult {
    let neighbour = t.neighbour().await?;
    // What a handle in a `static` would do: it is always the neighbour's.
    let statics = neighbour.db().clone();
    let names: Vec<String> =
        sqlx::query_scalar("select name from users").fetch_all(&statics).await?;
    add_user(&t.db, &names[0]).await?;
    let told = complaint(neighbour).await;
    assert!(told.contains(&format!("its values are in {}.users", t.schema())), "{told}");
    Ok(())
}

#[tenantry_test::test(migrations = "migrations/tenants")]
async fn a_number_that_was_copied_is_found(t: TestTenant) -> TestResult {
    let neighbour = t.neighbour().await?;
    let line: i32 = sqlx::query_scalar("select line from items").fetch_one(neighbour.db()).await?;
    add_user(&t.db, &format!("number {line}")).await?;
    let told = complaint(neighbour).await;
    assert!(told.contains(&line.to_string()), "{told}");
    Ok(())
}

#[tenantry_test::test(migrations = "migrations/tenants")]
async fn a_row_in_the_wrong_schema_is_found(t: TestTenant) -> TestResult {
    let neighbour = t.neighbour().await?;
    add_user(neighbour.db(), "Ann").await?;
    let told = complaint(neighbour).await;
    assert!(told.contains("its tables have changed") && told.contains("users: 4 rows"), "{told}");
    Ok(())
}

#[tenantry_test::test(migrations = "migrations/tenants")]
async fn what_was_only_read_is_found_when_it_is_noted(t: TestTenant) -> TestResult {
    let neighbour = t.neighbour().await?;
    let name: String =
        sqlx::query_scalar("select name from users").fetch_one(neighbour.db()).await?;
    assert!(name.starts_with(neighbour.mark()));
    let caught = std::panic::catch_unwind(AssertUnwindSafe(|| neighbour.assert_not_in(&name)));
    assert!(caught.is_err());
    t.has_read(format!("[{name}]"));
    let told = complaint(neighbour).await;
    assert!(told.contains(&format!("what tenant {} has read", t.id)), "{told}");
    Ok(())
}

#[tenantry_test::test(migrations = "migrations/tenants")]
async fn a_change_on_purpose_is_expected(t: TestTenant) -> TestResult {
    let mut neighbour = t.neighbour().await?;
    neighbour.rewrite(async |db| add_user(db, "Zoe").await.map(drop)).await?;
    neighbour.assert_blind().await;
    Ok(())
}

/// Whatever columns are called, and whatever triggers make of the values.
#[tenantry_test::test(migrations = "migrations/odd")]
async fn odd_tables_hide_nothing(t: TestTenant) -> TestResult {
    let neighbour = t.neighbour().await?;
    let unfilled: Vec<_> = neighbour.unfilled().iter().map(|(table, _)| &**table).collect();
    assert_eq!(unfilled, ["swallowed"]);
    neighbour.assert_blind().await;
    for (read, write, table) in [
        ("select secret from notes", "insert into notes (id, secret) values (1, $1)", "notes"),
        ("select name from shouted", "insert into shouted values ($1)", "shouted"),
    ] {
        let neighbour = t.neighbour().await?;
        let value: String = sqlx::query_scalar(read).fetch_one(neighbour.db()).await?;
        sqlx::query(write).bind(value).execute(&t.db).await?;
        let told = complaint(neighbour).await;
        assert!(told.contains(&format!("its values are in {}.{table}", t.schema())), "{told}");
    }
    let neighbour = t.neighbour().await?;
    sqlx::query("update notes set secret = 'x'").execute(neighbour.db()).await?;
    let told = complaint(neighbour).await;
    assert!(told.contains("its tables have changed"), "{told}");
    Ok(())
}
