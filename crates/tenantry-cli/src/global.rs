//! The options that every command takes.

use std::path::PathBuf;

use clap::{ArgAction, Args};

/// What every command takes.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// Configuration file [default: tenantry.toml in the current folder]
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Database; prefer DATABASE_URL, since other users of the machine can see arguments
    #[arg(long, global = true, value_name = "URL")]
    pub(crate) database_url: Option<String>,
    /// Set any setting, such as pool.max_connections=5; `tenantry config` lists them
    #[arg(long, global = true, value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
    /// Print only the report, as JSON, on standard output
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Exit with 1 for warnings, too
    #[arg(long, global = true)]
    pub(crate) strict: bool,
    /// Print no progress and no notes
    #[arg(long, short, global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
    /// Log the library's actions; -vv includes statements
    #[arg(long, short, global = true, action = ArgAction::Count)]
    pub(crate) verbose: u8,
}
