//! The isolation proof: attacks on the pool, through the configured connection.
//!
//! [`TenantManager::prove_isolation`](crate::TenantManager::prove_isolation) creates scratch schemas, lets one
//! scratch tenant leave behind on its session whatever PostgreSQL allows, and checks whether another tenant finds any
//! of it. It does not touch any schema of the application. The attacks run on connections of the same pool code, with
//! the same bind and reset that serve tenants, and count towards the budget.
//!
//! The result is evidence: each attack reports what was done, expected and observed. An attack that could not run
//! never counts as held.
//!
//! Behind a pooler in transaction mode, the manager does not serve tenants. The attacks run there nevertheless,
//! because they only reach scratch schemas, and must find the leak: this shows that they are able to.

mod attack;
mod attacks;
#[cfg(test)]
mod broken;
mod create;
mod finding;
mod ground;
mod leftovers;
mod look;
mod mark;
mod options;
mod report;
mod row_tenants;
mod run;
mod scratch;
mod scrub;
mod text;

pub use attack::attack_names;
pub use options::ProofOptions;
pub use report::{AttackResult, IsolationProof, Outcome, ProofServer, ProofVersions};
pub(crate) use run::prove;
