use std::time::Duration;

use crate::error::{Error, ErrorKind};

/// Options for an isolation proof.
///
/// # Examples
///
/// ```no_run
/// # async fn example(manager: tenantry::TenantManager) -> Result<(), tenantry::Error> {
/// use tenantry::proof::ProofOptions;
///
/// let proof = manager.prove_isolation(ProofOptions::default().rounds(500)).await?;
/// println!("{proof}");
/// assert_eq!(proof.leaked, 0);
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProofOptions {
    /// How often attacks that depend on timing or order are repeated. Default: 100.
    ///
    /// Attacks that leave state behind on a session run once per hundred rounds, and at least once.
    pub rounds: u32,
    /// Seed of the random choices: which tenant, which order, when to cancel. Default: `None`, a new seed each time.
    /// The report contains the seed.
    pub seed: Option<u64>,
    /// Time limit for all attacks together. Default: 30 s. Attacks that are not reached are reported as not run. The
    /// removal of the scratch schemas takes additional time.
    pub time_limit: Duration,
    /// The [names](super::attack_names) of the attacks to run. Default: empty, which runs all. The others are reported
    /// as not run.
    pub only: Vec<String>,
}

impl Default for ProofOptions {
    fn default() -> Self {
        Self { rounds: 100, seed: None, time_limit: Duration::from_secs(30), only: Vec::new() }
    }
}

impl ProofOptions {
    /// Sets [`rounds`](Self::rounds).
    #[must_use]
    pub fn rounds(mut self, rounds: u32) -> Self {
        self.rounds = rounds;
        self
    }

    /// Sets [`seed`](Self::seed).
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Sets [`time_limit`](Self::time_limit).
    #[must_use]
    pub fn time_limit(mut self, limit: Duration) -> Self {
        self.time_limit = limit;
        self
    }

    /// Sets [`only`](Self::only).
    #[must_use]
    pub fn only<I>(mut self, attacks: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        self.only = attacks.into_iter().map(Into::into).collect();
        self
    }

    /// Checks the options, given the names of all attacks.
    pub(super) fn check(&self, attacks: &[&str]) -> Result<(), Error> {
        if self.rounds == 0 {
            return Err(Error::new(ErrorKind::Config, "rounds must be at least 1"));
        }
        if let Some(unknown) = self.only.iter().find(|name| !attacks.contains(&name.as_str())) {
            let attempted =
                format!("there is no attack {unknown:?}; the attacks are {}", attacks.join(", "));
            return Err(Error::new(ErrorKind::Config, attempted));
        }
        Ok(())
    }

    pub(super) fn includes(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only == name)
    }

    /// Returns how often state is left behind on a session in each way.
    pub(super) fn plantings(&self) -> u32 {
        (self.rounds / 100).max(1)
    }
}
