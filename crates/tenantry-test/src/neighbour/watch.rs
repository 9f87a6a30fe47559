//! Reads the neighbour's tables in a loop, and records the first time that they are not as expected.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tenantry::{ErrorKind, TenantDb};
use tokio::{
    sync::{Notify, RwLock, RwLockWriteGuard},
    time::sleep,
};

use crate::kit;

/// Yields the processor to the test now and then.
const BREATH: Duration = Duration::from_micros(500);

/// State shared by the neighbour's tasks.
#[derive(Debug)]
pub(crate) struct Watch {
    tables: Vec<String>,
    /// The expected contents of the tables; locked by tasks that read them, and exclusively while they are changed.
    expected: RwLock<String>,
    rounds: AtomicU64,
    began: Notify,
    mishap: Mutex<Option<String>>,
}

impl Watch {
    pub(crate) fn new(tables: Vec<String>, contents: String) -> Self {
        Self {
            tables,
            expected: RwLock::new(contents),
            rounds: AtomicU64::new(0),
            began: Notify::new(),
            mishap: Mutex::default(),
        }
    }

    /// Reads the tables until the task is stopped, in several ways: with plain statements, which leave a session
    /// clean, and in abandoned transactions, which do not.
    pub(crate) async fn run(self: Arc<Self>, db: TenantDb, number: usize) {
        loop {
            let round = self.rounds.load(Ordering::Relaxed);
            let expected = self.expected.read().await;
            let read = match (number as u64 + round) % 4 {
                0 => self.read_in_transaction(&db).await,
                _ => kit::contents(&db, &self.tables).await.map_err(tenantry::Error::from),
            };
            match read {
                Ok(contents) if contents == *expected => {}
                Ok(contents) => self.note(changed(&expected, &contents)),
                // The test can exhaust the pool, or terminate the server's sessions.
                Err(error) if error.is_transient() || error.kind() == ErrorKind::Closed => {}
                Err(error) => self.note(format!("its tables could not be read: {error}")),
            }
            drop(expected);
            self.rounds.fetch_add(1, Ordering::Relaxed);
            self.began.notify_waiters();
            sleep(BREATH).await;
        }
    }

    async fn read_in_transaction(&self, db: &TenantDb) -> Result<String, tenantry::Error> {
        let mut tx = db.begin().await?;
        let contents = kit::contents(&mut *tx, &self.tables).await?;
        // Dropped without an end, like by a request whose client has disconnected.
        drop(tx);
        Ok(contents)
    }

    /// Waits until the tables have been read once.
    pub(crate) async fn first_round(&self) {
        loop {
            let round = self.began.notified();
            if self.rounds() > 0 {
                return;
            }
            round.await;
        }
    }

    pub(crate) fn rounds(&self) -> u64 {
        self.rounds.load(Ordering::Relaxed)
    }

    /// Keeps the tasks from reading until the guard, which contains the expected contents, is dropped.
    pub(crate) async fn pause(&self) -> RwLockWriteGuard<'_, String> {
        self.expected.write().await
    }

    /// Returns the first unexpected result.
    pub(crate) fn mishap(&self) -> Option<String> {
        self.mishap.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn note(&self, mishap: String) {
        self.mishap.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(mishap);
    }
}

/// Describes which of the neighbour's tables have changed.
pub(crate) fn changed(expected: &str, now: &str) -> String {
    let lines = now.lines().filter(|line| !expected.lines().any(|before| before == *line));
    format!("its tables have changed; now: {}", lines.collect::<Vec<_>>().join(", "))
}
