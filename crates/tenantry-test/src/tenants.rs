//! What the tenants of tests are made of.

use std::{env, fmt, path::Path, sync::Arc};

use tenantry::{ManagerBuilder, PoolOptions, TenantManager, migrate::Migrations, seed::Seed};

use crate::{Error, TestTenant, world::World};

type Configure = dyn Fn(ManagerBuilder) -> ManagerBuilder + Send + Sync;

/// Describes the tenants of tests: their migrations, what they start with, and their manager.
///
/// The attribute [`test`](macro@crate::test) makes one out of its arguments, or takes one of yours with
/// `tenants = path::to::function`. Without the attribute, keep one beside the tests and ask it for a
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
    /// The type of the closure, which tells configurations apart.
    configured_by: &'static str,
}

impl TestTenants {
    /// Makes tenants whose schemas have these migrations.
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

    /// Makes tenants whose schemas have the migrations of a folder, which is looked for in the package
    /// of the test when the path is relative. The files are read when the test runs, so that a changed
    /// one needs no build.
    ///
    /// # Errors
    ///
    /// The folder cannot be read, or has no migration in it.
    pub fn from_dir(folder: impl AsRef<Path>) -> Result<Self, Error> {
        migrations_of(folder.as_ref()).map(Self::new)
    }

    /// Sets the migrations of the shared schema. Default: it is empty.
    ///
    /// Tests in the database of the run have one shared schema between them, so let them only read
    /// it. A test that writes to it runs [alone](Self::alone).
    pub fn shared(mut self, migrations: Migrations) -> Self {
        self.shared = Some(migrations);
        self
    }

    /// Adds a seed for every tenant, the [neighbour](TestTenant::neighbour) included. Seeds run in this
    /// order, after the migrations.
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

    /// Sets the budget of the manager of each test. Default: 4 connections, all of which one tenant may
    /// have. Tests at the same time need as many times that on the server.
    pub fn max_connections(mut self, most: usize) -> Self {
        self.max_connections = most;
        self
    }

    /// Sets how many tenants are kept ready for tests that start. Default: two for each processor, from
    /// 4 to 16. A test that finds none waits for its migrations.
    pub fn spares(mut self, spares: usize) -> Self {
        self.spares = spares;
        self
    }

    /// Sets the header that [`TestTenant::header`] and requests carry. Default: `x-tenant-id`.
    pub fn header(mut self, name: &'static str) -> Self {
        self.header = name;
        self
    }

    /// Configures the manager of each test as the service does, for example its
    /// [extension schemas](ManagerBuilder::extension_schemas) or its hooks.
    ///
    /// A test that asks for a second connection while it has one in hand, in a transaction for example,
    /// fails: under load it would be a deadlock. Turn that off with
    /// [`refuse_nested_acquires`](ManagerBuilder::refuse_nested_acquires).
    ///
    /// In the database of the run, the isolation and the catalog remain those of the kit, so that a
    /// test sees no other test's tenants.
    ///
    /// Tests with different closures have a database each. Of one closure, let the result not depend on what it captures:
    /// spares are made with the manager of the test that comes first.
    pub fn manager<C>(mut self, configure: C) -> Self
    where
        C: Fn(ManagerBuilder) -> ManagerBuilder + Send + Sync + 'static,
    {
        self.configured_by = std::any::type_name::<C>();
        self.configure = Arc::new(configure);
        self
    }

    /// Makes a tenant for the test of this name, in the one database that all tests of the run share.
    ///
    /// It is dropped with the last [`TestTenant`] of the test. The first call of a run prepares the
    /// database, which takes as long as migrating a few tenants.
    ///
    /// # Errors
    ///
    /// There is no server, see [`tenantry_devdb`]; the migrations, seeds or fixtures fail; or the manager
    /// cannot be configured in this way.
    ///
    /// # Cancel safety
    ///
    /// When dropped, what was made is dropped with it.
    pub async fn tenant(&self, test: &str) -> Result<TestTenant, Error> {
        // Boxed: a test that is a few functions deep would have too deep a type for the compiler.
        Box::pin(World::shared(self, test)).await
    }

    /// Makes a tenant for the test of this name in a database of its own, for code that works on all
    /// tenants, on the shared schema or on the whole database.
    ///
    /// # Errors
    ///
    /// As [`tenant`](Self::tenant).
    ///
    /// # Cancel safety
    ///
    /// When dropped, what was made is dropped with it.
    pub async fn alone(&self, test: &str) -> Result<TestTenant, Error> {
        Box::pin(World::alone(self, test)).await
    }

    /// Begins to configure a manager as the tests' managers are.
    pub(crate) fn builder(&self, database_url: &str) -> ManagerBuilder {
        let mut pool = PoolOptions::default();
        pool.max_connections = self.max_connections;
        // What works in a test and is a deadlock under load.
        pool.refuse_nested_acquires = true;
        // The neighbour has to get at all sessions.
        pool.max_connections_per_tenant = Some(self.max_connections);
        (self.configure)(TenantManager::builder(database_url).pool_options(pool))
    }

    /// What tells a prepared database from others, except for who prepares it.
    pub(crate) fn key(&self) -> String {
        let shared = self.shared.as_ref().map_or("", Migrations::hash);
        let (version, kit) = (env!("CARGO_PKG_VERSION"), include_str!("kit.sql"));
        let (migrations, by) = (self.migrations.hash(), self.configured_by);
        format!("{version} {migrations} {shared} {by} {kit}")
    }
}

/// Reads the migrations of a folder of the package of the test.
pub(crate) fn migrations_of(folder: &Path) -> Result<Migrations, Error> {
    // Cargo tells a test that it runs; a test that is run by hand looks where it is started.
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
