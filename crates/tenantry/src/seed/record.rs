//! The table in which a schema records the seeds that it has: `_tenantry_seeds`.

use sqlx::{PgConnection, Row, SqlStr};

use crate::{catalog::Site, pool::keep_to_owner, sql::Sql, tenant::Ident};

/// Notes in the open transaction that a schema has a seed. Returns whether it had not before.
///
/// Somebody who seeds the same schema with the same seed is waited for.
pub(super) async fn note(conn: &mut PgConnection, site: &Site, seed: &str) -> sqlx::Result<bool> {
    let rows = sqlx::raw_sql(note_sql(site, seed)).fetch_all(conn).await?;
    Ok(rows.iter().any(|row| row.try_get::<&str, _>("tenantry_seed").is_ok()))
}

/// Says whether a schema has a seed.
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
    // `if not exists` alone lets two who create it at once collide.
    let mut sql = Sql::new("select pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended(");
    sql.literal(schema.as_str()).text(", 7234619037116)); create table if not exists ");
    sql.ident(schema).text(
        "._tenantry_seeds (name pg_catalog.text primary key, \
         seeded_at pg_catalog.timestamptz not null default pg_catalog.now()); ",
    );
    if site.grantee.is_some() {
        // What is recorded is nobody's but upkeep's, whatever the defaults of the schema are.
        keep_to_owner(&mut sql, schema, "_tenantry_seeds");
    }
    sql.text("insert into ");
    sql.ident(schema).text("._tenantry_seeds (name) values (").literal(seed);
    sql.text(") on conflict (name) do nothing returning name as tenantry_seed");
    sql.finish()
}
