//! A counter that many add to while something goes wrong: nothing may be lost or made twice.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use sqlx::PgConnection;
use tenantry::{ErrorKind, TenantManager};
use tokio::task::JoinSet;

use crate::support::{TestResult, eventually, eventually_within, run};

const MS: Duration = Duration::from_millis(1);

/// Long enough for any machine, short enough to tell that something hangs.
pub(crate) const AT_MOST: Duration = Duration::from_secs(15);

/// Adds one to a counter, again and again, and knows what was acknowledged and what is in doubt.
pub(crate) struct Counting {
    stop: Arc<AtomicBool>,
    acknowledged: Arc<AtomicU64>,
    tasks: JoinSet<Tally>,
}

#[derive(Debug, Default)]
struct Tally {
    in_doubt: u64,
    longest: Duration,
    odd: Vec<ErrorKind>,
}

impl Counting {
    pub(crate) async fn prepare(admin: &mut PgConnection) {
        run(&mut *admin, "create table tenant_acme.counter (n bigint not null)").await;
        run(admin, "insert into tenant_acme.counter values (0)").await;
    }

    pub(crate) fn start(manager: &TenantManager, tasks: usize) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let acknowledged = Arc::new(AtomicU64::new(0));
        let mut set = JoinSet::new();
        for task in 0..tasks {
            let (manager, stop) = (manager.clone(), Arc::clone(&stop));
            let acknowledged = Arc::clone(&acknowledged);
            set.spawn(async move {
                let mut tally = Tally::default();
                while !stop.load(Ordering::Relaxed) {
                    let began = Instant::now();
                    let outcome = add_one(&manager, task % 2 == 0).await;
                    tally.longest = tally.longest.max(began.elapsed());
                    match outcome {
                        Ok(()) => drop(acknowledged.fetch_add(1, Ordering::Relaxed)),
                        Err(Failed { error, in_doubt }) => {
                            tally.in_doubt += u64::from(in_doubt);
                            let clean = matches!(
                                error.kind(),
                                ErrorKind::Unavailable
                                    | ErrorKind::Timeout
                                    | ErrorKind::StatementTimeout
                            );
                            if !clean {
                                tally.odd.push(error.kind());
                            }
                            tokio::task::yield_now().await;
                        }
                    }
                }
                tally
            });
        }
        Self { stop, acknowledged, tasks: set }
    }

    /// Waits until so many more were acknowledged.
    pub(crate) async fn more(&self, count: u64) {
        let goal = self.acknowledged.load(Ordering::Relaxed) + count;
        eventually_within(AT_MOST, "increments are acknowledged", async || {
            self.acknowledged.load(Ordering::Relaxed) >= goal
        })
        .await;
    }

    /// Ends it and compares the counter with what is known of it.
    pub(crate) async fn end(self, admin: &mut PgConnection) -> TestResult {
        self.stop.store(true, Ordering::Relaxed);
        let tallies = self.tasks.join_all().await;
        // What was cancelled in the background is settled once nobody works for this pool any more.
        eventually("no statement runs", async || {
            let busy: i64 = sqlx::query_scalar(
                "select count(*) from pg_stat_activity \
                 where application_name like 'tenantry/%' and state = 'active'",
            )
            .fetch_one(&mut *admin)
            .await
            .expect("the server is running");
            busy == 0
        })
        .await;
        let counter: i64 =
            sqlx::query_scalar("select n from tenant_acme.counter").fetch_one(admin).await?;
        let counter = u64::try_from(counter)?;
        let acknowledged = self.acknowledged.load(Ordering::Relaxed);
        let in_doubt: u64 = tallies.iter().map(|tally| tally.in_doubt).sum();
        assert!(acknowledged > 0);
        assert!(
            (acknowledged..=acknowledged + in_doubt).contains(&counter),
            "{acknowledged} acknowledged, {in_doubt} in doubt, and the counter says {counter}"
        );
        for tally in tallies {
            assert!(tally.odd.is_empty(), "{:?}", tally.odd);
            assert!(tally.longest < AT_MOST, "a request took {:?}", tally.longest);
        }
        Ok(())
    }
}

struct Failed {
    error: tenantry::Error,
    /// Whether it may have been executed all the same.
    in_doubt: bool,
}

async fn add_one(manager: &TenantManager, in_transaction: bool) -> Result<(), Failed> {
    let not_sent = |error| Failed { error, in_doubt: false };
    let sent = |error: sqlx::Error| Failed { error: error.into(), in_doubt: true };
    let add = sqlx::query("update counter set n = n + 1");
    let db = manager.tenant("acme").await.map_err(not_sent)?;
    if !in_transaction {
        return add.execute(&db).await.map(drop).map_err(sent);
    }
    let mut tx = db.begin().await.map_err(tenantry::Error::from).map_err(not_sent)?;
    let step = async {
        add.execute(&mut *tx).await?;
        tx.commit().await
    };
    // What runs in a transaction is not covered by the pool's limit: the application has its own.
    match tokio::time::timeout(MS * 2_000, step).await {
        Ok(done) => done.map_err(sent),
        Err(_) => Err(sent(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into()))),
    }
}
