//! One manager serves several runtimes, and outlives all but its own.

use std::time::Duration;

use tenantry::{ErrorKind, TenantDb, TenantManager};
use tokio::runtime::{Builder, Runtime};

use crate::support::{TestResult, World, kind_of, name_of, pid_of, sessions};

fn home() -> Result<Runtime, std::io::Error> {
    Builder::new_multi_thread().worker_threads(1).enable_all().build()
}

/// Runs a query on a runtime of its own, as a worker of actix does, and ends the runtime.
fn on_a_worker(db: TenantDb) -> TestResult {
    let worker = std::thread::spawn(move || {
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let name = name_of(&db).await?;
            let mut tx = db.begin().await?;
            sqlx::query("select 1").execute(&mut *tx).await?;
            drop(tx);
            let mut lease = db.acquire().await?;
            sqlx::query("set app.secret = 'x'").execute(&mut *lease).await?;
            assert_eq!(name, db.tenant().id().as_str());
            Ok::<_, tenantry::Error>(())
        })
    });
    worker.join().map_err(|_| "the worker panicked")??;
    Ok(())
}

async fn serves_workers(world: &World, manager: TenantManager) -> TestResult {
    let dbs = [manager.tenant("acme").await?, manager.tenant("globex").await?];
    let pids = [pid_of(&dbs[0]).await?, pid_of(&dbs[1]).await?];
    for round in 0..6 {
        let db = dbs[round % 2].clone();
        tokio::task::spawn_blocking(move || on_a_worker(db).map_err(|error| error.to_string()))
            .await??;
        for (db, name) in dbs.iter().zip(["acme", "globex"]) {
            assert_eq!(name_of(db).await?, name);
        }
    }
    let now = [pid_of(&dbs[0]).await?, pid_of(&dbs[1]).await?];
    assert!(now.iter().all(|pid| pids.contains(pid)), "{now:?} were {pids:?}");
    assert!(sessions(&mut world.admin().await).await <= 2);
    manager.close().await;
    Ok(())
}

#[test]
fn a_runtime_that_ends_takes_no_connection_with_it() -> TestResult {
    let home = home()?;
    home.block_on(async {
        let world = World::with_tenants(&["acme", "globex"]).await;
        let manager = world.builder().max_connections(2).build()?;
        serves_workers(&world, manager).await
    })
}

#[test]
fn a_manager_that_was_built_outside_of_any_runtime_lives_where_it_is_first_used() -> TestResult {
    let home = home()?;
    let world = home.block_on(World::with_tenants(&["acme", "globex"]));
    let manager = world.builder().max_connections(2).build()?;
    let result = home.block_on(serves_workers(&world, manager));
    home.block_on(world.database.close())?;
    result
}

#[test]
fn a_manager_whose_runtime_has_ended_fails_and_does_not_hang() -> TestResult {
    let (first, second) = (home()?, home()?);
    let world = second.block_on(World::with_tenants(&["acme"]));
    let manager = world.builder().build()?;
    let db = first.block_on(manager.tenant("acme"))?;
    assert_eq!(first.block_on(name_of(&db))?, "acme");
    drop(first);
    second.block_on(async {
        let patience = Duration::from_secs(9);
        // An idle connection may or may not work; what matters is that there is an answer.
        drop(tokio::time::timeout(patience, name_of(&db)).await?);
        // None can be opened any more, however many ask for one.
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..40 {
            let db = db.clone();
            tasks.spawn(async move { db.acquire().await.map(drop).map_err(kind_of) });
        }
        for outcome in tokio::time::timeout(patience, tasks.join_all()).await? {
            let idle = outcome.is_ok();
            assert!(
                idle || matches!(outcome, Err(ErrorKind::Closed | ErrorKind::Unavailable)),
                "{outcome:?}"
            );
        }
        // What was idle does not come back once somebody has tried to use it.
        let mut refused = None;
        for _ in 0..40 {
            match tokio::time::timeout(patience, db.acquire()).await? {
                Ok(mut lease) => {
                    let used = sqlx::query("select 1").execute(&mut *lease);
                    drop(tokio::time::timeout(patience, used).await?);
                }
                Err(error) => refused = Some(kind_of(error)),
            }
        }
        assert_eq!(refused, Some(ErrorKind::Closed));
        tokio::time::timeout(patience, manager.close_within(Duration::from_secs(1))).await?;
        Ok::<_, tokio::time::error::Elapsed>(())
    })?;
    second.block_on(world.database.close())?;
    Ok(())
}
