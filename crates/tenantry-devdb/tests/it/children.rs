//! What child processes do; each is started by a test elsewhere and is no test itself.

use std::env;

use tenantry_devdb::{Database, DevDatabase, DevServer};

use crate::child::{say, wait_for_parent};

/// Shares the server, names its postmaster and data folder, and ends as it is told.
#[tokio::test]
#[ignore = "started by other tests"]
async fn shares() {
    let database = DevDatabase::create().await.unwrap();
    let mut connection = crate::database::connect(database.url()).await;
    say(crate::database::text(&mut connection, POSTMASTER).await);
    say(crate::database::text(&mut connection, "show data_directory").await);
    say(database.name());
    wait_for_parent();
    assert!(env::var_os("CHILD_PANICS").is_none(), "as told");
}

/// The postmaster's process id, as only the server's own files tell it.
const POSTMASTER: &str = "select split_part(pg_read_file('postmaster.pid'), e'\n', 1)";

/// Has a server of its own, names its postmaster and data folder, and ends as it is told.
#[tokio::test]
#[ignore = "started by other tests"]
async fn has_its_own() {
    let server = DevServer::start().await.unwrap();
    say(server.pid().unwrap());
    say(server.data_dir().display());
    wait_for_parent();
    assert!(env::var_os("CHILD_PANICS").is_none(), "as told");
}

/// Makes several databases from one template.
#[tokio::test]
#[ignore = "started by other tests"]
async fn clones() {
    let key = env::var("CHILD_KEY").unwrap();
    let (count, databases) = crate::template::clone_at_once(&key, 4).await;
    say(count);
    drop(databases);
}

/// Says the error that creating a database ends in.
#[tokio::test]
#[ignore = "started by other tests"]
async fn fails() {
    let error = DevDatabase::create().await.unwrap_err();
    say(error.to_string().replace('\n', " "));
}

/// Creates a database from a template and drops it before it ends.
#[tokio::test]
#[ignore = "started by other tests"]
async fn uses_a_template() {
    let database = DevDatabase::from_template("create table t (id int)").await.unwrap();
    let mut connection = crate::database::connect(database.url()).await;
    say(crate::database::text(&mut connection, "select count(*)::text from t").await);
    say(database.url());
    wait_for_parent();
}

/// Says on which database it works, and leaves it as an example does.
#[tokio::test]
#[ignore = "started by other tests"]
async fn works_on_what_it_is_given() {
    let database = Database::given_or_throwaway().await.unwrap();
    say(format!("{} {}", database.is_throwaway(), database.url()));
    database.close().await.unwrap();
    wait_for_parent();
}

/// Begins to start a server and thinks better of it.
#[tokio::test]
#[ignore = "started by other tests"]
async fn cancels_a_start() {
    let start = tokio::spawn(DevServer::start());
    let folder = env::temp_dir();
    crate::wait::until_async("the start has begun", async || has_home(&folder)).await;
    start.abort();
    assert!(start.await.unwrap_err().is_cancelled());
    say("cancelled");
    // The runtime stays, as it would in a test that goes on.
    tokio::task::spawn_blocking(wait_for_parent).await.unwrap();
}

fn has_home(folder: &std::path::Path) -> bool {
    let entries = |path| std::fs::read_dir(path).into_iter().flatten().flatten();
    entries(folder.to_owned())
        .any(|runtime_dir| entries(runtime_dir.path()).any(|entry| entry.path().is_dir()))
}
