//! Compares the files with a schema's migration records and plans what to do.

use std::fmt;

use serde::Serialize;

use super::{
    Outcome,
    lint::{Statement, statements},
    report::Aim,
    source::{MigrationFile, Migrations},
    stage::{Begun, Stage, Way},
};

/// The record of one migration in a schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Applied {
    pub(super) version: i64,
    /// Whether it has completed.
    pub(super) success: bool,
    pub(super) checksum: Vec<u8>,
    /// Its progress, if it has not completed and the progress was read.
    pub(super) begun: Option<Begun>,
}

/// The task of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Job {
    /// Run the files that were not run yet, up to this version.
    Apply { to: Option<i64> },
    /// Revert everything above this version.
    Revert { to: i64 },
    /// Record the files up to this version as applied, without running them.
    Mark {
        to: Option<i64>,
        /// Only if there are no records.
        only_first: bool,
    },
    /// Delete the records of migrations that have no file.
    ForgetOrphans,
    /// Clear the failures of migrations that have not completed, or delete their records.
    ForgetDirty { whole: bool },
}

impl Job {
    /// Returns what it does to tenants, for the summary.
    pub(super) fn aim(self) -> Aim {
        match self {
            Self::Apply { .. } => Aim::Migrate,
            Self::Revert { .. } => Aim::Revert,
            Self::Mark { .. } => Aim::Mark,
            Self::ForgetOrphans | Self::ForgetDirty { .. } => Aim::Forget,
        }
    }

    /// Returns the outcome of a schema in which everything was done.
    pub(super) fn outcome(self) -> Outcome {
        match self {
            Self::Apply { .. } => Outcome::Migrated,
            Self::Revert { .. } => Outcome::Reverted,
            Self::Mark { .. } => Outcome::Marked,
            Self::ForgetOrphans | Self::ForgetDirty { .. } => Outcome::Forgotten,
        }
    }
}

/// Problems that are tolerated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Leniency {
    pub(super) out_of_order: bool,
    pub(super) missing: bool,
}

/// A single step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) action: Action,
    pub(super) version: i64,
    /// The record that remains after clearing a failure.
    pub(super) kept: Kept,
}

/// What remains of the record of an unfinished file after its failure is cleared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kept {
    Nothing,
    /// The progress that remains recorded.
    Stage(Stage),
    /// All of it: a run continues the file in any case.
    All,
}

/// What is done with a migration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Action {
    /// Its file was run.
    Applied,
    /// Its `.down.sql` was run.
    Reverted,
    /// It was recorded as applied without being run.
    Marked,
    /// Its record was deleted; or its failure was cleared, so that the next run continues it.
    Forgotten,
}

/// A reason why a schema cannot be migrated in its current state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(tag = "problem", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Problem {
    /// A migration outside a transaction was started and has not completed. [`begun`] says which statement failed,
    /// and whether the next run continues it.
    ///
    /// [`begun`]: super::SchemaStatus::begun
    Dirty {
        /// Its version.
        version: i64,
    },
    /// The file is not the one that was applied.
    ChecksumMismatch {
        /// Its version.
        version: i64,
    },
    /// An applied migration has no file.
    MissingFile {
        /// Its version.
        version: i64,
    },
    /// A file was not applied, although a later one was.
    OutOfOrder {
        /// Its version.
        version: i64,
        /// The latest version that was applied.
        after: i64,
    },
    /// A migration cannot be reverted.
    Irreversible {
        /// Its version.
        version: i64,
    },
}

impl Problem {
    /// Returns the version of the migration.
    #[must_use]
    pub fn version(&self) -> i64 {
        match *self {
            Self::Dirty { version }
            | Self::ChecksumMismatch { version }
            | Self::MissingFile { version }
            | Self::OutOfOrder { version, .. }
            | Self::Irreversible { version } => version,
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dirty { version } => write!(
                f,
                "version {version} was started and has not completed: repair the data or the schema, then call \
                 forget_dirty and run again, or mark_applied if the schema has the result of the file"
            ),
            Self::ChecksumMismatch { version } => write!(
                f,
                "version {version} was applied, and its file was edited since: undo the edit and put the change \
                 into a new file; if the lint asked for the edit, undo it and use Lint::skip({version}), or \
                 record the current file with mark_applied"
            ),
            Self::MissingFile { version } => write!(
                f,
                "version {version} was applied and has no file: restore the file, or forget orphans"
            ),
            Self::OutOfOrder { version, after } => write!(
                f,
                "version {version} was not applied, but the later version {after} was: give the file a later \
                 version, or allow out of order"
            ),
            Self::Irreversible { version } => {
                write!(f, "version {version} has no .down.sql, so it cannot be reverted")
            }
        }
    }
}

/// Finds everything that prevents a schema from being migrated, the worst first.
pub(super) fn problems(set: &Migrations, applied: &[Applied], lenient: Leniency) -> Vec<Problem> {
    let mut found = Vec::new();
    let versions = |found: &mut Vec<Problem>, problem: &dyn Fn(&Applied) -> Option<Problem>| {
        found.extend(applied.iter().filter_map(problem));
    };
    versions(&mut found, &|row| {
        let stuck = !row.success && !goes_on(set, row, Way::Up);
        stuck.then_some(Problem::Dirty { version: row.version })
    });
    versions(&mut found, &|row| {
        let file = set.file(row.version)?;
        let edited = row.success && !file.checksum.is(&row.checksum);
        edited.then_some(Problem::ChecksumMismatch { version: row.version })
    });
    versions(&mut found, &|row| {
        let missing = !lenient.missing && set.file(row.version).is_none();
        missing.then_some(Problem::MissingFile { version: row.version })
    });
    if let Some(after) = last(applied).filter(|_| !lenient.out_of_order) {
        let late = pending(set, applied).filter(|file| file.version < after);
        found.extend(late.map(|file| Problem::OutOfOrder { version: file.version, after }));
    }
    found
}

/// Returns the files that were not applied.
pub(super) fn pending<'a>(
    set: &'a Migrations,
    applied: &'a [Applied],
) -> impl Iterator<Item = &'a MigrationFile> {
    set.files().iter().filter(|file| row_of(applied, file.version).is_none())
}

/// Returns the text of a file for a direction, if it runs outside a transaction.
fn text_outside(file: &MigrationFile, way: Way) -> Option<&str> {
    let (sql, body, transactional) = match (way, &file.down) {
        (Way::Up, _) => (&file.sql, &file.body, file.transactional),
        (Way::Down, Some(down)) => (&down.sql, &down.body, down.transactional),
        (Way::Down, None) => return None,
    };
    sql.as_str().get(body.clone()).filter(|_| !transactional)
}

/// Returns `true` if a run can continue an unfinished file outside a transaction.
pub(super) fn goes_on(set: &Migrations, row: &Applied, way: Way) -> bool {
    let file = set.file(row.version).filter(|file| file.checksum.is(&row.checksum));
    let text = file.and_then(|file| text_outside(file, way));
    let (Some(begun), Some(text)) = (&row.begun, text) else { return false };
    let read = statements(text).into_iter().map(|place| Statement::read(&text[place]));
    // The checksum is that of the up file.
    let is_it = way == Way::Up || begun.is_of(text);
    is_it && begun.resume(way, &read.collect::<Vec<_>>()).is_some()
}

/// Returns what remains of a file's record after its failure is cleared.
fn kept(set: &Migrations, row: &Applied) -> Kept {
    match goes_on(set, row, Way::Up) || goes_on(set, row, Way::Down) {
        // The age of the record shows what was created since.
        true => Kept::All,
        false => seen_to(set, row).map_or(Kept::Nothing, Kept::Stage),
    }
}

fn seen_to(set: &Migrations, row: &Applied) -> Option<Stage> {
    let (file, begun) = (set.file(row.version)?, row.begun.as_ref()?);
    let is_edited = !file.checksum.is(&row.checksum);
    begun.seen_to(text_outside(file, begun.stage()?.way)?, is_edited)
}

/// Describes the progress of an unfinished file, and the effect of clearing its failure if a run cannot continue it.
pub(super) fn remark(set: &Migrations, row: &Applied) -> Option<String> {
    let file = set.file(row.version);
    let remark = row.begun.as_ref()?.remark(file.map_or("", |file| &file.description));
    Some(if goes_on(set, row, Way::Down) {
        format!("{remark}; the next revert continues with it")
    } else if file.is_none() || kept(set, row) != Kept::Nothing {
        remark
    } else {
        format!(
            "{remark}; the position is not recorded, or the completed statements were edited since, so after \
             forget_dirty the file starts over: undo its effects first"
        )
    })
}

/// Returns the steps of a job in a schema.
pub(super) fn steps(
    job: Job,
    set: &Migrations,
    applied: &[Applied],
    lenient: Leniency,
) -> Result<Vec<Step>, Problem> {
    let step = |action| move |version| Step { action, version, kept: Kept::Nothing };
    let rows = applied.iter();
    match job {
        Job::Apply { to } => {
            if let Some(problem) = problems(set, applied, lenient).into_iter().next() {
                return Err(problem);
            }
            // Any unfinished file can be continued.
            let files = set.files().iter().filter(|file| {
                let row = row_of(applied, file.version);
                reaches(to, file.version) && row.is_none_or(|row| !row.success)
            });
            Ok(files.map(|file| file.version).map(step(Action::Applied)).collect())
        }
        Job::Revert { to } => {
            let above = rows.rev().filter(|row| row.version > to);
            above.map(|row| revertible(set, row).map(step(Action::Reverted))).collect()
        }
        Job::Mark { only_first: true, .. } if !applied.is_empty() => Ok(Vec::new()),
        Job::Mark { to, .. } => {
            let files = set.files().iter().filter(|file| {
                let row = row_of(applied, file.version);
                reaches(to, file.version)
                    && row.is_none_or(|row| !row.success || !file.checksum.is(&row.checksum))
            });
            Ok(files.map(|file| file.version).map(step(Action::Marked)).collect())
        }
        Job::ForgetOrphans => {
            let orphans = rows.filter(|row| set.file(row.version).is_none());
            Ok(orphans.map(|row| row.version).map(step(Action::Forgotten)).collect())
        }
        Job::ForgetDirty { whole } => {
            let dirty = rows.filter(|row| !row.success);
            let forgotten = dirty.map(|row| {
                let kept = if whole { Kept::Nothing } else { kept(set, row) };
                Step { kept, ..step(Action::Forgotten)(row.version) }
            });
            Ok(forgotten.collect())
        }
    }
}

/// Returns `true` if the newer records leave nothing to do for a worker that was to apply these versions, in
/// ascending order: `since` contains the records starting with the first of them.
pub(super) fn were_applied(
    set: &Migrations,
    versions: &[i64],
    since: &[Applied],
    lenient: Leniency,
) -> bool {
    let is_sound = |row: &Applied| match set.file(row.version) {
        Some(file) => row.success && file.checksum.is(&row.checksum),
        None => row.success && lenient.missing,
    };
    let is_there = |version: &i64| since.iter().any(|row| row.version == *version);
    since.iter().all(is_sound) && versions.iter().all(is_there)
}

fn revertible(set: &Migrations, row: &Applied) -> Result<i64, Problem> {
    let version = row.version;
    if !row.success && !goes_on(set, row, Way::Down) {
        return Err(Problem::Dirty { version });
    }
    let file = set.file(version).ok_or(Problem::MissingFile { version })?;
    if !file.checksum.is(&row.checksum) {
        return Err(Problem::ChecksumMismatch { version });
    }
    file.down.as_ref().map(|_| version).ok_or(Problem::Irreversible { version })
}

fn reaches(to: Option<i64>, version: i64) -> bool {
    to.is_none_or(|to| version <= to)
}

/// Rows are ordered by version.
fn row_of(applied: &[Applied], version: i64) -> Option<&Applied> {
    applied.binary_search_by_key(&version, |row| row.version).ok().map(|index| &applied[index])
}

fn last(applied: &[Applied]) -> Option<i64> {
    applied.last().map(|row| row.version)
}
