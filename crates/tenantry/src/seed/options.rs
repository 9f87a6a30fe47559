use std::{fmt, sync::Arc};

use super::TenantSeed;
use crate::{
    error::{Error, ErrorKind, OptionsError},
    migrate::OnFailure,
};

type OnProgress = dyn Fn(&TenantSeed) + Send + Sync;

/// Options for seeding many tenants.
#[derive(Clone)]
#[must_use = "options do nothing until a seeder gets them"]
pub struct SeedOptions {
    pub(super) concurrency: usize,
    pub(super) on_failure: OnFailure,
    pub(super) on_progress: Option<Arc<OnProgress>>,
}

impl Default for SeedOptions {
    fn default() -> Self {
        Self { concurrency: 8, on_failure: OnFailure::default(), on_progress: None }
    }
}

impl SeedOptions {
    /// Sets how many tenants are seeded concurrently. Minimum: 1. Default: 8. The connection budget is the limit.
    pub fn concurrency(mut self, tenants: usize) -> Self {
        self.concurrency = tenants;
        self
    }

    /// Sets how the failure of a tenant affects the others. Default: [`Continue`](OnFailure::Continue).
    pub fn on_failure(mut self, on_failure: OnFailure) -> Self {
        self.on_failure = on_failure;
        self
    }

    /// Calls a closure with the result of each tenant as soon as it is known.
    ///
    /// It runs between the tenants, so it should be quick. A panic in it is logged and otherwise ignored.
    pub fn on_progress(mut self, progress: impl Fn(&TenantSeed) + Send + Sync + 'static) -> Self {
        self.on_progress = Some(Arc::new(progress));
        self
    }

    pub(super) fn check(&self) -> Result<(), Error> {
        match self.concurrency {
            0 => {
                let wrong = OptionsError::new("concurrency", "be at least 1");
                Err(Error::new(ErrorKind::Config, format!("seeding: {wrong}")).with_source(wrong))
            }
            _ => Ok(()),
        }
    }
}

impl fmt::Debug for SeedOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SeedOptions")
            .field("concurrency", &self.concurrency)
            .field("on_failure", &self.on_failure)
            .finish_non_exhaustive()
    }
}
