//! Runs the program as the README shows it.

use example_support::testing::{Program, works_as_shown};
use tenantry_devdb::DevDatabase;

type TestResult = Result<(), Box<dyn std::error::Error>>;

const FILES: [&str; 2] = [
    include_str!("../../migrations/0001_shop.sql"),
    include_str!("../../migrations/0002_people.sql"),
];

#[tokio::test]
async fn works_as_the_readme_shows() -> TestResult {
    let database = DevDatabase::create().await?;
    for schema in ["tenant_a", "tenant_b"] {
        let set_up =
            format!("create schema {schema}; set search_path = {schema}; {}", FILES.join(";"));
        database.run_script(&set_up).await?;
    }
    database.run_script("drop index tenant_b.orders_customer").await?;
    let program = Program::new(env!("CARGO_BIN_EXE_drift-and-clone")).database(database.url());
    tokio::task::spawn_blocking(move || works_as_shown(&program, env!("CARGO_MANIFEST_DIR")))
        .await?;
    database.close().await?;
    Ok(())
}
