//! SQL that inspects the schemas of an occupant: which tenants have identical tables, and which
//! functions modify the session.

use sqlx::{Row, postgres::PgRow};

use super::rows::row_with;
use crate::{
    sql::Sql,
    tenant::{Binding, Ident},
};

/// The row that [`look`] returns.
pub(super) struct Look {
    /// A hash of everything that decides what a statement returns.
    pub(super) key: i64,
    /// `true` if the schemas that it is compared by have types or collations.
    pub(super) own_types: bool,
    pub(super) tables: i64,
    /// `true` if a function that statements can reach modifies the session.
    pub(super) unruly: bool,
    /// An extension schema that the occupant's role may not use: PostgreSQL would silently skip it.
    pub(super) unusable: Option<String>,
}

impl Look {
    const KEY: &'static str = "tenantry_alike";

    pub(super) fn find(rows: &[PgRow]) -> sqlx::Result<Option<Self>> {
        row_with(Self::KEY, rows).map(Self::try_from).transpose()
    }
}

impl TryFrom<&PgRow> for Look {
    type Error = sqlx::Error;

    fn try_from(row: &PgRow) -> sqlx::Result<Self> {
        Ok(Self {
            key: row.try_get(Self::KEY)?,
            own_types: row.try_get(1)?,
            tables: row.try_get(2)?,
            unruly: row.try_get(3)?,
            unusable: row.try_get(4)?,
        })
    }
}

/// Appends a query that returns one [`Look`]. Tenants are compared by the tables in the schemas `compared`.
///
/// It goes through `pg_depend`, which has an index that begins with the schema; `pg_class` has
/// none. Row types and array types depend on their table or element type and not on the schema, so
/// only enums, domains, ranges and composite types remain in `pg_type`.
///
/// Reachable functions are those of the schemas in the search path, except those of
/// [extensions](super::extensions), which are inspected once for all tenants, and those of other
/// schemas that a trigger, view, rule, default, constraint, policy, index or operator in them
/// calls. The latter are not visible in a statement's text.
pub(super) fn look(sql: &mut Sql, binding: &Binding, compared: &[Ident]) {
    sql.text("with member as materialized (select d.classid, d.objid, ");
    among(sql, compared);
    sql.text(
        " as own from pg_catalog.pg_namespace n \
         join pg_catalog.pg_depend d on d.refobjid operator(pg_catalog.=) n.oid \
         where d.refclassid operator(pg_catalog.=) 'pg_catalog.pg_namespace'::pg_catalog.regclass \
         and d.deptype operator(pg_catalog.=) 'n' and ",
    );
    among(sql, binding.of_tables());
    sql.text("), ").text(LINES).text(", ").text(ROUTINES);
    sql.text(
        " select pg_catalog.hashtextextended(coalesce( \
           (select pg_catalog.string_agg(line, '/' order by line) from line), ''), 0) \
           as tenantry_alike, \
         exists (select from member where own and (\
           classid operator(pg_catalog.=) 'pg_catalog.pg_type'::pg_catalog.regclass or \
           classid operator(pg_catalog.=) 'pg_catalog.pg_collation'::pg_catalog.regclass)), \
         (select pg_catalog.count(distinct m.objid) from member m \
           join pg_catalog.pg_class c on c.oid operator(pg_catalog.=) m.objid \
           where m.own and m.classid operator(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass \
           and c.relkind operator(pg_catalog.=) any ",
    );
    sql.text(TABLES).text(
        "), case when coalesce((select pg_catalog.sum(pg_catalog.pg_column_size(p.prosrc)) \
             from routine r join pg_catalog.pg_proc p on p.oid operator(pg_catalog.=) r.oid), 0) \
             operator(pg_catalog.>) ",
    );
    sql.number(MOST_TEXT).text(
        " then true else exists (select from routine r \
         join pg_catalog.pg_proc p on p.oid operator(pg_catalog.=) r.oid \
         join pg_catalog.pg_language l on l.oid operator(pg_catalog.=) p.prolang where ",
    );
    reaches(sql);
    sql.text(") end, ");
    unusable(sql, binding);
}

/// Appends the name of an extension schema that the role may not use; null if it may use all.
fn unusable(sql: &mut Sql, binding: &Binding) {
    if binding.of_extensions().is_empty() {
        sql.text("null::pg_catalog.text");
        return;
    }
    sql.text(
        "(select pg_catalog.min(n.nspname::pg_catalog.text) from pg_catalog.pg_namespace n \
         join pg_catalog.pg_roles r on r.rolname operator(pg_catalog.=) ",
    );
    match binding.role() {
        Some(role) => sql.literal(role.as_str()),
        None => sql.text("current_user"),
    };
    sql.text(" where not pg_catalog.has_schema_privilege(r.oid, n.oid, 'usage') and ");
    among(sql, binding.of_extensions());
    sql.text(")");
}

/// Maximum size of function source code that is searched, in bytes as stored by the server. Beyond
/// it, the conservative answer applies: a tenant with thousands of functions must still be served.
pub(super) const MOST_TEXT: u64 = 256 * 1024;

/// Appends a condition that the schema `n` is one of these.
fn among(sql: &mut Sql, schemas: &[Ident]) {
    sql.text("(false");
    for schema in schemas {
        sql.text(" or n.nspname operator(pg_catalog.=) ").literal(schema.as_str());
    }
    sql.text(")");
}

const TABLES: &str = "('{r,p,v,m,f}'::pg_catalog.\"char\"[])";

/// Everything that decides the columns of a result and the types of parameters, as lines to be
/// hashed: columns of tables and views, and the signatures of functions and operators.
const LINES: &str = "line as (\
    select pg_catalog.concat_ws(' ', 'column', c.relname, a.attnum, a.attname, a.atttypid, \
      a.atttypmod, a.attcollation) as line \
    from member m \
    join pg_catalog.pg_class c on c.oid operator(pg_catalog.=) m.objid \
    join pg_catalog.pg_attribute a on a.attrelid operator(pg_catalog.=) c.oid \
    where m.own and m.classid operator(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass \
    and c.relkind operator(pg_catalog.=) any ('{r,p,v,m,f}'::pg_catalog.\"char\"[]) \
    and a.attnum operator(pg_catalog.>) 0 and not a.attisdropped \
    union all \
    select pg_catalog.concat_ws(' ', 'function', p.proname, p.prokind, p.proargtypes, \
      p.prorettype, p.proretset, p.provariadic, p.pronargdefaults, p.proallargtypes, \
      p.proargmodes, p.proargnames) \
    from member m join pg_catalog.pg_proc p on p.oid operator(pg_catalog.=) m.objid \
    where m.own and m.classid operator(pg_catalog.=) 'pg_catalog.pg_proc'::pg_catalog.regclass \
    union all \
    select pg_catalog.concat_ws(' ', 'operator', o.oprname, o.oprleft, o.oprright, o.oprresult) \
    from member m join pg_catalog.pg_operator o on o.oid operator(pg_catalog.=) m.objid \
    where m.own and m.classid operator(pg_catalog.=) 'pg_catalog.pg_operator'::pg_catalog.regclass)";

/// The functions that statements can reach.
const ROUTINES: &str = "part as materialized (\
    select classid, objid from member \
    union all \
    select s.classid, s.objid from member m \
    join pg_catalog.pg_depend s on s.refclassid operator(pg_catalog.=) m.classid \
      and s.refobjid operator(pg_catalog.=) m.objid \
    where (m.classid operator(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass \
      or m.classid operator(pg_catalog.=) 'pg_catalog.pg_type'::pg_catalog.regclass) \
    and s.classid operator(pg_catalog.<>) 'pg_catalog.pg_type'::pg_catalog.regclass), \
    used as materialized (\
    select d.refclassid, d.refobjid from part p \
    join pg_catalog.pg_depend d on d.classid operator(pg_catalog.=) p.classid \
      and d.objid operator(pg_catalog.=) p.objid \
    where d.refclassid operator(pg_catalog.=) 'pg_catalog.pg_proc'::pg_catalog.regclass \
    or d.refclassid operator(pg_catalog.=) 'pg_catalog.pg_operator'::pg_catalog.regclass), \
    routine as (\
    select objid as oid from member \
    where classid operator(pg_catalog.=) 'pg_catalog.pg_proc'::pg_catalog.regclass \
    union all \
    select refobjid from used \
    where refclassid operator(pg_catalog.=) 'pg_catalog.pg_proc'::pg_catalog.regclass \
    union all \
    select o.oprcode from used u \
    join pg_catalog.pg_operator o on o.oid operator(pg_catalog.=) u.refobjid \
    where u.refclassid operator(pg_catalog.=) 'pg_catalog.pg_operator'::pg_catalog.regclass)";

/// Appends a condition that the function `p` in the language `l` may change the session.
///
/// Excludes functions of extensions in C, such as those that generate UUIDs, except those known to
/// keep session state. Functions in other languages than SQL and PL/pgSQL may do anything. The
/// others are judged by their text, erring on the safe side.
pub(super) fn reaches(sql: &mut Sql) {
    sql.text(
        "case when l.lanname operator(pg_catalog.=) 'sql' or \
           l.lanname operator(pg_catalog.=) 'plpgsql' then (\
           select body.text operator(pg_catalog.~*) ",
    );
    sql.literal(SESSION_WORDS).text(" or pg_catalog.regexp_replace(body.text, ");
    sql.literal(HARMLESS_SETS).text(", ' ', 'gi') operator(pg_catalog.~*) ").literal(SET);
    sql.text(" or pg_catalog.regexp_replace(body.text, ").literal(HARMLESS_CALLS);
    sql.text(", ' ', 'gi') operator(pg_catalog.~) ").literal(QUALIFIED_CALL).text(
        " from (select pg_catalog.regexp_replace(case when p.prosqlbody is null then p.prosrc \
           else pg_catalog.pg_get_function_sqlbody(p.oid) end, ",
    );
    sql.literal(COMMENTS).text(
        ", ' ', 'g') as text) body) \
         when exists (select from pg_catalog.pg_depend e \
           where e.classid operator(pg_catalog.=) 'pg_catalog.pg_proc'::pg_catalog.regclass \
           and e.objid operator(pg_catalog.=) p.oid and e.deptype operator(pg_catalog.=) 'e') \
         then p.proname operator(pg_catalog.~) ",
    );
    sql.literal(KEEPS_SOMETHING).text(" else true end");
}

/// Comments that are certain to be comments: one that contains a quote may begin inside a string or
/// name.
const COMMENTS: &str = r#"--[^\n\r'"$]*([\n\r]|$)|/\*[^*'"$]*\*/"#;

/// The word `set` where it changes no setting, or only one of the transaction.
const HARMLESS_SETS: &str = concat!(
    r"\mfor\s+(no\s+key\s+)?update\M|\mset\s+local\M|\mupdate\s+set\M|",
    r#"\mupdate\s+(only\s+)?[\w."]+(\s*\*)?(\s+(as\s+)?[\w"]+)?\s+set\M"#,
);

/// The word that changes a setting.
const SET: &str = r"\mset\M";

/// Words of other statements and functions that leave state in the session.
const SESSION_WORDS: &str = concat!(
    r"\m(set_config|setseed|pg_settings|pg_(try_)?advisory_\w+|execute|reset|discard|listen|",
    r"unlisten|load|prepare|deallocate|temp|temporary|pg_temp\w*|operator|query_to_xml\w*|",
    r"cursor_to_xml\w*|ts_stat|ts_rewrite|pg_replication_origin\w*|",
    r#"dblink\w*|set_limit|postgres_fdw\w*)\M|\mu&""#,
);

/// Text that looks like a call into another schema but is harmless.
const HARMLESS_CALLS: &str =
    r#"\minto\s+[\w."]+\s*\(|("pg_catalog"|\mpg_catalog)\s*\.\s*"?\w+"?\s*\("#;

/// A call into another schema, whose functions are not inspected.
const QUALIFIED_CALL: &str = r#"("|\w)\s*\.\s*("[^"]*"|\w+)\s*\("#;

/// Functions of extensions that keep state in the session.
const KEEPS_SOMETHING: &str = "^(dblink|set_limit|postgres_fdw)";
