use std::time::Duration;

use sqlx::PgConnection;
use tenantry::{
    Credentials, ErrorKind, Pooling, TenantManager,
    proof::{Outcome, ProofOptions},
};
use tenantry_devdb::DevServer;

use super::{applicable, outcome, remains, unhurried};
use crate::support::{TestResult, World, at_rest, connect, eventually, run, sessions};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_attack_holds_and_nothing_is_left() -> TestResult {
    let world = World::with_tenants(&["acme"]).await;
    let mut admin = world.admin().await;
    let manager = world.with_pool(|options| options.max_connections = 5);
    let watching = tokio::spawn(most_connections(manager.clone(), world.admin().await));
    let proof = manager.prove_isolation(unhurried().seed(7).rounds(50)).await?;
    assert_eq!(watching.await?, (4, 5), "places of the budget taken, and sessions at the server");
    assert!(proof.isolated, "{proof}");
    assert_eq!((proof.held, proof.leaked, proof.not_run), (applicable(false).count(), 0, 0));
    let run: Vec<_> = proof.attacks.iter().map(|attack| attack.name).collect();
    assert_eq!(run, applicable(false).collect::<Vec<_>>());
    assert_eq!(proof.caveats, [""; 0]);
    assert_eq!((proof.pooling, proof.scratch_removed, proof.seed), (Pooling::Session, true, 7));
    assert_eq!(remains(&mut admin).await, [""; 0]);
    let roles = "select count(*) from pg_roles where starts_with(rolname, $1)";
    let roles: i64 = sqlx::query_scalar(roles).bind(&proof.scratch).fetch_one(&mut admin).await?;
    assert_eq!(roles, 0);

    let json = serde_json::to_value(&proof)?;
    assert_eq!(json["attacks"][0]["name"], "pooler");
    assert_eq!(json["attacks"][0]["outcome"], "held");
    assert!(json["durationMs"].is_number() && json["attacks"][0]["durationMs"].is_number());
    assert!(json["versions"]["postgresql"].is_string());
    assert!(proof.server.backend_pids.len() >= 2);

    // The budget is the manager's again.
    at_rest(&manager).await;
    eventually("the connections of the proof have gone", async || sessions(&mut admin).await <= 5)
        .await;
    let leases = async || {
        let acme = manager.shared();
        let mut leases = Vec::new();
        for _ in 0..5 {
            leases.push(acme.acquire().await?);
        }
        Ok::<_, tenantry::Error>(leases)
    };
    drop(leases().await?);
    manager.close().await;
    Ok(())
}

/// The most leased places, until none is any more, and the most sessions: those seen twice in a row, because a server
/// process ends a moment after its connection. No fewer than the budget are told.
async fn most_connections(manager: TenantManager, mut admin: PgConnection) -> (usize, i64) {
    let (mut places, mut most, mut last) = (0, 5, 0);
    loop {
        let leased = manager.snapshot().leased;
        let now = sessions(&mut admin).await;
        most = most.max(now.min(last));
        (places, last) = (places.max(leased), now);
        if places > 0 && leased == 0 {
            return (places, most);
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
}

/// An owner of schemas that may do nothing else.
async fn plain_owner(server: &DevServer) -> String {
    let mut admin = connect(&server.url()).await;
    run(&mut admin, "create role owner login; create role app login").await;
    run(&mut admin, "grant create on database postgres to owner").await;
    format!("postgres://owner@127.0.0.1:{}/postgres", server.port())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plain_owner_can_run_all_but_the_attack_with_roles() -> TestResult {
    let server = DevServer::start().await?;
    let url = plain_owner(&server).await;
    let mut admin = connect(&server.url()).await;
    let some =
        ["twoTenants", "openTransaction", "missingTenant", "droppedSchema", "replacedSchema"];
    for (manager, only, held) in [
        (TenantManager::builder(&url).build()?, &[][..], applicable(false).count() - 1),
        (TenantManager::builder(&url).tenants_see_shared(true).build()?, &some, some.len()),
        (
            TenantManager::builder(url.replace("owner@", "app@"))
                .upkeep_credentials(Credentials::new("owner"))
                .build()?,
            &some,
            some.len(),
        ),
    ] {
        let options = unhurried().rounds(5).only(only.iter().copied());
        let proof = manager.prove_isolation(options).await?;
        assert_eq!((proof.held, proof.leaked), (held, 0), "{proof}");
        let Outcome::NotRun { why } = outcome(&proof, "tenantRoles") else { panic!("{proof}") };
        assert!(!only.is_empty() || why.contains("may not create roles"), "{why}");
        assert_eq!((proof.isolated, proof.scratch_removed), (false, true));
        assert!(proof.to_string().starts_with("Proof of isolation: incomplete."), "{proof}");
        manager.close().await;
        assert_eq!(remains(&mut admin).await, [""; 0]);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_run_never_counts_as_held() -> TestResult {
    let world = World::new().await;
    let manager = world.one_session();
    let only = ProofOptions::default().only(["manySessions", "role"]);
    let proof = manager.prove_isolation(only).await?;
    assert_eq!((proof.isolated, proof.held, proof.leaked), (false, 1, 0), "{proof}");
    assert_eq!(*outcome(&proof, "role"), Outcome::Held);
    assert!(
        matches!(outcome(&proof, "manySessions"), Outcome::NotRun { why } if why.contains("two"))
    );
    assert!(matches!(outcome(&proof, "settings"), Outcome::NotRun { .. }));

    let late = ProofOptions::default().time_limit(Duration::from_nanos(1));
    let proof = manager.prove_isolation(late).await?;
    assert_eq!((proof.held, proof.leaked, proof.scratch_removed), (0, 0, true));

    let unknown = ProofOptions::default().only(["roles"]);
    let error = manager.prove_isolation(unknown).await.err().ok_or("there is no such attack")?;
    assert!(error.kind() == ErrorKind::Config && error.to_string().contains("tenantRoles"));
    let none = ProofOptions::default().rounds(0);
    assert_eq!(
        manager.prove_isolation(none).await.err().map(|e| e.kind()),
        Some(ErrorKind::Config)
    );
    assert_eq!(remains(&mut world.admin().await).await, [""; 0]);
    manager.close().await;
    Ok(())
}
