//! What the app's handlers do with the database of their tenant.

use std::time::Duration;

use futures_util::{Stream, StreamExt};
use sqlx::postgres::PgQueryResult;
use tenantry::{
    Error, SharedDb, TenantDb, TenantId, TenantTransaction,
    admission::{AuthorizeError, Switch},
    context,
};

/// How many rows [`rows`] has.
pub const ROWS: usize = 20_000;

/// Reads the tenant's own name.
///
/// # Errors
///
/// What the pool or the database says.
pub async fn name(db: &TenantDb) -> Result<String, Error> {
    let query = sqlx::query_scalar("select name from users order by name limit 1");
    Ok(query.fetch_one(db).await?)
}

/// Reads the tenant's own name, slowly enough for others to come in between.
///
/// # Errors
///
/// What the pool or the database says.
pub async fn name_in(mut tx: TenantTransaction) -> Result<String, Error> {
    let query = sqlx::query_scalar("select name from users, pg_sleep(0.002)");
    let name = query.fetch_one(&mut *tx).await?;
    tx.commit().await?;
    Ok(name)
}

/// Adds a user, and commits.
///
/// # Errors
///
/// What the pool or the database says.
pub async fn add(mut tx: TenantTransaction, name: &str) -> Result<(), Error> {
    sqlx::query("insert into users values ($1)").bind(name).execute(&mut *tx).await?;
    Ok(tx.commit().await?)
}

/// Adds a user that is not to be there when the transaction is not committed.
///
/// # Errors
///
/// What the pool or the database says.
pub async fn begin_to_add(tx: &mut TenantTransaction) -> Result<(), Error> {
    sqlx::query("insert into users values ('half done')").execute(&mut **tx).await?;
    Ok(())
}

/// Reads the name of the only plan, in the shared schema.
///
/// # Errors
///
/// What the pool or the database says.
pub async fn plan(shared: &SharedDb) -> Result<String, Error> {
    Ok(sqlx::query_scalar("select name from plans").fetch_one(shared).await?)
}

/// The text of a statement that the server refuses for this reason.
macro_rules! raise_as {
    ($sqlstate:literal) => {
        concat!(
            "do $$ begin raise exception 'secret exception' using errcode = '",
            $sqlstate,
            "'; end $$"
        )
    };
}

/// Runs a statement that fails, with words that no client may see: the last segment of the path says
/// which.
///
/// # Errors
///
/// Always, unless there is no such way to fail.
pub async fn fail(db: &TenantDb, how: &str) -> Result<(), Error> {
    let raise = "do $$ begin raise exception 'secret exception'; end $$";
    let done = match how {
        "no-table" => sqlx::query("select from secret_table").execute(db).await,
        "duplicate" => sqlx::query("insert into users table users").execute(db).await,
        "raised" => sqlx::raw_sql(raise).execute(db).await,
        "no-row" => {
            let query = sqlx::query("select from users where name = 'nobody'");
            query.fetch_one(db).await.map(|_| PgQueryResult::default())
        }
        "check" => sqlx::raw_sql(raise_as!("23514")).execute(db).await,
        "foreign-key" => sqlx::raw_sql(raise_as!("23503")).execute(db).await,
        "serialization" => sqlx::raw_sql(raise_as!("40001")).execute(db).await,
        "deadlock" => sqlx::raw_sql(raise_as!("40P01")).execute(db).await,
        "wrong-type" => {
            let query = sqlx::query_scalar::<_, i32>("select name from users");
            return Err(query.fetch_one(db).await.expect_err("a name is no number").into());
        }
        _ => return Ok(()),
    };
    done?;
    Ok(())
}

/// Sleeps for a minute, in the database.
///
/// # Errors
///
/// What the pool or the database says.
pub async fn slow(db: &TenantDb) -> Result<(), Error> {
    sqlx::query("select pg_sleep(60)").execute(db).await?;
    Ok(())
}

/// Adds a user, and commits a minute later.
///
/// # Errors
///
/// What the pool or the database says.
pub async fn slow_in(mut tx: TenantTransaction) -> Result<(), Error> {
    begin_to_add(&mut tx).await?;
    sqlx::query("select pg_sleep(60)").execute(&mut *tx).await?;
    Ok(tx.commit().await?)
}

/// Makes a line of each of [`ROWS`] rows as the server has it: the tenant's own name and a number.
pub fn rows(db: TenantDb) -> impl Stream<Item = Result<String, Error>> + Send + 'static {
    async_stream::stream! {
        let query = sqlx::query_scalar::<_, String>(
            "select name || ' ' || n || e'\\n' from users, generate_series(1, $1) n",
        );
        let mut rows = query.bind(ROWS as i64).fetch(&db);
        while let Some(row) = rows.next().await {
            yield row.map_err(Error::from);
        }
    }
}

/// Asks for the tenant's own name again and again, for ever.
pub fn events(db: TenantDb) -> impl Stream<Item = Result<String, Error>> + Send + 'static {
    async_stream::stream! {
        loop {
            yield name(&db).await;
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

/// Asks the tenant's own database whether it knows somebody.
///
/// # Errors
///
/// What the pool or the database says.
pub async fn is_member(db: &TenantDb, user: Option<&str>) -> Result<bool, Error> {
    let query = sqlx::query_scalar("select exists (select from users where name = $1)").bind(user);
    Ok(query.fetch_one(db).await?)
}

/// Reads the name of the tenant in scope, three times, each when the client has read the one before; what is
/// first is whether there was a scope when the stream was made.
pub fn names_in_context() -> impl Stream<Item = Result<String, Error>> + Send + 'static {
    let handler = context::current().map(|db| db.tenant().id().to_string());
    async_stream::stream! {
        yield handler;
        for _ in 0..3 {
            tokio::task::yield_now().await;
            yield match context::current() {
                Ok(db) => name(&db).await.map(|name| format!(" {name}")),
                Err(error) => Err(error),
            };
        }
    }
}

/// Decides whether a user may act for other tenants.
///
/// # Errors
///
/// [`AuthorizeError`] unless the user is `operator`; when it is `down`, that could not be found out.
pub async fn is_operator(user: Option<String>) -> Result<(), AuthorizeError> {
    tokio::task::yield_now().await;
    match user.as_deref() {
        Some("operator") => Ok(()),
        Some("down") => Err(Error::catalog("secret words").into()),
        _ => Err(AuthorizeError::Denied),
    }
}

/// Describes which tenant is served, and after which switch.
#[must_use]
pub fn acting(tenant: &TenantId, switch: Option<&Switch>) -> String {
    let from = switch.map(|switch| match switch.from() {
        Some(from) => format!(" from {from}"),
        None => " from none".to_owned(),
    });
    format!("{tenant}{}", from.unwrap_or_default())
}

/// An error of an application around one of the library.
#[derive(Debug, thiserror::Error)]
#[error("showing the dashboard")]
pub struct Wrapped(#[from] Error);
