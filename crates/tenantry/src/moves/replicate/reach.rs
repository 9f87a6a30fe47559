//! Whether the target can connect to the source.

use super::subscription::is_unreadable;
use crate::{
    db::TenantTransaction,
    error::Error,
    moves::{conninfo::Conninfo, ends::Ends},
    sql::Sql,
};

/// A server that is not there can take minutes to be found missing. The warning that there is no publication says nothing.
const LIMITS: &str = "set local statement_timeout = '10s'; set local client_min_messages = 'error'";

/// Options of a subscription that gets nothing, and leaves nothing on the source.
const IDLE: [(&str, &str); 5] = [
    ("connect", "true"),
    ("enabled", "false"),
    ("create_slot", "false"),
    ("slot_name", "none"),
    ("copy_data", "false"),
];

/// Creates a subscription as the move would, and rolls it back. Returns why that fails; `None` if it does not.
pub(super) async fn why_not(
    ends: &Ends,
    conninfo: Option<&Conninfo>,
) -> Result<Option<String>, Error> {
    let conninfo = match conninfo {
        Some(given) => given.clone(),
        None => Conninfo::of(&ends.source).await?,
    };
    let name = format!("tenantry_probe_{:016x}", fastrand::u64(..));
    let mut sql = Sql::new("create subscription ");
    sql.name(&name).text(" connection ").literal(conninfo.as_str());
    sql.text(" publication ").name(&name).text(" with").text(" (");
    for (place, (option, value)) in IDLE.into_iter().enumerate() {
        sql.text(if place == 0 { "" } else { ", " }).assign(option).text(value);
    }
    sql.text(")");
    let mut tx = TenantTransaction::open(ends.target_server().lease().await?).await?;
    let created = async {
        sqlx::raw_sql(LIMITS).execute(&mut *tx).await?;
        sqlx::raw_sql(sql.finish()).execute(&mut *tx).await
    };
    let created = created.await;
    drop(tx.rollback().await);
    let why = match created {
        Ok(_) => return Ok(None),
        Err(error) if is_unreadable(&error) => "its parameters cannot be read".to_owned(),
        // The role owns a database that is made for the tenant, and not always the one that is asked here.
        Err(error) if is_forbidden(&error) && ends.new_database().is_some() => return Ok(None),
        Err(error) if is_forbidden(&error) => {
            return Ok(Some(format!("on the target, {}", told(&error))));
        }
        Err(error @ sqlx::Error::Database(_)) => told(&error),
        Err(error) => return Err(error.into()),
    };
    Ok(Some(format!(
        "the target cannot connect to the source: {why}; set ManagerBuilder::replication_connection, or that of \
         ServerOptions"
    )))
}

/// Returns `true` for PostgreSQL's `insufficient_privilege`.
fn is_forbidden(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    code.as_deref() == Some("42501")
}

/// Returns the server's message, on one line.
fn told(error: &sqlx::Error) -> String {
    let message = error.as_database_error().map(|error| error.message()).unwrap_or_default();
    message.split_whitespace().collect::<Vec<_>>().join(" ")
}
