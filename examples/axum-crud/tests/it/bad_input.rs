//! What is wrong is told in one line, and the password is not in it.

use std::net::TcpListener;

use example_support::testing::Program;
use tenantry_devdb::DevDatabase;

use crate::{TestResult, program};

/// Runs the program, which must not start, and returns the one line that it prints.
fn refusal(program: &Program) -> String {
    let output = program.clone().env("RUST_LOG", "off").command().output();
    let output = output.expect("the program can be run");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(output.stdout.is_empty() && !said.contains("secret"), "{said}");
    let line = said.strip_prefix("error: ").unwrap_or_else(|| panic!("{said}"));
    line.trim_end().to_owned()
}

fn with_database(url: &str) -> String {
    refusal(&program().database(url))
}

#[test]
fn a_port_that_is_taken_is_told_before_a_database_is_started() -> TestResult {
    let taken = TcpListener::bind("127.0.0.1:0")?;
    let port = taken.local_addr()?.port().to_string();
    let told = refusal(&program().env("PORT", &port).database("not a URL"));
    let expected =
        format!("port {port} is taken: set PORT to another one, or to 0 for any free port");
    assert_eq!(told, expected);
    for (name, value) in [("PORT", "a port"), ("PORT", "70000"), ("HOST", "localhost:3000")] {
        let told = refusal(&program().env(name, value).database("not a URL"));
        assert!(told.starts_with(&format!("{name} must be ")), "{told}");
    }
    Ok(())
}

#[test]
fn a_url_that_cannot_be_used_is_told() {
    for (url, expected) in [
        ("mysql://root:secret@localhost/app", "must be postgres or postgresql"),
        ("postgres://user:secret#1@localhost/app", "has a # in it: write %23, also in a password"),
        ("secret", "must begin with postgres:// or postgresql://"),
        ("", "the database URL is missing"),
        ("postgres://user:secret@127.0.0.1:1/app", "Connection refused"),
    ] {
        let told = with_database(url);
        assert!(told.contains(expected), "{url}: {told}");
    }
}

#[tokio::test]
async fn a_database_without_the_tables_or_the_rights_is_told() -> TestResult {
    let database = DevDatabase::create().await?;
    let missing = format!("{}_missing", database.name());
    let url = database.url().replace(database.name(), &missing);
    let told = with_database(&url);
    assert!(told.contains(&format!("database \"{missing}\" does not exist")), "{told}");

    let role = format!("no_rights_{}", std::process::id());
    let create = format!("create role {role} login; revoke create on schema public from public");
    database.run_script(&create).await?;
    let url = database.url().replacen("//postgres", &format!("//{role}"), 1);
    assert_ne!(url, database.url());
    let told = with_database(&url);
    database.run_script(&format!("drop role {role}")).await?;
    assert!(told.contains("permission denied"), "{told}");
    database.close().await?;
    Ok(())
}
