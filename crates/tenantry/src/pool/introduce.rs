//! Compares the first two connections before they are used: behind a pooler in transaction mode,
//! both are answered by the same backends.

use std::{sync::Arc, time::Duration};

use tokio::{sync::oneshot, time::timeout};

use super::{
    backend::{Backend, Finding},
    breaker::Opener,
    deadline::within,
    meeting::{Alone, Met, Partner},
    pooling::transaction_pooler,
    server::{Newcomer, Server},
    session::Session,
    session_error::leaves_session_usable,
    state::Condemned,
};
use crate::event::{Event, PoolError};

/// How long the first connection waits at most for the second one.
const WAITS: Duration = Duration::from_secs(1);

/// Timeout for comparing them, during which other acquires wait.
const PROBE_TIMEOUT: Duration = Duration::from_secs(3);

/// Number of comparisons. One is enough if no other client uses the pooler.
const ROUNDS: usize = 3;

/// Timeout for investigating one connection.
const INQUIRY_TIMEOUT: Duration = Duration::from_secs(3);

impl Server {
    /// Compares a new connection with another one, then hands it to the scheduler.
    pub(super) async fn introduce(self: &Arc<Self>, newcomer: Newcomer) {
        // One that was opened as a partner may find that the first connection no longer waits.
        let alone = match newcomer.opening.opener() {
            Opener::Partner => Alone::Leaves,
            Opener::Need | Opener::Probe => Alone::Waits,
        };
        match self.table.meet(newcomer, alone) {
            Met::Partner => {}
            Met::NoPartner(newcomer) => newcomer.end(),
            Met::Comparison(newcomer) => {
                let _ = timeout(PROBE_TIMEOUT, self.table.cleared()).await;
                newcomer.end();
            }
            Met::First(newcomer, partner) => match self.wait_for_partner(partner).await {
                Some(partner) => self.compare(newcomer, partner).await,
                None => newcomer.end(),
            },
        }
    }

    /// Waits briefly for another connection, which is opened for this purpose if no other is being
    /// opened.
    async fn wait_for_partner(
        self: &Arc<Self>,
        mut partner: oneshot::Receiver<Partner<Newcomer>>,
    ) -> Option<Partner<Newcomer>> {
        if self.change(|state, now| state.open_partner(now)) {
            let (connect, acquire) = (self.options.connect_timeout, self.options.acquire_timeout);
            let limit = WAITS.min(connect / 2).min(acquire / 4);
            if let Ok(Ok(met)) = timeout(limit, &mut partner).await {
                return Some(met);
            }
        }
        self.table.leave();
        partner.close();
        partner.try_recv().ok()
    }

    /// Lets a connection that waits for a partner continue alone, unless more than `known`
    /// connections are being opened.
    pub(super) fn expect_no_partner_of(self: &Arc<Self>, known: usize) {
        if self.separation.is_probe_due() && self.opening() <= known {
            self.table.leave();
        }
    }

    /// Compares two connections, then hands both to the scheduler.
    async fn compare(self: &Arc<Self>, mut first: Newcomer, partner: Partner<Newcomer>) {
        let Partner { conn: mut second, turn } = partner;
        let generations = [&first, &second].map(|of| of.session.identity.generation());
        let probed = {
            let mut probe = Probe::new(&mut first.session, &mut second.session);
            timeout(PROBE_TIMEOUT, probe.run()).await.unwrap_or(Ok(Probed::Unclear))
        };
        match probed {
            Ok(Probed::Shared) => self.condemn("two connections share a backend"),
            Ok(Probed::Kept) if generations[0] == generations[1] => {
                self.separation.acquit(generations[0]);
            }
            Ok(Probed::Silent) => self.separation.give_up_probing(),
            Ok(Probed::Kept | Probed::Unclear) => {}
            Err((side, error)) => {
                drop(turn);
                let (broken, sound) = match side {
                    Side::One => (first, second),
                    Side::Other => (second, first),
                };
                sound.end();
                return broken.opening.end(Err(error));
            }
        }
        drop(turn);
        first.end();
        second.end();
    }

    /// Investigates a connection on which another backend has answered, before it is closed.
    pub(super) async fn inquire(self: &Arc<Self>, session: &mut Session) {
        let Some(inquiry) = session.identity.take_inquiry() else {
            return;
        };
        let Some(former) = session.identity.backend() else {
            return;
        };
        let Session { conn, identity, .. } = session;
        let look = former.look_for(conn, |now| identity.is_of_another(now));
        match within(INQUIRY_TIMEOUT, look).await {
            Ok(Finding::Moves) => self.condemn("a connection moves between backends"),
            found => {
                tracing::debug!(former = former.pid, ?found, "another backend has answered");
                self.separation.probe_again();
            }
        }
        // Only now, so that waiting acquires see the verdict.
        drop(inquiry);
    }

    /// Stops serving.
    fn condemn(self: &Arc<Self>, proof: &'static str) {
        if !self.separation.condemn() {
            return;
        }
        let error = transaction_pooler();
        tracing::error!(target: "tenantry::server", proof, "{error}");
        let told = PoolError::new(None, "keeping tenants apart", &error.into());
        self.observer.tell(Event::PoolError(told));
        self.change(|state, now| state.condemn(now, Condemned::Pooler));
    }
}

/// Result of comparing two connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Probed {
    /// Each keeps its own backend.
    Kept,
    /// Backends move between connections.
    Shared,
    /// Something reconnects, or the result is inconclusive.
    Unclear,
    /// The server does not identify its processes.
    Silent,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    One,
    Other,
}

/// The connection that broke, and the error.
type Broken = (Side, sqlx::Error);

/// Two connections under comparison, and the backends that have answered on each.
struct Probe<'a> {
    one: Party<'a>,
    other: Party<'a>,
}

struct Party<'a> {
    side: Side,
    session: &'a mut Session,
    /// The backends that have answered, in order, without consecutive duplicates.
    seen: Vec<Backend>,
}

/// A suspicious pattern in the answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Suspicion {
    /// Both were answered by the same backend.
    Same,
    /// One was answered by two backends.
    Moved(Side),
}

impl<'a> Probe<'a> {
    fn new(one: &'a mut Session, other: &'a mut Session) -> Self {
        Self { one: Party::new(Side::One, one), other: Party::new(Side::Other, other) }
    }

    async fn run(&mut self) -> Result<Probed, Broken> {
        for _ in 0..ROUNDS {
            match self.round().await {
                Ok(None) => {}
                Ok(Some(suspicion)) => return self.confirm(suspicion).await,
                Err(Stop::Silent) => return Ok(Probed::Silent),
                Err(Stop::Broken(broken)) => return Err(broken),
            }
            // A round-robin pooler may alternate in step with this probe.
            std::mem::swap(&mut self.one, &mut self.other);
        }
        Ok(Probed::Kept)
    }

    /// Asks one after the other, then one while the other is in a transaction, which keeps its
    /// backend from the first one.
    async fn round(&mut self) -> Result<Option<Suspicion>, Stop> {
        for _ in 0..2 {
            self.one.ask().await?;
            if let Some(suspicion) = self.suspicion() {
                return Ok(Some(suspicion));
            }
        }
        self.other.ask().await?;
        if let Some(suspicion) = self.suspicion() {
            return Ok(Some(suspicion));
        }
        self.other.ask_in_transaction().await?;
        let mut suspicion = self.suspicion();
        if suspicion.is_none() {
            self.one.ask().await?;
            suspicion = self.suspicion();
        }
        self.other.end().await?;
        Ok(suspicion)
    }

    fn suspicion(&self) -> Option<Suspicion> {
        let (one, other) = (&self.one, &self.other);
        suspicion_of((one.side, &one.seen), (other.side, &other.seen))
    }

    /// Decides whether a suspicion is justified.
    async fn confirm(&mut self, suspicion: Suspicion) -> Result<Probed, Broken> {
        match suspicion {
            Suspicion::Same => self.confirm_same().await,
            Suspicion::Moved(side) if self.one.side == side => self.one.confirm_moved().await,
            Suspicion::Moved(_) => self.other.confirm_moved().await,
        }
    }

    /// Both must still answer: a connection that has ended meanwhile may have left its backend to
    /// the other one.
    async fn confirm_same(&mut self) -> Result<Probed, Broken> {
        for party in [&mut self.one, &mut self.other] {
            match party.ask().await {
                Ok(()) => {}
                Err(Stop::Silent) => return Ok(Probed::Unclear),
                Err(Stop::Broken(broken)) => return Err(broken),
            }
        }
        Ok(Probed::Shared)
    }
}

fn suspicion_of(one: (Side, &[Backend]), other: (Side, &[Backend])) -> Option<Suspicion> {
    if one.1.iter().any(|backend| other.1.contains(backend)) {
        return Some(Suspicion::Same);
    }
    let moved = [one, other].into_iter().find(|(_, seen)| seen.len() > 1);
    moved.map(|(side, _)| Suspicion::Moved(side))
}

/// The reason why a round ends early.
enum Stop {
    Silent,
    Broken(Broken),
}

impl<'a> Party<'a> {
    fn new(side: Side, session: &'a mut Session) -> Self {
        let seen = session.identity.backend().into_iter().collect();
        Self { side, session, seen }
    }

    async fn ask(&mut self) -> Result<(), Stop> {
        let answer = Backend::ask(&mut self.session.conn).await;
        self.note(answer)
    }

    async fn ask_in_transaction(&mut self) -> Result<(), Stop> {
        let answer = Backend::ask_in_transaction(&mut self.session.conn).await;
        self.note(answer)
    }

    /// Its former backend must still exist.
    async fn confirm_moved(&mut self) -> Result<Probed, Broken> {
        let Some(former) = self.seen.first() else {
            return Ok(Probed::Unclear);
        };
        let Session { conn, identity, .. } = &mut *self.session;
        match former.look_for(conn, |now| identity.is_of_another(now)).await {
            Ok(Finding::Moves) => Ok(Probed::Shared),
            Ok(Finding::Reconnected | Finding::Unclear) => Ok(Probed::Unclear),
            Err(error) => Err((self.side, error)),
        }
    }

    async fn end(&mut self) -> Result<(), Stop> {
        match Backend::end(&mut self.session.conn).await {
            Err(error) if !leaves_session_usable(&error) => Err(Stop::Broken((self.side, error))),
            _ => Ok(()),
        }
    }

    fn note(&mut self, answer: sqlx::Result<Option<Backend>>) -> Result<(), Stop> {
        match answer {
            Ok(Some(backend)) if backend.is_known() => {
                if self.seen.last() != Some(&backend) {
                    self.seen.push(backend);
                }
                Ok(())
            }
            Ok(_) => Err(Stop::Silent),
            Err(error) => Err(Stop::Broken((self.side, error))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::backend::backend, *};

    #[test]
    fn suspects_a_backend_in_two_places_and_a_connection_in_two() {
        let [a, b, c] = [1, 2, 3].map(|pid| backend(pid, 10));
        let reused = backend(1, 20);
        for (one, other, suspicion) in [
            (vec![a], vec![b], None),
            (vec![a], vec![], None),
            (vec![a], vec![reused], None),
            (vec![a], vec![a], Some(Suspicion::Same)),
            (vec![a, b], vec![c, a], Some(Suspicion::Same)),
            (vec![a, b], vec![c], Some(Suspicion::Moved(Side::One))),
            (vec![a], vec![b, c], Some(Suspicion::Moved(Side::Other))),
            (vec![a, reused], vec![b], Some(Suspicion::Moved(Side::One))),
        ] {
            let found = suspicion_of((Side::One, &one), (Side::Other, &other));
            assert_eq!(found, suspicion, "{one:?} {other:?}");
        }
    }
}
