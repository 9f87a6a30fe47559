//! The part of a migration that is run.

use std::{ops::Range, sync::Arc};

use sqlx::SqlStr;

use super::{
    Action, Failure,
    plan::Step,
    source::{MigrationFile, Migrations},
};

/// The part of a migration that is run: the up or the down file.
#[derive(Clone, Copy)]
pub(super) struct Script<'a> {
    pub(super) file: &'a MigrationFile,
    pub(super) name: &'a Arc<str>,
    pub(super) sql: &'a SqlStr,
    /// The part of the text that is sent.
    pub(super) body: &'a Range<usize>,
}

impl<'a> Script<'a> {
    pub(super) fn of(set: &'a Migrations, step: &Step) -> Option<Self> {
        let file = set.file(step.version)?;
        match (step.action, &file.down) {
            (Action::Applied, _) => Some(Self::up(file)),
            (Action::Reverted, Some(down)) => {
                Some(Self { file, name: &down.name, sql: &down.sql, body: &down.body })
            }
            _ => None,
        }
    }

    /// The part that applies the migration.
    pub(super) fn up(file: &'a MigrationFile) -> Self {
        Self { file, name: &file.name, sql: &file.sql, body: &file.body }
    }

    /// Returns the SQL to send.
    pub(super) fn text(&self) -> &'a str {
        self.sql.as_str().get(self.body.clone()).unwrap_or_default()
    }

    /// Adds to a failure which file and position it concerns; the sent text started at byte `from` of the
    /// [text](Self::text), after `before` others.
    pub(super) fn blame(
        &self,
        failure: Failure,
        sent: &SqlStr,
        before: usize,
        from: usize,
    ) -> Failure {
        let byte = failure.byte_in(sent.as_str()).and_then(|byte| byte.checked_sub(before));
        let failure = failure.in_file(self.file.version, self.name);
        match byte {
            Some(byte) => failure.at(self.sql.as_str(), self.body.start + from + byte),
            None => failure,
        }
    }
}
