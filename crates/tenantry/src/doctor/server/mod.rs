//! Checks of the configuration and of the server.

mod configuration;

use std::sync::Arc;

use super::Check;

/// The checks, in the order of the report.
pub(super) fn checks() -> Vec<Arc<dyn Check>> {
    vec![Arc::new(configuration::Configuration)]
}
