//! Runs the attacks one after the other.

use std::{
    cmp::Reverse,
    sync::Arc,
    time::{Duration, SystemTime},
};

use sqlx::{Row, raw_sql};
use tokio::time::{Instant, timeout_at};

use super::{
    attack::{ATTACKS, Attack, attack_names},
    attacks::{rows::tables, turns::OWNER},
    create::create_all,
    finding::{Attacked, Finding, Stop},
    ground::{Ground, Pids},
    leftovers::remove_leftovers,
    mark::Mark,
    options::ProofOptions,
    report::{AttackResult, IsolationProof, Outcome, ProofServer, ProofVersions},
    row_tenants::OfRows,
    scratch::{MOST_CONNECTIONS, Scratch},
};
use crate::{
    error::{Error, ErrorKind},
    error_report::ErrorReport,
    fleet::Fleet,
    pool::{Pooling, after},
    rows::{self, RowsReport},
};

/// The maximum number of leaks per attack that are described.
const TOLD: usize = 5;

/// Why the attacks on one session are not run behind a pooler that shares sessions.
const SHARED: &str = "the pooler in between shares server sessions, and what the attack leaves behind could reach its \
    other clients";

/// The limit of isolation by row.
const SQL_REACHES_ALL: &str = "SQL that a tenant wrote, or injected, can set the key of its session, because PostgreSQL \
    lets every role set a custom setting: it then reaches the rows of every tenant, until the session is reset. Give \
    tenants that run SQL a schema and a login each.";

/// Facts learned along the way.
#[derive(Debug, Default)]
struct Learnt {
    postgresql: String,
    leftovers: Vec<String>,
    pooling: Pooling,
    attacks: Vec<AttackResult>,
}

/// The inputs of a proof.
struct Proof<'a> {
    real: &'a Fleet,
    options: &'a ProofOptions,
    mark: Mark,
    seed: u64,
    deadline: Instant,
    pids: Pids,
    /// The verification of the application's tables, if tenants are isolated by row.
    verified: Option<Result<RowsReport, String>>,
}

/// Runs the attacks; see [`TenantManager::prove_isolation`](crate::TenantManager::prove_isolation).
pub(crate) async fn prove(
    real: &Fleet,
    user: &str,
    options: &ProofOptions,
) -> Result<IsolationProof, Error> {
    options.check(&attack_names().collect::<Vec<_>>())?;
    let (began, started_at) = (Instant::now(), SystemTime::now());
    let seed = seed_of(options)?;
    let deadline = after(options.time_limit);
    let verified = match real.lookup().isolations().has_rows() {
        // Before the attacks take their connections of the budget.
        true => Some(verify(real, deadline).await),
        false => None,
    };
    let (mark, pids) = (Mark::draw()?, Pids::default());
    let proof = Proof { real, options, mark, seed, deadline, pids, verified };
    let server = real.server();
    let places = server.take_places(MOST_CONNECTIONS).await?;
    let mut scratch = Scratch::new(real, proof.mark.clone(), places, Arc::clone(&proof.pids));
    let run = proof.run(&mut scratch).await;
    // Regardless of the result of the attacks.
    let scratch_removed = scratch.remove().await;
    let learnt = run?;
    Ok(proof.report(user, learnt, scratch_removed, started_at, began.elapsed()))
}

/// Verifies the application's tables.
async fn verify(real: &Fleet, deadline: Instant) -> Result<RowsReport, String> {
    let verified = timeout_at(deadline, rows::verify(real)).await;
    let verified = verified.map_err(|_| "the time limit was reached before it ended".to_owned())?;
    verified.map_err(|error| ErrorReport::new(&error).to_string())
}

/// Returns the seed of the options, or a random one.
fn seed_of(options: &ProofOptions) -> Result<u64, Error> {
    let drawn = || {
        getrandom::u64().map_err(|error| {
            Error::new(ErrorKind::Unavailable, "generating a seed").with_source(error)
        })
    };
    options.seed.map_or_else(drawn, Ok)
}

impl Proof<'_> {
    async fn run(&self, scratch: &mut Scratch) -> Result<Learnt, Error> {
        let mut learnt = Learnt::default();
        let (of_sessions, of_one): (Vec<_>, Vec<_>) = ATTACKS
            .iter()
            .filter(|attack| self.applies(attack))
            .partition(|attack| attack.how.takes_sessions());
        let fleet = scratch.pool(MOST_CONNECTIONS).await?;
        let rows = self.prepare(&fleet, &mut learnt).await?;
        let ground = self.ground(fleet, rows.as_ref())?;
        self.attack(&ground, &of_sessions, &mut learnt).await;
        learnt.pooling = match (self.real.server().pooling(), ground.fleet.server().pooling()) {
            (Pooling::Transaction, _) | (_, Pooling::Transaction) => Pooling::Transaction,
            (Pooling::Session, _) | (_, Pooling::Session) => Pooling::Session,
            (Pooling::Unknown, Pooling::Unknown) => Pooling::Unknown,
        };
        if learnt.pooling == Pooling::Transaction {
            let not_run = |attack: &&Attack| {
                result(attack, Vec::new(), Err(Stop::new(SHARED)), Instant::now())
            };
            learnt.attacks.extend(of_one.iter().map(not_run));
        } else {
            let ground = self.ground(scratch.pool(1).await?, rows.as_ref())?;
            self.attack(&ground, &of_one, &mut learnt).await;
        }
        Ok(learnt)
    }

    fn report(
        &self,
        user: &str,
        Learnt { postgresql, leftovers, pooling, attacks }: Learnt,
        scratch_removed: bool,
        started_at: SystemTime,
        duration: Duration,
    ) -> IsolationProof {
        let (host, port, database) = self.real.server().connects_to();
        let proof = IsolationProof {
            isolated: false,
            held: 0,
            leaked: 0,
            not_run: 0,
            attacks,
            versions: ProofVersions { tenantry: env!("CARGO_PKG_VERSION"), postgresql },
            server: ProofServer {
                host: host.to_owned(),
                port,
                database: database.unwrap_or(user).to_owned(),
                user: user.to_owned(),
                backend_pids: self.pids.lock().iter().copied().collect(),
            },
            pooling,
            scratch: self.mark.as_str().to_owned(),
            scratch_removed,
            leftovers_removed: leftovers,
            caveats: self.verified.is_some().then_some(SQL_REACHES_ALL).into_iter().collect(),
            seed: self.seed,
            started_at,
            duration,
        };
        proof.count()
    }

    /// Returns `true` if an attack is part of the report.
    fn applies(&self, attack: &Attack) -> bool {
        let is_selected = !self.options.only.is_empty() && self.options.includes(attack.name);
        !attack.how.needs_rows() || self.verified.is_some() || is_selected
    }

    /// Creates the scratch schemas, and removes those of interrupted proofs.
    async fn prepare(&self, fleet: &Fleet, learnt: &mut Learnt) -> Result<Option<OfRows>, Error> {
        let mut lease = fleet.lease().await?;
        let version = "select pg_catalog.current_setting('server_version')";
        learnt.postgresql = raw_sql(version).fetch_one(&mut *lease).await?.try_get(0)?;
        learnt.leftovers = remove_leftovers(&mut lease).await?;
        create_all(&mut lease, &self.mark, fleet.server().role_of_manager()).await?;
        let Some(verified) = self.verified.clone() else { return Ok(None) };
        let created = tables::create(fleet, &mut lease, &self.mark).await;
        let created = created.map_err(|error| ErrorReport::new(&error).to_string());
        Ok(Some(OfRows { created, verified }))
    }

    fn ground<'g>(&'g self, fleet: Fleet, rows: Option<&'g OfRows>) -> Result<Ground<'g>, Error> {
        Ground::new(fleet, &self.mark, self.options, self.seed, &self.pids, OWNER, rows)
    }

    async fn attack(&self, ground: &Ground<'_>, attacks: &[&Attack], learnt: &mut Learnt) {
        for attack in attacks {
            let began = Instant::now();
            let attacked = if !self.options.includes(attack.name) {
                Err(Stop::new("it was not selected"))
            } else if began >= self.deadline {
                Err(Stop::new("the time limit was reached before it began"))
            } else {
                let reached = |_| Err(Stop::new("the time limit was reached while it ran"));
                timeout_at(self.deadline, attack.run(ground)).await.unwrap_or_else(reached)
            };
            learnt.attacks.push(result(attack, ground.take_leaks(), attacked, began));
        }
    }
}

fn result(attack: &Attack, leaks: Vec<String>, attacked: Attacked, began: Instant) -> AttackResult {
    let (outcome, observed, rounds) = match attacked {
        // Leaks that were found before the attack was interrupted count.
        attacked if !leaks.is_empty() => {
            (Outcome::Leaked, told(leaks), attacked.map_or(0, |finding| finding.rounds))
        }
        Ok(Finding { seen, rounds }) => (Outcome::Held, seen, rounds),
        Err(Stop(why)) => (Outcome::NotRun { why }, String::new(), 0),
    };
    let Attack { name, title, what, expected, .. } = *attack;
    let duration = began.elapsed();
    AttackResult { name, title, what, expected, observed, outcome, rounds, duration }
}

/// Describes the most frequent kinds of leaks, each with its count.
fn told(leaks: Vec<String>) -> String {
    let mut kinds: Vec<(String, usize)> = Vec::new();
    for leak in leaks {
        match kinds.iter_mut().find(|(kind, _)| *kind == leak) {
            Some((_, times)) => *times += 1,
            None => kinds.push((leak, 1)),
        }
    }
    kinds.sort_by_key(|(_, times)| Reverse(*times));
    let more = kinds.len().saturating_sub(TOLD);
    let first = kinds.into_iter().take(TOLD).map(|(kind, times)| match times {
        1 => kind,
        _ => format!("{kind} ({times} times)"),
    });
    let first = first.collect::<Vec<_>>().join("; ");
    if more > 0 { format!("{first}; and {more} more") } else { first }
}
