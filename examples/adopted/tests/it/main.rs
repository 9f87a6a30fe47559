//! Runs the program as the README shows it, and sees what it has left to Rails.

use std::{error::Error, process::Command};

use example_support::testing::{Program, works_as_shown};
use sqlx::{Connection, PgConnection};
use tenantry_devdb::DevDatabase;

type TestResult = Result<(), Box<dyn Error>>;

fn program() -> Program {
    Program::new(env!("CARGO_BIN_EXE_adopted"))
}

fn output(mut command: Command) -> Result<String, Box<dyn Error>> {
    let output = command.output()?;
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && log.is_empty(), "{log}");
    Ok(String::from_utf8(output.stdout)?)
}

#[test]
fn works_as_the_readme_shows() {
    works_as_shown(&program(), env!("CARGO_MANIFEST_DIR"));
}

#[test]
fn the_first_migration_is_that_of_the_schema_furthest_behind() -> TestResult {
    let mut command = program().command();
    command.arg("first-migration");
    assert_eq!(output(command)?, include_str!("../../migrations/0001_rails.sql"));
    Ok(())
}

/// Everything that Rails has in a schema, as text.
async fn of_rails(conn: &mut PgConnection, number: i32) -> sqlx::Result<String> {
    let schema = format!("customer_{number}");
    sqlx::query("select set_config('search_path', $1, false)")
        .bind(schema)
        .execute(&mut *conn)
        .await?;
    let all = "select concat_ws(';', (select string_agg(u::text, ',' order by id) from users u),
                 (select string_agg(concat_ws(' ', id, user_id, name), ',' order by id) from projects),
                 (select string_agg(version, ',' order by version) from schema_migrations))";
    sqlx::query_scalar(all).fetch_one(conn).await
}

#[tokio::test]
async fn rails_finds_what_it_had_and_goes_on_writing() -> TestResult {
    let database = DevDatabase::create().await?;
    database.run_script(include_str!("../../rails.sql")).await?;
    let mut rails = PgConnection::connect(database.url()).await?;
    let mut before = Vec::new();
    for number in 1..=3 {
        before.push(of_rails(&mut rails, number).await?);
    }
    let said = output(program().database(database.url()).command())?;
    assert!(said.contains("3 of 3 tenants marked"), "{said}");
    for (number, before) in (1..).zip(&before) {
        assert_eq!(of_rails(&mut rails, number).await?, *before);
        let new = "insert into projects (user_id) select min(id) from users";
        assert_eq!(sqlx::query(new).execute(&mut rails).await?.rows_affected(), 1);
        sqlx::query("select archived_at from projects").execute(&mut rails).await?;
    }
    // What is no customer's is left alone; a run remembers in a table of its own which tenants have all files.
    let alone = "select count(*) from pg_tables where schemaname in ('audit', 'public')
                   and tablename <> 'tenantry_migrated'";
    assert_eq!(sqlx::query_scalar::<_, i64>(alone).fetch_one(&mut rails).await?, 2);
    database.close().await?;
    Ok(())
}
