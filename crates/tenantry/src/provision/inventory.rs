//! The objects of a schema, and the objects outside that depend on them.

use sqlx::{PgConnection, Row};

use crate::tenant::Ident;

/// The contents of a schema.
#[derive(Debug, Default)]
pub(super) struct Inventory {
    /// Whether the schema exists.
    pub(super) exists: bool,
    /// Its objects, such as `table tenant_acme.users`.
    pub(super) objects: Vec<String>,
    /// Objects outside that depend on them, such as `view public.all_users`.
    pub(super) outside: Vec<String>,
}

/// Reads the contents of a schema, and the objects outside that depend on them.
pub(super) async fn read(conn: &mut PgConnection, schema: &Ident) -> sqlx::Result<Inventory> {
    let exists = exists(conn, schema).await?;
    let objects = objects(conn, schema).await?;
    let outside = dependents(conn, schema, false).await?;
    Ok(Inventory { exists, objects, outside })
}

/// Returns the objects outside that depend on those of a schema.
pub(crate) async fn outside(conn: &mut PgConnection, schema: &Ident) -> sqlx::Result<Vec<String>> {
    dependents(conn, schema, false).await
}

/// Returns objects in other schemas that use the extensions of a schema.
pub(super) async fn users_of_extensions(
    conn: &mut PgConnection,
    schema: &Ident,
) -> sqlx::Result<Vec<String>> {
    dependents(conn, schema, true).await
}

/// Returns objects outside that depend on a schema, or only on the extensions in it.
async fn dependents(
    conn: &mut PgConnection,
    schema: &Ident,
    on_extensions: bool,
) -> sqlx::Result<Vec<String>> {
    let query = sqlx::query(OUTSIDE).bind(schema.as_str()).bind(on_extensions).persistent(false);
    query.fetch_all(conn).await?.iter().map(|row| row.try_get(0)).collect()
}

/// Returns `true` if a schema exists.
pub(super) async fn exists(conn: &mut PgConnection, schema: &Ident) -> sqlx::Result<bool> {
    let row =
        sqlx::query("select from pg_catalog.pg_namespace where nspname operator(pg_catalog.=) $1")
            .bind(schema.as_str())
            .persistent(false)
            .fetch_optional(conn)
            .await?;
    Ok(row.is_some())
}

/// Returns the objects of a schema. Objects that belong to another one, such as its indexes and its row type, or to
/// an extension, are not listed separately.
pub(super) async fn objects(conn: &mut PgConnection, schema: &Ident) -> sqlx::Result<Vec<String>> {
    texts(conn, OBJECTS, schema).await
}

async fn texts(
    conn: &mut PgConnection,
    sql: &'static str,
    schema: &Ident,
) -> sqlx::Result<Vec<String>> {
    let rows = sqlx::query(sql).bind(schema.as_str()).persistent(false).fetch_all(conn).await?;
    rows.iter().map(|row| row.try_get(0)).collect()
}

/// Objects that depend on the schema itself, found through the index of `pg_depend` on the referenced object.
const OBJECTS: &str = "\
    select pg_catalog.concat(i.type, ' ', i.identity) \
    from pg_catalog.pg_namespace n \
    join pg_catalog.pg_depend d on d.refobjid operator(pg_catalog.=) n.oid \
      and d.refclassid operator(pg_catalog.=) 'pg_catalog.pg_namespace'::pg_catalog.regclass \
      and d.deptype operator(pg_catalog.=) 'n' \
    cross join lateral pg_catalog.pg_identify_object(d.classid, d.objid, 0) i \
    where n.nspname operator(pg_catalog.=) $1 and not exists ( \
      select from pg_catalog.pg_depend o \
      where o.classid operator(pg_catalog.=) d.classid and o.objid operator(pg_catalog.=) d.objid \
        and o.deptype operator(pg_catalog.=) any (array['i', 'e']::pg_catalog.\"char\"[])) \
    order by 1";

/// Everything in other schemas that depends on the schema, directly or indirectly: the objects that `cascade` would
/// drop. With `$2`, only what depends on members of extensions.
///
/// A rule is reported as its view, and the library omits the triggers, types and TOAST tables that belong to a table.
const OUTSIDE: &str = "\
    with recursive dependent (classid, objid, objsubid) as ( \
      select d.classid, d.objid, d.objsubid from pg_catalog.pg_depend d \
      join pg_catalog.pg_namespace n on n.oid operator(pg_catalog.=) d.refobjid \
      where d.refclassid operator(pg_catalog.=) 'pg_catalog.pg_namespace'::pg_catalog.regclass \
        and n.nspname operator(pg_catalog.=) $1 \
        and (not $2 or exists (select from pg_catalog.pg_depend e \
          where e.classid operator(pg_catalog.=) d.classid and e.objid operator(pg_catalog.=) d.objid \
            and e.deptype operator(pg_catalog.=) 'e')) \
      union \
      select d.classid, d.objid, d.objsubid from dependent \
      join pg_catalog.pg_depend d on d.refclassid operator(pg_catalog.=) dependent.classid \
        and d.refobjid operator(pg_catalog.=) dependent.objid \
        and (dependent.objsubid operator(pg_catalog.=) 0 \
          or d.refobjsubid operator(pg_catalog.=) dependent.objsubid)), \
    located as ( \
      select distinct case when r.oid is null then d.classid \
          else 'pg_catalog.pg_class'::pg_catalog.regclass end as classid, \
        coalesce(r.ev_class, d.objid) as objid, d.objsubid, \
        coalesce(c.relnamespace, t.typnamespace, p.pronamespace, own.relnamespace) as schema \
      from dependent d \
      left join pg_catalog.pg_class c on c.oid operator(pg_catalog.=) d.objid \
        and d.classid operator(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass \
      left join pg_catalog.pg_type t on t.oid operator(pg_catalog.=) d.objid \
        and d.classid operator(pg_catalog.=) 'pg_catalog.pg_type'::pg_catalog.regclass \
      left join pg_catalog.pg_proc p on p.oid operator(pg_catalog.=) d.objid \
        and d.classid operator(pg_catalog.=) 'pg_catalog.pg_proc'::pg_catalog.regclass \
      left join pg_catalog.pg_rewrite r on r.oid operator(pg_catalog.=) d.objid \
        and d.classid operator(pg_catalog.=) 'pg_catalog.pg_rewrite'::pg_catalog.regclass \
      left join pg_catalog.pg_constraint k on k.oid operator(pg_catalog.=) d.objid \
        and d.classid operator(pg_catalog.=) 'pg_catalog.pg_constraint'::pg_catalog.regclass \
      left join pg_catalog.pg_trigger g on g.oid operator(pg_catalog.=) d.objid \
        and d.classid operator(pg_catalog.=) 'pg_catalog.pg_trigger'::pg_catalog.regclass \
      left join pg_catalog.pg_attrdef a on a.oid operator(pg_catalog.=) d.objid \
        and d.classid operator(pg_catalog.=) 'pg_catalog.pg_attrdef'::pg_catalog.regclass \
      left join pg_catalog.pg_policy y on y.oid operator(pg_catalog.=) d.objid \
        and d.classid operator(pg_catalog.=) 'pg_catalog.pg_policy'::pg_catalog.regclass \
      left join pg_catalog.pg_class own on own.oid operator(pg_catalog.=) \
        coalesce(r.ev_class, k.conrelid, g.tgrelid, a.adrelid, y.polrelid) \
      where not coalesce(g.tgisinternal, false) \
        and (t.oid is null or (t.typrelid operator(pg_catalog.=) 0 \
          and t.typcategory operator(pg_catalog.<>) 'A'))) \
    select distinct pg_catalog.concat(i.type, ' ', i.identity) \
    from located l \
    join pg_catalog.pg_namespace n on n.oid operator(pg_catalog.=) l.schema \
    cross join lateral pg_catalog.pg_identify_object(l.classid, l.objid, l.objsubid) i \
    where n.nspname operator(pg_catalog.<>) $1 \
      and not pg_catalog.starts_with(n.nspname::pg_catalog.text, 'pg_') \
    order by 1";
