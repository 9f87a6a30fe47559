//! Why a beat has failed, and what to do about it.

use super::table::TABLE;
use crate::{
    error::{Error, ErrorKind, RETRY_AFTER},
    pool::Share,
    tenant::Ident,
};

/// A beat without an answer.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) error: Error,
    /// `true` if the server has answered, though not what was asked.
    pub(super) heard: bool,
}

impl Failure {
    /// Classifies the error of a statement about the table.
    pub(super) fn of_statement(schema: &Ident, error: sqlx::Error) -> Self {
        let code = error.as_database_error().and_then(|error| error.code());
        let Some(code) = code.map(|code| code.into_owned()) else {
            let unavailable =
                Error::new(ErrorKind::Unavailable, "asking for a part of the shared budget");
            return Self { error: unavailable.with_source(error), heard: false };
        };
        let why = match &*code {
            "42P01" | "3F000" => return Self::missing(schema, Some(error)),
            "42501" => Some(format!(
                "the role of the connection may not use the table {schema}.{TABLE}: grant it select, insert, \
                 update and delete"
            )),
            "42703" | "42804" => Some(format!(
                "the table {schema}.{TABLE} is not the library's own: it has other columns. Rename or \
                 drop it"
            )),
            _ => None,
        };
        // A server that shuts down ends its sessions.
        let is_lost = code.starts_with("57P") || code.starts_with("08");
        let error = match why {
            Some(why) => Error::new(ErrorKind::Config, why),
            None => Error::new(ErrorKind::Unavailable, "asking for a part of the shared budget"),
        }
        .with_source(error);
        Self { error, heard: !is_lost }
    }

    /// The table is missing, and was not created.
    pub(super) fn missing(schema: &Ident, source: Option<sqlx::Error>) -> Self {
        let attempted = format!(
            "there is no table {schema}.{TABLE} for the budget that processes share, and this role may not \
             create it: have its owner run TenantManager::create_budget_table"
        );
        let error = Error::new(ErrorKind::Config, attempted);
        let error = source.into_iter().fold(error, Error::with_source);
        Self { error, heard: true }
    }

    /// The table was made by another role.
    pub(super) fn foreign(schema: &Ident, why: &str) -> Self {
        let attempted = format!(
            "the table {schema}.{TABLE} is not the library's own: {why}. Drop it, and have the owner of the \
             schema run TenantManager::create_budget_table"
        );
        Self { error: Error::new(ErrorKind::Config, attempted), heard: true }
    }

    /// There was no connection to ask on, or no answer in time.
    pub(super) fn unheard(error: Error) -> Self {
        Self { error, heard: false }
    }

    /// Returns `true` if it will fail again until something was set right.
    pub(super) fn is_lasting(&self) -> bool {
        self.error.kind() == ErrorKind::Config
    }
}

/// The error of requests while the floors of other processes take the whole budget.
pub(super) fn no_floor_left(share: &Share) -> Error {
    let attempted = format!(
        "no connection of the budget {:?} is left for this process: the floors of other processes take all \
         of its {} connections. Run fewer processes, or raise max_connections",
        share.name,
        share.total()
    );
    Error::new(ErrorKind::Overloaded, attempted).with_retry_after(RETRY_AFTER)
}
