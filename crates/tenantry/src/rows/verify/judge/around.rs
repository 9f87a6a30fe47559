//! Objects and privileges that go around the policies.

use super::{Case, RowsFinding, RowsRule, Table, policies};
use crate::{
    finding::{Finding, Severity},
    rows::{
        tables::qualified,
        verify::facts::{Function, Grant, Part, Rewrite, View},
    },
    sql::Sql,
};

/// Privileges on tables that row security does not restrict.
const UNRESTRICTED: [&str; 3] = ["TRUNCATE", "REFERENCES", "TRIGGER"];

/// The first version whose views can run with the privileges of the session.
const SECURITY_INVOKER: i32 = 150_000;

pub(super) fn of_table(case: Case<'_>, table: &Table) -> Vec<RowsFinding> {
    let privileges = table.grants.iter().filter_map(|grant| privilege(case, table, grant));
    privileges.chain(sequence(case, table)).collect()
}

pub(super) fn judge(case: Case<'_>) -> Vec<RowsFinding> {
    let views = case.facts.views.iter().filter_map(|of| view(case, of));
    let functions = case.facts.functions.iter().filter_map(|of| definer(case, of));
    let rewrites = case.facts.rewrites.iter().filter_map(|of| rewrite(case, of));
    let parts = case.facts.parts_elsewhere.iter().filter_map(|of| part_elsewhere(case, of));
    views.chain(rewrites).chain(parts).chain(functions).chain(policies::immutable(case)).collect()
}

fn privilege(case: Case<'_>, table: &Table, grant: &Grant) -> Option<RowsFinding> {
    let too_much =
        UNRESTRICTED.into_iter().filter(|name| grant.privileges.iter().any(|has| has == name));
    let too_much: Vec<_> = too_much.collect();
    if too_much.is_empty() {
        return None;
    }
    let grantee = grant.grantee.as_deref().unwrap_or("public");
    let what = format!("{grantee} may {} on {}", too_much.join(", ").to_lowercase(), table.name);
    let why = "row security does not restrict these privileges: truncate deletes the rows of all tenants, references \
               tells which rows exist, and a trigger sees the rows of others";
    let statements = too_much.iter().map(|privilege| {
        let mut sql = Sql::new(match *privilege {
            "TRUNCATE" => "revoke truncate on ",
            "REFERENCES" => "revoke references on ",
            _ => "revoke trigger on ",
        });
        qualified(&mut sql, Some(case.schema), &table.name).text(" from ");
        match &grant.grantee {
            Some(grantee) => sql.name(grantee),
            None => sql.text("public"),
        };
        sql.as_str().to_owned()
    });
    let finding = statements.fold(Finding::error(what, why).how("revoke them"), Finding::sql);
    Some(case.of(RowsRule::Privilege, table, finding))
}

fn sequence(case: Case<'_>, table: &Table) -> Option<RowsFinding> {
    let sequence = table.sequences.first()?;
    let finding = Finding::info(
        format!("{} draws numbers from {sequence}", table.name),
        "one sequence serves all tenants, so gaps in its numbers tell how many rows the others add",
    )
    .how("use a uuid, unless that does not matter");
    Some(case.of(RowsRule::Sequence, table, finding))
}

fn view(case: Case<'_>, view: &View) -> Option<RowsFinding> {
    let name = named(case, &view.schema, &view.name);
    if case.rows.allows(&name) || (view.invoker && !view.materialized) {
        return None;
    }
    if view.materialized {
        let finding = Finding::error(
            format!("materialized view {name} reads tables of tenants"),
            "it stores what its owner saw, and has no row security: every tenant sees all of its rows",
        )
        .how("revoke all privileges on it, or list it with Rows::allow");
        return Some(RowsFinding::new(RowsRule::MaterializedView, &name, finding));
    }
    let finding = Finding::error(
        format!("view {name} reads tables of tenants with the privileges of its owner"),
        "policies apply to the owner of a view, not to the session that reads it",
    );
    let finding = match case.facts.version >= SECURITY_INVOKER {
        true => {
            let mut sql = Sql::new("alter view ");
            quoted(&mut sql, &view.schema, &view.name).text(" set ").text("(security_invoker)");
            finding.how("set security_invoker").sql(sql.as_str())
        }
        false => finding.how(
            "revoke all privileges on it (before PostgreSQL 15, no view runs with the privileges of the session), or \
             list it with Rows::allow",
        ),
    };
    let finding = unless_escaping(finding, view.owner_escapes);
    Some(RowsFinding::new(RowsRule::View, &name, finding))
}

/// Reports a partition in another schema, to which only its own policies apply.
fn part_elsewhere(case: Case<'_>, part: &Part) -> Option<RowsFinding> {
    let name = named(case, &part.schema, &part.name);
    if case.rows.allows(&name) {
        return None;
    }
    let finding = Finding::error(
        format!("partition {name} is granted and has no restrictive policy"),
        "the policies of the partitioned table do not apply to a statement that names the partition",
    );
    let mut sql = Sql::new("revoke all on ");
    quoted(&mut sql, &part.schema, &part.name).text(" from ").text("public");
    if let Some(role) = case.rows.sessions_role() {
        sql.text(", ").ident(role);
    }
    let how = "revoke all privileges on the partition, or give it the same policies";
    Some(RowsFinding::new(RowsRule::Partition, &name, finding.how(how).sql(sql.as_str())))
}

/// Reports a rule other than that of a view's query: `security_invoker` does not apply to it.
fn rewrite(case: Case<'_>, rule: &Rewrite) -> Option<RowsFinding> {
    let table = named(case, &rule.schema, &rule.table);
    if case.rows.allows(&rule.name) || case.rows.allows(&table) {
        return None;
    }
    let finding = Finding::error(
        format!(
            "rule {} of {table} uses tables of tenants with the privileges of its owner",
            rule.name
        ),
        "policies apply to the owner of a rule, not to the session that writes to its table or view",
    );
    let mut sql = Sql::new("drop rule ");
    sql.name(&rule.name).text(" on ");
    quoted(&mut sql, &rule.schema, &rule.table);
    let finding =
        finding.how("replace the rule by a trigger, or list it with Rows::allow").sql(sql.as_str());
    Some(RowsFinding::new(RowsRule::View, &rule.name, unless_escaping(finding, rule.owner_escapes)))
}

fn definer(case: Case<'_>, function: &Function) -> Option<RowsFinding> {
    let name = named(case, &function.schema, &function.name);
    if case.rows.allows(&name) {
        return None;
    }
    let finding = Finding::error(
        format!("function {} runs with the privileges of its owner", function.signature),
        "policies apply to the owner of a security definer function, not to the session that calls it",
    )
    .how(
        "revoke execute on it unless a trigger or an aggregate calls it, declare it security invoker, or list it with \
         Rows::allow if it reads no tenant's rows",
    )
    .sql(format!("alter routine {} security invoker", function.signature));
    let finding = unless_escaping(finding, function.owner_escapes);
    Some(RowsFinding::new(RowsRule::DefinerFunction, &name, finding))
}

/// Makes a finding a warning while policies apply to the owner.
fn unless_escaping(mut finding: Finding, escapes: bool) -> Finding {
    if !escapes {
        finding.severity = Severity::Warning;
        finding.why.push_str("; these apply to this owner now, because they are forced");
    }
    finding
}

/// Returns the name as [`Rows::allow`](crate::Rows::allow) expects it.
fn named(case: Case<'_>, schema: &str, name: &str) -> String {
    match schema == case.schema.as_str() {
        true => name.to_owned(),
        false => format!("{schema}.{name}"),
    }
}

fn quoted<'s>(sql: &'s mut Sql, schema: &str, name: &str) -> &'s mut Sql {
    sql.name(schema).text(".").name(name)
}
