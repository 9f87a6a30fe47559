//! Reads that a replica answers, or the primary.

use std::{sync::Arc, time::Duration};

use async_stream::try_stream;
use futures_util::{TryStreamExt, stream::BoxStream};
use sqlx::{
    Describe, Execute, Executor, Postgres, SqlSafeStr, SqlStr, Transaction,
    postgres::{PgStatement, PgTypeInfo},
};
use tokio::time::timeout;

use super::{
    Handle, TenantTransaction,
    handle::{Run, late},
    only_reads::Reads,
    rows::Rows,
    statement::Statement,
    stream::Step,
};
use crate::{
    error::{Error, ErrorKind, class_of, is_read_only, own},
    pool::{Begin, ConsistencyToken, Lease, Purpose},
};

/// Runs what only reads, where it finds what the tenant has written.
#[derive(Debug, Clone)]
pub(super) struct Reader {
    /// The tenant on the primary.
    pub(super) handle: Handle,
    pub(super) token: Option<ConsistencyToken>,
}

/// Begins each transaction of a handle for reading.
pub(super) const BEGIN: &str = "begin read only";

impl Reader {
    /// Checks out a connection to a replica that has what the read needs, if there is one.
    async fn on_replica(&self, purpose: Purpose) -> Option<Lease> {
        let replicas = self.handle.server.replicas()?;
        replicas.lease(&self.handle.occupant, self.token, purpose).await
    }

    /// Runs one statement, on the primary if a replica cannot complete it.
    pub(super) async fn run<T: Rows>(&self, statement: Statement, run: Run<T>) -> sqlx::Result<T> {
        let how = self.check(&statement)?;
        if let Some(lease) = self.on_replica(Purpose::Read).await {
            let there = handle_of(&lease);
            let running = there.running(statement.text());
            let result = there.attempt(lease, statement.clone(), run).await;
            let result = result.map_err(|failed| failed.error);
            running.end(result.as_ref().map(Rows::count));
            match result {
                Err(error) if self.goes_to_primary(&error) => {}
                result => return result,
            }
        }
        match how {
            Reads::Guarded => self.run_guarded(statement, run).await,
            Reads::Plainly | Reads::Not => self.handle.run_for(Purpose::Read, statement, run).await,
        }
    }

    /// Runs one statement on the primary, in a transaction that cannot write.
    async fn run_guarded<T: Rows>(&self, statement: Statement, run: Run<T>) -> sqlx::Result<T> {
        let running = self.handle.running(statement.text());
        let limit = self.handle.limit();
        let result = in_time(limit, async {
            let mut tx = self.begin_on_primary().await?;
            match run(&mut tx, statement).await {
                Ok(done) => tx.commit().await.map(|()| done),
                Err(error) => Err(tx.explain(error).await),
            }
        });
        let result = result.await;
        running.end(result.as_ref().map(Rows::count));
        result
    }

    /// Streams the rows of one statement. Before the first one, it can begin anew on the primary.
    pub(super) fn stream<'e, 'q: 'e>(
        &'e self,
        query: impl Execute<'q, Postgres> + 'q,
    ) -> BoxStream<'e, sqlx::Result<Step>> {
        let statement = Statement::take(query);
        Box::pin(try_stream! {
            let statement = statement?;
            let how = self.check(&statement)?;
            let mut is_done = false;
            if let Some(lease) = self.on_replica(Purpose::Read).await {
                let there = handle_of(&lease);
                let mut steps = there.stream_on(Some(lease), Purpose::Read, Ok(statement.clone()));
                let mut is_delivered = false;
                loop {
                    match steps.try_next().await {
                        Ok(Some(step)) => {
                            is_delivered = true;
                            yield step;
                        }
                        Ok(None) => {
                            is_done = true;
                            break;
                        }
                        Err(error) if !is_delivered && self.goes_to_primary(&error) => break,
                        Err(error) => Err(error)?,
                    }
                }
            }
            if !is_done {
                let mut steps = match how {
                    Reads::Guarded => self.stream_guarded(statement),
                    Reads::Plainly | Reads::Not => {
                        self.handle.stream_on(None, Purpose::Read, Ok(statement))
                    }
                };
                while let Some(step) = steps.try_next().await? {
                    yield step;
                }
            }
        })
    }

    fn stream_guarded(&self, statement: Statement) -> BoxStream<'_, sqlx::Result<Step>> {
        Box::pin(try_stream! {
            let mut tx = self.begin_on_primary().await?;
            let mut steps = tx.fetch_many(statement);
            while let Some(step) = steps.try_next().await? {
                yield step;
            }
            drop(steps);
            tx.commit().await?;
        })
    }

    /// Begins a transaction with this statement, which must make it read-only.
    pub(super) async fn begin(&self, with: SqlStr) -> sqlx::Result<TenantTransaction> {
        let modes = Begin::read(with.as_str());
        if !modes.is_read_only() {
            return Err(self.refusal(NO_WRITING_BEGIN));
        }
        match self.on_replica(Purpose::Reading(modes)).await {
            Some(lease) => TenantTransaction::open_with(lease, Some(with), None).await,
            None => self.handle.begin_for(Purpose::Reading(modes), Some(with)).await,
        }
    }

    /// Begins a transaction on the primary that cannot write.
    async fn begin_on_primary(&self) -> sqlx::Result<TenantTransaction> {
        let purpose = Purpose::Reading(Begin::read(BEGIN));
        self.handle.begin_for(purpose, Some(BEGIN.into_sql_str())).await
    }

    /// Runs work in a transaction that only reads.
    pub(super) async fn transaction<T, E, F>(&self, work: F) -> Result<T, E>
    where
        F: AsyncFnOnce(&mut Transaction<'_, Postgres>) -> Result<T, E>,
        E: From<sqlx::Error>,
    {
        let purpose = Purpose::Reading(Begin::read(BEGIN));
        let begin = Some(BEGIN.into_sql_str());
        match self.on_replica(purpose).await {
            Some(lease) => handle_of(&lease).transaction_on(lease, begin, work).await,
            None => {
                let lease = self.handle.lease_for_transaction(purpose).await;
                let lease = lease.map_err(sqlx::Error::from)?;
                self.handle.transaction_on(lease, begin, work).await
            }
        }
    }

    pub(super) async fn prepare(
        &self,
        sql: SqlStr,
        parameters: &[PgTypeInfo],
    ) -> sqlx::Result<PgStatement> {
        self.handle.prepare(sql, parameters).await
    }

    pub(super) async fn describe(&self, sql: SqlStr) -> sqlx::Result<Describe<Postgres>> {
        self.handle.describe(sql).await
    }

    /// Refuses a statement that does not read.
    fn check(&self, statement: &Statement) -> sqlx::Result<Reads> {
        match statement.reads() {
            Reads::Not => Err(self.refusal(NO_QUERY)),
            how => Ok(how),
        }
    }

    fn refusal(&self, attempted: &'static str) -> sqlx::Error {
        self.handle.occupant.name(Error::new(ErrorKind::ReadOnly, attempted)).into()
    }

    /// Returns `true` if the primary may answer what a replica has not. Nothing was changed.
    fn goes_to_primary(&self, error: &sqlx::Error) -> bool {
        let goes = may_succeed_on_primary(error);
        if goes && let Some(replicas) = self.handle.server.replicas() {
            replicas.note_conflict();
        }
        goes
    }
}

/// Returns `true` if an error on a replica comes from the replica: it has cancelled the statement so that it can go on
/// with the log, the connection broke, or a table or column is not there yet.
fn may_succeed_on_primary(error: &sqlx::Error) -> bool {
    if is_read_only(error) {
        return false;
    }
    let code = error.as_database_error().and_then(|error| error.code());
    match code.as_deref() {
        Some("40001" | "40P01" | "55000") => true,
        Some(code) => code.starts_with("42") || code.starts_with("57P") || code == "3F000",
        // The library's own, such as that of a statement that took too long, are final.
        None => own(error).is_none() && class_of(error).is_transient(),
    }
}

/// Returns a handle on the tenant where a lease is.
fn handle_of(lease: &Lease) -> Handle {
    Handle::new(Arc::clone(lease.pool()), Arc::clone(lease.occupant()))
}

async fn in_time<T>(
    limit: Option<Duration>,
    work: impl Future<Output = sqlx::Result<T>>,
) -> sqlx::Result<T> {
    match limit {
        None => work.await,
        Some(limit) => timeout(limit, work).await.unwrap_or_else(|_| Err(late(limit))),
    }
}

const NO_QUERY: &str = "a handle for reading runs single queries only: `select`, `with`, `values`, `table`, `show` \
                        or `explain`; run everything else on the handle that it was made from";

const NO_WRITING_BEGIN: &str = "a handle for reading begins read-only transactions only: add `read only`, as in `begin isolation level \
     repeatable read read only`";
