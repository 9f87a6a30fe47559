//! The table in which a schema records its seeds: `_tenantry_seeds`.

use sqlx::{PgConnection, Row, SqlStr};

use crate::{catalog::Site, pool::keep_to_owner, sql::Sql, tenant::Ident};

/// The result of recording that a schema has a seed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Noted {
    /// The seed was not recorded before.
    First,
    Already,
    /// Another session is seeding the schema. The transaction has failed.
    Busy,
}

/// Records in the open transaction that a schema has a seed.
///
/// Sessions never wait for each other inside the server, because a waiting statement has a snapshot, and
/// `create index concurrently` waits for all older snapshots to end.
pub(super) async fn note(conn: &mut PgConnection, site: &Site, seed: &str) -> sqlx::Result<Noted> {
    match sqlx::raw_sql(note_sql(site, seed)).fetch_all(conn).await {
        Ok(rows) => match rows.iter().any(|row| row.try_get::<&str, _>("tenantry_seed").is_ok()) {
            true => Ok(Noted::First),
            false => Ok(Noted::Already),
        },
        Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some("22P02") => {
            Ok(Noted::Busy)
        }
        Err(error) => Err(error),
    }
}

/// Returns `true` if a schema has a seed.
pub(super) async fn has(conn: &mut PgConnection, schema: &Ident, seed: &str) -> sqlx::Result<bool> {
    let there: bool = sqlx::query_scalar(
        "select exists ( \
           select from pg_catalog.pg_class c \
           join pg_catalog.pg_namespace n on n.oid operator(pg_catalog.=) c.relnamespace \
           where n.nspname operator(pg_catalog.=) $1 and c.relname operator(pg_catalog.=) '_tenantry_seeds')",
    )
    .bind(schema.as_str())
    .persistent(false)
    .fetch_one(&mut *conn)
    .await?;
    if !there {
        return Ok(false);
    }
    let mut sql = Sql::new("select exists (select from ");
    sql.ident(schema)
        .text("._tenantry_seeds where name operator(pg_catalog.=) ")
        .literal(seed)
        .text(")");
    sqlx::raw_sql(sql.finish()).fetch_one(conn).await?.try_get(0)
}

fn note_sql(site: &Site, seed: &str) -> SqlStr {
    let schema = &site.schema;
    // With `if not exists` alone, two concurrent creations collide. A value that is not a number fails (22P02), and
    // with it the rest of the string.
    let mut sql = Sql::new(
        "select case when pg_catalog.pg_try_advisory_xact_lock(pg_catalog.hashtextextended(",
    );
    // The expression must not be a constant, which would be evaluated, and fail, before the lock is tried.
    sql.literal(schema.as_str()).text(
        ", 7234619037116)) then 0 else (pg_catalog.current_setting('search_path') \
         operator(pg_catalog.||) ' is being seeded')::pg_catalog.int4 end; ",
    );
    sql.text("create table if not exists ");
    sql.ident(schema).text(
        "._tenantry_seeds (name pg_catalog.text primary key, \
         seeded_at pg_catalog.timestamptz not null default pg_catalog.now()); ",
    );
    if site.grantee.is_some() {
        // Only the maintenance role can access the records, whatever the schema's default privileges are.
        keep_to_owner(&mut sql, schema, "_tenantry_seeds");
    }
    sql.text("insert into ");
    sql.ident(schema).text("._tenantry_seeds (name) values (").literal(seed);
    sql.text(") on conflict (name) do nothing returning name as tenantry_seed");
    sql.finish()
}
