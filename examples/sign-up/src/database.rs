//! Where the data is.

use std::env;

use tenantry_devdb::DevDatabase;

/// The database of `DATABASE_URL`, or else a throwaway one.
pub(crate) enum Database {
    Given(String),
    Throwaway(DevDatabase),
}

impl Database {
    pub(crate) async fn open() -> Result<Self, tenantry_devdb::Error> {
        match env::var("DATABASE_URL") {
            Ok(url) => Ok(Self::Given(url)),
            Err(_) => DevDatabase::create().await.map(Self::Throwaway),
        }
    }

    pub(crate) fn url(&self) -> &str {
        match self {
            Self::Given(url) => url,
            Self::Throwaway(database) => database.url(),
        }
    }

    pub(crate) async fn close(self) -> Result<(), tenantry_devdb::Error> {
        match self {
            Self::Given(_) => Ok(()),
            Self::Throwaway(database) => database.close().await,
        }
    }
}
