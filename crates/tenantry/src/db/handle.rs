use std::{sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use sqlx::{PgConnection, SqlStr};
use tokio::time::{Instant, timeout};
use tracing::Instrument;

use super::{
    SharedDb, TenantTransaction,
    elsewhere::is_of_names,
    patience::{Patience, Unanswered},
    rows::Rows,
    statement::Statement,
    whereabouts::Follows,
};
use crate::{
    error::{Error, ErrorClass, ErrorKind, RETRY_AFTER, class_of},
    event::{Observer, Ran, Retry, RetryOf},
    pool::{
        Begin, Class, Effect, Lease, Occupant, Purpose, Server, Session, TransactionWatch, Watched,
    },
    retry::Retrier,
    tenant::{Ident, TenantId},
};

/// Common part of all database handles: the pool, and the occupant whose session they use.
#[derive(Debug, Clone)]
pub(crate) struct Handle {
    pub(super) server: Arc<Server>,
    pub(super) occupant: Arc<Occupant>,
    /// Receives notice of dropped transactions.
    pub(super) watched: Option<Arc<Watched>>,
    /// How it follows its tenant to another place.
    pub(super) follows: Option<Follows>,
}

/// A way to run a statement on a connection.
pub(super) type Run<T> =
    for<'c> fn(&'c mut PgConnection, Statement) -> BoxFuture<'c, sqlx::Result<T>>;

impl Handle {
    pub(crate) fn new(server: Arc<Server>, occupant: Arc<Occupant>) -> Self {
        Self { server, occupant, watched: None, follows: None }
    }

    /// Returns a handle whose transactions are watched.
    pub(super) fn watched(&self) -> (Self, TransactionWatch) {
        let (watch, watched) = TransactionWatch::new();
        (Self { watched: Some(watched), ..self.clone() }, watch)
    }

    pub(crate) fn observer(&self) -> &Observer {
        &self.server.observer
    }

    /// Checks out a connection for one statement.
    pub(super) async fn acquire(&self) -> Result<Lease, Error> {
        self.acquire_for(Purpose::Statement).await
    }

    pub(super) async fn acquire_for(&self, purpose: Purpose) -> Result<Lease, Error> {
        self.acquire_within(self.server.options().acquire_timeout, purpose).await
    }

    /// Checks out a connection to be handed out.
    pub(super) async fn lease(&self) -> Result<Lease, Error> {
        self.server.check_keeps_sessions(&self.occupant)?;
        let limit = self.server.options().acquire_timeout;
        self.acquire_settled(limit, Purpose::Lease).await.map(in_hand)
    }

    /// Checks out a connection for a part of the library that holds several in one task.
    pub(super) async fn lease_of_library(&self) -> Result<Lease, Error> {
        self.acquire_for(Purpose::Lease).await
    }

    /// Checks out a connection to be handed out, waiting at most `limit`.
    pub(super) async fn lease_within(&self, limit: Duration) -> Result<Lease, Error> {
        self.server.check_keeps_sessions(&self.occupant)?;
        self.acquire_settled(limit, Purpose::Lease).await.map(in_hand)
    }

    /// Checks out a connection to be handed out, if one is idle.
    pub(super) async fn try_lease(&self) -> Result<Option<Lease>, Error> {
        self.server.check_keeps_sessions(&self.occupant)?;
        self.try_acquire(Purpose::Lease).await.map(|lease| lease.map(in_hand))
    }

    /// Checks out a connection for a transaction.
    pub(super) async fn lease_for_transaction(&self, purpose: Purpose) -> Result<Lease, Error> {
        let limit = self.server.options().acquire_timeout;
        self.acquire_settled(limit, purpose).await.map(in_hand)
    }

    /// Begins a transaction with this statement, or with a plain `begin`.
    pub(super) async fn begin(&self, with: Option<SqlStr>) -> sqlx::Result<TenantTransaction> {
        let modes = with.as_ref().map_or_else(Begin::default, |with| Begin::read(with.as_str()));
        if modes == Begin::Unknown {
            self.server.check_may_begin_otherwise(&self.occupant)?;
        }
        self.begin_for(Purpose::Transaction(modes), with).await
    }

    /// Begins a transaction for this purpose.
    pub(super) async fn begin_for(
        &self,
        purpose: Purpose,
        with: Option<SqlStr>,
    ) -> sqlx::Result<TenantTransaction> {
        let lease = self.lease_for_transaction(purpose).await?;
        let begun = TenantTransaction::open_with(lease, with, self.watched.clone()).await?;
        Ok(begun.following(self.follows.clone()))
    }

    /// Begins a maintenance transaction in the schema.
    pub(super) async fn begin_upkeep(&self) -> Result<TenantTransaction, Error> {
        let upkeep = self.server.upkeep_at(self.occupant.home());
        let mut lease = self.server.acquire_for_upkeep_by(&upkeep).await?;
        lease.serve(&self.occupant).await.map_err(Error::from)?;
        self.occupant.check_key()?;
        TenantTransaction::open(lease).await
    }

    pub(super) fn role_of_manager(&self) -> Option<&Ident> {
        self.server.role_of_manager()
    }

    /// Returns `true` if the pool tracks which task holds a connection.
    pub(super) fn notes_holders(&self) -> bool {
        !self.occupant.may_nest()
    }

    pub(super) async fn ping(&self) -> Result<(), Error> {
        self.acquire_alive().await.map(drop)
    }

    /// Checks out a connection and pings the server on it. The ping may take as long again as the
    /// acquire.
    pub(super) async fn acquire_alive(&self) -> Result<Lease, Error> {
        let longest = self.server.options().acquire_timeout;
        let limit = self.limit().map_or(longest, |limit| limit.min(longest));
        let mut lease = self.acquire().await?;
        let ping = async |on: &mut Session| on.ping().await;
        let patience = &mut Patience::new(Some(limit));
        let answer = in_time(&mut lease, patience, Effect::OnData, ping).await;
        answer.map(|()| lease).map_err(|error| self.occupant.name(error.into()))
    }

    /// Looks up, in the background, where a name is that a statement has not found, and logs it:
    /// once per name, so that a flood of failing statements causes no further queries.
    fn explain_later(&self, error: &sqlx::Error) {
        let Some(answer) = error.as_database_error() else { return };
        let code = answer.code().filter(|code| is_of_names(code)).map(String::from);
        let (Some(code), message) = (code, answer.message()) else { return };
        if self.occupant.class == Class::System || !self.server.is_news(&(&*code, message)) {
            return;
        }
        let system = Self::new(Arc::clone(&self.server), Arc::clone(self.server.system()));
        let (occupant, message) = (Arc::clone(&self.occupant), message.to_owned());
        self.spawn(async move {
            let path = &occupant.binding.search_path;
            let found = SharedDb::new(system).elsewhere(&code, &message, path, None).await;
            if let Ok(Some(hint)) = found {
                let tenant = occupant.tenant().map(TenantId::as_str);
                tracing::warn!(target: "tenantry::query", tenant, code, "{hint}");
            }
        });
    }

    /// Returns `true` if a connection is currently bound to the occupant.
    pub(super) fn is_warm(&self) -> bool {
        self.server.serving().is_warm(&self.occupant.id)
    }

    pub(super) fn has_answered(&self) -> bool {
        self.server.has_answered()
    }

    /// Runs a task in the background until the pool is shut down.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.server.start();
        let shutdown = self.server.shutdown().clone();
        self.server.spawn(async move {
            shutdown.run_until_cancelled(task).await;
        });
    }

    pub(crate) fn occupant(&self) -> &Arc<Occupant> {
        &self.occupant
    }

    /// Returns a handle of the shared schema on the same server.
    pub(super) fn shared(&self) -> Self {
        Self::new(Arc::clone(&self.server), Arc::clone(self.server.shared()))
    }

    /// Pings until that succeeds, fails permanently, or the retry policy is exhausted.
    pub(super) async fn ready(&self) -> Result<(), Error> {
        let options = self.server.options();
        let policy = options.retry.clone();
        let most = policy.max_attempts;
        let (server, occupant) = (Arc::clone(&self.server), Arc::clone(&self.occupant));
        let retrier = Retrier::new(policy).on_retry(move |attempt, error: &Error, delay| {
            let cause = (error.class(), error.to_string());
            let tenant = occupant.tenant();
            let retry = Retry::new(RetryOf::Ready, tenant, (attempt, most), delay, cause);
            server.observer.retrying(retry);
        });
        match timeout(options.acquire_timeout, retrier.run(|| self.ping())).await {
            Ok(answer) => answer,
            Err(_) => {
                let attempted = format!("no response within {:?}", options.acquire_timeout);
                let error = Error::new(ErrorKind::Timeout, attempted).with_retry_after(RETRY_AFTER);
                self.server.observer.meters.failed(error.class());
                Err(self.occupant.name(error))
            }
        }
    }

    /// Counts a request of the tenant.
    pub(super) fn check_rate(&self) -> Result<(), Error> {
        let Err(wait) = self.occupant.limits.check_rate() else { return Ok(()) };
        self.observer().meters.rate_limited.inc();
        let attempted = "more requests than its requests_per_second";
        let error = Error::new(ErrorKind::RateLimited, attempted);
        Err(self.occupant.name(error.with_retry_after(wait)))
    }

    /// Returns the maximum duration of a statement.
    pub(super) fn limit(&self) -> Option<Duration> {
        let options = self.server.options();
        match self.occupant.class {
            // The library's own statements must be limited, because other work waits for them.
            Class::System => Some(options.acquire_timeout),
            _ => self.occupant.limits.statement_timeout().or(options.statement_timeout),
        }
    }

    /// Begins a statement. Its [end](Running::end) is reported; if dropped before, it is reported
    /// as cancelled.
    pub(super) fn running(&self, sql: SqlStr) -> Running<'_> {
        Running { handle: self, sql, began: Instant::now(), if_dropped: Err(ErrorClass::Cancelled) }
    }

    /// Runs one statement on a separate lease.
    ///
    /// It runs a second time if a prepared statement no longer matches the tables, if a standby
    /// refused it, or if the tenant has moved: no transaction is open, so the first attempt has
    /// changed nothing.
    pub(super) async fn run<T: Rows>(&self, statement: Statement, run: Run<T>) -> sqlx::Result<T> {
        self.run_for(Purpose::Statement, statement, run).await
    }

    /// Runs one statement for this purpose, like [`run`](Self::run).
    pub(super) async fn run_for<T: Rows>(
        &self,
        purpose: Purpose,
        statement: Statement,
        run: Run<T>,
    ) -> sqlx::Result<T> {
        let lease = self.acquire_for(purpose).await?;
        let running = self.running(statement.text());
        let result = match self.attempt(lease, statement, run).await {
            Ok(done) => Ok(done),
            Err(failed) if self.may_have_lost(&failed.error) => {
                Box::pin(self.run_elsewhere(*failed, run)).await
            }
            Err(failed) => Err(failed.error),
        };
        running.end(result.as_ref().map(Rows::count));
        result
    }

    /// Runs a statement where the tenant is taken to be.
    pub(super) async fn attempt<T: Rows>(
        &self,
        mut lease: Lease,
        statement: Statement,
        run: Run<T>,
    ) -> Result<T, Box<Failed>> {
        let statement = match statement.fit_for(&lease) {
            Ok(statement) => statement,
            Err(error) => {
                let occupant = Arc::clone(lease.occupant());
                return Err(Box::new(Failed { error, again: None, occupant }));
            }
        };
        let (effect, changes_schema) = (statement.effect(), statement.changes_schema());
        let span = lease.span().clone();
        let again = statement.is_repeatable().then(|| statement.clone());
        let on =
            async |session: &mut Session| run_on(session, statement, again.as_ref(), run).await;
        let patience = &mut Patience::new(self.limit());
        let mut result = in_time(&mut lease, patience, effect, on).instrument(span).await;
        if let (Err(error), Some(again)) = (&result, &again)
            && (lease.wants_primary(error) || lease.has_old_types(error))
        {
            drop(lease);
            lease = match self.acquire().await {
                Ok(another) => another,
                Err(error) => {
                    let (error, occupant) = (error.into(), Arc::clone(&self.occupant));
                    return Err(Box::new(Failed { error, again: None, occupant }));
                }
            };
            let on = async |session: &mut Session| {
                run_on(session, again.clone(), Some(again), run).await
            };
            result = in_time(&mut lease, patience, effect, on).await;
        }
        if changes_schema {
            lease.doubt_alike();
        }
        if result.is_ok()
            && let Err(error) = conclude(&mut lease, patience).await
        {
            result = Err(error);
        }
        result.map_err(|error| {
            Box::new(Failed { error, again, occupant: Arc::clone(lease.occupant()) })
        })
    }
}

/// A statement that has failed.
pub(super) struct Failed {
    pub(super) error: sqlx::Error,
    /// The statement, if it may be run again.
    pub(super) again: Option<Statement>,
    /// The occupant that it was run for.
    pub(super) occupant: Arc<Occupant>,
}

/// Records that the current task holds a connection.
fn in_hand(mut lease: Lease) -> Lease {
    lease.note_holder();
    lease
}

/// A running statement. Dropping it reports that it has ended.
pub(super) struct Running<'a> {
    handle: &'a Handle,
    sql: SqlStr,
    began: Instant,
    if_dropped: Result<u64, ErrorClass>,
}

impl Running<'_> {
    pub(super) fn may_have_lost(&self, error: &sqlx::Error) -> bool {
        self.handle.may_have_lost(error)
    }

    pub(super) fn end(mut self, outcome: Result<u64, &sqlx::Error>) {
        if let Err(error) = outcome {
            self.handle.explain_later(error);
        }
        self.if_dropped = outcome.map_err(class_of);
    }

    /// Records that its reader has this many rows and may want no more of them.
    pub(super) fn may_end_with(&mut self, rows: u64) {
        self.if_dropped = Ok(rows);
    }

    /// Records that the caller waits for it: if dropped now, it counts as cancelled.
    pub(super) fn must_go_on(&mut self) {
        self.if_dropped = Err(ErrorClass::Cancelled);
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let Handle { server, occupant, .. } = self.handle;
        let (whose, sql) = (occupant.whose(), self.sql.as_str());
        let ran = Ran { whose, sql, duration: self.began.elapsed(), outcome: self.if_dropped };
        match occupant.class {
            Class::System => server.observer.own_query(&ran),
            _ => server.observer.query(&ran),
        }
    }
}

/// Waits for a response within the limit, and records the outcome in the lease.
///
/// A statement that times out leaves its session in an unknown state, so it is cancelled in the
/// background. This does not prove that the connection is lost, but others are checked before their
/// next use.
pub(super) async fn in_time<T>(
    lease: &mut Lease,
    patience: &mut Patience,
    effect: Effect,
    answer: impl AsyncFnOnce(&mut Session) -> sqlx::Result<T>,
) -> sqlx::Result<T> {
    let answer = match patience.answer(answer(lease.start())).await {
        Ok(answer) => Ok(answer),
        Err(Unanswered::Failed(error)) => Err(error),
        Err(Unanswered::Late(limit)) => {
            lease.doubt();
            return Err(late(limit));
        }
    };
    lease.finish(effect, &answer);
    answer
}

/// Commits a statement that is a transaction. The wait counts towards the limit of the statement.
pub(super) async fn conclude(lease: &mut Lease, patience: &mut Patience) -> sqlx::Result<()> {
    if !lease.is_fleeting() {
        return Ok(());
    }
    match patience.answer(lease.conclude()).await {
        Ok(()) => Ok(()),
        Err(Unanswered::Failed(error)) => Err(error),
        Err(Unanswered::Late(limit)) => {
            lease.doubt();
            Err(late(limit))
        }
    }
}

/// Runs a statement, and once more if its prepared form no longer matches.
async fn run_on<T>(
    session: &mut Session,
    statement: Statement,
    again: Option<&Statement>,
    run: Run<T>,
) -> sqlx::Result<T> {
    let result = run(&mut session.conn, statement).await;
    match (&result, again) {
        // A transaction that has failed cannot run it again.
        (Err(error), again) if !session.is_fleeting() && session.is_stale_statement(error) => {
            session.forget_statements().await?;
            match again {
                Some(again) => run(&mut session.conn, again.clone()).await,
                None => result,
            }
        }
        _ => result,
    }
}

/// Returns the error of a statement that timed out.
pub(super) fn late(limit: Duration) -> sqlx::Error {
    let attempted = format!("no response within {limit:?}");
    Error::new(ErrorKind::StatementTimeout, attempted).into()
}
