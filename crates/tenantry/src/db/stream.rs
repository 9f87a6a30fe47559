//! Streams the rows of a statement on a handle.

use async_stream::try_stream;
use futures_util::{TryStreamExt, stream::BoxStream};
use sqlx::{
    Either, Execute, Executor, Postgres,
    postgres::{PgQueryResult, PgRow},
};

use super::{
    Handle,
    handle::{Running, late},
    patience::{Patience, Unanswered},
    statement::Statement,
};
use crate::pool::{Effect, Holder, Lease, Session};

pub(super) type Step = Either<PgQueryResult, PgRow>;

impl Handle {
    /// Streams the result of a statement. If the stream is dropped early, the session is cleaned up
    /// in the background.
    pub(super) fn stream<'e, 'q: 'e>(
        &'e self,
        query: impl Execute<'q, Postgres> + 'q,
    ) -> BoxStream<'e, sqlx::Result<Step>> {
        let statement = Statement::take(query);
        Box::pin(try_stream! {
            let (mut run, mut statement) = StreamRun::begin(self, statement?).await?;
            loop {
                let (session, progress) = run.start();
                let mut steps = session.conn.fetch_many(statement);
                let ended = loop {
                    match progress.next(&mut steps).await {
                        Ok(Some(step)) => {
                            let holder = progress.reader();
                            let holding = holder.map(|reader| session.held.by(reader));
                            yield step;
                            drop(holding);
                        }
                        Ok(None) => break Ok(()),
                        Err(stop) => break Err(stop),
                    }
                };
                drop(steps);
                match run.follow_up(ended).await? {
                    Next::Again(again) => statement = again,
                    Next::Elsewhere(again) => {
                        run = run.move_elsewhere().await?;
                        statement = again;
                    }
                    Next::End(outcome) => {
                        run.end(outcome)?;
                        break;
                    }
                }
            }
        })
    }
}

/// A statement whose rows are streamed, and its lease.
struct StreamRun<'e> {
    handle: &'e Handle,
    lease: Lease,
    effect: Effect,
    changes_schema: bool,
    progress: Progress<'e>,
}

/// What has been delivered so far.
struct Progress<'e> {
    running: Running<'e>,
    patience: Patience,
    rows: u64,
    /// The statement, while it can still be run again.
    again: Option<Statement>,
    reader: Reader,
}

/// The task that reads the stream. While it holds a row, it also holds the connection.
enum Reader {
    Unknown,
    Known(Holder),
    /// The library may hold several connections in one task.
    Exempt,
}

/// What follows the end of a statement.
enum Next {
    /// It is run again on the same connection.
    Again(Statement),
    /// It is run again on another connection, which may lead to the primary.
    Elsewhere(Statement),
    End(sqlx::Result<()>),
}

impl<'e> StreamRun<'e> {
    async fn begin(handle: &'e Handle, statement: Statement) -> sqlx::Result<(Self, Statement)> {
        let lease = handle.acquire().await?;
        let progress = Progress {
            running: handle.running(statement.text()),
            patience: Patience::new(handle.limit()),
            rows: 0,
            again: statement.is_repeatable().then(|| statement.clone()),
            reader: if handle.notes_holders() { Reader::Unknown } else { Reader::Exempt },
        };
        let (effect, changes_schema) = (statement.effect(), statement.changes_schema());
        Ok((Self { handle, lease, effect, changes_schema, progress }, statement))
    }

    fn start(&mut self) -> (&mut Session, &mut Progress<'e>) {
        (self.lease.start(), &mut self.progress)
    }

    /// Records how a statement has ended, and decides whether it is run again.
    async fn follow_up(&mut self, mut ended: Result<(), Unanswered>) -> sqlx::Result<Next> {
        let session = self.lease.start();
        if let Err(Unanswered::Failed(error)) = &ended
            && session.is_stale_statement(error)
        {
            match self.progress.patience.answer(session.forget_statements()).await {
                Ok(()) => {
                    if let Some(again) = self.progress.again.take() {
                        return Ok(Next::Again(again));
                    }
                }
                Err(Unanswered::Failed(error)) => return Err(error),
                late => ended = late,
            }
        }
        if self.changes_schema {
            self.lease.doubt_alike();
        }
        let outcome = match ended {
            Ok(()) => Ok(()),
            Err(Unanswered::Failed(error)) => Err(error),
            Err(Unanswered::Late(limit)) => {
                self.lease.doubt();
                return Ok(Next::End(Err(late(limit))));
            }
        };
        self.lease.finish(self.effect, &outcome);
        let wants_primary = outcome.as_ref().is_err_and(|error| self.lease.wants_primary(error));
        match self.progress.again.take().filter(|_| wants_primary) {
            Some(again) => Ok(Next::Elsewhere(again)),
            None => Ok(Next::End(outcome)),
        }
    }

    /// Exchanges the lease for one on another connection.
    async fn move_elsewhere(self) -> sqlx::Result<Self> {
        let Self { handle, lease, effect, changes_schema, mut progress } = self;
        let (lease, running) = handle.exchange(lease, progress.running).await?;
        progress.running = running;
        Ok(Self { handle, lease, effect, changes_schema, progress })
    }

    fn end(self, outcome: sqlx::Result<()>) -> sqlx::Result<()> {
        let Progress { running, rows, .. } = self.progress;
        running.end(outcome.as_ref().map(|()| rows));
        outcome
    }
}

impl Progress<'_> {
    /// Waits for the next row, or for the end of a statement of the string.
    async fn next(
        &mut self,
        steps: &mut BoxStream<'_, sqlx::Result<Step>>,
    ) -> Result<Option<Step>, Unanswered> {
        self.running.must_go_on();
        let step = self.patience.answer(steps.try_next()).await?;
        if let Some(step) = &step {
            // It is delivered, so the statement cannot be run again.
            self.again = None;
            self.rows += u64::from(step.is_right());
            self.running.may_end_with(self.rows);
        }
        Ok(step)
    }

    /// Returns the task that gets a row, which holds the connection meanwhile.
    fn reader(&mut self) -> Option<Holder> {
        if let Reader::Unknown = self.reader {
            self.reader = Reader::Known(Holder::current());
        }
        match self.reader {
            Reader::Known(reader) => Some(reader),
            Reader::Unknown | Reader::Exempt => None,
        }
    }
}
