//! Which rows of which tables to merge.

use std::collections::{BTreeMap, BTreeSet};

use super::{MergeOptions, options::Listed};
use crate::{
    archive::RowFound,
    clone::{KeyOrder, KeyedTable, KeyedTables, Names, Write},
    error::{Error, ErrorKind},
    plain::{clipped, plain},
    tenant::TenantId,
};

/// The rows of a table to merge.
#[derive(Debug, Clone)]
pub(super) struct Choice {
    pub(super) table: KeyedTable,
    /// All rows, besides those that are listed by their keys.
    pub(super) all: bool,
    /// Rows by their keys.
    pub(super) rows: BTreeMap<Vec<String>, Asked>,
}

/// Who has asked for a row: each name of the table by which it was chosen, which can be that of a partitioned table,
/// with what a comparison has listed.
pub(super) type Asked = Vec<(String, Option<Listed>)>;

/// The tables to merge, and those that are left out.
#[derive(Debug)]
pub(super) struct Choices {
    pub(super) tables: Vec<Choice>,
    pub(super) without_key: Vec<String>,
}

/// What to do with a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Verdict {
    /// `None` leaves it alone.
    pub(super) write: Option<Write>,
    /// It has changed since it was compared.
    pub(super) is_changed: bool,
}

impl MergeOptions {
    /// Refuses options that do not fit the tenants.
    pub(super) fn check(&self, from: &TenantId, into: &TenantId) -> Result<(), Error> {
        if from == into {
            return Err(refused(format!("tenant {from} cannot be merged into itself")));
        }
        if !self.everything && self.chosen.is_empty() && self.compared.is_empty() {
            return Err(refused(
                "no rows were chosen: name rows or tables, or choose everything".into(),
            ));
        }
        match self.compared.iter().find(|[first, second]| first != from || second != into) {
            None => Ok(()),
            Some([first, second]) => Err(refused(format!(
                "the rows are from a comparison of {first} with {second}, and not of {from} with {into}"
            ))),
        }
    }

    /// Returns what to merge, of these tables.
    pub(super) fn choose(&self, tables: &KeyedTables) -> Result<Choices, Error> {
        let mut choices = Choices { tables: Vec::new(), without_key: Vec::new() };
        for name in self.chosen.keys() {
            check_name(name, tables)?;
        }
        for table in &tables.both {
            // A partition can be chosen by its own name and by those of the tables that it is part of.
            let by_name = table.names().iter().filter_map(|name| self.chosen.get_key_value(name));
            let by_name: Vec<_> = by_name.collect();
            let takes_all = self.everything && !table.is_of_records();
            match (by_name.is_empty(), table.key.is_empty()) {
                (true, _) if !takes_all => {}
                (true, true) => choices.without_key.push(table.name.clone()),
                _ => {
                    let mut all = takes_all;
                    let mut rows = BTreeMap::<_, Asked>::new();
                    for (name, chosen) in by_name {
                        all |= chosen.all;
                        for (key, listed) in &chosen.rows {
                            let asked = rows.entry(checked(key, table)?).or_default();
                            asked.push((name.clone(), listed.clone()));
                        }
                    }
                    choices.tables.push(Choice { table: table.clone(), all, rows });
                }
            }
        }
        Ok(choices)
    }
}

/// Refuses a name of a table that cannot be merged.
fn check_name(name: &str, tables: &KeyedTables) -> Result<(), Error> {
    let shown = clipped(name, 80);
    let mut is_there = false;
    for table in tables.both.iter().filter(|it| it.names().has(name)) {
        is_there = true;
        if table.is_of_records() {
            let why = "which records what was done with its tenant: it cannot be merged";
            return Err(refused(format!("the table {shown} is one {why}")));
        }
        if table.key.is_empty() {
            return Err(refused(format!(
                "the table {} has no primary key that is the same in both tenants: its rows cannot be told apart",
                plain(&table.name)
            )));
        }
    }
    let is_in = |tables: &[Names]| tables.iter().any(|names| names.has(name));
    match is_there {
        true => Ok(()),
        false if is_in(&tables.only_in_first) => {
            Err(refused(format!("the target has no table {shown}")))
        }
        false if is_in(&tables.only_in_second) => {
            Err(refused(format!("the source has no table {shown}")))
        }
        false => Err(refused(format!("neither tenant has a table {shown}"))),
    }
}

/// Returns a key as the server prints it.
fn checked(key: &[String], table: &KeyedTable) -> Result<Vec<String>, Error> {
    let name = plain(&table.name);
    if key.len() != table.key.len() {
        let columns: Vec<_> = table.key.iter().map(|column| plain(&column.name)).collect();
        return Err(refused(format!(
            "a key of the table {name} has the columns {}, and {} values were given",
            columns.join(", "),
            key.len()
        )));
    }
    let values = key.iter().zip(&table.key).map(|(value, column)| match column.order {
        KeyOrder::Integer => match value.trim().parse::<i64>() {
            Ok(number) => Ok(number.to_string()),
            Err(_) => Err(refused(format!(
                "{:?} is not a number, as the keys of the table {name} are",
                clipped(value, 80)
            ))),
        },
        KeyOrder::Uuid => Ok(value.to_ascii_lowercase()),
        KeyOrder::Text if value.contains('\0') => {
            Err(refused(format!("a key of the table {name} contains a NUL byte")))
        }
        KeyOrder::Text => Ok(value.clone()),
    });
    values.collect()
}

impl Choice {
    /// Returns the keys to read, unless all are read.
    pub(super) fn keys(&self) -> Option<Vec<Vec<String>>> {
        (!self.all).then(|| self.rows.keys().cloned().collect())
    }

    /// Decides what to do with a row.
    pub(super) fn judge(
        &self,
        found: Option<RowFound>,
        key: &[String],
        hash: impl FnOnce() -> String,
        delete: bool,
    ) -> Verdict {
        let write = match found {
            None => None,
            Some(RowFound::OnlyInFirst) => Some(Write::Insert),
            Some(RowFound::Different) => Some(Write::Update),
            Some(RowFound::OnlyInSecond) => delete.then_some(Write::Delete),
        };
        // A row that is the same now needs nothing, whatever it was, nor does one that is left alone as expected.
        let asked = self.rows.get(key).filter(|_| found.is_some()).into_iter().flatten();
        let listed = asked.filter_map(|(_, listed)| listed.as_ref());
        let listed = listed.filter(|it| write.is_some() || it.found != RowFound::OnlyInSecond);
        let listed: Vec<_> = listed.collect();
        let is_changed = !listed.is_empty() && {
            let hash = hash();
            listed.iter().any(|listed| listed.hash != hash)
        };
        Verdict { write, is_changed }
    }
}

/// The chosen keys that were not found yet, by the names of tables by which they were chosen.
#[derive(Debug, Default)]
pub(super) struct Sought<'a>(BTreeSet<(&'a str, &'a [String])>);

impl<'a> Sought<'a> {
    pub(super) fn new(choices: &'a Choices) -> Self {
        let rows = choices.tables.iter().flat_map(|choice| &choice.rows);
        let all = rows
            .flat_map(|(key, asked)| asked.iter().map(|(name, _)| (name.as_str(), key.as_slice())));
        Self(all.collect())
    }

    pub(super) fn found(&mut self, choice: &'a Choice, key: &[String]) {
        let Some((key, asked)) = choice.rows.get_key_value(key) else { return };
        for (name, _) in asked {
            self.0.remove(&(name.as_str(), key.as_slice()));
        }
    }

    /// Returns the keys that a comparison has listed, and that neither tenant has any longer.
    ///
    /// # Errors
    ///
    /// With a key that neither tenant has, and no comparison has listed.
    pub(super) fn gone(self, choices: &Choices) -> Result<Vec<(String, Vec<String>)>, Error> {
        let mut gone = Vec::new();
        for (name, key) in self.0 {
            let asked = choices.tables.iter().filter_map(|choice| choice.rows.get(key)).flatten();
            let by_name = asked.filter(|(by, _)| by == name);
            let mut listed = by_name.filter_map(|(_, listed)| listed.as_ref());
            match listed.next() {
                // Only the target had it.
                Some(Listed { found: RowFound::OnlyInSecond, .. }) => {}
                Some(_) => gone.push((name.to_owned(), key.to_vec())),
                None => {
                    return Err(refused(format!(
                        "neither tenant has a row ({}) in the table {}",
                        plain(&key.join(", ")),
                        plain(name)
                    )));
                }
            }
        }
        Ok(gone)
    }
}

fn refused(why: String) -> Error {
    Error::new(ErrorKind::Config, format!("merging rows: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(choice: &Choice, found: Option<RowFound>, hash: &str, delete: bool) -> Verdict {
        choice.judge(found, &["1".to_owned()], || hash.to_owned(), delete)
    }

    #[test]
    fn rows_are_judged_by_what_is_found_and_by_what_was_listed() {
        use RowFound::{Different, OnlyInFirst, OnlyInSecond};
        let mut choice = Choice { table: KeyedTable::named("t"), all: true, rows: BTreeMap::new() };
        for (found, delete, write) in [
            (None, true, None),
            (Some(OnlyInFirst), false, Some(Write::Insert)),
            (Some(Different), false, Some(Write::Update)),
            (Some(OnlyInSecond), false, None),
            (Some(OnlyInSecond), true, Some(Write::Delete)),
        ] {
            let verdict = judged(&choice, found, "now", delete);
            assert_eq!(verdict, Verdict { write, is_changed: false }, "{found:?}");
        }
        for (listed, found, delete, is_changed) in [
            (Different, Some(Different), false, true),
            (Different, Some(OnlyInSecond), false, true),
            (Different, None, false, false),
            (OnlyInFirst, Some(Different), false, true),
            (OnlyInSecond, Some(OnlyInSecond), false, false),
            (OnlyInSecond, Some(OnlyInSecond), true, true),
            (OnlyInSecond, Some(Different), false, true),
        ] {
            let of_then = Listed { found: listed, hash: "then".into() };
            let asked = vec![("t".into(), None), ("all".into(), Some(of_then))];
            choice.rows.insert(vec!["1".into()], asked);
            let verdict = judged(&choice, found, "now", delete);
            assert_eq!(verdict.is_changed, is_changed, "{listed:?} {found:?} {delete}");
            assert!(!judged(&choice, found, "then", delete).is_changed);
        }
    }
}
