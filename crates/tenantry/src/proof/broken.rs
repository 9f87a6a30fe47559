//! Each attack detects the leak if the part of bind or reset that prevents it is left out.

use tenantry_devdb::DevDatabase;

use super::{Outcome, ProofOptions};
use crate::{
    TenantManager,
    pool::{Broken, PoolOptions},
};

type Replaced = &'static [(&'static str, &'static str)];

const fn sent_instead(replaced: Replaced) -> Broken {
    Broken { replaced, keeps_statements: false, trusts_names: false, never_rebinds: false }
}

const INTACT: Broken = sent_instead(&[]);

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

#[tokio::test]
async fn each_attack_finds_what_is_left_out() {
    let mut missed = Vec::new();
    let database = DevDatabase::create().await.unwrap();
    for (attacks, broken) in CASES {
        let options = PoolOptions { broken: *broken, max_connections: 4, ..PoolOptions::default() };
        let manager = TenantManager::builder(database.url())
            .pool_options(options)
            .tenants_see_shared(attacks.contains(&"droppedSchema"))
            .build()
            .unwrap();
        let only = ProofOptions::default().only(attacks.iter().copied()).seed(1).rounds(20);
        let proof = manager.prove_isolation(only).await.unwrap();
        for result in proof.attacks.iter().filter(|result| attacks.contains(&result.name)) {
            if result.outcome != Outcome::Leaked {
                missed.push(result.to_string());
            }
        }
        assert!(!proof.isolated && proof.scratch_removed, "{attacks:?}");
        manager.close().await;
    }
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}
