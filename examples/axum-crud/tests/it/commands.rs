//! The commands of `tenantry`, in the service's own binary.

use std::process::{Command, Output};

use serde_json::Value;
use tenantry_devdb::DevDatabase;

use crate::TestResult;

fn run(database: &DevDatabase, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_axum-crud"));
    command.env("DATABASE_URL", database.url()).args(arguments);
    command.output().expect("it can be started")
}

fn json(output: &Output) -> Result<Value, serde_json::Error> {
    serde_json::from_slice(&output.stdout)
}

#[tokio::test]
async fn migrations_and_seeds_are_those_that_are_compiled_in() -> TestResult {
    let database = DevDatabase::create().await?;
    let created = run(&database, &["tenant", "create", "acme", "--seed", "first users", "--json"]);
    assert_eq!(created.status.code(), Some(0), "{created:?}");
    let migrated = run(&database, &["migrate", "--all", "--json"]);
    assert_eq!(migrated.status.code(), Some(0), "{migrated:?}");
    assert_eq!(json(&migrated)?["upToDate"], 1);
    assert_eq!(json(&migrated)?["shared"]["outcome"], "migrated");
    let users = run(&database, &["sql", "select name from users order by name", "--format", "csv"]);
    assert_eq!(String::from_utf8(users.stdout)?, "tenant,name\nacme,Ada\nacme,Grace\n");
    let help = run(&database, &["migrate", "--help"]);
    assert!(String::from_utf8(help.stdout)?.contains("Usage: axum-crud migrate"));
    assert_eq!(run(&database, &["migrate", "--al"]).status.code(), Some(2));
    database.close().await?;
    Ok(())
}
