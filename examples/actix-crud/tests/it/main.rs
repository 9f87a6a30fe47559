//! Runs the program as a person would: over HTTP, with signals, and a second time. It is asked what `axum-crud` is
//! asked, and gives the same answers.

mod disconnect;

use example_support::testing::{Program, Server, TestResult, crud, shutdown, works_as_shown};
use tenantry_devdb::DevDatabase;

fn program() -> Program {
    Program::new(env!("CARGO_BIN_EXE_actix-crud"))
}

fn start(database: &DevDatabase) -> Server {
    program().database(database.url()).start()
}

#[tokio::test]
async fn serves_two_tenants_and_starts_a_second_time() -> TestResult {
    crud::serves_two_tenants_and_starts_a_second_time(start).await
}

#[tokio::test]
async fn finishes_all_requests_that_have_begun() -> TestResult {
    shutdown::finishes_all_requests_that_have_begun(start).await
}

/// On a throwaway database.
#[test]
fn works_as_the_readme_shows() {
    works_as_shown(&program(), env!("CARGO_MANIFEST_DIR"));
}
