//! What a job does with each file, across all schemas.

use std::collections::BTreeSet;

use super::{
    plan::{Applied, Job, Leniency, pending, steps},
    source::{Fate, Migrations, Will},
};

/// Which files will be run in any schema, and which were applied in any.
pub(super) struct Scope<'a> {
    job: Job,
    set: &'a Migrations,
    lenient: Leniency,
    schemas: usize,
    run: BTreeSet<i64>,
    applied: BTreeSet<i64>,
}

impl<'a> Scope<'a> {
    pub(super) fn new(job: Job, set: &'a Migrations, lenient: Leniency) -> Self {
        let (run, applied) = (BTreeSet::new(), BTreeSet::new());
        Self { job, set, lenient, schemas: 0, run, applied }
    }

    /// Adds a schema with its records, if they could be read.
    pub(super) fn add(&mut self, recorded: Option<&[Applied]>) {
        self.schemas += 1;
        let Some(recorded) = recorded else { return };
        self.applied.extend(recorded.iter().filter(|row| row.success).map(|row| row.version));
        match self.job {
            // Problems that block this schema may be fixed by the time it is migrated.
            Job::Apply { to } => {
                let pending = pending(self.set, recorded).map(|file| file.version);
                let dirty = recorded.iter().filter(|row| !row.success).map(|row| row.version);
                self.run.extend(pending.chain(dirty).filter(|version| reaches(to, *version)));
            }
            Job::Revert { .. } => {
                let steps = steps(self.job, self.set, recorded, self.lenient);
                self.run.extend(steps.into_iter().flatten().map(|step| step.version));
            }
            Job::Mark { .. } | Job::ForgetOrphans | Job::ForgetDirty { .. } => {}
        }
    }

    /// Returns what happens to a file. If there is no schema yet, the next one gets all files.
    pub(super) fn fate(&self, version: i64) -> Fate {
        let is_run = self.run.contains(&version);
        let will = match self.job {
            Job::Apply { to } if is_run || (self.schemas == 0 && reaches(to, version)) => Will::Run,
            Job::Revert { .. } if is_run => Will::Revert,
            _ => Will::Rest,
        };
        // Only a forward run has findings about files that it does not touch.
        let applied = self.applied.contains(&version) && matches!(self.job, Job::Apply { .. });
        Fate { applied, will }
    }
}

fn reaches(to: Option<i64>, version: i64) -> bool {
    to.is_none_or(|to| version <= to)
}
