//! Checks of a server: each runs on every server of the manager at the same time.

use std::fmt;

use futures_util::future::{join, join_all};
use tokio::time::{Instant, timeout_at};

use super::{
    BoxFuture, Check, Examined, Subject,
    on_server::OnServer,
    several::{Seen, combined},
};
use crate::error::Error;

/// A check of the library that concerns a server: a function with its names.
#[derive(Clone, Copy)]
pub(crate) struct ServerCheck {
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    /// What it reads, for the message if reading fails, such as `the settings of the server`.
    pub(crate) reads: &'static str,
    pub(crate) look: LookAtServer,
}

/// Performs the check on one server, or returns why it cannot.
pub(crate) type LookAtServer = for<'a> fn(OnServer<'a>) -> BoxFuture<'a, Result<Examined, Error>>;

impl Check for ServerCheck {
    fn name(&self) -> &str {
        self.name
    }

    fn title(&self) -> &str {
        self.title
    }

    fn run<'a>(&'a self, on: &'a Subject) -> BoxFuture<'a, Examined> {
        Box::pin(on_each_server(on, self.reads, self.look))
    }
}

impl fmt::Debug for ServerCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerCheck").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Runs a check on each server. One that is away, or takes too long, concerns only itself.
pub(super) async fn on_each_server(subject: &Subject, reads: &str, look: LookAtServer) -> Examined {
    let read = |result: Result<Examined, Error>| {
        result.unwrap_or_else(|error| Examined::not_read(reads, &error))
    };
    let mut all = subject.on_servers();
    let main = all.next().map(look);
    let further: Vec<_> = all.collect();
    let main = async { Some(read(main?.await)) };
    if further.is_empty() {
        return main.await.unwrap_or_else(|| Examined::skipped("there is no server"));
    }
    // Leaves time to report on the other servers.
    let limit = subject.check_timeout;
    let until = Instant::now() + limit / 4 * 3;
    let late = || Examined::unknown("the time of the check was over");
    let homes = subject.homes().await;
    let further = further.into_iter().map(|on| async move {
        if homes.away.contains_key(on.name()) || on.is_lost() {
            return (on.name().to_owned(), Seen::Away);
        }
        let seen = match timeout_at(until, look(on)).await {
            Ok(result) => Seen::Examined(read(result)),
            Err(_) if on.has_stopped(limit / 8).await => Seen::Away,
            Err(_) => Seen::Examined(late()),
        };
        (on.name().to_owned(), seen)
    });
    let main = timeout_at(until, main);
    let (main, further) = join(main, join_all(further)).await;
    let main = main.ok().flatten().unwrap_or_else(late);
    combined(main, further)
}
