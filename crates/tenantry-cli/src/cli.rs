use std::{env, ffi::OsString, process::ExitCode, sync::Arc};

use clap::{CommandFactory, FromArgMatches};
use tenantry::{TenantManager, doctor::Check, migrate::Migrations, seed::Seed};

use crate::{
    command::{Arguments, Ended},
    context::Context,
    exit::COULD_NOT_RUN,
    failure::Failure,
    given::Given,
    output::{self, Output},
    settings::Settings,
};

/// The commands, together with what a service provides to them.
///
/// Without any customization they are the `tenantry` binary: everything comes from flags, environment variables and
/// `tenantry.toml`. What the service provides takes precedence.
///
/// # Examples
///
/// See the [crate](crate).
#[derive(Debug, Default)]
#[must_use = "nothing is run until `run` is called"]
pub struct Cli {
    name: Option<String>,
    given: Given,
}

impl Cli {
    /// Creates the commands without any customization.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the name of the program in its help. Default: `tenantry`.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Runs all commands on this manager. Default: a manager built from the settings.
    ///
    /// The settings under `database`, `upkeep`, `tenants` and `pool` then have no effect. The manager is not closed
    /// when a command ends.
    pub fn manager(mut self, manager: TenantManager) -> Self {
        self.given.manager = Some(manager);
        self
    }

    /// Sets the migrations of tenants, such as embedded ones. Default: the folder in the settings.
    pub fn migrations(mut self, migrations: Migrations) -> Self {
        self.given.migrations = Some(migrations);
        self
    }

    /// Sets the migrations of the shared schema. Default: the folder in the settings.
    pub fn shared_migrations(mut self, migrations: Migrations) -> Self {
        self.given.shared_migrations = Some(migrations);
        self
    }

    /// Adds seeds, such as closures, to those of the settings' folder. A seed with the same name as a file there
    /// replaces it.
    pub fn seeds(mut self, seeds: impl IntoIterator<Item = Seed>) -> Self {
        self.given.seeds.extend(seeds);
        self
    }

    /// Adds a check to those of the doctor. It replaces an existing check of the same name.
    pub fn check(mut self, check: impl Check) -> Self {
        self.given.checks.push(Arc::new(check));
        self
    }

    /// Runs the command that this process's arguments name, and returns the exit code: 0 for success, 1 if problems
    /// were found, 2 if the command could not run.
    ///
    /// Must be called within a tokio runtime.
    ///
    /// # Cancel safety
    ///
    /// As the library operations that the command calls.
    pub async fn run(self) -> ExitCode {
        self.run_with(env::args_os()).await
    }

    /// Runs the command that these arguments name; the first one is the name of the program.
    ///
    /// # Cancel safety
    ///
    /// As [`run`](Self::run).
    pub async fn run_with<I>(self, arguments: I) -> ExitCode
    where
        I: IntoIterator<Item: Into<OsString> + Clone>,
    {
        match self.parse(arguments) {
            Ok(arguments) => self.run_parsed(arguments).await,
            Err(code) => code,
        }
    }

    /// Runs the command like [`run`](Self::run), in a new runtime, which is created only for commands that need one.
    #[must_use]
    pub fn run_blocking(self) -> ExitCode {
        let arguments = match self.parse(env::args_os()) {
            Ok(arguments) => arguments,
            Err(code) => return code,
        };
        match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
            Ok(runtime) => runtime.block_on(self.run_parsed(arguments)),
            Err(error) => could_not_run(&Failure::while_doing("starting a runtime", &error)),
        }
    }

    /// Reads the arguments. Help, the version and mistakes are printed, and end the program.
    fn parse<I>(&self, arguments: I) -> Result<Arguments, ExitCode>
    where
        I: IntoIterator<Item: Into<OsString> + Clone>,
    {
        let mut command = Arguments::command();
        if let Some(name) = &self.name {
            command = command.name(name.clone()).bin_name(name.clone());
        }
        let matches = command.try_get_matches_from_mut(arguments);
        let parsed = matches.and_then(|matches| Arguments::from_arg_matches(&matches));
        parsed.map_err(|error| {
            let printed = output::written(error.print());
            match printed {
                Ok(()) if !error.use_stderr() => ExitCode::SUCCESS,
                Ok(()) => ExitCode::from(COULD_NOT_RUN),
                Err(failure) => could_not_run(&failure),
            }
        })
    }

    async fn run_parsed(self, arguments: Arguments) -> ExitCode {
        let Arguments { global, command } = arguments;
        output::start_log(global.verbose);
        let strict = global.strict;
        let settings = match Settings::read(&global) {
            Ok(settings) => settings,
            Err(failure) => {
                let output = Output::new(&global);
                let told = command.without_settings(&output, &failure);
                return told.map_or_else(|| could_not_run(&failure), |exit| ended(exit, strict));
            }
        };
        let context = Context::new(&global, settings, Arc::new(self.given), self.name);
        let result = command.run(&context).await;
        let result = result.map_err(|failure| failure.of_database(|what| context.configured(what)));
        context.close().await;
        ended(result, strict)
    }
}

fn ended(result: Ended, strict: bool) -> ExitCode {
    match result {
        Ok(exit) => exit.code(strict),
        Err(failure) => could_not_run(&failure),
    }
}

fn could_not_run(failure: &Failure) -> ExitCode {
    output::error(failure);
    ExitCode::from(COULD_NOT_RUN)
}
