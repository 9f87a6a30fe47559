//! A pooler that ends under load, and server sessions that are killed.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tenantry::Error;
use tokio::{task::JoinSet, time::sleep};

use super::{Scene, TENANTS, settings};
use crate::support::{TestResult, eventually, name_of, observe, run};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pooler_that_is_restarted_under_load_gives_no_wrong_answer() -> TestResult {
    let Some(mut scene) = Scene::new("transaction", "3").await else { return Ok(()) };
    let mut admin = scene.admin().await;
    for tenant in TENANTS {
        run(
            &mut admin,
            &format!("create table tenant_{tenant}.done (tenant text, id int primary key)"),
        )
        .await;
    }
    let manager = scene.manager();
    let (stopped, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let mut tasks = JoinSet::new();
    for worker in 0..8 {
        let (manager, stopped, answered) =
            (manager.clone(), Arc::clone(&stopped), Arc::clone(&answered));
        tasks.spawn(async move {
            let (mut right, mut failed, mut acknowledged) = (0, 0, Vec::new());
            for request in 0.. {
                if stopped.load(Ordering::Relaxed) {
                    break;
                }
                let tenant = TENANTS[(worker + request) % TENANTS.len()];
                let db = manager.tenant(tenant).await.expect("the direct connections are sound");
                match name_of(&db).await {
                    Ok(name) => {
                        assert_eq!(name, tenant);
                        right += 1;
                        answered.fetch_add(1, Ordering::Relaxed);
                    }
                    Err(error) => {
                        let error = Error::from(error);
                        assert!(error.is_transient(), "{error:?}");
                        failed += 1;
                    }
                }
                let id = i32::try_from(worker * 1_000_000 + request).expect("it is small");
                let insert = sqlx::query("insert into done values ($1, $2)").bind(tenant).bind(id);
                match insert.execute(&db).await {
                    Ok(_) => acknowledged.push((tenant, id)),
                    Err(_) => sleep(Duration::from_millis(5)).await,
                }
            }
            (right, failed, acknowledged)
        });
    }
    for restart in 0..4 {
        if restart > 0 {
            scene.pooler.restart(&settings("transaction", "3")).await;
        }
        let before = answered.load(Ordering::Relaxed);
        eventually("requests are answered", async || {
            answered.load(Ordering::Relaxed) >= before + 60
        })
        .await;
    }
    stopped.store(true, Ordering::Relaxed);
    let all = tasks.join_all().await;
    let (right, failed): (Vec<_>, Vec<_>) =
        all.iter().map(|(right, failed, _)| (*right, *failed)).unzip();
    let (right, failed): (usize, usize) = (right.iter().sum(), failed.iter().sum());
    assert!(right > failed, "{right} right, {failed} failed");
    // What was acknowledged is there, and only in its tenant's table.
    for tenant in TENANTS {
        let strangers =
            format!("select count(*)::text from tenant_{tenant}.done where tenant <> '{tenant}'");
        assert_eq!(observe(&mut admin, &strangers).await, "Some(\"0\")");
    }
    for (tenant, id) in all.iter().flat_map(|(_, _, acknowledged)| acknowledged) {
        let found = format!("select count(*)::text from tenant_{tenant}.done where id = {id}");
        assert_eq!(observe(&mut admin, &found).await, "Some(\"1\")", "{tenant} {id}");
    }
    eventually("all are served again", async || {
        let mut served = 0;
        for tenant in TENANTS {
            let db = manager.tenant(tenant).await.expect("it is in the catalog");
            served += usize::from(name_of(&db).await.is_ok_and(|name| name == tenant));
        }
        served == TENANTS.len()
    })
    .await;
    manager.close().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_abandoned_statement_does_not_reach_the_next_tenant() -> TestResult {
    let Some(scene) = Scene::new("transaction", "2").await else { return Ok(()) };
    let manager = scene.manager();
    let (acme, globex) = (manager.tenant("acme").await?, manager.tenant("globex").await?);
    for round in 0..20 {
        let insert = "insert into users select 100 + $1, 'late' from pg_sleep(0.03)";
        let insert = sqlx::query(insert).bind(round);
        let abandoned =
            tokio::time::timeout(Duration::from_millis(10), insert.execute(&acme)).await;
        assert!(abandoned.is_err());
        let mut tx = acme.begin().await?;
        let sleeps = sqlx::query("select pg_sleep(0.03)").execute(&mut *tx);
        assert!(tokio::time::timeout(Duration::from_millis(5), sleeps).await.is_err());
        drop(tx);
        assert_eq!(name_of(&globex).await?, "globex");
    }
    let kept: i64 = sqlx::query_scalar("select count(*) from users").fetch_one(&acme).await?;
    assert_eq!(kept, 1, "what was abandoned before its commit is rolled back");
    manager.close().await;
    Ok(())
}
