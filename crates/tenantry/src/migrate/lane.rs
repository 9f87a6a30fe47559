//! The part of a run that is on one server.

use std::{collections::BTreeMap, future::pending, pin::pin, sync::OnceLock};

use futures_util::future::{Either, select};
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use super::{Failure, board::Board, tally::Concerns, targets::Target};
use crate::fleet::Fleet;

/// A server, with the schemas there that are left.
pub(super) struct Lane {
    /// Maintenance of the database in the server's URL.
    pub(super) fleet: Fleet,
    pub(super) board: Mutex<Board>,
    away: Away,
}

/// Whether the server has stopped answering during the run.
#[derive(Default)]
struct Away {
    token: CancellationToken,
    failure: OnceLock<Failure>,
}

impl Lane {
    fn new(fleet: Fleet) -> Self {
        Self { fleet, board: Mutex::default(), away: Away::default() }
    }

    /// Returns the servers of these targets, and the lane of each target.
    pub(super) fn all<'a>(
        fleet: &Fleet,
        targets: impl Iterator<Item = &'a Target>,
    ) -> (Vec<Self>, Vec<Option<usize>>) {
        let (mut lanes, mut by_server) = (Vec::new(), BTreeMap::new());
        let of = targets.map(|target| {
            let home = target.home()?;
            Some(*by_server.entry(home.server()).or_insert_with(|| {
                lanes.push(Self::new(fleet.at(&home.of_server())));
                lanes.len() - 1
            }))
        });
        let of = of.collect();
        (lanes, of)
    }

    /// Returns the servers that a failure on this one says something about.
    pub(super) fn concerns(&self) -> Concerns {
        if self.fleet.is_on_main() { Concerns::All } else { Concerns::One }
    }

    /// Returns the failure of every schema that is left, if the server does not answer any more.
    pub(super) fn away(&self) -> Option<&Failure> {
        self.away.failure.get()
    }

    /// Runs work, and checks the server meanwhile, unless it is the main one.
    pub(super) async fn watched(&self, work: impl Future<Output = ()>) {
        let watch = async {
            if !self.fleet.is_on_main() && self.away().is_none() {
                let error = self.fleet.no_answer().await;
                self.away.failure.get_or_init(|| error.into());
                self.away.token.cancel();
            }
            pending::<()>().await;
        };
        select(pin!(work), pin!(watch)).await;
    }

    /// Runs a step of the work until it ends, or the server turns out not to answer.
    pub(super) async fn unless_away<T>(
        &self,
        step: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        match select(pin!(step), pin!(self.away.token.cancelled())).await {
            Either::Left((result, _)) => result,
            Either::Right(_) => Err(self.away().cloned().unwrap_or_else(Failure::schema_missing)),
        }
    }
}
