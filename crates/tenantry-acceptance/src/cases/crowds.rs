//! Whatever one tenant, or a client without any, asks for: the others are served.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tenantry::SchemaDiscovery;
use tokio::task::JoinSet;

use crate::{
    adapter::{Adapter, Server},
    client::{get, post},
    stage::Stage,
    world::eventually,
};

const TENANTS: [&str; 3] = ["acme", "globex", "t1"];

/// Statements of one tenant hang, more of them than there are connections. A tenant cannot have all.
pub async fn hanging_statements_leave_a_place<A: Adapter>() {
    let stage = Stage::with::<A>(|builder| {
        builder.max_connections(4).acquire_timeout(Duration::from_secs(20))
    })
    .await;
    let mut hanging = Vec::new();
    for _ in 0..40 {
        hanging.push(post("/slow").tenant("t2").open(&stage.server).await);
    }
    eventually("the rest of them waits", async || stage.manager.snapshot().waiting > 30).await;
    for _ in 0..5 {
        for tenant in TENANTS {
            let answer = stage.get("/name", tenant).await;
            assert_eq!((answer.status, answer.body.as_str()), (200, tenant));
        }
    }
    drop(hanging);
    cancel_hanging(&stage).await;
    drop(stage.server);
    stage.manager.close_within(Duration::from_millis(500)).await;
}

async fn cancel_hanging(stage: &Stage) {
    let mut admin = stage.admin().await;
    sqlx::query(
        "select pg_cancel_backend(pid) from pg_stat_activity \
         where (datname = current_database() or starts_with(datname::text, current_database() || '_')) \
         and query like '%pg_sleep(60)%' and pid <> pg_backend_pid()",
)
    .execute(&mut admin)
    .await
    .expect("the database is running");
}

/// Clients without any tenant ask for ever new ids. Each of those is looked up, and known tenants are
/// served all the same.
pub async fn unknown_ids_hold_nobody_up<A: Adapter>() {
    let stage = Stage::with::<A>(|builder| {
        let builder = builder.catalog(SchemaDiscovery::default());
        builder.max_connections(3).acquire_timeout(Duration::from_secs(2))
    })
    .await;
    for tenant in TENANTS {
        assert_eq!(stage.get("/name", tenant).await.status, 200);
    }
    let server = Arc::new(stage.server);
    let (over, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let mut guessing = JoinSet::new();
    for _ in 0..32 {
        guessing.spawn(guess(Arc::clone(&server), Arc::clone(&over), Arc::clone(&asked)));
    }
    for round in 0..50 {
        for tenant in TENANTS {
            let answer = get("/name").tenant(tenant).send(&server).await;
            assert_eq!((answer.status, answer.body.as_str()), (200, tenant), "round {round}");
        }
    }
    over.store(true, Ordering::Relaxed);
    while let Some(ended) = guessing.join_next().await {
        ended.expect("every guess is answered");
    }
    assert!(asked.load(Ordering::Relaxed) > 100);
    drop(server);
    stage.manager.close().await;
}

/// Sends requests for a new id each time.
async fn guess(server: Arc<Server>, over: Arc<AtomicBool>, asked: Arc<AtomicUsize>) {
    while !over.load(Ordering::Relaxed) {
        let id = format!("guess{}", asked.fetch_add(1, Ordering::Relaxed));
        let answer = get("/name").tenant(&id).send(&server).await;
        assert!(matches!(answer.status, 404 | 503), "{answer:?}");
    }
}
