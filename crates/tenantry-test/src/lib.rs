//! A tenant per test, for services that use [`tenantry`].
//!
//! ```test_harness
//! use tenantry_test::TestTenant;
//!
//! #[tenantry_test::test(migrations = "migrations/tenants")]
//! async fn a_user_is_added(t: TestTenant) -> sqlx::Result<()> {
//!     sqlx::query("insert into users (name) values ('Ann')").execute(&t.db).await?;
//!     let users: i64 = sqlx::query_scalar("select count(*) from users").fetch_one(&t.db).await?;
//!     assert_eq!(users, 1);
//!     Ok(())
//! }
//! ```
//!
//! Each test gets a fresh tenant in a few milliseconds, because tenants are created in advance: `t.db` is its
//! database, `t.id` its id, `t.manager` the manager for the service under test, [`t.header()`] the header that names
//! it. It is dropped when the test ends.
//!
//! | to | use |
//! |---|---|
//! | run code that works on all tenants, or on the shared schema | `#[tenantry_test::test(alone)]`, a dedicated database |
//! | start with existing rows | `fixtures("users")`, [`TestTenants::fixture`], [`TestTenants::seed`] |
//! | configure the manager like the service | `tenants = path`, a function that returns [`TestTenants`] |
//! | test with two tenants | [`TestTenant::another`] |
//! | prove that one tenant never sees another one's rows | [`TestTenant::neighbour`] |
//! | send requests | `TestTenant::request` and `call` (feature `axum`), `actix_request` and `call_actix` (feature `actix`) |
//! | inspect the data of a failed test | `TENANTRY_TEST_KEEP=failed cargo test` |
//! | write tests without the attribute | [`TestTenants::tenant`], [`TestTenants::alone`] |
//!
//! [`t.header()`]: TestTenant::header
//!
//! # The server and the database
//!
//! Tests use the server of `TENANTRY_TEST_URL`, else that of `DATABASE_URL`, else a throwaway server that
//! [`tenantry_devdb`] starts and that all processes of the run share. The role must be allowed to create databases.
//!
//! The first test of a run creates one database, named `tenantry_test_…`, and migrates a few spare tenants in it;
//! each test takes one. Each set of migration files has a separate database, so that a changed migration is never
//! tested against an old schema. In a given server the database stays, which makes the next run start faster, and is
//! dropped an hour after its files have changed. `cargo nextest`, which starts a process for each test, works in the
//! same way.
//!
//! The schema of a test is called `test_<process>_<number>_<test>`. Schemas that a killed process leaves behind are
//! dropped by the next one.
//!
//! # Concurrent tests
//!
//! Each test has a manager with a budget of 4 connections, in the runtime of the test. It lists only the test's own
//! tenants, so that a test can migrate or count "all" tenants. Tests in the database of the run share the shared
//! schema, extensions and roles: a test that changes those must run `alone`.
//!
//! # Features
//!
//! | feature | default | what it does |
//! |---|---|---|
//! | `axum` | off | `TestTenant::request` and `call`, for axum and other tower services |
//! | `actix` | off | `TestTenant::actix_request` and `call_actix`, for actix-web |

#[cfg(feature = "actix")]
mod actix;
#[cfg(feature = "axum")]
mod axum;
mod error;
#[doc(hidden)]
pub mod harness;
mod keep;
mod keeper;
mod kit;
mod name;
mod neighbour;
mod run;
mod server;
mod tenant;
mod tenants;
mod world;

/// Runs an async test with a fresh tenant.
///
/// The function takes a [`TestTenant`] or no argument, and returns `()` or a `Result`. It runs in a separate runtime,
/// on the test's thread. Other attributes, such as `#[ignore]` or `#[should_panic]`, work as they do with `#[test]`.
///
/// # Arguments
///
/// | argument | what it does |
/// |---|---|
/// | `migrations = "path"` | the folder of the tenants' migrations, from the package's root; default `"migrations"` |
/// | `shared = "path"` | the folder of the shared schema's migrations; default: the shared schema is empty |
/// | `fixtures("users", "a/b.sql")` | SQL that is run for every tenant of the test, in this order: a name stands for `fixtures/<name>.sql` next to the test's file, and a path is relative to that file |
/// | `tenants = path::to::function` | a function that returns [`TestTenants`], instead of `migrations` |
/// | `alone` | a dedicated database for this test, see [`TestTenants::alone`] |
/// | `flavor = "multi_thread"` | a runtime with several threads; default `"current_thread"` |
/// | `worker_threads = 2` | the number of threads of that runtime; default 2 |
///
/// # Examples
///
/// ```no_run,test_harness
/// use tenantry::migrate::{Lint, Migrations};
/// use tenantry_test::{TestTenant, TestTenants};
///
/// fn tenants() -> TestTenants {
///     let migrations = Migrations::from_dir("migrations").unwrap();
///     TestTenants::new(migrations.lint(Lint::default().allow_schema("public")))
///         .manager(|builder| builder.extension_schemas(["extensions"]))
/// }
///
/// #[tenantry_test::test(tenants = tenants, alone)]
/// async fn all_tenants_are_counted(t: TestTenant) -> Result<(), Box<dyn std::error::Error>> {
///     t.another().await?;
///     assert_eq!(t.manager.tenants().await?.len(), 2);
///     Ok(())
/// }
/// ```
pub use tenantry_test_macros::test;

pub use error::Error;
pub use neighbour::Neighbour;
pub use tenant::TestTenant;
pub use tenants::TestTenants;

/// The code of the page about testing compiles and runs.
#[cfg(all(doctest, feature = "axum", feature = "actix"))]
#[doc = include_str!("../../../docs/testing.md")]
struct Testing;

/// Ensures that the code of the page about porting compiles. It is here because it needs both adapters.
#[cfg(all(doctest, feature = "axum", feature = "actix"))]
#[doc = include_str!("../../../docs/porting.md")]
struct Porting;

/// Ensures that the code of the page compiles.
#[cfg(all(doctest, feature = "axum", feature = "actix"))]
#[doc = include_str!("../../../docs/getting-started.md")]
struct GettingStarted;

/// Ensures that the code of the page compiles.
#[cfg(all(doctest, feature = "axum", feature = "actix"))]
#[doc = include_str!("../../../docs/handlers.md")]
struct Handlers;
