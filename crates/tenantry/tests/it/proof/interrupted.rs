use tenantry::{TenantManager, proof::ProofOptions};
use tenantry_devdb::DevServer;
use tokio::time::timeout;

use super::remains;
use crate::support::{TestResult, connect, eventually, pool_options, sessions};

/// Drops the proof at any point of its way; closing the manager waits until everything is removed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proof_that_is_dropped_leaves_nothing() -> TestResult {
    let server = DevServer::start().await?;
    let mut admin = connect(&server.url()).await;
    let manager = || {
        TenantManager::builder(server.url())
            .pool_options(pool_options(|options| options.max_connections = 3))
            .build()
    };
    let options =
        || ProofOptions::default().rounds(4).only(["role", "manySessions", "tenantRoles"]);
    let whole = manager()?.prove_isolation(options()).await?.duration;
    let mut some_were_made = false;
    for round in 0..20 {
        let manager = manager()?;
        let limit = whole * round / 20;
        let dropped = timeout(limit, manager.prove_isolation(options())).await.is_err();
        some_were_made |= dropped && !remains(&mut admin).await.is_empty();
        manager.close().await;
        assert_eq!(remains(&mut admin).await, [""; 0], "dropped after {limit:?}");
        eventually("no session is left", async || sessions(&mut admin).await == 0).await;
    }
    assert!(some_were_made, "no proof was dropped in the middle");
    Ok(())
}
