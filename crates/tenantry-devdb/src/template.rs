//! Template databases.

use std::future::Future;

use crate::{
    Error,
    admin::{Admin, Content},
    database_name::DatabaseName,
    host::Host,
};

/// Any number that no other code locks in one of our databases.
const LOCK: i64 = 0x7465_6e61_6e74_7279;

/// Creates the template unless it exists, safely in the presence of concurrent callers.
///
/// The lock is on the server, so it works across tasks, threads and processes. It is released with the session, even
/// if the process dies. There is one lock for all templates: setting up two concurrently would not be much faster.
///
/// # Cancel safety
///
/// If cancelled, a half-made template is left, which the next caller replaces.
pub(crate) async fn ensure<F, Fut>(
    admin: &mut Admin,
    host: &Host,
    name: &DatabaseName,
    setup: F,
) -> Result<(), Error>
where
    F: FnOnce(String) -> Fut,
    Fut: Future<Output = Result<(), Error>>,
{
    if admin.is_template(name).await? {
        return Ok(());
    }
    make(admin, host, name, setup).await
}

async fn make<F, Fut>(
    admin: &mut Admin,
    host: &Host,
    name: &DatabaseName,
    setup: F,
) -> Result<(), Error>
where
    F: FnOnce(String) -> Fut,
    Fut: Future<Output = Result<(), Error>>,
{
    admin.lock(LOCK).await?;
    if admin.is_template(name).await? {
        return Ok(());
    }
    admin.drop_database(name).await?;
    admin.create_database(name, Content::Empty).await?;
    setup(host.database_url(name)).await?;
    admin.make_template(name).await
}
