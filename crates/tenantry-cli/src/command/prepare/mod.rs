mod env_file;
mod ground;

use std::{ffi::OsString, path::PathBuf};

use clap::Args;
use schemars::JsonSchema;
use serde::Serialize;
use tokio::process::Command;

use self::{env_file::EnvFile, ground::Ground};
use super::{Ended, shell::parse};
use crate::{context::Context, exit::Exit, failure::Failure, postgres::Connection};

/// Arguments of `prepare`.
#[derive(Debug, Args)]
#[command(
    after_help = "Applies all migrations to an empty database: those of the shared schema, and those of tenants in \
                        the schema of one tenant. DATABASE_URL then has the search path of that tenant, followed by the \
                        shared schema and the schemas of extensions, so that `query!` finds the tables of both.\n\
                        The database is on a throwaway server, even if DATABASE_URL is set. With --database-url, it is a \
                        new database on that server, which is removed at the end.\n\n\
                        Example: tenantry prepare -- cargo sqlx prepare"
)]
pub(crate) struct Prepare {
    /// SQL file to run first, for example to create extensions
    #[arg(long, value_name = "FILE")]
    setup: Option<PathBuf>,
    /// File to write DATABASE_URL to, such as .env; it must not exist, and is removed at the end
    #[arg(long, value_name = "FILE")]
    env_file: Option<PathBuf>,
    /// Id of the tenant
    #[arg(long, value_name = "ID", default_value = "template")]
    tenant: String,
    /// Command to run with DATABASE_URL; without one, the database stays until Ctrl-C
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

/// A database to check queries against.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PrepareReport {
    /// Its URL, with the search path and without a password.
    database_url: String,
    /// The schemas in which names are looked up, in this order.
    search_path: Vec<String>,
    /// Migrations of the tenant's schema that were applied.
    tenant_migrations: usize,
    /// Migrations of the shared schema that were applied.
    shared_migrations: usize,
    /// The file that has the URL, too.
    #[serde(skip_serializing_if = "Option::is_none")]
    env_file: Option<String>,
}

impl Prepare {
    pub(crate) async fn run(self, on: &Context) -> Ended {
        let id = parse(&self.tenant)?;
        let progress = on.output.progress("prepare");
        progress.say("starting a server");
        let ground = on.interruptible("nothing was prepared", Ground::create(on)).await?;
        progress.say("applying migrations");
        let made = on
            .interruptible("nothing was prepared", ground.make(on, &id, self.setup.as_deref()))
            .await;
        drop(progress);
        let ended = match made {
            Ok(made) => self.serve(on, made).await,
            Err(failure) => Err(failure),
        };
        let removed = ground.remove().await;
        let exit = ended?;
        removed.map(|()| exit)
    }

    /// Keeps the database available until the command, or the operator, is done.
    async fn serve(&self, on: &Context, made: ground::Made) -> Ended {
        let url = made.connection.url();
        let file = self.env_file.as_deref().map(|path| EnvFile::create(path, &url)).transpose()?;
        let report = PrepareReport {
            database_url: made.connection.url_to_show(),
            search_path: made.search_path,
            tenant_migrations: made.tenant_migrations,
            shared_migrations: made.shared_migrations,
            env_file: file.as_ref().map(|file| file.path().display().to_string()),
        };
        let Some((program, arguments)) = self.command.split_first() else {
            on.output.report(&report, || format!("DATABASE_URL={}", report.database_url))?;
            if has_password(&made.connection) {
                on.output.note("the password is left out: set PGPASSWORD, or use --env-file");
            }
            on.output.note("Ctrl-C removes the database");
            on.interrupt.clone().wait().await;
            return Ok(Exit::Fine);
        };
        let mut command = Command::new(program);
        command.args(arguments).env("DATABASE_URL", &url).kill_on_drop(true);
        let what = || format!("running {}", program.to_string_lossy());
        let mut child = command.spawn().map_err(|error| Failure::while_doing(what(), &error))?;
        let ended = on.interruptible("the command was ended", async { child.wait().await }).await?;
        if !ended.success() {
            on.output.warn(format_args!("{} ended with {ended}", program.to_string_lossy()));
        }
        Ok(Exit::fine_if(ended.success()))
    }
}

fn has_password(connection: &Connection) -> bool {
    connection.get("password").is_some()
}
