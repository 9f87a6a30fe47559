//! Closes connections, and waits until the server has ended their processes.
//!
//! Before that, another connection would exceed the budget from the server's point of view. sqlx does
//! not wait for the server's end of the socket, so only the server knows. While requests wait for
//! places, an idle connection asks it; otherwise, the place stays occupied for a [while](LINGER).

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tokio::time::{sleep, timeout};

use super::{
    backend::Backend,
    deadline::within,
    endings::{Awaited, Endings},
    server::{Returning, Server},
    session::Session,
    state::TakenOut,
};

/// The shortest and the longest time that the place of a closed connection stays occupied, if the server is
/// not asked. One that was slow to start the process is slow to end it.
const LINGER: [Duration; 2] = [Duration::from_millis(10), Duration::from_millis(100)];

/// Timeout for a clean disconnect.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// The shortest pause before the server is asked again. It is longer if the last connection was closed
/// longer ago.
const PAUSE: Duration = Duration::from_millis(2);

impl Server {
    /// Closes a connection, and waits until the server has ended its process, or until that is likely.
    pub(super) async fn disconnect(self: &Arc<Self>, session: Session) {
        let backend = session.identity.backend();
        let [least, most] = LINGER;
        let linger = session.opened_in.clamp(least, most);
        if within(CLOSE_TIMEOUT, session.close()).await.is_err() {
            tracing::debug!("a connection was closed without a termination message");
        }
        let Some((awaited, first)) = backend.and_then(|backend| self.endings.add(backend)) else {
            return sleep(linger).await;
        };
        if first {
            self.spawn(Arc::clone(self).watch_endings());
        }
        let waiting = Waiting { endings: &self.endings, awaited };
        let awaited = &waiting.awaited;
        let ended = timeout(linger, awaited.ended.cancelled()).await.is_ok();
        if !ended && awaited.seen.load(Ordering::Relaxed) {
            let _ = timeout(most - linger, awaited.ended.cancelled()).await;
        }
    }

    /// Asks the server which processes have ended, as long as any is awaited.
    async fn watch_endings(self: Arc<Self>) {
        loop {
            let awaited = self.endings.to_ask_for();
            let Some(youngest) = awaited.last() else { return };
            sleep(youngest.closed.elapsed().max(PAUSE)).await;
            self.ask_for_endings(&awaited).await;
        }
    }

    /// Asks for processes, if requests wait and a connection is idle.
    async fn ask_for_endings(self: &Arc<Self>, awaited: &[Arc<Awaited>]) {
        let Some(TakenOut { conn, mut session, .. }) =
            self.change(|state, now| state.take_one_beside_waiters(now))
        else {
            return;
        };
        let returning = Returning::new(Arc::clone(self), conn);
        let of = awaited.iter().map(|awaited| awaited.backend);
        let asked =
            within(self.sign_of_life(), Backend::which_are_left(&mut session.conn, of)).await;
        let Ok(left) = asked else {
            returning.keep();
            return self.close_lease(conn, session);
        };
        session.note_answer(self.now());
        // One that the server refuses is not asked first the next time.
        session.is_witness = !left.is_empty();
        returning.give_back(session);
        tell(awaited, &left);
    }
}

/// Passes on what the server has said of each process; `None` if it is another server's.
fn tell(awaited: &[Arc<Awaited>], left: &[Option<bool>]) {
    for (awaited, is_left) in awaited.iter().zip(left) {
        match is_left {
            Some(true) => awaited.seen.store(true, Ordering::Relaxed),
            Some(false) => awaited.ended.cancel(),
            None => {}
        }
    }
}

/// Removes the process when its connection is no longer waited for.
struct Waiting<'a> {
    endings: &'a Endings,
    awaited: Arc<Awaited>,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.endings.remove(&self.awaited);
    }
}

#[cfg(test)]
mod tests {
    use super::{super::backend::backend, *};

    #[test]
    fn each_connection_hears_of_its_own_process() {
        let endings = Endings::default();
        let add = |pid| endings.add(backend(pid, 1)).expect("the server can be asked").0;
        let awaited = [add(1), add(2), add(3)];
        tell(&awaited, &[None, Some(false), Some(true)]);
        let heard = awaited
            .each_ref()
            .map(|awaited| (awaited.ended.is_cancelled(), awaited.seen.load(Ordering::Relaxed)));
        assert_eq!(heard, [(false, false), (true, false), (false, true)]);
        // The server has refused the question.
        tell(&awaited, &[]);
        assert!(!awaited[0].ended.is_cancelled() && !awaited[2].ended.is_cancelled());
    }
}
