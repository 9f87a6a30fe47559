//! Attacks on the rows of other tenants, where tenants share tables.

use tenantry::{
    Credentials, FixedCatalog, Isolation, KeyType, Rows, TenantManager,
    proof::{Outcome, ProofOptions},
};
use tenantry_devdb::DevServer;

use super::{applicable, not_held, outcome, remains, unhurried};
use crate::support::{TestResult, connect, private_server, run};

/// The attacks on rows.
fn of_rows() -> impl Iterator<Item = &'static str> {
    applicable(true).filter(|name| name.starts_with("row"))
}

/// A server with a role for each purpose.
async fn server() -> DevServer {
    let server = private_server(&[]).await;
    let mut admin = connect(&server.url()).await;
    run(
        &mut admin,
        "create role owner login; create role service login; create role app; grant app to service; \
         grant create on database postgres to owner; create schema tables authorization owner; \
         grant usage on schema tables to app",
    )
    .await;
    server
}

fn manager(server: &DevServer, rows: Rows) -> Result<TenantManager, tenantry::ConfigError> {
    TenantManager::builder(server.url().replace("postgres@", "service@"))
        .upkeep_credentials(Credentials::new("owner"))
        .isolation(Isolation::rows(rows))
        .catalog(FixedCatalog::new([]))
        .build()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_attacks_on_rows_hold_for_every_type_of_key() -> TestResult {
    let server = server().await;
    let mut admin = connect(&server.url()).await;
    for rows in [
        Rows::new().role("app")?,
        Rows::new().key(KeyType::Uuid).column("Org \"1\"")?.setting("app.org")?.role("app")?,
        // The login is the role of the sessions.
        Rows::new().key(KeyType::BigInt),
    ] {
        let manager = manager(&server, rows.clone().schema("tables")?)?;
        let options = unhurried().rounds(20).only(of_rows());
        let proof = manager.prove_isolation(options).await?;
        assert_eq!((proof.held, proof.leaked), (of_rows().count(), 0), "{rows:?}\n{proof}");
        assert!(proof.scratch_removed);
        assert!(proof.caveats[0].contains("reaches the rows of every tenant"), "{proof}");
        assert!(proof.to_string().contains("Give tenants that run SQL a schema and a login each"));
        manager.close().await;
        assert_eq!(remains(&mut admin).await, [""; 0]);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_attacks_hold_where_tenants_share_tables() -> TestResult {
    let server = server().await;
    let manager = manager(&server, Rows::new().role("app")?.schema("tables")?)?;
    let proof = manager.prove_isolation(unhurried().rounds(20)).await?;
    // The owner may not create roles.
    assert_eq!(not_held(&proof), ["tenantRoles"], "{proof}");
    assert_eq!(proof.attacks.len(), applicable(true).count());
    manager.close().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_that_policies_do_not_apply_to_is_a_leak() -> TestResult {
    let server = server().await;
    let manager = TenantManager::builder(server.url())
        .isolation(Isolation::row())
        .catalog(FixedCatalog::new([]))
        .build()?;
    let only = ProofOptions::default().rounds(1).only(["rowTurns", "rowReach", "rowPolicies"]);
    let proof = manager.prove_isolation(only).await?;
    assert_eq!((proof.leaked, proof.isolated), (3, false), "{proof}");
    assert!(proof.to_string().contains("superuser"), "{proof}");
    manager.close().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attacks_on_rows_that_cannot_be_run_say_why() -> TestResult {
    let server = server().await;
    let missing = manager(&server, Rows::new().role("nobody")?.schema("tables")?)?;
    let only = ProofOptions::default().only(of_rows());
    let proof = missing.prove_isolation(only.clone()).await?;
    for name in of_rows() {
        let Outcome::NotRun { why } = outcome(&proof, name) else { panic!("{proof}") };
        assert!(why.contains("nobody"), "{name}: {why}");
    }
    missing.close().await;
    let by_schema = TenantManager::builder(server.url()).build()?;
    let proof = by_schema.prove_isolation(only).await?;
    for name in of_rows() {
        let expected = Outcome::NotRun { why: "no tenant is isolated by row".into() };
        assert_eq!(*outcome(&proof, name), expected);
    }
    assert_eq!(remains(&mut connect(&server.url()).await).await, [""; 0]);
    by_schema.close().await;
    Ok(())
}
