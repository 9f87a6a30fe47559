//! Figures of the tokio runtime that owns the connections.

use std::time::Duration;

use tokio::runtime::RuntimeMetrics;

use super::{
    families::Families,
    list::{self, Entry},
};

pub(super) const METRICS: [Entry; 4] =
    [list::TOKIO_WORKERS, list::TOKIO_TASKS, list::TOKIO_QUEUED, list::TOKIO_BUSY];

pub(super) fn read(families: &mut Families, runtime: &RuntimeMetrics) {
    let workers = 0..runtime.num_workers();
    let busy = workers.map(|worker| runtime.worker_total_busy_duration(worker)).sum::<Duration>();
    families.one(&list::TOKIO_WORKERS, runtime.num_workers() as f64);
    families.one(&list::TOKIO_TASKS, runtime.num_alive_tasks() as f64);
    families.one(&list::TOKIO_QUEUED, runtime.global_queue_depth() as f64);
    families.one(&list::TOKIO_BUSY, busy.as_secs_f64());
}
