/// Options for the collected metrics.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct MetricsOptions {
    /// Number of tenants with separate series: the busiest ones; all others are one series with the
    /// label `_other`. Default: 0, no tenant labels at all.
    ///
    /// Each tenant takes four series, which disappear with the tenant pool.
    pub tenant_labels: usize,
    /// Whether to collect process metrics: memory, file descriptors, CPU. Default: `false`. Linux
    /// only.
    ///
    /// Do not enable it if the registry already has a `ProcessCollector`.
    pub process: bool,
    /// Whether to collect metrics of the tokio runtime that owns the connections. Default: `false`.
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
