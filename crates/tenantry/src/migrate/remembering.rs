//! A survey that leaves out the tenants that are remembered to have all files.

use std::collections::HashSet;

use futures_util::join;

use super::{
    Failure, FailureReason, MigrateOptions, Migrations, Schemas, TenantMigrator,
    memory::{Memory, still_there, warn},
    migrator::Surveyed,
    plan::{Applied, Job, steps},
    remembered::{Seen, sample},
    survey::Recorded,
    targets::{RowTenants, Target, targets_of},
    tracking::Presence,
};
use crate::error::Error;

impl TenantMigrator {
    /// Reads the migration records of all tenants, except of those that are remembered to have all files. Sets aside
    /// those in which the job must not run files.
    pub(super) async fn survey_all(
        &self,
        job: Job,
        set: &Migrations,
        options: &MigrateOptions,
    ) -> Result<(Surveyed, Option<Memory>), Error> {
        let all = &Schemas::AllTenants;
        if job != (Job::Apply { to: None }) {
            return Ok((self.survey_for(job, all, options).await?, None));
        }
        let (targets, memory) = join!(
            targets_of(&self.fleet, all, RowTenants::Together),
            Memory::read(&self.fleet, set, options)
        );
        let targets = targets?;
        self.refuse_two_sets_in_one_schema(&targets)?;
        let memory = match memory {
            Ok(memory) => Some(memory),
            Err(failure) if failure.reason == FailureReason::Connection => {
                return Err(failure.into());
            }
            Err(failure) => {
                warn(
                    "what is remembered of the tenants cannot be read: all are looked at",
                    &failure,
                );
                None
            }
        };
        let mut surveyed = match &memory {
            Some(memory) if !options.verify => {
                self.survey_but_remembered(targets, memory, set, options).await?
            }
            _ => self.survey_of(targets).await?,
        };
        self.put_aside(&mut surveyed, all, options);
        Ok((surveyed, memory))
    }

    /// Reads the migration records of those that are not remembered, and of a sample of the others. If one of the
    /// sample is not as it is remembered, nothing is trusted.
    async fn survey_but_remembered(
        &self,
        targets: Vec<Target>,
        memory: &Memory,
        set: &Migrations,
        options: &MigrateOptions,
    ) -> Result<Surveyed, Failure> {
        let known = still_there(&self.fleet, &targets, memory).await?;
        let of_known = targets.iter().enumerate().filter(|(place, _)| known[*place]);
        let of_known = of_known.filter_map(|(place, target)| {
            let (site, remembered) = memory.of(target)?;
            Some((place, &site.home, remembered))
        });
        let sampled: HashSet<_> = sample(of_known).into_iter().collect();
        let is_trusted = |place: &usize| known[*place] && !sampled.contains(place);
        let (mut trusted, mut looked_at) = (Vec::new(), Vec::new());
        for (place, target) in targets.into_iter().enumerate() {
            if is_trusted(&place) { &mut trusted } else { &mut looked_at }.push((place, target));
        }
        let mut surveyed = self.survey_places(looked_at).await?;
        let is_wrong = |(place, (_, recorded)): &(usize, (Target, Result<Recorded, Failure>))| {
            sampled.contains(place)
                && recorded.as_ref().is_ok_and(|recorded| {
                    let steps =
                        steps(Job::Apply { to: None }, set, &recorded.applied, options.leniency());
                    steps.map_or(true, |steps| !steps.is_empty())
                })
        };
        if surveyed.iter().any(is_wrong) {
            tracing::warn!(
                target: "tenantry::migrate",
                "the records of a tenant are not as they were remembered: all tenants are looked at"
            );
            surveyed.extend(self.survey_places(trusted).await?);
        } else {
            let complete = complete(set);
            surveyed.extend(
                trusted.into_iter().map(|(place, target)| (place, (target, Ok(complete.clone())))),
            );
        }
        // Two sorted runs.
        surveyed.sort_by_key(|(place, _)| *place);
        Ok(surveyed.into_iter().map(|(_, surveyed)| surveyed).collect())
    }

    async fn survey_places(
        &self,
        targets: Vec<(usize, Target)>,
    ) -> Result<Vec<(usize, (Target, Result<Recorded, Failure>))>, Failure> {
        let (places, targets): (Vec<_>, Vec<_>) = targets.into_iter().unzip();
        Ok(places.into_iter().zip(self.survey_of(targets).await?).collect())
    }
}

/// Returns the records of a schema with all files.
fn complete(set: &Migrations) -> Recorded {
    let applied = set.files().iter().map(|file| Applied {
        version: file.version,
        success: true,
        checksum: file.checksum.recorded().to_vec(),
        begun: None,
    });
    // Without an identity: it was not looked at.
    let seen = Seen::default();
    Recorded { presence: Presence::Table, applied: applied.collect(), tables: 0, seen }
}
