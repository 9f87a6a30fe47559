//! The migrator's part in recording a baseline: finds schemas without records and writes the records.

use super::{
    End, Failure, MigrateOptions, Migrations, Schemas, TenantMigration, TenantMigrator,
    plan::Job,
    targets::{RowTenants, Target, targets_of},
    tracking::Presence,
};
use crate::{
    error::{Error, ErrorKind},
    fleet::Fleet,
};

/// The state of a schema's migration records.
#[derive(Debug)]
pub(crate) enum Standing {
    /// Migrations are recorded.
    Recorded,
    /// Nothing is recorded.
    Unrecorded {
        /// The schema has no objects that a migration could have created.
        is_empty: bool,
    },
    /// It could not be read.
    Unreadable(Failure),
}

impl TenantMigrator {
    pub(crate) fn fleet(&self) -> &Fleet {
        &self.fleet
    }

    /// Returns the migrations of tenants.
    pub(crate) fn set_of_tenants(&self) -> Result<&Migrations, Error> {
        self.set(&Schemas::AllTenants)
    }

    /// Determines which tenants have records.
    pub(crate) async fn standings(
        &self,
        schemas: &Schemas,
    ) -> Result<Vec<(Target, Standing)>, Error> {
        if *schemas == Schemas::Shared {
            let attempted = "a baseline is for tenants: record the migrations of the shared schema with mark_applied";
            return Err(Error::new(ErrorKind::Config, attempted));
        }
        let surveyed =
            self.survey_of(targets_of(&self.fleet, schemas, RowTenants::NotByName).await?).await?;
        let standing = surveyed.into_iter().map(|(target, recorded)| {
            let standing = match recorded {
                Ok(recorded) if recorded.applied.is_empty() => Standing::Unrecorded {
                    is_empty: recorded.presence == Presence::NoTable && recorded.tables == 0,
                },
                Ok(_) => Standing::Recorded,
                Err(failure) => Standing::Unreadable(failure),
            };
            (target, standing)
        });
        Ok(standing.collect())
    }

    /// Records the files up to a version in schemas that still have no records once their lock is held.
    pub(crate) async fn record_baseline(
        &self,
        to: i64,
        targets: Vec<Target>,
        options: &MigrateOptions,
    ) -> Result<(End, Vec<TenantMigration>), Error> {
        let surveyed = self.survey_of(targets).await?;
        let job = Job::Mark { to: Some(to), only_first: true };
        Ok(self.order(job, self.set_of_tenants()?, options).over(surveyed).await)
    }
}
