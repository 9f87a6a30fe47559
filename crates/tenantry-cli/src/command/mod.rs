//! The commands: each parses its arguments, calls the library and prints the report.

mod archive;
mod arguments;
mod completions;
mod config;
mod diff;
mod doctor;
mod drain_server;
mod drift;
mod dump;
mod health;
mod init;
mod json_schemas;
mod man;
mod merge;
mod metrics;
mod migrate;
mod move_tenant;
mod prepare;
mod restore;
mod schema;
mod seed;
mod shell;
mod sql;
mod status;
mod tenant;
#[cfg(feature = "top")]
mod top;

use clap::Subcommand;

pub(crate) use self::{arguments::Arguments, json_schemas::json_schemas};
use crate::{context::Context, exit::Exit, failure::Failure, output::Output};

/// The result of a command.
pub(crate) type Ended = Result<Exit, Failure>;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Write a configuration file, after inspecting the database
    Init(init::Init),
    /// Show the settings in effect, and the source of each
    Config(config::Config),
    /// Compare every tenant's schema with the migrations
    Status(status::Status),
    /// Apply migrations to tenants' schemas
    Migrate(migrate::Migrate),
    /// List, create, clone, suspend, resume, rename and drop tenants
    #[command(subcommand)]
    Tenant(tenant::Tenant),
    /// Move tenants to another server or another kind of isolation
    Move(move_tenant::Move),
    /// Write a tenant to a folder, and create tenants from such folders
    #[command(subcommand)]
    Archive(archive::Archive),
    /// Compare the rows of two tenants by their keys
    Diff(diff::Diff),
    /// Bring chosen rows of one tenant into another
    Merge(merge::Merge),
    /// Fill schemas with data
    Seed(seed::Seed),
    /// Find tenants whose schemas have drifted
    Drift(drift::Drift),
    /// Export a tenant's schema, or check it for common mistakes
    #[command(subcommand)]
    Schema(schema::Schema),
    /// Find problems in the configuration, on the server and in the tenants, and explain how to fix them
    Doctor(doctor::Doctor),
    /// Check the health of every server, and of the selected tenants
    Health(health::Health),
    /// Show sessions and load, from a service or the database
    Metrics(metrics::Metrics),
    /// Watch tenants live
    #[cfg(feature = "top")]
    Top(top::Top),
    /// Run one statement on all tenants
    Sql(sql::Sql),
    /// Start psql in a tenant's schema
    Shell(shell::Shell),
    /// Write a tenant's schema (with pg_dump) or rows to a file
    Dump(dump::Dump),
    /// Create a tenant from the file of a dump, or replace its rows
    Restore(restore::Restore),
    /// Create a throwaway tenant, and run a command against it
    Prepare(prepare::Prepare),
    /// Print a completion script for a shell
    Completions(completions::Completions),
    /// Print the manual page
    Man(man::Man),
}

impl Command {
    /// Lets the doctor report settings that cannot be read; every other command fails.
    pub(crate) fn without_settings(&self, output: &Output, failure: &Failure) -> Option<Ended> {
        match self {
            Self::Doctor(doctor) => Some(doctor.not_configured(output, failure)),
            _ => None,
        }
    }

    pub(crate) async fn run(self, on: &Context) -> Ended {
        match self {
            Self::Init(command) => command.run(on).await,
            Self::Config(command) => command.run(on),
            Self::Status(command) => command.run(on).await,
            Self::Migrate(command) => command.run(on).await,
            Self::Tenant(command) => command.run(on).await,
            Self::Move(command) => command.run(on).await,
            Self::Archive(command) => command.run(on).await,
            Self::Diff(command) => command.run(on).await,
            Self::Merge(command) => command.run(on).await,
            Self::Seed(command) => command.run(on).await,
            Self::Drift(command) => command.run(on).await,
            Self::Schema(command) => command.run(on).await,
            Self::Doctor(command) => command.run(on).await,
            Self::Health(command) => command.run(on).await,
            Self::Metrics(command) => command.run(on).await,
            #[cfg(feature = "top")]
            Self::Top(command) => command.run(on).await,
            Self::Sql(command) => command.run(on).await,
            Self::Shell(command) => command.run(on).await,
            Self::Dump(command) => command.run(on).await,
            Self::Restore(command) => command.run(on).await,
            Self::Prepare(command) => command.run(on).await,
            Self::Completions(command) => command.run(on),
            Self::Man(command) => command.run(on),
        }
    }
}
