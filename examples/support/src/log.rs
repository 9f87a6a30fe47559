//! The log, on stderr: stdout has the lines to copy.

use std::io;

use tenantry::PlainFormat;
use tracing_subscriber::EnvFilter;

/// Writes the log to stderr, a line for each event. `RUST_LOG` filters it; `default` is the filter without it.
///
/// # Panics
///
/// If a log was already started.
pub fn start_log(default: &str) {
    tracing_subscriber::fmt()
        .event_format(PlainFormat::default())
        .with_env_filter(EnvFilter::try_from_default_env().unwrap_or_else(|_| default.into()))
        .with_writer(io::stderr)
        .init();
}
