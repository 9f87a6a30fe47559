//! Migrates one schema: takes its lock, looks what is recorded, and does what is left to do.

use std::{ops::Range, sync::Arc, time::Duration};

use futures_util::TryStreamExt;
use sqlx::{Executor, PgConnection, SqlStr};
use tokio::time::{Instant, sleep};

use super::{
    Action, Failure, FailureReason, FileDone, MigrateOptions, Problem, TransactionPer,
    lint::statements,
    outside::{Outside, check_built},
    plan::{Applied, Job, Kept, Leniency, Step, remark, steps},
    privileges,
    source::{MigrationFile, Migrations},
    stage::{Begun, Way, prints},
    survey::run,
    tracking::{self, Locked, Presence},
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

/// Does the work on a lease, which keeps the schema's lock until it is given back or serves another. `role`
/// works on the tables, where that is not the role of the lease.
///
/// What was done is told to `done` as soon as it lasts. When the connection is lost, nobody knows whether what
/// had been sent lasts: it is kept in `lost`, and the next attempt finds it out.
///
/// # Cancel safety
///
/// When dropped, the file that was being run is rolled back by the server, or committed as a whole; one
/// outside a transaction is left dirty, with what is known of it. The next run goes on from there.
pub(super) async fn work(
    work: &Work<'_>,
    role: Option<&Ident>,
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
    let steps = steps(job, set, &found.applied, options.leniency())
        .map_err(|problem| explained(problem, set, &found.applied))?;
    let mut presence = found.presence;
    if let Some(role) = role
        && steps.iter().any(|step| step.action == Action::Applied)
    {
        privileges::prepare(lease, &site.schema, presence, role).await?;
        presence = Presence::Table;
    }
    for batch in batches(set, &steps, options.transaction) {
        let batch = Batch { work, steps: batch, presence, applied: &found.applied };
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

/// Makes a failure of a problem, with what is on record of it.
fn explained(problem: Problem, set: &Migrations, applied: &[Applied]) -> Failure {
    let row = applied.iter().find(|row| row.version == problem.version());
    match (&problem, row.and_then(|row| remark(set, row))) {
        (Problem::Dirty { version }, Some(remark)) => {
            let file = set.file(*version);
            let failure = Failure::from(problem.clone()).with_remark(&remark);
            file.map_or(failure.clone(), |file| failure.in_file(*version, &file.name))
        }
        _ => problem.into(),
    }
}

/// Says whether what is on record is what a step leaves.
fn was_done(step: &Step, applied: &[Applied]) -> bool {
    let row = applied.iter().find(|row| row.version == step.version);
    match step.action {
        Action::Applied | Action::Marked => row.is_some_and(|row| row.success),
        Action::Reverted => row.is_none(),
        Action::Forgotten => match step.kept {
            Kept::Nothing => row.is_none(),
            Kept::Stage(kept) => {
                let stage = row.and_then(|row| row.begun.as_ref()).and_then(Begun::stage);
                stage == Some(kept)
            }
            Kept::All => true,
        },
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
pub(super) struct Script<'a> {
    pub(super) file: &'a MigrationFile,
    pub(super) name: &'a Arc<str>,
    pub(super) sql: &'a SqlStr,
    /// The part of the text that is sent.
    pub(super) body: &'a Range<usize>,
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
    pub(super) fn text(&self) -> &'a str {
        self.sql.as_str().get(self.body.clone()).unwrap_or_default()
    }

    /// Puts into a failure which file it was and where; what was sent began with the byte `from` of the
    /// [text](Self::text) after `before` others.
    pub(super) fn blame(
        &self,
        failure: Failure,
        sent: &SqlStr,
        before: usize,
        from: usize,
    ) -> Failure {
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
    /// What was on record before.
    applied: &'a [Applied],
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
        for step in self.steps {
            let file = Script::of(self.work.set, step).map(|script| Arc::clone(script.name));
            done(FileDone { version: step.version, action: step.action, file, duration });
        }
        Ok(())
    }

    /// Runs the steps and what records them in one transaction, sent as one string.
    ///
    /// The table of the records is locked first: the schema cannot be dropped before the end, so nothing
    /// that a file makes can end up in another schema of the search path.
    async fn run_together(&self, lease: &mut Lease) -> Result<(), Failure> {
        self.check_marked(lease).await?;
        let schema = &self.work.site.schema;
        let mut sql = Sql::new("begin; ");
        let limits = self.work.options;
        set_limits(&mut sql, "set local ", limits.lock_timeout, limits.statement_timeout);
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

    fn create_table(&self, sql: &mut Sql) {
        if self.presence != Presence::Table {
            tracking::create(sql, &self.work.site.schema);
        }
    }

    /// Runs a file that cannot be in a transaction, or what is left of it.
    async fn run_outside(&self, lease: &mut Lease, step: &Step) -> Result<(), Failure> {
        let Some(script) = Script::of(self.work.set, step) else {
            return Ok(());
        };
        let row = self.applied.iter().find(|row| row.version == step.version);
        let file = Outside {
            schema: &self.work.site.schema,
            script,
            way: if step.action == Action::Applied { Way::Up } else { Way::Down },
            options: self.work.options,
            begun: row.filter(|row| !row.success).and_then(|row| row.begun.as_ref()),
            create_table: self.presence != Presence::Table,
            prints: prints(script.text()),
        };
        file.run(lease).await
    }

    /// Checks that what is recorded without being run can be used.
    async fn check_marked(&self, lease: &mut Lease) -> Result<(), Failure> {
        let Work { set, site, .. } = self.work;
        for step in self.steps.iter().filter(|step| step.action == Action::Marked) {
            if let Some(file) = set.file(step.version).filter(|file| !file.transactional) {
                let script = Script { file, name: &file.name, sql: &file.sql, body: &file.body };
                check_built(lease, &site.schema, &script).await?;
            }
        }
        Ok(())
    }
}

/// Applies what a schema has not, on a lease that serves it. Returns how many files that were.
pub(crate) async fn apply_all(
    set: &Migrations,
    site: &Site,
    options: &MigrateOptions,
    role: Option<&Ident>,
    lease: &mut Lease,
) -> Result<usize, Failure> {
    let (job, presence) = (Job::Apply { to: options.to }, Presence::NoTable);
    let what = Work { job, set, site, options, presence };
    let (mut files, mut attempts) = (0, 0);
    let worked = loop {
        attempts += 1;
        let failure = match work(&what, role, lease, &mut Vec::new(), &mut |_| files += 1).await {
            Ok(worked) => break worked,
            Err(failure) => failure,
        };
        // Who has the lease has to see to what was lost.
        let lost = failure.reason == FailureReason::Connection;
        if lost || !(failure.is_passing() || failure.collision().is_some()) {
            return Err(failure);
        }
        let pause = options.retry.delay_after(attempts, fastrand::f64(), None);
        sleep(pause.ok_or(failure)?).await;
        let rollback = "rollback";
        run(lease, async |conn| conn.execute(sqlx::raw_sql(rollback)).await.map(drop)).await?;
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
        let steps: Vec<_> = versions
            .map(|version| Step { action: Action::Applied, version, kept: Kept::Nothing })
            .collect();
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
                let failure = failure.unless_plain(script.text()).with_hint_on_locks(script.text());
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
        match (step.action, set.file(step.version), step.kept) {
            (Action::Applied, ..) => {}
            (Action::Marked, Some(file), _) => tracking::record_anyway(sql, schema, file),
            (Action::Forgotten, Some(file), Kept::Stage(kept)) => {
                tracking::note_seen_to(sql, schema, file, kept);
            }
            (Action::Forgotten, _, Kept::All) => {}
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

/// Appends the limits of what comes after.
pub(crate) fn set_limits(
    sql: &mut Sql,
    set: &'static str,
    lock: Duration,
    statement: Option<Duration>,
) {
    limit_locks(sql, set, lock);
    // Zero is no limit, whatever the database or the role has.
    let statement = statement.map_or(0, millis);
    sql.text(set).text("statement_timeout = ").number(statement).text("; ");
}

/// Appends how long what comes after may wait for a lock.
pub(super) fn limit_locks(sql: &mut Sql, set: &'static str, limit: Duration) {
    sql.text(set).text("lock_timeout = ").number(millis(limit)).text("; ");
}

/// Returns a limit as the server counts it, in an i32.
fn millis(limit: Duration) -> u64 {
    let most = u64::from(i32::MAX.unsigned_abs());
    u64::try_from(limit.as_millis()).unwrap_or(u64::MAX).clamp(1, most)
}

/// Has the server read a text as it was written, whatever a file before it has set.
pub(super) async fn reset_encoding(lease: &mut Lease, sql: &SqlStr) -> Result<(), Failure> {
    if sql.as_str().is_ascii() {
        return Ok(());
    }
    let reset = "reset client_encoding";
    run(lease, async |conn| conn.execute(sqlx::raw_sql(reset)).await.map(drop)).await
}
