//! The task that asks for a part of the shared budget, again and again.

use std::{
    collections::HashMap,
    sync::{Arc, Weak},
    time::Duration,
};

use sqlx::{Connection, PgConnection};
use tokio::time::{Instant, sleep, timeout};

use super::{
    allocation::{Claim, Grant, Other, allocate},
    failure::{Failure, no_floor_left},
    member::{Load, Member, State},
    sightings::{Lapsed, Row, Sight, Sightings},
    table::{Found, SETTINGS, Sessions, Table, Written, sessions},
    word::share_budget,
};
use crate::{
    error::{Error, ErrorKind},
    error_report::ErrorReport,
    pool::{Connector, Effect, Lease, Moment, Occupant, Purpose, Server, Share, Verdict},
    tenant::Ident,
};

/// How long a beat waits for a connection, and for each answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// How often it tries when others write at the same time.
const TRIES: usize = 10;

/// How long a process waits, at its end, until the server has noticed that its sessions are gone.
const LEAVES_WITHIN: Duration = Duration::from_secs(2);

/// Makes the pool ask for its part of a budget from its first use until it is closed.
pub(crate) fn share(server: &Arc<Server>, share: Share, schema: Ident, instance: &str) {
    let table = Table { schema, budget: Arc::clone(&share.name), instance: instance.into() };
    let mut beat = Beat {
        server: Arc::downgrade(server),
        connector: server.connector().clone(),
        occupant: Server::member_of_budget(&SETTINGS),
        member: Member::new(share.floor),
        sightings: Sightings::default(),
        known: None,
        standing: None,
        sent: 0,
        beats: 0,
        table,
    };
    let shutdown = server.shutdown().clone();
    server.share(share);
    server.on_start(Box::pin(async move {
        shutdown.run_until_cancelled(beat.go_on()).await;
        beat.leave().await;
    }));
}

/// What this process gets, and what it writes about others.
struct Decision {
    grant: Grant,
    lapsed: Vec<Lapsed>,
}

struct Beat {
    server: Weak<Server>,
    connector: Connector,
    occupant: Arc<Occupant>,
    table: Table,
    member: Member,
    sightings: Sightings,
    /// The table that was found to be the library's own.
    known: Option<i64>,
    /// The connections that are counted for this process, as it has last written, unless there was no answer.
    standing: Option<usize>,
    /// Number of statements that were sent, each time another one.
    sent: i64,
    /// Number of answered beats.
    beats: u64,
}

impl Beat {
    async fn go_on(&mut self) {
        while let Some(server) = self.server.upgrade() {
            let Some(share) = server.shared_budget().cloned() else { return };
            let failed = self.once(&server, &share).await;
            drop(server);
            let (least, most) = (self.member.pause_of_waiting(failed), self.member.pause(failed));
            let jitter = self.member.jitter(fastrand::f64());
            sleep(least.mul_f64(jitter)).await;
            let rest = most.saturating_sub(least).mul_f64(jitter);
            drop(timeout(rest, self.until_a_request_waits(&share)).await);
        }
    }

    async fn until_a_request_waits(&self, share: &Share) {
        while self.server.upgrade().is_some_and(|server| !server.tenants_wait()) {
            share.wake.notified().await;
        }
    }

    /// Beats once. Returns `true` if there was no answer.
    async fn once(&mut self, server: &Arc<Server>, share: &Share) -> bool {
        let sent = server.moment();
        let usage = server.usage();
        let load = Load { peak: usage.peak, waiting: usage.waiting, besides: server.besides() };
        let wanted = self.member.want(load, share.total());
        share.note_wanted(wanted);
        let mut held = None;
        let asked = timeout(PATIENCE * 2, self.ask(server, share, (sent, wanted), &mut held)).await;
        let asked = asked.unwrap_or_else(|_| {
            let late = "asking for a part of the shared budget: no answer in time";
            Err(Failure::unheard(Error::new(ErrorKind::Unavailable, late)))
        });
        let verdict = match &asked {
            Ok(grant) => {
                self.beats += 1;
                self.member.answered(sent, *grant);
                share.note_error(None);
                match self.member.state() {
                    State::Refused => Verdict::Refused(Arc::new(no_floor_left(share))),
                    State::Waiting => Verdict::Waiting,
                    State::Asking | State::Granted { .. } => Verdict::Asking,
                }
            }
            Err(failure) => {
                if failure.heard {
                    self.member.heard(sent);
                }
                let text = ErrorReport::new(&failure.error).to_string();
                tracing::debug!(target: "tenantry::server", error = %text, "a beat has failed");
                share.note_error(Some(text.into()));
                match failure.is_lasting() {
                    true => Verdict::Unable(Arc::new(failure.error.without_source())),
                    false => Verdict::Asking,
                }
            }
        };
        // Before the connection is returned: a first grant lets it be compared with another one.
        server.allow(self.member.allowance(server.moment()), verdict);
        // If nothing is counted for it, it keeps no connection.
        let keeps = match &asked {
            Ok(grant) => grant.counted > 0,
            Err(_) => matches!(self.member.state(), State::Granted { .. }),
        };
        if keeps {
            drop(held);
        } else {
            if let Some(lease) = held {
                lease.retire();
            }
            server.close_idle_connections();
        }
        asked.is_err()
    }

    /// Asks for a part. Creates the table if it is missing. The connection is left with the caller.
    async fn ask(
        &mut self,
        server: &Arc<Server>,
        share: &Share,
        (sent, wanted): (Moment, usize),
        held: &mut Option<Lease>,
    ) -> Result<Grant, Failure> {
        let mut may_create = true;
        let mut lease = held.insert(self.acquire(server).await?);
        let mut began = Instant::now();
        let schema = self.table.schema.clone();
        let failed = |error| Failure::of_statement(&schema, error);
        for _ in 0..TRIES {
            self.sent += 1;
            let mine = Row {
                instance: Arc::clone(&self.table.instance),
                budget: share.total(),
                floor: share.floor,
                wanted,
                counted: 0,
                beats: self.sent,
            };
            let standing = self.standing.map(|counted| Row { counted, ..mine.clone() });
            let expected = self.known.zip(standing.as_ref());
            let read = self.table.read(&mut lease.start().conn, expected).await;
            let found = match settle(lease, read).await {
                Ok(Some(found)) => found,
                Ok(None) => continue,
                Err(error) if may_create && is_missing(&error) => {
                    may_create = false;
                    // There may be no second connection.
                    *held = None;
                    create(server, &self.table).await?;
                    lease = held.insert(self.acquire(server).await?);
                    began = Instant::now();
                    continue;
                }
                Err(error) => return Err(failed(error)),
            };
            if found.version.is_none() || found.oid != self.known {
                self.check_table(server, lease, &found).await?;
            }
            let Some(version) = found.version else {
                let begun = self.table.begin(&mut lease.start().conn).await;
                settle(lease, begun).await.map_err(failed)?;
                continue;
            };
            let claim = Claim {
                budget: mine.budget,
                floor: mine.floor,
                processes: share.processes,
                wanted,
                holds: server.holds(),
            };
            let expired = self.sightings.note(sent.time, &found.rows);
            let sessions = match expired.is_empty() && !found.is_new() {
                true => HashMap::new(),
                false => {
                    let counted = sessions(&mut lease.start().conn).await;
                    match settle(lease, counted).await.map_err(failed)? {
                        Some(sessions) => sessions,
                        None => continue,
                    }
                }
            };
            let Decision { grant, lapsed } = self.decide(sent, claim, &found, &sessions);
            let mut mine = Row { counted: grant.counted, ..mine };
            let stays = found.stands && standing.as_ref() == Some(&mine) && lapsed.is_empty();
            let is_written = match stays {
                true => Some(true),
                false => {
                    // If it is not answered, it can still arrive: the next one must be a write, which comes first then.
                    self.standing = None;
                    self.sent += 1;
                    mine.beats = self.sent;
                    let written = Written { version, mine: &mine, lapsed: &lapsed };
                    let is_written = self.table.write(&mut lease.start().conn, &written).await;
                    settle(lease, is_written).await.map_err(failed)?
                }
            };
            if is_written == Some(true) {
                self.standing = Some(grant.counted);
                share.note_beat(began.elapsed());
                return Ok(grant);
            }
        }
        let attempted =
            "asking for a part of the shared budget: other processes wrote first each time";
        Err(Failure { error: Error::new(ErrorKind::Unavailable, attempted), heard: true })
    }

    async fn acquire(&self, server: &Arc<Server>) -> Result<Lease, Failure> {
        let acquired = server.acquire_within(PATIENCE, &self.occupant, Purpose::Statement).await;
        acquired.map_err(Failure::unheard)
    }

    /// Computes what this process gets, and what is to be written about others.
    fn decide(
        &mut self,
        sent: Moment,
        claim: Claim,
        found: &Found,
        sessions: &HashMap<String, Sessions>,
    ) -> Decision {
        let (mut others, mut lapsed) = (Vec::new(), Vec::new());
        for row in &found.rows {
            let count = sessions.get(&*row.instance).copied().unwrap_or_default();
            let sight = self.sightings.judge(sent.time, row, count.all);
            lapsed.extend(Lapsed::of(row, sight));
            let (holds, lives) = match sight {
                Sight::Lives => (row.counted, true),
                Sight::Expired(holds) => (holds, false),
                Sight::Gone => continue,
            };
            let precedes = row.instance < self.table.instance;
            let Row { budget, floor, wanted, .. } = *row;
            others.push(Other { budget, floor, wanted, holds, lives, precedes });
        }
        let grant = allocate(&claim, &others);
        let mine = &*self.table.instance;
        let is_stranger = |name: &str| {
            let mut known = found.rows.iter().map(|row| &*row.instance).chain([mine]);
            share_budget(name, mine) && known.all(|known| known != name)
        };
        // Each process has a session in this database, the one that beats.
        let mut strangers = sessions.iter().filter(|(name, of)| of.here > 0 && is_stranger(name));
        let are_strangers = found.is_new() && strangers.next().is_some();
        let grant = if are_strangers { grant.without_growth(&claim) } else { grant };
        Decision { grant, lapsed }
    }

    /// Checks that the table is the library's own, which was not known of this one.
    async fn check_table(
        &mut self,
        server: &Server,
        lease: &mut Lease,
        found: &Found,
    ) -> Result<(), Failure> {
        self.known = None;
        check(server, &mut lease.start().conn, &self.table).await?;
        self.known = found.oid;
        Ok(())
    }

    /// Removes the row of this process, once its sessions are gone.
    async fn leave(&self) {
        let has_left = self.server.upgrade().is_none_or(|server| server.has_no_connection());
        if self.beats == 0 || !has_left {
            // The others see what it still has.
            return;
        }
        let leaving = async {
            let mut conn = PgConnection::connect_with(&self.connector.primary().await?).await?;
            while !self.table.leave(&mut conn).await? {
                sleep(Duration::from_millis(20)).await;
            }
            conn.close().await
        };
        if let Ok(Err(error)) = timeout(LEAVES_WITHIN, leaving).await {
            tracing::debug!(target: "tenantry::server", %error, "could not leave the shared budget");
        }
    }
}

/// Reports the result of a statement to its lease. Returns `None` if its prepared form no longer matched; it
/// was forgotten then.
async fn settle<T>(lease: &mut Lease, answer: sqlx::Result<T>) -> sqlx::Result<Option<T>> {
    let session = lease.start();
    if answer.as_ref().is_err_and(|error| session.is_stale_statement(error)) {
        let forgotten = session.forget_statements().await;
        lease.finish(Effect::OnData, &forgotten);
        return forgotten.map(|()| None);
    }
    lease.finish(Effect::OnData, &answer);
    answer.map(Some)
}

fn is_missing(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    matches!(code.as_deref(), Some("42P01"))
}

/// Checks that the table is the library's own. Returns `false` if there is none.
async fn check(server: &Server, conn: &mut PgConnection, table: &Table) -> Result<bool, Failure> {
    let owner = server.user_of_upkeep().await.map_err(Failure::unheard)?;
    let misfit = table.misfit(conn, owner.as_deref()).await;
    match misfit.map_err(|error| Failure::of_statement(&table.schema, error))? {
        None => Ok(false),
        Some(None) => Ok(true),
        Some(Some(why)) => Err(Failure::foreign(&table.schema, &why)),
    }
}

/// Creates the table with the login of maintenance.
async fn create(server: &Arc<Server>, table: &Table) -> Result<(), Failure> {
    let owner = server.owner_of_budget();
    let lease = server.acquire_within(PATIENCE * 2, &owner, Purpose::Lease).await;
    let mut lease = lease.map_err(Failure::unheard)?;
    if check(server, &mut lease, table).await? {
        return Ok(());
    }
    match table.create(&mut lease, server.role_of_manager()).await {
        Err(error)
            if error
                .as_database_error()
                .is_some_and(|error| error.code().as_deref() == Some("42501")) =>
        {
            Err(Failure::missing(&table.schema, Some(error)))
        }
        created => created.map_err(|error| Failure::of_statement(&table.schema, error)),
    }
}

/// Creates the table of shared budgets on a server, if it is missing.
pub(crate) async fn create_table(server: &Arc<Server>, schema: &Ident) -> Result<(), Error> {
    let table = Table { schema: schema.clone(), budget: "".into(), instance: "".into() };
    create(server, &table).await.map_err(|failure| server.name_in(failure.error))
}
