use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use tenantry::{
    TenantManager,
    doctor::Check,
    migrate::{Migrations, TenantMigrator},
    provision::Provisioner,
    seed::Seed,
};

use crate::{
    failure::{Failure, Unreachable},
    given::Given,
    global::Global,
    interrupt::Interrupt,
    output::Output,
    postgres::Connection,
    settings::{Settings, key, redact},
};

/// How long to wait for leases to be returned when a command ends.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long a move that is interrupted may take to be undone.
const UNDOING: Duration = Duration::from_secs(30);

/// The context of a command.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) settings: Settings,
    pub(crate) output: Output,
    pub(crate) interrupt: Interrupt,
    given: Arc<Given>,
    /// The name of the program, if a service has set one.
    name: Option<String>,
    own: OnceLock<TenantManager>,
}

impl Context {
    pub(crate) fn new(
        global: &Global,
        settings: Settings,
        given: Arc<Given>,
        name: Option<String>,
    ) -> Self {
        let output = Output::new(global);
        let interrupt = Interrupt::listen();
        let url = global.database_url.as_deref();
        if url.is_some_and(redact::has_password) {
            output.warn("other users of this machine can see the password in --database-url: use DATABASE_URL, .pgpass or database.password_file");
        }
        for (variable, nearest) in &settings.unknown_variables {
            let nearest = nearest
                .as_deref()
                .and_then(key::find)
                .map_or_else(String::new, |key| format!("; did you mean ${}?", key.variable()));
            output.note(format_args!("${variable} is not a setting{nearest}"));
        }
        Self { settings, output, interrupt, given, name, own: OnceLock::new() }
    }

    /// Returns the name of the program.
    pub(crate) fn program(&self) -> &str {
        self.name.as_deref().unwrap_or("tenantry")
    }

    /// Returns `true` if the service provided a manager, so that the settings about it have no effect.
    pub(crate) fn has_given_manager(&self) -> bool {
        self.given.manager.is_some()
    }

    /// Returns the given manager, or builds the one that the settings describe.
    pub(crate) fn manager(&self) -> Result<&TenantManager, Failure> {
        if let Some(given) = &self.given.manager {
            return Ok(given);
        }
        if let Some(own) = self.own.get() {
            return Ok(own);
        }
        let manager = self.settings.manager()?;
        Ok(self.own.get_or_init(|| manager))
    }

    /// Verifies that the database can be reached before tenants are processed one by one: otherwise each of them
    /// would fail, and the command would seem to have run.
    pub(crate) async fn reach(&self) -> Result<(), Failure> {
        let manager = self.manager()?;
        let lease = self.interruptible("nothing was started", manager.shared().acquire()).await?;
        drop(lease);
        Ok(())
    }

    /// Returns the settings that name a database which cannot be reached, without its password.
    pub(crate) fn configured(&self, what: &Unreachable) -> Option<String> {
        if self.has_given_manager() {
            return None;
        }
        self.settings.where_configured(what)
    }

    /// Returns the tenants' migrations, if there are any.
    pub(crate) fn tenant_migrations(&self) -> Result<Option<Migrations>, Failure> {
        match &self.given.migrations {
            Some(given) => Ok(Some(given.clone())),
            None => self.settings.tenant_migrations(),
        }
    }

    /// Returns the shared schema's migrations, if there are any.
    pub(crate) fn shared_migrations(&self) -> Result<Option<Migrations>, Failure> {
        match &self.given.shared_migrations {
            Some(given) => Ok(Some(given.clone())),
            None => self.settings.shared_migrations(),
        }
    }

    /// Returns the migrations of tenants, for commands that need them.
    pub(crate) fn needed_migrations(&self) -> Result<Migrations, Failure> {
        self.tenant_migrations()?.ok_or_else(|| {
            let folder = self.settings.text(&key::TENANT_MIGRATIONS).unwrap_or_default();
            Failure::new(format!("there are no migrations: no folder {folder}")).hint(
                "set migrations.tenants to the folder, or create the first file with `migrate new`",
            )
        })
    }

    /// Returns the connection of requests, for programs that connect on their own.
    pub(crate) fn connection(&self) -> Result<Connection, Failure> {
        self.settings.connection().map_err(|failure| self.without_url(failure))
    }

    /// Returns the connection for maintenance, for programs that connect on their own.
    pub(crate) fn upkeep_connection(&self) -> Result<Connection, Failure> {
        self.settings.upkeep_connection().map_err(|failure| self.without_url(failure))
    }

    fn without_url(&self, failure: Failure) -> Failure {
        match self.has_given_manager() && self.settings.text(&key::DATABASE_URL).is_none() {
            true => Failure::new(format!(
                "{} opens its own connections, so PostgreSQL's programs do not know the database",
                self.program()
            ))
            .hint("set DATABASE_URL=postgres://user@host/database to the same database, or give --database-url"),
            false => failure,
        }
    }

    pub(crate) fn migrator(&self) -> Result<TenantMigrator, Failure> {
        let mut migrator = self.manager()?.migrator();
        if let Some(migrations) = self.tenant_migrations()? {
            migrator = migrator.tenants(migrations);
        }
        if let Some(migrations) = self.shared_migrations()? {
            migrator = migrator.shared(migrations);
        }
        Ok(migrator)
    }

    /// Returns the provisioner, with the migrations and seeds of a new tenant.
    pub(crate) fn provisioner(&self) -> Result<Provisioner, Failure> {
        let mut provisioner = self.manager()?.provisioner();
        if let Some(migrations) = self.tenant_migrations()? {
            provisioner = provisioner.tenants(migrations);
        }
        Ok(provisioner)
    }

    /// Returns the seeds of the folder and the given ones, by name.
    pub(crate) fn seeds(&self) -> Result<Vec<Seed>, Failure> {
        let mut seeds = self.settings.seeds()?;
        seeds.retain(|seed| self.given.seeds.iter().all(|given| given.name() != seed.name()));
        seeds.extend(self.given.seeds.iter().cloned());
        Ok(seeds)
    }

    /// Returns the checks that a service has added to the doctor's.
    pub(crate) fn checks(&self) -> &[Arc<dyn Check>] {
        &self.given.checks
    }

    /// Runs an operation that can be dropped at any point, until it ends or Ctrl-C is pressed.
    ///
    /// # Errors
    ///
    /// The operation's error, or that it was interrupted, with what was not done.
    pub(crate) async fn interruptible<T, E>(
        &self,
        not_done: &str,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, Failure>
    where
        Failure: From<E>,
    {
        tokio::select! {
            result = work => Ok(result?),
            () = self.interrupt.clone().wait() => Err(Failure::new(format!("interrupted: {not_done}"))),
        }
    }

    /// As [`interruptible`](Self::interruptible), for work that ends in an orderly way once it is given up.
    pub(crate) async fn interruptible_move<T, E>(
        &self,
        not_done: &str,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, Failure>
    where
        Failure: From<E>,
    {
        let done = self.interruptible(not_done, work).await;
        if done.is_err()
            && let Some(own) = self.own.get()
        {
            own.close_within(UNDOING).await;
        }
        done
    }

    pub(crate) async fn close(&self) {
        if let Some(own) = self.own.get() {
            own.close_within(PATIENCE).await;
        }
    }
}
