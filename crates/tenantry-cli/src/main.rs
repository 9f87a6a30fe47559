//! The `tenantry` binary: the commands of [`tenantry_cli`] with nothing of a service's own.

use std::process::ExitCode;

fn main() -> ExitCode {
    tenantry_cli::Cli::new().run_blocking()
}
