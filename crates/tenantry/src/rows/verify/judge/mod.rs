//! Decides what is wrong with the tables that hold the rows of all tenants.

mod around;
mod column;
mod keys;
mod policies;
mod retired;
mod roles;

use super::{
    RowsFinding, RowsRule,
    facts::{Facts, Table},
};
use crate::{
    finding::Finding,
    pool::RetiredTable,
    sql::Sql,
    tenant::{Ident, Rows},
};

/// What is judged.
#[derive(Clone, Copy)]
pub(super) struct Case<'a> {
    pub(super) rows: &'a Rows,
    /// The schema of the tables.
    pub(super) schema: &'a Ident,
    pub(super) facts: &'a Facts,
    /// Tables to which the server applies no policy for the role of tenants' sessions.
    pub(super) unfiltered: &'a [String],
    /// The table of keys that were given up.
    pub(super) retired_keys: &'a RetiredTable,
}

/// Returns all findings, errors first.
pub(super) fn judge(case: Case<'_>) -> Vec<RowsFinding> {
    let facts = case.facts;
    let mut found = roles::judge(case);
    for table in &facts.tables {
        match &table.column {
            None if is_librarys(&table.name) => {}
            None => found.push(column::missing(case, table)),
            Some(_) if table.is_ungranted_partition() => {}
            Some(_) if table.kind == "f" => found.push(policies::foreign(case, table)),
            Some(column) => {
                found.extend(column::judge(case, table, column));
                found.extend(policies::judge(case, table));
                found.extend(keys::judge(case, table));
                found.extend(around::of_table(case, table));
            }
        }
    }
    found.extend(facts.foreign_keys.iter().filter_map(|key| keys::foreign_key(case, key)));
    found.extend(around::judge(case));
    found.extend(retired::judge(case));
    found.extend(unexplained(case, &found));
    found.sort_by(|one, other| {
        let rank = |of: &RowsFinding| (std::cmp::Reverse(of.finding.severity), of.rule);
        rank(one).cmp(&rank(other)).then_with(|| one.object.cmp(&other.object))
    });
    found
}

/// Returns the tables to which the server applies no policy although nothing that was found
/// explains it.
fn unexplained(case: Case<'_>, found: &[RowsFinding]) -> Vec<RowsFinding> {
    let of_role =
        found.iter().any(|found| matches!(found.rule, RowsRule::Role | RowsRule::Configuration));
    let explained = |name: &str| {
        of_role
            || found.iter().any(|found| {
                let rules = [RowsRule::RowSecurity, RowsRule::Partition];
                rules.contains(&found.rule) && found.object == name
            })
    };
    let unfiltered = case.unfiltered.iter().filter(|name| !explained(name));
    unfiltered.map(|name| {
        let finding = Finding::error(
            format!("the server applies no policy of {name} to the sessions of tenants"),
            "every tenant sees the rows of all others",
        );
        let how = "as that role, select row_security_active for the table, and compare its owner and the role";
        RowsFinding::new(RowsRule::Active, name, finding.how(how))
    }).collect()
}

impl Table {
    /// Returns `true` for a partition that no session of a tenant can name: the policies of the
    /// partitioned table apply to it.
    pub(super) fn is_ungranted_partition(&self) -> bool {
        self.is_partition && self.grants.is_empty() && !self.reached
    }
}

/// Returns `true` for tables of the library and of sqlx.
fn is_librarys(name: &str) -> bool {
    name == "_sqlx_migrations" || name.starts_with("tenantry_") || name.starts_with("_tenantry_")
}

impl Case<'_> {
    /// Returns a finding about a table.
    fn of(self, rule: RowsRule, table: &Table, finding: Finding) -> RowsFinding {
        RowsFinding::new(rule, &table.name, finding)
    }

    /// Returns `alter table` with an action.
    fn alter(self, table: &Table, action: &'static str) -> String {
        let mut sql = Sql::new("alter table ");
        sql.ident(self.schema).text(".").name(&table.name).text(" ").text(action);
        sql.as_str().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whatever the catalogs say: what the server does not filter is reported.
    #[test]
    fn a_table_that_the_server_does_not_filter_is_reported_unless_it_is_explained() {
        let schema = Ident::parse("public").unwrap();
        let unfiltered = ["users".to_owned()];
        let mut facts = Facts { schema_exists: true, ..Facts::default() };
        let rules = |facts: &Facts| {
            let case = Case {
                rows: &Rows::new(),
                schema: &schema,
                facts,
                unfiltered: &unfiltered,
                retired_keys: &RetiredTable::Missing,
            };
            judge(case).iter().map(|found| found.rule).collect::<Vec<_>>()
        };
        assert_eq!(rules(&facts), [RowsRule::Active]);
        facts.roles.push(super::super::facts::Role { superuser: true, ..Default::default() });
        assert_eq!(rules(&facts), [RowsRule::Role]);
    }
}
