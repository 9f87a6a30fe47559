use std::{error::Error as StdError, fmt};

use tenantry::{Error, ErrorKind, ErrorReport};

/// Why a command could not run, in one sentence, with a hint on what to do about it.
pub(crate) struct Failure {
    message: String,
    hint: Option<String>,
    /// What could not be reached, if that is why.
    unreachable: Option<Unreachable>,
}

/// A database that could not be reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unreachable {
    /// Its server, if there are several.
    pub(crate) server: Option<String>,
    /// Whether the login was that of the maintenance role.
    pub(crate) is_upkeep: bool,
}

impl Failure {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None, unreachable: None }
    }

    /// Adds a hint on what to do about it.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds where the database that could not be reached is configured.
    pub(crate) fn of_database(
        self,
        configured: impl FnOnce(&Unreachable) -> Option<String>,
    ) -> Self {
        match &self.unreachable {
            Some(what) if self.hint.is_none() => {
                configured(what).into_iter().fold(self, Self::hint)
            }
            _ => self,
        }
    }

    /// Adds what was attempted to an error.
    pub(crate) fn while_doing(what: impl fmt::Display, error: &(dyn StdError + 'static)) -> Self {
        Self::new(format!("{what}: {}", chain(error)))
    }
}

/// Formats an error with its causes on one line. A cause whose message the error already contains is omitted.
pub(crate) fn chain(error: &(dyn StdError + 'static)) -> String {
    ErrorReport::new(error).texts().join(": ")
}

/// Translates the library's advice to keys and commands.
fn hint_of_catalog(message: &str) -> Option<&'static str> {
    if message.contains("TableCatalog::columns") {
        Some(
            "name the columns in the configuration: catalog.columns = [\"id=slug\", \"container=schema_name\"]; see docs/catalogs.md",
        )
    } else if message.contains("TableCatalog::create_table") {
        Some("`tenantry init --create-table` creates it; tenants.table names another one")
    } else if message.contains("Isolation::schema_with_inverse") {
        Some("list tenants in a table: tenants.catalog = \"table\"")
    } else {
        None
    }
}

/// Writes the text, which is printed if a failure ends a program or a test.
impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        self.hint.as_ref().map_or(Ok(()), |hint| write!(f, "\n  help: {hint}"))
    }
}

impl<E: StdError + 'static> From<E> for Failure {
    fn from(error: E) -> Self {
        let kind = ErrorKind::in_chain(&error);
        let message = chain(&error);
        let unreachable = (kind == Some(ErrorKind::Unavailable)).then(|| Unreachable {
            server: Error::server_in_chain(&error).map(str::to_owned),
            is_upkeep: message.contains("with the credentials of upkeep"),
        });
        let hint = hint_of_catalog(&message).filter(|_| kind == Some(ErrorKind::Catalog));
        Self { unreachable, hint: hint.map(str::to_owned), ..Self::new(message) }
    }
}
