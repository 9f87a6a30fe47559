//! A private server can be stopped, restarted and configured.

use std::time::{Duration, Instant};

use sqlx::{Connection as _, PgConnection, postgres::PgConnectOptions};
use tenantry_devdb::{DevServer, Version};

use crate::{
    database::{connect, text},
    wait::{is_running, until},
};

#[tokio::test]
async fn starts_whoever_runs_it_and_goes_with_its_value() {
    let server = DevServer::start().await.unwrap();
    let mut connection = connect(&server.url()).await;
    let version = text(&mut connection, "show server_version").await;
    assert!(version.starts_with(&server.version().to_string()), "{version}");
    assert!(server.version() > Version::new(10, 0));
    assert_eq!(text(&mut connection, "select session_user::text").await, "postgres");

    let (pid, data) = (server.pid().unwrap(), server.data_dir());
    assert!(is_running(pid) && data.is_dir());
    drop(server);
    assert!(!is_running(pid) && !data.exists());
    assert!(!data.parent().unwrap().exists());
}

#[tokio::test]
async fn listens_on_a_unix_socket_too() {
    let server = DevServer::start().await.unwrap();
    let options = PgConnectOptions::new_without_pgpass()
        .socket(server.socket_dir())
        .port(server.port())
        .username("postgres")
        .database("postgres");
    let mut connection = PgConnection::connect_with(&options).await.unwrap();
    let address = "select coalesce(inet_server_addr()::text, 'socket')";
    assert_eq!(text(&mut connection, address).await, "socket");
    server.close().await;
}

#[tokio::test]
async fn settings_are_taken_and_wrong_ones_are_told() {
    let server = DevServer::builder().setting("max_connections", "17").start().await.unwrap();
    let mut connection = connect(&server.url()).await;
    assert_eq!(text(&mut connection, "show max_connections").await, "17");
    assert_eq!(text(&mut connection, "show fsync").await, "off");

    let error = DevServer::builder().setting("no_such_thing", "1").start().await.unwrap_err();
    assert!(format!("{error:?}").contains("no_such_thing"), "{error:?}");
    let error = DevServer::builder().setting("a b", "1").start().await.unwrap_err();
    assert!(format!("{error:?}").contains("no such setting"), "{error:?}");
}

#[tokio::test]
async fn a_restart_ends_sessions_and_keeps_port_and_data() {
    let server = DevServer::start().await.unwrap();
    let url = server.create_database("app").await.unwrap();
    let mut before = connect(&url).await;
    sqlx::raw_sql("create table t as select 1 as id").execute(&mut before).await.unwrap();
    let pid = server.pid();

    server.restart().await.unwrap();

    before.ping().await.unwrap_err();
    assert_ne!(server.pid(), pid);
    let mut after = connect(&url).await;
    assert_eq!(text(&mut after, "select id::text from t").await, "1");
    assert!(server.log_tail().contains("database system is ready"), "{}", server.log_tail());
}

#[tokio::test]
async fn a_server_goes_down_and_comes_up_again() {
    let server = DevServer::start().await.unwrap();
    let mut before = connect(&server.url()).await;
    sqlx::raw_sql("create table t as select 1 as id").execute(&mut before).await.unwrap();

    server.stop_now().await.unwrap();
    assert_eq!(server.pid(), None);
    PgConnection::connect(&server.url()).await.unwrap_err();
    server.stop_now().await.unwrap();

    server.start_again().await.unwrap();
    let mut after = connect(&server.url()).await;
    assert_eq!(text(&mut after, "select id::text from t").await, "1");
}

#[tokio::test]
async fn names_of_databases_are_checked() {
    let server = DevServer::start().await.unwrap();
    for name in ["", "A", "x\"; drop database postgres; --"] {
        let error = server.create_database(name).await.unwrap_err();
        assert!(error.to_string().contains("naming a database"), "{error}");
    }
}

#[tokio::test]
async fn a_frozen_server_goes_with_its_value() {
    let server = DevServer::start().await.unwrap();
    let pid = server.pid().unwrap();
    let pid_text = pid.to_string();
    let kill = std::process::Command::new("kill").args(["-s", "STOP", &pid_text]).status();
    assert!(kill.unwrap().success());
    let start = Instant::now();
    drop(server);
    assert!(start.elapsed() < Duration::from_secs(10));
    until("the frozen server is gone", || !is_running(pid));
}
