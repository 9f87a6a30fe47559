//! Configuration of tests' tenants.

use std::{env, fmt, path::Path, sync::Arc};

use tenantry::{ManagerBuilder, PoolOptions, TenantManager, migrate::Migrations, seed::Seed};

use crate::{Error, TestTenant, world::World};

type Configure = dyn Fn(ManagerBuilder) -> ManagerBuilder + Send + Sync;

/// Describes the tenants of tests: their migrations, their initial data, and their manager.
///
/// The attribute [`test`](macro@crate::test) creates one from its arguments, or uses yours with
/// `tenants = path::to::function`. Without the attribute, share one between the tests and ask it for a
/// [`tenant`](Self::tenant). Cloning is cheap.
///
/// # Examples
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use tenantry::seed::Seed;
/// use tenantry_test::TestTenants;
///
/// let tenants = TestTenants::from_dir("migrations")?
///     .seed(Seed::sql("roles", "insert into roles (name) values ('admin')"));
///
/// let t = tenants.tenant("lists users").await?;
/// let users: i64 = sqlx::query_scalar("select count(*) from users").fetch_one(&t.db).await?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
#[must_use = "it does nothing until it is asked for a tenant"]
pub struct TestTenants {
    pub(crate) migrations: Migrations,
    pub(crate) shared: Option<Migrations>,
    pub(crate) seeds: Vec<Seed>,
    pub(crate) fixtures: Vec<Seed>,
    pub(crate) spares: usize,
    pub(crate) header: &'static str,
    max_connections: usize,
    configure: Arc<Configure>,
    /// The type of the closure, which distinguishes configurations.
    configured_by: &'static str,
}

impl TestTenants {
    /// Describes tenants whose schemas have these migrations.
    pub fn new(migrations: Migrations) -> Self {
        let threads = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
        Self {
            migrations,
            shared: None,
            seeds: Vec::new(),
            fixtures: Vec::new(),
            spares: (threads * 2).clamp(4, 16),
            header: "x-tenant-id",
            max_connections: 4,
            configure: Arc::new(|builder| builder),
            configured_by: "",
        }
    }

    /// Describes tenants whose schemas have the migrations of a folder. A relative path is resolved against the
    /// package of the test. The files are read when the test runs, so a changed file needs no rebuild.
    ///
    /// # Errors
    ///
    /// If the folder cannot be read or contains no migrations.
    pub fn from_dir(folder: impl AsRef<Path>) -> Result<Self, Error> {
        migrations_of(folder.as_ref()).map(Self::new)
    }

    /// Sets the migrations of the shared schema. Default: it is empty.
    ///
    /// Tests in the database of the run have one shared schema in common, so they should only read it. A test that
    /// writes to it must run [alone](Self::alone).
    pub fn shared(mut self, migrations: Migrations) -> Self {
        self.shared = Some(migrations);
        self
    }

    /// Adds a seed for every tenant, including the [neighbour](TestTenant::neighbour). Seeds run in this order, after
    /// the migrations.
    pub fn seed(mut self, seed: Seed) -> Self {
        self.seeds.push(seed.repeatable());
        self
    }

    /// Adds rows for the tenants of a test, but not for the [neighbour](TestTenant::neighbour), whose
    /// rows must differ. Fixtures run in this order, after the [seeds](Self::seed).
    pub fn fixture(mut self, fixture: Seed) -> Self {
        self.fixtures.push(fixture.repeatable());
        self
    }

    /// Sets the budget of the manager of each test. Default: 4 connections, all of which one tenant can use.
    /// Concurrent tests need a multiple of that on the server.
    pub fn max_connections(mut self, most: usize) -> Self {
        self.max_connections = most;
        self
    }

    /// Sets how many tenants are kept ready for tests that start. Default: two per processor, from 4 to 16. A test
    /// that finds none waits for its migrations.
    pub fn spares(mut self, spares: usize) -> Self {
        self.spares = spares;
        self
    }

    /// Sets the header that [`TestTenant::header`] and requests carry. Default: `x-tenant-id`.
    pub fn header(mut self, name: &'static str) -> Self {
        self.header = name;
        self
    }

    /// Configures the manager of each test like the service does, for example its [extension
    /// schemas](ManagerBuilder::extension_schemas) or its hooks.
    ///
    /// A test that requests a second connection while it holds one, for example in a transaction, fails: under load
    /// this would be a deadlock. Turn this off with
    /// [`refuse_nested_acquires`](ManagerBuilder::refuse_nested_acquires).
    ///
    /// In the database of the run, the kit's isolation and catalog stay in effect, so that a test does not see other
    /// tests' tenants.
    ///
    /// Tests with different closures have separate databases. The result of a closure should not depend on what it
    /// captures, because spares are created with the manager of the first test.
    pub fn manager<C>(mut self, configure: C) -> Self
    where
        C: Fn(ManagerBuilder) -> ManagerBuilder + Send + Sync + 'static,
    {
        self.configured_by = std::any::type_name::<C>();
        self.configure = Arc::new(configure);
        self
    }

    /// Creates a tenant for the test of this name, in the database that all tests of the run share.
    ///
    /// It is dropped with the last [`TestTenant`] of the test. The first call of a run prepares the database, which
    /// takes as long as migrating a few tenants.
    ///
    /// # Errors
    ///
    /// If no server is available, see [`tenantry_devdb`]; if the migrations, seeds or fixtures fail; or if the
    /// manager's configuration is invalid.
    ///
    /// # Cancel safety
    ///
    /// If dropped, a created schema is dropped with it.
    pub async fn tenant(&self, test: &str) -> Result<TestTenant, Error> {
        // Boxed: in a test that is a few functions deep, the type would be too deep for the compiler.
        Box::pin(World::shared(self, test)).await
    }

    /// Creates a tenant for the test of this name in a separate database, for code that works on all tenants, on the
    /// shared schema or on the whole database.
    ///
    /// # Errors
    ///
    /// As [`tenant`](Self::tenant).
    ///
    /// # Cancel safety
    ///
    /// If dropped, a created schema is dropped with it.
    pub async fn alone(&self, test: &str) -> Result<TestTenant, Error> {
        Box::pin(World::alone(self, test)).await
    }

    /// Starts building a manager like those of the tests.
    pub(crate) fn builder(&self, database_url: &str) -> ManagerBuilder {
        let mut pool = PoolOptions::default();
        pool.max_connections = self.max_connections;
        // A second connection works in a test and is a deadlock under load.
        pool.refuse_nested_acquires = true;
        // The neighbour must be able to use all sessions.
        pool.max_connections_per_tenant = Some(self.max_connections);
        (self.configure)(TenantManager::builder(database_url).pool_options(pool))
    }

    /// Returns the key of the prepared database, without the code that prepares it.
    pub(crate) fn key(&self) -> String {
        let shared = self.shared.as_ref().map_or("", Migrations::hash);
        let (version, kit) = (env!("CARGO_PKG_VERSION"), include_str!("kit.sql"));
        let (migrations, by) = (self.migrations.hash(), self.configured_by);
        format!("{version} {migrations} {shared} {by} {kit}")
    }
}

/// Reads the migrations of a folder of the package of the test.
pub(crate) fn migrations_of(folder: &Path) -> Result<Migrations, Error> {
    // Cargo sets this variable for tests; a test that is run by hand uses the current folder.
    let package = env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default();
    let folder = Path::new(&package).join(folder);
    Migrations::from_dir(&folder)
        .map_err(Error::from(format!("reading the migrations of tests in {}", folder.display())))
}

impl fmt::Debug for TestTenants {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestTenants")
            .field("migrations", &self.migrations)
            .field("spares", &self.spares)
            .field("max_connections", &self.max_connections)
            .finish_non_exhaustive()
    }
}
