//! The environment of one test: its manager and its tenants.

use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use tenantry::{
    Isolation, SchemaDiscovery, TenantManager,
    provision::{CreateOptions, HowMade, Provisioner},
    seed::Seed,
};
use tenantry_devdb::DevDatabase;

use crate::{
    Error, TestTenant, TestTenants,
    keep::{self, Outcome},
    name,
    run::{self, Run},
    server,
};

/// How long the end of a test waits for connections that were not returned.
const PATIENCE: Duration = Duration::from_secs(1);

/// Running tests of this process: the last one waits for the cleanup.
static UNDER_WAY: AtomicUsize = AtomicUsize::new(0);

/// One test's part of a database, which exists until the last of its tenants is dropped.
pub(crate) struct World {
    pub(crate) test: String,
    pub(crate) tenants: TestTenants,
    pub(crate) manager: TenantManager,
    provisioner: Provisioner,
    place: Place,
    made: Mutex<Vec<Made>>,
    read: Mutex<Vec<Read>>,
    has_ended: AtomicBool,
}

enum Place {
    /// In the database of the run, where ids start with a number that is unique to the test.
    Shared { run: Arc<Run>, number: String },
    /// In a database that is dropped with the test.
    Alone(Mutex<Option<DevDatabase>>),
}

/// A tenant of the test.
#[derive(Debug, Clone)]
pub(crate) struct Made {
    pub(crate) schema: String,
    pub(crate) kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The test's, or another one.
    Tested,
    Neighbour,
}

/// Data that the test's tenant has received.
pub(crate) struct Read {
    pub(crate) what: String,
    pub(crate) bytes: Vec<u8>,
}

impl World {
    pub(crate) async fn shared(tenants: &TestTenants, test: &str) -> Result<TestTenant, Error> {
        let run = Run::of(tenants).await?;
        let url = run.url.clone();
        let number = name::unique_number();
        let isolation = format!("{}{number}{{id}}", name::prefix_of_process());
        let configured = tenants.builder(&url).isolation(Isolation::schema(&isolation));
        let configured = configured.catalog(SchemaDiscovery::default());
        let manager = configured.build().map_err(Error::from("configuring the manager"))?;
        Self::start(tenants, test, manager, Place::Shared { run, number }).await
    }

    pub(crate) async fn alone(tenants: &TestTenants, test: &str) -> Result<TestTenant, Error> {
        let database = run::database_for_one(tenants).await?;
        let manager = tenants.builder(database.url()).build();
        let manager = manager.map_err(Error::from("configuring the manager"))?;
        Self::start(tenants, test, manager, Place::Alone(Mutex::new(Some(database)))).await
    }

    async fn start(
        tenants: &TestTenants,
        test: &str,
        manager: TenantManager,
        place: Place,
    ) -> Result<TestTenant, Error> {
        if server::is_throwaway() {
            manager.assume_sessions_are_kept();
        }
        let provisioner = match &place {
            Place::Shared { run, .. } => run.keeper.provisioner(),
            Place::Alone(_) => manager.provisioner().tenants(run::migrations_used_before(tenants)),
        };
        let provisioner = tenants.seeds.iter().cloned().fold(provisioner, Provisioner::seed);
        UNDER_WAY.fetch_add(1, Ordering::Relaxed);
        let world = Arc::new(Self {
            test: test.to_owned(),
            tenants: tenants.clone(),
            manager,
            provisioner,
            place,
            made: Mutex::default(),
            read: Mutex::default(),
            has_ended: AtomicBool::new(false),
        });
        world.make("", Kind::Tested).await
    }

    /// Creates a tenant that is named after the test.
    pub(crate) async fn make(
        self: &Arc<Self>,
        ending: &str,
        kind: Kind,
    ) -> Result<TestTenant, Error> {
        let id = format!("{}{ending}", name::id_of(&self.test));
        let failed = || format!("creating tenant {id} of test {}", self.test);
        let record = tenantry::TenantId::parse(&id).map(tenantry::TenantRecord::new);
        let placed = self.manager.placement(&record.map_err(Error::from(failed()))?);
        let schema = placed.map_err(Error::from(failed()))?.container().as_str().to_owned();
        // Recorded before it is created, so that it is dropped if this is cancelled.
        lock(&self.made).push(Made { schema, kind });
        let fixtures: &[Seed] = if kind == Kind::Tested { &self.tenants.fixtures } else { &[] };
        let provisioner =
            fixtures.iter().cloned().fold(self.provisioner.clone(), Provisioner::seed);
        let full_id = match &self.place {
            Place::Shared { number, .. } => format!("{number}{id}"),
            Place::Alone(_) => id.clone(),
        };
        let create = provisioner.create(full_id.as_str(), CreateOptions::default());
        // The manager connects while the tenant is created. Its errors are reported separately.
        let (created, _) = tokio::join!(create, self.manager.tenants());
        let created = created.map_err(Error::from(failed()))?;
        if let (Place::Shared { run, .. }, HowMade::Spare) = (&self.place, created.how) {
            run.keeper.claimed();
        }
        let db = self.manager.tenant(id.as_str()).await.map_err(Error::from(failed()))?;
        Ok(TestTenant::new(db, &created.schema, Arc::clone(self)))
    }

    /// Returns the number of tenants of the test.
    pub(crate) fn count(&self) -> usize {
        lock(&self.made).len()
    }

    /// Returns the schemas of the test's own tenants: all except neighbours.
    pub(crate) fn tested(&self) -> Vec<String> {
        let made = lock(&self.made);
        let tested = made.iter().filter(|made| made.kind == Kind::Tested);
        tested.map(|made| made.schema.clone()).collect()
    }

    pub(crate) fn url(&self) -> String {
        match &self.place {
            Place::Shared { run, .. } => run.url.clone(),
            Place::Alone(database) => lock(database)
                .as_ref()
                .map(|database| database.url().to_owned())
                .unwrap_or_default(),
        }
    }

    /// Records data that the test's tenant has received.
    pub(crate) fn note_read(&self, what: String, bytes: &[u8]) {
        lock(&self.read).push(Read { what, bytes: bytes.to_vec() });
    }

    /// Finds the first response that contains one of these texts.
    pub(crate) fn read_with(&self, texts: &[String]) -> Option<(String, String)> {
        let read = lock(&self.read);
        read.iter().find_map(|read| {
            let found = texts.iter().find(|text| contains(&read.bytes, text))?;
            Some((read.what.clone(), found.clone()))
        })
    }

    /// Closes the manager and drops what the test has created, or keeps it if requested.
    pub(crate) async fn end(&self, outcome: Outcome) {
        self.manager.close_within(PATIENCE).await;
        self.leave(outcome);
    }

    fn leave(&self, outcome: Outcome) {
        if self.has_ended.swap(true, Ordering::Relaxed) {
            return;
        }
        let schemas: Vec<_> = lock(&self.made).drain(..).map(|made| made.schema).collect();
        if keep::is_kept(outcome) {
            let url = self.url();
            schemas.iter().for_each(|schema| keep::tell(&self.test, &url, schema));
        }
        match &self.place {
            Place::Shared { run, .. } => run.keeper.test_ended(self.test.clone(), schemas, outcome),
            Place::Alone(database) => {
                let database = lock(database).take();
                if keep::is_kept(outcome) {
                    std::mem::forget(database);
                }
            }
        }
        if UNDER_WAY.fetch_sub(1, Ordering::AcqRel) == 1 {
            // If every test is a process, no other code replaces the spare that was used.
            let refilled = std::env::var_os("NEXTEST").is_some();
            Run::all().iter().for_each(|run| run.keeper.wait(refilled));
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.leave(if thread::panicking() { Outcome::Failed } else { Outcome::Passed });
    }
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World").field("test", &self.test).finish_non_exhaustive()
    }
}

/// Returns `true` if the bytes contain the text.
pub(crate) fn contains(bytes: &[u8], text: &str) -> bool {
    // A trigger or a handler may have changed the case.
    let is_text = |window: &[u8]| window.eq_ignore_ascii_case(text.as_bytes());
    !text.is_empty() && bytes.windows(text.len()).any(is_text)
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
