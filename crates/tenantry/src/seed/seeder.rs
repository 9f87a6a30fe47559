use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::atomic::{AtomicBool, Ordering},
};

use futures_util::{StreamExt, stream};
use tokio::time::Instant;

use super::{
    Ran, Seed, SeedOptions, SeedOutcome, SeedReport, TenantSeed, in_transaction, outside,
    record::ensure_table, turn::Turn,
};
use crate::{
    catalog::Site,
    db::TenantTransaction,
    error::Error,
    fleet::{Fleet, while_alive},
    migrate::{Attempts, OnFailure, RowTenants, Schemas, targets_of},
};

/// Runs seeds in tenants' schemas and in the shared schema.
///
/// Created by [`TenantManager::seeder`](crate::TenantManager::seeder). It takes its connections from the manager's
/// budget. Cloning is cheap.
///
/// # Examples
///
/// See [`Seed`].
#[derive(Debug, Clone)]
#[must_use = "a seeder does nothing until it gets a seed"]
pub struct Seeder {
    fleet: Fleet,
}

impl Seeder {
    pub(crate) fn new(fleet: Fleet) -> Self {
        Self { fleet }
    }

    /// Seeds all tenants that the catalog lists.
    ///
    /// # Errors
    ///
    /// [`Config`](crate::ErrorKind::Config) if an option is invalid, and any error of listing the tenants. Later
    /// failures are in the report.
    ///
    /// # Cancel safety
    ///
    /// If dropped, seeds that run in a transaction are rolled back, and run the next time; tenants that were already
    /// seeded stay seeded.
    pub async fn seed_all(&self, seed: &Seed, options: SeedOptions) -> Result<SeedReport, Error> {
        self.run(Schemas::AllTenants, seed, &options).await
    }

    /// Seeds the given tenants. An unknown tenant or an invalid tenant id is reported as failed. A tenant that is
    /// named twice counts once.
    ///
    /// # Errors
    ///
    /// As [`seed_all`](Self::seed_all).
    ///
    /// # Cancel safety
    ///
    /// As [`seed_all`](Self::seed_all).
    pub async fn seed<I>(
        &self,
        tenants: I,
        seed: &Seed,
        options: SeedOptions,
    ) -> Result<SeedReport, Error>
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        self.run(Schemas::tenants(tenants), seed, &options).await
    }

    /// Seeds the shared schema.
    ///
    /// # Errors
    ///
    /// As [`seed_all`](Self::seed_all).
    ///
    /// # Cancel safety
    ///
    /// As [`seed_all`](Self::seed_all).
    pub async fn seed_shared(
        &self,
        seed: &Seed,
        options: SeedOptions,
    ) -> Result<SeedReport, Error> {
        self.run(Schemas::Shared, seed, &options).await
    }

    async fn run(
        &self,
        schemas: Schemas,
        seed: &Seed,
        options: &SeedOptions,
    ) -> Result<SeedReport, Error> {
        let began = Instant::now();
        options.check()?;
        let targets = targets_of(&self.fleet, &schemas, RowTenants::Each).await?;
        let stop = AtomicBool::new(false);
        let stop = &stop;
        // Without a remaining connection, a seed that gets a database would wait for itself.
        let places = self.fleet.server().places_for_upkeep();
        let concurrency = options.concurrency.min(places).max(1);
        let run = stream::iter(targets).map(|target| async move {
            let began = Instant::now();
            let tenant_id = target.name_of_tenant();
            let (server, database) = self.fleet.names_of(target.home());
            let outcome = match stop.load(Ordering::Relaxed) {
                true => SeedOutcome::NotStarted,
                false => self.seed_one(seed, target.site).await,
            };
            let failed = matches!(outcome, SeedOutcome::Failed { .. });
            if failed && options.on_failure == OnFailure::Abort {
                stop.store(true, Ordering::Relaxed);
            }
            let seeded =
                TenantSeed { tenant_id, server, database, outcome, duration: began.elapsed() };
            self.tell(options, &seeded);
            seeded
        });
        let tenants = run.buffered(concurrency).collect().await;
        Ok(SeedReport::new(seed.name.clone(), tenants, began.elapsed()))
    }

    async fn seed_one(&self, seed: &Seed, site: Result<Site, Error>) -> SeedOutcome {
        let ran = match site {
            Ok(site) => {
                let here = Self { fleet: self.fleet.at(&site.home) };
                while_alive(&here.fleet, here.seed_site(seed, &site)).await
            }
            Err(error) => Err(error),
        };
        match ran {
            Ok(Ran::Seeded) => SeedOutcome::Seeded,
            Ok(Ran::Already) => SeedOutcome::Already,
            Err(error) => SeedOutcome::Failed { error: error.into() },
        }
    }

    async fn seed_site(&self, seed: &Seed, site: &Site) -> Result<Ran, Error> {
        if seed.runs_outside() {
            return outside(&self.fleet, seed, site, None).await;
        }
        let (mut attempts, turn) = (Attempts::default(), Turn::new());
        loop {
            let ran = self.seed_at_once(seed, site).await;
            if !turn.wait_after(&ran).await && !attempts.go_on_after(&ran).await {
                return ran;
            }
        }
    }

    async fn seed_at_once(&self, seed: &Seed, site: &Site) -> Result<Ran, Error> {
        let role = self.fleet.role_of(site).await?;
        let mut lease = self.fleet.lease_for(site).await?;
        ensure_table(&mut lease, site).await.map_err(|error| site.occupant.name(error.into()))?;
        let mut tx = TenantTransaction::open(lease).await?;
        let ran = in_transaction(seed, site, role.as_ref(), &mut tx).await?;
        tx.commit().await.map_err(|error| site.occupant.name(error.into()))?;
        Ok(ran.unwrap_or(Ran::Already))
    }

    fn tell(&self, options: &SeedOptions, seeded: &TenantSeed) {
        if let Some(on_progress) = &options.on_progress
            && catch_unwind(AssertUnwindSafe(|| on_progress(seeded))).is_err()
        {
            self.fleet.server().observer.meters.hook_failures.inc();
            tracing::error!(target: "tenantry::hook", "the progress callback of seeding panicked");
        }
    }
}
