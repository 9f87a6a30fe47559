//! The isolation proof as text.

use std::fmt;

use super::report::{AttackResult, IsolationProof, Outcome, ProofServer};
use crate::timestamp;

impl fmt::Display for IsolationProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let started = timestamp::serialize(&self.started_at, serde_json::value::Serializer);
        let started = started.ok().and_then(|time| time.as_str().map(str::to_owned));
        let (server, versions) = (&self.server, &self.versions);
        writeln!(f, "Proof of isolation: {}", verdict(self))?;
        writeln!(f)?;
        writeln!(f, "  started     {}", started.unwrap_or_default())?;
        writeln!(f, "  duration    {:.1} s", self.duration.as_secs_f64())?;
        writeln!(f, "  tenantry    {}", versions.tenantry)?;
        writeln!(f, "  PostgreSQL  {}", versions.postgresql)?;
        let ProofServer { host, port, database, user, backend_pids } = server;
        writeln!(f, "  server      {host}:{port}, database {database}, user {user}")?;
        let pids: Vec<_> = backend_pids.iter().take(PIDS).map(i32::to_string).collect();
        let more = backend_pids.len().saturating_sub(PIDS);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        writeln!(f, "  processes   {}{more}", pids.join(", "))?;
        writeln!(f, "  pooling     {}", self.pooling.as_str())?;
        let removed = if self.scratch_removed { "removed" } else { "NOT REMOVED" };
        writeln!(f, "  scratch     {}*, {removed}", self.scratch)?;
        for leftover in &self.leftovers_removed {
            writeln!(f, "  leftover    {leftover}, removed")?;
        }
        for caveat in &self.caveats {
            writeln!(f, "  caveat      {caveat}")?;
        }
        writeln!(f, "  seed        {}", self.seed)?;
        for attack in &self.attacks {
            writeln!(f)?;
            attack.fmt(f)?;
        }
        Ok(())
    }
}

/// The maximum number of server processes in the text.
const PIDS: usize = 12;

fn verdict(proof: &IsolationProof) -> String {
    let IsolationProof { held, leaked, not_run, attacks, .. } = proof;
    let total = attacks.len();
    match (leaked, not_run) {
        (0, 0) => format!("isolated. All {total} attacks held."),
        (0, _) => {
            format!("incomplete. {held} of {total} attacks held, none leaked; not run: {not_run}.")
        }
        _ => format!(
            "NOT ISOLATED. {leaked} of {total} attacks leaked, {held} held; not run: {not_run}."
        ),
    }
}

impl fmt::Display for AttackResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match &self.outcome {
            Outcome::Held => "HELD   ",
            Outcome::Leaked => "LEAKED ",
            Outcome::NotRun { .. } => "NOT RUN",
        };
        writeln!(f, "{word} {} ({})", self.title, self.name)?;
        writeln!(f, "        attack    {}", self.what)?;
        writeln!(f, "        expected  {}", self.expected)?;
        match &self.outcome {
            Outcome::NotRun { why } => writeln!(f, "        why       {}", line(why)),
            Outcome::Held | Outcome::Leaked => {
                let millis = self.duration.as_millis();
                writeln!(f, "        observed  {}", line(&self.observed))?;
                writeln!(f, "        rounds    {} in {millis} ms", self.rounds)
            }
        }
    }
}

/// Messages of the database can have several lines.
fn line(text: &str) -> String {
    text.replace(['\n', '\r', '\t'], " ")
}
