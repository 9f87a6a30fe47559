//! Tenants that an instance of the previous release has created since the last run over all tenants.

use std::{
    collections::HashSet,
    hash::{BuildHasher, RandomState},
    mem,
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use tokio::time::sleep;

use super::{
    MigrateOptions, MigrateReport, Migrations, Outcome, Schemas, TenantMigrator,
    lint::Of,
    migrator::look,
    plan::{Job, pending, problems},
    survey::Recorded,
    targets::{RowTenants, targets_of},
};
use crate::{error::Error, fleet::Fleet, tenant::TenantId};

/// How long newly discovered tenants are collected before they are checked together.
const GATHER: Duration = Duration::from_millis(100);

/// The maximum number of tenants that are checked together.
const TOGETHER: usize = 250;

/// The maximum number of tenants in the queue. Tenants beyond that are checked when they are discovered again.
const WAITING: usize = 10_000;

/// The last run over all tenants in this process, and the tenants discovered since.
struct Newcomers {
    set: Migrations,
    options: MigrateOptions,
    hasher: RandomState,
    met: Mutex<Met>,
}

#[derive(Default)]
struct Met {
    /// Hashes of their ids: these need not be checked again.
    seen: HashSet<u64>,
    waiting: Vec<TenantId>,
    is_attended: bool,
}

impl TenantMigrator {
    /// Checks each tenant that this process discovers from now on once, and migrates it if it is behind.
    pub(super) fn attend_newcomers(
        &self,
        set: &Migrations,
        options: &MigrateOptions,
        report: &MigrateReport,
    ) {
        let hasher = RandomState::new();
        let names = report.tenants.iter().filter_map(|tenant| tenant.tenant_id.as_deref());
        let seen = names.map(|name| hasher.hash_one(name)).collect();
        let met = Mutex::new(Met { seen, ..Met::default() });
        let options = options.clone().in_background();
        let newcomers = Arc::new(Newcomers { set: set.clone(), options, hasher, met });
        self.fleet.on_first_use(move |fleet, id| newcomers.meet(fleet, id));
    }
}

impl Newcomers {
    fn meet(self: &Arc<Self>, fleet: &Fleet, id: &TenantId) {
        let mut met = self.met.lock();
        if met.waiting.len() >= WAITING || !met.seen.insert(self.hasher.hash_one(id.as_str())) {
            return;
        }
        met.waiting.push(id.clone());
        if mem::replace(&mut met.is_attended, true) {
            return;
        }
        drop(met);
        let (newcomers, fleet) = (Arc::clone(self), fleet.clone());
        let shutdown = fleet.server().shutdown().clone();
        let server = Arc::clone(fleet.server());
        let attended = server.spawn(async move {
            let migrator = TenantMigrator::new(fleet);
            shutdown.run_until_cancelled(newcomers.attend(&migrator)).await
        });
        if attended.is_none() {
            self.met.lock().is_attended = false;
        }
    }

    /// Checks the queued tenants until there are none.
    async fn attend(&self, migrator: &TenantMigrator) {
        loop {
            sleep(GATHER).await;
            let ids = {
                let mut met = self.met.lock();
                let at = met.waiting.len().saturating_sub(TOGETHER);
                let ids = met.waiting.split_off(at);
                met.is_attended = !ids.is_empty();
                ids
            };
            if ids.is_empty() {
                return;
            }
            if let Err(error) = self.catch_up(migrator, &ids).await {
                tracing::warn!(
                    target: "tenantry::migrate",
                    error = &error as &dyn std::error::Error,
                    "could not check {} new tenants for pending migrations", ids.len()
                );
            }
        }
    }

    async fn catch_up(&self, migrator: &TenantMigrator, ids: &[TenantId]) -> Result<(), Error> {
        let named = Schemas::tenants(ids.iter().map(TenantId::as_str));
        let targets = targets_of(&migrator.fleet, &named, RowTenants::NotByName).await?;
        let mut surveyed = migrator.survey_of(targets).await?;
        surveyed.retain(|(_, recorded)| recorded.as_ref().is_ok_and(|found| self.is_behind(found)));
        let job = Job::Apply { to: None };
        if surveyed.is_empty()
            || !look(Of::Tenant, job, &self.set, &surveyed, &self.options).is_success()
        {
            return Ok(());
        }
        let (_, tenants) = migrator.order(job, &self.set, &self.options).over(surveyed).await;
        for tenant in &tenants {
            let name = tenant.tenant_id.as_deref();
            match &tenant.outcome {
                Outcome::Failed { error } => tracing::warn!(
                    target: "tenantry::migrate",
                    tenant = name,
                    error = error as &dyn std::error::Error,
                    "a tenant created by an earlier release could not be migrated"
                ),
                _ => tracing::info!(
                    target: "tenantry::migrate",
                    tenant = name,
                    files = tenant.files.len(),
                    "a tenant created by an earlier release was migrated"
                ),
            }
        }
        Ok(())
    }

    /// Returns `true` if a tenant lacks files and has no other problem. A schema without any records may not be ours.
    fn is_behind(&self, recorded: &Recorded) -> bool {
        let (set, applied) = (&self.set, &recorded.applied);
        !applied.is_empty()
            && pending(set, applied).next().is_some()
            && problems(set, applied, self.options.leniency()).is_empty()
    }
}
