//! Requests at the same time each see their own tenant.

use std::sync::Arc;

use tokio::task::JoinSet;

use crate::{
    adapter::Adapter,
    stage::{Stage, allow_many_sockets},
};

/// 1,000 at once over 50 tenants, by statement and by transaction, on eight connections.
pub async fn thousand_parallel_requests<A: Adapter>() {
    const CONNECTIONS: usize = 8;
    allow_many_sockets();
    let stage = Arc::new(Stage::new::<A>(CONNECTIONS).await);
    let mut requests = JoinSet::new();
    for n in 0..1_000 {
        let stage = Arc::clone(&stage);
        let tenant = format!("t{}", n % 50 + 1);
        requests.spawn(async move {
            let (path, expected) = match n / 50 % 2 {
                0 => ("/name", tenant.clone()),
                _ => ("/own-name", format!("{tenant}:{tenant}")),
            };
            let answer = stage.get(path, &tenant).await;
            assert_eq!((answer.status, answer.body), (200, expected), "{path} {tenant}");
        });
    }
    while let Some(request) = requests.join_next().await {
        request.expect("every request is answered");
    }
    assert!(stage.manager.snapshot().total <= CONNECTIONS);
    Arc::into_inner(stage).expect("all requests are finished").end().await;
}
