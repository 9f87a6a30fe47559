//! A program that has not been started yet.

use std::process::{Command, Stdio};

use super::Server;

/// Variables that an example reads. A test sets those that it means.
const VARIABLES: [&str; 9] = [
    "DATABASE_URL",
    "HOST",
    "JWT_SECRET",
    "LOG_FORMAT",
    "METRICS_PASS",
    "METRICS_TENANTS",
    "METRICS_USER",
    "PORT",
    "RUST_LOG",
];

/// An example's program, on a free port and with a throwaway database unless told otherwise.
#[derive(Debug, Clone)]
pub struct Program {
    pub(super) path: String,
    variables: Vec<(String, String)>,
}

impl Program {
    /// Takes the path of the program: `env!("CARGO_BIN_EXE_…")`.
    #[must_use]
    pub fn new(path: &str) -> Self {
        Self { path: path.to_owned(), variables: vec![("PORT".to_owned(), "0".to_owned())] }
    }

    /// Sets a variable of its environment.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Sets `DATABASE_URL`.
    #[must_use]
    pub fn database(self, url: &str) -> Self {
        self.env("DATABASE_URL", url)
    }

    /// Returns the command that starts it.
    #[must_use]
    pub fn command(&self) -> Command {
        self.environment(Command::new(&self.path))
    }

    /// Starts it and waits until it listens.
    #[must_use]
    pub fn start(&self) -> Server {
        Server::start(self.command())
    }

    pub(super) fn environment(&self, mut command: Command) -> Command {
        for name in VARIABLES {
            command.env_remove(name);
        }
        command.envs(self.variables.iter().cloned()).stdin(Stdio::null());
        command
    }
}
