use std::sync::Arc;

use futures_util::future::BoxFuture;
use sqlx::PgConnection;

use super::{TenantTransaction, statement::Statement};
use crate::{
    error::Error,
    pool::{Effect, Lease, Occupant, Server},
};

/// What all database handles have in common: a pool, and whose session they want.
#[derive(Debug, Clone)]
pub(crate) struct Handle {
    server: Arc<Server>,
    occupant: Arc<Occupant>,
}

/// A way to run a statement on a connection.
pub(super) type Run<T> =
    for<'c> fn(&'c mut PgConnection, Statement) -> BoxFuture<'c, sqlx::Result<T>>;

impl Handle {
    pub(crate) fn new(server: Arc<Server>, occupant: Arc<Occupant>) -> Self {
        Self { server, occupant }
    }

    pub(super) async fn acquire(&self) -> Result<Lease, Error> {
        self.server.acquire(&self.occupant).await
    }

    pub(super) async fn begin(&self) -> Result<TenantTransaction, Error> {
        TenantTransaction::open(self.acquire().await?).await
    }

    pub(super) async fn ping(&self) -> Result<(), Error> {
        let mut lease = self.acquire().await?;
        let answer = lease.start().ping().await;
        lease.finish(Effect::OnData, &answer);
        answer.map_err(Error::from)
    }

    /// Runs one statement on a lease of its own.
    ///
    /// It is run a second time when a prepared statement turned out not to fit the tables any more:
    /// no transaction is open, so the first attempt has changed nothing.
    pub(super) async fn run<T>(&self, statement: Statement, run: Run<T>) -> sqlx::Result<T> {
        let effect = statement.effect();
        let mut lease = self.acquire().await?;
        let again = statement.is_repeatable().then(|| statement.clone());
        let session = lease.start();
        let mut result = run(&mut session.conn, statement).await;
        if let Err(error) = &result
            && session.is_stale_statement(error)
        {
            match (session.forget_statements().await, again) {
                (Ok(()), Some(again)) => result = run(&mut session.conn, again).await,
                (Ok(()), None) => {}
                (Err(error), _) => result = Err(error),
            }
        }
        lease.finish(effect, &result);
        result
    }
}
