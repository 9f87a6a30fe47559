//! Passwords from files and commands.

use std::{fs, path::Path, process::Command};

use super::{Key, Settings, key};
use crate::failure::Failure;

impl Settings {
    /// Returns the password from a file or a command; `None` leaves it to the URL, `PGPASSWORD` and `.pgpass`.
    pub(super) fn password(&self, file: &Key, command: &Key) -> Result<Option<String>, Failure> {
        match (self.path(file), self.text(command)) {
            (Some(_), Some(_)) => Err(Failure::new(format!(
                "{} and {} are both set: remove one of them",
                self.place(file),
                self.place(command)
            ))),
            (Some(path), None) => self.password_from_file(file, &path).map(Some),
            (None, Some(words)) => self.password_from_command(command, words).map(Some),
            (None, None) => Ok(None),
        }
    }

    fn password_from_file(&self, key: &Key, path: &Path) -> Result<String, Failure> {
        let text = fs::read_to_string(path).map_err(|error| {
            let what = format!("{}: reading {}", self.place(key), path.display());
            Failure::while_doing(what, &error)
        })?;
        self.first_line(key, &text)
    }

    fn password_from_command(&self, key: &Key, words: &str) -> Result<String, Failure> {
        let shown = self.place(key);
        let output = Command::new("sh").arg("-c").arg(words).output();
        let output = output.map_err(|error| {
            Failure::while_doing(format_args!("{shown}: starting the command"), &error)
        })?;
        if !output.status.success() {
            let failure =
                Failure::new(format!("{shown}: the command failed with {}", output.status));
            return Err(failure.hint("run it by hand to see why"));
        }
        self.first_line(key, &String::from_utf8_lossy(&output.stdout))
    }

    fn first_line(&self, key: &Key, text: &str) -> Result<String, Failure> {
        let line = text.lines().next().unwrap_or_default();
        match line.is_empty() {
            true => Err(Failure::new(format!("{}: the password is empty", self.place(key)))),
            false => Ok(line.to_owned()),
        }
    }

    /// Returns the URL of the maintenance role (`upkeep`), if one is set.
    ///
    /// # Errors
    ///
    /// If a user or password for it is also set separately.
    pub(crate) fn upkeep_url(&self) -> Result<Option<&str>, Failure> {
        let url = self.text(&key::UPKEEP_URL);
        let beside = [&key::UPKEEP_USER, &key::UPKEEP_PASSWORD_FILE, &key::UPKEEP_PASSWORD_COMMAND];
        match beside.into_iter().find(|key| self.text(key).is_some()) {
            Some(other) if url.is_some() => Err(Failure::new(format!(
                "{} and {} are both set: remove one of them",
                self.place(&key::UPKEEP_URL),
                self.place(other)
            ))),
            _ => Ok(url),
        }
    }

    /// Returns the password of the maintenance role (`upkeep`), if one is set.
    pub(crate) fn upkeep_password(&self) -> Result<Option<String>, Failure> {
        self.password(&key::UPKEEP_PASSWORD_FILE, &key::UPKEEP_PASSWORD_COMMAND)
    }

    /// Returns the URL of the database with the password that was given separately.
    ///
    /// # Errors
    ///
    /// If there is no URL, or the password cannot be read.
    pub(crate) fn database_url(&self) -> Result<String, Failure> {
        let Some(url) = self.text(&key::DATABASE_URL) else {
            return Err(Failure::new("no database is given").hint(
                "set DATABASE_URL=postgres://user@host/database, give --database-url, or set database.url in tenantry.toml, which \
                 `tenantry init` writes",
            ));
        };
        Ok(with_password(url, self.password(&key::PASSWORD_FILE, &key::PASSWORD_COMMAND)?))
    }
}

/// Adds a password that was given separately to a URL.
pub(super) fn with_password(url: &str, password: Option<String>) -> String {
    let Some(password) = password else { return url.to_owned() };
    let mark = if url.contains('?') { '&' } else { '?' };
    let password: String = url::form_urlencoded::byte_serialize(password.as_bytes()).collect();
    format!("{url}{mark}password={password}")
}
