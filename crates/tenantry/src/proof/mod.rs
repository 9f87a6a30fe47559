//! The proof of isolation: attacks on the pool, through the connection that is configured.
//!
//! [`TenantManager::prove_isolation`](crate::TenantManager::prove_isolation) creates scratch schemas, lets one
//! scratch tenant leave behind on its session whatever PostgreSQL lets it, and looks whether another tenant finds
//! any of it. No schema of the application is touched. The attacks run on connections of the same pool code, with
//! the same bind and reset that serve tenants, and count in the budget.
//!
//! The result is evidence: each attack says what was done, what was expected and what was observed. An attack that
//! could not be run never counts as held.
//!
//! Behind a pooler in transaction mode the manager serves nothing. The attacks run there all the same, because they
//! reach scratch schemas alone, and must find the leak: that shows that they can.

mod attack;
mod attacks;
#[cfg(test)]
mod broken;
mod create;
mod ground;
mod leftovers;
mod look;
mod mark;
mod options;
mod report;
mod run;
mod scratch;
mod text;

pub use attack::attack_names;
pub use options::ProofOptions;
pub use report::{AttackResult, IsolationProof, Outcome, ProofServer, ProofVersions};
pub(crate) use run::prove;
