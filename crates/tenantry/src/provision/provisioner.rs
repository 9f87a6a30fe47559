use std::{
    collections::HashSet,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
};

use parking_lot::Mutex;
use tokio::sync::{Notify, OnceCell};

use super::{
    StoredName, StoredNames, after_create::AfterCreate, claim::PassedOver, newer::Newer,
    provisional, spare_note::SpareNote, template::Template,
};
use crate::{
    error::Error,
    fleet::Fleet,
    migrate::{Migrations, Of, lint_all},
    seed::Seed,
    tenant::Home,
};

/// Creates tenants, and changes their state and names.
///
/// Created by [`TenantManager::provisioner`](crate::TenantManager::provisioner). It takes its connections from the
/// manager's budget. Cloning is cheap.
///
/// # Examples
///
/// ```no_run
/// # async fn example(manager: tenantry::TenantManager) -> Result<(), Box<dyn std::error::Error>> {
/// use tenantry::{migrate::Migrations, provision::CreateOptions, seed::Seed};
///
/// let provisioner = manager
///     .provisioner()
///     .tenants(Migrations::from_dir("migrations/tenants")?)
///     .seed(Seed::sql("roles", "insert into roles (name) values ('admin'), ('member')"));
///
/// let created = provisioner.create("acme", CreateOptions::default()).await?;
/// let db = manager.tenant("acme").await?; // it is served from now on
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
#[must_use = "a provisioner does nothing until one of its methods is called"]
pub struct Provisioner {
    pub(super) fleet: Fleet,
    pub(super) migrations: Option<Migrations>,
    pub(super) seeds: Vec<Seed>,
    pub(super) after_create: Vec<AfterCreate>,
    /// Facts that are determined once for all tenants.
    known: Arc<Known>,
}

#[derive(Debug, Default)]
struct Known {
    /// The files have passed the lint.
    linted: AtomicBool,
    /// Spares that were tried without success.
    passed_over: Mutex<PassedOver>,
    /// The versions of other tenants.
    newer: Mutex<Newer>,
    /// The last version of the newest spares.
    newest_spares: AtomicI64,
    /// A spare was taken.
    claimed: Notify,
    databases: KnownDatabases,
    template: KnownTemplate,
}

/// What is known about spare databases.
#[derive(Debug, Default)]
pub(super) struct KnownDatabases {
    /// One was taken.
    pub(super) claimed: Notify,
    /// What those were made from that could not be brought up to our files.
    pub(super) passed_over: Mutex<HashSet<String>>,
    /// Where the files' objects and rows store the name of their database, once this was searched.
    pub(super) stored_names: OnceLock<Vec<StoredName>>,
}

/// The template of the files, once it was looked up.
#[derive(Debug, Default)]
pub(super) struct KnownTemplate(Mutex<Arc<OnceCell<Template>>>);

impl KnownTemplate {
    pub(super) fn load(&self) -> Option<Template> {
        self.cell().get().cloned()
    }

    /// Returns the cell on which all callers wait during the lookup.
    pub(super) fn cell(&self) -> Arc<OnceCell<Template>> {
        Arc::clone(&self.0.lock())
    }

    /// Causes another lookup.
    pub(super) fn forget(&self) {
        *self.0.lock() = Arc::default();
    }
}

impl Provisioner {
    pub(crate) fn new(fleet: Fleet) -> Self {
        Self {
            fleet,
            migrations: None,
            seeds: Vec::new(),
            after_create: Vec::new(),
            known: Arc::default(),
        }
    }

    /// Sets the migrations of the tenants' schemas. Without any, a new tenant's schema is empty.
    pub fn tenants(mut self, migrations: Migrations) -> Self {
        let extensions = self.fleet.lookup().extension_schemas();
        self.migrations = Some(migrations.reaching(extensions));
        self.known = Arc::default();
        self
    }

    /// Adds a seed for every new tenant. Seeds run in this order, after the migrations.
    ///
    /// Transactional seeds are part of the transaction that creates the tenant. Other seeds run afterwards, while the
    /// tenant is not served yet; if one of them fails, the tenant is dropped again.
    pub fn seed(mut self, seed: Seed) -> Self {
        self.seeds.push(seed);
        self
    }

    /// Returns a provisioner with the same hooks, and without migrations and seeds.
    pub(crate) fn hooks_alone(&self) -> Self {
        Self { after_create: self.after_create.clone(), ..Self::new(self.fleet.clone()) }
    }

    /// Returns this provisioner with maintenance in another database. The catalog is not there.
    pub(super) fn at(&self, home: &Home) -> Self {
        Self { fleet: self.fleet.at(home), ..self.clone() }
    }

    /// Lints the files, the first time.
    pub(super) fn lint(&self) -> Result<(), Error> {
        let Some(set) = &self.migrations else { return Ok(()) };
        if !self.known.linted.load(Ordering::Relaxed) {
            lint_all(Of::Tenant, set)?;
            self.known.linted.store(true, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Returns the spares that were tried in vain.
    pub(super) fn passed_over(&self) -> &Mutex<PassedOver> {
        &self.known.passed_over
    }

    pub(super) fn known_databases(&self) -> &KnownDatabases {
        &self.known.databases
    }

    /// Returns what is known about newer files of other tenants.
    pub(super) fn newer(&self) -> &Mutex<Newer> {
        &self.known.newer
    }

    pub(super) fn known_template(&self) -> &KnownTemplate {
        &self.known.template
    }

    pub(super) fn newest_spares(&self) -> &AtomicI64 {
        &self.known.newest_spares
    }

    /// Returns where the files' objects store their schema's name, once this was searched.
    pub(super) fn stored_names(&self) -> Option<&StoredNames> {
        static NONE: StoredNames = StoredNames::NONE;
        self.migrations.as_ref().map_or(Some(&NONE), Migrations::stored_names)
    }

    /// Records where the files' objects store their schema's name.
    pub(super) fn note_stored_names(&self, names: StoredNames) {
        let Some(set) = &self.migrations else { return };
        let told = names.to_string();
        if set.note_stored_names(names) && !told.is_empty() {
            tracing::warn!(
                target: "tenantry::provision",
                names = told,
                "tenants are created under their own names, without spares: objects that the migrations create store \
                 the schema's name as text"
            );
        }
    }

    /// Returns the note for a spare with our files.
    pub(super) fn note(&self) -> SpareNote {
        let set = self.migrations.as_ref();
        let (hash, latest) = set.map_or(("", 0), |set| (set.hash(), set.latest()));
        SpareNote::new(hash, latest, provisional::now())
    }

    /// Records that a spare was taken, so that another is created.
    pub(super) fn note_claim(&self) {
        self.known.claimed.notify_one();
        let ready = &self.fleet.server().observer.meters.upkeep.spares;
        // Another process may have created it.
        ready.set((ready.get() - 1).max(0));
    }

    /// Resolves if a spare was taken since the last call.
    pub(super) async fn claimed(&self) {
        self.known.claimed.notified().await;
    }
}
