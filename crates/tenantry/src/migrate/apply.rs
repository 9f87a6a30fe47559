//! Migrates one schema: takes its lock, re-reads the migration records, and applies what is left.

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

/// The work to do in one schema.
pub(super) struct Work<'a> {
    pub(super) job: Job,
    pub(super) set: &'a Migrations,
    pub(super) site: &'a Site,
    pub(super) options: &'a MigrateOptions,
    /// What the survey of all schemas found.
    pub(super) presence: Presence,
}

/// The result of the work, if nothing went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Worked {
    /// Nothing is left to do.
    Done,
    /// Another run has locked the schema.
    Locked,
}

/// Does the work on a lease, which keeps the schema's lock until it is released or serves another tenant. `role` gets
/// privileges on the tables if it is not the role of the lease.
///
/// Completed steps are reported to `done` as soon as they are durable. If the connection is lost, the outcome of the
/// steps that were sent is unknown: they are kept in `lost`, and the next attempt checks them.
///
/// # Cancel safety
///
/// If dropped, the server rolls back the running file or has committed it as a whole; a file outside a transaction is
/// left dirty, with a record of its progress. The next run continues from there.
pub(super) async fn work(
    work: &Work<'_>,
    role: Option<&Ident>,
    lease: &mut Lease,
    lost: &mut Vec<Step>,
    done: &mut (dyn FnMut(FileDone) + Send),
) -> Result<Worked, Failure> {
    let Work { job, set, site, options, .. } = *work;
    if !lease.is_serving(&site.occupant) {
        // A lease that already serves the schema can hold its lock.
        lease.serve(&site.occupant).await?;
    }
    let found = match lock(work, lease, work.presence).await {
        // The table or the schema has been dropped since.
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
        // Another session has created the table since. The lock is taken a second time; the end of the session
        // releases it.
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

/// Converts a problem to a failure, using the migration records.
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

/// Returns `true` if the records show the result of a step.
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

/// Groups steps that share a transaction.
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

/// The part of a migration that is run: the up or the down file.
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

    /// Returns the SQL to send.
    pub(super) fn text(&self) -> &'a str {
        self.sql.as_str().get(self.body.clone()).unwrap_or_default()
    }

    /// Adds to a failure which file and position it concerns; the sent text started at byte `from` of the
    /// [text](Self::text), after `before` others.
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
    /// The records before the work.
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

    /// Runs the steps and the statements that record them in one transaction, sent as one string.
    ///
    /// The records table is locked first: the schema cannot be dropped before the end, so no object of a file can end
    /// up in another schema of the search path.
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

    /// Runs a file that cannot run in a transaction, or the rest of it.
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

    /// Checks that the indexes of files that are recorded without being run are valid.
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

/// Applies the files that a schema lacks, on a lease that serves it. Returns the number of files.
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
        // The holder of the lease must deal with the lost steps.
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

/// Applies the files that a schema lacks within the open transaction. Returns whether this was possible: not if the
/// schema has different files, or needs one that cannot run in a transaction.
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

/// Positions of the steps in a text that is sent.
pub(crate) struct Sent {
    places: Vec<Place>,
    /// Statements before the first of them.
    before: usize,
}

struct Place {
    step: Step,
    /// The byte position of the file.
    begins: usize,
}

impl Sent {
    /// Appends the statements that give a new schema all files and their records.
    pub(crate) fn all(sql: &mut Sql, set: &Migrations, schema: &Ident) -> Self {
        tracking::create(sql, schema);
        let versions = set.files().iter().map(|file| file.version);
        let steps: Vec<_> = versions
            .map(|version| Step { action: Action::Applied, version, kept: Kept::Nothing })
            .collect();
        Self::write(sql, set, schema, &steps)
    }

    /// Appends steps, followed by the statements that record them.
    fn write(sql: &mut Sql, set: &Migrations, schema: &Ident, steps: &[Step]) -> Self {
        let before = statements(sql.as_str()).len();
        let mut places = Vec::new();
        for step in steps {
            places.push(Place { step: *step, begins: sql.len() });
            if let Some(script) = Script::of(set, step) {
                // Ends a comment at the end of the file.
                sql.vouched(script.sql, script.body.clone()).text("\n;\n");
            }
        }
        tracking::check_schema(sql, schema);
        write_records(sql, set, schema, steps);
        Self { places, before }
    }

    /// Adds to a failure which file and position it concerns, given the sent text and the number of completed
    /// statements.
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

    /// Returns `true` if it was the search path check after all files.
    fn is_check(&self, set: &Migrations, ended: usize) -> bool {
        let scripts = self.places.iter().filter_map(|place| Script::of(set, &place.step));
        let lengths = scripts.map(|script| statements(script.text()).len());
        ended == self.before + lengths.sum::<usize>()
    }

    /// Finds the file that was running after this number of completed statements.
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

/// Appends the statements that record completed steps.
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

/// Runs a string of several statements, and counts the completed ones.
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

/// Appends the timeouts for the following statements.
pub(crate) fn set_limits(
    sql: &mut Sql,
    set: &'static str,
    lock: Duration,
    statement: Option<Duration>,
) {
    limit_locks(sql, set, lock);
    // Zero means no limit, overriding any setting of the database or the role.
    let statement = statement.map_or(0, millis);
    sql.text(set).text("statement_timeout = ").number(statement).text("; ");
}

/// Appends the lock timeout for the following statements.
pub(super) fn limit_locks(sql: &mut Sql, set: &'static str, limit: Duration) {
    sql.text(set).text("lock_timeout = ").number(millis(limit)).text("; ");
}

/// Returns a limit as the server counts it, in an i32.
fn millis(limit: Duration) -> u64 {
    let most = u64::from(i32::MAX.unsigned_abs());
    u64::try_from(limit.as_millis()).unwrap_or(u64::MAX).clamp(1, most)
}

/// Resets the client encoding, which an earlier file may have changed, so that the server reads the text correctly.
pub(super) async fn reset_encoding(lease: &mut Lease, sql: &SqlStr) -> Result<(), Failure> {
    if sql.as_str().is_ascii() {
        return Ok(());
    }
    let reset = "reset client_encoding";
    run(lease, async |conn| conn.execute(sqlx::raw_sql(reset)).await.map(drop)).await
}
