use std::{
    ops::ControlFlow,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures_util::future::{Either, join_all, select};
use parking_lot::Mutex;
use sqlx::SqlStr;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{
    Column, FanOutEnd, FanOutOptions, FanOutOutcome, FanOutReport, TenantFanOut, TenantRows,
    board::Board,
    readable::{self, Reader},
    targets::{Target, targets},
    visit::{Consumer, Statement},
};
use crate::{error::Error, fleet::Fleet, migrate::Schemas, sql::operators_statement};

/// Runs one operator statement over many tenants.
///
/// Created by [`TenantManager::fan_out`](crate::TenantManager::fan_out); it takes its connections
/// from the manager's budget. Cheap to clone.
///
/// # Examples
///
/// ```no_run
/// # async fn example(manager: tenantry::TenantManager) -> Result<(), tenantry::Error> {
/// use std::ops::ControlFlow;
/// use tenantry::{fan_out::{FanOutOptions, TenantRows}, migrate::Schemas};
///
/// let statement = "select count(*) from users";
/// let print = |batch: TenantRows| {
///     let tenant = batch.tenant_id.as_deref().unwrap_or("(shared)");
///     for row in &batch.rows {
///         println!("{tenant}\t{}", row[0].as_deref().unwrap_or("NULL"));
///     }
///     std::future::ready(ControlFlow::Continue(()))
/// };
/// let options = FanOutOptions::default().max_failures(10);
/// let report = manager.fan_out().run(Schemas::AllTenants, statement, options, print).await?;
/// eprintln!("{report}");
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
#[must_use = "it does nothing until it gets a statement"]
pub struct FanOut {
    fleet: Fleet,
}

/// A run over resolved schemas.
struct Run<'a, F> {
    statement: Statement,
    options: &'a FanOutOptions,
    targets: Vec<Target>,
    /// One batch is delivered at a time: a tenant with the next one waits, and reads nothing
    /// meanwhile.
    consume: tokio::sync::Mutex<F>,
    /// Cancelled when the consumer has ended.
    ended: CancellationToken,
    /// `true` once the columns of a tenant are known, or were requested.
    knows_columns: AtomicBool,
    board: Mutex<Board<FanOutEnd, (FanOutOutcome, Duration)>>,
}

impl FanOut {
    pub(crate) fn new(fleet: Fleet) -> Self {
        Self { fleet }
    }

    /// Runs a statement in these schemas, and delivers its rows while they arrive.
    ///
    /// All values are delivered as text, as `psql` shows them. The closure receives one
    /// [batch](TenantRows) of bounded size at a time. While its future is pending, all tenants are
    /// paused: rows wait on the server and not in memory. When it returns [`ControlFlow::Break`],
    /// for example because of a closed pipe, the run stops, and running statements are cancelled.
    ///
    /// The text must be one statement, of any kind that [is not refused](super::RefusedStatement).
    /// Session state that it leaves does not persist: every session is reset afterwards. See the
    /// [module](super) for the limits of the default mode.
    ///
    /// Suspended tenants are reported as skipped. An unknown or invalid id is a failure in the
    /// report.
    ///
    /// # Errors
    ///
    /// [`Config`](crate::ErrorKind::Config) when an option cannot be used;
    /// [`Database`](crate::ErrorKind::Database) with a
    /// [`RefusedStatement`](super::RefusedStatement) as its source when the text is refused; and
    /// when the tenants cannot be listed, or no connection is available. Later failures are in the
    /// report.
    ///
    /// # Cancel safety
    ///
    /// When dropped, running statements are cancelled in the background, and rolled back unless
    /// they run outside a transaction or are being committed. Tenants that are done stay done.
    pub async fn run<F, A>(
        &self,
        schemas: Schemas,
        statement: &str,
        options: FanOutOptions,
        on_rows: F,
    ) -> Result<FanOutReport, Error>
    where
        F: FnMut(TenantRows) -> A + Send,
        A: Future<Output = ControlFlow<()>> + Send,
    {
        let began = Instant::now();
        options.check()?;
        let sql = self.check(statement).await?;
        let targets = targets(&self.fleet, schemas, options.with_shared).await?;
        let board = Board::new(targets.len(), options.max_failures);
        let run = Run {
            statement: Statement::new(sql, &options),
            options: &options,
            targets,
            consume: tokio::sync::Mutex::new(on_rows),
            ended: CancellationToken::new(),
            knows_columns: AtomicBool::new(false),
            board: Mutex::new(board),
        };
        run.go(self.fleet.server().places_for_tenants()).await;
        Ok(run.report(began.elapsed()))
    }

    /// Refuses a text that is not one statement, as decided by the server.
    async fn check(&self, statement: &str) -> Result<SqlStr, Error> {
        readable::check(statement)?;
        let sql = operators_statement(statement);
        Reader::new(&self.fleet).await?.read(&sql).await?;
        Ok(sql)
    }
}

impl<F, A> Run<'_, F>
where
    F: FnMut(TenantRows) -> A + Send,
    A: Future<Output = ControlFlow<()>> + Send,
{
    async fn go(&self, places: usize) {
        let workers = self.options.concurrency.min(places.max(1)).min(self.targets.len());
        let work = join_all((0..workers).map(|_| self.worker()));
        match self.options.stop.clone() {
            None => drop(work.await),
            Some(signal) => {
                if let Either::Left(((), work)) = select(signal, work).await {
                    self.board.lock().stop(FanOutEnd::Stopped);
                    work.await;
                }
            }
        }
    }

    async fn worker(&self) {
        loop {
            let next = self.board.lock().next();
            let Some(place) = next else { return };
            let began = Instant::now();
            let outcome = self.visit(&self.targets[place]).await;
            let failed = matches!(outcome, FanOutOutcome::Failed { .. });
            let (result, mut board) = ((outcome, began.elapsed()), self.board.lock());
            match failed {
                true => board.note_failure(place, result, FanOutEnd::MaxFailures),
                false => board.note(place, result),
            }
        }
    }

    async fn visit(&self, target: &Target) -> FanOutOutcome {
        let consumer = Deliver { run: self, target };
        match target.found.session().await {
            Ok(lease) => self.statement.run(lease, &consumer).await,
            Err(outcome) => outcome,
        }
    }

    fn report(self, duration: Duration) -> FanOutReport {
        let (end, results) = self.board.into_inner().into_results();
        let tenants = self.targets.into_iter().zip(results).map(|(target, result)| {
            let (outcome, duration) = result.unwrap_or((FanOutOutcome::NotStarted, Duration::ZERO));
            let Target { name: tenant_id, server, database, .. } = target;
            TenantFanOut { tenant_id, server, database, outcome, duration }
        });
        let end = end.unwrap_or(FanOutEnd::Completed);
        FanOutReport::new(end, tenants.collect(), duration)
    }
}

/// Delivers the rows of one tenant.
struct Deliver<'a, F> {
    run: &'a Run<'a, F>,
    target: &'a Target,
}

impl<F, A> Consumer for Deliver<'_, F>
where
    F: FnMut(TenantRows) -> A + Send,
    A: Future<Output = ControlFlow<()>> + Send,
{
    async fn take(
        &self,
        columns: &Arc<[Column]>,
        rows: Vec<Vec<Option<String>>>,
    ) -> ControlFlow<()> {
        let Run { consume, ended, board, knows_columns, .. } = self.run;
        let mut consume = consume.lock().await;
        if ended.is_cancelled() {
            return ControlFlow::Break(());
        }
        knows_columns.store(true, Ordering::Relaxed);
        let tenant_id = self.target.name.clone();
        let batch = TenantRows { tenant_id, columns: Arc::clone(columns), rows };
        let flow = consume(batch).await;
        if flow.is_break() {
            board.lock().cut(FanOutEnd::ConsumerEnded);
            ended.cancel();
        }
        flow
    }

    fn wants_columns(&self) -> bool {
        !self.run.knows_columns.swap(true, Ordering::Relaxed)
    }

    fn ended(&self) -> &CancellationToken {
        &self.run.ended
    }
}
