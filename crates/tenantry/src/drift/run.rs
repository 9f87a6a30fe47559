//! Compares the schemas of many tenants with a reference.

use std::{collections::HashMap, sync::Arc, time::SystemTime};

use futures_util::future::try_join;
use tokio::time::Instant;

use super::{
    Drift, DriftReport, DriftStatus, Hidden, Matching, Reference, ReferenceName, TenantDrift,
    besides::{Besides, besides},
    diff::{self, Diffs},
    report::Findings,
};
use crate::{
    error::{Error, ErrorKind},
    fleet::Fleet,
    migrate::{Migrations, Target, recorded_versions, targets_of},
    provision::model_of_migrations,
    reading,
    schema::{
        self, Difference, Fingerprint, ObjectKey, Repair, SchemaModel, compare, read::Subject,
        without_consequences,
    },
    tenant::Ident,
};

/// A tenant that is compared.
struct Entry {
    name: Arc<str>,
    schema: Option<Arc<str>>,
    subject: Result<Subject, Error>,
}

/// The reference of a group of tenants.
struct Expected {
    model: Arc<SchemaModel>,
    /// A schema with this fingerprint needs no comparison.
    fingerprint: Option<Fingerprint>,
}

/// The differences of a schema, and how many the rules have hidden.
#[derive(Clone, Default)]
struct Compared {
    findings: Arc<[Difference]>,
    diffs: Diffs,
    hidden: Vec<usize>,
}

/// A reference by its name, with the models by recorded version.
type Named = (ReferenceName, HashMap<Option<i64>, Expected>);

pub(super) async fn run(drift: &Drift) -> Result<DriftReport, Error> {
    let (began, timestamp) = (Instant::now(), SystemTime::now());
    let fleet = &drift.fleet;
    let entries = entries(drift).await?;
    let versions = match &drift.reference {
        Reference::Recorded(_) => versions(fleet, &entries).await?,
        _ => entries.iter().map(|_| Ok(None)).collect(),
    };
    let subjects: Vec<_> = subjects(&entries).collect();
    let (name, expected) = expect(drift, &entries, &versions).await?;
    let (besides, prints) =
        try_join(besides(fleet, &subjects), fingerprints(fleet, &entries)).await?;
    let Besides { beyond, references, shared: shared_references, mut refused } = besides;

    let mut comparison = Comparison::new(drift, &name, expected);
    let shared_references = drift.keep(&shared_references, |of| &of.object, &mut comparison.hidden);
    let (mut details, mut diffs) = (Vec::with_capacity(entries.len()), Vec::new());
    let mut places = 0..subjects.len();
    for ((entry, version), print) in entries.iter().zip(versions).zip(prints) {
        let place = entry.subject.as_ref().ok().and_then(|_| places.next());
        let print = match place.and_then(|place| refused.remove(&place)) {
            Some(error) => Err(error),
            None => print,
        };
        let (mut tenant, of_tenant) = comparison.tenant(entry, version, print).await?;
        if let Some(place) = place {
            let hidden = &mut comparison.hidden;
            tenant.beyond = drift.keep(&beyond[place], |beyond| &beyond.object, hidden);
            tenant.references = drift.keep(&references[place], |of| &of.object, hidden);
        }
        details.push(tenant);
        diffs.push(of_tenant);
    }
    let hidden = hidden_by(drift, &comparison.hidden);
    let found = Findings { details, diffs, shared_references, hidden };
    Ok(DriftReport::new(name, found, timestamp, began.elapsed()))
}

/// The comparison of all tenants.
struct Comparison<'a> {
    drift: &'a Drift,
    name: &'a ReferenceName,
    expected: HashMap<Option<i64>, Expected>,
    /// Results by recorded version and fingerprint.
    known: HashMap<(Option<i64>, Fingerprint), Compared>,
    /// How many findings each rule has hidden.
    hidden: Vec<usize>,
}

impl<'a> Comparison<'a> {
    fn new(
        drift: &'a Drift,
        name: &'a ReferenceName,
        expected: HashMap<Option<i64>, Expected>,
    ) -> Self {
        Self { drift, name, expected, known: HashMap::new(), hidden: vec![0; drift.rules()] }
    }

    /// Compares a tenant. Fails only if there is no database: then there is nothing to report.
    async fn tenant(
        &mut self,
        entry: &Entry,
        version: Result<Option<i64>, Error>,
        print: Result<Fingerprint, Error>,
    ) -> Result<(TenantDrift, Diffs), Error> {
        let mut tenant = TenantDrift {
            tenant_id: Arc::clone(&entry.name),
            schema: entry.schema.clone(),
            status: DriftStatus::Error,
            findings: Arc::default(),
            beyond: Arc::default(),
            references: Arc::default(),
            version: None,
            error: None,
        };
        let compared = async { self.compare(entry, version?, print?).await };
        match compared.await {
            Ok((version, found)) => {
                for (sum, count) in self.hidden.iter_mut().zip(&found.hidden) {
                    *sum += count;
                }
                tenant.status = self.status(version, &found);
                tenant.version = version;
                tenant.findings = found.findings;
                Ok((tenant, found.diffs))
            }
            Err(error) if error.kind() == ErrorKind::Unavailable => Err(error),
            Err(error) => {
                tenant.error = Some(format!("{error:#}"));
                Ok((tenant, Diffs::default()))
            }
        }
    }

    /// Finds the differences of a schema, or reuses those of an equal one.
    async fn compare(
        &mut self,
        entry: &Entry,
        version: Option<i64>,
        print: Fingerprint,
    ) -> Result<(Option<i64>, Compared), Error> {
        let expected = self.expected.get(&version).ok_or_else(|| {
            Error::new(ErrorKind::Migration, "finding the result of its recorded version")
        })?;
        if expected.fingerprint.as_ref() == Some(&print) {
            return Ok((version, Compared::default()));
        }
        let mut key = (version, print);
        if let Some(found) = self.known.get(&key) {
            return Ok((version, found.clone()));
        }
        let Ok(subject) = &entry.subject else {
            return Err(Error::new(ErrorKind::Placement, "reading its schema"));
        };
        let (print, model) = reading::read_with_fingerprint(&self.drift.fleet, subject).await?;
        // It may have changed since.
        key.1 = print;
        let found = judge(self.drift, &expected.model, &model);
        self.known.insert(key, found.clone());
        Ok((version, found))
    }

    fn status(&self, version: Option<i64>, found: &Compared) -> DriftStatus {
        let is_behind = matches!(
            self.name,
            ReferenceName::Recorded(latest) if version.is_some_and(|version| version < *latest)
        );
        match (found.findings.is_empty(), is_behind) {
            (false, _) => DriftStatus::Drifted,
            (true, true) => DriftStatus::Behind,
            (true, false) => DriftStatus::Same,
        }
    }
}

pub(super) async fn repair(drift: &Drift, tenant: &Arc<str>) -> Result<Repair, Error> {
    let fleet = &drift.fleet;
    let subject = reading::subject_named(fleet, tenant).await?;
    let entries = match drift.reference {
        Reference::First => entries(drift).await?,
        _ => {
            let subject = Ok(subject.clone());
            vec![Entry { name: Arc::clone(tenant), schema: None, subject }]
        }
    };
    let versions = match &drift.reference {
        Reference::Recorded(_) => {
            let versions: Result<Vec<_>, Error> =
                versions(fleet, &entries).await?.into_iter().collect();
            versions?.into_iter().map(Ok).collect()
        }
        _ => vec![Ok(None)],
    };
    let (name, expected) = expect(drift, &entries, &versions).await?;
    let expected = expected
        .into_values()
        .next()
        .ok_or_else(|| Error::new(ErrorKind::Migration, "finding the tenant's reference"))?;
    let actual = reading::read(fleet, &subject).await?;
    let repair = repair_of(drift, &expected.model, &actual);
    Ok(Repair { reference: name.to_string(), ..repair })
}

/// Repairs the differences that no rule hides: the others stay, even if their table is recreated.
fn repair_of(drift: &Drift, expected: &SchemaModel, actual: &SchemaModel) -> Repair {
    let hidden = compare(expected, actual).into_iter();
    let hidden: Vec<_> = hidden
        .filter(|difference| drift.hides(|rule| rule.matches(difference)).is_some())
        .map(diff::seen_from_the_other)
        .collect();
    match hidden.is_empty() {
        true => schema::repair(expected, actual),
        false => schema::repair(&diff::without(expected, &hidden, actual), actual),
    }
}

async fn entries(drift: &Drift) -> Result<Vec<Entry>, Error> {
    let mut entries = Vec::new();
    for target in targets_of(&drift.fleet, &drift.schemas).await? {
        entries.push(entry(&drift.fleet, target).await);
    }
    Ok(entries)
}

/// Returns the tenants that have a schema's name.
fn subjects(entries: &[Entry]) -> impl Iterator<Item = &Subject> {
    entries.iter().filter_map(|entry| entry.subject.as_ref().ok())
}

async fn entry(fleet: &Fleet, target: Target) -> Entry {
    let schema = target.schema();
    let subject = match target.site {
        Ok(site) => reading::subject_of(fleet, &site).await,
        Err(error) => Err(error),
    };
    Entry { name: target.name, schema, subject }
}

/// Compares, and applies the rules.
fn judge(drift: &Drift, expected: &SchemaModel, actual: &SchemaModel) -> Compared {
    let (mut kept, mut hidden) = (Vec::new(), Vec::new());
    let mut counts = vec![0; drift.rules()];
    for difference in compare(expected, actual) {
        match drift.hides(|rule| rule.matches(&difference)) {
            Some(rule) => {
                counts[rule] += 1;
                hidden.push(difference);
            }
            None => kept.push(difference),
        }
    }
    let findings = without_consequences(&kept, expected, actual);
    let diffs = match hidden.is_empty() {
        true => diff::diffs(&findings, expected, actual),
        false => diff::diffs(&findings, expected, &diff::without(actual, &hidden, expected)),
    };
    Compared { findings: findings.into(), diffs, hidden: counts }
}

impl Drift {
    /// Returns the number of rules that can hide something, including those of `include`.
    fn rules(&self) -> usize {
        self.include.len().min(1) + self.ignore.len()
    }

    /// Returns the number of the rule that hides something.
    fn hides(&self, fits: impl Fn(&Matching) -> bool) -> Option<usize> {
        let not_included = self.include.len().min(1);
        if not_included > 0 && !self.include.iter().any(&fits) {
            return Some(0);
        }
        self.ignore.iter().position(fits).map(|rule| not_included + rule)
    }

    /// Keeps what no rule hides, and counts the rest.
    fn keep<T: Clone>(
        &self,
        all: &[T],
        object: impl Fn(&T) -> &ObjectKey,
        hidden: &mut [usize],
    ) -> Arc<[T]> {
        let mut kept = Vec::with_capacity(all.len());
        for one in all {
            match self.hides(|rule| rule.fits(object(one), None)) {
                Some(rule) => hidden[rule] += 1,
                None => kept.push(one.clone()),
            }
        }
        kept.into()
    }
}

fn hidden_by(drift: &Drift, counts: &[usize]) -> Vec<Hidden> {
    let not_included = (!drift.include.is_empty()).then_some(None);
    let rules = not_included.into_iter().chain(drift.ignore.iter().cloned().map(Some));
    let hidden = rules.zip(counts).filter(|(_, count)| **count > 0);
    hidden.map(|(rule, differences)| Hidden { rule, differences: *differences }).collect()
}

/// Reads the references of the tenants, by their recorded version if that is relevant.
async fn expect(
    drift: &Drift,
    entries: &[Entry],
    versions: &[Result<Option<i64>, Error>],
) -> Result<Named, Error> {
    let fleet = &drift.fleet;
    let role = entries.iter().find_map(|entry| entry.subject.as_ref().ok()?.role.clone());
    match &drift.reference {
        Reference::First => first(fleet, entries).await,
        Reference::Tenant(name) => {
            tenant(fleet, name, &reading::subject_named(fleet, name).await?).await
        }
        Reference::Model(model) => {
            let expected = Expected { model: Arc::clone(model), fingerprint: None };
            Ok((ReferenceName::Model(model.schema.clone()), [(None, expected)].into()))
        }
        Reference::Migrations(set) => {
            let expected = made_by(fleet, set, None, role.as_ref()).await?;
            Ok((ReferenceName::Migrations(set.latest()), [(None, expected)].into()))
        }
        Reference::Recorded(set) => {
            let mut expected = HashMap::new();
            for version in versions.iter().filter_map(|version| version.as_ref().ok()) {
                if !expected.contains_key(version) {
                    let made = made_by(fleet, set, *version, role.as_ref()).await?;
                    expected.insert(*version, made);
                }
            }
            Ok((ReferenceName::Recorded(set.latest()), expected))
        }
    }
}

/// Returns the result of migrations, up to a version.
async fn made_by(
    fleet: &Fleet,
    set: &Migrations,
    version: Option<i64>,
    role: Option<&Ident>,
) -> Result<Expected, Error> {
    let model = model_of_migrations(fleet, set, version, role).await?;
    Ok(Expected { model: Arc::new(model), fingerprint: None })
}

/// Reads the first tenant: one without a schema name cannot be the reference.
async fn first(fleet: &Fleet, entries: &[Entry]) -> Result<Named, Error> {
    let first = entries.iter().find_map(|entry| Some((entry, entry.subject.as_ref().ok()?)));
    match first {
        Some((entry, subject)) => tenant(fleet, &entry.name, subject).await,
        // No tenant, nothing to compare.
        None => Ok((ReferenceName::Tenant("".into()), HashMap::new())),
    }
}

/// Reads a tenant that the others are compared with.
async fn tenant(fleet: &Fleet, name: &Arc<str>, subject: &Subject) -> Result<Named, Error> {
    let (print, model) = reading::read_with_fingerprint(fleet, subject).await?;
    let expected = Expected { model: Arc::new(model), fingerprint: Some(print) };
    Ok((ReferenceName::Tenant(Arc::clone(name)), [(None, expected)].into()))
}

/// Reads the recorded version of each tenant, 0 for none.
async fn versions(
    fleet: &Fleet,
    entries: &[Entry],
) -> Result<Vec<Result<Option<i64>, Error>>, Error> {
    let schemas: Vec<_> = subjects(entries).map(|subject| &subject.schema).collect();
    let mut read = recorded_versions(fleet, &schemas).await?.into_iter();
    let version = |entry: &Entry| match &entry.subject {
        Ok(_) => match read.next() {
            Some(Ok(version)) => Ok(Some(version)),
            Some(Err(error)) => Err(error),
            None => Ok(None),
        },
        Err(_) => Ok(None),
    };
    Ok(entries.iter().map(version).collect())
}

/// Computes the fingerprints of all tenants that have a schema.
async fn fingerprints(
    fleet: &Fleet,
    entries: &[Entry],
) -> Result<Vec<Result<Fingerprint, Error>>, Error> {
    let subjects: Vec<_> = subjects(entries).collect();
    let mut prints = reading::fingerprints(fleet, &subjects).await?.into_iter();
    let print = |entry: &Entry| match &entry.subject {
        Ok(_) => {
            prints.next().unwrap_or_else(|| Err(Error::new(ErrorKind::Busy, "reading its schema")))
        }
        Err(error) => Err(Error::new(error.kind(), format!("{error:#}"))),
    };
    Ok(entries.iter().map(print).collect())
}
