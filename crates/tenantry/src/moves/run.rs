//! Works on a move: does the work of its stage, records the next one, and tells that it is alive meanwhile.

mod catching_up;

use std::{
    future::pending,
    pin::pin,
    time::{Duration, Instant},
};

use futures_util::future::{Either, select};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::{
    MoveMethod, MoveRecord, MoveReport, MoveStage,
    announce::{self, InProgress},
    attempts::Attempt,
    change_log,
    conninfo::Conninfo,
    container,
    ends::Ends,
    failure::{Failure, told},
    fence::{self},
    fill::{Frozen, fill, fill_rows},
    ledger::{Ledger, Mine, Which},
    machine::{self, Change, Ended, Work},
    progress::Teller,
    replicate, row_fence, tidy,
};
use crate::{
    catalog::CatalogChange,
    clone::Copied,
    error::{Error, ErrorKind},
    migrate::Migrations,
    provision::Provisioner,
    schema::SchemaModel,
    tenant::{Ident, IsolationKind, TenantState},
};

/// The pause before the second try; the next ones are twice as long each.
const FIRST_PAUSE: Duration = Duration::from_millis(500);

/// The longest pause between two tries.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// How often what has to be done is tried again while its server is away: giving the schema its name back, and
/// recording what was done.
const TRIES: u32 = 60;

/// How often tidying up is tried again: the tenant is served meanwhile.
const TRIES_OF_TIDYING: u32 = 3;

/// Limits of a transaction on the control server.
const LIMITS: &str = "set local lock_timeout = '5s'; set local statement_timeout = '10s'";

/// A move that this process works on.
pub(super) struct Run {
    pub(super) ends: Ends,
    pub(super) ledger: Ledger,
    pub(super) mine: Mine,
    pub(super) row: MoveRecord,
    pub(super) teller: Teller,
    pub(super) cancel: CancellationToken,
    /// How the target reaches the source, if the caller has said it.
    pub(super) conninfo: Option<Conninfo>,
    /// It was begun by another process, and nothing was done since.
    pub(super) is_taken_over: bool,
    /// The migrations of tenants' schemas, if the caller has them.
    pub(super) migrations: Option<Migrations>,
    held: Option<Holding>,
    model: Option<SchemaModel>,
    copied: Option<Copied>,
    /// What is worded differently in a copy whose structure was checked while the tenant was served.
    remarks: Vec<String>,
    /// How long the copy took, before anything has caught up with it.
    copied_in: Option<Duration>,
    /// The rows were compared while the tenant was served.
    is_compared: bool,
    /// The planner of the target has had its statistics since the rows were copied.
    is_analyzed: bool,
    trouble: Option<Error>,
    gated_at: Option<Instant>,
    pause: Option<Duration>,
    left: Option<Error>,
}

/// What is ready to become the fence.
enum Holding {
    Schema(Box<fence::Held>),
    Rows(Box<row_fence::Held>),
}

/// What the caller has said of a move, or nothing if it was taken over.
#[derive(Default)]
pub(super) struct Said {
    pub(super) conninfo: Option<Conninfo>,
    pub(super) migrations: Option<Migrations>,
}

/// How a move ended, as far as this process has seen it.
pub(super) enum Outcome {
    Moved(Box<MoveReport>),
    Undone(Error),
}

impl Run {
    pub(super) fn new(
        ends: Ends,
        mine: Mine,
        row: MoveRecord,
        teller: Teller,
        cancel: CancellationToken,
        (Said { conninfo, migrations }, is_taken_over): (Said, bool),
    ) -> Self {
        let ledger = Ledger::new(&ends.control);
        Self {
            ends,
            ledger,
            mine,
            row,
            teller,
            cancel,
            conninfo,
            is_taken_over,
            migrations,
            held: None,
            model: None,
            copied: None,
            remarks: Vec::new(),
            copied_in: None,
            is_compared: false,
            is_analyzed: false,
            trouble: None,
            gated_at: None,
            pause: None,
            left: None,
        }
    }

    fn attempt(&self) -> Attempt<'_> {
        Attempt { book: &self.ends.book, id: self.mine.id, number: self.mine.attempt }
    }

    fn kept_as(&self) -> Ident {
        self.mine.id.kept_name()
    }

    /// Works until the move is over, or cannot go on.
    ///
    /// # Errors
    ///
    /// [`Busy`](ErrorKind::Busy) if another process has taken the move over; other errors if the move is left as it
    /// is, for a later [take-over](super::Mover::take_over).
    pub(super) async fn drive(mut self) -> Result<Outcome, Error> {
        let began = Instant::now();
        let in_progress = InProgress::begin(&self.ends);
        if !self.is_taken_over {
            announce::tell(&self.ends, &self.row, None, None);
            self.teller.tell(self.row.stage, false, None);
        }
        let mut tries = 0;
        loop {
            let (stage, method) = (self.row.stage, self.row.method);
            let Some(work) = machine::work(stage, method) else { break };
            let ended = match std::mem::take(&mut self.is_taken_over) {
                true => self.begin_anew(work).await?,
                false => self.watched(work).await?,
            };
            let next = machine::next(stage, method, ended);
            if next != stage {
                if ended == Ended::Well {
                    self.teller.tell(stage, true, None);
                }
                self.advance(next, ended).await?;
                if self.row.stage == MoveStage::Undoing {
                    // Its locks would keep this process itself from tidying up.
                    self.held = None;
                }
                // The catalog may have refused the next one.
                self.teller.tell(self.row.stage, false, None);
                tries = 0;
                if matches!(ended, Ended::Blocked { .. }) && self.row.stage < MoveStage::Fencing {
                    // Requests are served meanwhile.
                    self.rest(pause_before(self.row.of.tries)).await?;
                }
                continue;
            }
            if let Ended::Blocked { tries, .. } = ended
                && stage.may_be_undone()
            {
                // Their number is limited by itself.
                self.rest(pause_before(tries)).await?;
                continue;
            }
            tries += 1;
            let is_served = stage.has_moved() || stage == MoveStage::Reopened;
            if tries >= if is_served { TRIES_OF_TIDYING } else { TRIES } {
                self.leave_it().await;
                break;
            }
            self.rest(pause_before(tries)).await?;
        }
        let outcome = self.outcome(began.elapsed())?;
        in_progress.end(matches!(outcome, Outcome::Moved(_)));
        Ok(outcome)
    }

    fn outcome(self, duration: Duration) -> Result<Outcome, Error> {
        let Self { row, ends, copied, mut remarks, pause, left, trouble, .. } = self;
        let left = left.map(|error| {
            format!("the move is not tidied up yet, which the next take-over does: {error}")
        });
        if row.stage.has_moved() {
            let (rows, tables) = match copied {
                Some(Copied { tables, remarks: of_copy, .. }) => {
                    remarks.extend(of_copy);
                    (tables.iter().map(|table| table.rows).sum(), tables.len())
                }
                None => (0, 0),
            };
            return Ok(Outcome::Moved(Box::new(MoveReport {
                tenant_id: ends.id().clone(),
                from: row.from,
                to: row.to,
                schema: row.schema,
                to_schema: row.of.places.to.schema.as_str().into(),
                to_database: row.of.places.to.database.as_ref().map(|name| name.as_str().into()),
                from_isolation: row.from_isolation,
                to_isolation: row.to_isolation,
                kept_as: row.kept_as,
                method: row.method,
                rows,
                tables,
                pause,
                duration,
                not_replicated: Vec::new(),
                not_logged: Vec::new(),
                left,
                remarks,
            })));
        }
        let why = trouble.unwrap_or_else(|| {
            let why = row.trouble.as_deref().unwrap_or("it was cancelled").to_owned();
            Error::new(ErrorKind::Move, why)
        });
        let (from, to) = (&row.from, &row.to);
        match row.stage {
            MoveStage::Undone | MoveStage::Reopened => {
                let left = left.map(|left| format!("; {left}")).unwrap_or_default();
                let attempted = format!(
                    "moving it from server {from} to {to}: the move was undone, and it is served where it was{left}"
                );
                let undone = Error::new(ErrorKind::Move, attempted).with_source(why);
                Ok(Outcome::Undone(undone.with_tenant(ends.id())))
            }
            stage => {
                let waits =
                    if stage < MoveStage::Fencing { "" } else { ", and its requests may wait" };
                let attempted = format!(
                    "moving it from server {from} to {to}: the move is left in the stage {stage}{waits}; take it over \
                     as soon as both servers are there"
                );
                Err(Error::new(ErrorKind::Unavailable, attempted)
                    .with_source(why)
                    .with_tenant(ends.id()))
            }
        }
    }

    /// Tells that this process is alive, until the move is lost or, if it can be undone, cancelled.
    fn beating(&self) -> impl Future<Output = Option<Failure>> + use<> {
        let may_be_undone = self.row.stage.may_be_undone();
        let (ledger, mine) = (self.ledger.clone(), self.mine.clone());
        let control = self.ends.control.clone();
        let every = self.row.of.take_over_after / 6;
        async move {
            loop {
                sleep(every).await;
                let beat = async {
                    let mut lease = control.lease().await?;
                    ledger.beat(&mut lease, &mine).await
                };
                match beat.await {
                    Err(Failure::Lost) => return Some(Failure::Lost),
                    Ok(true) if may_be_undone => return None,
                    // The row is not lost because it cannot be reached.
                    Ok(_) | Err(_) => {}
                }
            }
        }
    }

    /// Pauses, and tells meanwhile that this process is alive. A cancelled move goes on at once.
    async fn rest(&self, pause: Duration) -> Result<(), Error> {
        match select(pin!(sleep(pause)), pin!(self.beating())).await {
            Either::Right((Some(_), _)) => Err(self.lost()),
            Either::Right((None, _)) | Either::Left(_) => Ok(()),
        }
    }

    /// Does a work, and tells meanwhile that this process is alive. Gives it up when the move is cancelled.
    async fn watched(&mut self, work: Work) -> Result<Ended, Error> {
        let may_be_undone = self.row.stage.may_be_undone();
        let (cancel, beating) = (self.cancel.clone(), self.beating());
        let cancelled = async {
            match may_be_undone {
                true => cancel.cancelled().await,
                false => pending().await,
            }
        };
        let (beating, cancelled) = (pin!(beating), pin!(cancelled));
        let done = match select(pin!(self.work(work)), select(beating, cancelled)).await {
            Either::Left((done, _)) => done,
            Either::Right((Either::Left((Some(lost), _)), rest)) => {
                if work == Work::StartCopy {
                    // It sees by itself that the move is lost, and removes what it has created too late.
                    drop(rest.await);
                }
                Err(lost)
            }
            Either::Right(_) => Err(cancelled_error().into()),
        };
        self.judge(done)
    }

    /// Continues what another mover has begun.
    async fn begin_anew(&mut self, work: Work) -> Result<Ended, Error> {
        let stage = self.row.stage;
        if let Some(ended) = machine::taken_over(stage) {
            self.fail(Error::new(ErrorKind::Unavailable, "its mover was not heard of"));
            return Ok(ended);
        }
        if stage < MoveStage::Fencing {
            let entered = self.enter().await;
            let ended = self.judge(entered)?;
            if ended != Ended::Well {
                return Ok(ended);
            }
        }
        self.watched(work).await
    }

    fn judge(&mut self, done: Result<(), Failure>) -> Result<Ended, Error> {
        match done {
            Ok(()) => Ok(Ended::Well),
            Err(Failure::Lost) => Err(self.lost()),
            Err(Failure::Blocked(error)) => {
                self.row.of.tries += 1;
                self.fail(error);
                Ok(Ended::Blocked { tries: self.row.of.tries, limit: self.row.of.fence_tries })
            }
            Err(Failure::Failed(error)) => {
                self.fail(error);
                Ok(Ended::Badly)
            }
        }
    }

    fn fail(&mut self, error: Error) {
        tracing::warn!(
            target: "tenantry::provision",
            tenant = self.ends.id().as_str(),
            stage = self.row.stage.as_str(),
            error = &error as &dyn std::error::Error,
            "a step of a move has failed"
        );
        match self.row.stage {
            // Why it is undone is more important than what goes wrong meanwhile.
            MoveStage::Undoing | MoveStage::Reopened | MoveStage::Switched => {
                self.left = Some(error)
            }
            _ => self.trouble = Some(error),
        }
    }

    fn lost(&self) -> Error {
        let attempted = "moving it: another process has taken the move over";
        Error::new(ErrorKind::Busy, attempted).with_tenant(self.ends.id())
    }

    async fn work(&mut self, work: Work) -> Result<(), Failure> {
        match work {
            Work::Check => {
                self.enter().await?;
                let (attempt, migrations) = (self.attempt(), self.migrations.as_ref());
                container::prepare(&self.ends, attempt, self.row.method, migrations).await
            }
            Work::Hold => self.hold().await,
            Work::Fence => {
                let gone =
                    || Error::new(ErrorKind::Unavailable, "the locks of its tables were lost");
                let held = self.held.take().ok_or_else(gone)?;
                let (kept_as, attempt) = (self.kept_as(), self.attempt());
                let held = match held {
                    Holding::Rows(held) => {
                        return row_fence::fence(&self.ends, *held, attempt).await;
                    }
                    Holding::Schema(held) => *held,
                };
                let is_replicated = self.row.method == MoveMethod::Replication;
                let marker = is_replicated.then(|| replicate::mark_sql(attempt.book, attempt.id));
                let fenced = fence::fence(&self.ends, held, attempt, (&kept_as, marker)).await?;
                self.model = Some(self.ends.for_target(fenced).await?);
                Ok(())
            }
            Work::Fill if self.ends.are_rows() => {
                let schema = match self.ends.source_kind() {
                    IsolationKind::Row => self.ends.schema.clone(),
                    _ => self.kept_as(),
                };
                let verify = self.row.of.verify && !self.is_compared;
                if self.row.method == MoveMethod::ChangeLog {
                    return change_log::complete(&self.ends, &schema, self.attempt(), verify).await;
                }
                let how = (verify, MoveStage::Fenced, &self.teller);
                let filled = fill_rows(&self.ends, &schema, self.attempt(), how).await?;
                self.copied = Some(filled);
                Ok(())
            }
            Work::Fill => {
                let unknown =
                    || Error::new(ErrorKind::Unavailable, "its structure is not known any more");
                let model = self.model.take().ok_or_else(unknown)?;
                let (kept_as, method) = (self.kept_as(), self.row.method);
                if method == MoveMethod::Replication {
                    replicate::await_marker(&self.ends, self.mine.id).await?;
                }
                let verify = self.row.of.verify && !self.is_compared;
                let frozen = Frozen { model: &model, kept_as: &kept_as, verify, method };
                self.copied = Some(fill(&self.ends, &frozen, self.attempt(), &self.teller).await?);
                Ok(())
            }
            Work::Nothing => Ok(()),
            Work::Finish => tidy::finish(&self.ends, self.attempt(), self.row.method).await,
            Work::Restore => match self.ends.source_kind() {
                IsolationKind::Row => row_fence::restore(&self.ends, self.attempt()).await,
                _ => fence::restore(&self.ends, self.attempt(), &self.kept_as()).await,
            },
            Work::CleanUp => tidy::clean_up(&self.ends, self.attempt(), self.row.method).await,
            Work::StartCopy if self.row.method == MoveMethod::ChangeLog => {
                change_log::begin(&self.ends, self.attempt()).await
            }
            Work::StartCopy => {
                let conninfo = match self.conninfo.clone() {
                    Some(given) => given,
                    None => Conninfo::of(&self.ends.source).await?,
                };
                replicate::start(&self.ends, self.attempt(), &conninfo).await
            }
            Work::AwaitCopy if self.row.method == MoveMethod::ChangeLog => {
                let began = Instant::now();
                self.copied = change_log::copy(&self.ends, self.attempt(), &self.teller).await?;
                self.copied_in = Some(began.elapsed());
                Ok(())
            }
            Work::AwaitCopy => replicate::await_copy(&self.ends, self.mine.id, &self.teller).await,
            Work::CatchUp if self.row.method == MoveMethod::ChangeLog => {
                self.catch_up_by_log().await
            }
            Work::CatchUp => self.catch_up_by_replication().await,
        }
    }

    /// Makes the fence ready.
    async fn hold(&mut self) -> Result<(), Failure> {
        self.held = Some(match self.ends.source_kind() {
            IsolationKind::Row => Holding::Rows(Box::new(row_fence::hold(&self.ends).await?)),
            _ => Holding::Schema(Box::new(fence::hold(&self.ends).await?)),
        });
        Ok(())
    }

    /// Raises the number of the attempt on both servers. The row is read again afterwards: a process that has taken the
    /// move over meanwhile has raised it there first, and on the servers second.
    async fn enter(&self) -> Result<(), Failure> {
        container::make_database(&self.ends, self.mine.id.number()).await?;
        let attempt = self.attempt();
        let ends =
            [(&self.ends.source, attempt.on_source()), (&self.ends.target, attempt.on_target())];
        for (fleet, entry) in ends {
            let mut lease = fleet.lease().await?;
            entry.enter(&mut lease).await?;
        }
        let mut lease = self.ends.control.lease().await?;
        match self.ledger.beat(&mut lease, &self.mine).await? {
            true => Err(cancelled_error().into()),
            false => Ok(()),
        }
    }

    /// Records the next stage, with its change of the catalog. If that is refused, records that the move is undone.
    async fn advance(&mut self, to: MoveStage, ended: Ended) -> Result<(), Error> {
        let mut to = to;
        for tries in 1.. {
            let from = self.row.stage;
            match self.record(from, to).await {
                Ok(()) => return Ok(()),
                Err(Failure::Lost) if self.is_recorded(to).await => break,
                Err(Failure::Lost) => return Err(self.lost()),
                Err(Failure::Blocked(error) | Failure::Failed(error)) if tries < TRIES => {
                    let is_refused = error.kind() == ErrorKind::UnknownTenant
                        || error.kind() == ErrorKind::Catalog;
                    self.fail(error);
                    let otherwise = machine::next(from, self.row.method, Ended::Badly);
                    if is_refused && ended == Ended::Well && otherwise != from {
                        to = otherwise;
                    }
                    self.rest(pause_before(tries)).await?;
                }
                Err(Failure::Blocked(error) | Failure::Failed(error)) => return Err(error),
            }
        }
        self.note_recorded(self.row.stage, to);
        Ok(())
    }

    /// Returns `true` if a stage was recorded by this process, which has not learnt of it.
    async fn is_recorded(&self, stage: MoveStage) -> bool {
        let read = async {
            let mut lease = self.ends.control.lease().await?;
            self.ledger.list(&mut lease, Which::One(self.mine.id)).await
        };
        read.await.is_ok_and(|rows| {
            rows.first().is_some_and(|row| {
                row.stage == stage
                    && *row.owner == *self.mine.owner
                    && i64::try_from(row.attempt) == Ok(self.mine.attempt)
            })
        })
    }

    async fn record(&mut self, from: MoveStage, to: MoveStage) -> Result<(), Failure> {
        let control = &self.ends.control;
        let provisioner = Provisioner::new(control.clone());
        let change = machine::change(from, to);
        let trouble = self.trouble.as_ref().map(told);
        // The outcome of a commit that failed is unknown.
        let _forget = change.map(|_| control.forget_after(vec![self.ends.id().clone()]));
        let mut tx = provisioner.begin_shared().await?;
        sqlx::raw_sql(LIMITS).execute(&mut *tx).await?;
        let tries = self.row.of.tries;
        let written = async {
            self.ledger.advance(&mut tx, &self.mine, (from, to), tries, trouble.as_deref()).await?;
            match change {
                Some(change) => self.change_catalog(&mut tx, change).await,
                None => Ok(()),
            }
        };
        let written: Result<(), Failure> = written.await;
        match written {
            Ok(()) => provisioner.commit(tx).await?,
            Err(failure) => {
                drop(tx.rollback().await);
                return Err(failure);
            }
        }
        control.forget(self.ends.id());
        self.note_recorded(from, to);
        Ok(())
    }

    async fn change_catalog(
        &self,
        conn: &mut sqlx::PgConnection,
        change: Change,
    ) -> Result<(), Failure> {
        let Ends { control, record, .. } = &self.ends;
        let epoch = self.row.of.epoch;
        let moving = |from, to| CatalogChange::Moving { tenant: &record.id, epoch, from, to };
        let change = match change {
            Change::CloseGate => moving(TenantState::Moving, TenantState::Cutover),
            Change::OpenGate => moving(TenantState::Cutover, TenantState::Moving),
            Change::Place => {
                let moved = self.ends.moved(epoch);
                return Ok(control.write(conn, CatalogChange::Moved(&moved)).await?);
            }
            Change::GiveUp => {
                let found = match control.record(&record.id).await {
                    Ok(found) => found,
                    // It was taken out of the catalog meanwhile.
                    Err(error) if error.kind() == ErrorKind::UnknownTenant => return Ok(()),
                    Err(error) => return Err(error.into()),
                };
                if !found.state.is_moving() {
                    return Ok(());
                }
                moving(found.state, TenantState::Active)
            }
        };
        Ok(control.write(conn, change).await?)
    }

    fn note_recorded(&mut self, from: MoveStage, to: MoveStage) {
        self.row.stage = to;
        let mut pause = None;
        match machine::change(from, to) {
            Some(Change::CloseGate) => self.gated_at = Some(Instant::now()),
            Some(Change::Place | Change::GiveUp | Change::OpenGate) => {
                self.pause = self.gated_at.take().map(|at| at.elapsed());
                pause = self.pause;
            }
            None => {}
        }
        let is_setback = to < from || to == MoveStage::Undoing;
        let trouble = self.trouble.as_ref().filter(|_| is_setback).map(told);
        announce::tell(&self.ends, &self.row, pause, trouble);
    }

    /// Records what keeps a move from going on.
    async fn leave_it(&self) {
        let Some(error) = self.left.as_ref().or(self.trouble.as_ref()) else { return };
        if let Ok(mut lease) = self.ends.control.lease().await {
            drop(self.ledger.note(&mut lease, &self.mine, &told(error)).await);
        }
    }
}

fn pause_before(tries: u32) -> Duration {
    FIRST_PAUSE.saturating_mul(1 << tries.saturating_sub(1).min(8)).min(LONGEST_PAUSE)
}

fn cancelled_error() -> Error {
    Error::new(ErrorKind::Cancelled, "the move was cancelled")
}
