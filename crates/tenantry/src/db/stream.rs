//! Streams the rows of a statement on a handle.

use std::sync::Arc;

use async_stream::try_stream;
use futures_util::{TryStreamExt, stream::BoxStream};
use sqlx::{
    Either, Execute, Executor, Postgres,
    postgres::{PgQueryResult, PgRow},
};

use super::{
    Handle,
    handle::{Failed, Running, late},
    patience::{Patience, Unanswered},
    statement::Statement,
};
use crate::pool::{Effect, Holder, Lease, Purpose};

pub(super) type Step = Either<PgQueryResult, PgRow>;

impl Handle {
    /// Streams the result of a statement. If the stream is dropped early, the session is cleaned up
    /// in the background.
    pub(super) fn stream<'e, 'q: 'e>(
        &'e self,
        query: impl Execute<'q, Postgres> + 'q,
    ) -> BoxStream<'e, sqlx::Result<Step>> {
        self.stream_on(None, Purpose::Statement, Statement::take(query))
    }

    /// Streams the result of a statement, on this lease or on one for this purpose.
    pub(super) fn stream_on(
        &self,
        lease: Option<Lease>,
        purpose: Purpose,
        statement: sqlx::Result<Statement>,
    ) -> BoxStream<'_, sqlx::Result<Step>> {
        Box::pin(try_stream! {
            let statement = statement?;
            let mut lease = match lease {
                Some(lease) => lease,
                None => self.acquire_for(purpose).await?,
            };
            // The rows of a statement can be read after it was committed.
            lease.writes_at_any_time();
            let mut statement = statement.fit_for(&lease)?;
            let mut run = StreamRun::new(self, &statement);
            loop {
                let session = lease.start();
                let mut steps = session.conn.fetch_many(statement);
                let ended = loop {
                    match run.next(&mut steps).await {
                        Ok(Some(step)) => {
                            let holding = run.reader().map(|reader| session.held.by(reader));
                            yield step;
                            drop(holding);
                        }
                        Ok(None) => break Ok(()),
                        Err(stop) => break Err(stop),
                    }
                };
                drop(steps);
                let ended = match ended {
                    Ok(()) => run.conclude(&mut lease).await,
                    failed => failed,
                };
                match run.follow_up(&mut lease, ended).await? {
                    Next::Again(again) => statement = again,
                    Next::Elsewhere(again) => {
                        drop(lease);
                        match self.acquire().await {
                            Ok(another) => lease = another,
                            Err(error) => {
                                run.end(Err(error.into()))?;
                                break;
                            }
                        }
                        statement = again;
                    }
                    Next::Lost(failed) => {
                        drop(lease);
                        match self.found_again(*failed).await {
                            Ok((another, again)) => (lease, statement) = (another, again),
                            Err(error) => {
                                run.end(Err(error))?;
                                break;
                            }
                        }
                    }
                    Next::End(outcome) => {
                        run.end(outcome)?;
                        break;
                    }
                }
                lease.writes_at_any_time();
            }
        })
    }
}

/// A statement whose rows are streamed.
struct StreamRun<'e> {
    running: Running<'e>,
    effect: Effect,
    changes_schema: bool,
    patience: Patience,
    /// Number of rows delivered so far.
    rows: u64,
    /// The statement, while it can still be run again.
    again: Option<Statement>,
    /// `true` once it was run again because its prepared form no longer matched.
    is_unprepared: bool,
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
    /// It is run again on another connection, which may lead to the primary or know other types.
    Elsewhere(Statement),
    /// Its tenant may have moved.
    Lost(Box<Failed>),
    End(sqlx::Result<()>),
}

impl<'e> StreamRun<'e> {
    fn new(handle: &'e Handle, statement: &Statement) -> Self {
        Self {
            running: handle.running(statement.text()),
            effect: statement.effect(),
            changes_schema: statement.changes_schema(),
            patience: Patience::new(handle.limit()),
            rows: 0,
            again: statement.is_repeatable().then(|| statement.clone()),
            is_unprepared: false,
            reader: if handle.notes_holders() { Reader::Unknown } else { Reader::Exempt },
        }
    }

    /// Commits a statement that is a transaction.
    async fn conclude(&mut self, lease: &mut Lease) -> Result<(), Unanswered> {
        if !lease.is_fleeting() {
            return Ok(());
        }
        // What it has done to its session is cleaned up with the commit.
        lease.finish(self.effect, &Ok(()));
        if self.changes_schema {
            lease.doubt_alike();
        }
        self.patience.answer(lease.conclude()).await
    }

    /// Records how a statement has ended, and decides whether it is run again.
    async fn follow_up(
        &mut self,
        lease: &mut Lease,
        mut ended: Result<(), Unanswered>,
    ) -> sqlx::Result<Next> {
        let is_committed = ended.is_ok() && lease.is_fleeting();
        if is_committed {
            return Ok(Next::End(Ok(())));
        }
        let session = lease.start();
        if let Err(Unanswered::Failed(error)) = &ended
            && !session.is_fleeting()
            && session.is_stale_statement(error)
        {
            match self.patience.answer(session.forget_statements()).await {
                Ok(()) => {
                    if !self.is_unprepared
                        && let Some(again) = self.again.clone()
                    {
                        self.is_unprepared = true;
                        return Ok(Next::Again(again));
                    }
                }
                Err(Unanswered::Failed(error)) => return Err(error),
                late => ended = late,
            }
        }
        if self.changes_schema {
            lease.doubt_alike();
        }
        let outcome = match ended {
            Ok(()) => Ok(()),
            Err(Unanswered::Failed(error)) => Err(error),
            Err(Unanswered::Late(limit)) => {
                lease.doubt();
                return Ok(Next::End(Err(late(limit))));
            }
        };
        lease.finish(self.effect, &outcome);
        let wants_another = outcome
            .as_ref()
            .is_err_and(|error| lease.wants_primary(error) || lease.has_old_types(error));
        match (outcome, self.again.take()) {
            (Err(_), Some(again)) if wants_another => Ok(Next::Elsewhere(again)),
            (Err(error), again) if self.running.may_have_lost(&error) => {
                let occupant = Arc::clone(lease.occupant());
                Ok(Next::Lost(Box::new(Failed { error, again, occupant })))
            }
            (outcome, _) => Ok(Next::End(outcome)),
        }
    }

    fn end(self, outcome: sqlx::Result<()>) -> sqlx::Result<()> {
        self.running.end(outcome.as_ref().map(|()| self.rows));
        outcome
    }

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
