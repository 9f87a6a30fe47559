//! Runs the program as a person would: over HTTP, with signals, and a second time.

mod alerts;
mod bad_input;
mod commands;
mod compose;
mod dashboard;
mod logging;
mod operating;
mod ops_files;
mod pgbouncer;
mod prometheus;

use example_support::testing::{Program, Server, TestResult, crud, shutdown, works_as_shown};
use tenantry_devdb::DevDatabase;

fn program() -> Program {
    Program::new(env!("CARGO_BIN_EXE_axum-crud"))
}

/// Starts the program on this database, with these variables in its environment.
fn start(database: &DevDatabase, environment: &[(&str, &str)]) -> Server {
    let program = program().database(database.url());
    environment.iter().fold(program, |program, (name, value)| program.env(name, value)).start()
}

#[tokio::test]
async fn serves_two_tenants_and_starts_a_second_time() -> TestResult {
    crud::serves_two_tenants_and_starts_a_second_time(|database| start(database, &[])).await
}

#[tokio::test]
async fn finishes_all_requests_that_have_begun() -> TestResult {
    shutdown::finishes_all_requests_that_have_begun(|database| start(database, &[])).await
}

#[tokio::test]
async fn waits_ten_seconds_for_a_request_and_not_for_ever() -> TestResult {
    shutdown::waits_ten_seconds_for_a_request_and_not_for_ever(|database| start(database, &[]))
        .await
}

#[tokio::test]
async fn several_start_at_once_on_an_empty_database() -> TestResult {
    for _ in 0..3 {
        let database = DevDatabase::create().await?;
        let starting: Vec<_> = (0..3)
            .map(|_| {
                let url = database.url().to_owned();
                std::thread::spawn(move || program().database(&url).start())
            })
            .collect();
        for server in starting {
            let server = server.join().expect("it starts");
            for tenant in ["acme", "globex"] {
                let users = server.send("GET", "/users", Some(tenant), None).json();
                assert_eq!(users.as_array().map(Vec::len), Some(2), "{users}");
            }
            server.stop();
        }
        database.close().await?;
    }
    Ok(())
}

/// On a throwaway database.
#[test]
fn works_as_the_readme_shows() {
    works_as_shown(&program(), env!("CARGO_MANIFEST_DIR"));
}
