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
pub(super) struct AwayNodes(Mutex<HashMap<TenantId, Instant>>);

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
        let mut away = self.away_nodes.0.lock();
        away.retain(|_, at| at.elapsed() < LATELY);
        away.insert(tenant.clone(), Instant::now());
    }

    /// Returns `true` if statements of a tenant failed lately because its node did not answer.
    pub(crate) fn lacks_node_of(&self, tenant: &TenantId) -> bool {
        self.away_nodes.0.lock().get(tenant).is_some_and(|at| at.elapsed() < LATELY)
    }
}
