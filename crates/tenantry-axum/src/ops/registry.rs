//! An application's registry behind `/metrics`.

use prometheus::Registry;

use super::OpsRoutes;

impl OpsRoutes {
    /// Exposes a whole registry at `/metrics`, and registers the manager's collector in it.
    /// Default: only the metrics of the manager.
    ///
    /// Two managers have metrics of the same names. To run both in one process, give each a
    /// registry with a distinct label; see
    /// [`Registry::new_custom`](prometheus::Registry::new_custom).
    pub fn registry(self, registry: Registry) -> Self {
        Self { options: self.options.registry(registry) }
    }
}
