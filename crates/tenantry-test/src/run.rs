//! The database of a run, which all its processes share.

use std::{
    collections::HashMap,
    env,
    path::Path,
    sync::{Arc, LazyLock, Mutex, PoisonError},
};

use sqlx::{Connection as _, PgConnection};
use tenantry::{
    TenantManager,
    migrate::{MigrateOptions, Migrations},
};
use tenantry_devdb::{DevDatabase, SharedDatabase};
use tokio::sync::OnceCell;

use crate::{Error, TestTenants, keeper::Keeper, kit, server};

/// A prepared database, and its keeper in this process.
pub(crate) struct Run {
    pub(crate) url: String,
    pub(crate) keeper: Keeper,
}

type Runs = HashMap<String, Arc<OnceCell<Arc<Run>>>>;

static RUNS: LazyLock<Mutex<Runs>> = LazyLock::new(Mutex::default);

impl Run {
    /// Finds or prepares the database for tests with these tenants.
    pub(crate) async fn of(tenants: &TestTenants) -> Result<Arc<Self>, Error> {
        let key = tenants.key();
        let cell = {
            let mut runs = RUNS.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(runs.entry(key.clone()).or_default())
        };
        cell.get_or_try_init(|| Self::start(tenants, &key)).await.map(Arc::clone)
    }

    /// All of this process.
    pub(crate) fn all() -> Vec<Arc<Self>> {
        let runs = RUNS.lock().unwrap_or_else(PoisonError::into_inner);
        runs.values().filter_map(|run| run.get().map(Arc::clone)).collect()
    }

    async fn start(tenants: &TestTenants, key: &str) -> Result<Arc<Self>, Error> {
        let scope = scope();
        let setup = |url: String| async move { prepare(tenants, &url, tenants.spares).await };
        let database = match server::named() {
            Some(server) => SharedDatabase::prepare_at(&server, &scope, key, setup).await,
            None => SharedDatabase::prepare(&scope, key, setup).await,
        };
        let database = database.map_err(Error::from("preparing the database of the tests"))?;
        let url = database.url().to_owned();
        let keeper = Keeper::start(tenants.clone(), url.clone()).await?;
        Ok(Arc::new(Self { url, keeper }))
    }
}

/// The first migrations of each key, which cache what was determined about them.
static FOUND_OUT: LazyLock<Mutex<HashMap<String, Migrations>>> = LazyLock::new(Mutex::default);

/// Returns equal migrations that tests of this process have used before, or these.
///
/// Before the first spare is claimed, a set of migrations is searched for objects that store the name of a schema,
/// which takes longer than the claim.
pub(crate) fn migrations_used_before(tenants: &TestTenants) -> Migrations {
    let mut found_out = FOUND_OUT.lock().unwrap_or_else(PoisonError::into_inner);
    found_out.entry(tenants.key()).or_insert_with(|| tenants.migrations.clone()).clone()
}

/// Creates a database for one test, prepared in the same way.
pub(crate) async fn database_for_one(tenants: &TestTenants) -> Result<DevDatabase, Error> {
    // A tenant, another one and a neighbour.
    let setup = |url: String| async move { prepare(tenants, &url, 3).await };
    let failed = "creating a database for one test";
    let Some(server) = server::named() else {
        let database = DevDatabase::from_template_with(&tenants.key(), setup).await;
        return database.map_err(Error::from(failed));
    };
    let database = DevDatabase::create_at(&server).await.map_err(Error::from(failed))?;
    setup(database.url().to_owned()).await?;
    Ok(database)
}

/// Prepares a new database for tests: the kit's functions, the shared schema, and spares.
async fn prepare(tenants: &TestTenants, url: &str, spares: usize) -> Result<(), Error> {
    let failed = || "preparing a database for tests";
    let mut conn = PgConnection::connect(url).await.map_err(Error::from(failed()))?;
    kit::install(&mut conn).await.map_err(Error::from("installing the kit's functions"))?;
    conn.close().await.map_err(Error::from(failed()))?;
    let manager = tenants.builder(url).build().map_err(Error::from("configuring the manager"))?;
    if server::is_throwaway() {
        manager.assume_sessions_are_kept();
    }
    let prepared = fill(tenants, &manager, spares).await;
    manager.close().await;
    prepared
}

async fn fill(tenants: &TestTenants, manager: &TenantManager, spares: usize) -> Result<(), Error> {
    if let Some(shared) = &tenants.shared {
        let migrator = manager.migrator().shared(shared.clone());
        let report = migrator.migrate_shared(MigrateOptions::default()).await;
        let migrated = report.and_then(|report| Ok(report.into_result()?));
        drop(migrated.map_err(Error::from("migrating the shared schema"))?);
    }
    let provisioner = manager.provisioner().tenants(tenants.migrations.clone());
    let filled = provisioner.fill_spares(spares).await;
    filled.map(drop).map_err(Error::from("migrating spare tenants"))
}

/// Returns the scope of prepared databases: a test binary of a package.
fn scope() -> String {
    let package = env::var("CARGO_PKG_NAME").unwrap_or_default();
    let program = env::current_exe().unwrap_or_default();
    let name = program.file_stem().unwrap_or_else(|| Path::new("").as_os_str()).to_string_lossy();
    // Without the hash that cargo appends.
    let name = name.rsplit_once('-').map_or(&*name, |(name, _)| name);
    format!("{package} {name}")
}
