use clap::{Args, ValueEnum};
use tenantry::{
    Ident, IsolationKind,
    migrate::{SchemaState, Schemas},
    provision::CreateOptions,
};

use super::attributes;
use crate::{
    command::{Ended, seed::choose},
    context::Context,
    exit::Exit,
    failure::Failure,
};

/// Arguments of `tenant create`.
#[derive(Debug, Args)]
pub(crate) struct Create {
    /// The id of the new tenant
    id: String,
    /// Attributes to store in the catalog: `name=value`, or a JSON object
    #[arg(long, value_name = "ATTRIBUTES")]
    attributes: Vec<String>,
    /// How its data is kept apart [default: as configured]
    #[arg(long, value_enum)]
    isolation: Option<Isolation>,
    /// Its server [default: chosen by the placement policy, or `main`]
    #[arg(long, value_name = "NAME")]
    server: Option<String>,
    /// Name of its database, with --isolation database [default: from the template]
    #[arg(long, value_name = "NAME")]
    database: Option<String>,
    /// Database that its database is copied from [default: template1]
    #[arg(long, value_name = "NAME")]
    database_template: Option<String>,
    /// Name of its schema [default: from the template]
    #[arg(long, value_name = "NAME")]
    schema: Option<String>,
    /// Value that marks its rows in shared tables, with --isolation row [default: its id]
    #[arg(long)]
    key: Option<String>,
    /// Role of its sessions
    #[arg(long)]
    role: Option<String>,
    /// Seeds to run as part of the creation, by name
    #[arg(long, value_name = "NAME")]
    seed: Vec<String>,
    /// Copy a template instead of running the migrations
    #[arg(long)]
    from_template: bool,
    /// Do not use a spare schema or database
    #[arg(long)]
    no_spare: bool,
    /// Keep an incomplete tenant for inspection if the creation fails
    #[arg(long)]
    keep_failed: bool,
}

/// The kinds of isolation.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Isolation {
    Schema,
    Row,
    Database,
}

impl From<Isolation> for IsolationKind {
    fn from(isolation: Isolation) -> Self {
        match isolation {
            Isolation::Schema => Self::Schema,
            Isolation::Row => Self::Row,
            Isolation::Database => Self::Database,
        }
    }
}

impl Create {
    pub(super) async fn run(self, on: &Context) -> Ended {
        let options = self.options(on)?;
        let mut provisioner = on.provisioner()?;
        if on.tenant_migrations()?.is_none() {
            on.output.warn("there are no migrations, so the schema is empty: set migrations.tenants to their folder");
        }
        let is_shared_ready = is_shared_ready(on).await?;
        if !is_shared_ready {
            on.output.warn("the shared schema is not up to date: run `tenantry migrate --shared`");
        }
        if !self.seed.is_empty() {
            for seed in choose(on, on.seeds()?, &self.seed)? {
                provisioner = provisioner.seed(seed);
            }
        }
        let progress = on.output.progress("create");
        progress.say(&self.id);
        let created = on
            .interruptible("the tenant was not created", provisioner.create(&*self.id, options))
            .await?;
        drop(progress);
        on.output.report(&created, || created.to_string())?;
        Ok(if created.remarks.is_empty() && is_shared_ready { Exit::Fine } else { Exit::Warnings })
    }

    fn options(&self, on: &Context) -> Result<CreateOptions, Failure> {
        let mut options = CreateOptions::default()
            .attributes(attributes::read(on, &self.attributes)?)
            .use_spare(!self.no_spare)
            .keep_failed(self.keep_failed);
        if let Some(isolation) = self.isolation {
            options = options.isolation(isolation.into());
        }
        if let Some(server) = &self.server {
            options = options.server(server.as_str());
        }
        if let Some(database) = &self.database {
            options = options.database(ident("--database", database)?);
        }
        if let Some(template) = &self.database_template {
            options = options.database_template(ident("--database-template", template)?);
        }
        if let Some(schema) = &self.schema {
            options = options.container(ident("--schema", schema)?);
        }
        if let Some(key) = &self.key {
            options = options.key(key.as_str());
        }
        if let Some(role) = &self.role {
            options = options.role(ident("--role", role)?);
        }
        if self.from_template {
            options = options.from_template();
        }
        Ok(options)
    }
}

/// Returns `true` if the shared schema is up to date, so that a tenant's migrations find the objects that they refer
/// to.
async fn is_shared_ready(on: &Context) -> Result<bool, Failure> {
    if on.shared_migrations()?.is_none() {
        return Ok(true);
    }
    let (migrator, options) = (on.migrator()?, on.settings.migrate_options());
    let plan = migrator.plan(Schemas::Shared, &options);
    let plan = on.interruptible("the tenant was not created", plan).await?;
    Ok(plan.shared.is_none_or(|shared| shared.state == SchemaState::UpToDate))
}

/// Reads a name of the database.
pub(in crate::command) fn ident(flag: &str, name: &str) -> Result<Ident, Failure> {
    Ident::parse(name)
        .map_err(|error| Failure::while_doing(format_args!("{flag} {name:?}"), &error))
}
