//! The report of a masked clone. It contains no values of the source.

use std::{fmt, time::Duration};

use serde::Serialize;

use crate::{anonymize::Suspicion, event::serialize_millis};

/// What was masked in a clone, and the proof that no masked value is left.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct AnonymizeReport {
    /// The columns that were masked.
    pub columns: Vec<MaskedColumn>,
    /// The search of the clone for source values, and its results.
    pub proof: Proof,
    /// Columns that look personal and have no rule; strict rules refuse the clone instead.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub suspicions: Vec<Suspicion>,
}

/// A column that was masked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct MaskedColumn {
    /// Its table, or the partition.
    pub table: String,
    /// Its name.
    pub column: String,
    /// The number of the rule that was applied, from 1.
    pub rule: usize,
    /// Rows that were copied.
    pub rows: u64,
    /// Values that were masked. Each array element and each JSON value that the rule applies to counts.
    pub masked: u64,
    /// Values that identify no person and were kept, such as infinite dates.
    pub neutral: u64,
    /// Values that are the same in the clone and in the same row of the source: 0, unless the mask equals the
    /// existing value. `None` if rows cannot be compared.
    pub unchanged: Option<u64>,
}

/// The search for source values in the whole clone: in all tables and materialized views, including JSON and arrays.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Proof {
    /// Distinct source values of masked columns, with six or more characters, that were searched for.
    pub searched: u64,
    /// Values among these that prove nothing, because they occur in a column with the rule `keep`, or are words that
    /// fakes are composed of.
    pub excused: u64,
    /// Where the others were found: the clone is then refused, unless the rules are not strict.
    pub found: Vec<Leak>,
    /// The share of the source values that fit in memory, from 0 to 1.
    pub share: f64,
    /// Text of the clone that was searched, in bytes.
    pub bytes: u64,
    /// Masked columns whose source values cannot be searched for, with the reason.
    pub not_provable: Vec<String>,
    /// How long it took.
    #[serde(rename = "durationMs", serialize_with = "serialize_millis")]
    #[cfg_attr(feature = "schemars", schemars(with = "f64"))]
    pub duration: Duration,
}

/// Values of a masked column that were found in the clone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Leak {
    /// The column that they come from, as `table.column`.
    pub from: String,
    /// Where they were first found, as `table.column`.
    pub found_in: String,
    /// How many different values.
    pub values: u64,
}

impl Proof {
    /// Returns `true` if every value that was searched for is absent, and none was left out for lack of memory.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.found.is_empty() && self.share >= 1.0
    }
}

impl fmt::Display for Leak {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { from, found_in, values } = self;
        let word = if *values == 1 { "value" } else { "values" };
        write!(f, "{values} {word} of {from} in {found_in}")
    }
}

impl fmt::Display for AnonymizeReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.columns.iter().map(|column| column.table.len() + column.column.len() + 1);
        let width = width.max().unwrap_or_default().max("masked column".len());
        write!(f, "{:width$}  rule  {:>9}  {:>9}  unchanged", "masked column", "rows", "masked")?;
        for MaskedColumn { table, column, rule, rows, masked, unchanged, .. } in &self.columns {
            let name = format!("{table}.{column}");
            let unchanged = unchanged.map_or("-".to_owned(), |count| count.to_string());
            write!(f, "\n{name:width$}  {rule:>4}  {rows:>9}  {masked:>9}  {unchanged:>9}")?;
        }
        let Proof { searched, found, share, bytes, not_provable, duration, .. } = &self.proof;
        let kib = bytes / 1024;
        write!(
            f,
            "\nproof: {searched} source values looked for in {kib} KiB of the clone in {duration:.1?}: "
        )?;
        match found.is_empty() {
            true => write!(f, "none found")?,
            false => found.iter().enumerate().try_for_each(|(index, leak)| {
                write!(f, "{}{leak}", if index == 0 { "FOUND " } else { ", " })
            })?,
        }
        if *share < 1.0 {
            write!(
                f,
                "\n  only {:.0} % of the values were searched for, because of the memory limit",
                share * 100.0
            )?;
        }
        not_provable.iter().try_for_each(|column| write!(f, "\n  not provable: {column}"))?;
        self.suspicions.iter().try_for_each(|found| write!(f, "\n  looks personal: {found}"))
    }
}
