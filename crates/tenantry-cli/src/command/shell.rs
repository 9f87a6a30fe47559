use std::{ffi::OsString, process::Command};

use clap::Args;
use tenantry::{ErrorKind, TenantDb, TenantId};

use super::Ended;
use crate::{context::Context, failure::Failure, own_schema::own_schema, postgres::Program};

/// Arguments of `shell`.
#[derive(Debug, Args)]
#[command(
    after_help = "The session has the tenant's search path, role and settings, even after \\connect. That is not \
                        a security boundary: users of the shell can do everything that the database role can.\n\
                        psql gets the password from its environment, and reads .psqlrc as usual."
)]
pub(crate) struct Shell {
    /// The tenant
    #[arg(value_name = "TENANT")]
    id: String,
    /// Make transactions read-only by default
    #[arg(long)]
    read_only: bool,
    /// Allow a suspended tenant
    #[arg(long)]
    suspended: bool,
    /// Arguments of psql, such as `-- --command "select 1"`
    #[arg(last = true, value_name = "PSQL ARGUMENTS")]
    arguments: Vec<OsString>,
}

impl Shell {
    pub(crate) async fn run(self, on: &Context) -> Ended {
        let id = parse(&self.id)?;
        let psql = Program::first("psql")?;
        let connection = on.connection()?;
        let find = self.find(on, &id);
        let db = on.interruptible("the shell was not opened", find).await?;
        let mut settings = db.session_settings();
        if self.read_only {
            settings.push(("default_transaction_read_only".to_owned(), "on".to_owned()));
        }
        let pairs = settings.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let connection =
            connection.with_settings(pairs).set("application_name", Some("tenantry/shell"));
        let mut command = Command::new(&psql.path);
        connection.give_to(&mut command);
        let mode = if self.read_only { " (read-only)" } else { "" };
        for (number, state) in [(1, "%R%x%#"), (2, "%R%x%#"), (3, ">>")] {
            command.arg("-v").arg(format!("PROMPT{number}={id}@%/{mode}{state} "));
        }
        command.arg("-v").arg(format!("TENANT={id}")).args(&self.arguments);
        // The shell has a separate connection.
        on.close().await;
        replace_by(command)
    }

    /// Finds the tenant, and verifies that its schema exists: otherwise, names would be resolved in the shared
    /// schema.
    async fn find(&self, on: &Context, id: &TenantId) -> Result<TenantDb, Failure> {
        let manager = on.manager()?;
        let db = match self.suspended {
            true => manager.tenant_to_authorize(id).await?,
            false => manager.tenant(id.clone()).await.map_err(|error| {
                let is_suspended = error.kind() == ErrorKind::Suspended;
                let failure = Failure::from(error);
                if is_suspended { failure.hint("--suspended opens it anyway") } else { failure }
            })?,
        };
        let schema = own_schema(db.tenant())?.as_str();
        match manager.database_outline().await?.schema(schema) {
            Some(_) => Ok(db),
            None => Err(Failure::new(format!("tenant {id} has no schema {schema}"))),
        }
    }
}

/// Reads the id of a tenant.
pub(super) fn parse(id: &str) -> Result<TenantId, Failure> {
    TenantId::parse(id).map_err(|error| Failure::while_doing(format_args!("{id:?}"), &error))
}

/// Replaces this process by the program.
fn replace_by(mut command: Command) -> Ended {
    use std::os::unix::process::CommandExt;
    let error = command.exec();
    Err(Failure::while_doing("starting psql", &error))
}
