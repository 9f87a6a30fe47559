//! The command line, as clap reads it.

use std::path::PathBuf;

use clap::{
    ArgAction, Args, Parser,
    builder::styling::{AnsiColor, Styles},
};

use crate::command::Command;

/// Multi-tenant PostgreSQL from the command line: migrate, inspect and repair all tenants of a server.
#[derive(Debug, Parser)]
#[command(
    name = "tenantry",
    version,
    styles = STYLES,
    max_term_width = 100,
    subcommand_required = true,
    arg_required_else_help = true,
    after_help = "Exit codes: 0 fine (warnings, too, without --strict), 1 problems were found, 2 could not run.\n\
                  Guide: docs/cli.md in the repository."
)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

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
    /// Any setting, such as pool.max_connections=5; `tenantry config` lists them
    #[arg(long, global = true, value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
    /// Print the report as JSON, and nothing else, on standard output
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Exit with 1 for warnings, too
    #[arg(long, global = true)]
    pub(crate) strict: bool,
    /// No progress and no notes
    #[arg(long, short, global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
    /// Log what the library does; -vv with statements
    #[arg(long, short, global = true, action = ArgAction::Count)]
    pub(crate) verbose: u8,
}

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default().bold())
    .placeholder(AnsiColor::Cyan.on_default());
