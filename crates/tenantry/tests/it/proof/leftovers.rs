use tenantry::proof::ProofOptions;

use super::remains;
use crate::support::{TestResult, World, run};

/// The scratch schema of a proof that was killed.
async fn leave(world: &World, name: &str, age: i64, tables: bool) {
    let mut admin = world.admin().await;
    let comment = "scratch of a tenantry proof of isolation, created at";
    let sql = format!(
        "create schema {name}; do $$ begin execute format('comment on schema {name} is %L', \
         '{comment} ' || (extract(epoch from now())::int8 - {age})); end $$"
    );
    run(&mut admin, &sql).await;
    if tables {
        let sql = format!(
            "set search_path to {name}; create table marker (owner text); create sequence counter; \
             create function perform(command text) returns void language plpgsql as 'begin end'; \
             create type mood as enum ('a'); create table moods (m mood); create table plans (id int)"
        );
        run(&mut admin, &sql).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_killed_proof_left_is_removed_and_nothing_else() -> TestResult {
    let world = World::new().await;
    let mut admin = world.admin().await;
    let hour = 60 * 60;
    for (digits, age, tables) in
        [("a", hour + 60, true), ("b", hour - 60, true), ("c", hour + 60, false)]
    {
        leave(&world, &format!("tenantry_proof_{}_acme", digits.repeat(16)), age, tables).await;
    }
    // A schema that somebody depends on, one without a note, and one whose name is another.
    leave(&world, "tenantry_proof_dddddddddddddddd_acme", hour + 60, true).await;
    run(
        &mut admin,
        "create view mine as select * from tenantry_proof_dddddddddddddddd_acme.marker",
    )
    .await;
    run(&mut admin, "create schema tenantry_proof_eeeeeeeeeeeeeeee_acme").await;
    leave(&world, "tenantry_proof_acme", hour + 60, true).await;
    let manager = world.manager();
    let proof = manager.prove_isolation(ProofOptions::default().only(["role"])).await?;
    assert_eq!(proof.leftovers_removed, ["tenantry_proof_aaaaaaaaaaaaaaaa_acme"]);
    assert_eq!(
        remains(&mut admin).await,
        [
            "tenantry_proof_acme",
            "tenantry_proof_bbbbbbbbbbbbbbbb_acme",
            // It does not hold what a proof makes.
            "tenantry_proof_cccccccccccccccc_acme",
            "tenantry_proof_dddddddddddddddd_acme",
            "tenantry_proof_eeeeeeeeeeeeeeee_acme",
        ]
    );
    manager.close().await;
    Ok(())
}
