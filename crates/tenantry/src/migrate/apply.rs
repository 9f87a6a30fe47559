//! Migrates one schema: takes its lock, looks what is recorded, and does what is left to do.

use std::{ops::Range, sync::Arc, time::Duration};

use futures_util::TryStreamExt;
use sqlx::{Executor, PgConnection, Row, SqlStr};
use tokio::time::{Instant, sleep};

use super::{
    Action, Failure, FailureReason, FileDone, MigrateOptions, TransactionPer,
    lint::statements,
    plan::{Applied, Job, Leniency, Step, steps},
    source::{MigrationFile, Migrations},
    survey::run,
    tracking::{self, Locked, Presence},
};
use crate::{catalog::Site, pool::Lease, retry::chance, sql::Sql, tenant::Ident};

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
/// What was done is told to `done` as soon as it lasts. When the connection is lost, nobody knows whether what
/// had been sent lasts: it is kept in `lost`, and the next attempt finds it out.
///
/// # Cancel safety
///
/// When dropped, the file that was being run is rolled back by the server, or committed as a whole; one
/// outside a transaction is left dirty. The next run goes on from there.
pub(super) async fn work(
    work: &Work<'_>,
    lease: &mut Lease,
    lost: &mut Vec<Step>,
    done: &mut (dyn FnMut(FileDone) + Send),
) -> Result<Worked, Failure> {
    let Work { job, set, site, options, .. } = *work;
    if !lease.is_serving(&site.occupant) {
        // A lease that serves it already may have its lock.
        lease.serve(&site.occupant).await?;
    }
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
    for step in std::mem::take(lost) {
        if was_done(&step, &found.applied) {
            let (action, version) = (step.action, step.version);
            let file = Script::of(set, &step).map(|script| Arc::clone(script.name));
            done(FileDone { version, action, file, duration: Duration::ZERO });
        }
    }
    let steps = steps(job, set, &found.applied, options.leniency())?;
    let mut presence = found.presence;
    for batch in batches(set, &steps, options.transaction) {
        let batch = Batch { work, steps: batch, presence };
        if let Err(failure) = batch.run(lease, done).await {
            if failure.reason == FailureReason::Connection {
                lost.extend(batch.steps);
            }
            return Err(failure);
        }
        presence = Presence::Table;
    }
    Ok(Worked::Done)
}

/// Says whether what is on record is what a step leaves.
fn was_done(step: &Step, applied: &[Applied]) -> bool {
    let row = applied.iter().find(|row| row.version == step.version);
    match step.action {
        Action::Applied | Action::Marked => row.is_some_and(|row| row.success),
        Action::Reverted | Action::Forgotten => row.is_none(),
    }
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
    /// The part of the text that is sent.
    body: &'a Range<usize>,
}

impl<'a> Script<'a> {
    fn of(set: &'a Migrations, step: &Step) -> Option<Self> {
        let file = set.file(step.version)?;
        match (step.action, &file.down) {
            (Action::Applied, _) => {
                Some(Self { file, name: &file.name, sql: &file.sql, body: &file.body })
            }
            (Action::Reverted, Some(down)) => {
                Some(Self { file, name: &down.name, sql: &down.sql, body: &down.body })
            }
            _ => None,
        }
    }

    /// Returns what is sent.
    fn text(&self) -> &'a str {
        self.sql.as_str().get(self.body.clone()).unwrap_or_default()
    }

    /// Puts into a failure which file it was and where; what was sent began with the byte `from` of the
    /// [text](Self::text) after `before` others.
    fn blame(&self, failure: Failure, sent: &SqlStr, before: usize, from: usize) -> Failure {
        let byte = failure.byte_in(sent.as_str()).and_then(|byte| byte.checked_sub(before));
        let failure = failure.in_file(self.file.version, self.name);
        match byte {
            Some(byte) => failure.at(self.sql.as_str(), self.body.start + from + byte),
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
                self.run_outside(lease, alone).await.map_err(Failure::lasting)?;
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
    /// The table of the records is locked first: the schema cannot be dropped before the end, so nothing
    /// that a file makes can end up in another schema of the search path.
    async fn run_together(&self, lease: &mut Lease) -> Result<(), Failure> {
        let schema = &self.work.site.schema;
        let mut sql = Sql::new("begin; ");
        self.set_limits(&mut sql, "set local ");
        self.create_table(&mut sql);
        tracking::hold(&mut sql, schema);
        let sent = Sent::write(&mut sql, self.work.set, schema, self.steps);
        sql.text("commit");
        let (sql, mut ended) = (sql.finish(), 0);
        let text = sql.clone();
        reset_encoding(lease, &sql).await?;
        let result = run(lease, async |conn| run_script(conn, text, &mut ended).await).await;
        result.map_err(|failure| sent.blame(self.work.set, failure, &sql, ended))
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
            Action::Applied => tracking::record_begun(&mut sql, schema, script.file),
            _ => tracking::note_begun(&mut sql, schema, version),
        }
        execute(lease, sql).await?;
        let (body, text) = (script.body, script.text());
        for (index, part) in statements(text).into_iter().enumerate() {
            let leaves_nothing = leaves_nothing_when_it_fails(&text[part.clone()]);
            self.check_schema(lease).await?;
            let mut sql = Sql::default();
            sql.vouched(script.sql, body.start + part.start..body.start + part.end);
            let sql = sql.finish();
            let sent = sql.clone();
            let result =
                run(lease, async |conn| conn.execute(sqlx::raw_sql(sent)).await.map(drop)).await;
            if let Err(failure) = result {
                let nothing_done = index == 0 && leaves_nothing;
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

    /// Checks that names are still looked up in the schema: between two statements anybody can drop or rename
    /// it, and what comes next would be about another one.
    async fn check_schema(&self, lease: &mut Lease) -> Result<(), Failure> {
        let current = "select pg_catalog.current_schema()::pg_catalog.text";
        let row = run(lease, async |conn| sqlx::raw_sql(current).fetch_one(conn).await).await?;
        let schema: Option<String> = row.try_get(0).map_err(Failure::from)?;
        match schema.as_deref() == Some(self.work.site.schema.as_str()) {
            true => Ok(()),
            false => Err(Failure::search_path()),
        }
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
    let (mut files, mut attempts) = (0, 0);
    let worked = loop {
        attempts += 1;
        match work(&what, lease, &mut Vec::new(), &mut |_| files += 1).await {
            Err(failure) if failure.collision().is_some() => {
                let pause = options.retry.delay_after(attempts, chance(), None);
                sleep(pause.ok_or(failure)?).await;
            }
            worked => break worked?,
        }
    };
    match worked {
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
    let sent = Sent::write(&mut sql, set, schema, &steps);
    let (sql, mut ended) = (sql.finish(), 0);
    let result = run_script(conn, sql.clone(), &mut ended).await;
    result.map_err(|error| sent.blame(set, error.into(), &sql, ended))?;
    Ok(true)
}

/// Where the steps stand in a text that is sent.
pub(crate) struct Sent {
    places: Vec<Place>,
    /// Statements before the first of them.
    before: usize,
}

struct Place {
    step: Step,
    /// Where the file begins, in bytes.
    begins: usize,
}

impl Sent {
    /// Appends what gives a new schema all files and their records.
    pub(crate) fn all(sql: &mut Sql, set: &Migrations, schema: &Ident) -> Self {
        tracking::create(sql, schema);
        let versions = set.files().iter().map(|file| file.version);
        let steps: Vec<_> =
            versions.map(|version| Step { action: Action::Applied, version }).collect();
        Self::write(sql, set, schema, &steps)
    }

    /// Appends steps, and after them what records them.
    fn write(sql: &mut Sql, set: &Migrations, schema: &Ident, steps: &[Step]) -> Self {
        let before = statements(sql.as_str()).len();
        let mut places = Vec::new();
        for step in steps {
            places.push(Place { step: *step, begins: sql.len() });
            if let Some(script) = Script::of(set, step) {
                // A comment at the end of the file must not reach what follows.
                sql.vouched(script.sql, script.body.clone()).text("\n;\n");
            }
        }
        tracking::check_schema(sql, schema);
        write_records(sql, set, schema, steps);
        Self { places, before }
    }

    /// Puts into a failure in which file it was and where, when this was sent and so many statements had
    /// ended.
    pub(crate) fn blame(
        &self,
        set: &Migrations,
        failure: Failure,
        sql: &SqlStr,
        ended: usize,
    ) -> Failure {
        if failure.sqlstate.as_deref() == Some("22P02") && self.is_check(set, ended) {
            return Failure::search_path();
        }
        // A mistake in the syntax is found before anything is run.
        let byte = failure.byte_in(sql.as_str());
        let place = match byte {
            Some(byte) => self.places.iter().rfind(|place| place.begins <= byte),
            None => self.place_after(set, ended),
        };
        let script = place.and_then(|place| Script::of(set, &place.step));
        match (place, script) {
            (Some(place), Some(script)) => {
                let failure = failure.unless_plain(&script.sql.as_str()[script.body.clone()]);
                script.blame(failure, sql, place.begins, 0)
            }
            _ => failure,
        }
    }

    /// Says whether it was the check of the search path, after all files.
    fn is_check(&self, set: &Migrations, ended: usize) -> bool {
        let scripts = self.places.iter().filter_map(|place| Script::of(set, &place.step));
        let lengths = scripts.map(|script| statements(script.text()).len());
        ended == self.before + lengths.sum::<usize>()
    }

    /// Finds the file that was being run when so many statements had ended.
    fn place_after(&self, set: &Migrations, ended: usize) -> Option<&Place> {
        let mut left = ended.checked_sub(self.before)?;
        self.places.iter().find(|place| {
            let script = Script::of(set, &place.step);
            let length = script.map_or(0, |script| statements(script.text()).len());
            let is_here = left < length;
            left = left.saturating_sub(length);
            is_here
        })
    }
}

/// Appends what records steps that were done.
fn write_records(sql: &mut Sql, set: &Migrations, schema: &Ident, steps: &[Step]) {
    let applied = steps.iter().filter(|step| step.action == Action::Applied);
    let mut applied = applied.filter_map(|step| set.file(step.version)).peekable();
    if applied.peek().is_some() {
        tracking::record_done(sql, schema, applied);
    }
    for step in steps {
        match (step.action, set.file(step.version)) {
            (Action::Applied, _) => {}
            (Action::Marked, Some(file)) => tracking::record_anyway(sql, schema, file),
            _ => tracking::delete(sql, schema, step.version),
        }
    }
}

/// Runs a string of many statements, and counts those that have ended.
pub(crate) async fn run_script(
    conn: &mut PgConnection,
    sql: SqlStr,
    ended: &mut usize,
) -> sqlx::Result<()> {
    let mut answers = sqlx::raw_sql(sql).fetch_many(conn);
    while let Some(answer) = answers.try_next().await? {
        *ended += usize::from(answer.is_left());
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
    // Zero is no limit, whatever the database or the role has.
    let statement = statement.map_or(0, |limit| millis(limit).min(most));
    sql.text(set).text("statement_timeout = ").number(statement).text("; ");
}

/// Says whether a statement has done nothing when it has failed. Those that end transactions of their own on
/// the way may have done a part.
fn leaves_nothing_when_it_fails(statement: &str) -> bool {
    let statement = statement.to_ascii_lowercase();
    let first = statement.split_whitespace().next().unwrap_or_default();
    let in_parts = ["do", "call", "vacuum", "cluster", "reindex", "execute", "analyze", "alter"];
    !in_parts.contains(&first) && !statement.contains("concurrently")
}

/// Has the server read a text as it was written, whatever a file before it has set.
async fn reset_encoding(lease: &mut Lease, sql: &SqlStr) -> Result<(), Failure> {
    if sql.as_str().is_ascii() {
        return Ok(());
    }
    let reset = "reset client_encoding";
    run(lease, async |conn| conn.execute(sqlx::raw_sql(reset)).await.map(drop)).await
}
