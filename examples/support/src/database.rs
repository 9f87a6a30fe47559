//! The database of an example.

use tenantry_devdb::{Database, Error};

/// Returns the database that `DATABASE_URL` names, or starts a throwaway PostgreSQL and says so.
///
/// # Errors
///
/// If no server is available; the message lists what was tried, and remedies.
///
/// # Cancel safety
///
/// As [`Database::given_or_throwaway`].
pub async fn database() -> Result<Database, Error> {
    let database = Database::given_or_throwaway().await?;
    if database.is_throwaway() {
        tracing::info!("DATABASE_URL is not set: using a throwaway PostgreSQL");
    }
    Ok(database)
}
