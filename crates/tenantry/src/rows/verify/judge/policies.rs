//! The policies of a table.

use super::{Case, RowsFinding, RowsRule, Table, column::key};
use crate::{
    finding::Finding,
    rows::{
        tables::{TENANT_POLICY, create_open_policy, create_tenant_policy, qualified},
        verify::{
            facts::{Function, Policy},
            normal::normal,
        },
    },
    sql::Sql,
    tenant::Rows,
};

pub(super) fn judge(case: Case<'_>, table: &Table) -> Vec<RowsFinding> {
    if table.is_partition && (!table.row_security || table.policies.is_empty()) {
        return vec![partition(case, table)];
    }
    let enabled = enabled(case, table).into_iter();
    enabled.chain(of_tenant(case, table)).chain(open(case, table)).collect()
}

/// Reports a foreign table.
pub(super) fn foreign(case: Case<'_>, table: &Table) -> RowsFinding {
    let finding = Finding::error(
        format!("{} is a foreign table", table.name),
        "PostgreSQL has no row security for foreign tables: every tenant sees all of its rows",
    );
    let how = "revoke all privileges on it, and let tenants use a table of this database";
    case.of(RowsRule::RowSecurity, table, finding.how(how))
}

fn partition(case: Case<'_>, table: &Table) -> RowsFinding {
    let finding = Finding::error(
        format!("partition {} is granted and has no policies", table.name),
        "the policies of the partitioned table do not apply to a statement that names the partition",
    )
    .how("revoke all privileges on the partition, or give it the same policies");
    let grants = table.grants.iter().map(|grant| {
        let mut sql = Sql::new("revoke all on ");
        qualified(&mut sql, Some(case.schema), &table.name).text(" from ");
        match &grant.grantee {
            Some(grantee) => sql.name(grantee),
            None => sql.text("public"),
        };
        sql.as_str().to_owned()
    });
    case.of(RowsRule::Partition, table, grants.fold(finding, Finding::sql))
}

fn enabled(case: Case<'_>, table: &Table) -> Option<RowsFinding> {
    let name = &table.name;
    let (rule, what, why, action) = match (table.row_security, table.forced) {
        (true, true) => return None,
        (false, _) => (
            RowsRule::RowSecurity,
            format!("row security of {name} is disabled"),
            "PostgreSQL ignores the policies: every tenant sees all rows",
            "enable row level security, force row level security",
        ),
        (true, false) => (
            RowsRule::ForceRowSecurity,
            format!("row security of {name} is not forced"),
            "policies do not apply to the owner of the table, nor to views and functions that run with its privileges",
            "force row level security",
        ),
    };
    let finding =
        Finding::error(what, why).how("enable and force it").sql(case.alter(table, action));
    Some(case.of(rule, table, finding))
}

/// Reports if no policy confines statements to the rows of one tenant.
fn of_tenant(case: Case<'_>, table: &Table) -> Vec<RowsFinding> {
    let forms: Vec<_> = case.forms().collect();
    let is_good = |policy: &&Policy| policy.flaw(&forms).is_none();
    let Some(policy) = table.policies.iter().find(is_good) else {
        return vec![unconfined(case, table, &forms)];
    };
    let using = policy.using.as_deref().map(normal).unwrap_or_default();
    let form = forms.iter().find(|form| form.text == using);
    let Some(form) = form else { return Vec::new() };
    let bare = (!form.read_once).then(|| planned_for_one(case, table, policy));
    let functions = case.facts.policy_functions.iter();
    let called = functions.filter(|function| form.function == Some(&*function.printed));
    bare.into_iter().chain(called.filter_map(|function| slow(case, table, function))).collect()
}

fn unconfined(case: Case<'_>, table: &Table, forms: &[Form<'_>]) -> RowsFinding {
    let name = &table.name;
    let named = |policy: &&Policy| policy.name == TENANT_POLICY;
    let closest = table.policies.iter().find(named);
    let closest = closest.or_else(|| table.policies.iter().find(|policy| !policy.permissive));
    let what = match closest.and_then(|policy| Some((policy, policy.flaw(forms)?))) {
        None if table.policies.is_empty() => format!("table {name} has no policies"),
        None => format!("table {name} has no restrictive policy"),
        Some((policy, flaw)) => format!("policy {} of {name} {flaw}", policy.name),
    };
    let why = "permissive policies add up, so only a restrictive one for all commands and roles, which compares the \
               tenant column with the key of the session, keeps tenants apart";
    let finding = Finding::error(what, why).how("create the policy, in place of one of that name");
    let mut drop = Sql::new("drop policy if exists ");
    drop.text(TENANT_POLICY).text(" on ");
    qualified(&mut drop, Some(case.schema), name);
    let mut create = Sql::default();
    create_tenant_policy(&mut create, case.rows, Some(case.schema), name);
    let finding = finding.sql(drop.as_str()).sql(create.as_str());
    case.of(RowsRule::TenantPolicy, table, finding)
}

fn planned_for_one(case: Case<'_>, table: &Table, policy: &Policy) -> RowsFinding {
    let finding = Finding::warning(
        format!(
            "policy {} of {} compares with the key outside of a sub-select",
            policy.name, table.name
        ),
        "a prepared statement is kept from one tenant to the next, with a plan for the first one's number of rows",
    );
    case.of(
        RowsRule::PolicyPlan,
        table,
        finding.how("write column = (select …) in its using clause"),
    )
}

/// Reports if no policy lets anybody see a row.
fn open(case: Case<'_>, table: &Table) -> Option<RowsFinding> {
    if !table.row_security || table.policies.iter().any(|policy| policy.permissive) {
        return None;
    }
    let finding = Finding::warning(
        format!("table {} has no permissive policy", table.name),
        "restrictive policies only narrow what permissive ones allow: no role sees a row",
    );
    let mut sql = Sql::default();
    create_open_policy(&mut sql, Some(case.schema), &table.name);
    let finding = finding.how("create a permissive policy").sql(sql.as_str());
    Some(case.of(RowsRule::OpenPolicy, table, finding))
}

/// Reports a function that the server cannot write into the plan in place of its call.
fn slow(case: Case<'_>, table: &Table, function: &Function) -> Option<RowsFinding> {
    if function.volatility == "i" || (function.volatility == "s" && function.language == "sql") {
        return None;
    }
    let what =
        format!("the policy of {} calls {}, which is not inlined", table.name, function.signature);
    let finding = Finding::warning(what, "it is called for every row that is read")
        .how("write it in SQL, and declare it stable");
    Some(case.of(RowsRule::PolicyFunction, table, finding))
}

/// Reports functions that are evaluated when a statement is planned.
pub(super) fn immutable(case: Case<'_>) -> impl Iterator<Item = RowsFinding> {
    let functions = case.facts.policy_functions.iter();
    let wrong = functions.filter(|function| {
        let reads = ["current_setting", "current_user", "session_user"];
        let reads = || reads.iter().any(|word| function.body.to_lowercase().contains(word));
        function.volatility == "i" && (function.arguments == 0 || reads())
    });
    wrong.map(|function| {
        let finding = Finding::error(
            format!("{}, which a policy calls, is declared immutable", function.signature),
            "it is evaluated when a statement is prepared, so the statement shows the rows of that tenant to the next one",
        );
        let sql = format!("alter function {} stable", function.signature);
        let finding = finding.how("declare it stable").sql(sql);
        RowsFinding::new(RowsRule::PolicyFunction, &function.signature, finding)
    })
}

/// A way to write the condition of the policy.
struct Form<'a> {
    text: String,
    read_once: bool,
    /// The function that returns the key, as the server prints it.
    function: Option<&'a str>,
}

impl<'a> Case<'a> {
    /// Returns all ways to write the condition: with the key itself, or a function that returns it,
    /// each also in a sub-select.
    fn forms(self) -> impl Iterator<Item = Form<'a>> {
        let functions = self.facts.policy_functions.iter();
        let functions = functions.filter(move |function| function.returns_key(self.rows));
        let calls = functions.map(|function| (normal(&function.printed), Some(&*function.printed)));
        let values = std::iter::once((key(self.rows), None)).chain(calls);
        let column = normal(&self.rows.key_column().quoted().to_string());
        values.flat_map(move |(value, function)| {
            [("", false), ("select ", true)].map(|(before, read_once)| {
                let text = format!("{column} = {before}{value}");
                Form { text, read_once, function }
            })
        })
    }
}

impl Function {
    /// Returns `true` if its body is the key of the session.
    pub(super) fn returns_key(&self, rows: &Rows) -> bool {
        let (key, body) = (key(rows), normal(&self.body));
        let forms = ["select {}", "return {}", "begin atomic select {} end", "begin return {} end"];
        self.arguments == 0 && forms.iter().any(|form| body == form.replace("{}", &key))
    }
}

impl Policy {
    /// Returns why it does not confine statements to the rows of one tenant.
    fn flaw(&self, forms: &[Form<'_>]) -> Option<&'static str> {
        let compares = |expression: &str| {
            let expression = normal(expression);
            forms.iter().any(|form| form.text == expression)
        };
        match () {
            () if self.permissive => Some("is permissive"),
            () if self.command != "*" => Some("is not for all commands"),
            () if !self.public => Some("is not for all roles"),
            () if !self.using.as_deref().is_some_and(compares) => {
                Some("does not compare the tenant column with the key of the session")
            }
            // Without one, the condition above applies to new rows, too.
            () if !self.check.as_deref().is_none_or(compares) => {
                Some("lets sessions write the rows of other tenants")
            }
            () => None,
        }
    }
}
