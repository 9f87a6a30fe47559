use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use tokio::time::Instant;

use super::{
    Baseline, BaselineOutcome, BaselineReport, TenantBaseline,
    likeness::{Likeness, Nearest, without_records},
};
use crate::{
    error::{Error, ErrorKind},
    fleet::{Fleet, in_each_home, while_alive},
    migrate::{
        End, Failure, MigrateOptions, Migrations, Outcome, Schemas, Standing, Target,
        TenantMigration, TenantMigrator,
    },
    provision::each_version,
    reading::{fingerprints, read_with_fingerprint, subject_of},
    schema::{Fingerprint, SchemaModel, read::Subject},
};

/// Number of differences reported for a schema that matches no version.
const TOLD: usize = 3;

/// A tenant and its current state.
struct Entry {
    target: Target,
    /// The decision; `None` until it is compared.
    outcome: Option<BaselineOutcome>,
}

/// Identical schemas share one comparison.
struct Compared {
    likenesses: Vec<Likeness>,
    /// By the places of the entries.
    of: HashMap<usize, usize>,
    /// Why a file could not be run in the scratch schema.
    broken: Option<Failure>,
}

impl TenantMigrator {
    /// Records which migrations existing schemas already have, without running any: for a database
    /// that was created in another way.
    ///
    /// The migrations are run one by one in a scratch schema, which is dropped afterwards. A
    /// tenant's schema that matches the result of a version is recorded as migrated up to that
    /// version; with [`Baseline::to`], only if it is that version. Otherwise nothing is recorded,
    /// and the report names the closest version. Owners, grants, the order of columns and schema
    /// names are not compared. Tenants that already have records are unchanged.
    ///
    /// Run [`migrate_all`](Self::migrate_all) afterwards: it applies the missing migrations.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(migrator: tenantry::migrate::TenantMigrator) -> Result<(), tenantry::Error> {
    /// use tenantry::{baseline::Baseline, migrate::{MigrateOptions, Schemas}};
    ///
    /// let options = MigrateOptions::default();
    /// let report = migrator.baseline(Schemas::AllTenants, Baseline::detected(), options).await?;
    /// println!("{report}"); // 12 of 12 tenants marked as applied …
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Config`](ErrorKind::Config) when there are no tenant migrations, none of the named
    /// version, when it is unchecked and no version is named, and for the shared schema, whose
    /// records [`mark_applied`](Self::mark_applied) writes; and when the tenants cannot be listed,
    /// the scratch schema cannot be created, or the database cannot be reached. A migration that
    /// cannot run in the scratch schema is in the report.
    ///
    /// # Cancel safety
    ///
    /// When dropped, a tenant's records are written completely or not at all. The scratch schema
    /// may remain; the next call removes it.
    pub async fn baseline(
        &self,
        schemas: Schemas,
        baseline: Baseline,
        options: MigrateOptions,
    ) -> Result<BaselineReport, Error> {
        let began = Instant::now();
        options.check()?;
        let set = self.set_of_tenants()?;
        check(&baseline, set)?;
        let mut entries: Vec<_> = self.standings(&schemas).await?.into_iter().map(entry).collect();
        let mut broken = None;
        match baseline {
            Baseline { to: Some(version), unchecked: true, .. } => {
                for entry in &mut entries {
                    entry.outcome.get_or_insert(BaselineOutcome::Marked { version });
                }
            }
            _ => broken = self.detect(&baseline, &mut entries).await?,
        }
        let (end, tenants) = match baseline.dry_run {
            true => (End::Completed, entries.into_iter().map(settled).collect()),
            false => self.record(entries, &options).await?,
        };
        let report = BaselineReport::new(end, baseline.dry_run, tenants, set, began.elapsed());
        Ok(report.with_broken(broken))
    }

    /// Detects the version of each undecided schema.
    async fn detect(
        &self,
        baseline: &Baseline,
        entries: &mut [Entry],
    ) -> Result<Option<Failure>, Error> {
        let (fleet, set) = (self.fleet(), self.set_of_tenants()?);
        let mut compared = groups(fleet, entries).await?;
        if !compared.likenesses.is_empty() {
            let likenesses = &mut compared.likenesses;
            let mut show = |version, made: &SchemaModel| {
                let made = without_records(made.clone());
                for likeness in likenesses.iter_mut() {
                    likeness.compare_with(version, &made);
                }
            };
            compared.broken = each_version(fleet, set, &mut show).await?;
        }
        for (place, entry) in entries.iter_mut().enumerate() {
            if entry.outcome.is_none()
                && let Some(likeness) = compared.of.get(&place)
            {
                let likeness = &compared.likenesses[*likeness];
                entry.outcome = Some(decide(baseline, likeness, compared.broken.as_ref()));
            }
        }
        Ok(compared.broken)
    }

    /// Records the decisions, version by version.
    async fn record(
        &self,
        entries: Vec<Entry>,
        options: &MigrateOptions,
    ) -> Result<(End, Vec<TenantBaseline>), Error> {
        let (mut tenants, mut end) = (Vec::new(), End::Completed);
        let mut marked = BTreeMap::<i64, (Vec<usize>, Vec<Target>)>::new();
        for (place, Entry { target, outcome }) in entries.into_iter().enumerate() {
            let outcome = outcome.unwrap_or(BaselineOutcome::NotStarted);
            tenants.push(of_tenant(&target, outcome.clone()));
            if let BaselineOutcome::Marked { version } = outcome {
                let (places, targets) = marked.entry(version).or_default();
                places.push(place);
                targets.push(target);
            }
        }
        for (version, (places, targets)) in marked {
            let results = match end {
                End::Completed => {
                    let (ended, results) = self.record_baseline(version, targets, options).await?;
                    end = ended;
                    results.iter().map(|result| outcome_of(result, version)).collect()
                }
                _ => vec![BaselineOutcome::NotStarted; places.len()],
            };
            for (place, outcome) in places.into_iter().zip(results) {
                tenants[place].outcome = outcome;
            }
        }
        Ok((end, tenants))
    }
}

/// Checks that the migrations have the version, and that there is one if nothing is compared.
fn check(baseline: &Baseline, set: &Migrations) -> Result<(), Error> {
    match *baseline {
        Baseline { to: Some(version), .. }
            if set.files().iter().all(|f| f.version() != version) =>
        {
            set.check_version(version)?;
            let attempted = "a baseline up to version 0 would record nothing";
            Err(Error::new(ErrorKind::Config, attempted))
        }
        Baseline { to: None, unchecked: true, .. } => {
            let attempted = "an unchecked baseline needs a version";
            Err(Error::new(ErrorKind::Config, attempted))
        }
        _ => Ok(()),
    }
}

fn entry((target, standing): (Target, Standing)) -> Entry {
    let outcome = match standing {
        Standing::Recorded => Some(BaselineOutcome::HasRecords),
        Standing::Unrecorded { is_empty: true } => Some(BaselineOutcome::Empty),
        Standing::Unrecorded { is_empty: false } => None,
        Standing::Unreadable(error) => Some(BaselineOutcome::Failed { error }),
    };
    Entry { target, outcome }
}

/// A schema to compare, with the place of its entry and maintenance of its database.
type Undecided = (usize, Fleet, Subject);

/// Returns the schemas to compare.
async fn undecided(fleet: &Fleet, entries: &mut [Entry]) -> Vec<Undecided> {
    let mut found = Vec::new();
    for (place, entry) in entries.iter_mut().enumerate() {
        if entry.outcome.is_none()
            && let Ok(site) = &entry.target.site
        {
            let fleet = fleet.at(&site.home);
            match subject_of(&fleet, site).await {
                Ok(subject) => found.push((place, fleet, subject)),
                Err(error) => entry.outcome = Some(failed(error)),
            }
        }
    }
    found
}

/// Reads one schema of each group of equal ones.
async fn groups(fleet: &Fleet, entries: &mut [Entry]) -> Result<Compared, Error> {
    let undecided = undecided(fleet, entries).await;
    let mut compared = Compared { likenesses: Vec::new(), of: HashMap::new(), broken: None };
    if undecided.is_empty() {
        return Ok(compared);
    }
    let mut known = HashMap::<Fingerprint, usize>::new();
    let prints = prints_of(fleet, &undecided).await?;
    for ((place, fleet, subject), print) in undecided.iter().zip(prints) {
        let likeness = match print {
            Ok(print) if known.contains_key(&print) => Ok(known[&print]),
            Ok(_) => while_alive(fleet, read_with_fingerprint(fleet, subject)).await.map(
                |(print, model)| {
                    compared.likenesses.push(Likeness::new(model));
                    let likeness = compared.likenesses.len() - 1;
                    known.insert(print, likeness);
                    likeness
                },
            ),
            Err(error) => Err(error),
        };
        match likeness {
            Ok(likeness) => drop(compared.of.insert(*place, likeness)),
            Err(error) if error.kind() == ErrorKind::Unavailable && fleet.home().is_managers() => {
                return Err(error);
            }
            Err(error) => entries[*place].outcome = Some(failed(error)),
        }
    }
    Ok(compared)
}

/// Computes the fingerprint of each schema, in its database.
async fn prints_of(
    fleet: &Fleet,
    undecided: &[Undecided],
) -> Result<Vec<Result<Fingerprint, Error>>, Error> {
    let read = |fleet: Fleet, places: Vec<usize>| async move {
        let subjects: Vec<_> = places.iter().map(|place| &undecided[*place].2).collect();
        fingerprints(&fleet, &subjects).await
    };
    let unread = |_| Err(Error::new(ErrorKind::Busy, "reading its schema"));
    let mut prints: Vec<_> = undecided.iter().map(unread).collect();
    let homes = undecided.iter().map(|(_, fleet, _)| Some(fleet.home()));
    for in_home in in_each_home(fleet, homes, read).await? {
        in_home.scatter(&mut prints, |print| print, Error::in_home);
    }
    Ok(prints)
}

fn decide(baseline: &Baseline, likeness: &Likeness, broken: Option<&Failure>) -> BaselineOutcome {
    let exact: Vec<i64> = likeness.exact.iter().flatten().copied().collect();
    let wanted = baseline.to.filter(|version| exact.contains(version));
    match (wanted, exact.as_slice()) {
        (Some(version), _) => BaselineOutcome::Marked { version },
        (None, []) if !likeness.exact.is_empty() => match baseline.to {
            Some(_) => BaselineOutcome::OtherVersion { versions: Vec::new() },
            None => BaselineOutcome::Empty,
        },
        (None, []) => match (broken, &likeness.nearest) {
            (Some(failure), _) => BaselineOutcome::Unverified { version: failure.version },
            (None, nearest) => unlike(nearest.as_ref()),
        },
        (None, _) if baseline.to.is_some() => BaselineOutcome::OtherVersion { versions: exact },
        (None, [version]) if likeness.exact.len() == 1 => match broken {
            // The result of later files is unknown: they may have been run, and have changed only
            // rows.
            Some(failure) => BaselineOutcome::Unverified { version: failure.version },
            None => BaselineOutcome::Marked { version: *version },
        },
        (None, _) => BaselineOutcome::Ambiguous { versions: exact },
    }
}

fn unlike(nearest: Option<&Nearest>) -> BaselineOutcome {
    let differences = nearest.map_or(&[][..], |nearest| &nearest.differences);
    BaselineOutcome::Unlike {
        nearest: nearest.and_then(|nearest| nearest.version),
        differences: differences.len(),
        first: differences.iter().take(TOLD).map(ToString::to_string).collect(),
    }
}

fn failed(error: Error) -> BaselineOutcome {
    BaselineOutcome::Failed { error: Failure::from(error) }
}

fn settled(entry: Entry) -> TenantBaseline {
    let outcome = entry.outcome.unwrap_or(BaselineOutcome::NotStarted);
    of_tenant(&entry.target, outcome)
}

fn of_tenant(target: &Target, outcome: BaselineOutcome) -> TenantBaseline {
    TenantBaseline { tenant_id: Arc::clone(&target.name), schema: target.schema(), outcome }
}

/// Returns the outcome of recording a version.
fn outcome_of(result: &TenantMigration, version: i64) -> BaselineOutcome {
    match &result.outcome {
        Outcome::Marked => BaselineOutcome::Marked { version },
        // Another process has recorded something meanwhile.
        Outcome::UpToDate => BaselineOutcome::HasRecords,
        Outcome::Failed { error } => BaselineOutcome::Failed { error: error.clone() },
        _ => BaselineOutcome::NotStarted,
    }
}
