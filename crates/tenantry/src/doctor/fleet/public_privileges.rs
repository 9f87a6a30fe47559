//! Privileges of every role in the tenants' schemas.

use super::{check::Question, kinds::Kind, tenants::Tenants};
use crate::{doctor::Finding, plain::plain};

pub(super) const QUESTIONS: &[Question] = &[
    Question { find: PUBLIC_SCHEMA, tell: tell_public_schema },
    Question { find: PUBLIC_TABLE, tell: tell_public_table },
    Question { find: PUBLIC_DEFAULT, tell: tell_public_default },
];

fn tell_public_schema(kind: &Kind, tenants: &Tenants) -> Finding {
    let affected = kind.affected(tenants, |_| kind.part(0).to_lowercase());
    let finding = match kind.part(0) {
        "CREATE" => Finding::error(
            "every role may create objects in the schema",
            "a role of another tenant can plant a table or function there that this tenant's statements use",
        ),
        _ => Finding::warning(
            "every role may use the schema",
            "the names in it are open to every role, and so are functions and whatever is granted to public",
        ),
    };
    let statements = kind.sql(tenants, |sql, schema, _| {
        sql.words(if kind.part(0) == "CREATE" {
            "revoke create on schema "
        } else {
            "revoke usage on schema "
        });
        sql.name(schema.as_str()).words(" from public");
    });
    let how = "revoke it, after granting it to the roles that need it";
    statements.into_iter().fold(finding.how(how).tenants(affected), Finding::sql)
}

fn tell_public_table(kind: &Kind, tenants: &Tenants) -> Finding {
    let (table, privileges) = (plain(kind.part(0)), kind.part(1).to_lowercase());
    let finding = Finding::warning(
        format!("every role has {privileges} on {table}"),
        "only the schema's own privileges keep other tenants' roles away from it",
    );
    let statements = kind.sql(tenants, |sql, schema, _| {
        sql.words(if kind.part(2) == "S" {
            "revoke all on sequence "
        } else {
            "revoke all on table "
        });
        sql.of(schema, kind.part(0)).words(" from public");
    });
    let finding = finding
        .how("revoke it, after granting it to the roles that need it")
        .tenants(kind.affected(tenants, |_| format!("{table}: {privileges}")));
    statements.into_iter().fold(finding, Finding::sql)
}

fn tell_public_default(kind: &Kind, tenants: &Tenants) -> Finding {
    let (owner, objects) = (plain(kind.part(0)), kind.part(1));
    let finding = Finding::warning(
        format!("default privileges give every role rights on {objects} that {owner} creates"),
        "each new one is open to the roles of other tenants",
    );
    let statements = kind.sql(tenants, |sql, schema, worst| {
        sql.words("alter default privileges for role ").name(kind.part(0));
        if worst.part(0) == "schema" {
            sql.words(" in schema ").name(schema.as_str());
        }
        sql.words(if objects == "sequences" {
            " revoke all on sequences from public"
        } else {
            " revoke all on tables from public"
        });
    });
    let finding =
        finding.how("revoke it").tenants(kind.affected(tenants, |worst| match worst.part(0) {
            "schema" => format!("in its schema, for {objects}"),
            _ => format!("in every schema, for {objects}"),
        }));
    let mut statements: Vec<_> = statements;
    statements.dedup();
    statements.into_iter().fold(finding, Finding::sql)
}

/// Every database is created with a schema `public` that every role may use: if one tenant is in the database, who may
/// connect decides about it.
const PUBLIC_SCHEMA: &str = "\
    f as (select n.place, array[x.privilege_type] as what, array[]::pg_catalog.text[] as detail, 0::pg_catalog.float8 as weight \
    from n cross join lateral pg_catalog.aclexplode(n.acl) as x where x.grantee operator(pg_catalog.=) 0::pg_catalog.oid \
    and not (n.name operator(pg_catalog.=) 'public' and x.privilege_type operator(pg_catalog.=) 'USAGE' \
    and (select pg_catalog.count(*) from n) operator(pg_catalog.=) 1))";

const PUBLIC_TABLE: &str = "\
    f as (select n.place, array[c.relname::pg_catalog.text, pg_catalog.string_agg(x.privilege_type, ', ' order by x.privilege_type), case when c.relkind operator(pg_catalog.=) 'S'::pg_catalog.\"char\" then 'S' else '' end] as what, \
    array[]::pg_catalog.text[] as detail, 0::pg_catalog.float8 as weight \
    from n join pg_catalog.pg_class c on c.relnamespace operator(pg_catalog.=) n.oid and c.relacl is not null and c.relkind operator(pg_catalog.=) any (array['r', 'p', 'v', 'm', 'f', 'S']::pg_catalog.\"char\"[]) \
    cross join lateral pg_catalog.aclexplode(c.relacl) as x where x.grantee operator(pg_catalog.=) 0::pg_catalog.oid \
    group by n.place, c.oid, c.relname, c.relkind)";

/// Default privileges of the roles that own objects in the tenant's schema. By default, every role can execute
/// functions and use types.
const PUBLIC_DEFAULT: &str = "\
    p as materialized (select distinct a.defaclnamespace as schema, a.defaclrole as role, a.defaclobjtype as kind \
    from pg_catalog.pg_default_acl a cross join lateral pg_catalog.aclexplode(a.defaclacl) as x \
    where x.grantee operator(pg_catalog.=) 0::pg_catalog.oid and a.defaclobjtype operator(pg_catalog.=) any (array['r', 'S']::pg_catalog.\"char\"[])), \
    q as (select n.place, p.role, p.kind, 'schema' as within from p join n on n.oid operator(pg_catalog.=) p.schema \
    union all select n.place, p.role, p.kind, '' from p join n on n.owner operator(pg_catalog.=) p.role where p.schema operator(pg_catalog.=) 0::pg_catalog.oid), \
    f as (select q.place, array[w.rolname::pg_catalog.text, case when q.kind operator(pg_catalog.=) 'S'::pg_catalog.\"char\" then 'sequences' else 'tables' end] as what, \
    array[q.within] as detail, 0::pg_catalog.float8 as weight \
    from q join pg_catalog.pg_roles w on w.oid operator(pg_catalog.=) q.role)";
