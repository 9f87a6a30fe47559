//! Tenants that are created while a run over all tenants is under way.

use std::{collections::HashSet, sync::Arc};

use futures_util::FutureExt;

use super::{
    End, LintReport, MigrateOptions, Outcome, Schemas, TenantMigration, TenantMigrator,
    lint::Of,
    migrator::{Surveyed, look, not_begun},
    run::Order,
    targets::{RowTenants, targets_of},
};
use crate::error::Error;

/// The maximum number of times that a run looks for new tenants.
const LOOKS: usize = 10;

impl TenantMigrator {
    /// Does the job in all of these schemas, and then in those of tenants created meanwhile, until there are none: an
    /// instance of the previous release creates tenants with its own files while it runs.
    pub(super) async fn over_all(
        &self,
        order: &Order<'_>,
        surveyed: Surveyed,
        lint: &mut LintReport,
    ) -> (End, Vec<TenantMigration>) {
        let Order { job, set, options, .. } = *order;
        let names = |surveyed: &Surveyed| -> Vec<_> {
            surveyed.iter().map(|(target, _)| Arc::clone(&target.name)).collect()
        };
        let mut known: HashSet<_> = names(&surveyed).into_iter().collect();
        let (mut end, mut tenants) = order.over(surveyed).boxed().await;
        // A run without pending work already is such a look.
        let worked = tenants.iter().any(|tenant| !matches!(tenant.outcome, Outcome::UpToDate));
        for _ in 0..LOOKS {
            if !worked || end != End::Completed {
                break;
            }
            let came = match self.came_since(&known, options).await {
                Ok(came) => came,
                Err(error) => {
                    tracing::warn!(
                        target: "tenantry::migrate",
                        error = &error as &dyn std::error::Error,
                        "could not check for tenants that were created during the run"
                    );
                    break;
                }
            };
            if came.is_empty() {
                break;
            }
            known.extend(names(&came));
            let found = look(Of::Tenant, job, set, &came, options);
            let more = match found.is_success() {
                true => self.order(job, set, options).over(came).boxed().await,
                false => {
                    (end, came.iter().map(|(target, _)| not_begun(&self.fleet, target)).collect())
                }
            };
            lint.extend(found);
            end = more.0;
            tenants.extend(more.1);
        }
        (end, tenants)
    }

    async fn came_since(
        &self,
        known: &HashSet<Arc<str>>,
        options: &MigrateOptions,
    ) -> Result<Surveyed, Error> {
        let all = &Schemas::AllTenants;
        let mut targets = targets_of(&self.fleet, all, RowTenants::Together).await?;
        targets.retain(|target| !known.contains(&target.name));
        let mut surveyed = self.survey_of(targets).await?;
        self.put_aside(&mut surveyed, &Schemas::AllTenants, options);
        Ok(surveyed)
    }
}
