//! Excessive and missing privileges of tenants' roles.

use super::{check::Question, kinds::Kind, tenants::Tenants};
use crate::{doctor::Finding, plain::plain};

pub(super) const QUESTIONS: &[Question] = &[
    Question { find: REACHES, tell: tell_reaches },
    Question { find: OWNERS, tell: tell_owner },
    Question { find: OWNED_BY_OTHERS, tell: tell_owned_by_other },
    Question { find: UNREADABLE, tell: tell_unreadable },
];

fn tell_reaches(kind: &Kind, tenants: &Tenants) -> Finding {
    let affected = kind.affected(tenants, |worst| {
        let [role, others, one] = [0, 1, 2].map(|at| plain(worst.part(at)));
        match others.as_str() {
            "1" => format!("role {role}: the schema {one}"),
            _ => format!("role {role}: {others} schemas, such as {one}"),
        }
    });
    match kind.part(0) {
        "superuser" => Finding::error(
            "the role of a tenant is a superuser or bypasses row-level security",
            "it may read and change every tenant's data: the role separates nothing",
        )
        .how("give the tenant a role without these attributes"),
        "shared" => Finding::info(
            "tenants share a role",
            "between these tenants, only the search path separates data: SQL that names another one's schema is not refused",
        )
        .how("give each tenant a role of its own where the server should refuse that"),
        _ => Finding::error(
            "the role of a tenant may use the schemas of others",
            "SQL that names such a schema reads or changes another tenant's data",
        )
        .how("revoke its usage of the schema, or its membership in the role that has it"),
    }
    .tenants(affected)
}

fn tell_owner(kind: &Kind, tenants: &Tenants) -> Finding {
    let [owner, usual] = [0, 1].map(|at| plain(kind.part(at)));
    let usual = if usual.is_empty() { "the tenant's own role".to_owned() } else { usual };
    let finding = Finding::warning(
        format!("objects belong to {owner}, and most others to {usual}"),
        "only an owner may alter a table: a migration fails there, and default privileges of the usual owner do not apply",
    );
    finding.how("change the owner with alter … owner to").tenants(kind.affected(tenants, |worst| {
        let (name, times) = (plain(worst.part(0)), worst.times);
        if times == 1 { name } else { format!("{name} and {} more", times - 1) }
    }))
}

fn tell_owned_by_other(kind: &Kind, tenants: &Tenants) -> Finding {
    Finding::error(
        "objects belong to the role of another tenant",
        "an owner may read, change and drop an object whatever is granted, as soon as it may use the schema",
    )
    .how("change the owner with alter … owner to")
    .tenants(kind.affected(tenants, |worst| {
        format!("{} belongs to the role of {}", plain(worst.part(0)), other(tenants, worst.part(1)))
    }))
}

fn other(tenants: &Tenants, place: &str) -> String {
    let place = place.parse::<usize>().ok().and_then(|place| tenants.at(place.wrapping_sub(1)));
    place.map_or_else(|| "another tenant".to_owned(), |tenant| tenant.id.to_string())
}

fn tell_unreadable(kind: &Kind, tenants: &Tenants) -> Finding {
    if kind.part(0).is_empty() {
        return tell_unusable(kind, tenants);
    }
    let (table, most) = (plain(kind.part(0)), kind.affected * 2 > tenants.len());
    let what = format!("the role that serves requests may not read {table}");
    let affected =
        kind.affected(tenants, |worst| format!("{table}: role {}", plain(worst.part(0))));
    // What most tenants lack is probably intentional.
    if most && kind.affected > 1 {
        return Finding::info(what, "statements on it fail with 42501").tenants(affected);
    }
    let statements = kind.sql(tenants, |sql, schema, worst| {
        sql.words("grant select on ").of(schema, kind.part(0)).words(" to ").name(worst.part(0));
    });
    let finding = Finding::warning(
        what,
        "statements on it fail with 42501, and not in the other tenants",
    )
    .how("grant what the role needs; migrating grants it where the role has no rights at all")
    .tenants(affected);
    statements.into_iter().fold(finding, Finding::sql)
}

fn tell_unusable(kind: &Kind, tenants: &Tenants) -> Finding {
    let statements = kind.sql(tenants, |sql, schema, worst| {
        sql.words("grant usage on schema ").name(schema.as_str()).words(" to ").name(worst.part(0));
    });
    let finding = Finding::error(
        "the role that serves requests may not use the schema",
        "every statement of these tenants fails: names without a schema are not found",
    )
    .how("grant usage; migrating grants it where the role has no rights at all")
    .tenants(kind.affected(tenants, |worst| format!("role {}", plain(worst.part(0)))));
    statements.into_iter().fold(finding, Finding::sql)
}

/// Privileges that the roles of tenants have through attributes and memberships. It makes no difference whether a
/// member inherits them or has to set the role.
const REACHES: &str = "\
    t as (select n.role, pg_catalog.count(*) as tenants, pg_catalog.min(n.name::pg_catalog.text) as first, pg_catalog.max(n.name::pg_catalog.text) as last from n \
    where n.role is not null and n.role operator(pg_catalog.<>) (select i.oid from pg_catalog.pg_roles i where i.rolname operator(pg_catalog.=) session_user) group by n.role), \
    m as (select t.role, t.role as of from t \
    union select m.role, a.roleid from m join pg_catalog.pg_auth_members a on a.member operator(pg_catalog.=) m.of \
    and coalesce((pg_catalog.to_jsonb(a) operator(pg_catalog.->>) 'inherit_option')::pg_catalog.bool or (pg_catalog.to_jsonb(a) operator(pg_catalog.->>) 'set_option')::pg_catalog.bool, true)), \
    w as (select n.place, n.role, n.name, x.grantee as of from n cross join lateral pg_catalog.aclexplode(n.acl) as x \
    where x.grantee operator(pg_catalog.<>) 0::pg_catalog.oid \
    union select n.place, n.role, n.name, n.owner from n), \
    b as (select m.role, pg_catalog.count(distinct w.place) as others, pg_catalog.min(w.name::pg_catalog.text) as one from m join w on w.of operator(pg_catalog.=) m.of \
    where w.role is null or w.role operator(pg_catalog.<>) m.role group by m.role), \
    s as (select t.role, i.rolname, i.rolsuper or i.rolbypassrls as above, t.tenants, t.first, t.last from t join pg_catalog.pg_roles i on i.oid operator(pg_catalog.=) t.role), \
    f as (select n.place, array[case when s.above then 'superuser' when b.others operator(pg_catalog.>) 0::pg_catalog.int8 then 'reaches' else 'shared' end] as what, \
    array[s.rolname::pg_catalog.text, coalesce(b.others, s.tenants operator(pg_catalog.-) 1::pg_catalog.int8)::pg_catalog.text, \
    coalesce(b.one, case when s.first operator(pg_catalog.=) n.name::pg_catalog.text then s.last else s.first end)] as detail, \
    coalesce(b.others, s.tenants)::pg_catalog.float8 as weight \
    from n join s on s.role operator(pg_catalog.=) n.role left join b on b.role operator(pg_catalog.=) n.role \
    where s.above or b.others operator(pg_catalog.>) 0::pg_catalog.int8 or s.tenants operator(pg_catalog.>) 1::pg_catalog.int8)";

/// Relations whose owner differs from the owner of more than half of all relations. A tenant's own role counts as the
/// same in all.
const OWNERS: &str = "\
    t as materialized (select n.place, c.relname, case when c.relowner operator(pg_catalog.=) n.role then 0::pg_catalog.oid else c.relowner end as owner \
    from n join pg_catalog.pg_class c on c.relnamespace operator(pg_catalog.=) n.oid and c.relkind operator(pg_catalog.=) any (array['r', 'p', 'v', 'm', 'f', 'S']::pg_catalog.\"char\"[]) \
    union all select n.place, 'the schema', case when n.owner operator(pg_catalog.=) n.role then 0::pg_catalog.oid else n.owner end from n), \
    u as (select t.owner, pg_catalog.count(*) as relations, pg_catalog.sum(pg_catalog.count(*)) over () as all_relations from t group by t.owner order by 2 desc limit 1), \
    f as (select t.place, array[coalesce(pg_catalog.pg_get_userbyid(t.owner)::pg_catalog.text, ''), case when u.owner operator(pg_catalog.=) 0::pg_catalog.oid then '' else pg_catalog.pg_get_userbyid(u.owner)::pg_catalog.text end] as what, \
    array[t.relname::pg_catalog.text] as detail, 0::pg_catalog.float8 as weight \
    from t join u on t.owner operator(pg_catalog.<>) u.owner and (u.relations operator(pg_catalog.*) 2::pg_catalog.int8)::pg_catalog.numeric operator(pg_catalog.>) u.all_relations \
    where t.owner operator(pg_catalog.<>) 0::pg_catalog.oid)";

/// Relations and schemas owned by the role of another tenant.
const OWNED_BY_OTHERS: &str = "\
    t as (select n.role, pg_catalog.min(n.place) as place from n where n.role is not null group by n.role having pg_catalog.count(*) operator(pg_catalog.=) 1::pg_catalog.int8), \
    f as (select n.place, array['owned'] as what, array[c.relname::pg_catalog.text, t.place::pg_catalog.text] as detail, 0::pg_catalog.float8 as weight \
    from n join pg_catalog.pg_class c on c.relnamespace operator(pg_catalog.=) n.oid and c.relkind operator(pg_catalog.=) any (array['r', 'p', 'v', 'm', 'f', 'S']::pg_catalog.\"char\"[]) \
    join t on t.role operator(pg_catalog.=) c.relowner and t.place operator(pg_catalog.<>) n.place \
    union all select n.place, array['owned'], array['the schema', t.place::pg_catalog.text], 1::pg_catalog.float8 from n join t on t.role operator(pg_catalog.=) n.owner and t.place operator(pg_catalog.<>) n.place)";

/// Only the maintenance role can read its tables.
const UNREADABLE: &str = "\
    f as (select n.place, array[c.relname::pg_catalog.text] as what, array[r.rolname::pg_catalog.text] as detail, c.reltuples::pg_catalog.float8 as weight \
    from n join pg_catalog.pg_class c on c.relnamespace operator(pg_catalog.=) n.oid and c.relkind operator(pg_catalog.=) any (array['r', 'p', 'v', 'm', 'f']::pg_catalog.\"char\"[]) \
    and not c.relispartition \
    and c.relname operator(pg_catalog.<>) all (array['_sqlx_migrations', '_tenantry_seeds', 'tenantry_retired', 'tenantry_migrated', 'tenantry_budget', 'tenantry_moves', 'tenantry_movers', 'tenantry_markers']::pg_catalog.name[]) \
    join pg_catalog.pg_roles r on r.oid operator(pg_catalog.=) n.serves \
    where pg_catalog.has_schema_privilege(n.serves, n.oid, 'usage') \
    and not pg_catalog.has_table_privilege(n.serves, c.oid, 'select') and not pg_catalog.has_any_column_privilege(n.serves, c.oid, 'select') \
    union all select n.place, array[''], array[r.rolname::pg_catalog.text], 0::pg_catalog.float8 from n join pg_catalog.pg_roles r on r.oid operator(pg_catalog.=) n.serves \
    where not pg_catalog.has_schema_privilege(n.serves, n.oid, 'usage'))";
