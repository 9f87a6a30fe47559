//! Row-level security that is not effective.

use futures_util::FutureExt;

use super::{
    check::{Question, examine},
    kinds::Kind,
    tenants::Tenants,
};
use crate::{
    doctor::{BuiltIn, Finding},
    plain::plain,
};

/// Row-level security that is not effective.
pub(super) const CHECK: BuiltIn = BuiltIn {
    name: "rowSecurity",
    title: "Row-level security",
    reads: "the policies",
    look: |on| examine(on, "no table whose policies are without effect", QUESTIONS).boxed(),
};

const QUESTIONS: &[Question] = &[Question { find: WITHOUT_EFFECT, tell }];

fn tell(kind: &Kind, tenants: &Tenants) -> Finding {
    let table = plain(kind.part(1));
    let affected =
        kind.affected(tenants, |worst| match [worst.part(0), worst.part(1)].map(plain) {
            [_, role] if role.is_empty() => table.clone(),
            [of, role] => format!("{of}: requests run as {role}"),
        });
    let (finding, clause) = problem(kind.part(0), &table);
    let finding = finding.tenants(affected);
    let Some(clause) = clause else { return finding };
    let statements = kind.sql(tenants, |text, schema, _| {
        text.words("alter table ").of(schema, kind.part(1)).words(clause);
    });
    statements.into_iter().fold(finding, Finding::sql)
}

/// Describes a problem of a table, with the clause of `alter table` that fixes it.
fn problem(problem: &str, table: &str) -> (Finding, Option<&'static str>) {
    match problem {
        "disabled" => (
            Finding::error(
                format!("table {table} has policies, but row-level security is disabled"),
                "PostgreSQL ignores policies until row-level security is enabled: every row is visible",
            )
            .how("check which rows the policies leave visible, then enable it with a migration or in each tenant"),
            Some(" enable row level security"),
        ),
        "owner" => (
            Finding::warning(
                format!("row-level security of {table} does not apply to the role that serves requests"),
                "the role owns the table, and policies do not apply to an owner unless they are forced",
            )
            .how("force it with a migration or in each tenant, or serve requests as a role that owns nothing"),
            Some(" force row level security"),
        ),
        "bypass" => (
            Finding::warning(
                "row-level security does not apply to the role that serves requests",
                "the role is a superuser or has bypassrls: no policy applies to it",
            )
            .how("serve requests as a role with neither"),
            None,
        ),
        _ => (
            Finding::warning(
                format!("table {table} has row-level security but no policy"),
                "only its owner sees its rows",
            )
            .how("add a policy, or disable row-level security"),
            None,
        ),
    }
}

/// See [row security policies](https://www.postgresql.org/docs/current/ddl-rowsecurity.html).
const WITHOUT_EFFECT: &str = "\
    t as (select n.place, c.relname, c.relrowsecurity, c.relforcerowsecurity, c.relowner, r.rolname, r.oid as role, \
    r.rolsuper or r.rolbypassrls as bypasses, c.reltuples, \
    exists (select from pg_catalog.pg_policy y where y.polrelid operator(pg_catalog.=) c.oid) as has_policy \
    from n join pg_catalog.pg_class c on c.relnamespace operator(pg_catalog.=) n.oid and c.relkind operator(pg_catalog.=) any (array['r', 'p']::pg_catalog.\"char\"[]) \
    join pg_catalog.pg_roles r on r.oid operator(pg_catalog.=) n.serves \
    where c.relrowsecurity or exists (select from pg_catalog.pg_policy y where y.polrelid operator(pg_catalog.=) c.oid)), \
    k0 as (select t.place, t.relname, t.rolname, t.reltuples, case when not t.relrowsecurity then 'disabled' \
    when not t.has_policy then 'no policy' when t.bypasses then 'bypass' \
    when not t.relforcerowsecurity and pg_catalog.pg_has_role(t.role, t.relowner, 'usage') then 'owner' end as problem from t), \
    f as (select k0.place, array[k0.problem, case when k0.problem operator(pg_catalog.=) 'bypass' then '' else k0.relname::pg_catalog.text end] as what, \
    array[k0.relname::pg_catalog.text, case when k0.problem operator(pg_catalog.=) any (array['owner', 'bypass']) then k0.rolname::pg_catalog.text else '' end] as detail, k0.reltuples::pg_catalog.float8 as weight \
    from k0 where k0.problem is not null)";
