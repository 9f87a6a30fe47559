//! Support for the code that the attribute expands to. Not public API: it can change in any release.

use std::{
    future::Future,
    panic::{AssertUnwindSafe, resume_unwind},
    sync::Arc,
};

use futures_util::FutureExt as _;
use tenantry::seed::Seed;
use tokio::{runtime::Builder, task::LocalSet};

use crate::{Error, TestTenant, TestTenants, keep::Outcome, tenants::migrations_of};

/// The arguments of the attribute.
#[derive(Debug)]
pub struct Plan {
    /// The path of the test function.
    pub name: &'static str,
    /// The folder of the migrations.
    pub migrations: &'static str,
    /// The folder of the migrations of the shared schema.
    pub shared: Option<&'static str>,
    /// A function that returns the tenants, instead of the folders.
    pub tenants: Option<fn() -> TestTenants>,
    /// Names and texts of fixtures.
    pub fixtures: &'static [(&'static str, &'static str)],
    /// Whether the test has a separate database.
    pub alone: bool,
    /// The number of worker threads of a multi-threaded runtime.
    pub threads: Option<usize>,
}

/// A return type of tests.
#[diagnostic::on_unimplemented(
    message = "a test returns `()` or a `Result`, not `{Self}`",
    label = "let the test return `()` or a `Result`"
)]
pub trait Ending {
    /// Returns `true` if the test failed.
    fn has_failed(&self) -> bool;
}

impl Ending for () {
    fn has_failed(&self) -> bool {
        false
    }
}

impl<T, E> Ending for Result<T, E> {
    fn has_failed(&self) -> bool {
        self.is_err()
    }
}

/// Runs a test with a tenant, in a runtime that ends with the test.
///
/// # Panics
///
/// If the test panics, or if no tenant can be created for it.
pub fn run<F, R>(plan: Plan, test: impl FnOnce(TestTenant) -> F) -> R
where
    F: Future<Output = R>,
    R: Ending,
{
    let mut builder = match plan.threads {
        None => Builder::new_current_thread(),
        Some(_) => Builder::new_multi_thread(),
    };
    if let Some(threads) = plan.threads {
        builder.worker_threads(threads);
    }
    let runtime = builder.enable_all().build();
    let runtime = runtime.unwrap_or_else(|error| panic!("starting a runtime: {error}"));
    // actix spawns tasks that stay on their thread.
    LocalSet::new().block_on(&runtime, Box::pin(run_in_runtime(plan, test)))
}

async fn run_in_runtime<F, R>(plan: Plan, test: impl FnOnce(TestTenant) -> F) -> R
where
    F: Future<Output = R>,
    R: Ending,
{
    let tenant = plan.tenant().await.unwrap_or_else(|error| panic!("tenantry-test: {error:?}"));
    let world = Arc::clone(&tenant.world);
    // The following runs whether or not the test panics.
    let ended = AssertUnwindSafe(async { test(tenant).await }).catch_unwind().await;
    let failed = ended.as_ref().map_or(true, Ending::has_failed);
    world.end(if failed { Outcome::Failed } else { Outcome::Passed }).await;
    ended.unwrap_or_else(|panic| resume_unwind(panic))
}

impl Plan {
    async fn tenant(&self) -> Result<TestTenant, Error> {
        let mut tenants = match self.tenants {
            Some(make) => make(),
            None => TestTenants::from_dir(self.migrations)?,
        };
        if let Some(shared) = self.shared {
            tenants = tenants.shared(migrations_of(shared.as_ref())?);
        }
        for (name, sql) in self.fixtures {
            tenants = tenants.fixture(Seed::sql(*name, sql));
        }
        match self.alone {
            true => tenants.alone(self.name).await,
            false => tenants.tenant(self.name).await,
        }
    }
}
