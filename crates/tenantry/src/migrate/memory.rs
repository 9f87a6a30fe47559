//! What runs remember of the tenants: read before a run, and written after it.

use std::{collections::HashMap, sync::Arc};

use super::{
    Failure, MigrateOptions, Migrations, Outcome, TenantMigration,
    ledger::{Ledger, Note},
    plan::Job,
    remembered::{Remembered, Seen, files_of},
    survey,
    targets::Target,
};
use crate::{
    catalog::Site,
    fleet::{Fleet, in_each_home},
    tenant::{Home, Ident},
};

/// What is remembered before a run.
#[derive(Debug)]
pub(super) struct Memory {
    /// The files of the run.
    files: String,
    all: HashMap<String, Remembered>,
}

impl Memory {
    pub(super) async fn read(
        fleet: &Fleet,
        set: &Migrations,
        options: &MigrateOptions,
    ) -> Result<Self, Failure> {
        let files = files_of(set, options.leniency());
        let all = match Ledger::find(fleet).await? {
            Some(ledger) => ledger.read(&files).await?,
            None => HashMap::new(),
        };
        Ok(Self { files, all })
    }

    /// Returns what is remembered of a target, if it has all files where it is now.
    pub(super) fn of<'a>(&'a self, target: &'a Target) -> Option<(&'a Site, &'a Remembered)> {
        let site = target.site.as_ref().ok()?;
        let remembered = self.all.get(&*target.name)?;
        remembered.is_of(site).then_some((site, remembered))
    }

    /// Returns the number of changes of a tenant that were known before the run.
    fn changed(&self, name: &str) -> i64 {
        self.all.get(name).map_or(0, |remembered| remembered.changed)
    }

    /// Remembers the tenants that were looked at and have all files.
    pub(super) async fn note(&self, fleet: &Fleet, complete: &[(Arc<str>, Site, Seen)]) {
        if complete.is_empty() {
            return;
        }
        let notes = complete.iter().map(|(name, site, seen)| Note {
            name,
            site,
            complete: Some(*seen),
            changed: self.changed(name),
        });
        let notes: Vec<_> = notes.collect();
        let noted = async {
            match Ledger::ensure(fleet).await? {
                Some(ledger) => ledger.note(&self.files, &notes).await,
                None => Ok(()),
            }
        };
        if let Err(failure) = noted.await {
            warn("the tenants that have all files could not be remembered", &failure);
        }
    }
}

/// Determines of which targets the schema or database is still the one that is remembered. Each server is asked once.
pub(super) async fn still_there(
    fleet: &Fleet,
    targets: &[Target],
    memory: &Memory,
) -> Result<Vec<bool>, Failure> {
    let remembered: Vec<_> = targets.iter().map(|target| memory.of(target)).collect();
    let sites = remembered.iter().map(|of| of.map(|(site, _)| site));
    let mut known = vec![false; targets.len()];
    for (place, seen) in identities(fleet, sites).await? {
        if let Some((site, remembered)) = remembered[place]
            && remembered.is_still(seen, &site.home)
        {
            known[place] = true;
        }
    }
    Ok(known)
}

/// Reads the identity of each site as it can be seen from the database of its server's URL. There is none for sites on
/// servers that are away.
async fn identities<'a>(
    fleet: &Fleet,
    sites: impl Iterator<Item = Option<&'a Site>>,
) -> Result<Vec<(usize, Seen)>, Failure> {
    let sites: Vec<_> = sites.collect();
    let homes = sites.iter().map(|site| site.map(|site| site.home.of_server()));
    let homes: Vec<Option<Home>> = homes.collect();
    let sites = &sites;
    let read = |fleet: Fleet, places: Vec<usize>| async move {
        let here = places.iter().filter_map(|place| sites[*place]);
        let asked: Vec<(Option<&Ident>, &Ident)> =
            here.map(|site| (site.home.database(), &site.schema)).collect();
        survey::identity(&fleet, &asked).await
    };
    let found = in_each_home(fleet, homes.iter().map(Option::as_ref), read).await?;
    let seen = found.into_iter().filter_map(|here| Some((here.places, here.result.ok()?)));
    Ok(seen.flat_map(|(places, seen)| places.into_iter().zip(seen)).collect())
}

/// Tenants whose change is announced.
pub(super) struct Announced<'a> {
    fleet: &'a Fleet,
    job: Job,
    ledger: Ledger<'a>,
    changed: HashMap<String, i64>,
}

/// A tenant that a run has worked on.
pub(super) struct WorkedOn<'a> {
    pub(super) result: &'a TenantMigration,
    pub(super) site: &'a Site,
    /// Its identity before.
    pub(super) before: Seen,
}

/// Announces that the records of these tenants are about to change, if anything is remembered.
///
/// # Errors
///
/// Only if the job undoes something, which must not stay remembered as done.
pub(super) async fn announce<'a>(
    fleet: &'a Fleet,
    job: Job,
    names: &[&str],
) -> Result<Option<Announced<'a>>, Failure> {
    if names.is_empty() {
        return Ok(None);
    }
    let announced = async {
        let ledger = match job {
            Job::Apply { to: None } => Ledger::ensure(fleet).await?,
            _ => Ledger::find(fleet).await?,
        };
        let Some(ledger) = ledger else { return Ok(None) };
        let changed = ledger.announce(names).await?;
        Ok(Some(Announced { fleet, job, ledger, changed }))
    };
    match (announced.await, job) {
        (Err(failure), Job::Apply { .. } | Job::Mark { .. }) => {
            warn("a change could not be announced, so that it is not remembered", &failure);
            Ok(None)
        }
        (announced, _) => announced,
    }
}

impl Announced<'_> {
    /// Remembers the results of a run with these files.
    pub(super) async fn end(self, files: &str, worked_on: &[WorkedOn<'_>]) {
        let is_complete = |of: &WorkedOn<'_>| {
            self.job == (Job::Apply { to: None })
                && matches!(of.result.outcome, Outcome::Migrated | Outcome::UpToDate)
        };
        let sites = worked_on.iter().map(|of| is_complete(of).then_some(of.site));
        let found = identities(self.fleet, sites).await.unwrap_or_default();
        let now: HashMap<_, _> = found.into_iter().collect();
        let notes = worked_on.iter().enumerate().filter_map(|(place, of)| {
            let name = of.result.tenant_id.as_deref()?;
            let is_same = |seen: &Seen| seen.is_schema_of(of.before, &of.site.home);
            let complete = now.get(&place).copied().filter(is_same);
            let changed = self.changed.get(name).copied().unwrap_or_default();
            Some(Note { name, site: of.site, complete, changed })
        });
        let notes: Vec<_> = notes.collect();
        if let Err(failure) = self.ledger.end(files, &notes).await {
            warn("the results of the run could not be remembered", &failure);
        }
    }
}

pub(super) fn warn(what: &str, failure: &Failure) {
    tracing::warn!(
        target: "tenantry::migrate",
        error = failure as &dyn std::error::Error,
        "{what}"
    );
}
