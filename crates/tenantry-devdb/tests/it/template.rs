//! A template is set up once and copied often.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tenantry_devdb::DevDatabase;

use crate::{
    child::{Running, command},
    database::{connect, text},
};

const ITEMS: &str = "create table items (id int primary key, name text);
                     insert into items values (1, 'one'), (2, 'two');";

/// Creates `count` databases from the template `key` at the same time; says how often it was set up.
pub(crate) async fn clone_at_once(key: &str, count: usize) -> (usize, Vec<DevDatabase>) {
    let setups = Arc::new(AtomicUsize::new(0));
    let tasks: Vec<_> = (0..count)
        .map(|_| {
            let (setups, key) = (Arc::clone(&setups), key.to_owned());
            tokio::spawn(async move {
                DevDatabase::from_template_with(&key, async |url: String| {
                    setups.fetch_add(1, Ordering::SeqCst);
                    let mut connection = connect(&url).await;
                    sqlx::raw_sql(ITEMS).execute(&mut connection).await.map(drop)
                })
                .await
                .unwrap()
            })
        })
        .collect();
    let mut databases = Vec::new();
    for task in tasks {
        databases.push(task.await.unwrap());
    }
    (setups.load(Ordering::SeqCst), databases)
}

/// A key that no earlier run has used.
fn fresh_key(name: &str) -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    format!("{name} {} {}", std::process::id(), now.as_nanos())
}

#[tokio::test]
async fn a_copy_has_what_the_template_has_and_is_separate() {
    let one = DevDatabase::from_template(ITEMS).await.unwrap();
    let two = DevDatabase::from_template(ITEMS).await.unwrap();
    let mut in_one = connect(one.url()).await;
    sqlx::raw_sql("delete from items").execute(&mut in_one).await.unwrap();
    let mut in_two = connect(two.url()).await;
    let names = text(&mut in_two, "select string_agg(name, ' ' order by id) from items").await;
    assert_eq!(names, "one two");
}

#[tokio::test]
async fn tasks_and_processes_that_come_together_make_one_template() {
    let key = fresh_key("together");
    let mut other = Running::start(command("clones").env("CHILD_KEY", &key));
    let (here, databases) = clone_at_once(&key, 4).await;
    let there: usize = other.hear().parse().unwrap();
    assert!(other.end());
    assert_eq!(here + there, 1, "set up {here} times here and {there} times there");
    assert_eq!(databases.len(), 4);
    for database in &databases {
        let mut connection = connect(database.url()).await;
        assert_eq!(text(&mut connection, "select count(*)::text from items").await, "2");
    }
}

#[tokio::test]
async fn a_setup_that_fails_is_told_and_leaves_room_for_the_next() {
    let key = fresh_key("failing");
    let failing = async |_url| Err::<(), _>("no such luck");
    let error = DevDatabase::from_template_with(&key, failing).await.unwrap_err();
    assert!(format!("{error:?}").contains("no such luck"), "{error:?}");
    let (setups, _databases) = clone_at_once(&key, 1).await;
    assert_eq!(setups, 1);
}

#[tokio::test]
async fn wrong_sql_is_told() {
    let error = DevDatabase::from_template("create tabel t ()").await.unwrap_err();
    assert!(format!("{error:?}").contains("syntax error"), "{error:?}");
}
