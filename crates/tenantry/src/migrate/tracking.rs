//! sqlx's table of applied migrations, one in each schema: `_sqlx_migrations`.
//!
//! It matches sqlx's own column by column, so that sqlx-cli works on a tenant's schema.

use std::{collections::HashMap, time::Duration};

use sqlx::{PgConnection, Row, SqlStr, postgres::PgRow};

use super::{
    plan::Applied,
    remembered::Seen,
    source::MigrationFile,
    stage::{Begun, Stage},
};
use crate::{sql::Sql, tenant::Ident};

/// Whether a schema and its table exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Presence {
    NoSchema,
    NoTable,
    Table,
}

/// Records of many schemas: schemas with equal records are grouped.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) applied: Vec<Applied>,
    /// The schemas, by their index in the request.
    pub(super) places: Vec<usize>,
}

/// Determines which of these schemas and tables exist, and their identity.
pub(super) async fn presence(
    conn: &mut PgConnection,
    schemas: &[&Ident],
) -> sqlx::Result<Vec<(Presence, Seen)>> {
    let names: Vec<_> = schemas.iter().map(|schema| schema.as_str()).collect();
    let rows = sqlx::query(
        "select n.oid is not null, c.oid is not null, coalesce((select d.oid from pg_catalog.pg_database d \
           where d.datname operator(pg_catalog.=) pg_catalog.current_database())::pg_catalog.int8, 0), \
         coalesce(n.oid::pg_catalog.int8, 0), coalesce(c.oid::pg_catalog.int8, 0), \
         coalesce(c.relfilenode::pg_catalog.int8, 0) \
         from pg_catalog.unnest($1::pg_catalog.text[]) with ordinality as asked (schema, place) \
         left join pg_catalog.pg_namespace n on n.nspname operator(pg_catalog.=) asked.schema \
         left join pg_catalog.pg_class c on c.relnamespace operator(pg_catalog.=) n.oid \
           and c.relname operator(pg_catalog.=) '_sqlx_migrations' \
           and c.relkind operator(pg_catalog.=) any (array['r', 'p']::pg_catalog.\"char\"[]) \
         order by asked.place",
    );
    let rows = rows.bind(names).persistent(false).fetch_all(conn).await?;
    rows.iter().map(|row| Ok((presence_of(row, 0)?, seen(row, 2)?))).collect()
}

/// Reads the identity of databases, or of schemas in the current one, as far as it can be seen from here.
pub(super) async fn identity(
    conn: &mut PgConnection,
    asked: &[(Option<&Ident>, &Ident)],
) -> sqlx::Result<Vec<Seen>> {
    let databases: Vec<_> = asked.iter().map(|(database, _)| database.map(Ident::as_str)).collect();
    let schemas: Vec<_> = asked.iter().map(|(_, schema)| schema.as_str()).collect();
    // In one row: there may be very many.
    let row = sqlx::query(
        "select coalesce(pg_catalog.array_agg(coalesce(d.oid::pg_catalog.int8, 0) order by asked.place), '{}'), \
         coalesce(pg_catalog.array_agg(coalesce(n.oid::pg_catalog.int8, 0) order by asked.place), '{}'), \
         coalesce(pg_catalog.array_agg(coalesce(c.oid::pg_catalog.int8, 0) order by asked.place), '{}'), \
         coalesce(pg_catalog.array_agg(coalesce(c.relfilenode::pg_catalog.int8, 0) order by asked.place), '{}') \
         from rows from (pg_catalog.unnest($1::pg_catalog.text[]), pg_catalog.unnest($2::pg_catalog.text[])) \
           with ordinality as asked (database, schema, place) \
         left join pg_catalog.pg_database d \
           on d.datname operator(pg_catalog.=) coalesce(asked.database::pg_catalog.name, pg_catalog.current_database()) \
         left join pg_catalog.pg_namespace n on asked.database is null \
           and n.nspname operator(pg_catalog.=) asked.schema::pg_catalog.name \
         left join pg_catalog.pg_class c on c.relnamespace operator(pg_catalog.=) n.oid \
           and c.relname operator(pg_catalog.=) '_sqlx_migrations'",
    );
    let row = row.bind(databases).bind(schemas).persistent(false).fetch_one(conn).await?;
    let column = |column: usize| row.try_get::<Vec<i64>, _>(column);
    let (databases, schemas, records, files) = (column(0)?, column(1)?, column(2)?, column(3)?);
    let all = databases.into_iter().zip(schemas).zip(records).zip(files);
    let seen =
        all.map(|(((database, schema), records), file)| Seen { database, schema, records, file });
    Ok(seen.collect())
}

/// Reads four columns.
fn seen(row: &PgRow, column: usize) -> sqlx::Result<Seen> {
    Ok(Seen {
        database: row.try_get(column)?,
        schema: row.try_get(column + 1)?,
        records: row.try_get(column + 2)?,
        file: row.try_get(column + 3)?,
    })
}

/// Counts the tables and views in each of these schemas that has any, except those of extensions. A schema in which
/// the records table has appeared meanwhile is omitted.
pub(super) async fn count_tables(
    conn: &mut PgConnection,
    schemas: &[&Ident],
) -> sqlx::Result<HashMap<String, usize>> {
    let names: Vec<_> = schemas.iter().map(|schema| schema.as_str()).collect();
    let rows = sqlx::query(
        "select n.nspname::pg_catalog.text, pg_catalog.count(*) \
         from pg_catalog.pg_namespace n \
         join pg_catalog.pg_class c on c.relnamespace operator(pg_catalog.=) n.oid \
           and c.relkind operator(pg_catalog.=) any (array['r', 'p', 'f', 'v', 'm']::pg_catalog.\"char\"[]) \
         where n.nspname operator(pg_catalog.=) any ($1::pg_catalog.text[]::pg_catalog.name[]) \
           and not exists (select from pg_catalog.pg_depend d \
             where d.classid operator(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass \
               and d.objid operator(pg_catalog.=) c.oid \
               and d.deptype operator(pg_catalog.=) 'e'::pg_catalog.\"char\") \
         group by n.nspname \
         having not pg_catalog.bool_or(c.relname operator(pg_catalog.=) '_sqlx_migrations')",
    );
    let rows = rows.bind(names).persistent(false).fetch_all(conn).await?;
    let count = |row: &PgRow| {
        let count = usize::try_from(row.try_get::<i64, _>(1)?).unwrap_or_default();
        Ok((row.try_get(0)?, count))
    };
    rows.iter().map(count).collect()
}

/// Reads two columns: whether the schema exists, and whether the table exists.
fn presence_of(row: &PgRow, column: usize) -> sqlx::Result<Presence> {
    Ok(match (row.try_get(column)?, row.try_get(column + 1)?) {
        (false, _) => Presence::NoSchema,
        (true, false) => Presence::NoTable,
        (true, true) => Presence::Table,
    })
}

/// Reads the records of many schemas with one statement.
///
/// The server groups equal records, so it transfers one record for each of the few states that thousands of tenants
/// are in. Schemas without records are omitted.
pub(super) async fn read_many(
    conn: &mut PgConnection,
    schemas: &[&Ident],
) -> sqlx::Result<Vec<Group>> {
    let mut sql = Sql::new(
        "select versions, successes, checksums, pg_catalog.array_agg(place) as places from ( \
         select place, pg_catalog.array_agg(version) as versions, \
           pg_catalog.array_agg(success) as successes, \
           pg_catalog.array_agg(checksum) as checksums \
         from (select place, version, success, checksum from (",
    );
    for (place, schema) in schemas.iter().enumerate() {
        sql.text(if place == 0 { "select " } else { " union all select " });
        sql.number(place as u64).text(" as place, version, success, checksum from ");
        table(&mut sql, schema);
    }
    sql.text(
        ") as records order by place, version) as records group by place) as schemas \
         group by versions, successes, checksums",
    );
    let rows = sqlx::query(sql.finish()).persistent(false).fetch_all(conn).await?;
    rows.iter().map(group).collect()
}

/// Reads the records of many schemas from a version on, and unfinished migrations. It costs the server half of
/// reading everything.
pub(super) async fn read_from(
    conn: &mut PgConnection,
    schemas: &[(&Ident, i64)],
) -> sqlx::Result<Vec<Vec<Applied>>> {
    let mut sql = Sql::default();
    for (place, (schema, version)) in schemas.iter().enumerate() {
        sql.text(if place == 0 { "select " } else { " union all select " });
        sql.number(place as u64).text(" as place, version, success, checksum from ");
        table(&mut sql, schema).text(" where version operator(pg_catalog.>=) ").integer(*version);
        sql.text(" or not success");
    }
    let rows = sqlx::query(sql.finish()).persistent(false).fetch_all(conn).await?;
    let mut found = vec![Vec::new(); schemas.len()];
    for row in &rows {
        let place = usize::try_from(row.try_get::<i32, _>("place")?).unwrap_or(usize::MAX);
        if let Some(found) = found.get_mut(place) {
            found.push(Applied {
                version: row.try_get("version")?,
                success: row.try_get("success")?,
                checksum: row.try_get("checksum")?,
                begun: None,
            });
        }
    }
    Ok(found)
}

fn group(row: &PgRow) -> sqlx::Result<Group> {
    let versions: Vec<i64> = row.try_get("versions")?;
    let successes: Vec<bool> = row.try_get("successes")?;
    let checksums: Vec<Vec<u8>> = row.try_get("checksums")?;
    let places: Vec<i32> = row.try_get("places")?;
    let rows = versions.into_iter().zip(successes).zip(checksums);
    let applied = rows.map(|((version, success), checksum)| Applied {
        version,
        success,
        checksum,
        begun: None,
    });
    let places = places.into_iter().filter_map(|place| usize::try_from(place).ok());
    Ok(Group { applied: applied.collect(), places: places.collect() })
}

/// Reads the records of unfinished files, in schemas that have some.
pub(super) async fn begun(
    conn: &mut PgConnection,
    schemas: &[&Ident],
) -> sqlx::Result<Vec<(usize, Applied)>> {
    let mut sql = Sql::default();
    for (place, schema) in schemas.iter().enumerate() {
        sql.text(if place == 0 { "select " } else { " union all select " });
        sql.text("version, success, checksum, execution_time, description, ");
        sql.number(place as u64).text(" as place from ");
        table(&mut sql, schema).text(" where not success");
    }
    let rows = sqlx::query(sql.finish()).persistent(false).fetch_all(conn).await?;
    let places = rows.iter().map(|row| row.try_get::<i32, _>("place"));
    let places = places.collect::<Result<Vec<_>, _>>()?;
    let places = places.into_iter().map(|place| usize::try_from(place).unwrap_or_default());
    Ok(places.zip(applied(&rows)?).collect())
}

/// Takes the lock of a schema if it is free, and returns what exists, or reads the records if the table is known to
/// exist.
///
/// The lock is a session lock on the database and the schema. No session ever waits for it inside the server: a
/// waiting statement has a snapshot, and `create index concurrently` waits for all older snapshots to end.
pub(super) fn lock_and_read(schema: &Ident, presence: Presence) -> SqlStr {
    let mut sql = Sql::new("select ");
    try_lock(&mut sql, "pg_catalog.pg_try_advisory_lock", schema);
    if presence == Presence::Table {
        sql.text("; ");
        write_read(&mut sql, schema);
        return sql.finish();
    }
    sql.text(
        ", n.oid is not null, c.oid is not null \
         from (values (",
    );
    sql.literal(schema.as_str()).text(
        ")) as asked (schema) \
         left join pg_catalog.pg_namespace n on n.nspname operator(pg_catalog.=) asked.schema \
         left join pg_catalog.pg_class c on c.relnamespace operator(pg_catalog.=) n.oid \
           and c.relname operator(pg_catalog.=) '_sqlx_migrations' \
           and c.relkind operator(pg_catalog.=) any (array['r', 'p']::pg_catalog.\"char\"[])",
    );
    sql.finish()
}

/// Distinguishes the lock of a schema from an application's advisory locks.
pub(crate) const LOCK_OF_SCHEMA: i64 = 7_234_619_037_115;

/// Appends a call that takes or releases the lock of a schema.
pub(crate) fn try_lock<'s>(
    sql: &'s mut Sql,
    function: &'static str,
    schema: &Ident,
) -> &'s mut Sql {
    sql.text(function).text("(pg_catalog.hashtextextended(");
    sql.literal(schema.as_str()).text(", ").integer(LOCK_OF_SCHEMA).text("))")
}

/// The result of [`lock_and_read`].
#[derive(Debug)]
pub(super) struct Locked {
    pub(super) locked: bool,
    pub(super) presence: Presence,
    pub(super) applied: Vec<Applied>,
}

impl Locked {
    pub(super) fn from_rows(rows: &[PgRow]) -> sqlx::Result<Self> {
        let [first, rest @ ..] = rows else {
            return Err(sqlx::Error::RowNotFound);
        };
        let presence = match first.len() {
            1 => Presence::Table,
            _ => presence_of(first, 1)?,
        };
        Ok(Self { locked: first.try_get(0)?, presence, applied: applied(rest)? })
    }
}

/// Reads the records of a schema that has the table.
pub(super) fn read(schema: &Ident) -> SqlStr {
    let mut sql = Sql::default();
    write_read(&mut sql, schema);
    sql.finish()
}

fn write_read(sql: &mut Sql, schema: &Ident) {
    sql.text(
        "select version, success, checksum, case when success then null else execution_time end as execution_time, \
         case when success then null else description end as description from ",
    );
    table(sql, schema).text(" order by version");
}

/// Parses the result of [`read`].
pub(super) fn applied(rows: &[PgRow]) -> sqlx::Result<Vec<Applied>> {
    let row = |row: &PgRow| {
        let time: Option<i64> = row.try_get("execution_time")?;
        let begun = time.zip(row.try_get("description")?);
        let begun =
            begun.map(|(execution_time, description)| Begun { execution_time, description });
        Ok(Applied {
            version: row.try_get("version")?,
            success: row.try_get("success")?,
            checksum: row.try_get("checksum")?,
            begun,
        })
    };
    rows.iter().map(row).collect()
}

/// Returns the latest recorded version in any of these schemas, among those that also have this version: others have
/// different files.
pub(crate) async fn latest_in(
    conn: &mut PgConnection,
    schemas: &[Ident],
    beside: i64,
) -> sqlx::Result<Option<i64>> {
    if schemas.is_empty() {
        return Ok(None);
    }
    let mut sql = Sql::new("select pg_catalog.max(latest) from (");
    for (index, schema) in schemas.iter().enumerate() {
        sql.text(if index == 0 { "select" } else { " union all select" });
        sql.text(" pg_catalog.max(version) as latest from ");
        table(&mut sql, schema).text(" having pg_catalog.bool_or(version operator(pg_catalog.=) ");
        sql.integer(beside).text(")");
    }
    sql.text(") as tenants");
    sqlx::raw_sql(sql.finish()).fetch_one(conn).await?.try_get(0)
}

/// Appends the name of the table.
pub(super) fn table<'s>(sql: &'s mut Sql, schema: &Ident) -> &'s mut Sql {
    sql.ident(schema).text("._sqlx_migrations")
}

/// Appends the statement that creates the table.
pub(crate) fn create(sql: &mut Sql, schema: &Ident) {
    sql.text("create table if not exists ");
    table(sql, schema).text(
        " (version bigint primary key, description pg_catalog.text not null, \
         installed_on pg_catalog.timestamptz not null default pg_catalog.now(), \
         success boolean not null, checksum pg_catalog.bytea not null, execution_time bigint not null); ",
    );
}

/// Appends a statement that protects the table, and so the schema, from being dropped before the transaction ends.
pub(super) fn hold(sql: &mut Sql, schema: &Ident) {
    sql.text("lock table ");
    table(sql, schema).text(" in row exclusive mode; ");
}

/// Appends a statement that fails (22P02) if names are no longer resolved in the schema. The statements after it are
/// read as UTF-8, whatever a file has set.
pub(super) fn check_schema(sql: &mut Sql, schema: &Ident) {
    sql.text("select pg_catalog.set_config('client_encoding', 'UTF8', false), ");
    sql.text("case when pg_catalog.current_schema() operator(pg_catalog.=) ")
        .literal(schema.as_str());
    // A schema can be called 42, which is a number.
    sql.text(
        " then 0 else ('in '::pg_catalog.text operator(pg_catalog.||) \
         coalesce(pg_catalog.current_schema()::pg_catalog.text, 'none'))::pg_catalog.int4 end; ",
    );
}

/// Appends the statement that records migrations that ran in the open transaction, and the total duration so far.
pub(super) fn record_done<'f>(
    sql: &mut Sql,
    schema: &Ident,
    files: impl Iterator<Item = &'f MigrationFile>,
) {
    insert_into(sql, schema);
    for (index, file) in files.enumerate() {
        sql.text(if index == 0 { "" } else { ", " });
        row(sql, file, Recorded::Done).text(
            ", (extract(epoch from pg_catalog.clock_timestamp() \
             operator(pg_catalog.-) pg_catalog.transaction_timestamp()) \
             operator(pg_catalog.*) 1000000000)::bigint)",
        );
    }
    sql.text("; ");
}

/// Appends the statement that records the start of a migration.
pub(super) fn record_begun(sql: &mut Sql, schema: &Ident, file: &MigrationFile, stage: Stage) {
    insert_into(sql, schema);
    row(sql, file, Recorded::Begun).text(", ").integer(stage.code()).text("); ");
}

/// Appends the statement that records the progress of a migration, with a remark.
pub(super) fn note_stage(
    sql: &mut Sql,
    schema: &Ident,
    version: i64,
    stage: Stage,
    description: &str,
) {
    sql.text("update ");
    table(sql, schema).text(" set execution_time = ").integer(stage.code());
    sql.text(", description = ").literal(description);
    sql.text(" where version operator(pg_catalog.=) ").integer(version).text("; ");
}

/// Appends the statement that records that the failure of a migration was cleared.
pub(super) fn note_seen_to(sql: &mut Sql, schema: &Ident, file: &MigrationFile, stage: Stage) {
    sql.text("update ");
    table(sql, schema).text(" set checksum = ");
    sql.bytes(file.checksum.recorded());
    sql.text(" where version operator(pg_catalog.=) ").integer(file.version).text("; ");
    note_stage(sql, schema, file.version, stage, &file.description);
}

/// Appends the statement that records a migration that was not run, replacing any earlier record.
pub(super) fn record_anyway(sql: &mut Sql, schema: &Ident, file: &MigrationFile) {
    insert_into(sql, schema);
    row(sql, file, Recorded::Done).text(UNKNOWN_TIME).text(
        " on conflict (version) do update set success = true, checksum = excluded.checksum, \
         description = excluded.description, execution_time = case when _sqlx_migrations.success \
         then _sqlx_migrations.execution_time else excluded.execution_time end; ",
    );
}

/// The duration that sqlx records until it is known, and permanently if nothing was run.
const UNKNOWN_TIME: &str = ", -1)";

/// Whether a migration has completed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Recorded {
    /// It has, or this is not relevant.
    Done,
    /// Not known yet.
    Begun,
}

fn insert_into(sql: &mut Sql, schema: &Ident) {
    sql.text("insert into ");
    table(sql, schema).text(" (version, description, success, checksum, execution_time) values ");
}

/// Appends the row of a migration without its duration.
fn row<'s>(sql: &'s mut Sql, file: &MigrationFile, recorded: Recorded) -> &'s mut Sql {
    sql.text("(").integer(file.version).text(", ").literal(&file.description);
    sql.text(match recorded {
        Recorded::Done => ", true, ",
        Recorded::Begun => ", false, ",
    });
    sql.bytes(file.checksum.recorded())
}

/// Appends the statement that records the completion of a migration, and its duration.
pub(super) fn note_end(sql: &mut Sql, schema: &Ident, file: &MigrationFile, took: Duration) {
    sql.text("update ");
    table(sql, schema).text(" set success = true, execution_time = ");
    sql.integer(i64::try_from(took.as_nanos()).unwrap_or(i64::MAX));
    sql.text(", description = ").literal(&file.description);
    sql.text(" where version operator(pg_catalog.=) ").integer(file.version).text("; ");
}

/// Appends the statement that records that a migration is being reverted.
pub(super) fn note_begun(sql: &mut Sql, schema: &Ident, version: i64, stage: Stage) {
    sql.text("update ");
    table(sql, schema).text(" set success = false, execution_time = ").integer(stage.code());
    sql.text(" where version operator(pg_catalog.=) ").integer(version).text("; ");
}

/// Appends the statement that deletes the record of a migration.
pub(super) fn delete(sql: &mut Sql, schema: &Ident, version: i64) {
    sql.text("delete from ");
    table(sql, schema).text(" where version operator(pg_catalog.=) ").integer(version).text("; ");
}
