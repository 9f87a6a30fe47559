//! Compares the schemas of many tenants with a reference.

use std::{collections::HashMap, sync::Arc, time::SystemTime};

use futures_util::{FutureExt, future::try_join};
use parking_lot::Mutex;
use tokio::time::Instant;

use super::{
    Drift, DriftReport, DriftStatus, Hidden, Matching, Reference, ReferenceName, TenantDrift,
    besides::{Besides, BesidesOfOne, besides},
    diff::{self, Diffs},
    report::{Findings, RowTables},
};
use crate::{
    catalog::Site,
    error::{Error, ErrorKind},
    fleet::{Fleet, in_each_home, while_alive},
    migrate::{
        Migrations, Misremembered, RowTenants, Target, forget_misremembered, recorded_versions,
        targets_of,
    },
    provision::model_of_migrations,
    reading,
    schema::{
        self, CrossReference, Difference, Fingerprint, ObjectKey, ObjectKind, Repair, SchemaModel,
        compare, read::Subject, without_consequences,
    },
    tenant::{Home, Ident},
};

/// A tenant that is compared.
struct Entry {
    name: Arc<str>,
    schema: Option<Arc<str>>,
    /// The database that has the schema.
    home: Home,
    /// How migrations reach it.
    site: Option<Site>,
    subject: Result<Subject, Error>,
}

impl Entry {
    /// Returns the database, if there is a schema to compare.
    fn home(&self) -> Option<&Home> {
        self.subject.is_ok().then_some(&self.home)
    }
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
    let (entries, rows) = entries(drift).await?;
    let versions = match &drift.reference {
        Reference::Recorded(_) => versions(fleet, &entries).await?,
        _ => entries.iter().map(|_| Ok(None)).collect(),
    };
    let (name, expected) = expect(drift, &entries, &versions).await?;
    let (besides, prints) =
        try_join(besides_of(fleet, &entries), fingerprints(fleet, &entries)).await?;
    let BesidesOfAll { each: besides, shared: shared_references } = besides;

    let mut comparison = Comparison::new(drift, &name, expected);
    let shared_references = drift.keep(&shared_references, |of| &of.object, &mut comparison.hidden);
    let (mut details, mut diffs) = (Vec::with_capacity(entries.len()), Vec::new());
    for (((entry, version), print), besides) in
        entries.iter().zip(versions).zip(prints).zip(besides)
    {
        let (print, besides) = match besides {
            Ok(besides) => (print, besides),
            Err(error) => (print.and(Err(error)), BesidesOfOne::default()),
        };
        let (mut tenant, of_tenant) = comparison.tenant(entry, version, print).await?;
        let hidden = &mut comparison.hidden;
        tenant.beyond = drift.keep(&besides.beyond, |beyond| &beyond.object, hidden);
        tenant.references = drift.keep(&besides.references, |of| &of.object, hidden);
        details.push(tenant);
        diffs.push(of_tenant);
    }
    for (place, wrong) in misremembered(drift, &entries).await {
        details[place].misremembered = Some(wrong);
    }
    let hidden = hidden_by(drift, &comparison.hidden);
    let found = Findings { details, diffs, shared_references, hidden, rows };
    Ok(DriftReport::new(name, found, timestamp, began.elapsed()))
}

/// Returns the tenants that migration runs remember wrongly, by their index. It does not fail a comparison.
async fn misremembered(drift: &Drift, entries: &[Entry]) -> HashMap<usize, Misremembered> {
    let files = match &drift.reference {
        Reference::Migrations(set) | Reference::Recorded(set) => Some(set),
        _ => None,
    };
    let asked = entries
        .iter()
        .map(|entry| entry.subject.is_ok().then_some((&*entry.name, entry.site.as_ref()?)));
    let asked: Vec<_> = asked.collect();
    let found = forget_misremembered(&drift.fleet, &asked, files).boxed().await;
    found.unwrap_or_else(|error| {
        tracing::warn!(
            target: "tenantry::drift",
            error = &error as &dyn std::error::Error,
            "what migration runs remember of the tenants could not be compared with their records"
        );
        HashMap::new()
    })
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

    /// Compares a tenant. Fails only if the manager's database is away: then there is nothing to report.
    async fn tenant(
        &mut self,
        entry: &Entry,
        version: Result<Option<i64>, Error>,
        print: Result<Fingerprint, Error>,
    ) -> Result<(TenantDrift, Diffs), Error> {
        let mut tenant = TenantDrift {
            tenant_id: Arc::clone(&entry.name),
            schema: entry.schema.clone(),
            server: None,
            database: None,
            status: DriftStatus::Error,
            findings: Arc::default(),
            beyond: Arc::default(),
            references: Arc::default(),
            version: None,
            misremembered: None,
            error: None,
        };
        (tenant.server, tenant.database) =
            self.drift.fleet.names_of(entry.site.as_ref().map(|site| &site.home));
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
            Err(error) if error.kind() == ErrorKind::Unavailable && entry.home.is_managers() => {
                Err(error)
            }
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
        let fleet = self.drift.fleet.at(&entry.home);
        let read = reading::read_with_fingerprint(&fleet, subject);
        let (print, model) = while_alive(&fleet, read).await?;
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
    let (at_home, subject) = reading::subject_named(fleet, tenant).await?;
    let entries = match drift.reference {
        Reference::First => entries(drift).await?.0,
        _ => {
            let (subject, home) = (Ok(subject.clone()), at_home.home().clone());
            vec![Entry { name: Arc::clone(tenant), schema: None, home, site: None, subject }]
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
    let actual = reading::read(&at_home, &subject).await?;
    let repair = repair_of(drift, &expected.model, &actual);
    Ok(Repair { reference: name.to_string(), ..repair })
}

/// Repairs the differences that no rule hides: the others stay, even if their table is recreated.
fn repair_of(drift: &Drift, expected: &SchemaModel, actual: &SchemaModel) -> Repair {
    let hidden = compare(expected, actual).into_iter();
    let hidden: Vec<_> = hidden
        .filter(|difference| {
            is_of_a_database(difference, expected, actual)
                || drift.hides(|rule| rule.matches(difference)).is_some()
        })
        .map(diff::seen_from_the_other)
        .collect();
    match hidden.is_empty() {
        true => schema::repair(expected, actual),
        false => schema::repair(&diff::without(expected, &hidden, actual), actual),
    }
}

async fn entries(drift: &Drift) -> Result<(Vec<Entry>, Option<RowTables>), Error> {
    let (mut entries, mut rows) = (Vec::new(), None);
    for target in targets_of(&drift.fleet, &drift.schemas, RowTenants::NotByName).await? {
        if let Some(row_tenants) = target.row_tenants {
            let row_tables_compared = !drift.fleet.lookup().rows_are_in_shared_schema();
            let before = rows.as_ref().map_or(0, |rows: &RowTables| rows.row_tenants);
            let row_tenants = before + row_tenants;
            rows = Some(RowTables { row_tenants, row_tables_compared });
            if !row_tables_compared {
                continue;
            }
        }
        entries.push(entry(&drift.fleet, target).await);
    }
    Ok((entries, rows))
}

/// Returns those of these places that have a schema's name.
fn subjects<'a>(entries: &'a [Entry], places: &[usize]) -> Vec<&'a Subject> {
    places.iter().filter_map(|place| entries[*place].subject.as_ref().ok()).collect()
}

async fn entry(fleet: &Fleet, target: Target) -> Entry {
    let schema = target.schema();
    let home = target.home().cloned().unwrap_or(Home::MANAGERS);
    let fleet = &fleet.at(&home);
    let (site, subject) = match target.site {
        Ok(site) => {
            let subject = reading::subject_of(fleet, &site).await;
            (Some(site), subject)
        }
        Err(error) => (None, Err(error)),
    };
    Entry { name: target.name, schema, home, site, subject }
}

/// Returns `true` if a schema differs from another one only because it is the `public` that each new database has: its
/// owner, privileges and comment are PostgreSQL's.
fn is_of_a_database(difference: &Difference, expected: &SchemaModel, actual: &SchemaModel) -> bool {
    let [one, other] = [expected, actual].map(|model| model.schema == "public");
    difference.object.kind == ObjectKind::Schema && one != other
}

/// Compares, and applies the rules.
fn judge(drift: &Drift, expected: &SchemaModel, actual: &SchemaModel) -> Compared {
    let (mut kept, mut hidden) = (Vec::new(), Vec::new());
    let mut counts = vec![0; drift.rules()];
    for difference in compare(expected, actual) {
        if is_of_a_database(&difference, expected, actual) {
            hidden.push(difference);
            continue;
        }
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
            let (at_home, subject) = reading::subject_named(fleet, name).await?;
            tenant(&at_home, name, &subject).await
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
        Some((entry, subject)) => tenant(&fleet.at(&entry.home), &entry.name, subject).await,
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
    let read = |fleet: Fleet, places: Vec<usize>| async move {
        let subjects = subjects(entries, &places);
        let schemas: Vec<_> = subjects.iter().map(|subject| &subject.schema).collect();
        recorded_versions(&fleet, &schemas).await
    };
    let mut versions: Vec<_> = entries.iter().map(|_| Ok(None)).collect();
    for in_home in in_each_home(fleet, entries.iter().map(Entry::home), read).await? {
        in_home.scatter(&mut versions, |version| version.map(Some), Error::in_home);
    }
    Ok(versions)
}

/// Computes the fingerprints of all tenants that have a schema.
async fn fingerprints(
    fleet: &Fleet,
    entries: &[Entry],
) -> Result<Vec<Result<Fingerprint, Error>>, Error> {
    let read = |fleet: Fleet, places: Vec<usize>| async move {
        reading::fingerprints(&fleet, &subjects(entries, &places)).await
    };
    let unread = |entry: &Entry| match &entry.subject {
        Ok(_) => Err(Error::new(ErrorKind::Busy, "reading its schema")),
        Err(error) => Err(Error::new(error.kind(), format!("{error:#}"))),
    };
    let mut prints: Vec<_> = entries.iter().map(unread).collect();
    for in_home in in_each_home(fleet, entries.iter().map(Entry::home), read).await? {
        in_home.scatter(&mut prints, |print| print, Error::in_home);
    }
    Ok(prints)
}

/// Facts besides drift, of all tenants.
struct BesidesOfAll {
    each: Vec<Result<BesidesOfOne, Error>>,
    /// References from the shared schema.
    shared: Vec<CrossReference>,
}

/// Examines each database that tenants are in.
async fn besides_of(fleet: &Fleet, entries: &[Entry]) -> Result<BesidesOfAll, Error> {
    let shared = Mutex::new(Vec::new());
    let into = &shared;
    let examine = |fleet: Fleet, places: Vec<usize>| async move {
        let Besides { each, shared } = besides(&fleet, &subjects(entries, &places)).await?;
        into.lock().extend(shared);
        Ok::<_, Error>(each)
    };
    let mut each: Vec<_> = entries.iter().map(|_| Ok(BesidesOfOne::default())).collect();
    for in_home in in_each_home(fleet, entries.iter().map(Entry::home), examine).await? {
        in_home.scatter(&mut each, |one| one, Error::in_home);
    }
    Ok(BesidesOfAll { each, shared: shared.into_inner() })
}
