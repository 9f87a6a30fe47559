//! What a new connection to a pooler finds out.

use sqlx::{Executor, PgConnection, Row, SqlSafeStr, raw_sql};

use crate::error::{Error, ErrorKind};

/// Examines the pooler behind a new connection, and its login. Returns `true` if the pooler keeps the
/// prepared statements of its clients apart: it then gives them names of its own.
///
/// # Errors
///
/// The server's errors, and [`Config`](ErrorKind::Config) if statements that are bound to no tenant
/// would find tables under unqualified names.
pub(in crate::pool) async fn examine(conn: &mut PgConnection) -> sqlx::Result<bool> {
    conn.execute(raw_sql("begin")).await?;
    let tracks = match Executor::prepare(&mut *conn, "select 1".into_sql_str()).await {
        Ok(_) => {
            let own = "select from pg_catalog.pg_prepared_statement() p where not p.from_sql and \
                       pg_catalog.starts_with(p.name, 'sqlx_')";
            conn.fetch_all(raw_sql(own)).await?.is_empty()
        }
        Err(error) if is_of_another(&error) => {
            conn.execute(raw_sql("rollback; begin")).await?;
            false
        }
        Err(error) => return Err(error),
    };
    // Unlike the value of the session, it is not that of an earlier user of the session.
    let default = "select s.reset_val, session_user::pg_catalog.text from pg_catalog.pg_show_all_settings() s \
                   where s.name operator(pg_catalog.=) 'search_path'";
    let row = conn.fetch_one(raw_sql(default)).await?;
    conn.execute(raw_sql("rollback")).await?;
    match is_harmless(row.try_get(0)?) {
        true => Ok(tracks),
        false => Err(reaches_tables(row.try_get(1)?).into()),
    }
}

/// Returns `true` if a statement of another client has the name.
fn is_of_another(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    code.as_deref() == Some("42P05")
}

/// Returns `true` if no unqualified name of a table is found with a search path but those of PostgreSQL.
fn is_harmless(search_path: &str) -> bool {
    let harmless = ["", "pg_catalog", "pg_temp"];
    search_path.split(',').all(|schema| harmless.contains(&schema.trim().trim_matches('"')))
}

fn reaches_tables(user: &str) -> Error {
    let attempted = format!(
        "the search path of the user {user} contains schemas, and a statement after a `commit` in SQL text would run \
         there, bound to no tenant: run `alter role {user} set search_path to pg_catalog`, and have the pooler \
         reconnect"
    );
    Error::new(ErrorKind::Config, attempted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_a_search_path_without_tables() {
        for path in ["", "\"\"", "pg_catalog", "pg_catalog, pg_temp", "\"pg_catalog\",pg_temp"] {
            assert!(is_harmless(path), "{path}");
        }
        for path in ["\"$user\", public", "public", "pg_catalog, app", "\"pg_catalog, app\""] {
            assert!(!is_harmless(path), "{path}");
        }
    }
}
