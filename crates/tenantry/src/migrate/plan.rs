//! What is to be done in a schema: the files compared with what is recorded there.

use std::fmt;

use serde::Serialize;

use super::{
    Outcome,
    lint::{Statement, statements},
    report::Aim,
    source::{MigrationFile, Migrations},
    stage::{Begun, Stage, Way},
};

/// What is recorded of one migration in a schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Applied {
    pub(super) version: i64,
    /// Whether it was run to its end.
    pub(super) success: bool,
    pub(super) checksum: Vec<u8>,
    /// How far it has come, when it was not and that was looked for.
    pub(super) begun: Option<Begun>,
}

/// What is wanted of the schemas.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Job {
    /// Run what was not run yet, up to this version.
    Apply { to: Option<i64> },
    /// Take back what is above this version.
    Revert { to: i64 },
    /// Record the files up to this version as applied, without running them.
    Mark {
        to: Option<i64>,
        /// Only where nothing is on record.
        only_first: bool,
    },
    /// Delete the records of migrations that have no file.
    ForgetOrphans,
    /// Forget that migrations have failed which were not run to their end, or that they were begun at all.
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

    /// Returns what has come of a schema in which all of it was done.
    pub(super) fn outcome(self) -> Outcome {
        match self {
            Self::Apply { .. } => Outcome::Migrated,
            Self::Revert { .. } => Outcome::Reverted,
            Self::Mark { .. } => Outcome::Marked,
            Self::ForgetOrphans | Self::ForgetDirty { .. } => Outcome::Forgotten,
        }
    }
}

/// What is put up with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Leniency {
    pub(super) out_of_order: bool,
    pub(super) missing: bool,
}

/// One thing to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) action: Action,
    pub(super) version: i64,
    /// What stays on record of what is forgotten.
    pub(super) kept: Kept,
}

/// What stays on record of a file that was begun and not run to its end, when it is forgotten that it has failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kept {
    Nothing,
    /// How far it counts as run.
    Stage(Stage),
    /// All of it: a run goes on with the file in any case.
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
    /// Its record was deleted; or it was forgotten that it had failed, so that the next run goes on with it.
    Forgotten,
}

/// Why a schema cannot be migrated as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(tag = "problem", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Problem {
    /// A migration was begun and not run to its end, outside a transaction. [`begun`] says which statement has
    /// failed, and whether the next run goes on with it.
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
    /// A migration was applied that has no file.
    MissingFile {
        /// Its version.
        version: i64,
    },
    /// A file was not applied, and one that comes after it was.
    OutOfOrder {
        /// Its version.
        version: i64,
        /// The latest version that was applied.
        after: i64,
    },
    /// There is no way back of a migration.
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
                "version {version} was begun and not run to its end: repair the data or the schema, then call \
                 forget_dirty and run again, or mark_applied if the schema is as the file says"
            ),
            Self::ChecksumMismatch { version } => write!(
                f,
                "version {version} was applied, and its file was edited since: undo that and put the \
                 change into a new file; if the lint had asked for it, undo it and use Lint::skip({version}), or \
                 record the file as it is now with mark_applied"
            ),
            Self::MissingFile { version } => write!(
                f,
                "version {version} was applied and has no file: bring the file back, or forget orphans"
            ),
            Self::OutOfOrder { version, after } => write!(
                f,
                "version {version} was not applied and comes before {after}, which was: give the file a \
                 later version, or allow out of order"
            ),
            Self::Irreversible { version } => {
                write!(f, "version {version} has no .down.sql, so it cannot be taken back")
            }
        }
    }
}

/// Finds everything that keeps a schema from being migrated, the worst first.
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

/// Returns what is sent of a file in a direction, when that is outside a transaction.
fn text_outside(file: &MigrationFile, way: Way) -> Option<&str> {
    let (sql, body, transactional) = match (way, &file.down) {
        (Way::Up, _) => (&file.sql, &file.body, file.transactional),
        (Way::Down, Some(down)) => (&down.sql, &down.body, down.transactional),
        (Way::Down, None) => return None,
    };
    sql.as_str().get(body.clone()).filter(|_| !transactional)
}

/// Says whether a run may go on with a file that was begun outside a transaction and not run to its end.
pub(super) fn goes_on(set: &Migrations, row: &Applied, way: Way) -> bool {
    let file = set.file(row.version).filter(|file| file.checksum.is(&row.checksum));
    let text = file.and_then(|file| text_outside(file, way));
    let (Some(begun), Some(text)) = (&row.begun, text) else { return false };
    let read = statements(text).into_iter().map(|place| Statement::read(&text[place]));
    // The checksum is that of the way up.
    let is_it = way == Way::Up || begun.is_of(text);
    is_it && begun.resume(way, &read.collect::<Vec<_>>()).is_some()
}

/// Returns what stays on record of a file when it is forgotten that it has failed.
fn kept(set: &Migrations, row: &Applied) -> Kept {
    match goes_on(set, row, Way::Up) || goes_on(set, row, Way::Down) {
        // What was made since the record was written is told by the record's age.
        true => Kept::All,
        false => seen_to(set, row).map_or(Kept::Nothing, Kept::Stage),
    }
}

fn seen_to(set: &Migrations, row: &Applied) -> Option<Stage> {
    let (file, begun) = (set.file(row.version)?, row.begun.as_ref()?);
    let is_edited = !file.checksum.is(&row.checksum);
    begun.seen_to(text_outside(file, begun.stage()?.way)?, is_edited)
}

/// Says what has come of a file that was begun and not run to its end, and what forgetting that comes to, where it
/// is not to go on.
pub(super) fn remark(set: &Migrations, row: &Applied) -> Option<String> {
    let file = set.file(row.version);
    let remark = row.begun.as_ref()?.remark(file.map_or("", |file| &file.description));
    Some(if goes_on(set, row, Way::Down) {
        format!("{remark}; the next revert goes on with it")
    } else if file.is_none() || kept(set, row) != Kept::Nothing {
        remark
    } else {
        format!(
            "{remark}; where to go on is not on record, or what was run was edited since, so after forget_dirty the \
             file starts over: undo what it has done first"
        )
    })
}

/// Returns what a job comes to in a schema.
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
            // Whatever was begun and not done can be gone on with.
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

/// Returns `true` if what is recorded since leaves nothing to do for somebody who was to apply these versions, in
/// ascending order: `since` holds what is recorded from the first of them on.
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

/// Rows are in the order of their versions.
fn row_of(applied: &[Applied], version: i64) -> Option<&Applied> {
    applied.binary_search_by_key(&version, |row| row.version).ok().map(|index| &applied[index])
}

fn last(applied: &[Applied]) -> Option<i64> {
    applied.last().map(|row| row.version)
}
