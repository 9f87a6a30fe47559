//! The database of an example.

use std::{env, fmt};

use crate::{DevDatabase, Error};

/// The database that `DATABASE_URL` names, unchanged, or else a throwaway one: the starting point of an example.
///
/// Unlike a [`DevDatabase`], which is always fresh, a named database keeps its contents and is never dropped.
///
/// # Examples
///
/// ```no_run
/// # async fn example() -> Result<(), tenantry_devdb::Error> {
/// use tenantry_devdb::Database;
///
/// let database = Database::given_or_throwaway().await?;
/// println!("{}", if database.is_throwaway() { "a throwaway one" } else { "that of DATABASE_URL" });
/// // … connect to `database.url()` …
/// database.close().await?;
/// # Ok(()) }
/// ```
#[must_use = "a throwaway database is dropped with this value"]
pub struct Database(Kind);

enum Kind {
    Given(String),
    Throwaway(DevDatabase),
}

impl Database {
    /// Reads `DATABASE_URL`, and creates a throwaway database if it is not set.
    ///
    /// # Errors
    ///
    /// As for [`DevDatabase::create`]. A named database is not checked.
    ///
    /// # Cancel safety
    ///
    /// As for [`DevDatabase::create`].
    pub async fn given_or_throwaway() -> Result<Self, Error> {
        match env::var("DATABASE_URL") {
            Ok(url) => Ok(Self(Kind::Given(url))),
            Err(_) => DevDatabase::create().await.map(|database| Self(Kind::Throwaway(database))),
        }
    }

    /// Returns its URL.
    #[must_use]
    pub fn url(&self) -> &str {
        match &self.0 {
            Kind::Given(url) => url,
            Kind::Throwaway(database) => database.url(),
        }
    }

    /// Returns `true` if the database is dropped with this value.
    #[must_use]
    pub fn is_throwaway(&self) -> bool {
        matches!(self.0, Kind::Throwaway(_))
    }

    /// Drops a throwaway database; a named one is kept.
    ///
    /// # Errors
    ///
    /// As [`DevDatabase::close`].
    ///
    /// # Cancel safety
    ///
    /// As [`DevDatabase::close`].
    pub async fn close(self) -> Result<(), Error> {
        match self.0 {
            Kind::Given(_) => Ok(()),
            Kind::Throwaway(database) => database.close().await,
        }
    }
}

/// The URL can contain a password, and is not shown.
impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Database")
            .field("is_throwaway", &self.is_throwaway())
            .finish_non_exhaustive()
    }
}
