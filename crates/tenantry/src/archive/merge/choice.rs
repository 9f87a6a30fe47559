//! Which rows of which tables to merge.

use std::collections::{BTreeMap, BTreeSet};

use super::{MergeOptions, options::Listed};
use crate::{
    archive::RowFound,
    clone::{KeyOrder, KeyedTable, KeyedTables, Write},
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
    /// Rows by their keys, with what a comparison has listed.
    pub(super) rows: BTreeMap<Vec<String>, Option<Listed>>,
    /// The name by which the rows were chosen, which can be that of the partitioned table.
    named: String,
}

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
            let by_name = self.chosen.get_key_value(&table.name);
            let by_name = by_name.or_else(|| self.chosen.get_key_value(table.unit()));
            let takes_all = self.everything && !table.is_of_records();
            match (by_name, table.key.is_empty()) {
                (None, _) if !takes_all => {}
                (None, true) => choices.without_key.push(table.name.clone()),
                (by_name, _) => {
                    let named = by_name.map_or(&table.name, |(name, _)| name).clone();
                    let chosen = by_name.map(|(_, chosen)| chosen.clone()).unwrap_or_default();
                    let all = chosen.all || takes_all;
                    let rows = chosen.rows.into_iter();
                    let rows = rows.map(|(key, listed)| Ok((checked(key, table)?, listed)));
                    let rows = rows.collect::<Result<_, Error>>()?;
                    choices.tables.push(Choice { table: table.clone(), all, rows, named });
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
    for table in tables.both.iter().filter(|it| it.name == name || it.unit() == name) {
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
    let is_in = |names: &[String]| names.iter().any(|it| it == name);
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
fn checked(key: Vec<String>, table: &KeyedTable) -> Result<Vec<String>, Error> {
    let name = plain(&table.name);
    if key.len() != table.key.len() {
        let columns: Vec<_> = table.key.iter().map(|column| plain(&column.name)).collect();
        return Err(refused(format!(
            "a key of the table {name} has the columns {}, and {} values were given",
            columns.join(", "),
            key.len()
        )));
    }
    let values = key.into_iter().zip(&table.key).map(|(value, column)| match column.order {
        KeyOrder::Integer => match value.trim().parse::<i64>() {
            Ok(number) => Ok(number.to_string()),
            Err(_) => Err(refused(format!(
                "{:?} is not a number, as the keys of the table {name} are",
                clipped(&value, 80)
            ))),
        },
        KeyOrder::Uuid => Ok(value.to_ascii_lowercase()),
        KeyOrder::Text if value.contains('\0') => {
            Err(refused(format!("a key of the table {name} contains a NUL byte")))
        }
        KeyOrder::Text => Ok(value),
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
        let listed = self.rows.get(key).and_then(Option::as_ref).filter(|_| found.is_some());
        let listed = listed.filter(|it| write.is_some() || it.found != RowFound::OnlyInSecond);
        Verdict { write, is_changed: listed.is_some_and(|listed| listed.hash != hash()) }
    }
}

/// The chosen keys that were not found yet, by the name of the table.
#[derive(Debug, Default)]
pub(super) struct Sought<'a>(BTreeSet<(&'a str, &'a [String])>);

impl<'a> Sought<'a> {
    pub(super) fn new(choices: &'a Choices) -> Self {
        let all = choices.tables.iter().flat_map(|choice| {
            choice.rows.keys().map(|key| (choice.named.as_str(), key.as_slice()))
        });
        Self(all.collect())
    }

    pub(super) fn found(&mut self, choice: &'a Choice, key: &[String]) {
        if let Some((key, _)) = choice.rows.get_key_value(key) {
            self.0.remove(&(choice.named.as_str(), key.as_slice()));
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
            let of_comparison = choices.tables.iter().filter(|choice| choice.named == name);
            let mut listed = of_comparison.filter_map(|choice| choice.rows.get(key)?.as_ref());
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
        let mut choice = Choice {
            table: KeyedTable::named("t"),
            all: true,
            rows: BTreeMap::new(),
            named: "t".into(),
        };
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
            choice.rows.insert(vec!["1".into()], Some(of_then));
            let verdict = judged(&choice, found, "now", delete);
            assert_eq!(verdict.is_changed, is_changed, "{listed:?} {found:?} {delete}");
            assert!(!judged(&choice, found, "then", delete).is_changed);
        }
    }
}
