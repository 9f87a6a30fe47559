//! A tenant moves to another node of its cluster, and everything else stays.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use tenantry::{
    ErrorKind,
    citus::CitusNode,
    moves::{NodeMoveOptions, ShardTransfer},
    provision::CreateOptions,
};

use super::Cluster;
use crate::{
    migrate::Files,
    support::{TestResult, World},
};

fn node((host, port): &(String, i32)) -> CitusNode {
    CitusNode::new(host, u16::try_from(*port).expect("a port"))
}

#[tokio::test]
async fn a_tenant_is_served_before_during_and_after_its_move() -> TestResult {
    let Some(cluster) = Cluster::new("a_tenant_is_served_during_its_move").await else {
        return Ok(());
    };
    assert!(cluster.workers.len() > 1, "the cluster has two workers");
    let (manager, provisioner) = cluster.with_table(&Files::notes()).await;
    provisioner.create("acme", CreateOptions::default()).await?;
    let db = manager.tenant("acme").await?;
    let fill =
        "insert into notes (id, text) select n, repeat('x', 200) from generate_series(1, 20000) n";
    sqlx::query(fill).execute(&db).await?;
    let at = cluster.workers_of("tenant_acme").await[0].clone();
    let to = cluster.workers.iter().find(|worker| **worker != at).expect("there is another one");

    let told = Arc::new(AtomicU64::new(0));
    let most = Arc::clone(&told);
    let options = NodeMoveOptions::default().on_progress(move |progress| {
        assert!(progress.tables <= progress.tables_total && progress.tables_total > 0);
        most.fetch_max(progress.bytes_total, Ordering::Relaxed);
    });
    let mover = manager.mover();
    let there = node(to);
    let moving = mover.move_to_node("acme", &there, options);
    let serving = async {
        let (mut served, until) = (0, tokio::time::Instant::now());
        while until.elapsed() < std::time::Duration::from_millis(300) {
            let sql = "select count(*) from notes";
            assert_eq!(sqlx::query_scalar::<_, i64>(sql).fetch_one(&db).await?, 20_000);
            served += 1;
        }
        Ok::<_, sqlx::Error>(served)
    };
    let (report, served) = tokio::join!(moving, serving);
    let report = report?;
    assert!(served? > 0);
    assert_eq!((&report.from, &report.to), (&node(&at), &node(to)), "{report}");
    assert_eq!(&*report.schema, "tenant_acme");
    assert_eq!(cluster.workers_of("tenant_acme").await, std::slice::from_ref(to));
    assert!(told.load(Ordering::Relaxed) > 0, "the progress was told");
    // The same handle.
    sqlx::query("insert into notes (id, text) values (0, 'after')").execute(&db).await?;

    let back = NodeMoveOptions::default().transfer(ShardTransfer::BlockWrites);
    mover.move_to_node("acme", &node(&at), back).await?;
    assert_eq!(cluster.workers_of("tenant_acme").await, std::slice::from_ref(&at));
    for (to, says) in [
        (node(&at), "it is there already"),
        (CitusNode::new("nowhere", 5432), "pg_dist_node lists no such node"),
    ] {
        let refused = mover.move_to_node("acme", &to, NodeMoveOptions::default()).await;
        let error = refused.expect_err(says);
        assert_eq!(error.kind(), ErrorKind::Placement, "{error:?}");
        assert!(error.to_string().contains(says), "{error:?}");
    }
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn a_plain_server_has_no_nodes() -> TestResult {
    let world = World::with_tenants(&["acme"]).await;
    let manager = world.manager();
    let there = CitusNode::new("there", 5432);
    let refused = manager.mover().move_to_node("acme", &there, NodeMoveOptions::default()).await;
    let error = refused.expect_err("there is no Citus");
    assert_eq!(error.kind(), ErrorKind::Config, "{error:?}");
    assert!(error.to_string().contains("does not have Citus"), "{error:?}");
    manager.close().await;
    Ok(())
}
