//! A registry of the application's behind `/metrics`.

use prometheus::Registry;

use super::OpsScope;

impl OpsScope {
    /// Lets `/metrics` show a whole registry, in which the collector of the manager is registered.
    /// Default: the figures of the manager alone.
    ///
    /// Two managers have metrics of the same names. To have both in one process, give each a registry
    /// with a label of its own, see
    /// [`Registry::new_custom`](prometheus::Registry::new_custom).
    pub fn registry(self, registry: Registry) -> Self {
        Self { options: self.options.registry(registry) }
    }
}
