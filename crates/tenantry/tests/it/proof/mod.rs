//! The proof of isolation holds where tenants are kept apart, finds the leak where they are not, and leaves
//! nothing behind.

mod direct;
mod interrupted;
mod leftovers;
mod pooled;
mod rows;

use std::time::Duration;

use sqlx::PgConnection;
use tenantry::proof::{IsolationProof, Outcome, ProofOptions, attack_names};

/// Options with which a proof is complete also on a machine that is busy with other tests.
fn unhurried() -> ProofOptions {
    ProofOptions::default().time_limit(Duration::from_secs(300))
}

/// Everything of proofs that is in the database: schemas and locks; on a server of the test's own, roles too.
async fn remains(admin: &mut PgConnection) -> Vec<String> {
    sqlx::query_scalar(
        "select nspname::text from pg_namespace where nspname like 'tenantry_proof_%' \
         union all select rolname::text from pg_roles where rolname like 'tenantry_proof_%' \
         and current_database() = 'postgres' \
         union all select 'a lock of ' || l.pid from pg_locks l join pg_stat_activity a using (pid) \
         where l.locktype = 'advisory' and a.datname = current_database() \
         order by 1",
    )
    .fetch_all(admin)
    .await
    .expect("the server is running")
}

fn outcome<'p>(proof: &'p IsolationProof, name: &str) -> &'p Outcome {
    let attack = proof.attacks.iter().find(|attack| attack.name == name);
    &attack.unwrap_or_else(|| panic!("there is no {name}")).outcome
}

/// The names of the attacks that came to something else.
fn not_held(proof: &IsolationProof) -> Vec<&'static str> {
    let others = proof.attacks.iter().filter(|attack| attack.outcome != Outcome::Held);
    others.map(|attack| attack.name).collect()
}

/// The attacks that apply where tenants are isolated by row, or where none is.
fn applicable(by_row: bool) -> impl Iterator<Item = &'static str> {
    attack_names().filter(move |name| by_row || !name.starts_with("row"))
}
