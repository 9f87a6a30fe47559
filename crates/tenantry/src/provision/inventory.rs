//! What is in a schema, and what depends on it from outside.

use sqlx::{PgConnection, Row};

use crate::tenant::Ident;

/// What is in a schema.
#[derive(Debug, Default)]
pub(super) struct Inventory {
    /// Its objects, such as `table tenant_acme.users`.
    pub(super) objects: Vec<String>,
    /// What depends on them from outside, such as `view public.all_users`.
    pub(super) outside: Vec<String>,
}

/// Looks at what is in a schema. What belongs to an object, such as its indexes and its row type, is not
/// by itself.
pub(super) async fn read(conn: &mut PgConnection, schema: &Ident) -> sqlx::Result<Inventory> {
    let objects = texts(conn, OBJECTS, schema).await?;
    let outside = texts(conn, OUTSIDE, schema).await?;
    Ok(Inventory { objects, outside })
}

async fn texts(
    conn: &mut PgConnection,
    sql: &'static str,
    schema: &Ident,
) -> sqlx::Result<Vec<String>> {
    let rows = sqlx::query(sql).bind(schema.as_str()).persistent(false).fetch_all(conn).await?;
    rows.iter().map(|row| row.try_get(0)).collect()
}

/// Objects that depend on the schema itself, through the index of `pg_depend` that begins with what is
/// depended on.
const OBJECTS: &str = "\
    select i.type || ' ' || i.identity \
    from pg_catalog.pg_namespace n \
    join pg_catalog.pg_depend d on d.refobjid = n.oid \
      and d.refclassid = 'pg_catalog.pg_namespace'::pg_catalog.regclass and d.deptype = 'n' \
    cross join lateral pg_catalog.pg_identify_object(d.classid, d.objid, 0) i \
    where n.nspname = $1 \
    order by 1";

/// Views and constraints of other schemas that depend on a table of this one.
const OUTSIDE: &str = "\
    with own as ( \
      select c.oid from pg_catalog.pg_class c \
      join pg_catalog.pg_depend d on d.objid = c.oid \
        and d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass and d.deptype = 'n' \
      join pg_catalog.pg_namespace n on n.oid = d.refobjid \
        and d.refclassid = 'pg_catalog.pg_namespace'::pg_catalog.regclass \
      where n.nspname = $1), \
    dependent as ( \
      select d.classid, d.objid, coalesce(r.ev_class, k.conrelid) as relation \
      from own \
      join pg_catalog.pg_depend d on d.refobjid = own.oid \
        and d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass \
      left join pg_catalog.pg_rewrite r on r.oid = d.objid \
        and d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass \
      left join pg_catalog.pg_constraint k on k.oid = d.objid \
        and d.classid = 'pg_catalog.pg_constraint'::pg_catalog.regclass) \
    select distinct case when d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass \
        then (select i.type || ' ' || i.identity from pg_catalog.pg_identify_object( \
          'pg_catalog.pg_class'::pg_catalog.regclass, d.relation, 0) i) \
        else (select i.type || ' ' || i.identity \
          from pg_catalog.pg_identify_object(d.classid, d.objid, 0) i) end \
    from dependent d \
    join pg_catalog.pg_class c on c.oid = d.relation \
    join pg_catalog.pg_namespace n on n.oid = c.relnamespace \
    where n.nspname <> $1 \
    order by 1";
