//! The SQL of a session: what takes everything off it and puts a binding on, and what finds out which
//! tenants are alike.

use std::hash::{BuildHasher, RandomState};

use sqlx::SqlStr;

use super::occupant::Occupant;
use crate::{sql::Sql, tenant::Ident};

/// How much of a reset is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reset {
    /// For a session on which plain queries ran alone: whatever a function that they called can
    /// have left.
    Plain,
    /// For any session: transactions and deallocated statements too.
    Thorough,
}

/// Everything that a session can carry, taken off in one string, then the binding put on.
///
/// It is what [`DISCARD ALL`](https://www.postgresql.org/docs/current/sql-discard.html) does, except
/// that the statements which sqlx has prepared stay: it still believes in them. `begin; rollback`
/// leaves any transaction without the warning that a lone `rollback` would write into the server's
/// log. `reset session authorization` resets the role, too.
///
/// After plain queries alone, two things should not be that only a command of the client's brings
/// about: an open transaction, which the plain reset finds out, and statements that sqlx has prepared
/// and that are gone. (A function can deallocate them; the error that the next use brings has it
/// prepared anew.) What is left to ask is a statement that is prepared once: planning it anew would be a fifth of the whole reset. It is
/// executed before the search path is set, so that its plan stays valid.
pub(super) fn bind_sql(to: &Occupant, reset: Reset, echo: u64, checked: bool) -> SqlStr {
    // Hashing with keys that nobody knows makes a number that nobody can guess.
    let seed = RandomState::new().hash_one(echo);
    let mut sql = Sql::new(match reset {
        Reset::Plain => "",
        Reset::Thorough => "begin; rollback; ",
    });
    sql.text(
        "close all; reset session authorization; reset all; unlisten *; \
         discard temp; discard sequences; ",
    );
    if reset == Reset::Plain {
        sql.text("execute tenantry_reset(").number(echo).text(", 0.").number(seed).text("); ");
    }
    if checked {
        // A statement whose client has gone ends within this time instead of running on.
        sql.text("set client_connection_check_interval to '1s'; ");
    }
    sql.text("set search_path to ").idents(&to.binding.search_path);
    if to.binding.search_path.is_empty() {
        sql.text("''");
    }
    for (name, value) in &to.binding.settings {
        sql.text("; select pg_catalog.set_config(").literal(name);
        sql.text(", ").literal(value).text(", false)");
    }
    if let Some(role) = &to.binding.role {
        sql.text("; set role ").ident(role);
    }
    if reset == Reset::Thorough {
        sql.text("; select ").number(echo).text("::pg_catalog.int8 as tenantry_echo, ");
        sql.text(ASK_THOROUGHLY).literal(PREPARE_RESET).text("), false), ");
        sql.text(
            "pg_catalog.count(*) filter (where not from_sql), \
             pg_catalog.pg_advisory_unlock_all(), pg_catalog.setseed(0.",
        );
        sql.number(seed).text(") from pg_catalog.pg_prepared_statement()");
    }
    sql.finish()
}

/// What a plain reset executes: an echo, who answers, whether somebody has used SQL's `PREPARE`, and
/// whether this is a transaction of its own, which begins when its statement does. Advisory locks are
/// released on the way.
///
/// It sets the seed of `random()`, which is not part of `reset all`, nor of `discard all`: a tenant
/// that had set it could tell what the next one draws.
pub(super) const PREPARE_RESET: &str = "\
    prepare tenantry_reset (pg_catalog.int8, pg_catalog.float8) as \
    select $1 as tenantry_echo, pg_catalog.pg_backend_pid(), \
      exists ( \
        select from pg_catalog.pg_prepared_statement() \
        where from_sql and name <> 'tenantry_reset'), \
      pg_catalog.transaction_timestamp() = pg_catalog.statement_timestamp(), \
      pg_catalog.pg_advisory_unlock_all(), pg_catalog.setseed($2)";

/// What a thorough reset asks: the same, then whether the statement of the plain one is still there
/// as it was prepared, and how many statements the server has for sqlx.
const ASK_THOROUGHLY: &str = "\
    pg_catalog.pg_backend_pid(), \
    coalesce(pg_catalog.bool_or(from_sql and name <> 'tenantry_reset'), false), \
    coalesce(pg_catalog.bool_or(from_sql and statement = ";

/// Hashes the tables of some schemas, and says whether they hold types of their own.
///
/// It goes through `pg_depend`, which has an index that begins with the schema; `pg_class` has none.
/// Row types and array types depend on their table or element type and not on the schema, so what is
/// left in `pg_type` are enums, domains, ranges and composite types.
pub(super) fn alike_sql(schemas: &[Ident]) -> SqlStr {
    let mut sql = Sql::new(
        "with member as ( \
           select d.classid, d.objid from pg_catalog.pg_depend d \
           join pg_catalog.pg_namespace n on n.oid = d.refobjid \
           where d.refclassid = 'pg_catalog.pg_namespace'::pg_catalog.regclass \
           and d.deptype = 'n' and n.nspname in (",
    );
    for (index, schema) in schemas.iter().enumerate() {
        sql.text(if index == 0 { "" } else { ", " }).literal(schema.as_str());
    }
    sql.text(
        ")), attribute as ( \
           select c.relname, a.attnum, a.attname, a.atttypid, a.atttypmod from member m \
           join pg_catalog.pg_class c on c.oid = m.objid \
           join pg_catalog.pg_attribute a on a.attrelid = c.oid \
           where m.classid = 'pg_catalog.pg_class'::pg_catalog.regclass \
           and c.relkind in ('r', 'p', 'v', 'm', 'f') and a.attnum > 0 and not a.attisdropped) \
         select pg_catalog.hashtextextended(coalesce(pg_catalog.string_agg( \
             pg_catalog.concat_ws(' ', relname, attnum, attname, atttypid, atttypmod), '/' \
             order by relname, attnum), ''), 0), \
           exists (select from member \
             where classid = 'pg_catalog.pg_type'::pg_catalog.regclass), \
           pg_catalog.count(distinct relname) \
         from attribute",
    );
    sql.finish()
}
