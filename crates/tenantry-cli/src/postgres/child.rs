use std::{collections::VecDeque, process::Stdio};

use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process,
};

use super::{Connection, Program};
use crate::failure::Failure;

/// The number of output lines that are kept for the error.
const KEPT: usize = 6;

/// A PostgreSQL program that runs until it exits or the value is dropped.
#[derive(Debug)]
pub(crate) struct Child {
    name: String,
    command: std::process::Command,
}

/// The result of a program.
#[derive(Debug, Default)]
pub(crate) struct Ran {
    /// The number of tables that it reported.
    pub(crate) tables: usize,
}

impl Child {
    pub(crate) fn new(program: &Program, connection: &Connection) -> Self {
        let mut command = std::process::Command::new(&program.path);
        let connection = connection.clone().set("application_name", Some("tenantry/cli"));
        connection.give_to(&mut command);
        // Its output is parsed, and must not be translated.
        command.env("LC_ALL", "C").arg("--no-password").stdin(Stdio::null());
        let name = program.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Self { name, command }
    }

    pub(crate) fn arg(mut self, argument: impl AsRef<std::ffi::OsStr>) -> Self {
        self.command.arg(argument);
        self
    }

    pub(crate) fn stdin(mut self, input: impl Into<Stdio>) -> Self {
        self.command.stdin(input);
        self
    }

    pub(crate) fn stdout(mut self, output: impl Into<Stdio>) -> Self {
        self.command.stdout(output);
        self
    }

    /// Starts it.
    ///
    /// It does not receive the terminal's Ctrl-C, so that the command decides, and is killed when the value is
    /// dropped.
    pub(crate) fn start(mut self) -> Result<Running, Failure> {
        self.command.stderr(Stdio::piped());
        let mut command = process::Command::from(self.command);
        command.kill_on_drop(true);
        #[cfg(unix)]
        command.process_group(0);
        let child = command.spawn().map_err(|error| {
            Failure::while_doing(format_args!("starting {}", self.name), &error)
        })?;
        Ok(Running { name: self.name, child })
    }

    /// Runs it until it exits. `on_table` is called with each table when its turn comes.
    ///
    /// # Cancel safety
    ///
    /// If dropped, the program is killed.
    pub(crate) async fn run(self, on_table: impl FnMut(&str)) -> Result<Ran, Failure> {
        self.start()?.wait(on_table).await
    }
}

/// A program that runs.
#[derive(Debug)]
pub(crate) struct Running {
    name: String,
    child: process::Child,
}

impl Running {
    /// Takes its standard output, for another program to read.
    pub(crate) fn take_stdout(&mut self) -> Result<Stdio, Failure> {
        let stdout = self.child.stdout.take().map(TryInto::try_into);
        let missing = || Failure::new(format!("{} has no standard output", self.name));
        Ok(stdout.ok_or_else(missing)??)
    }

    pub(crate) async fn wait(mut self, mut on_table: impl FnMut(&str)) -> Result<Ran, Failure> {
        let mut ran = Ran::default();
        let mut said = VecDeque::new();
        if let Some(stderr) = self.child.stderr.take() {
            let mut lines = BufReader::new(stderr).split(b'\n');
            while let Some(line) = lines.next_segment().await? {
                let line = String::from_utf8_lossy(&line).trim_end().to_owned();
                match table_of(&line) {
                    Some(table) => {
                        ran.tables += 1;
                        on_table(table);
                    }
                    None => {
                        said.push_back(line);
                        if said.len() > KEPT {
                            said.pop_front();
                        }
                    }
                }
            }
        }
        let status = self.child.wait().await?;
        if status.success() {
            return Ok(ran);
        }
        let problems = problems(&self.name, &said);
        Err(Failure::new(format!("{} ended with {status}: {problems}", self.name)))
    }
}

/// Returns the table in a progress line of `pg_dump --verbose` or `pg_restore --verbose`.
fn table_of(line: &str) -> Option<&str> {
    let (_, said) = line.split_once(": ")?;
    let table = said
        .strip_prefix("dumping contents of table ")
        .or_else(|| said.strip_prefix("processing data for table "))?;
    Some(table.trim_matches('"'))
}

/// Returns the errors among the last lines, or the lines.
fn problems(name: &str, said: &VecDeque<String>) -> String {
    let start = format!("{name}: ");
    let from = said.iter().position(|line| line.contains("error: ")).unwrap_or_default();
    let lines = said.iter().skip(from).filter(|line| !line.is_empty());
    let plain = lines.map(|line| {
        let line = line.strip_prefix(&start).unwrap_or(line);
        line.strip_prefix("error: ").unwrap_or(line)
    });
    let text = plain.collect::<Vec<_>>().join("; ");
    if text.is_empty() { "it says nothing".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_and_errors_are_told_apart() {
        assert_eq!(
            table_of("pg_dump: dumping contents of table \"tenant_a.users\""),
            Some("tenant_a.users")
        );
        assert_eq!(
            table_of("pg_restore: processing data for table \"tenant_a.users\""),
            Some("tenant_a.users")
        );
        assert_eq!(table_of("pg_dump: reading schemas"), None);
        let said = [
            "pg_dump: last built-in OID is 16383",
            "pg_dump: error: no matching schemas were found",
        ];
        let said = said.map(str::to_owned).into();
        assert_eq!(problems("pg_dump", &said), "no matching schemas were found");
        assert_eq!(problems("pg_dump", &VecDeque::new()), "it says nothing");
    }
}
