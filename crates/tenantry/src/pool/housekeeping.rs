//! Periodic maintenance of the idle connections.

use std::{sync::Arc, time::Duration};

use tokio::{task::yield_now, time::sleep};

use super::{
    abandoned::OpenTransaction,
    server::{Returning, Server},
    session::Session,
    state::TakenOut,
};
use crate::tenant::Ident;

/// Timeout for a ping.
const SIGN_OF_LIFE: Duration = Duration::from_millis(500);

impl Server {
    /// Runs periodic maintenance while the pool is referenced elsewhere.
    pub(super) fn keep_house(self: &Arc<Self>) {
        let (server, shutdown) = (Arc::downgrade(self), self.shutdown().clone());
        let pause = self.options.tick();
        self.spawn(async move {
            while shutdown.run_until_cancelled(sleep(pause)).await.is_some()
                && let Some(server) = server.upgrade()
            {
                server.mind_the_clock();
                while server.change(|state, now| state.scheduler.tick(now)) {
                    yield_now().await;
                }
                let pinned =
                    server.change(|state, now| state.take_idle(now, Session::is_pinned_in_vain));
                for TakenOut { conn, mut session, occupant } in pinned {
                    session.unpin();
                    server.clean_later(conn, session, occupant, OpenTransaction::None, None);
                }
            }
        });
    }

    /// Closes the idle connections to a database that is about to be dropped, or has just been made: what is connected
    /// to its name then was connected to another one.
    pub(crate) fn close_idle_in(self: &Arc<Self>, database: &Ident) {
        self.change(|state, _| state.close_idle(|session| session.is_in(database)));
    }

    /// Returns the timeout for a ping.
    pub(super) fn sign_of_life(&self) -> Duration {
        SIGN_OF_LIFE.max(self.round_trip() * 3)
    }

    /// Pings, concurrently, every idle connection that may be dead, because one was found dead.
    /// Requests that arrive meanwhile open another connection.
    pub(super) fn look_for_dead(self: &Arc<Self>) {
        let suspects =
            self.change(|state, now| state.take_idle(now, |session| self.is_suspect(session)));
        for TakenOut { conn, mut session, .. } in suspects {
            let returning = Returning::new(Arc::clone(self), conn);
            let server = Arc::clone(self);
            self.spawn(async move {
                match session.show_life(server.sign_of_life()).await {
                    Ok(()) => {
                        session.note_answer(server.now());
                        returning.give_back(session);
                    }
                    Err(_) => returning.close(session).await,
                }
            });
        }
    }
}
