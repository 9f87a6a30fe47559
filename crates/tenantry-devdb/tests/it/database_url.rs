//! `DATABASE_URL` comes first, and nothing is left behind where it points.

use tenantry_devdb::DevServer;

use crate::{
    child::{Running, command},
    database::{connect, text},
    folder::Folder,
};

const DATABASES: &str =
    "select string_agg(datname, ' ' order by datname) from pg_database where not datistemplate";

#[tokio::test]
async fn a_database_of_its_own_is_made_there_and_dropped_afterwards() {
    let server = DevServer::start().await.unwrap();
    let url = server.create_database("given").await.unwrap();
    let mut watching = connect(&url).await;
    // No server can be started in this child, so it works only if it uses the one given.
    let folder = Folder::new();
    let mut command = command("uses_a_template");
    command.env("DATABASE_URL", format!("{url}?application_name=given"));
    let mut child = Running::start(command.env("TENANTRY_PG_BIN", folder.path()));
    assert_eq!(child.hear(), "0");
    let used = child.hear();
    assert!(used.starts_with(&server.database_url("tenantry_dev_")), "{used}");
    assert!(used.ends_with("?application_name=given"), "{used}");
    assert!(text(&mut watching, DATABASES).await.contains("tenantry_dev_"));

    assert!(child.end());
    assert_eq!(text(&mut watching, DATABASES).await, "given postgres");
    let templates = "select count(*)::text from pg_database where datistemplate";
    assert_eq!(text(&mut watching, templates).await, "2");
}

#[tokio::test]
async fn a_program_works_on_what_it_is_given_and_else_on_a_throwaway() {
    let server = DevServer::start().await.unwrap();
    let url = server.create_database("given").await.unwrap();
    let mut given = Running::start(command("works_on_what_it_is_given").env("DATABASE_URL", &url));
    assert_eq!(given.hear(), format!("false {url}"));
    assert!(given.end());
    let mut watching = connect(&server.url()).await;
    assert_eq!(text(&mut watching, DATABASES).await, "given postgres");

    let mut alone = Running::start(&mut command("works_on_what_it_is_given"));
    assert!(alone.hear().starts_with("true postgres"));
    assert!(alone.end());
}

#[tokio::test]
async fn what_a_killed_process_left_there_is_dropped_by_the_next() {
    let server = DevServer::start().await.unwrap();
    let url = server.url();
    let mut killed = Running::start(command("uses_a_template").env("DATABASE_URL", &url));
    killed.hear();
    let name = killed.hear().rsplit('/').next().unwrap().to_owned();
    killed.signal("KILL");
    killed.wait();
    let mut watching = connect(&url).await;
    assert!(crate::database::exists(&mut watching, &name).await);
    // PostgreSQL notices by itself that the session's process is dead.
    crate::wait::until_async("its session is gone", async || {
        let sessions = "select count(*)::text from pg_stat_activity where datname ~ '^tenantry'";
        text(&mut watching, sessions).await == "0"
    })
    .await;

    let mut next = Running::start(command("uses_a_template").env("DATABASE_URL", &url));
    next.hear();
    assert!(!crate::database::exists(&mut watching, &name).await);
    assert!(next.end());
    assert_eq!(text(&mut watching, DATABASES).await, "postgres");
}

#[test]
fn one_that_is_no_url_is_told_without_its_password() {
    for url in ["mysql://me:secret@localhost/x", "me:secret"] {
        let mut child = Running::start(command("fails").env("DATABASE_URL", url));
        let error = child.hear();
        assert!(error.contains("DATABASE_URL is set but cannot be used"), "{error}");
        assert!(!error.contains("secret"), "{error}");
        assert!(child.end());
    }
}
