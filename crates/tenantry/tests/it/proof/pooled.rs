use tenantry::{ErrorKind, Pooling, TenantManager, proof::Outcome};
use tenantry_devdb::DevServer;

use super::{not_held, outcome, remains, unhurried};
use crate::{
    faults::PgBouncer,
    support::{TestResult, connect, kind_of, observe, pool_options, run},
};

fn manager(url: &str) -> TenantManager {
    TenantManager::builder(url)
        .pool_options(pool_options(|options| options.max_connections = 5))
        .build()
        .expect("the configuration is sound")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pooler_in_session_mode_holds() -> TestResult {
    let server = DevServer::start().await?;
    let settings = [("pool_mode", "session"), ("default_pool_size", "8")];
    let Some(pooler) = PgBouncer::before(server.port(), &settings).await else { return Ok(()) };
    let manager = manager(&pooler.url());
    let proof = manager.prove_isolation(unhurried().rounds(4)).await?;
    assert_eq!(not_held(&proof), [""; 0], "{proof}");
    assert_eq!((proof.isolated, proof.pooling), (true, Pooling::Session));
    manager.close().await;
    assert_eq!(remains(&mut connect(&server.url()).await).await, [""; 0]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pooler_in_transaction_mode_leaks_and_is_found_to() -> TestResult {
    let server = DevServer::start().await?;
    for (mode, size, round_robin) in
        [("transaction", "1", "0"), ("transaction", "5", "0"), ("transaction", "5", "1")]
    {
        let settings =
            [("pool_mode", mode), ("default_pool_size", size), ("server_round_robin", round_robin)];
        let Some(pooler) = PgBouncer::before(server.port(), &settings).await else {
            return Ok(());
        };
        let manager = manager(&pooler.url());
        // Where the pooler takes turns, each round meets the other tenant's row by chance, half of the time.
        let proof = manager.prove_isolation(unhurried().rounds(40)).await?;
        assert!(!proof.isolated && proof.leaked >= 2, "{mode} {size} {round_robin}: {proof}");
        assert_eq!(*outcome(&proof, "pooler"), Outcome::Leaked, "{proof}");
        assert_eq!(*outcome(&proof, "manySessions"), Outcome::Leaked, "{proof}");
        assert!(
            matches!(outcome(&proof, "role"), Outcome::NotRun { why } if why.contains("other clients"))
        );
        let sessions = proof.attacks.iter().find(|attack| attack.name == "manySessions");
        let observed = sessions.map(|attack| &*attack.observed).unwrap_or_default();
        assert!(observed.contains("read the row of"), "{mode} {size} {round_robin}: {proof:#?}");
        assert_eq!((proof.pooling, proof.scratch_removed), (Pooling::Transaction, true), "{proof}");
        // What other clients of the pooler find is as before, on each of its server processes.
        let mut others = Vec::new();
        for _ in 0..5 {
            let mut other = connect(&pooler.url()).await;
            run(&mut other, "begin").await;
            let path = observe(&mut other, "show search_path").await;
            assert_eq!(path, r#"Some("\"$user\", public")"#, "{mode} {size} {round_robin}");
            if size == "1" {
                break;
            }
            others.push(other);
        }
        drop(others);
        // Tenants are served as little as before.
        let error = manager.shared().acquire().await.err().map(kind_of);
        assert_eq!(error, Some(ErrorKind::TransactionPooler));
        manager.close().await;
        assert_eq!(remains(&mut connect(&server.url()).await).await, [""; 0], "{mode} {size}");
    }
    Ok(())
}
