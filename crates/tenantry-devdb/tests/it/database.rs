//! A database is one's own and goes away with its value.

use sqlx::{Connection as _, PgConnection};
use tenantry_devdb::DevDatabase;

pub(crate) async fn connect(url: &str) -> PgConnection {
    PgConnection::connect(url).await.unwrap()
}

/// The one text that a query answers.
pub(crate) async fn text(connection: &mut PgConnection, sql: &'static str) -> String {
    sqlx::query_scalar(sql).fetch_one(connection).await.unwrap()
}

/// Whether there is a database with this name.
pub(crate) async fn exists(connection: &mut PgConnection, name: &str) -> bool {
    sqlx::query_scalar("select exists (select from pg_database where datname = $1)")
        .bind(name)
        .fetch_one(connection)
        .await
        .unwrap()
}

#[tokio::test]
async fn two_databases_are_separate() {
    let (one, two) = tokio::join!(DevDatabase::create(), DevDatabase::create());
    let (one, two) = (one.unwrap(), two.unwrap());
    assert_ne!(one.name(), two.name());

    let mut in_one = connect(one.url()).await;
    sqlx::raw_sql("create table t (id int)").execute(&mut in_one).await.unwrap();
    let mut in_two = connect(two.url()).await;
    let table = text(&mut in_two, "select coalesce(to_regclass('t')::text, 'none')").await;
    assert_eq!(table, "none");
    assert_eq!(text(&mut in_two, "select current_database()::text").await, two.name());
}

#[tokio::test]
async fn a_dropped_database_is_gone_in_spite_of_its_sessions() {
    let watcher = DevDatabase::create().await.unwrap();
    let mut watching = connect(watcher.url()).await;
    let database = DevDatabase::create().await.unwrap();
    let name = database.name().to_owned();
    let _session = connect(database.url()).await;
    assert!(exists(&mut watching, &name).await);
    drop(database);
    assert!(!exists(&mut watching, &name).await);
}

#[tokio::test]
async fn a_closed_database_is_gone() {
    let watcher = DevDatabase::create().await.unwrap();
    let mut watching = connect(watcher.url()).await;
    let database = DevDatabase::create().await.unwrap();
    let name = database.name().to_owned();
    database.close().await.unwrap();
    assert!(!exists(&mut watching, &name).await);
}

#[tokio::test]
async fn a_panic_drops_the_database() {
    let watcher = DevDatabase::create().await.unwrap();
    let mut watching = connect(watcher.url()).await;
    let database = DevDatabase::create().await.unwrap();
    let name = database.name().to_owned();
    let task = tokio::spawn(async move {
        let _database = database;
        panic!("a test fails");
    });
    assert!(task.await.unwrap_err().is_panic());
    assert!(!exists(&mut watching, &name).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn works_on_a_runtime_of_several_threads() {
    let database = DevDatabase::create().await.unwrap();
    let mut connection = connect(database.url()).await;
    assert_eq!(text(&mut connection, "select 'up'").await, "up");
}

#[tokio::test]
async fn debug_shows_no_url() {
    let database = DevDatabase::create().await.unwrap();
    let shown = format!("{database:?}");
    assert!(shown.contains(database.name()) && !shown.contains("postgres://"), "{shown}");
}

#[tokio::test]
async fn a_database_is_made_on_a_server_that_is_named() {
    let server = DevDatabase::create().await.unwrap();
    let database = DevDatabase::create_at(server.url()).await.unwrap();
    database.create_schemas(["Odd \"name", "public"]).await.unwrap();
    database.run_script("create table \"Odd \"\"name\".t (); select 1").await.unwrap();
    database.run_script("create table u (); select 1 / 0").await.unwrap_err();
    let mut session = connect(database.url()).await;
    let table =
        "select to_regclass('\"Odd \"\"name\".t')::text || coalesce(to_regclass('u')::text, '')";
    assert_eq!(text(&mut session, table).await, "\"Odd \"\"name\".t");
    let name = database.name().to_owned();
    database.close().await.unwrap();
    assert!(!exists(&mut connect(server.url()).await, &name).await);
    for url in ["postgres://u:geheim@127.0.0.1:1/d", "postgres://u:1/geheim@h/d", "geheim"] {
        let error = DevDatabase::create_at(url).await.unwrap_err();
        assert!(!format!("{error:?}").contains("geheim"), "{error:?}");
    }
}
