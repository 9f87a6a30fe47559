//! Queries on the system catalogs.

use super::{DatabaseOutline, ExtensionOutline, SchemaOutline, ServerOutline, TableOutline};
use crate::{db::SharedDb, error::Error};

pub(super) async fn outline(system: &SharedDb) -> Result<DatabaseOutline, Error> {
    let server = server(system).await?;
    let schemas: Vec<(String, i64)> =
        sqlx::query_as(SCHEMAS).persistent(false).fetch_all(system).await?;
    let extensions: Vec<(String, String)> =
        sqlx::query_as(EXTENSIONS).persistent(false).fetch_all(system).await?;
    let tables: Vec<(String, String)> =
        sqlx::query_as(CATALOG_TABLES).persistent(false).fetch_all(system).await?;
    let schema = |(name, tables)| SchemaOutline { name, tables: count(tables) };
    let extension = |(name, schema)| ExtensionOutline { name, schema };
    let table = |(schema, table)| TableOutline { schema, table };
    Ok(DatabaseOutline {
        server,
        schemas: schemas.into_iter().map(schema).collect(),
        extensions: extensions.into_iter().map(extension).collect(),
        catalog_tables: tables.into_iter().map(table).collect(),
    })
}

pub(super) async fn server(system: &SharedDb) -> Result<ServerOutline, Error> {
    type Row = (String, i32, String, i64, i64);
    let row: Row = sqlx::query_as(SERVER).persistent(false).fetch_one(system).await?;
    let (version, version_number, database, most, reserved) = row;
    Ok(ServerOutline {
        version: version.split_whitespace().next().unwrap_or_default().to_owned(),
        version_number,
        database,
        max_connections: count(most),
        reserved_connections: count(reserved),
    })
}

fn count(count: i64) -> usize {
    usize::try_from(count).unwrap_or_default()
}

/// `reserved_connections` exists since PostgreSQL 16.
const SERVER: &str = "\
    select pg_catalog.current_setting('server_version'), \
      pg_catalog.current_setting('server_version_num')::pg_catalog.int4, \
      pg_catalog.current_database()::pg_catalog.text, \
      pg_catalog.current_setting('max_connections')::pg_catalog.int8, \
      pg_catalog.current_setting('superuser_reserved_connections')::pg_catalog.int8 operator(pg_catalog.+) \
        coalesce(pg_catalog.current_setting('reserved_connections', true), '0')::pg_catalog.int8";

/// One pass over `pg_class`, which has no index by schema alone.
const SCHEMAS: &str = "\
    select n.nspname::pg_catalog.text, pg_catalog.count(t.oid) \
    from pg_catalog.pg_namespace n \
    left join (select c.oid, c.relnamespace from pg_catalog.pg_class c \
      where c.relkind operator(pg_catalog.=) any (array['r', 'p']::pg_catalog.\"char\"[]) \
      and not c.relispartition \
      and not exists (select from pg_catalog.pg_depend d \
        where d.classid operator(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass \
        and d.objid operator(pg_catalog.=) c.oid and d.deptype operator(pg_catalog.=) 'e')) as t \
      on t.relnamespace operator(pg_catalog.=) n.oid \
    where n.nspname operator(pg_catalog.!~) '^pg_' \
    and n.nspname operator(pg_catalog.<>) 'information_schema' \
    group by n.nspname \
    order by 1";

const EXTENSIONS: &str = "\
    select e.extname::pg_catalog.text, n.nspname::pg_catalog.text \
    from pg_catalog.pg_extension e \
    join pg_catalog.pg_namespace n on n.oid operator(pg_catalog.=) e.extnamespace \
    where n.nspname operator(pg_catalog.<>) 'pg_catalog' \
    and exists (select from pg_catalog.pg_depend d \
      where d.refclassid operator(pg_catalog.=) 'pg_catalog.pg_extension'::pg_catalog.regclass \
      and d.refobjid operator(pg_catalog.=) e.oid and d.deptype operator(pg_catalog.=) 'e' \
      and d.classid operator(pg_catalog.=) any (array['pg_catalog.pg_type', 'pg_catalog.pg_proc', \
        'pg_catalog.pg_operator', 'pg_catalog.pg_opclass', 'pg_catalog.pg_collation', \
        'pg_catalog.pg_ts_config', 'pg_catalog.pg_ts_dict']::pg_catalog.regclass[])) \
    order by 1";

/// Tables that have all columns of a catalog's table.
const CATALOG_TABLES: &str = "\
    select n.nspname::pg_catalog.text, c.relname::pg_catalog.text \
    from pg_catalog.pg_class c \
    join pg_catalog.pg_namespace n on n.oid operator(pg_catalog.=) c.relnamespace \
    join pg_catalog.pg_attribute a on a.attrelid operator(pg_catalog.=) c.oid \
    where c.relkind operator(pg_catalog.=) any (array['r', 'p']::pg_catalog.\"char\"[]) \
    and n.nspname operator(pg_catalog.!~) '^pg_' \
    and a.attnum operator(pg_catalog.>) 0 and not a.attisdropped \
    and a.attname operator(pg_catalog.=) any \
      (array['id', 'container', 'state', 'created_at', 'attributes']::pg_catalog.name[]) \
    group by n.nspname, c.relname \
    having pg_catalog.count(*) operator(pg_catalog.=) 5 \
    order by 1, 2";
