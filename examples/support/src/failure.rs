//! How a program ends.

use std::{
    error::Error,
    process::{ExitCode, Termination},
};

use tenantry::ErrorReport;

/// Turns the result of a program into its exit code. An error is printed to stderr in one line, with its causes.
pub fn exit_code<T, E>(result: Result<T, E>) -> ExitCode
where
    T: Termination,
    E: Into<Box<dyn Error + Send + Sync>>,
{
    match result {
        Ok(value) => value.report(),
        Err(error) => {
            eprintln!("error: {}", ErrorReport::new(&*error.into()));
            ExitCode::FAILURE
        }
    }
}
