//! Tasks that write without pause, and remember what was acknowledged.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use tenantry::TenantDb;
use tokio::{task::JoinSet, time::sleep};

/// Between two writes of a task.
const BREATH: Duration = Duration::from_millis(2);

/// An order and its items, in one statement. Two tables are written to, or none.
const PLACE: &str = "with placed as (insert into orders (customer_id) values ($1) returning id), \
                     added as (insert into items (order_id, what) select id, 'a book' from placed) \
                     select id from placed";

/// Tasks that place orders, each with its own clone of the tenant's handle.
pub(crate) struct Writers {
    tasks: JoinSet<Written>,
    stop: Arc<AtomicBool>,
}

/// The result of all writes.
#[derive(Default)]
pub(crate) struct Written {
    /// The ids of the orders that the database has acknowledged.
    pub(crate) acknowledged: Vec<i64>,
    /// Errors that a caller has seen.
    pub(crate) refused: Vec<sqlx::Error>,
    /// The longest time between a call and its result.
    pub(crate) slowest: Duration,
}

impl Writers {
    pub(crate) fn start(tenant: &TenantDb, tasks: i64) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let write = |customer| write(tenant.clone(), customer, Arc::clone(&stop));
        Self { tasks: (1..=tasks).map(write).collect(), stop }
    }

    pub(crate) async fn stop(self) -> Written {
        self.stop.store(true, Ordering::Relaxed);
        let mut all = Written::default();
        for one in self.tasks.join_all().await {
            all.acknowledged.extend(one.acknowledged);
            all.refused.extend(one.refused);
            all.slowest = all.slowest.max(one.slowest);
        }
        all
    }
}

async fn write(tenant: TenantDb, customer: i64, stop: Arc<AtomicBool>) -> Written {
    let mut written = Written::default();
    while !stop.load(Ordering::Relaxed) {
        let began = Instant::now();
        match sqlx::query_scalar(PLACE).bind(customer).fetch_one(&tenant).await {
            Ok(id) => written.acknowledged.push(id),
            Err(error) => written.refused.push(error),
        }
        written.slowest = written.slowest.max(began.elapsed());
        sleep(BREATH).await;
    }
    written
}
