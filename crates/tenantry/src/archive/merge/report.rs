//! The result of a merge.

use std::{fmt, time::Duration};

use serde::Serialize;

use crate::{event::serialize_millis, plain::plain, table::Table, tenant::TenantId};

/// The result of a [merge](crate::archive::Archiver::merge).
///
/// `Display` writes a table.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct MergeReport {
    /// The tenant whose rows were read.
    pub from: TenantId,
    /// The tenant whose rows were changed.
    pub into: TenantId,
    /// Nothing was kept.
    pub dry_run: bool,
    /// The tables that were chosen, and those that triggers and foreign keys have changed.
    pub tables: Vec<TableMerge>,
    /// Tables without a primary key, or with another one, that were left out because everything was chosen.
    pub without_key: Vec<String>,
    /// Sequences that were moved past values that came with rows. None in a dry run.
    pub sequences: Vec<String>,
    /// How long it took.
    #[serde(rename = "durationMs", serialize_with = "serialize_millis")]
    #[cfg_attr(feature = "schemars", schemars(with = "f64"))]
    pub duration: Duration,
}

/// What was merged into a table.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct TableMerge {
    /// The table.
    pub table: String,
    /// Rows that were missing.
    pub inserted: u64,
    /// Rows with the same key and other values.
    pub updated: u64,
    /// Rows that only the target had.
    pub deleted: u64,
    /// Chosen rows that were the same already.
    pub same: u64,
    /// Chosen rows that only the target has, and that were left alone: see
    /// [`delete`](crate::archive::MergeOptions::delete).
    pub left: u64,
    /// Rows that a trigger of the table did not let through.
    pub withheld: u64,
    /// Listed rows that have changed since they were compared.
    pub changed: u64,
    /// The keys of the first of these.
    pub changed_keys: Vec<Vec<String>>,
    /// The first rows that were merged, in the order of the key.
    pub rows: Vec<MergedRow>,
    /// Further rows that triggers and foreign keys have inserted, such as those of an audit table.
    pub also_inserted: u64,
    /// Further rows that triggers and foreign keys have updated.
    pub also_updated: u64,
    /// Further rows that triggers and foreign keys have deleted, such as by `on delete cascade`.
    pub also_deleted: u64,
    /// Columns whose values were not taken, because the target does not have them.
    pub columns_only_in_source: Vec<String>,
    /// Columns that keep their values, or get their defaults, because the source does not have them.
    pub columns_only_in_target: Vec<String>,
}

/// A row that was merged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct MergedRow {
    /// The values of its primary key, as text, in the order of the key.
    pub key: Vec<String>,
    /// What was done.
    pub done: RowMerge,
    /// The columns whose values differed, if it was updated.
    pub columns: Vec<String>,
}

/// What was done with a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum RowMerge {
    /// The target did not have its key.
    Inserted,
    /// The target had its key, with other values.
    Updated,
    /// Only the target had it.
    Deleted,
}

impl TableMerge {
    /// Returns how many rows were merged.
    #[must_use]
    pub fn merged(&self) -> u64 {
        self.inserted + self.updated + self.deleted
    }

    /// Returns how many further rows triggers and foreign keys have changed.
    #[must_use]
    pub fn also_changed(&self) -> u64 {
        self.also_inserted + self.also_updated + self.also_deleted
    }
}

impl MergeReport {
    /// Returns how many rows were merged.
    #[must_use]
    pub fn merged(&self) -> u64 {
        self.tables.iter().map(TableMerge::merged).sum()
    }

    /// Returns `true` if there was nothing to merge.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tables.iter().all(|table| table.merged() + table.withheld + table.also_changed() == 0)
    }

    /// Returns what deserves a look besides the numbers, a line each.
    fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        for of in &self.tables {
            let table = plain(&of.table);
            for (count, word) in [
                (of.also_inserted, "inserted"),
                (of.also_updated, "updated"),
                (of.also_deleted, "deleted"),
            ] {
                if count > 0 {
                    let rows = rows(count);
                    notes.push(format!("{table}: triggers and foreign keys {word} {rows} more"));
                }
            }
            if of.withheld > 0 {
                notes.push(format!("{table}: a trigger did not let {} through", rows(of.withheld)));
            }
            if of.changed > 0 {
                let rows = rows(of.changed);
                let keys = keys(&of.changed_keys, of.changed);
                notes.push(format!("{table}: {rows} changed since they were compared: {keys}"));
            }
            for (which, columns) in
                [("source", &of.columns_only_in_source), ("target", &of.columns_only_in_target)]
            {
                if !columns.is_empty() {
                    let columns = plain(&columns.join(", "));
                    notes.push(format!("{table}: columns only in the {which}: {columns}"));
                }
            }
        }
        notes.extend(self.without_key.iter().map(|table| {
            let table = plain(table);
            format!("{table}: left out, because it has no primary key that is the same in both")
        }));
        if !self.sequences.is_empty() {
            let names = plain(&self.sequences.join(", "));
            notes.push(format!("moved past the ids of the rows: {names}"));
        }
        notes
    }
}

fn rows(count: u64) -> String {
    format!("{count} {}", if count == 1 { "row" } else { "rows" })
}

/// Returns keys in parentheses, and how many more there are.
pub(super) fn keys(first: &[Vec<String>], count: u64) -> String {
    let shown = first.iter().take(5).map(|key| format!("({})", plain(&key.join(", "))));
    let shown: Vec<_> = shown.collect();
    match count.saturating_sub(shown.len() as u64) {
        0 => shown.join(", "),
        more if shown.is_empty() => format!("{more} of them"),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

impl fmt::Display for RowMerge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Inserted => "inserted",
            Self::Updated => "updated",
            Self::Deleted => "deleted",
        })
    }
}

impl fmt::Display for MergeReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { from, into, dry_run, tables, duration, .. } = self;
        let word = if *dry_run { "dry run: would merge" } else { "merged" };
        let merged = rows(self.merged());
        write!(f, "{word} {merged} of tenant {from} into tenant {into} in {duration:.1?}")?;
        let mut table = Table::new(["table", "inserted", "updated", "deleted", "same", "left"]);
        for of in tables.iter().filter(|of| of.merged() + of.same + of.left > 0) {
            let number = |count: u64| count.to_string();
            table.row([
                plain(&of.table),
                number(of.inserted),
                number(of.updated),
                number(of.deleted),
                number(of.same),
                number(of.left),
            ]);
        }
        if !table.is_empty() {
            write!(f, "\n{table}")?;
        }
        self.notes().iter().try_for_each(|note| write!(f, "\nnote: {note}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_a_table_with_notes() {
        let table = TableMerge {
            table: "orders".into(),
            inserted: 2,
            updated: 1,
            left: 3,
            changed: 7,
            changed_keys: vec![vec!["1".into(), "a\u{1b}".into()]],
            also_deleted: 1,
            ..TableMerge::default()
        };
        let report = MergeReport {
            from: TenantId::parse("acme-monday").expect("an id"),
            into: TenantId::parse("acme").expect("an id"),
            dry_run: true,
            tables: vec![table],
            without_key: vec!["log".into()],
            sequences: vec!["orders_id_seq".into()],
            duration: Duration::from_millis(1500),
        };
        let expected = "dry run: would merge 3 rows of tenant acme-monday into tenant acme in 1.5s\n\
             table   inserted  updated  deleted  same  left\n\
             orders  2         1        0        0     3\n\
             note: orders: triggers and foreign keys deleted 1 row more\n\
             note: orders: 7 rows changed since they were compared: (1, a\\u{1b}) and 6 more\n\
             note: log: left out, because it has no primary key that is the same in both\n\
             note: moved past the ids of the rows: orders_id_seq";
        assert_eq!(report.to_string(), expected);
        assert!(!report.is_empty());
    }
}
