//! Keys and indexes of a table.

use super::{Case, RowsFinding, RowsRule, Table};
use crate::{
    finding::Finding,
    rows::verify::facts::{ForeignKey, Index},
};

pub(super) fn judge(case: Case<'_>, table: &Table) -> Vec<RowsFinding> {
    let mut found: Vec<_> =
        table.indexes.iter().filter_map(|index| of_index(case, table, index)).collect();
    if !table.is_partition && !table.indexes.iter().any(|index| index.leads) {
        let finding = Finding::warning(
            format!("no index of {} leads with {}", table.name, case.rows.key_column()),
            "a statement of a tenant reads the rows of all others to skip them",
        );
        let how =
            "put the tenant column first in the primary key, or create an index on it concurrently";
        found.push(case.of(RowsRule::Index, table, finding.how(how)));
    }
    found
}

fn of_index(case: Case<'_>, table: &Table, index: &Index) -> Option<RowsFinding> {
    let (name, column) = (format!("{} of {}", index.name, table.name), case.rows.key_column());
    let (rule, finding) = match index {
        Index { unique: true, has_column: false, .. } if !case.rows.allows(&index.name) => (
            RowsRule::UniqueIndex,
            Finding::error(
                format!("unique index {name} does not contain {column}"),
                "error 23505 tells a tenant that another one has the value, and an upsert meets a row that it cannot see",
            )
            .how(format!("make {column} its first column, or list it with Rows::allow")),
        ),
        Index { unique: true, has_column: false, .. } => return None,
        Index { leads: false, method, .. } if method == "btree" => (
            RowsRule::Index,
            Finding::warning(
                format!("index {name} does not lead with {column}"),
                "a statement of a tenant reads the entries of all others",
            )
            .how(format!("make {column} its first column")),
        ),
        Index { leaky: true, .. } => (
            RowsRule::LeakproofIndex,
            Finding::info(
                format!("index {name} is for conditions that are not leakproof"),
                "PostgreSQL applies the policy before such a condition, so the index finds the tenant's rows and the \
                 condition filters them one by one",
            )
            .how("isolate a tenant with many rows in a schema of its own, if such queries matter"),
        ),
        _ => return None,
    };
    Some(RowsFinding::new(rule, &index.name, finding))
}

/// Reports a foreign key that can refer to the row of another tenant.
pub(super) fn foreign_key(case: Case<'_>, key: &ForeignKey) -> Option<RowsFinding> {
    let ForeignKey { name, table, parent, paired } = key;
    if *paired || case.rows.allows(name) {
        return None;
    }
    let column = case.rows.key_column();
    let finding = Finding::error(
        format!("foreign key {name} from {table} to {parent} does not contain {column}"),
        "foreign keys are not subject to policies: a row can refer to another tenant's, and error 23503 tells which \
         ones exist",
    )
    .how(format!("reference {parent} ({column}, …) with the tenant column of {table}, or list it with Rows::allow"));
    Some(RowsFinding::new(RowsRule::ForeignKey, name, finding))
}
