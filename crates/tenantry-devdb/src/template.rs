//! Databases that others are copied from.

use std::future::Future;

use crate::{
    Error,
    admin::{Admin, Content},
    database_name::DatabaseName,
    host::Host,
};

/// Any number will do that nobody else locks in a database of ours.
const LOCK: i64 = 0x7465_6e61_6e74_7279;

/// Makes the template unless there is one, whoever else tries to at the same time.
///
/// The lock is the server's, so it holds between tasks, threads and processes alike. It ends with the
/// session, also when the process dies. It is one lock for all templates: setting up two at a time would not be
/// faster by much.
///
/// # Cancel safety
///
/// When cancelled, a half-made template is left, which the next caller replaces.
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
