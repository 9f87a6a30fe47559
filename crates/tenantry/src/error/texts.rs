//! Texts of an error and its sources, without what sqlx adds.

use std::{error::Error as StdError, sync::Arc};

use sqlx::{error::DatabaseError, postgres::PgDatabaseError};

use crate::error_report::ErrorReport;

impl ErrorReport<'_> {
    /// Returns the text of the error and of each source, skipping texts that are part of the
    /// previous one.
    ///
    /// An error of this crate inside an sqlx error is listed once, and database errors omit the
    /// line number of PostgreSQL's source code that sqlx appends. Control characters are not
    /// escaped.
    ///
    /// # Examples
    ///
    /// ```
    /// use tenantry::ErrorReport;
    ///
    /// let error = sqlx::Error::Io(std::io::Error::other("connection refused"));
    /// let texts = ErrorReport::new(&error).texts();
    /// assert_eq!(texts, ["error communicating with database: connection refused"]);
    /// ```
    #[must_use]
    pub fn texts(self) -> Vec<String> {
        let mut texts: Vec<String> = Vec::new();
        let mut next = Some(without_wrapping(self.error()));
        while let Some(error) = next {
            let text = said(error);
            if texts.last().is_none_or(|last| !last.contains(&text)) {
                texts.push(text);
            }
            next = error.source().map(without_wrapping);
        }
        texts
    }
}

/// Returns the error of this crate that an sqlx error carries, otherwise the error itself.
fn without_wrapping<'a>(error: &'a (dyn StdError + 'static)) -> &'a (dyn StdError + 'static) {
    match of_sqlx(error).and_then(super::own) {
        Some(own) => own,
        None => error,
    }
}

/// Downcasts to an sqlx error, which several requests waiting for one connection can share.
fn of_sqlx<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a sqlx::Error> {
    let shared = || error.downcast_ref::<Arc<sqlx::Error>>().map(|error| &**error);
    error.downcast_ref().or_else(shared)
}

/// Returns the error's text, without the line number of PostgreSQL's source code.
fn said(error: &(dyn StdError + 'static)) -> String {
    if let Some(sqlx::Error::Database(error)) = of_sqlx(error) {
        return format!("error returned from database: {}", error.message());
    }
    // The source of the error above is the box.
    let boxed = error.downcast_ref::<Box<dyn DatabaseError>>().map(|error| error.message());
    let of_database = error.downcast_ref().map(PgDatabaseError::message).or(boxed);
    of_database.map_or_else(|| error.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Error, ErrorKind};

    #[test]
    fn an_error_of_this_crate_is_told_without_its_envelope() {
        let unavailable = || Error::new(ErrorKind::Unavailable, "opening a connection");
        let refused = || sqlx::Error::Io(std::io::ErrorKind::ConnectionRefused.into());
        let carried = sqlx::Error::from(unavailable().with_source(refused()));
        let told = "database unavailable: opening a connection: error communicating with database: connection refused";
        assert_eq!(ErrorReport::new(&carried).to_string(), told);
        let twice = Error::new(ErrorKind::Catalog, "listing tenants").with_source(carried);
        let texts = ErrorReport::new(&twice).texts();
        assert_eq!(texts[1], "database unavailable: opening a connection", "{texts:?}");
    }
}
