//! The tables that record seeds: `_tenantry_seeds` those of a schema, and `_tenantry_row_seeds` those of the tenants
//! whose rows are in the tables of a schema.

use sqlx::{PgConnection, Row, SqlStr};

use crate::{catalog::Site, pool::keep_to_owner, sql::Sql, tenant::Ident};

/// The table that records the seeds of tenants that are isolated by row, by their key.
const OF_ROWS: &str = "_tenantry_row_seeds";

/// The table that records the seeds of a schema.
const OF_SCHEMA: &str = "_tenantry_seeds";

/// The result of recording that a schema has a seed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Noted {
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
pub(crate) async fn note(conn: &mut PgConnection, site: &Site, seed: &str) -> sqlx::Result<Noted> {
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

/// Returns `true` if a schema, or a tenant's rows in it, have a seed.
pub(crate) async fn has(conn: &mut PgConnection, site: &Site, seed: &str) -> sqlx::Result<bool> {
    let table = if site.rows.is_some() { OF_ROWS } else { OF_SCHEMA };
    if !has_table(conn, &site.schema, table).await? {
        return Ok(false);
    }
    let mut sql = Sql::new("select exists (select from ");
    sql.ident(&site.schema).text(".").name(table);
    sql.text(" where name operator(pg_catalog.=) ").literal(seed);
    if let Some(rows) = &site.rows {
        sql.text(" and tenant_key operator(pg_catalog.=) ").literal(&rows.key);
    }
    sql.text(")");
    sqlx::raw_sql(sql.finish()).fetch_one(conn).await?.try_get(0)
}

/// Records the seeds of a tenant that is isolated by row for another one, which has a copy of its rows.
pub(crate) async fn copy_rows(conn: &mut PgConnection, from: &Site, to: &Site) -> sqlx::Result<()> {
    let (Some(source), Some(copy)) = (&from.rows, &to.rows) else { return Ok(()) };
    let mut sql = Sql::new("insert into ");
    sql.ident(&to.schema).text(".").text(OF_ROWS).text(" (tenant_key, name) select ");
    sql.literal(&copy.key).text("::pg_catalog.text, s.name from ");
    sql.ident(&from.schema).text(".").text(OF_ROWS);
    sql.text(" s where s.tenant_key operator(pg_catalog.=) ").literal(&source.key);
    sqlx::raw_sql(sql.finish()).execute(conn).await.map(drop)
}

/// Returns the seeds of a tenant that is isolated by row, by name.
pub(crate) async fn list_rows(conn: &mut PgConnection, site: &Site) -> sqlx::Result<Vec<String>> {
    let Some(rows) = &site.rows else { return Ok(Vec::new()) };
    if !has_table(conn, &site.schema, OF_ROWS).await? {
        return Ok(Vec::new());
    }
    let mut sql = Sql::new("select s.name from ");
    sql.ident(&site.schema).text(".").text(OF_ROWS);
    sql.text(" s where s.tenant_key operator(pg_catalog.=) ").literal(&rows.key);
    sql.text(" order by s.name");
    let names = sqlx::raw_sql(sql.finish()).fetch_all(conn).await?;
    names.iter().map(|row| row.try_get(0)).collect()
}

/// Returns the seeds of a schema, by name.
pub(crate) async fn list(conn: &mut PgConnection, schema: &Ident) -> sqlx::Result<Vec<String>> {
    if !has_table(conn, schema, OF_SCHEMA).await? {
        return Ok(Vec::new());
    }
    let mut sql = Sql::new("select s.name from ");
    sql.ident(schema).text(".").text(OF_SCHEMA).text(" s order by s.name");
    let names = sqlx::raw_sql(sql.finish()).fetch_all(conn).await?;
    names.iter().map(|row| row.try_get(0)).collect()
}

/// Records seeds of a tenant that is isolated by row, which came with its rows. The table must [exist](ensure_table).
pub(crate) async fn note_rows(
    conn: &mut PgConnection,
    site: &Site,
    seeds: &[String],
) -> sqlx::Result<()> {
    let Some(rows) = &site.rows else { return Ok(()) };
    for seed in seeds {
        let mut sql = Sql::default();
        note_of_rows(&mut sql, &site.schema);
        sql.literal(&rows.key).text(", ").literal(seed);
        sql.text(") on conflict (tenant_key, name) do nothing");
        sqlx::raw_sql(sql.finish()).execute(&mut *conn).await?;
    }
    Ok(())
}

/// Forgets the seeds of a tenant that is isolated by row.
pub(crate) async fn forget_rows(conn: &mut PgConnection, site: &Site) -> sqlx::Result<()> {
    let Some(rows) = &site.rows else { return Ok(()) };
    if !has_table(conn, &site.schema, OF_ROWS).await? {
        return Ok(());
    }
    let mut sql = Sql::new("delete from ");
    sql.ident(&site.schema).text(".").text(OF_ROWS);
    sql.text(" where tenant_key operator(pg_catalog.=) ").literal(&rows.key);
    sqlx::raw_sql(sql.finish()).execute(conn).await.map(drop)
}

async fn has_table(conn: &mut PgConnection, schema: &Ident, table: &str) -> sqlx::Result<bool> {
    let there = sqlx::query_scalar(
        "select exists ( \
           select from pg_catalog.pg_class c \
           join pg_catalog.pg_namespace n on n.oid operator(pg_catalog.=) c.relnamespace \
           where n.nspname operator(pg_catalog.=) $1 and c.relname operator(pg_catalog.=) $2)",
    );
    there.bind(schema.as_str()).bind(table).persistent(false).fetch_one(conn).await
}

fn note_sql(site: &Site, seed: &str) -> SqlStr {
    let mut sql = Sql::default();
    take_turn(&mut sql, site);
    match &site.rows {
        None => {
            note_of_schema(&mut sql, site);
            sql.literal(seed).text(") on conflict (name)");
        }
        Some(rows) => {
            note_of_rows(&mut sql, &site.schema);
            sql.literal(&rows.key)
                .text(", ")
                .literal(seed)
                .text(") on conflict (tenant_key, name)");
        }
    }
    sql.text(" do nothing returning name as tenantry_seed");
    sql.finish()
}

/// Appends the statement that takes the lock of a schema's, or a tenant's, seeds.
///
/// With `if not exists` alone, two concurrent creations of a table collide. A value that is not a number fails
/// (22P02), and with it the rest of the string.
fn take_turn(sql: &mut Sql, site: &Site) {
    let (_, schema, key) = site.spot();
    sql.text("select case when pg_catalog.pg_try_advisory_xact_lock(pg_catalog.hashtextextended(");
    match key {
        None => sql.literal(schema.as_str()),
        Some(key) => sql.literal(&format!("{schema} {key}")),
    };
    // The expression must not be a constant, which would be evaluated, and fail, before the lock is tried.
    sql.text(
        ", 7234619037116)) then 0 else (pg_catalog.current_setting('search_path') \
         operator(pg_catalog.||) ' is being seeded')::pg_catalog.int4 end; ",
    );
}

fn note_of_schema(sql: &mut Sql, site: &Site) {
    let schema = &site.schema;
    sql.text("create table if not exists ");
    sql.ident(schema).text(
        "._tenantry_seeds (name pg_catalog.text primary key, \
         seeded_at pg_catalog.timestamptz not null default pg_catalog.now()); ",
    );
    if site.grantee.is_some() {
        // Only the maintenance role can access the records, whatever the schema's default privileges are.
        keep_to_owner(sql, schema, "_tenantry_seeds");
    }
    sql.text("insert into ");
    sql.ident(schema).text("._tenantry_seeds (name) values (");
}

/// The table must [exist](ensure_table): tenants are seeded concurrently, and would wait for the one that creates it.
fn note_of_rows(sql: &mut Sql, schema: &Ident) {
    sql.text("insert into ");
    sql.ident(schema).text(".").text(OF_ROWS).text(" (tenant_key, name) values (");
}

/// Creates the table for seeds of tenants that are isolated by row, unless it exists. Not in a transaction.
pub(crate) async fn ensure_table(conn: &mut PgConnection, site: &Site) -> sqlx::Result<()> {
    if site.rows.is_none() || has_table(conn, &site.schema, OF_ROWS).await? {
        return Ok(());
    }
    let mut sql = Sql::new(
        "select pg_catalog.pg_advisory_xact_lock(7234619037116); create table if not exists ",
    );
    sql.ident(&site.schema).text(".").text(OF_ROWS).text(
        " (tenant_key pg_catalog.text not null, name pg_catalog.text not null, \
         seeded_at pg_catalog.timestamptz not null default pg_catalog.now(), \
         primary key (tenant_key, name)); ",
    );
    // Only the maintenance role can access the records, whatever the schema's default privileges are.
    keep_to_owner(&mut sql, &site.schema, OF_ROWS);
    sqlx::raw_sql(sql.finish()).execute(conn).await.map(drop)
}
