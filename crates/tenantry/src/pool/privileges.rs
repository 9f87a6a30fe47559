//! Privileges of a tenant's role in its schema, and protection of the library's records there.

use super::credentials::Login;
use crate::{sql::Sql, tenant::Ident};

/// The role that works on a tenant's tables, if it does not create them.
#[derive(Debug, Clone)]
pub(crate) enum Grantee {
    /// A role: of the tenant's record, or the one that the manager logs in as.
    Role(Ident),
    /// The login of the tenant's own connections.
    Login(Login),
}

/// Tables of a schema that belong to the migrating role.
const RECORDS: &str = "array['_sqlx_migrations', '_tenantry_seeds', '_tenantry_retired_keys', \
                       'tenantry_retired', 'tenantry_migrated', 'tenantry_budget', \
                       'tenantry_moves', 'tenantry_movers', 'tenantry_markers']";

/// Appends grants that let a role use a schema: usage on it, the privileges to read and change
/// rows, and the same by default for all objects that the current role creates there later. No
/// privilege to create, alter or own anything.
///
/// It is done once: if the role already has such default privileges, nothing changes, so a
/// privilege that a file revokes stays revoked. A role that already has some privileges on the
/// tables keeps exactly those, and gets the same on later tables. A role that does not exist, is a
/// superuser, or is the current role gets nothing.
///
/// All roles may use functions and types; if the current role's default privileges revoke that, the
/// role gets it, too.
pub(crate) fn grant(sql: &mut Sql, schema: &Ident, role: &Ident) {
    let mut body = Sql::default();
    declare(&mut body, schema, role);
    body.text(UNLESS_DONE);
    grant_usage(&mut body, schema, role);
    grant_on_existing(&mut body, schema, role);
    grant_by_default(&mut body, schema, role);
    for kind in [Kind::Functions, Kind::Types] {
        grant_if_revoked(&mut body, kind, schema, role);
    }
    body.text("end");
    sql.text("do ").literal(body.as_str()).text("; ");
}

/// Appends the variables: `me` is the current role, `it` the other one, `home` the schema, `had` the
/// privileges that the role has on the tables, and `rights` those that it gets.
fn declare(body: &mut Sql, schema: &Ident, role: &Ident) {
    body.text(
        "declare \
           me pg_catalog.oid default (select r.oid from pg_catalog.pg_roles r \
             where r.rolname operator(pg_catalog.=) current_user); \
           it pg_catalog.oid default (select r.oid from pg_catalog.pg_roles r \
             where not r.rolsuper and r.rolname operator(pg_catalog.=) ",
    );
    body.literal(role.as_str()).text(
        "); home pg_catalog.oid default (select n.oid from pg_catalog.pg_namespace n \
             where n.nspname operator(pg_catalog.=) ",
    );
    body.literal(schema.as_str()).text(
        "); had pg_catalog.text default (select pg_catalog.string_agg(distinct p.name, ', ') \
             from pg_catalog.pg_class c \
             cross join pg_catalog.unnest(array['select', 'insert', 'update', 'delete']) as p (name) \
             where c.relnamespace operator(pg_catalog.=) home \
             and c.relkind operator(pg_catalog.=) any (array['r', 'p', 'v', 'm', 'f']::pg_catalog.\"char\"[]) \
             and not c.relname operator(pg_catalog.=) any (",
    );
    body.text(RECORDS).text(
        "::pg_catalog.name[]) and pg_catalog.has_table_privilege(it, c.oid, p.name)); \
           rights pg_catalog.text default coalesce(had, 'select, insert, update, delete'); \
           object pg_catalog.record; \
         begin ",
    );
}

/// Ends the block if there is no role to grant to, or if the grants were made before.
const UNLESS_DONE: &str = "\
    if it is null or home is null or it operator(pg_catalog.=) me or exists ( \
      select from pg_catalog.pg_default_acl a \
      cross join lateral pg_catalog.aclexplode(a.defaclacl) x \
      where a.defaclrole operator(pg_catalog.=) me and a.defaclnamespace operator(pg_catalog.=) home \
      and a.defaclobjtype operator(pg_catalog.=) 'r' and x.grantee operator(pg_catalog.=) it) \
    then return; end if; ";

fn grant_usage(body: &mut Sql, schema: &Ident, role: &Ident) {
    body.text(
        "if not pg_catalog.has_schema_privilege(it, home, 'usage') and exists ( \
             select from pg_catalog.pg_namespace n where n.oid operator(pg_catalog.=) home \
             and pg_catalog.pg_has_role(me, n.nspowner, 'usage')) then \
             grant usage on schema ",
    );
    body.ident(schema).text(" to ").ident(role).text("; end if; ");
}

/// Appends grants on all tables and sequences, for a role that has no privileges there yet.
fn grant_on_existing(body: &mut Sql, schema: &Ident, role: &Ident) {
    body.text(
        "if had is null then for object in \
             select c.relname, c.relkind operator(pg_catalog.=) 'S' as is_sequence from pg_catalog.pg_class c \
             where c.relnamespace operator(pg_catalog.=) home \
             and c.relkind operator(pg_catalog.=) any (array['r', 'p', 'v', 'm', 'f', 'S']::pg_catalog.\"char\"[]) \
             and not c.relname operator(pg_catalog.=) any (",
    );
    body.text(RECORDS).text(
        "::pg_catalog.name[]) and pg_catalog.pg_has_role(me, c.relowner, 'usage') \
           loop execute pg_catalog.format('grant %s on %s %I.%I to %I', \
             case when object.is_sequence then 'usage, select' else rights end, \
             case when object.is_sequence then 'sequence' else 'table' end, ",
    );
    body.literal(schema.as_str()).text(", object.relname, ").literal(role.as_str());
    body.text("); end loop; end if; ");
}

/// Appends default privileges on the tables and sequences that the current role creates later.
fn grant_by_default(body: &mut Sql, schema: &Ident, role: &Ident) {
    body.text(
        "execute pg_catalog.format( \
             'alter default privileges in schema %I grant %s on tables to %I', ",
    );
    body.literal(schema.as_str()).text(", rights, ").literal(role.as_str()).text(
        "); \
           if pg_catalog.strpos(rights, 'insert') operator(pg_catalog.>) 0 then \
             alter default privileges in schema ",
    );
    body.ident(schema).text(" grant usage, select on sequences to ").ident(role);
    body.text("; end if; ");
}

/// Kinds of objects that all roles may use, unless default privileges revoke that.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Functions,
    Types,
}

impl Kind {
    /// Returns its letter in `pg_default_acl`, the privilege, and what is granted.
    fn words(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Functions => ("'f'", "'EXECUTE'", "execute on functions"),
            Self::Types => ("'T'", "'USAGE'", "usage on types"),
        }
    }
}

/// Appends grants on a kind of object that the current role's default privileges keep from others.
fn grant_if_revoked(body: &mut Sql, kind: Kind, schema: &Ident, role: &Ident) {
    let (letter, right, what) = kind.words();
    body.text(
        "if exists (select from pg_catalog.pg_default_acl a \
             where a.defaclrole operator(pg_catalog.=) me \
             and a.defaclnamespace operator(pg_catalog.=) 0::pg_catalog.oid \
             and a.defaclobjtype operator(pg_catalog.=) ",
    );
    body.text(letter).text(
        " and not exists (select from pg_catalog.aclexplode(a.defaclacl) x \
             where x.grantee operator(pg_catalog.=) 0::pg_catalog.oid \
             and x.privilege_type operator(pg_catalog.=) ",
    );
    body.text(right).text(")) then alter default privileges in schema ").ident(schema);
    body.text(" grant ").text(what).text(" to ").ident(role).text("; ");
    if let Kind::Functions = kind {
        body.text("if had is null then grant execute on all routines in schema ").ident(schema);
        body.text(" to ").ident(role).text("; end if; ");
    }
    body.text("end if; ");
}

/// Appends the revocation of all privileges on a table from roles that got them by default
/// privileges, except its owner and roles that may create in the schema, which includes
/// maintenance.
pub(crate) fn keep_to_owner(sql: &mut Sql, schema: &Ident, table: &str) {
    let mut body = Sql::new(
        "declare object pg_catalog.record; begin \
           for object in select distinct r.rolname from pg_catalog.pg_class c \
             join pg_catalog.pg_namespace n on n.oid operator(pg_catalog.=) c.relnamespace \
             cross join lateral pg_catalog.aclexplode(c.relacl) x \
             join pg_catalog.pg_roles r on r.oid operator(pg_catalog.=) x.grantee \
             where n.nspname operator(pg_catalog.=) ",
    );
    body.literal(schema.as_str()).text(" and c.relname operator(pg_catalog.=) ").literal(table);
    body.text(
        " and x.grantee operator(pg_catalog.<>) c.relowner \
             and not pg_catalog.has_schema_privilege(r.oid, n.oid, 'create') \
           loop execute pg_catalog.format('revoke all on table %I.%I from %I', ",
    );
    body.literal(schema.as_str())
        .text(", ")
        .literal(table)
        .text(", object.rolname); end loop; end");
    sql.text("do ").literal(body.as_str()).text("; ");
}
