//! The server's own programs, such as `pg_dump`.

use std::{
    process::Stdio,
    time::{Duration, Instant},
};

use sqlx::PgConnection;
use tokio::process::Command;

use crate::failure::Failure;

/// The folder of a server's programs.
pub(crate) struct Programs {
    folder: String,
}

impl Programs {
    /// Asks a server for its folder.
    pub(crate) async fn of(conn: &mut PgConnection) -> Result<Self, Failure> {
        let query = sqlx::query_scalar("select setting from pg_config where name = 'BINDIR'");
        Ok(Self { folder: query.fetch_one(conn).await? })
    }

    /// Runs a line of the shell, in which `$BIN` is the folder, and returns how long it took.
    pub(crate) async fn run(
        &self,
        line: &str,
        variables: &[(&str, &str)],
    ) -> Result<Duration, Failure> {
        let began = Instant::now();
        let output = Command::new("sh")
            .args(["-c", line])
            .env("BIN", &self.folder)
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .output()
            .await?;
        match output.status.success() {
            true => Ok(began.elapsed()),
            false => Err(String::from_utf8_lossy(&output.stderr).into_owned().into()),
        }
    }
}
