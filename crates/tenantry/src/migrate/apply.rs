//! Migrates one schema: takes its lock, re-reads the migration records, and applies what is left.

use std::{sync::Arc, time::Duration};

use sqlx::{Executor, PgConnection};
use tokio::time::{Instant, sleep};

use super::{
    Action, Failure, FailureReason, FileDone, MigrateOptions, Problem, TransactionPer,
    outside::{Outside, check_built},
    plan::{Applied, Job, Kept, Leniency, Step, remark, steps},
    privileges,
    script::Script,
    sent::{Ran, Sent, run_script_on},
    settings::{reset_encoding, set_limits},
    source::Migrations,
    stage::{Begun, Way, prints},
    survey::run,
    tracking::{self, Locked, Presence},
};
use crate::{catalog::Site, citus::Citus, pool::Lease, sql::Sql, tenant::Ident};

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
    let found = lock_as_found(work, lease).await?;
    if !found.locked {
        return Ok(Worked::Locked);
    }
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

/// Takes the lock of the schema and reads its records, whether or not the survey is still right about the table.
async fn lock_as_found(work: &Work<'_>, lease: &mut Lease) -> Result<Locked, Failure> {
    let found = match lock(work, lease, work.presence).await {
        // The table or the schema has been dropped since.
        Err(Failure { sqlstate: Some(code), .. }) if code == "42P01" => {
            lock(work, lease, Presence::NoTable).await?
        }
        other => other?,
    };
    match (found.locked, found.presence, work.presence) {
        (false, ..) => Ok(found),
        (true, Presence::NoSchema, _) => Err(Failure::schema_missing()),
        // Another session has created the table since. The lock is taken a second time; the end of the session
        // releases it.
        (true, Presence::Table, Presence::NoTable) => lock(work, lease, Presence::Table).await,
        _ => Ok(found),
    }
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
        let (sql, mut ran) = (sql.finish(), Ran::default());
        reset_encoding(lease, &sql).await?;
        let citus = lease.citus().await?;
        let sending =
            async |conn: &mut PgConnection| run_script_on(citus, conn, &sql, &mut ran).await;
        let result = run(lease, sending).await;
        result.map_err(|failure| {
            sent.blame(self.work.set, failure.sent_from(ran.from), &sql, ran.ended)
        })
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
                check_built(lease, &site.schema, &Script::up(file)).await?;
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
    loop {
        attempts += 1;
        match work(&what, role, lease, &mut Vec::new(), &mut |_| files += 1).await {
            Ok(Worked::Done) => return Ok(files),
            Ok(Worked::Locked) => {
                let message = "another run is migrating the schema";
                return Err(Failure::new(FailureReason::LockTimeout, message));
            }
            Err(failure) => prepare_retry(failure, attempts, options, lease).await?,
        }
    }
}

/// Waits before another attempt, and ends the failed one; an error if the failure is final.
async fn prepare_retry(
    failure: Failure,
    attempts: u32,
    options: &MigrateOptions,
    lease: &mut Lease,
) -> Result<(), Failure> {
    // The holder of the lease must deal with the lost steps.
    let lost = failure.reason == FailureReason::Connection;
    if lost || !(failure.is_passing() || failure.collision().is_some()) {
        return Err(failure);
    }
    let pause = options.retry.delay_after(attempts, fastrand::f64(), None);
    sleep(pause.ok_or(failure)?).await;
    let rollback = "rollback";
    run(lease, async |conn| conn.execute(sqlx::raw_sql(rollback)).await.map(drop)).await
}

/// Applies the files that a schema lacks within the open transaction. Returns whether this was possible: not if the
/// schema has different files, or needs one that cannot run in a transaction.
pub(crate) async fn catch_up(
    conn: &mut PgConnection,
    set: &Migrations,
    schema: &Ident,
    citus: Option<Citus>,
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
    let (sql, mut ran) = (sql.finish(), Ran::default());
    let result = run_script_on(citus, conn, &sql, &mut ran).await;
    result.map_err(|error| {
        sent.blame(set, Failure::from(error).sent_from(ran.from), &sql, ran.ended)
    })?;
    Ok(true)
}
