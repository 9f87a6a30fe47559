//! Masks rows on their way, and verifies that no source value is left.

mod proof;
mod samples;
mod trials;

use std::collections::{BTreeMap, BTreeSet};

use sqlx::PgConnection;

use super::{
    AnonymizeReport, MaskedColumn, Proof,
    error::refused,
    plan::{Rows, Table},
};
use crate::{
    anonymize::{
        Anonymize, Collector, Key, MaskPlan, RowMasker, Select, Suspicion, Tally, WrongRules,
    },
    error::{Error, ErrorKind},
    schema::SchemaModel,
    tenant::Ident,
};

/// The memory limit for values that are searched for afterwards, in bytes.
const MEMORY: usize = 256 * 1024 * 1024;

/// Tables of the library and of sqlx, which hold no tenant data.
pub(super) const OWN_TABLES: [&str; 2] = ["_sqlx_migrations", "_tenantry_seeds"];

/// The maximum number of columns named in an error.
const NAMED: usize = 20;

/// The masks of a copy.
#[derive(Debug)]
pub(crate) struct Masking {
    pub(crate) plan: MaskPlan,
    rules: Anonymize,
    key: Key,
    suspicions: Vec<Suspicion>,
    /// Columns that look personal and only have rules with paths, by table and name.
    by_paths_alone: BTreeSet<(String, String)>,
    collector: Option<Collector>,
    tallies: BTreeMap<(String, String), Tally>,
}

impl Masking {
    /// Resolves the rules for a schema.
    ///
    /// # Errors
    ///
    /// [`Config`](ErrorKind::Config) with all rules that are wrong.
    pub(crate) fn new(rules: &Anonymize, model: &SchemaModel) -> Result<Self, Error> {
        let plan = rules.plan(model).map_err(unfit)?;
        let key = key_of(rules)?;
        let collector = Some(Collector::new(MEMORY, &key));
        Ok(Self {
            plan,
            rules: rules.clone(),
            key,
            suspicions: Vec::new(),
            by_paths_alone: BTreeSet::new(),
            collector,
            tallies: BTreeMap::new(),
        })
    }

    /// Refuses masks of the column with the key of the clone, in tables that all tenants share.
    ///
    /// # Errors
    ///
    /// [`Config`](ErrorKind::Config) with all rules that mask it.
    pub(crate) fn refuse_masks_of_key(&self, key: &Ident) -> Result<(), Error> {
        self.plan.refuse_masks_of_key(key.as_str()).map_err(unfit)
    }

    /// Finds columns of the source that look personal and have no rule.
    ///
    /// # Errors
    ///
    /// [`Config`](ErrorKind::Config) if there are any and the rules are strict.
    pub(super) async fn suspect(
        &mut self,
        conn: &mut PgConnection,
        source: &Ident,
        model: &SchemaModel,
        tables: &[Table],
    ) -> Result<(), Error> {
        let samples = samples::read(conn, source, model).await?;
        let is_left_out = |name: &str| {
            let mut of_unit = tables.iter().filter(|table| table.unit == name).peekable();
            of_unit.peek().is_some() && of_unit.all(|table| table.rows == Rows::None)
        };
        let mut whole = self.rules.clone();
        whole.rules.retain(|rule| rule.path.is_none());
        let without_paths = whole.uncovered(model, &samples).into_iter();
        self.by_paths_alone = without_paths.map(|found| (found.table, found.column)).collect();
        self.suspicions = self.rules.uncovered(model, &samples);
        self.suspicions
            .retain(|found| !OWN_TABLES.contains(&&*found.table) && !is_left_out(&found.table));
        match self.suspicions.is_empty() || !self.rules.is_strict() {
            true => Ok(()),
            false => Err(unmasked(&self.suspicions)),
        }
    }

    /// Verifies that the check constraints of the copy, which has no rows yet, will accept the masks.
    pub(super) async fn try_out(
        &self,
        conn: &mut PgConnection,
        copy: &Ident,
        model: &SchemaModel,
    ) -> Result<(), Error> {
        trials::run(conn, copy, &self.plan.trials(model, &self.key)).await
    }

    /// Returns the masks of a table, if it has any.
    pub(super) fn masker(&mut self, table: &Table) -> Option<RowMasker> {
        let plan = self.plan.table(&table.name).filter(|plan| plan.is_masked())?;
        let columns: Vec<_> = table.columns.iter().map(|column| column.name.clone()).collect();
        let masker = RowMasker::new(plan, &columns, &self.key);
        Some(match self.collector.take() {
            Some(collector) => masker.collect_into(collector),
            None => masker,
        })
    }

    /// Records the work of a table's masks.
    pub(super) fn note(&mut self, table: &Table, masker: RowMasker) {
        for (column, tally) in masker.tallies() {
            let of = (table.name.clone(), column.to_owned());
            self.tallies.entry(of).or_default().add(tally);
        }
        self.collector = masker.into_collector();
    }

    /// Returns the columns in which nothing was masked although they have values: a path may be wrong.
    fn idle(&self) -> Vec<(&(String, String), &Tally)> {
        let idle = self.tallies.iter().filter(|(_, tally)| {
            tally.rows > tally.nulls && tally.masked + tally.neutral + tally.unchanged == 0
        });
        idle.collect()
    }

    /// Proves that the copy contains no value of the source.
    ///
    /// # Errors
    ///
    /// [`Clone`](ErrorKind::Clone) if it contains one and the rules are strict.
    pub(super) async fn prove(
        mut self,
        source: &mut PgConnection,
        copy: &mut PgConnection,
        ends: proof::Places<'_>,
        rows: &BTreeMap<String, u64>,
    ) -> Result<AnonymizeReport, Error> {
        let collector = self.collector.take().unwrap_or_else(|| Collector::new(0, &self.key));
        let unchanged = proof::unchanged(copy, &ends, &self.plan).await?;
        let mut proof = proof::run(source, copy, &ends, &self.plan, collector).await?;
        let idle = self.idle();
        if self.rules.is_strict() {
            self.refuse(&proof, &unchanged, &idle)?;
        }
        proof.not_provable.extend(idle.iter().map(|((table, column), _)| {
            format!("{table}.{column}: its rules have masked nothing, although it has values")
        }));
        let columns = self.columns(rows, &unchanged);
        Ok(AnonymizeReport { columns, proof, suspicions: self.suspicions })
    }

    /// Refuses a copy with values of the source, or with personal columns in which nothing was masked.
    fn refuse(
        &self,
        proof: &Proof,
        unchanged: &BTreeMap<(String, String), u64>,
        idle: &[(&(String, String), &Tally)],
    ) -> Result<(), Error> {
        if !proof.found.is_empty() {
            let told: Vec<_> = proof.found.iter().map(ToString::to_string).collect();
            return Err(refused(format!(
                "the copy would contain values that were masked elsewhere: {}; mask them there, too",
                told.join(", ")
            )));
        }
        if let Some(((table, column), count)) = unchanged.iter().find(|(_, count)| **count > 0) {
            return Err(refused(format!(
                "{count} rows would keep their own value of {table}.{column}; use another mask"
            )));
        }
        match idle.iter().find(|(of, _)| self.by_paths_alone.contains(*of)) {
            None => Ok(()),
            Some(((table, column), _)) => Err(refused(format!(
                "the rules for {table}.{column} have masked nothing, although its values look personal: are their paths right?"
            ))),
        }
    }

    /// Returns what the masks did, by column.
    fn columns(
        &self,
        rows: &BTreeMap<String, u64>,
        unchanged: &BTreeMap<(String, String), u64>,
    ) -> Vec<MaskedColumn> {
        let mut columns = Vec::new();
        for table in self.plan.tables() {
            let rows = rows.get(table.name()).copied().unwrap_or_default();
            for column in table.columns().iter().filter(|column| column.is_masked()) {
                let of = (table.name().to_owned(), column.name().to_owned());
                let tally = self.tallies.get(&of).copied();
                let (masked, unchanged) = match (column.select(), tally) {
                    (Select::Column, Some(tally)) => (tally.masked, Some(tally.unchanged)),
                    // The server has masked them, or there were no rows.
                    (_, _) => {
                        let unchanged = unchanged.get(&of).copied();
                        (rows.saturating_sub(unchanged.unwrap_or_default()), unchanged)
                    }
                };
                columns.push(MaskedColumn {
                    table: of.0,
                    column: of.1,
                    rule: column.rule().unwrap_or_default(),
                    rows,
                    masked,
                    neutral: tally.map_or(0, |tally| tally.neutral),
                    unchanged: unchanged.or((rows == 0).then_some(0)),
                });
            }
        }
        columns
    }
}

pub(super) use proof::Places;

fn unfit(wrong: WrongRules) -> Error {
    let attempted = "anonymizing: rules do not fit the schema of the source";
    Error::new(ErrorKind::Config, attempted).with_source(wrong)
}

/// Returns the error for columns that look personal and have no rule.
fn unmasked(suspicions: &[Suspicion]) -> Error {
    let mut told: Vec<_> = suspicions.iter().take(NAMED).map(ToString::to_string).collect();
    if suspicions.len() > NAMED {
        told.push(format!("{} more", suspicions.len() - NAMED));
    }
    let attempted = format!(
        "anonymizing: columns look personal but have no rule; give each a mask, or `keep`: {}",
        told.join("; ")
    );
    Error::new(ErrorKind::Config, attempted)
}

/// Returns the key of the rules, or a random one if they name none.
fn key_of(rules: &Anonymize) -> Result<Key, Error> {
    match (rules.set_key(), &rules.key_env) {
        (Some(key), _) => Ok(key.clone()),
        (None, Some(name)) => {
            let attempted = format!(
                "anonymizing: the rules name the key {name}, which was not read: call Anonymize::read_key"
            );
            Err(Error::new(ErrorKind::Config, attempted))
        }
        (None, None) => random_key(),
    }
}

/// Creates a random key for one copy, from the operating system's entropy.
fn random_key() -> Result<Key, Error> {
    let config = |error: &dyn std::error::Error| Error::new(ErrorKind::Config, error.to_string());
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|error| config(&error))?;
    Key::from_bytes(bytes).map_err(|error| config(&error))
}
