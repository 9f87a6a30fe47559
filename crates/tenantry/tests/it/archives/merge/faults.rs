//! A merge that is cut off has merged nothing.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use tenantry::{
    Error,
    archive::{Archiver, DiffOptions, MergeOptions, MergeReport},
};
use tokio::time::timeout;

use super::{in_tenant, now, twins};
use crate::support::{TestResult, World, eventually, observe, run};

const STATE: &str = "select concat_ws(' ', (select count(*) from a), (select count(*) from b), (select sum(x) from a))";

const TODAY: &str =
    "delete from b where id % 2 = 0; delete from a where id % 2 = 0; update a set x = 0";

/// Merges, and ends the sessions that run such a query meanwhile. `None` if there were none.
async fn cut_off(
    world: &World,
    archiver: &Archiver,
    query: &str,
) -> Option<Result<MergeReport, Error>> {
    let sql = format!(
        "select count(pg_terminate_backend(pid))::text from pg_stat_activity where datname = current_database() \
         and state = 'active' and query like '{query}'"
    );
    let (mut admin, has_ended) = (world.admin().await, AtomicBool::new(false));
    let merge = async {
        let merged = archiver.merge("old", "new", MergeOptions::default().everything()).await;
        has_ended.store(true, Ordering::Relaxed);
        merged
    };
    let kill = async {
        while !has_ended.load(Ordering::Relaxed) {
            if observe(&mut admin, &sql).await != "Some(\"0\")" {
                return true;
            }
        }
        false
    };
    let (merged, was_killed) = tokio::join!(merge, kill);
    was_killed.then_some(merged)
}

async fn world() -> World {
    let world = twins(
        "create table a (id int primary key, x int); create table b (id int primary key references a, text text); \
         insert into a select n, n from generate_series(1, 20000) n; \
         insert into b select n, repeat(md5(n::text), 6) from generate_series(1, 20000) n; \
         create function wait() returns trigger language plpgsql as $$ begin perform pg_sleep(0.4); return null; end $$",
    )
    .await;
    in_tenant(&world, "new", TODAY).await;
    world
}

#[tokio::test]
async fn a_lost_connection_leaves_nothing() -> TestResult {
    let world = world().await;
    in_tenant(
        &world,
        "new",
        "create trigger wait after insert on b for each statement execute function wait()",
    )
    .await;
    let manager = world.manager();
    let archiver = manager.archiver();
    let before = now(&world, STATE).await;
    // The reader of the source, those of the target, and the writer in the middle of its statement.
    let queries = [
        "copy (select%tenant_old%",
        "copy (select%tenant_new%",
        "copy pg_temp.%",
        "with tenantry_%",
    ];
    for query in queries {
        let mut tries = 0..20;
        loop {
            tries.next().ok_or_else(|| format!("no session was ended during {query}"))?;
            match cut_off(&world, &archiver, query).await {
                Some(Err(_)) => break,
                // It was at its end already, or nothing was ended.
                Some(Ok(_)) | None => in_tenant(&world, "new", TODAY).await,
            }
        }
        eventually("nothing is left", async || now(&world, STATE).await == before).await;
    }
    assert!(!archiver.merge("old", "new", MergeOptions::default().everything()).await?.is_empty());
    assert!(archiver.diff("old", "new", DiffOptions::default()).await?.is_equal());
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn a_merge_that_is_dropped_leaves_nothing() -> TestResult {
    let world = world().await;
    let mut admin = world.admin().await;
    let manager = world.manager();
    let archiver = manager.archiver();
    let before = now(&world, STATE).await;
    let busy = "select count(*)::text from pg_stat_activity where datname = current_database() \
                and application_name like 'tenantry/%' and state <> 'idle'";
    let mut cut = 0;
    for millis in [2, 10, 30, 60, 100, 150] {
        let merge = archiver.merge("old", "new", MergeOptions::default().everything());
        if timeout(Duration::from_millis(millis), merge).await.is_ok() {
            break;
        }
        cut += 1;
        eventually("the sessions are idle", async || {
            observe(&mut admin, busy).await == "Some(\"0\")"
        })
        .await;
        let after = now(&world, STATE).await;
        if after != before {
            // It was dropped while it committed.
            assert!(archiver.diff("old", "new", DiffOptions::default()).await?.is_equal());
            break;
        }
    }
    assert!(cut > 0, "at least one merge was cut off");
    // The tables are not locked any longer, and temporary tables are gone.
    run(&mut admin, "set lock_timeout = '2s'; alter table tenant_new.a add column more text").await;
    let left = "select count(*)::text from pg_class where relname like 'tenantry_merged%'";
    assert_eq!(observe(&mut admin, left).await, "Some(\"0\")");
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn a_closure_that_panics_does_no_harm() -> TestResult {
    let world = world().await;
    let manager = world.manager();
    let options = MergeOptions::default().everything().on_progress(|_| panic!("by design"));
    let report = manager.archiver().merge("old", "new", options).await?;
    assert_eq!(report.merged(), 30000, "{report}");
    manager.close().await;
    Ok(())
}
