//! Metrics of the tokio runtime that owns the connections.

use prometheus::{
    Counter, IntGauge,
    core::{Collector, Desc},
    proto::MetricFamily,
};
use tokio::runtime::Handle;

pub(super) struct RuntimeFigures {
    workers: IntGauge,
    tasks: IntGauge,
    queued: IntGauge,
    busy: Counter,
}

impl RuntimeFigures {
    pub(super) fn new() -> prometheus::Result<Self> {
        Ok(Self {
            workers: IntGauge::new("tokio_workers", "Worker threads of the runtime")?,
            tasks: IntGauge::new("tokio_alive_tasks", "Tasks of the runtime that have not ended")?,
            queued: IntGauge::new(
                "tokio_global_queue_depth",
                "Tasks in the queue that all workers share",
            )?,
            busy: Counter::new(
                "tokio_worker_busy_seconds_total",
                "Time that the runtime's workers were busy",
            )?,
        })
    }

    pub(super) fn desc(&self) -> Vec<&Desc> {
        let gauges = [&self.workers, &self.tasks, &self.queued];
        gauges.into_iter().flat_map(Collector::desc).chain(self.busy.desc()).collect()
    }

    /// Reads the metrics of a runtime; none if there is no runtime yet.
    pub(super) fn collect(runtime: Option<&Handle>) -> prometheus::Result<Vec<MetricFamily>> {
        let Some(runtime) = runtime.map(Handle::metrics) else { return Ok(Vec::new()) };
        let figures = Self::new()?;
        figures.workers.set(i64::try_from(runtime.num_workers()).unwrap_or(i64::MAX));
        figures.tasks.set(i64::try_from(runtime.num_alive_tasks()).unwrap_or(i64::MAX));
        figures.queued.set(i64::try_from(runtime.global_queue_depth()).unwrap_or(i64::MAX));
        let busy =
            (0..runtime.num_workers()).map(|worker| runtime.worker_total_busy_duration(worker));
        figures.busy.inc_by(busy.sum::<std::time::Duration>().as_secs_f64());
        let gauges = [&figures.workers, &figures.tasks, &figures.queued];
        Ok(gauges.into_iter().flat_map(Collector::collect).chain(figures.busy.collect()).collect())
    }
}
