//! Runs a file that cannot run in a transaction, statement by statement, so that another run can resume it.
//!
//! A statement that can run in a transaction shares one with the record of its completion. For any other, the record
//! is written first, and what it left half made is removed before it is run again.

use std::{ops::Range, time::Duration};

use sqlx::{Executor, SqlStr};
use tokio::time::Instant;

use super::{
    Failure, FailureReason, MigrateOptions, Problem,
    lint::{Concurrent, Statement, statements},
    remains::{Before, Cured, Remains, drop_not_valid},
    script::Script,
    settings::{limit_locks, reset_encoding, set_limits},
    stage::{Begun, Doubt, Next, Print, Resume, Stage, Way, with_note},
    survey::run,
    tracking,
};
use crate::{pool::Lease, sql::Sql, tenant::Ident};

/// A file that is run outside a transaction in one schema.
pub(super) struct Outside<'a> {
    pub(super) schema: &'a Ident,
    pub(super) script: Script<'a>,
    pub(super) way: Way,
    pub(super) options: &'a MigrateOptions,
    /// The record that another run has left.
    pub(super) begun: Option<&'a Begun>,
    /// Whether the records table must be created.
    pub(super) create_table: bool,
    /// Fingerprints of the completed statements, by their number.
    pub(super) prints: Vec<Print>,
}

/// A statement of the file.
struct Part<'a> {
    index: usize,
    /// Its position in the file's text.
    place: &'a Range<usize>,
    kind: &'a Statement,
    doubt: Before,
}

/// The settings of the session.
struct State {
    /// Whether the file leaves the lock timeout to us.
    limits_are_ours: bool,
    /// The statement that started the file's own transaction.
    transaction: Option<usize>,
}

impl State {
    /// Notes what a statement has set.
    fn note(&mut self, part: &Part<'_>) {
        match part.kind {
            Statement::Setting { lock_timeout: true } => self.limits_are_ours = false,
            Statement::Begin => self.transaction = Some(part.index),
            Statement::End => self.transaction = None,
            _ => {}
        }
    }
}

/// What a failed statement has left.
struct Left {
    /// What it has left half made, in words.
    half_made: Option<String>,
    /// Whether the statements before it, and nothing of it, were done.
    is_whole: bool,
}

impl Outside<'_> {
    /// Runs the statements that were not run yet.
    ///
    /// # Cancel safety
    ///
    /// If dropped, the record says where to continue.
    pub(super) async fn run(&self, lease: &mut Lease) -> Result<(), Failure> {
        let began = Instant::now();
        let text = self.script.text();
        let places = statements(text);
        let kinds: Vec<_> =
            places.iter().map(|place| Statement::read(&text[place.clone()])).collect();
        let resume = match self.begun {
            None => Resume { from: 0, doubt: Doubt::None },
            // The planner has checked that it can be continued.
            Some(begun) => begun.resume(self.way, &kinds).ok_or_else(|| self.stuck(begun))?,
        };
        self.begin(lease).await?;
        let mut state = State { limits_are_ours: true, transaction: None };
        for (index, (place, kind)) in places.iter().zip(&kinds).enumerate() {
            let part = Part { index, place, kind, doubt: doubt_of(index, resume) };
            if index < resume.from && !matches!(kind, Statement::Setting { .. }) {
                // A later statement may have renamed or dropped it.
                let only_built = || kinds[index..resume.from].iter().all(builds_index);
                if resume.doubt == Doubt::ByHand && only_built() {
                    self.restore(lease, &part, &state).await?;
                }
                continue;
            }
            self.check_schema(lease).await?;
            if let Err(failure) = self.run_part(lease, &part, &mut state).await {
                let failure = self.locate(failure, place).unless_plain(&text[place.clone()]);
                return Err(self.note_failure(lease, &part, &kinds, &state, failure).await);
            }
            state.note(&part);
        }
        self.end(lease, began.elapsed()).await
    }

    /// Records the end of the file.
    async fn end(&self, lease: &mut Lease, took: Duration) -> Result<(), Failure> {
        let mut sql = Sql::default();
        let Script { file, .. } = self.script;
        match self.way {
            Way::Up => tracking::note_end(&mut sql, self.schema, file, took),
            Way::Down => tracking::delete(&mut sql, self.schema, file.version),
        }
        execute(lease, sql).await
    }

    fn locate(&self, failure: Failure, place: &Range<usize>) -> Failure {
        failure.or_at(self.script.sql.as_str(), self.script.body.start + place.start)
    }

    /// Sets the timeouts, and records the start of the file.
    async fn begin(&self, lease: &mut Lease) -> Result<(), Failure> {
        let (schema, Script { file, .. }) = (self.schema, self.script);
        let mut sql = Sql::default();
        set_limits(&mut sql, "set ", self.options.lock_timeout, self.options.statement_timeout);
        if self.create_table {
            tracking::create(&mut sql, schema);
        }
        if self.begun.is_none() {
            let untouched = self.stage(0, Next::Untouched);
            match self.way {
                Way::Up => tracking::record_begun(&mut sql, schema, file, untouched),
                Way::Down => tracking::note_begun(&mut sql, schema, file.version, untouched),
            }
        }
        execute(lease, sql).await
    }

    async fn run_part(
        &self,
        lease: &mut Lease,
        part: &Part<'_>,
        state: &mut State,
    ) -> Result<(), Failure> {
        match part.kind {
            Statement::Concurrent(concurrent) => {
                self.prepare(lease, part, state).await?;
                if self.run_concurrent(lease, part, concurrent).await? == Cured::Ready {
                    self.remains().check(lease, concurrent).await?;
                }
                self.note_part(lease, part, state).await
            }
            Statement::Repeatable { .. } | Statement::Other => {
                self.prepare(lease, part, state).await?;
                self.send(lease, part, Sql::default(), false).await?;
                self.note_part(lease, part, state).await
            }
            Statement::Atomic { constraint } => {
                let mut sql = Sql::default();
                if let Some(constraint) = constraint {
                    drop_not_valid(lease, constraint, &mut sql).await?;
                }
                self.send(lease, part, sql, true).await
            }
            Statement::Fleeting => self.send(lease, part, Sql::default(), true).await,
            // Running them again is harmless.
            Statement::Setting { .. } | Statement::Begin | Statement::End => {
                self.send(lease, part, Sql::default(), false).await
            }
        }
    }

    /// Sets the lock timeout, and records the start of the statement.
    async fn prepare(
        &self,
        lease: &mut Lease,
        part: &Part<'_>,
        state: &State,
    ) -> Result<(), Failure> {
        let mut sql = Sql::default();
        limit(&mut sql, part, state, self.options.concurrent_timeout);
        // A statement in doubt is already recorded, and the time of that record shows what was created since.
        if part.doubt != Before::SinceRecord {
            self.note(&mut sql, part.index, Next::Begun);
        }
        execute(lease, sql).await
    }

    /// Runs a statement that works in several transactions, unless it is already completely done.
    async fn run_concurrent(
        &self,
        lease: &mut Lease,
        part: &Part<'_>,
        concurrent: &Concurrent,
    ) -> Result<Cured, Failure> {
        let cured = self.remains().cure(lease, concurrent, part.doubt).await?;
        if cured == Cured::Ready {
            let began = Instant::now();
            let sent = self.send(lease, part, Sql::default(), false).await;
            let waited_long = began.elapsed() >= self.options.concurrent_timeout;
            sent.map_err(|failure| match failure.reason {
                // It has used the full timeout.
                FailureReason::LockTimeout if concurrent.blocks_nobody() && waited_long => {
                    failure.for_good()
                }
                _ if failure.sqlstate.as_deref() == Some("42P07") => {
                    let hint = "if this is the index that the statement creates, drop it; or add `if not \
                                exists`, if no tenant has applied the file yet";
                    failure.with_hint(Some(hint.to_owned()))
                }
                _ => failure,
            })?;
        }
        Ok(cured)
    }

    /// Rebuilds an index that was dropped after its statement completed: repairing a failure by hand can revert more
    /// than the failed part. The record still says where the file failed.
    async fn restore(
        &self,
        lease: &mut Lease,
        part: &Part<'_>,
        state: &State,
    ) -> Result<(), Failure> {
        let restored = self.build_again(lease, part, state).await;
        let Script { file, name, .. } = self.script;
        restored.map_err(|failure| self.locate(failure, part.place).in_file(file.version, name))
    }

    async fn build_again(
        &self,
        lease: &mut Lease,
        part: &Part<'_>,
        state: &State,
    ) -> Result<(), Failure> {
        let Statement::Concurrent(statement) = part.kind else { return Ok(()) };
        if !self.remains().lacks(lease, statement).await? {
            return Ok(());
        }
        self.check_schema(lease).await?;
        let mut sql = Sql::default();
        limit(&mut sql, part, state, self.options.concurrent_timeout);
        execute(lease, sql).await?;
        self.send(lease, part, Sql::default(), false).await?;
        self.remains().check(lease, statement).await?;
        let mut sql = Sql::default();
        limit(&mut sql, part, state, self.options.lock_timeout);
        execute(lease, sql).await
    }

    fn remains(&self) -> Remains<'_> {
        let patience = self.options.concurrent_timeout;
        let record = Some(self.script.file.version);
        Remains { schema: self.schema, record, patience }
    }

    /// Sends a statement after the text in `sql`, optionally together with the record of its completion.
    async fn send(
        &self,
        lease: &mut Lease,
        part: &Part<'_>,
        mut sql: Sql,
        with_note: bool,
    ) -> Result<(), Failure> {
        let (before, body) = (sql.len(), self.script.body.start);
        sql.vouched(self.script.sql, body + part.place.start..body + part.place.end);
        if with_note {
            sql.text("\n; ");
            self.note(&mut sql, part.index + 1, Next::Untouched);
        }
        let sql = sql.finish();
        let sent = execute_str(lease, sql.clone()).await;
        sent.map_err(|failure| self.script.blame(failure, &sql, before, part.place.start))
    }

    /// Records the completion of a statement.
    async fn note_part(
        &self,
        lease: &mut Lease,
        part: &Part<'_>,
        state: &State,
    ) -> Result<(), Failure> {
        let mut sql = Sql::default();
        limit(&mut sql, part, state, self.options.lock_timeout);
        self.note(&mut sql, part.index + 1, Next::Untouched);
        execute(lease, sql).await
    }

    fn note(&self, sql: &mut Sql, ended: usize, next: Next) {
        let Script { file, .. } = self.script;
        let stage = self.stage(ended, next);
        tracking::note_stage(sql, self.schema, file.version, stage, &file.description);
    }

    fn stage(&self, ended: usize, next: Next) -> Stage {
        let print = self.prints.get(ended).copied().unwrap_or_default();
        Stage { way: self.way, ended, next, print }
    }

    /// Records why a statement failed, and whether another run can continue. If nothing was done at all, the record
    /// is removed.
    async fn note_failure(
        &self,
        lease: &mut Lease,
        part: &Part<'_>,
        kinds: &[Statement],
        state: &State,
        failure: Failure,
    ) -> Failure {
        let Script { file, name, .. } = self.script;
        let failure = failure.in_file(file.version, name);
        if failure.reason == FailureReason::Connection {
            return failure;
        }
        if state.transaction.is_some() {
            // If the transaction cannot be ended, nothing can be recorded either.
            execute(lease, Sql::new("rollback")).await.ok();
        }
        let index = state.transaction.unwrap_or(part.index);
        let left = self.left_by(lease, part, state).await;
        let mut sql = Sql::default();
        let mut before = kinds[..index].iter();
        if left.is_whole && before.all(|kind| matches!(kind, Statement::Setting { .. })) {
            self.take_back(&mut sql);
        } else {
            let note = note_of(&failure, left.half_made.as_deref(), part.index, kinds.len());
            let next = next_after(&failure, part, &left);
            self.note_stopped(&mut sql, self.stage(index, next), &note);
        }
        if let Err(error) = execute(lease, sql).await {
            tracing::warn!(
                target: "tenantry::migrate",
                schema = self.schema.as_str(),
                error = &error as &dyn std::error::Error,
                "the reason for a failed migration could not be recorded"
            );
        }
        // Its progress is unknown.
        let unknown = !left.is_whole && *part.kind == Statement::Other;
        let failure = if unknown { failure.for_good() } else { failure };
        advised(failure, left.half_made, kinds[..index].contains(&Statement::Fleeting))
    }

    /// Determines what a failed statement has left.
    async fn left_by(&self, lease: &mut Lease, part: &Part<'_>, state: &State) -> Left {
        if state.transaction.is_some() {
            return Left { half_made: None, is_whole: true };
        }
        match part.kind {
            Statement::Concurrent(concurrent) => {
                let found = self.remains().half_made(lease, concurrent).await;
                // If that cannot be determined, something may be left.
                let is_whole = matches!(found, Ok(None));
                let half_made = found.ok().flatten().map(|left| left.to_string());
                Left { half_made, is_whole }
            }
            kind => Left { half_made: None, is_whole: *kind != Statement::Other },
        }
    }

    /// Appends the record of the file's progress, with the reason for the failure.
    fn note_stopped(&self, sql: &mut Sql, stage: Stage, note: &str) {
        let Script { file, .. } = self.script;
        let description = match self.begun {
            // The first failure is kept until the file is done.
            Some(begun) if begun.has_note(stage.ended, &file.description) => {
                begun.description.clone()
            }
            _ => with_note(&file.description, note),
        };
        tracking::note_stage(sql, self.schema, file.version, stage, &description);
    }

    /// Removes the record of the file's start.
    fn take_back(&self, sql: &mut Sql) {
        let Script { file, .. } = self.script;
        match self.way {
            Way::Up => tracking::delete(sql, self.schema, file.version),
            Way::Down => tracking::note_end(sql, self.schema, file, Duration::ZERO),
        }
    }

    fn stuck(&self, begun: &Begun) -> Failure {
        let Script { file, name, .. } = self.script;
        Failure::from(Problem::Dirty { version: file.version })
            .with_remark(&begun.remark(&file.description))
            .in_file(file.version, name)
    }

    /// Checks that names are still resolved in the schema: between two statements another session can drop or rename
    /// it, and the next statement would then affect another schema.
    async fn check_schema(&self, lease: &mut Lease) -> Result<(), Failure> {
        let current = "select pg_catalog.current_schema()::pg_catalog.text";
        let row = run(lease, async |conn| sqlx::raw_sql(current).fetch_one(conn).await).await?;
        let schema: Option<String> = sqlx::Row::try_get(&row, 0).map_err(Failure::from)?;
        match schema.as_deref() == Some(self.schema.as_str()) {
            true => Ok(()),
            false => Err(Failure::search_path()),
        }
    }
}

/// Checks that no index which a file builds concurrently is invalid: the file is about to be recorded without being
/// run.
pub(super) async fn check_built(
    lease: &mut Lease,
    schema: &Ident,
    script: &Script<'_>,
) -> Result<(), Failure> {
    let Script { file, name, .. } = script;
    let patience = Duration::ZERO;
    let remains = Remains { schema, record: None, patience };
    let text = script.text();
    for place in statements(text) {
        if let Statement::Concurrent(concurrent) = Statement::read(&text[place.clone()]) {
            let checked = remains.check(lease, &concurrent).await;
            checked.map_err(|failure| {
                failure
                    .in_file(file.version, name)
                    .at(script.sql.as_str(), script.body.start + place.start)
            })?;
        }
    }
    Ok(())
}

/// Returns how far a statement can have come that may have run before.
fn doubt_of(index: usize, resume: Resume) -> Before {
    match resume.doubt {
        Doubt::All => Before::AnyTime,
        Doubt::ByHand if index == resume.from => Before::AnyTime,
        Doubt::First if index == resume.from => Before::SinceRecord,
        _ => Before::NotRun,
    }
}

/// Returns the state to record for a failed statement.
fn next_after(failure: &Failure, part: &Part<'_>, left: &Left) -> Next {
    match failure.is_of_circumstances() {
        true if left.is_whole => Next::Untouched,
        true if *part.kind != Statement::Other => Next::Begun,
        _ => Next::Failed,
    }
}

/// Adds what to do about something that was left half made.
fn advised(failure: Failure, half_made: Option<String>, starts_over: bool) -> Failure {
    let Some(left) = half_made.filter(|_| !failure.is_of_circumstances()) else { return failure };
    let then = match starts_over {
        true => "the file starts over, because it has set something for its session",
        false => "the next run removes it and continues with this statement",
    };
    failure.with_hint(Some(format!(
        "{left}: fix the cause of the failure, then call forget_dirty, and {then}"
    )))
}

/// The maximum length of a note, in characters.
const LONGEST_NOTE: usize = 500;

fn note_of(failure: &Failure, left: Option<&str>, index: usize, statements: usize) -> String {
    let mut note = format!("statement {} of {statements}", index + 1);
    if let Some(line) = failure.line {
        note += &format!(", line {line}");
    }
    note = format!("{note}: {}", failure.message);
    if let Some(code) = &failure.sqlstate {
        note += &format!(" ({code})");
    }
    let mut note: String = note.chars().take(LONGEST_NOTE).collect();
    if let Some(left) = left {
        note += &format!("; {left}");
    }
    note
}

async fn execute(lease: &mut Lease, sql: Sql) -> Result<(), Failure> {
    if sql.len() == 0 {
        return Ok(());
    }
    execute_str(lease, sql.finish()).await
}

async fn execute_str(lease: &mut Lease, sql: SqlStr) -> Result<(), Failure> {
    reset_encoding(lease, &sql).await?;
    run(lease, async |conn| conn.execute(sqlx::raw_sql(sql)).await.map(drop)).await
}

/// Sets the lock timeout of a statement that blocks no others while it waits, unless the file sets it.
fn limit(sql: &mut Sql, part: &Part<'_>, state: &State, patience: Duration) {
    if state.limits_are_ours && part.kind.blocks_nobody() {
        limit_locks(sql, "set ", patience);
    }
}

fn builds_index(statement: &Statement) -> bool {
    matches!(
        statement,
        Statement::Concurrent(Concurrent::CreateIndex(_)) | Statement::Setting { .. }
    )
}
