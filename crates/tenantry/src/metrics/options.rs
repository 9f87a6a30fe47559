/// What is collected.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct MetricsOptions {
    /// How many tenants have series of their own: the busiest; all others are one series with the
    /// label `_other`. Default: 0, no tenant labels at all.
    ///
    /// Each takes four series, and they vanish with the tenant pool.
    pub tenant_labels: usize,
    /// Whether there are figures of the process: memory, file descriptors, CPU. Default: `false`.
    /// Linux only; elsewhere there are none.
    ///
    /// Leave it off where the registry already has a `ProcessCollector`.
    pub process: bool,
    /// Whether there are figures of the tokio runtime that owns the connections. Default: `false`.
    pub runtime: bool,
}

impl MetricsOptions {
    /// Sets [`tenant_labels`](Self::tenant_labels).
    #[must_use]
    pub fn tenant_labels(mut self, most: usize) -> Self {
        self.tenant_labels = most;
        self
    }

    /// Sets [`process`](Self::process).
    #[must_use]
    pub fn process(mut self, process: bool) -> Self {
        self.process = process;
        self
    }

    /// Sets [`runtime`](Self::runtime).
    #[must_use]
    pub fn runtime(mut self, runtime: bool) -> Self {
        self.runtime = runtime;
        self
    }
}
