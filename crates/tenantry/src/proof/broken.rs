//! Each attack detects the leak if the part of bind or reset that prevents it is left out; those on rows are in
//! `attacks/rows/broken.rs`.

use tenantry_devdb::DevDatabase;

use super::{Outcome, ProofOptions};
use crate::{
    ManagerBuilder, TenantManager,
    pool::{Broken, PoolOptions},
};

pub(super) type Replaced = &'static [(&'static str, &'static str)];

pub(super) const fn sent_instead(replaced: Replaced) -> Broken {
    Broken { replaced, keeps_statements: false, trusts_names: false, never_rebinds: false }
}

pub(super) const INTACT: Broken = sent_instead(&[]);

/// Attacks, each with the omitted part that would prevent them.
const CASES: &[(&[&str], Broken)] = &[
    (
        &["searchPath"],
        sent_instead(&[
            ("reset all; set search_path to pg_catalog, pg_temp; ", ""),
            ("; set search_path to \"tenantry_", "; set application_name to \"tenantry_"),
        ]),
    ),
    (&["settings", "statementTimeout"], sent_instead(&[("reset all; ", "")])),
    (&["role", "sessionAuthorization"], sent_instead(&[("reset session authorization; ", "")])),
    (&["temporaryObjects"], sent_instead(&[("discard temp; ", "")])),
    (&["listen"], sent_instead(&[("unlisten *; ", "")])),
    (&["advisoryLock"], sent_instead(&[("pg_catalog.pg_advisory_unlock_all()", "null")])),
    (&["cursor"], sent_instead(&[("close all; ", "")])),
    (
        &["preparedStatement"],
        sent_instead(&[(
            "select from pg_catalog.pg_prepared_statement() where from_sql",
            "select 1 limit 0",
        )]),
    ),
    (&["sequenceState"], sent_instead(&[("discard sequences; ", "")])),
    (&["randomSeed"], sent_instead(&[("pg_catalog.setseed(", "pg_catalog.abs(")])),
    (
        &["openTransaction", "severalStatements", "cancelledBegin"],
        sent_instead(&[
            ("begin; rollback; ", ""),
            (
                "pg_catalog.timestamptz_eq(pg_catalog.transaction_timestamp(), \
                 pg_catalog.statement_timestamp())",
                "true",
            ),
        ]),
    ),
    (&["tenantRoles"], sent_instead(&[("; set role ", "; set application_name to ")])),
    (&["ownEnum", "cachedPlan"], Broken { keeps_statements: true, ..INTACT }),
    (&["droppedSchema"], Broken { trusts_names: true, ..INTACT }),
    (&["replacedSchema"], Broken { trusts_names: true, ..INTACT }),
    (
        &["twoTenants", "caseFolding", "concurrentCancellation"],
        Broken { never_rebinds: true, ..INTACT },
    ),
];

/// Returns a manager with gaps.
pub(super) fn builder(database: &DevDatabase, broken: Broken) -> ManagerBuilder {
    let options = PoolOptions { broken, max_connections: 4, ..PoolOptions::default() };
    TenantManager::builder(database.url()).pool_options(options)
}

/// Attacks that drop requests at random points: few of them leave something behind on a busy machine.
const BY_CHANCE: &[&str] = &["cancelledBegin", "rowInterrupted"];

/// Maximum number of rounds of random attacks until each has found something.
const ATTEMPTS: u64 = 5;

/// Runs these attacks, and returns those of them that found nothing.
pub(super) async fn missed(builder: ManagerBuilder, attacks: &[&str]) -> Vec<String> {
    let manager = builder.build().unwrap();
    let rounds = if attacks.contains(&"cancelledBegin") { 150 } else { 20 };
    let mut missed = Vec::new();
    let mut left = attacks.to_vec();
    let by_chance = attacks.iter().any(|attack| BY_CHANCE.contains(attack));
    let attempts = if by_chance { ATTEMPTS } else { 1 };
    for seed in 1..=attempts {
        let only = ProofOptions::default().only(left.iter().copied()).seed(seed).rounds(rounds);
        let proof = manager.prove_isolation(only).await.unwrap();
        assert!(proof.scratch_removed, "{attacks:?}");
        let selected = proof.attacks.iter().filter(|result| left.contains(&result.name));
        let results: Vec<_> = selected.filter(|result| result.outcome != Outcome::Leaked).collect();
        missed = results.iter().map(ToString::to_string).collect();
        assert!(!proof.isolated || results.len() == left.len(), "{attacks:?}");
        left.retain(|name| results.iter().any(|result| result.name == *name));
        if left.is_empty() {
            break;
        }
    }
    manager.close().await;
    missed
}

#[tokio::test]
async fn each_attack_finds_what_is_left_out() {
    let mut all = Vec::new();
    let database = DevDatabase::create().await.unwrap();
    for (attacks, broken) in CASES {
        let builder = builder(&database, *broken);
        let builder = builder.tenants_see_shared(attacks.contains(&"droppedSchema"));
        all.extend(missed(builder, attacks).await);
    }
    assert!(all.is_empty(), "{}", all.join("\n"));
}
