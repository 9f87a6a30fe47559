use std::{fmt, sync::Arc};

use tenantry::{TenantManager, doctor::Check, migrate::Migrations, seed::Seed};

/// What a service gives to the commands.
#[derive(Clone, Default)]
pub(crate) struct Given {
    pub(crate) manager: Option<TenantManager>,
    pub(crate) migrations: Option<Migrations>,
    pub(crate) shared_migrations: Option<Migrations>,
    pub(crate) seeds: Vec<Seed>,
    pub(crate) checks: Vec<Arc<dyn Check>>,
}

impl fmt::Debug for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Given")
            .field("manager", &self.manager)
            .field("seeds", &self.seeds)
            .field("checks", &self.checks.iter().map(|check| check.name()).collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}
