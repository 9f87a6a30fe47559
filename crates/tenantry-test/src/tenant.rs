//! The tenant of a test.

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue};
use tenantry::{TenantDb, TenantId, TenantManager};

use crate::{
    Error, Neighbour,
    keep::Outcome,
    world::{Kind, World},
};

/// A tenant that exists for one test, with the manager that serves it.
///
/// Its schema is dropped with the last `TestTenant` of the test, even if the test panics; set
/// `TENANTRY_TEST_KEEP=failed` (or `all`) to keep it and print how to inspect it.
///
/// The manager sees only the tenants of this test. It belongs to the runtime of the test: a `static` manager that
/// several tests share loses its connections with the runtime of the first test, and fails with
/// [`Closed`](tenantry::ErrorKind::Closed) from then on.
///
/// # Examples
///
/// ```no_run,test_harness
/// use tenantry_test::TestTenant;
///
/// #[tenantry_test::test(migrations = "migrations")]
/// async fn a_user_is_added(t: TestTenant) -> sqlx::Result<()> {
///     sqlx::query("insert into users (name) values ('Ann')").execute(&t.db).await?;
///     let users: i64 = sqlx::query_scalar("select count(*) from users").fetch_one(&t.db).await?;
///     assert_eq!(users, 1);
///     Ok(())
/// }
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct TestTenant {
    /// The tenant's database.
    pub db: TenantDb,
    /// The tenant's id: the name of the test, in characters that are valid in a host name.
    pub id: TenantId,
    /// The manager of the test, for the service under test.
    pub manager: TenantManager,
    schema: String,
    pub(crate) world: Arc<World>,
}

impl TestTenant {
    pub(crate) fn new(db: TenantDb, schema: &str, world: Arc<World>) -> Self {
        let (id, manager) = (db.tenant().id().clone(), world.manager.clone());
        Self { db, id, manager, schema: schema.to_owned(), world }
    }

    /// Returns the header that names this tenant, such as `("x-tenant-id", "lists-users")`.
    ///
    /// [`TestTenants::header`](crate::TestTenants::header) sets its name.
    #[must_use]
    pub fn header(&self) -> (&'static str, &str) {
        (self.world.tenants.header, self.id.as_str())
    }

    /// Returns the [header](Self::header) as a map, for the default headers of an HTTP client:
    /// `reqwest::Client::builder().default_headers(t.headers())`.
    ///
    /// # Panics
    ///
    /// If [`TestTenants::header`](crate::TestTenants::header) was given an invalid header name.
    #[must_use]
    pub fn headers(&self) -> HeaderMap {
        let (name, id) = self.header();
        let header =
            HeaderName::from_bytes(name.as_bytes()).ok().zip(HeaderValue::from_str(id).ok());
        let header = header.unwrap_or_else(|| panic!("a header cannot be called {name:?}"));
        HeaderMap::from_iter([header])
    }

    /// Returns the name of the tenant's schema.
    #[must_use]
    pub fn schema(&self) -> &str {
        &self.schema
    }

    /// Returns the URL of the database, for code that connects on its own. In a given server, it contains the
    /// password given there.
    #[must_use]
    pub fn database_url(&self) -> String {
        self.world.url()
    }

    /// Creates another tenant of the same manager, with the same migrations, seeds and fixtures.
    ///
    /// # Errors
    ///
    /// As [`TestTenants::tenant`](crate::TestTenants::tenant).
    ///
    /// # Cancel safety
    ///
    /// If dropped, a created schema is dropped at the end of the test.
    pub async fn another(&self) -> Result<Self, Error> {
        self.world.make(&format!("-{}", self.world.count() + 1), Kind::Tested).await
    }

    /// Creates a second tenant with poison rows that constantly uses the same connections, to prove that the code
    /// under test only accesses its own tenant. See [`Neighbour`].
    ///
    /// # Errors
    ///
    /// As [`TestTenants::tenant`](crate::TestTenants::tenant).
    ///
    /// # Cancel safety
    ///
    /// If dropped, a created schema is dropped at the end of the test.
    pub async fn neighbour(&self) -> Result<Neighbour, Error> {
        let ending = format!("-{}-neighbour", self.world.count() + 1);
        let tenant = self.world.make(&ending, Kind::Neighbour).await?;
        Neighbour::move_in(tenant).await
    }

    /// Records data that this tenant has received, so that [`assert_blind`](Neighbour::assert_blind) searches it for
    /// values of the neighbour.
    ///
    /// `call` and `call_actix` do this with every response.
    pub fn has_read(&self, bytes: impl AsRef<[u8]>) {
        self.world.note_read(format!("what tenant {} has read", self.id), bytes.as_ref());
    }

    /// Ends the test: closes the manager, and drops all tenants of the test.
    ///
    /// Dropping the last `TestTenant` does the same, without closing the manager first. The attribute
    /// [`test`](macro@crate::test) calls it.
    ///
    /// # Cancel safety
    ///
    /// If dropped, the tenants are dropped with this value.
    pub async fn end(self) {
        self.world.end(Outcome::Passed).await;
    }
}
