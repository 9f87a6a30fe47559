//! The schemas of a database, as far as they may be tenants'.

use crate::{
    error::Error,
    fleet::Fleet,
    migrate::LOCK_OF_SCHEMA,
    reading::{lease_for_reading, on},
    tenant::Ident,
};

/// The maximum number of schemas listed in a finding.
pub(super) const LISTED: usize = 10;

/// A schema that may be a tenant's, or is becoming one.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) name: Ident,
    pub(super) comment: String,
    pub(super) tables: i64,
    /// Whether a session holds the lock for creating, migrating or dropping it.
    pub(super) locked: bool,
}

/// Reads the schemas whose names Tenantry can use.
pub(super) async fn read(fleet: &Fleet) -> Result<Vec<Found>, Error> {
    let mut lease = lease_for_reading(fleet).await?;
    let rows: Vec<(String, String, i64, bool)> = on(&mut lease, async |conn| {
        sqlx::query_as(SCHEMAS).bind(LOCK_OF_SCHEMA).persistent(false).fetch_all(conn).await
    })
    .await?;
    drop(lease);
    let schemas = rows.into_iter().filter_map(|(name, comment, tables, locked)| {
        Some(Found { name: Ident::parse(&name).ok()?, comment, tables, locked })
    });
    Ok(schemas.collect())
}

/// All schemas except PostgreSQL's, with their tables, and whether a session holds the lock that
/// [`try_lock`](crate::migrate::try_lock) takes: `$1` distinguishes it from others.
const SCHEMAS: &str = "\
    with held as materialized (select (l.classid::pg_catalog.int8 operator(pg_catalog.<<) 32) operator(pg_catalog.|) l.objid::pg_catalog.int8 as key from pg_catalog.pg_locks l \
    where l.locktype operator(pg_catalog.=) 'advisory' and l.objsubid operator(pg_catalog.=) 1 and l.granted \
    and l.database operator(pg_catalog.=) (select d.oid from pg_catalog.pg_database d where d.datname operator(pg_catalog.=) pg_catalog.current_database())), \
    t as (select c.relnamespace as schema, pg_catalog.count(*) as tables from pg_catalog.pg_class c where c.relkind operator(pg_catalog.=) any (array['r', 'p']::pg_catalog.\"char\"[]) group by c.relnamespace) \
    select s.nspname::pg_catalog.text, coalesce(pg_catalog.obj_description(s.oid, 'pg_namespace'), ''), coalesce(t.tables, 0::pg_catalog.int8), \
    pg_catalog.hashtextextended(s.nspname::pg_catalog.text, $1) operator(pg_catalog.=) any (array(select held.key from held)) \
    from pg_catalog.pg_namespace s left join t on t.schema operator(pg_catalog.=) s.oid \
    where not pg_catalog.starts_with(s.nspname::pg_catalog.text, 'pg_') and s.nspname operator(pg_catalog.<>) 'information_schema' \
    order by 1";
