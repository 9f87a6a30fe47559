//! What a tenant's role may do in its schema, and who else has to be kept out of what the library records there.

use super::Login;
use crate::{sql::Sql, tenant::Ident};

/// Who works on a tenant's tables, where that is not the one who makes them.
#[derive(Debug, Clone)]
pub(crate) enum Grantee {
    /// A role: of the tenant's record, or the one that the manager logs in as.
    Role(Ident),
    /// Whoever the tenant's own connections log in as.
    Login(Login),
}

/// Tables of a schema that belong to whoever migrates.
const RECORDS: &str = "array['_sqlx_migrations', '_tenantry_seeds', 'tenantry_retired']";

/// Appends what lets a role use a schema: usage on it, the rights to read and change rows, and the same for
/// all that is made there later by the role that runs this. No right to create, to change or to own anything.
///
/// It is done once: where the role has such default privileges already, nothing is. What a file revokes
/// therefore stays revoked. A role that has some rights on the tables already keeps those and no more, and
/// gets the same on later tables. A role that does not exist, is a superuser, or is the one that runs this
/// gets nothing.
///
/// Functions and types may be used by everybody; where the defaults of the role that runs this say
/// otherwise, the role gets that, too.
pub(crate) fn grant(sql: &mut Sql, schema: &Ident, role: &Ident) {
    let mut body = Sql::new(
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
         begin \
           if it is null or home is null or it operator(pg_catalog.=) me or exists ( \
             select from pg_catalog.pg_default_acl a \
             cross join lateral pg_catalog.aclexplode(a.defaclacl) x \
             where a.defaclrole operator(pg_catalog.=) me and a.defaclnamespace operator(pg_catalog.=) home \
             and a.defaclobjtype operator(pg_catalog.=) 'r' and x.grantee operator(pg_catalog.=) it) \
           then return; end if; \
           if not pg_catalog.has_schema_privilege(it, home, 'usage') and exists ( \
             select from pg_catalog.pg_namespace n where n.oid operator(pg_catalog.=) home \
             and pg_catalog.pg_has_role(me, n.nspowner, 'usage')) then \
             grant usage on schema ",
    );
    body.ident(schema).text(" to ").ident(role).text("; end if; \
           if had is null then for object in \
             select c.relname, c.relkind operator(pg_catalog.=) 'S' as is_sequence from pg_catalog.pg_class c \
             where c.relnamespace operator(pg_catalog.=) home \
             and c.relkind operator(pg_catalog.=) any (array['r', 'p', 'v', 'm', 'f', 'S']::pg_catalog.\"char\"[]) \
             and not c.relname operator(pg_catalog.=) any (");
    body.text(RECORDS).text(
        "::pg_catalog.name[]) and pg_catalog.pg_has_role(me, c.relowner, 'usage') \
           loop execute pg_catalog.format('grant %s on %s %I.%I to %I', \
             case when object.is_sequence then 'usage, select' else rights end, \
             case when object.is_sequence then 'sequence' else 'table' end, ",
    );
    body.literal(schema.as_str()).text(", object.relname, ").literal(role.as_str()).text(
        "); end loop; end if; \
           execute pg_catalog.format( \
             'alter default privileges in schema %I grant %s on tables to %I', ",
    );
    body.literal(schema.as_str()).text(", rights, ").literal(role.as_str()).text(
        "); \
           if pg_catalog.strpos(rights, 'insert') operator(pg_catalog.>) 0 then \
             alter default privileges in schema ",
    );
    body.ident(schema).text(" grant usage, select on sequences to ").ident(role);
    body.text("; end if; ");
    for (kind, right, what) in
        [("'f'", "'EXECUTE'", "execute on functions"), ("'T'", "'USAGE'", "usage on types")]
    {
        body.text(
            "if exists (select from pg_catalog.pg_default_acl a \
             where a.defaclrole operator(pg_catalog.=) me \
             and a.defaclnamespace operator(pg_catalog.=) 0::pg_catalog.oid \
             and a.defaclobjtype operator(pg_catalog.=) ",
        )
        .text(kind);
        body.text(
            " and not exists (select from pg_catalog.aclexplode(a.defaclacl) x \
             where x.grantee operator(pg_catalog.=) 0::pg_catalog.oid \
             and x.privilege_type operator(pg_catalog.=) ",
        )
        .text(right);
        body.text(")) then alter default privileges in schema ").ident(schema);
        body.text(" grant ").text(what).text(" to ").ident(role).text("; ");
        if kind == "'f'" {
            body.text("if had is null then grant execute on all routines in schema ").ident(schema);
            body.text(" to ").ident(role).text("; end if; ");
        }
        body.text("end if; ");
    }
    body.text("end");
    sql.text("do ").literal(body.as_str()).text("; ");
}

/// Appends what takes all rights on a table from everybody who got them by default privileges and is not its
/// owner, nor one who may create in the schema, and so does upkeep, too.
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
