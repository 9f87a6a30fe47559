//! Tenants whose node of a Citus cluster did not answer the coordinator lately.

use std::{collections::HashMap, time::Duration};

use parking_lot::Mutex;
use tokio::time::Instant;

use super::Server;
use crate::{
    error::{ErrorClass, class_of},
    tenant::TenantId,
};

/// How long after the last such error a tenant counts as affected. The coordinator answers in place of the node, so an
/// answer to a statement without tables says nothing.
const LATELY: Duration = Duration::from_secs(60);

/// When each tenant last had such an error.
#[derive(Debug, Default)]
pub(super) struct AwayNodes(Mutex<Tenants>);

#[derive(Debug, Default)]
struct Tenants {
    failed_at: HashMap<TenantId, Instant>,
    /// The number of tenants at which old ones are removed: twice those that were left the last time.
    full: usize,
}

impl Tenants {
    fn note(&mut self, tenant: &TenantId, now: Instant) {
        if self.failed_at.len() >= self.full {
            self.failed_at.retain(|_, at| now - *at < LATELY);
            self.full = (2 * self.failed_at.len()).max(1_024);
        }
        self.failed_at.insert(tenant.clone(), now);
    }
}

impl Server {
    /// Records an error of a statement of a tenant, if a node has caused it.
    pub(in crate::pool) fn note_error_of_node(
        &self,
        tenant: Option<&TenantId>,
        error: &sqlx::Error,
    ) {
        let Some(tenant) = tenant.filter(|_| class_of(error) == ErrorClass::ClusterNode) else {
            return;
        };
        self.away_nodes.0.lock().note(tenant, Instant::now());
    }

    /// Returns `true` if statements of a tenant failed lately because its node did not answer.
    pub(crate) fn lacks_node_of(&self, tenant: &TenantId) -> bool {
        let away = self.away_nodes.0.lock();
        away.failed_at.get(tenant).is_some_and(|at| at.elapsed() < LATELY)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn tenants_that_failed_long_ago_are_removed() {
        let (mut tenants, began) = (Tenants::default(), Instant::now());
        for number in 0..5_000_u64 {
            let tenant = TenantId::parse(&format!("t{number}")).expect("an id");
            tenants.note(&tenant, began + Duration::from_secs(number));
        }
        let left = tenants.failed_at.len();
        assert!((60..=1_024 + 60).contains(&left), "{left}");
    }
}
