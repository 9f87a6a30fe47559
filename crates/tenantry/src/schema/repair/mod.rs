//! Generates the SQL that makes a schema equal to another while keeping its rows. Nothing here runs it.

mod columns;
mod conversion;
mod drops;
mod hazard;
mod indexes;
mod not_null;
mod options;
mod pair;
mod plan;
mod privileges;
mod rebuild;
mod relations;
mod rename;
mod sequences;
mod steps;
mod target;
mod translate;
mod treatment;
mod types;
mod violations;

use std::fmt;

use serde::Serialize;

pub use hazard::{Hazard, LockMode};
pub use rename::Rename;

use super::{ObjectKey, SchemaModel, compare, ddl};

/// The statements that make a schema equal to another one.
///
/// `Display` writes a script: each statement under a comment with its hazards, all in one transaction (except for new
/// labels of enums, which can only be used after a commit). Nothing runs it automatically: review it first.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
#[must_use = "it changes nothing by itself"]
pub struct Repair {
    /// The schema that is changed.
    pub schema: String,
    /// The reference, in words.
    pub reference: String,
    /// The statements, in a working order.
    pub steps: Vec<Step>,
    /// What the statements cannot achieve, or what prevents them.
    pub impossible: Vec<Impossible>,
    /// Possible renames. The statements drop the one and create the other; if it is a rename, rename the object and
    /// compute the repair again.
    pub renames: Vec<Rename>,
}

/// One statement of a repair.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Step {
    /// The statement, without a semicolon. It expects the schema to be the search path.
    pub sql: String,
    /// The object that it concerns.
    pub object: ObjectKey,
    /// Its possible side effects.
    pub hazards: Vec<Hazard>,
    /// Its purpose, if no difference explains it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remark: Option<String>,
    /// It must be committed before the others start.
    pub is_alone: bool,
}

/// Something that a repair cannot do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Impossible {
    /// The object.
    pub object: ObjectKey,
    /// The reason, and what to do.
    pub reason: String,
}

/// Generates the statements that make `actual` equal to `expected`, keeping its rows where possible.
///
/// Objects that the reference does not have are dropped together with their rows: such a statement has the hazard
/// [`Hazard::LosesData`]. If a table cannot be altered as required (the order of its columns, its partition key), it
/// is recreated and its rows are copied.
///
/// Roles, extensions and objects of other schemas must exist. Views in other schemas that depend on an object to be
/// dropped are not known here: the statement fails and names them.
pub fn repair(expected: &SchemaModel, actual: &SchemaModel) -> Repair {
    let differences = compare(expected, actual);
    let meant = translate::translated(expected, &actual.schema);
    let plan = plan::Plan::new(&meant, actual, differences);
    let mut impossible = plan.impossible();
    impossible.extend(translate::names_of(expected, &plan));
    Repair {
        schema: actual.schema.clone(),
        reference: format!("the schema {}", expected.schema),
        steps: steps::all(&plan),
        impossible,
        renames: rename::proposals(&plan),
    }
}

impl Repair {
    /// Returns `true` if there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty() && self.impossible.is_empty()
    }
}

/// Prints each line of a text as a comment.
fn remark(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    text.split(['\n', '\r']).try_for_each(|line| writeln!(f, "-- {line}"))
}

impl fmt::Display for Repair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return writeln!(f, "-- Nothing to repair.");
        }
        remark(f, &self.summary())?;
        for Impossible { object, reason } in &self.impossible {
            remark(f, &format!("Cannot be repaired here: {object}: {reason}"))?;
        }
        for rename in &self.renames {
            remark(f, &rename.to_string())?;
        }
        let (alone, together): (Vec<_>, Vec<_>) = self.steps.iter().partition(|step| step.is_alone);
        for steps in [alone, together] {
            if !steps.is_empty() {
                self.write_transaction(f, &steps)?;
            }
        }
        Ok(())
    }
}

impl Repair {
    fn summary(&self) -> String {
        let losses = self.steps.iter().filter(|step| step.hazards.contains(&Hazard::LosesData));
        let (schema, reference, count) = (&self.schema, &self.reference, self.steps.len());
        let word = if count == 1 { "statement" } else { "statements" };
        let header = format!("Makes the schema {schema} like {reference}: {count} {word}");
        match losses.count() {
            0 => format!("{header}, none of which loses data."),
            1 => format!("{header}, one of which LOSES DATA."),
            losses => format!("{header}, {losses} of which LOSE DATA."),
        }
    }

    fn write_transaction(&self, f: &mut fmt::Formatter<'_>, steps: &[&Step]) -> fmt::Result {
        let schema = ddl::literal(&ddl::fill("{schema}", &self.schema, None));
        writeln!(f, "begin;\nset local standard_conforming_strings = on;")?;
        writeln!(f, "set local check_function_bodies = off;")?;
        // Function bodies can name objects elsewhere in the search path.
        writeln!(
            f,
            "select set_config('search_path', concat_ws(', ', {schema}, nullif(current_setting('search_path'), '')), true);\n"
        )?;
        for step in steps {
            write!(f, "{step}")?;
        }
        writeln!(f, "commit;")
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (queries, words): (Vec<_>, Vec<_>) =
            self.hazards.iter().partition(|h| matches!(h, Hazard::MayFail { query: Some(_) }));
        let words: Vec<_> = words.iter().map(ToString::to_string).collect();
        match words.is_empty() {
            true => remark(f, &self.object.to_string())?,
            false => remark(f, &format!("{}: {}", self.object, words.join("; ")))?,
        }
        if let Some(why) = &self.remark {
            remark(f, &format!("  {why}"))?;
        }
        for query in queries {
            remark(f, &format!("  {query}"))?;
        }
        writeln!(f, "{};\n", self.sql)
    }
}
