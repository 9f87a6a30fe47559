//! Writers lose nothing, and none is refused, whatever they have heard of the move.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI32, Ordering},
    },
    time::Duration,
};

use tenantry::TenantManager;
use tokio::{task::JoinSet, time::sleep};

use super::{Two, options, value};
use crate::support::{TestResult, free_names, run};

/// Processes that write to a tenant, with rows that have new ids.
pub(super) struct Writers {
    tasks: JoinSet<(u64, u64)>,
    stop: Arc<AtomicBool>,
}

/// Writes whose fate is known, and those whose answer was lost.
pub(super) struct Written {
    pub(super) acknowledged: u64,
    pub(super) in_doubt: u64,
}

impl Writers {
    pub(super) fn start(
        managers: &[TenantManager],
        tenant: &str,
        each: usize,
        may_fail: bool,
    ) -> Self {
        Self::start_at(1_000, managers, tenant, each, may_fail)
    }

    /// The first row has this id.
    pub(super) fn start_at(
        first: i32,
        managers: &[TenantManager],
        tenant: &str,
        each: usize,
        may_fail: bool,
    ) -> Self {
        let (stop, next) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicI32::new(first)));
        let mut tasks = JoinSet::new();
        for manager in managers {
            for _ in 0..each {
                let (manager, stop, next) = (manager.clone(), Arc::clone(&stop), Arc::clone(&next));
                tasks.spawn(write(manager, tenant.to_owned(), next, stop, may_fail));
            }
        }
        Self { tasks, stop }
    }

    pub(super) async fn stop(mut self) -> Written {
        self.stop.store(true, Ordering::Relaxed);
        let mut written = Written { acknowledged: 0, in_doubt: 0 };
        while let Some(done) = self.tasks.join_next().await {
            let (acknowledged, in_doubt) = done.expect("no write was refused");
            written.acknowledged += acknowledged;
            written.in_doubt += in_doubt;
        }
        written
    }
}

async fn write(
    manager: TenantManager,
    tenant: String,
    next: Arc<AtomicI32>,
    stop: Arc<AtomicBool>,
    may_fail: bool,
) -> (u64, u64) {
    let held = manager.tenant(&*tenant).await.expect("it is served");
    let (mut acknowledged, mut in_doubt) = (0, 0);
    while !stop.load(Ordering::Relaxed) {
        let id = next.fetch_add(1, Ordering::Relaxed);
        let insert = sqlx::query("insert into users values ($1, 'x')").bind(id);
        match insert.execute(&held).await {
            Ok(done) => acknowledged += done.rows_affected(),
            Err(_) if may_fail => {
                in_doubt += 1;
                sleep(Duration::from_millis(20)).await;
            }
            Err(error) => panic!("{tenant} {id}: {error:?}"),
        }
        sleep(Duration::from_millis(1)).await;
    }
    (acknowledged, in_doubt)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_write_is_lost_or_refused_while_a_tenant_moves_there_and_back() -> TestResult {
    let two = Two::with(&["acme", "globex"]).await;
    let managers = [two.manager(), two.stale(), two.stale()];
    let writers = Writers::start(&managers, "acme", 2, false);
    let others = Writers::start(&managers[..1], "globex", 1, false);
    let mover = two.manager();
    for to in ["eu-1", "main", "eu-1"] {
        sleep(Duration::from_millis(300)).await;
        let report = mover.mover().move_tenant("acme", to, options()).await?;
        assert!(report.pause.is_some_and(|pause| pause < Duration::from_secs(4)), "{report}");
        run(
            &mut two.at_main().await,
            "update tenantry_retired set retired_at = retired_at - interval '1 hour'",
        )
        .await;
        if to == "main" {
            free_names(&mut two.at_eu().await).await;
        }
    }
    sleep(Duration::from_millis(300)).await;
    let (written, others) = (writers.stop().await, others.stop().await);
    let found =
        value(&mut two.at_eu().await, "select count(*) from tenant_acme.users where id >= 1000")
            .await;
    assert_eq!(found, written.acknowledged.to_string());
    assert!(written.acknowledged > 100, "{}", written.acknowledged);
    let found = value(
        &mut two.at_main().await,
        "select count(*) from tenant_globex.users where id >= 1000",
    )
    .await;
    assert_eq!(found, others.acknowledged.to_string());
    for manager in managers.into_iter().chain([mover]) {
        manager.close().await;
    }
    Ok(())
}

#[tokio::test]
async fn autovacuum_at_work_does_not_keep_a_tenant_from_moving() -> TestResult {
    let main =
        tenantry_devdb::DevServer::builder().setting("autovacuum_naptime", "1").start().await?;
    let two = Two::of(main, &["acme"]).await;
    let mut main = two.at_main().await;
    run(
        &mut main,
        "create table tenant_acme.big (n int, filler text) with (autovacuum_vacuum_cost_delay = 100, \
           autovacuum_vacuum_cost_limit = 1, autovacuum_vacuum_threshold = 1, autovacuum_vacuum_scale_factor = 0); \
         insert into tenant_acme.big select n, repeat('x', 200) from generate_series(1, 20000) n; \
         delete from tenant_acme.big where n % 2 = 0",
    )
    .await;
    let at_work = "select count(*) from pg_stat_activity where query like 'autovacuum: VACUUM%tenant_acme.big%'";
    crate::support::eventually_within(
        Duration::from_secs(30),
        "autovacuum is at work",
        async || value(&mut main, at_work).await == "1",
    )
    .await;
    let manager = two.manager();
    let report = manager.mover().move_tenant("acme", "eu-1", options().fence_tries(1)).await?;
    assert!(report.pause.is_some_and(|pause| pause < Duration::from_secs(3)), "{report}");
    assert_eq!(report.rows, 10_001);
    manager.close().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_open_transaction_is_waited_for_while_requests_are_served() -> TestResult {
    let two = Two::with(&["acme"]).await;
    let manager = two.manager();
    let acme = manager.tenant("acme").await?;
    let mut open = acme.begin().await?;
    sqlx::query("update users set name = 'changed' where id = 1").execute(&mut *open).await?;
    let writers = Writers::start(&[two.stale()], "acme", 1, false);
    let mover = manager.mover();
    let error = mover.move_tenant("acme", "eu-1", options().fence_tries(2)).await.unwrap_err();
    let told = format!("{error:?}");
    assert!(
        told.contains("waiting for transactions of the tenant that have written and are open"),
        "{told}"
    );
    assert!(told.contains("undone"), "{told}");
    let moving = tokio::spawn({
        let mover = mover.clone();
        async move { mover.move_tenant("acme", "eu-1", options().fence_tries(20)).await }
    });
    sleep(Duration::from_millis(1_500)).await;
    assert!(!moving.is_finished());
    open.commit().await?;
    let report = moving.await??;
    assert!(report.pause.is_some_and(|pause| pause < Duration::from_secs(2)), "{report}");
    let written = writers.stop().await;
    let mut eu = two.at_eu().await;
    let found = value(&mut eu, "select count(*) from tenant_acme.users where id >= 1000").await;
    assert_eq!(found, written.acknowledged.to_string());
    assert_eq!(value(&mut eu, "select name from tenant_acme.users where id = 1").await, "changed");
    manager.close().await;
    Ok(())
}

/// Requests wait for a try, and not for what follows the last one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_do_not_wait_after_the_last_try() -> TestResult {
    let two = Two::with(&["acme"]).await;
    let manager = two.manager();
    let mut open = manager.tenant("acme").await?.begin().await?;
    sqlx::query("update users set name = 'changed' where id = 1").execute(&mut *open).await?;
    let mut main = two.at_main().await;
    let stop = Arc::new(AtomicBool::new(false));
    let is_over = Arc::clone(&stop);
    let longest = tokio::spawn(async move {
        let (mut longest, mut since) = (Duration::ZERO, None);
        while !is_over.load(Ordering::Relaxed) {
            match &*value(&mut main, "select state from tenants where id = 'acme'").await {
                "cutover" => {
                    let began = *since.get_or_insert_with(std::time::Instant::now);
                    longest = longest.max(began.elapsed());
                }
                _ => since = None,
            }
            sleep(Duration::from_millis(10)).await;
        }
        longest
    });
    let tries = options().fence_tries(3);
    manager.mover().move_tenant("acme", "eu-1", tries).await.unwrap_err();
    stop.store(true, Ordering::Relaxed);
    let longest = longest.await?;
    assert!((100..1_500).contains(&longest.as_millis()), "{longest:?}");
    open.rollback().await?;
    manager.close().await;
    Ok(())
}
