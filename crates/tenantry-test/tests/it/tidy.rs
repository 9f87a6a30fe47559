//! Nothing is left behind, whatever becomes of a test, but for what was asked to be kept.

use std::{
    env,
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use sqlx::{Connection as _, PgConnection};
use tenantry_test::TestTenant;
use tokio::task::JoinSet;

use crate::without_attribute::shop;

type TestResult = Result<(), Box<dyn std::error::Error>>;

/// Tests that other tests run in a process of their own.
mod victims {
    use super::*;

    #[tenantry_test::test(migrations = "migrations/tenants")]
    #[ignore = "another test runs it"]
    async fn victim_that_passes(t: TestTenant) -> TestResult {
        t.another().await?;
        sqlx::query("insert into users (name) values ('Ann')").execute(&t.db).await?;
        Ok(())
    }

    #[tenantry_test::test(migrations = "migrations/tenants")]
    #[ignore = "another test runs it"]
    async fn victim_that_returns_an_error(t: TestTenant) -> TestResult {
        sqlx::query("select * from nowhere").execute(&t.db).await?;
        Ok(())
    }

    /// Holds a lock when it ends.
    #[tenantry_test::test(migrations = "migrations/tenants")]
    #[ignore = "another test runs it"]
    async fn victim_that_panics(t: TestTenant) {
        let mut tx = t.db.begin().await.unwrap();
        sqlx::query("lock table users").execute(&mut *tx).await.unwrap();
        std::mem::forget(tx);
        panic!("in the middle");
    }

    #[tenantry_test::test(migrations = "migrations/tenants", alone)]
    #[ignore = "another test runs it"]
    async fn victim_that_panics_alone(_t: TestTenant) {
        panic!("in the middle");
    }

    #[tokio::test]
    #[ignore = "another test runs it"]
    async fn victim_that_drops_its_tenant() {
        let _t = shop().tenant("victim that drops").await.unwrap();
        panic!("in the middle");
    }

    #[tenantry_test::test(migrations = "migrations/tenants")]
    #[ignore = "another test runs it"]
    async fn kept_victim(t: TestTenant) -> TestResult {
        sqlx::query("select * from nowhere").execute(&t.db).await?;
        Ok(())
    }

    #[tenantry_test::test(migrations = "migrations/tenants")]
    #[ignore = "another test runs it"]
    async fn next_after_the_killed_one() {}

    #[tenantry_test::test(migrations = "migrations/tenants")]
    #[ignore = "another test runs it"]
    async fn victim_that_is_killed(t: TestTenant) {
        sqlx::query("select 1").execute(&t.db).await.unwrap();
        std::process::abort();
    }
}

/// Starts a test of this binary in a process of its own, as `cargo nextest` does.
fn start(test: &str, keep: &str) -> Child {
    Command::new(env::current_exe().unwrap())
        .args(["--ignored", "--exact", "--nocapture", &format!("tidy::victims::{test}")])
        .env("NEXTEST", "1")
        .env("RUST_BACKTRACE", "0")
        .env("TENANTRY_TEST_KEEP", keep)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

async fn end(child: Child) -> Output {
    let wait = tokio::task::spawn_blocking(move || child.wait_with_output());
    wait.await.unwrap().unwrap()
}

async fn run(test: &str, keep: &str) -> (bool, String) {
    let output = end(start(test, keep)).await;
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&text).into_owned())
}

/// Schemas with this in their names, in the database of the run.
async fn schemas(t: &TestTenant, name: &str) -> Vec<String> {
    let mut conn = PgConnection::connect(&t.database_url()).await.unwrap();
    let listed = sqlx::query_scalar(
        "select nspname::text from pg_namespace where strpos(nspname, $1) > 0 order by 1",
    );
    listed.bind(name.to_owned()).fetch_all(&mut conn).await.unwrap()
}

#[tenantry_test::test(migrations = "migrations/tenants")]
async fn tests_in_processes_of_their_own_leave_nothing(t: TestTenant) -> TestResult {
    let tests = [
        ("victim_that_passes", true),
        ("victim_that_returns_an_error", false),
        ("victim_that_panics", false),
        ("victim_that_panics_alone", false),
        ("victim_that_drops_its_tenant", false),
    ];
    let children = tests.map(|(test, passes)| (start(test, "no"), test, passes));
    for (child, test, passes) in children {
        let id = child.id();
        let output = end(child).await;
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.success(), passes, "{test}: {text}");
        assert!(!text.contains("leaves the schema"), "{test}: {text}");
        let mut conn = PgConnection::connect(&t.database_url()).await?;
        let databases: i64 =
            sqlx::query_scalar("select count(*) from pg_database where strpos(datname, $1) = 1")
                .bind(format!("tenantry_dev_{id}_"))
                .fetch_one(&mut conn)
                .await?;
        assert_eq!(databases, 0, "{test}");
    }
    for name in ["victim-that-passes", "victim-that-returns", "victim-that-p", "victim-that-d"] {
        assert_eq!(schemas(&t, name).await, Vec::<String>::new());
    }
    Ok(())
}

#[tenantry_test::test(migrations = "migrations/tenants")]
async fn what_a_killed_process_leaves_goes_with_the_next_one(t: TestTenant) -> TestResult {
    let (passed, text) = run("victim_that_is_killed", "no").await;
    assert!(!passed, "{text}");
    // The server may take a moment to notice that the process is gone; the next one finds what is left then.
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let (passed, text) = run("next_after_the_killed_one", "no").await;
        assert!(passed, "{text}");
        let left = schemas(&t, "victim-that-is-killed").await;
        if left.is_empty() {
            return Ok(());
        }
        assert!(Instant::now() < deadline, "{left:?}");
    }
}

#[tenantry_test::test(migrations = "migrations/tenants", alone)]
async fn a_failed_test_is_kept_when_asked(t: TestTenant) -> TestResult {
    let shared = shop().tenant("looks for what was kept").await?;
    let (passed, text) = run("kept_victim", "failed").await;
    assert!(!passed, "{text}");
    let kept = schemas(&shared, "kept-victim").await;
    assert_eq!(kept.len(), 1, "{text}");
    let line = format!("PGOPTIONS='-c search_path=\"{}\"' psql 'postgres://", kept[0]);
    assert!(text.contains("kept_victim") && text.contains(&line), "{text}");
    drop(t);
    // It is for people to look at, and not for the other tests.
    let mut conn = PgConnection::connect(&shared.database_url()).await?;
    sqlx::query("select tenantry_test.drop_schema($1)").bind(&kept[0]).execute(&mut conn).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_tests_beside_each_other() -> TestResult {
    let tenants = shop().max_connections(1);
    let mut tests = JoinSet::new();
    let places = std::sync::Arc::new(tokio::sync::Semaphore::new(16));
    for number in 0..100_i64 {
        let (tenants, places) = (tenants.clone(), std::sync::Arc::clone(&places));
        tests.spawn(async move {
            let _place = places.acquire().await.unwrap();
            let t = tenants.tenant("one of many").await.unwrap();
            let add = sqlx::query("insert into users (name) values ($1)").bind(number.to_string());
            add.execute(&t.db).await.unwrap();
            let names: Vec<String> =
                sqlx::query_scalar("select name from users").fetch_all(&t.db).await.unwrap();
            assert_eq!(names, [number.to_string()]);
            t.end().await;
        });
    }
    while let Some(ended) = tests.join_next().await {
        ended?;
    }
    let last = shop().tenant("looks for the rest").await?;
    settled(&last).await;
    Ok(())
}

/// Waits until the tenants of the hundred tests are gone: other tests may be under way.
async fn settled(t: &TestTenant) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !schemas(t, "one-of-many").await.is_empty() {
        assert!(Instant::now() < deadline, "tenants of tests that have ended are left");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
