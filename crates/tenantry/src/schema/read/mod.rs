//! Reads schemas: all details of one, or the fingerprints of many.
//!
//! Both are built from the same facts. A fact is an array of texts: the name of an object, and its attributes.

mod beyond;
mod details;
mod fingerprint;
mod operators;
mod parts;
mod reader;
mod references;
mod relations;
mod routines;
mod text_search;
mod types;
mod whole;

pub(crate) use beyond::beyond;
pub(crate) use details::details;
pub use fingerprint::Fingerprint;
pub(crate) use fingerprint::{fingerprint_prepared, fingerprints};
pub(crate) use references::{ReferenceSearch, references};

use reader::Reader;
use sqlx::{PgConnection, Row};

use crate::{sql::Sql, tenant::Ident};

/// A schema to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Subject {
    pub(crate) schema: Ident,
    /// The role that is the tenant's own.
    pub(crate) role: Option<Ident>,
}

/// Why a schema was not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unreadable {
    /// It does not exist.
    Missing,
    /// The connection's role lacks usage on it: names would be printed differently.
    NoUsage,
}

/// All readers, in the order of kinds.
const READERS: &[&Reader] = &[
    &whole::SCHEMA,
    &whole::DEFAULT_PRIVILEGES,
    &whole::SECURITY_LABEL,
    &operators::COLLATION,
    &operators::CONVERSION,
    &types::ENUM,
    &types::COMPOSITE,
    &types::DOMAIN,
    &types::RANGE,
    &types::BASE,
    &routines::FUNCTION,
    &routines::PROCEDURE,
    &routines::AGGREGATE,
    &operators::OPERATOR,
    &operators::OPERATOR_FAMILY,
    &operators::OPERATOR_CLASS,
    &text_search::PARSER,
    &text_search::TEMPLATE,
    &text_search::DICTIONARY,
    &text_search::CONFIGURATION,
    &relations::SEQUENCE,
    &relations::TABLE,
    &relations::FOREIGN_TABLE,
    &relations::VIEW,
    &relations::MATERIALIZED_VIEW,
    &relations::COLUMN,
    &parts::CONSTRAINT,
    &parts::DOMAIN_CONSTRAINT,
    &parts::INDEX,
    &parts::STATISTICS,
    &parts::TRIGGER,
    &parts::RULE,
    &parts::POLICY,
];

/// Returns the major version of the server, and configures the rest of the transaction to print everything as for
/// `pg_dump`, and without JIT compilation, which takes longer than it saves for any number of schemas.
async fn begin(conn: &mut PgConnection) -> sqlx::Result<u32> {
    let query = sqlx::query(
        "select pg_catalog.current_setting('server_version_num'), pg_catalog.set_config('jit', 'off', true), \
           pg_catalog.set_config('quote_all_identifiers', 'off', true), pg_catalog.set_config('datestyle', 'ISO', true), \
           pg_catalog.set_config('intervalstyle', 'postgres', true), pg_catalog.set_config('extra_float_digits', '3', true)",
    );
    let row = query.persistent(false).fetch_one(conn).await?;
    let number: String = row.try_get(0)?;
    Ok(number.parse::<u32>().map_or(0, |number| number / 10_000))
}

/// Appends the schemas as `n`, the members of extensions as `m`, the dependencies on extensions as `x`, and the facts
/// of all readers as `f`.
fn write_facts(sql: &mut Sql, version: u32) {
    write_subjects(sql);
    sql.text(
        ", m as materialized (select d.classid, d.objid from pg_catalog.pg_depend d \
         where d.refclassid operator(pg_catalog.=) 'pg_catalog.pg_extension'::pg_catalog.regclass \
           and d.deptype operator(pg_catalog.=) 'e'::pg_catalog.\"char\"), \
         x as materialized (select d.classid, d.objid, pg_catalog.array_agg(e.extname::pg_catalog.text order by e.extname) as names \
         from pg_catalog.pg_depend d join pg_catalog.pg_extension e on e.oid operator(pg_catalog.=) d.refobjid \
         where d.refclassid operator(pg_catalog.=) 'pg_catalog.pg_extension'::pg_catalog.regclass \
           and d.deptype operator(pg_catalog.=) 'x'::pg_catalog.\"char\" group by d.classid, d.objid), \
         c0 as materialized (select c.* from pg_catalog.pg_class c where c.relnamespace operator(pg_catalog.=) any (select n.oid from n)), \
         f as (",
    );
    for (place, reader) in READERS.iter().enumerate() {
        sql.text(if place == 0 { "" } else { " union all " });
        reader.write(sql, place, version);
    }
    sql.text(") ");
}

/// Begins a statement with the schemas as `n`.
///
/// `$1` contains the names of the schemas, `$2` the roles, or nulls. The search path of a schema ends with the
/// session's temporary tables, which would otherwise hide those of the schema.
fn write_subjects(sql: &mut Sql) {
    sql.text(
        "with n as materialized (select asked.place::pg_catalog.int4 as place, s.oid, s.nspname as name, \
           pg_catalog.concat(pg_catalog.quote_ident(s.nspname), ', pg_temp') as path, r.rolname as role_name, coalesce(r.oid, 0::pg_catalog.oid) as role \
         from rows from (pg_catalog.unnest($1::pg_catalog.text[]), pg_catalog.unnest($2::pg_catalog.text[])) with ordinality as asked (schema, role, place) \
         join pg_catalog.pg_namespace s on s.nspname operator(pg_catalog.=) asked.schema::pg_catalog.name \
           and pg_catalog.has_schema_privilege(s.oid, 'usage') \
         left join pg_catalog.pg_roles r on r.rolname operator(pg_catalog.=) asked.role::pg_catalog.name)",
    );
}

fn names(subjects: &[&Subject]) -> (Vec<String>, Vec<Option<String>>) {
    let schema = |subject: &&Subject| subject.schema.as_str().to_owned();
    let role = |subject: &&Subject| subject.role.as_ref().map(|role| role.as_str().to_owned());
    (subjects.iter().map(schema).collect(), subjects.iter().map(role).collect())
}
