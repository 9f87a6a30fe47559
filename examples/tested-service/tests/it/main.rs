//! The tests of the service. Each runs in parallel with all others, with a tenant that no other test sees.

mod customers;
mod isolation;
mod orders;
mod report;

use example_support::testing::{Program, works_as_shown};

type TestResult = Result<(), Box<dyn std::error::Error>>;

#[test]
fn works_as_the_readme_shows() {
    works_as_shown(&Program::new(env!("CARGO_BIN_EXE_tested-service")), env!("CARGO_MANIFEST_DIR"));
}
