//! A worker that dies in the middle of an operation, and operations that are dropped or meet another one.

use std::time::Duration;

use tenantry::{
    Error, ErrorKind, TenantManager,
    citus::CitusNode,
    clone::CloneOptions,
    migrate::{End, MigrateOptions},
    moves::{NodeMoveOptions, ShardTransfer},
    provision::{CreateOptions, DropOptions, Provisioner},
};
use tokio::time::{sleep, timeout};

use super::{Cluster, distributed};
use crate::{
    migrate::Files,
    support::{TestResult, at_rest, eventually},
};

const LIMIT: Duration = Duration::from_secs(60);

fn node((host, port): &(String, i32)) -> CitusNode {
    CitusNode::new(host, u16::try_from(*port).expect("a port"))
}

/// Runs an operation after a worker was restarted: each session that was connected to it finds that out once.
async fn patiently<T>(run: impl AsyncFn() -> Result<T, Error>) -> Result<T, Error> {
    for _ in 0..20 {
        match run().await {
            Err(error) if error.kind() == ErrorKind::Unavailable => {
                sleep(Duration::from_millis(100)).await;
            }
            done => return done,
        }
    }
    run().await
}

async fn fill(manager: &TenantManager, id: &str, rows: i32) -> Result<(), Error> {
    let db = manager.tenant(id).await?;
    let fill = "insert into notes (id, text) select n, repeat('x', 200) from generate_series(1, $1) n \
                on conflict do nothing";
    patiently(async || Ok(sqlx::query(fill).bind(rows).execute(&db).await.map(drop)?)).await
}

async fn count(manager: &TenantManager, id: &str) -> Result<i64, Error> {
    let db = manager.tenant(id).await?;
    let count = "select count(*) from notes";
    patiently(async || Ok(sqlx::query_scalar(count).fetch_one(&db).await?)).await
}

/// The operation that a worker dies under.
#[derive(Debug, Clone, Copy)]
enum Under {
    Create,
    Clone,
    Drop,
    Rename,
    Move,
}

impl Under {
    async fn run(
        self,
        manager: &TenantManager,
        provisioner: &Provisioner,
        id: &str,
        to: &CitusNode,
    ) -> Result<(), Error> {
        match self {
            Self::Create => provisioner.create(id, CreateOptions::default()).await.map(drop),
            Self::Clone => {
                let options = CloneOptions::default().data(true);
                provisioner.clone_tenant("acme", id, options).await.map(drop)
            }
            Self::Drop => {
                let options = DropOptions::default().cascade(true);
                provisioner.drop_tenant(id, id, options).await.map(drop)
            }
            Self::Rename => provisioner.rename(id, format!("{id}_new").as_str()).await,
            Self::Move => {
                let options = NodeMoveOptions::default().transfer(ShardTransfer::BlockWrites);
                manager.mover().move_to_node(id, to, options).await.map(drop)
            }
        }
    }

    fn is_done_by(self, error: &Error) -> bool {
        match self {
            Self::Create | Self::Clone => error.kind() == ErrorKind::TenantExists,
            Self::Drop | Self::Rename => error.kind() == ErrorKind::UnknownTenant,
            Self::Move => error.to_string().contains("it is there already"),
        }
    }
}

#[tokio::test]
async fn a_worker_dies_in_the_middle() -> TestResult {
    let Some(cluster) = Cluster::new("a_worker_dies_in_the_middle").await else { return Ok(()) };
    let files = Files::notes();
    let (manager, provisioner) = cluster.with_table(&files).await;
    provisioner.create("acme", CreateOptions::default()).await?;
    fill(&manager, "acme", 2_000).await?;
    let mut number = 0;
    for under in [Under::Create, Under::Clone, Under::Drop, Under::Rename, Under::Move] {
        for millis in [10, 40, 90, 160] {
            number += 1;
            let id = format!("t{number}");
            let schema = format!("tenant_{id}");
            let (mut to, mut concerned) = (node(&cluster.workers[0]), cluster.workers[0].clone());
            if matches!(under, Under::Drop | Under::Rename | Under::Move) {
                let create = async || provisioner.create(&*id, CreateOptions::default()).await;
                patiently(create).await?;
                fill(&manager, &id, 500).await?;
                let at = cluster.workers_of(&schema).await[0].clone();
                let other = cluster.workers.iter().find(|worker| **worker != at);
                to = node(other.expect("there is another one"));
                concerned = if number % 2 == 0 { at } else { other.expect("there").clone() };
            }
            let running = under.run(&manager, &provisioner, &id, &to);
            let killing = async {
                sleep(Duration::from_millis(millis)).await;
                cluster.stop(&concerned).await;
            };
            let (ran, ()) = tokio::join!(timeout(LIMIT, running), killing);
            let ran = ran.unwrap_or_else(|_| panic!("{under:?} after {millis} ms hangs"));
            if let Err(error) = &ran {
                assert_eq!(error.kind(), ErrorKind::Unavailable, "{under:?} {millis}: {error:?}");
            }
            cluster.start(&concerned).await;
            cluster.complete().await;
            // Again, and then it is done.
            for attempt in 0.. {
                match under.run(&manager, &provisioner, &id, &to).await {
                    Ok(()) => break,
                    Err(error) if under.is_done_by(&error) => break,
                    Err(error)
                        if attempt < 20
                            && matches!(error.kind(), ErrorKind::Busy | ErrorKind::Unavailable) =>
                    {
                        sleep(Duration::from_millis(250)).await;
                    }
                    Err(error) => panic!("{under:?} {millis} {ran:?}: {error:?}"),
                }
            }
            match under {
                Under::Create => assert_eq!(count(&manager, &id).await?, 0),
                Under::Clone => assert_eq!(count(&manager, &id).await?, 2_000),
                Under::Drop => assert!(manager.tenant(id.as_str()).await.is_err()),
                Under::Rename => assert_eq!(count(&manager, &format!("{id}_new")).await?, 500),
                Under::Move => {
                    assert_eq!(count(&manager, &id).await?, 500);
                    assert_eq!(node(&cluster.workers_of(&schema).await[0]), to);
                }
            }
        }
    }
    assert_eq!(count(&manager, "acme").await?, 2_000);
    let (tenants, mut admin) = (manager.tenants().await?, cluster.admin().await);
    let mut schemas: Vec<_> = tenants.iter().map(|of| format!("tenant_{}", of.id)).collect();
    schemas.sort();
    // What a clone could not remove while a node was away, the next one does, or this, once its session has found out
    // that the node was restarted.
    eventually("each schema is a tenant's", async || {
        drop(provisioner.fill_spares(0).await);
        distributed(&mut admin).await == schemas
    })
    .await;
    files.write("0900_more.sql", "alter table notes add column more int;");
    let migrator = manager.migrator().tenants(files.read());
    for millis in [20, 100] {
        let running = migrator.migrate_all(MigrateOptions::default());
        let killing = async {
            sleep(Duration::from_millis(millis)).await;
            cluster.stop(&cluster.workers[0]).await;
        };
        let (report, ()) = tokio::join!(timeout(LIMIT, running), killing);
        let report = report??;
        assert_eq!(report.total, tenants.len(), "{report}");
        cluster.start(&cluster.workers[0]).await;
    }
    let mut report = migrator.migrate_all(MigrateOptions::default()).await?;
    for _ in 0..20 {
        if report.end == End::Completed {
            break;
        }
        report = migrator.migrate_all(MigrateOptions::default()).await?;
    }
    assert_eq!((report.end, report.failed), (End::Completed, 0), "{report}");
    at_rest(&manager).await;
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn two_moves_of_a_tenant_and_of_two() -> TestResult {
    let Some(cluster) = Cluster::new("two_moves_of_a_tenant_and_of_two").await else {
        return Ok(());
    };
    let (manager, provisioner) = cluster.with_table(&Files::notes()).await;
    for id in ["a", "b"] {
        provisioner.create(id, CreateOptions::default()).await?;
        fill(&manager, id, 20_000).await?;
    }
    let other = async |id: &str| {
        let at = cluster.workers_of(&format!("tenant_{id}")).await[0].clone();
        node(cluster.workers.iter().find(|worker| **worker != at).expect("there is another one"))
    };
    let mover = manager.mover();
    {
        let options = NodeMoveOptions::default;
        let to = other("a").await;
        let (one, two) = tokio::join!(
            mover.move_to_node("a", &to, options()),
            mover.move_to_node("a", &to, options())
        );
        let (done, refused) = if one.is_ok() { (one, two) } else { (two, one) };
        assert_eq!(done?.to, to);
        let error = refused.expect_err("one move of a tenant at a time");
        assert_eq!(error.kind(), ErrorKind::Busy, "{error:?}");
    }
    for id in ["a", "b"] {
        assert_eq!(count(&manager, id).await?, 20_000);
    }
    // While it is moved, it is not migrated, renamed or dropped.
    let to = other("a").await;
    let moving = mover.move_to_node("a", &to, NodeMoveOptions::default());
    let meddling = async {
        sleep(Duration::from_millis(150)).await;
        let renamed = provisioner.rename("a", "c").await;
        let dropped = provisioner.drop_tenant("a", "a", DropOptions::default().cascade(true)).await;
        (renamed, dropped)
    };
    let (moved, (renamed, dropped)) = tokio::join!(moving, meddling);
    moved?;
    for refused in [renamed.map(drop), dropped.map(drop)] {
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::Busy);
    }
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn a_move_that_is_dropped_leaves_the_tenant_whole() -> TestResult {
    let Some(cluster) = Cluster::new("a_move_that_is_dropped").await else { return Ok(()) };
    let (manager, provisioner) = cluster.with_table(&Files::notes()).await;
    provisioner.create("a", CreateOptions::default()).await?;
    fill(&manager, "a", 20_000).await?;
    let at = cluster.workers_of("tenant_a").await[0].clone();
    let to = cluster.workers.iter().find(|worker| **worker != at).expect("there is another one");
    for (millis, transfer) in [
        (30, ShardTransfer::Auto),
        (150, ShardTransfer::Auto),
        (400, ShardTransfer::Auto),
        (50, ShardTransfer::BlockWrites),
        (120, ShardTransfer::BlockWrites),
    ] {
        let there = node(to);
        let options = NodeMoveOptions::default().transfer(transfer);
        let mover = manager.mover();
        let moving = mover.move_to_node("a", &there, options);
        if timeout(Duration::from_millis(millis), moving).await.is_ok() {
            break;
        }
        assert_eq!(count(&manager, "a").await?, 20_000);
        let db = manager.tenant("a").await?;
        let insert = "insert into notes (id, text) values (0, 'x') on conflict do nothing";
        timeout(LIMIT, sqlx::query(insert).execute(&db)).await??;
        sqlx::query("delete from notes where id = 0").execute(&db).await?;
    }
    for attempt in 0.. {
        let there = node(to);
        match manager.mover().move_to_node("a", &there, NodeMoveOptions::default()).await {
            Ok(_) => break,
            Err(error) if error.to_string().contains("it is there already") => break,
            Err(error) if attempt < 20 && error.kind() == ErrorKind::Busy => {
                sleep(Duration::from_millis(250)).await;
            }
            Err(error) => return Err(error.into()),
        }
    }
    assert_eq!(count(&manager, "a").await?, 20_000);
    assert_eq!(cluster.workers_of("tenant_a").await, std::slice::from_ref(to));
    at_rest(&manager).await;
    manager.close().await;
    Ok(())
}
