//! Transactions of processes that hear of a move go on, wherever they are when it happens.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI32, Ordering},
    },
    time::Duration,
};

use tenantry::{TenantDb, TenantManager, moves::MoveMethod};
use tokio::{task::JoinSet, time::sleep};

use super::{Two, options, replicated::logical, value};
use crate::support::{TestResult, free_names};

/// Reads first, and writes to the same table twice. It holds its handle for as long as it runs.
async fn transact(db: TenantDb, next: Arc<AtomicI32>, stop: Arc<AtomicBool>) -> (u64, Vec<String>) {
    let (mut written, mut refused) = (0, Vec::new());
    while !stop.load(Ordering::Relaxed) {
        let id = next.fetch_add(2, Ordering::Relaxed);
        let transaction = async {
            let mut tx = db.begin().await?;
            sleep(Duration::from_micros(300)).await;
            sqlx::query("select count(*) from users where id < 10").execute(&mut *tx).await?;
            sleep(Duration::from_micros(500)).await;
            for id in [id, id + 1] {
                let insert = "insert into users values ($1, 'x')";
                sqlx::query(insert).bind(id).execute(&mut *tx).await?;
            }
            tx.commit().await
        };
        match transaction.await {
            Ok(()) => written += 2,
            Err(error) => refused.push(format!("{error:?}")),
        }
    }
    (written, refused)
}

/// The same, by a closure.
async fn by_closure(
    db: TenantDb,
    next: Arc<AtomicI32>,
    stop: Arc<AtomicBool>,
) -> (u64, Vec<String>) {
    let (mut written, mut refused) = (0, Vec::new());
    while !stop.load(Ordering::Relaxed) {
        let id = next.fetch_add(1, Ordering::Relaxed);
        let work = async |tx: &mut sqlx::Transaction<'_, sqlx::Postgres>| {
            sqlx::query("select count(*) from users where id < 10").execute(&mut **tx).await?;
            sqlx::query("insert into users values ($1, 'x')").bind(id).execute(&mut **tx).await
        };
        match db.transaction(work).await {
            Ok(done) => written += done.rows_affected(),
            Err(error) => refused.push(format!("{error:?}")),
        }
        sleep(Duration::from_micros(200)).await;
    }
    (written, refused)
}

struct Clients {
    tasks: JoinSet<(u64, Vec<String>)>,
    stop: Arc<AtomicBool>,
}

impl Clients {
    async fn start(managers: &[TenantManager]) -> Self {
        let (stop, next) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicI32::new(1_000)));
        let mut tasks = JoinSet::new();
        for manager in managers {
            let db = manager.tenant("acme").await.expect("it is served");
            let shared = || (db.clone(), Arc::clone(&next), Arc::clone(&stop));
            for _ in 0..2 {
                let (db, next, stop) = shared();
                tasks.spawn(transact(db, next, stop));
            }
            let (db, next, stop) = shared();
            tasks.spawn(by_closure(db, next, stop));
        }
        Self { tasks, stop }
    }

    async fn stop(mut self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        let (mut rows, mut all) = (0, Vec::new());
        while let Some(done) = self.tasks.join_next().await {
            let (written, refused) = done.expect("it does not panic");
            rows += written;
            all.extend(refused);
        }
        assert!(all.is_empty(), "{} are refused: {}", all.len(), all[0]);
        rows
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn no_transaction_is_refused_while_a_tenant_moves_to_and_fro() -> TestResult {
    let two = Two::with(&["acme"]).await;
    let managers = [two.manager(), two.manager()];
    let clients = Clients::start(&managers).await;
    let mover = two.manager();
    let mut at = "main";
    for _ in 0..6 {
        at = if at == "main" { "eu-1" } else { "main" };
        sleep(Duration::from_millis(200)).await;
        let report = mover.mover().move_tenant("acme", at, options()).await?;
        assert!(report.pause.is_some_and(|pause| pause < Duration::from_secs(4)), "{report}");
        // It can return to where it comes from.
        let mut left = if at == "main" { two.at_eu().await } else { two.at_main().await };
        free_names(&mut left).await;
    }
    sleep(Duration::from_millis(200)).await;
    let written = clients.stop().await;
    let count = "select count(*) from tenant_acme.users where id >= 1000";
    assert_eq!(value(&mut two.at_main().await, count).await, written.to_string());
    assert!(written > 200, "{written}");
    for manager in managers.into_iter().chain([mover]) {
        manager.close().await;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn no_transaction_is_refused_while_a_tenant_is_replicated() -> TestResult {
    for _ in 0..2 {
        let two = logical(&["acme"]).await;
        let managers = [two.manager(), two.manager()];
        let clients = Clients::start(&managers).await;
        let mover = two.manager();
        let report = mover.mover().move_tenant("acme", "eu-1", options()).await?;
        assert_eq!(report.method, MoveMethod::Replication);
        sleep(Duration::from_millis(200)).await;
        let written = clients.stop().await;
        let count = "select count(*) from tenant_acme.users where id >= 1000";
        assert_eq!(value(&mut two.at_eu().await, count).await, written.to_string());
        for manager in managers.into_iter().chain([mover]) {
            manager.close().await;
        }
    }
    Ok(())
}
