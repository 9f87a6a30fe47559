//! Tasks that write to the tenant that moves.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use tenantry::TenantDb;
use tokio::{task::JoinSet, time::sleep};

use super::tenant::{TABLES, WRITTEN, write_sql};
use crate::{failure::Failure, load::Tally, trusted::trusted};

const WRITERS: i32 = 4;

/// The pause of a writer after each write: a flood is never caught up with.
const BREATH: Duration = Duration::from_millis(4);

pub(super) struct Writers {
    tasks: JoinSet<Tally>,
    stop: Arc<AtomicBool>,
}

impl Writers {
    pub(super) fn start(tenant: &TenantDb) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let write = |writer| write(tenant.clone(), writer, Arc::clone(&stop));
        Self { tasks: (1..=WRITERS).map(write).collect(), stop }
    }

    /// Waits for the last writes; returns how many were acknowledged and refused, and how long they took.
    pub(super) async fn stop(mut self) -> Result<Tally, Failure> {
        self.stop.store(true, Ordering::Relaxed);
        let mut total = Tally::new();
        while let Some(tally) = self.tasks.join_next().await {
            total.add(tally?);
        }
        Ok(total)
    }
}

async fn write(tenant: TenantDb, writer: i32, stop: Arc<AtomicBool>) -> Tally {
    let statements: Vec<_> = (1..=TABLES).map(write_sql).map(trusted).collect();
    let mut tally = Tally::new();
    for statement in statements.iter().cycle() {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let began = Instant::now();
        let query = sqlx::query(statement.clone()).bind(writer).bind(WRITTEN);
        let written = query.execute(&tenant).await;
        let written = written.map(drop).map_err(|error| error.to_string());
        tally.note(written, began.elapsed());
        sleep(BREATH).await;
    }
    tally
}
