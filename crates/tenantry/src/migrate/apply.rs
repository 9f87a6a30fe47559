//! Migrates one schema: takes its lock, looks what is recorded, and does what is left to do.

use std::{ops::Range, sync::Arc, time::Duration};

use futures_util::TryStreamExt;
use sqlx::{Either, Executor, PgConnection, Row, SqlStr};
use tokio::time::Instant;

use super::{
    Action, Failure, FailureReason, FileDone, MigrateOptions, TransactionPer,
    lint::statements,
    plan::{Job, Leniency, Step, steps},
    source::{MigrationFile, Migrations, text_of},
    survey::run,
    tracking::{self, Locked, Presence, Recorded},
};
use crate::{catalog::Site, pool::Lease, sql::Sql, tenant::Ident};

/// What is to be done in one schema.
pub(super) struct Work<'a> {
    pub(super) job: Job,
    pub(super) set: &'a Migrations,
    pub(super) site: &'a Site,
    pub(super) options: &'a MigrateOptions,
    /// What was found when all schemas were looked at.
    pub(super) presence: Presence,
}

/// What came of it, when nothing went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Worked {
    /// Nothing is left to do.
    Done,
    /// Somebody else is migrating the schema.
    Locked,
}

/// Does the work on a lease, which keeps the schema's lock until it is given back or serves another.
///
/// What was done is added to `done` as soon as it lasts.
///
/// # Cancel safety
///
/// When dropped, the file that was being run is rolled back by the server, or committed as a whole; one
/// outside a transaction is left dirty. The next run goes on from there.
pub(super) async fn work(
    work: &Work<'_>,
    lease: &mut Lease,
    done: &mut (dyn FnMut(FileDone) + Send),
) -> Result<Worked, Failure> {
    let Work { job, set, site, options, .. } = *work;
    lease.serve(&site.occupant).await?;
    let found = match lock(work, lease, work.presence).await {
        // The table has gone since, or the schema has.
        Err(Failure { sqlstate: Some(code), .. }) if code == "42P01" => {
            lock(work, lease, Presence::NoTable).await?
        }
        other => other?,
    };
    if !found.locked {
        return Ok(Worked::Locked);
    }
    let found = match (found.presence, work.presence) {
        (Presence::NoSchema, _) => return Err(Failure::schema_missing()),
        // Somebody has made it since; the lock is taken once more, which the session's end gives back.
        (Presence::Table, Presence::NoTable) => lock(work, lease, Presence::Table).await?,
        _ => found,
    };
    let steps = steps(job, set, &found.applied, options.leniency())?;
    let mut presence = found.presence;
    for batch in batches(set, &steps, options.transaction) {
        let batch = Batch { work, steps: batch, presence };
        batch.run(lease, done).await?;
        presence = Presence::Table;
    }
    Ok(Worked::Done)
}

async fn lock(work: &Work<'_>, lease: &mut Lease, presence: Presence) -> Result<Locked, Failure> {
    let sql = tracking::lock_and_read(&work.site.schema, presence);
    run(lease, async |conn| Locked::from_rows(&sqlx::raw_sql(sql).fetch_all(conn).await?)).await
}

/// Puts steps together that are done in one transaction.
fn batches<'s>(set: &Migrations, steps: &'s [Step], per: TransactionPer) -> Vec<&'s [Step]> {
    let alone = |step: &Step| !is_transactional(set, step);
    let together = |before: &Step, next: &Step| match (before.action, next.action) {
        (Action::Marked | Action::Forgotten, _) => true,
        _ => per == TransactionPer::Tenant && !alone(before) && !alone(next),
    };
    steps.chunk_by(|before, next| together(before, next)).collect()
}

fn is_transactional(set: &Migrations, step: &Step) -> bool {
    let file = set.file(step.version);
    match step.action {
        Action::Applied => file.is_none_or(|file| file.transactional),
        Action::Reverted => {
            file.and_then(|file| file.down.as_ref()).is_none_or(|down| down.transactional)
        }
        Action::Marked | Action::Forgotten => true,
    }
}

/// What is run of a migration: the file or the way back.
#[derive(Clone, Copy)]
struct Script<'a> {
    file: &'a MigrationFile,
    name: &'a Arc<str>,
    sql: &'a SqlStr,
}

impl<'a> Script<'a> {
    fn of(set: &'a Migrations, step: &Step) -> Option<Self> {
        let file = set.file(step.version)?;
        match (step.action, &file.down) {
            (Action::Applied, _) => Some(Self { file, name: &file.name, sql: &file.sql }),
            (Action::Reverted, Some(down)) => Some(Self { file, name: &down.name, sql: &down.sql }),
            _ => None,
        }
    }

    /// The part of the text that is sent.
    fn body(&self) -> Range<usize> {
        let all = self.sql.as_str().len();
        all - text_of(self.sql).len()..all
    }

    /// Puts into a failure which file it was and where; what was sent began with the byte `from` of the
    /// file after `before` others.
    fn blame(&self, failure: Failure, sent: &SqlStr, before: usize, from: usize) -> Failure {
        let byte = failure.byte_in(sent.as_str()).and_then(|byte| byte.checked_sub(before));
        let failure = failure.in_file(self.file.version, self.name);
        match byte {
            Some(byte) => failure.at(text_of(self.sql), from + byte),
            None => failure,
        }
    }
}

/// Steps that are done together.
struct Batch<'a> {
    work: &'a Work<'a>,
    steps: &'a [Step],
    presence: Presence,
}

impl Batch<'_> {
    async fn run(
        &self,
        lease: &mut Lease,
        done: &mut (dyn FnMut(FileDone) + Send),
    ) -> Result<(), Failure> {
        let began = Instant::now();
        match self.steps {
            [alone] if !is_transactional(self.work.set, alone) => {
                self.run_outside(lease, alone).await?;
            }
            _ => self.run_together(lease).await?,
        }
        let duration = began.elapsed();
        for Step { action, version } in self.steps {
            let script = Script::of(self.work.set, &Step { action: *action, version: *version });
            let file = script.map(|script| Arc::clone(script.name));
            done(FileDone { version: *version, action: *action, file, duration });
        }
        Ok(())
    }

    /// Runs the steps and what records them in one transaction, sent as one string.
    ///
    /// What records a file comes before the file: once it is there, the schema cannot be dropped before
    /// the end, so nothing that the file makes can end up in another schema of the search path.
    async fn run_together(&self, lease: &mut Lease) -> Result<(), Failure> {
        let schema = &self.work.site.schema;
        let mut sql = Sql::new("begin; ");
        self.set_limits(&mut sql, "set local ");
        self.create_table(&mut sql);
        let sent = Sent { places: write_steps(&mut sql, self.work.set, schema, self.steps) };
        sql.text("commit");
        let sql = sql.finish();
        let mut at = None;
        let text = sql.clone();
        let result = run(lease, async |conn| run_script(conn, text, &mut at).await).await;
        result.map_err(|failure| sent.blame(self.work.set, failure, &sql, at))
    }

    fn set_limits(&self, sql: &mut Sql, set: &'static str) {
        set_limits(sql, set, self.work.options.lock_timeout, self.work.options.statement_timeout);
    }

    fn create_table(&self, sql: &mut Sql) {
        if self.presence != Presence::Table {
            tracking::create(sql, &self.work.site.schema);
        }
    }

    /// Runs a file that cannot be in a transaction, statement by statement. It is recorded as begun
    /// before and as done after: whoever looks in between, or after a crash, sees that it is dirty.
    async fn run_outside(&self, lease: &mut Lease, step: &Step) -> Result<(), Failure> {
        let Some(script) = Script::of(self.work.set, step) else {
            return Ok(());
        };
        let (schema, version) = (&self.work.site.schema, step.version);
        let began = Instant::now();
        let mut sql = Sql::default();
        self.set_limits(&mut sql, "set ");
        self.create_table(&mut sql);
        match step.action {
            Action::Applied => tracking::insert(&mut sql, schema, script.file, Recorded::Begun),
            _ => tracking::note_begun(&mut sql, schema, version),
        }
        execute(lease, sql).await?;
        let body = script.body();
        let text = &script.sql.as_str()[body.clone()];
        for (index, part) in statements(text).into_iter().enumerate() {
            let concurrent = is_concurrent(&text[part.clone()]);
            let mut sql = Sql::default();
            sql.vouched(script.sql, body.start + part.start..body.start + part.end);
            let sql = sql.finish();
            let sent = sql.clone();
            let result =
                run(lease, async |conn| conn.execute(sqlx::raw_sql(sent)).await.map(drop)).await;
            if let Err(failure) = result {
                let nothing_done = index == 0 && !concurrent;
                if nothing_done && failure.reason != FailureReason::Connection {
                    self.take_back(lease, step).await?;
                }
                return Err(script.blame(failure, &sql, 0, part.start).or_at(text, part.start));
            }
        }
        let mut sql = Sql::default();
        match step.action {
            Action::Applied => tracking::note_end(&mut sql, schema, version, began.elapsed()),
            _ => tracking::delete(&mut sql, schema, version),
        }
        execute(lease, sql).await
    }

    /// Takes back the note that a file was begun: its first statement has failed, so nothing was done.
    async fn take_back(&self, lease: &mut Lease, step: &Step) -> Result<(), Failure> {
        let mut sql = Sql::default();
        let schema = &self.work.site.schema;
        match step.action {
            Action::Applied => tracking::delete(&mut sql, schema, step.version),
            _ => {
                let took = Duration::ZERO;
                tracking::note_end(&mut sql, schema, step.version, took);
            }
        }
        execute(lease, sql).await
    }
}

/// Applies what a schema has not, on a lease that serves it. Returns how many files that were.
pub(crate) async fn apply_all(
    set: &Migrations,
    site: &Site,
    options: &MigrateOptions,
    lease: &mut Lease,
) -> Result<usize, Failure> {
    let (job, presence) = (Job::Apply { to: None }, Presence::NoTable);
    let what = Work { job, set, site, options, presence };
    let mut files = 0;
    match work(&what, lease, &mut |_| files += 1).await? {
        Worked::Done => Ok(files),
        Worked::Locked => {
            Err(Failure::new(FailureReason::LockTimeout, "somebody else is migrating the schema"))
        }
    }
}

/// Applies what a schema has not in the transaction that is open. Returns whether that could be done: not
/// when it has other files, or needs one that cannot be in a transaction.
pub(crate) async fn catch_up(
    conn: &mut PgConnection,
    set: &Migrations,
    schema: &Ident,
) -> Result<bool, Failure> {
    let rows = sqlx::raw_sql(tracking::read(schema)).fetch_all(&mut *conn).await?;
    let applied = tracking::applied(&rows)?;
    let Ok(steps) = steps(Job::Apply { to: None }, set, &applied, Leniency::default()) else {
        return Ok(false);
    };
    if !steps.iter().all(|step| is_transactional(set, step)) {
        return Ok(false);
    }
    let mut sql = Sql::default();
    let sent = Sent { places: write_steps(&mut sql, set, schema, &steps) };
    let sql = sql.finish();
    let mut at = None;
    let result = run_script(conn, sql.clone(), &mut at).await;
    result.map_err(|error| sent.blame(set, error.into(), &sql, at))?;
    Ok(true)
}

/// Where the steps stand in a text that is sent.
pub(crate) struct Sent {
    places: Vec<Place>,
}

struct Place {
    step: Step,
    before: usize,
}

impl Sent {
    /// Appends what gives a new schema all files and their records.
    pub(crate) fn all(sql: &mut Sql, set: &Migrations, schema: &Ident) -> Self {
        tracking::create(sql, schema);
        let versions = set.files().iter().map(|file| file.version);
        let steps: Vec<_> =
            versions.map(|version| Step { action: Action::Applied, version }).collect();
        Self { places: write_steps(sql, set, schema, &steps) }
    }

    /// Puts into a failure in which file it was and where, when this was sent and the step `at` had begun.
    pub(crate) fn blame(
        &self,
        set: &Migrations,
        failure: Failure,
        sql: &SqlStr,
        at: Option<usize>,
    ) -> Failure {
        // A mistake in the syntax is found before anything is run.
        let byte = failure.byte_in(sql.as_str());
        let found = byte.and_then(|byte| self.places.iter().rfind(|place| place.before <= byte));
        let place = at.and_then(|step| self.places.get(step)).or(found);
        let script = place.and_then(|place| Script::of(set, &place.step));
        match (place, script) {
            (Some(place), Some(script)) => script.blame(failure, sql, place.before, 0),
            _ => failure,
        }
    }
}

/// Appends steps with what records them, and says where each of their files begins.
fn write_steps(sql: &mut Sql, set: &Migrations, schema: &Ident, steps: &[Step]) -> Vec<Place> {
    let mut places = Vec::new();
    for (index, step) in steps.iter().enumerate() {
        let script = Script::of(set, step);
        match (step.action, script) {
            (Action::Applied, Some(script)) => {
                tracking::insert(sql, schema, script.file, Recorded::Done);
                sql.text("; ");
            }
            (Action::Marked, _) => {
                if let Some(file) = set.file(step.version) {
                    tracking::record_anyway(sql, schema, file);
                }
            }
            _ => tracking::delete(sql, schema, step.version),
        }
        // Tells which file it was when something fails.
        sql.text("select ").number(index as u64).text(" as tenantry_step; ");
        places.push(Place { step: *step, before: sql.len() });
        if let Some(script) = script {
            // A comment at the end of the file must not reach what follows.
            sql.vouched(script.sql, script.body()).text("\n;\n");
            if step.action == Action::Applied {
                tracking::note_time_of_transaction(sql, schema, step.version);
            }
        }
    }
    places
}

/// Runs a string of many statements, and notes the last step that has begun.
pub(crate) async fn run_script(
    conn: &mut PgConnection,
    sql: SqlStr,
    at: &mut Option<usize>,
) -> sqlx::Result<()> {
    let mut answers = sqlx::raw_sql(sql).fetch_many(conn);
    while let Some(answer) = answers.try_next().await? {
        if let Either::Right(row) = answer
            && let Ok(step) = row.try_get::<i32, _>("tenantry_step")
        {
            *at = usize::try_from(step).ok();
        }
    }
    Ok(())
}

async fn execute(lease: &mut Lease, sql: Sql) -> Result<(), Failure> {
    let sql = sql.finish();
    run(lease, async |conn| conn.execute(sqlx::raw_sql(sql)).await.map(drop)).await
}

/// Appends the limits of what comes after.
pub(crate) fn set_limits(
    sql: &mut Sql,
    set: &'static str,
    lock: Duration,
    statement: Option<Duration>,
) {
    let millis = |limit: Duration| u64::try_from(limit.as_millis()).unwrap_or(u64::MAX).max(1);
    // The server counts in an i32.
    let most = i32::MAX as u64;
    sql.text(set).text("lock_timeout = ").number(millis(lock).min(most)).text("; ");
    if let Some(limit) = statement {
        sql.text(set).text("statement_timeout = ").number(millis(limit).min(most)).text("; ");
    }
}

/// Says whether a statement can leave something behind although it has failed.
fn is_concurrent(statement: &str) -> bool {
    statement.to_ascii_lowercase().contains("concurrently")
}
