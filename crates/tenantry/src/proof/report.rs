//! Results of an isolation proof.

use std::time::{Duration, SystemTime};

use serde::Serialize;

use crate::{event::serialize_millis, pool::Pooling};

/// Result of an isolation proof, with every attack.
///
/// `Display` writes the evidence: what was attacked, how, and what was observed. It contains no password and no URL.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
#[must_use = "it says whether tenants are kept apart"]
pub struct IsolationProof {
    /// Whether every attack was run and held. `false` with [`leaked`](Self::leaked) zero means that some attacks were
    /// not run.
    pub isolated: bool,
    /// Attacks in which nothing reached the other tenant.
    pub held: usize,
    /// Attacks in which something did.
    pub leaked: usize,
    /// Attacks that could not run, or were skipped.
    pub not_run: usize,
    /// Every attack, in a fixed order.
    pub attacks: Vec<AttackResult>,
    /// What was examined, and with what.
    pub versions: ProofVersions,
    /// Where the attacks were run.
    pub server: ProofServer,
    /// The pooling between the manager and its server.
    pub pooling: Pooling,
    /// The prefix of the scratch schemas and roles.
    pub scratch: String,
    /// Whether all of them were removed.
    pub scratch_removed: bool,
    /// Scratch schemas and roles of earlier, interrupted proofs that were removed as well.
    pub leftovers_removed: Vec<String>,
    /// What no attack can show: how isolation of this kind ends, and what to do about it. Empty without tenants that are
    /// [isolated by row](crate::Isolation::row).
    pub caveats: Vec<&'static str>,
    /// The seed of the random choices.
    pub seed: u64,
    /// When it was started.
    #[serde(serialize_with = "crate::timestamp::serialize")]
    #[cfg_attr(feature = "schemars", schemars(with = "String"))]
    pub started_at: SystemTime,
    /// How long it took, including the creation and removal of the scratch schemas.
    #[serde(rename = "durationMs", serialize_with = "serialize_millis")]
    #[cfg_attr(feature = "schemars", schemars(with = "f64"))]
    pub duration: Duration,
}

/// Result of one attack.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct AttackResult {
    /// Its name, for [`ProofOptions::only`](super::ProofOptions::only) and for programs.
    pub name: &'static str,
    /// Its human-readable name.
    pub title: &'static str,
    /// What is done.
    pub what: &'static str,
    /// The expected result.
    pub expected: &'static str,
    /// The observed result. It can contain messages of the database about scratch schemas.
    pub observed: String,
    /// The verdict.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// The number of rounds.
    pub rounds: u64,
    /// How long it took.
    #[serde(rename = "durationMs", serialize_with = "serialize_millis")]
    #[cfg_attr(feature = "schemars", schemars(with = "f64"))]
    pub duration: Duration,
}

/// Verdict on one attack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(tag = "outcome", rename_all = "camelCase")]
#[non_exhaustive]
pub enum Outcome {
    /// Nothing reached the other tenant.
    Held,
    /// Something of one tenant reached another.
    Leaked,
    /// It was not completed.
    NotRun {
        /// The reason.
        why: String,
    },
}

impl Outcome {
    /// Returns the camel-case name that JSON uses.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Leaked => "leaked",
            Self::NotRun { .. } => "notRun",
        }
    }
}

/// What was examined, and with what.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ProofVersions {
    /// The version of this crate.
    pub tenantry: &'static str,
    /// The version of the server, as it reports it.
    pub postgresql: String,
}

/// Where the attacks were run.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ProofServer {
    /// The host, or the folder of a socket, that the manager connects to: the pooler's, if there is one.
    pub host: String,
    /// The port there.
    pub port: u16,
    /// The database.
    pub database: String,
    /// The user that the manager logs in as.
    pub user: String,
    /// The server processes that responded.
    pub backend_pids: Vec<i32>,
}

impl IsolationProof {
    /// Counts the outcomes.
    pub(super) fn count(mut self) -> Self {
        let count = |outcome: &str| {
            self.attacks.iter().filter(|attack| attack.outcome.as_str() == outcome).count()
        };
        (self.held, self.leaked, self.not_run) = (count("held"), count("leaked"), count("notRun"));
        self.isolated = self.held == self.attacks.len() && self.held > 0;
        self
    }
}
