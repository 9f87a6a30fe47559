//! The `tenantry` binary: the commands of [`tenantry_cli`] without customization.

use std::process::ExitCode;

fn main() -> ExitCode {
    tenantry_cli::Cli::new().run_blocking()
}
