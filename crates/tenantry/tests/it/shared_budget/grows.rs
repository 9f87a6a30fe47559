//! A deployment that scales out and in again.

use std::time::Duration;

use tenantry::{BudgetState, SharedBudget, TableCatalog, TenantManager};

use super::{Load, TENANTS, Walled, Watch, budget_of, is_granted, process, seconds};
use crate::support::{TestResult, World, eventually, eventually_within, observe, sessions};

fn granted(managers: &[TenantManager]) -> Vec<usize> {
    managers.iter().map(|manager| budget_of(manager).granted).collect()
}

fn sum_of_granted(managers: &[TenantManager]) -> usize {
    granted(managers).iter().sum()
}

/// Nothing but the library keeps the sum: the role has no limit.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_grow_to_twenty_and_shrink_again() -> TestResult {
    const BUDGET: usize = 60;
    // 60, without two to ask on, and the floors of eighteen others.
    const OF_TWO: usize = 22;
    let world = World::with_tenants(&TENANTS).await;
    let mut admin = world.admin().await;
    let watch = Watch::begin(&world).await;
    let budget = SharedBudget::new("service").processes(20);
    // The machine has more to do than this test.
    let patient = || process(world.database.url(), BUDGET).acquire_timeout(Duration::from_secs(60));
    let start = || patient().budget_shared_by(budget.clone()).build();
    let mut managers = vec![start()?, start()?];
    let mut loads: Vec<_> = managers.iter().map(|manager| Load::on(manager, 16)).collect();
    eventually("two have everything that is lent", async || sum_of_granted(&managers) == OF_TWO)
        .await;
    for _ in 0..2 {
        managers.extend((2..20).map(|_| start().expect("it is sound")));
        loads.extend(managers[2..].iter().map(|manager| Load::on(manager, 6)));
        eventually("twenty have their floors", async || managers.iter().all(is_granted)).await;
        // Their demand is twice the budget: each has the same part of what there is.
        let is_equal = |granted: &[usize]| granted.iter().all(|granted| (2..=3).contains(granted));
        eventually("they divide the whole budget", async || {
            is_equal(&granted(&managers)) && sum_of_granted(&managers) == 58
        })
        .await;
        loads.iter().for_each(Load::forget);
        for _ in 0..30 {
            tokio::time::sleep(Duration::from_millis(100)).await;
            let granted = granted(&managers);
            assert!(is_equal(&granted), "{granted:?}");
            assert!(granted.iter().sum::<usize>() <= BUDGET, "{granted:?}");
        }
        for (load, manager) in loads.iter().zip(&managers) {
            assert!(load.served() > 10, "{:?}", budget_of(manager));
        }
        let most = watch.most();
        assert!((40..=60).contains(&most), "{most} sessions");

        loads.truncate(2);
        for manager in managers.drain(2..) {
            manager.close().await;
        }
        eventually("two have it again", async || sum_of_granted(&managers) == OF_TWO).await;
    }
    watch.expect_at_most(i64::try_from(BUDGET)?).await;
    for load in &loads {
        assert_eq!(load.failed(), 0);
    }
    drop(loads);
    for manager in managers {
        manager.close().await;
    }
    assert_eq!(sessions(&mut admin).await, 0);
    Ok(())
}

/// More than the processes for which floors are set aside, all at once: each needs a connection to ask, and the server
/// refuses what is too much. So what is checked here is not how many sessions there are, but what was granted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_processes_than_expected_have_their_floors_behind_the_wall() -> TestResult {
    const BUDGET: usize = 24;
    let world = World::with_tenants(&TENANTS).await;
    let walled = Walled::by(&world, BUDGET).await;
    let url = walled.url(&world);
    let watch = Watch::begin(&world).await;
    let start = || process(&url, BUDGET).build();
    let mut managers = vec![start()?, start()?];
    let mut loads: Vec<_> = managers.iter().map(|manager| Load::on(manager, 12)).collect();
    // 24, without one to ask on, and the floor of a third process.
    eventually("two have everything that is lent", async || sum_of_granted(&managers) == 21).await;
    seconds(2).await;
    let most = watch.most();
    assert!((15..=21).contains(&most), "{most} sessions");

    managers.extend((0..6).map(|_| start().expect("it is sound")));
    loads.extend(managers[2..].iter().map(|manager| Load::on(manager, 12)));
    let all_have = async || managers.iter().all(is_granted);
    eventually("eight have their floors", all_have).await;
    seconds(3).await;
    loads.iter().for_each(Load::forget);
    for _ in 0..20 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let granted = granted(&managers);
        assert!(granted.iter().all(|granted| (2..=4).contains(granted)), "{granted:?}");
        assert!(granted.iter().sum::<usize>() <= BUDGET, "{granted:?}");
    }
    for (load, manager) in loads.iter().zip(&managers) {
        assert!(load.served() > 10, "{:?}", budget_of(manager));
    }

    loads.truncate(2);
    for manager in managers.drain(2..) {
        manager.close().await;
    }
    eventually("two have it again", async || sum_of_granted(&managers) == 21).await;
    let mut admin = world.admin().await;
    let rows = "select count(*) from tenantry_budget where instance <> ''";
    assert_eq!(observe(&mut admin, rows).await, "Some(\"2\")");
    drop(watch);
    for load in &loads {
        assert_eq!(load.failed(), 0);
    }
    drop(loads);
    for manager in managers {
        manager.close().await;
    }
    assert_eq!(sessions(&mut admin).await, 0);
    assert_eq!(observe(&mut admin, rows).await, "Some(\"0\")");
    walled.remove(&world).await;
    Ok(())
}

/// Without that limit of the server: there is room for as many processes as floors are set aside for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_for_which_floors_are_set_aside_start_at_once() -> TestResult {
    const BUDGET: usize = 24;
    let world = World::with_tenants(&TENANTS).await;
    let watch = Watch::begin(&world).await;
    let budget = SharedBudget::new("service").processes(8);
    let start = || process(world.database.url(), BUDGET).budget_shared_by(budget.clone()).build();
    let first = start()?;
    let _load = Load::on(&first, 12);
    // 24, without one to ask on, and the floors of seven others.
    eventually("it has everything that is lent", async || budget_of(&first).granted == 9).await;
    let others: Vec<_> = (0..7).map(|_| start().expect("it is sound")).collect();
    let loads: Vec<_> = others.iter().map(|manager| Load::on(manager, 4)).collect();
    eventually("all have their floors", async || others.iter().all(is_granted)).await;
    for load in &loads {
        let mut served = 0;
        eventually("it is served", async || {
            served += load.served();
            served > 10
        })
        .await;
    }
    watch.expect_at_most(i64::try_from(BUDGET)?).await;
    assert!(loads.iter().all(|load| load.failed() == 0));
    Ok(())
}

#[tokio::test]
async fn an_idle_process_has_its_floor_and_gets_more_at_once() -> TestResult {
    let world = World::with_tenants(&TENANTS).await;
    let manager = process(world.database.url(), 40).build()?;
    assert_eq!(budget_of(&manager).state, BudgetState::Asking);
    drop(manager.shared().acquire().await?);
    // The floor, and a quarter more than the one that it uses.
    assert_eq!((budget_of(&manager).granted, budget_of(&manager).floor), (3, 2));
    // So that it is not its first beat that gives it more.
    seconds(1).await;
    let began = std::time::Instant::now();
    let mut held = Vec::new();
    for _ in 0..8 {
        held.push(manager.shared().acquire().await?);
    }
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    assert!(budget_of(&manager).granted >= 9, "{:?}", budget_of(&manager));
    drop(held);
    eventually_within(Duration::from_secs(60), "it forgets its peak", async || {
        budget_of(&manager).granted == 2
    })
    .await;
    manager.resize(20)?;
    assert_eq!(budget_of(&manager).total, 20);
    assert!(manager.resize(5).is_err(), "the floors that are set aside need more");
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn the_connection_that_listens_is_part_of_the_floor() -> TestResult {
    let world = World::new().await;
    let witness = world.manager();
    TableCatalog::new().create_table(witness.shared()).await?;
    witness.close().await;
    let watch = Watch::begin(&world).await;
    let budget = SharedBudget::new("service").processes(2);
    let process = || {
        let builder = process(world.database.url(), 7).budget_shared_by(budget.clone());
        builder.catalog(TableCatalog::new()).build()
    };
    let managers = [process()?, process()?];
    for manager in &managers {
        assert!(manager.tenant("nobody").await.is_err());
        drop(manager.shared().acquire().await?);
        assert_eq!(budget_of(manager).floor, 3);
    }
    let mut admin = world.admin().await;
    let listening = "select count(*) from pg_stat_activity where datname = current_database() \
                     and query ilike 'listen%'";
    eventually("both listen", async || observe(&mut admin, listening).await == "Some(\"2\")").await;
    let _loads = managers.each_ref().map(|manager| Load::on(manager, 8));
    seconds(3).await;
    watch.expect_at_most(7).await;
    Ok(())
}
