//! Runs a job over many schemas, stage by stage and with limited concurrency, until all are done or it has to stop.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    time::Duration,
};

use futures_util::future::{Either, join_all, select};
use parking_lot::Mutex;
use tokio::time::{Instant, sleep, sleep_until};

use super::{
    Action, End, Failure, FailureReason, FileDone, MigrateOptions, Migrations, Outcome, Progress,
    TenantMigration, WhenLocked,
    apply::{Work, Worked, work},
    board::{Board, Next},
    hint::explained,
    plan::{Job, Step, steps, were_applied},
    privileges, sqlx_lock,
    survey::{self, Recorded},
    targets::Target,
    tracking::Presence,
};
use crate::{
    catalog::Site,
    event::{Event, Migrated},
    fleet::Fleet,
    pool::Lease,
};

/// What to do, and how.
pub(super) struct Order<'a> {
    pub(super) fleet: &'a Fleet,
    pub(super) job: Job,
    pub(super) set: &'a Migrations,
    pub(super) options: &'a MigrateOptions,
}

/// A run over schemas whose records were read.
struct Run<'a> {
    order: &'a Order<'a>,
    began: Instant,
    todo: Vec<Option<Todo>>,
    /// The result of each schema so far.
    results: Mutex<Vec<TenantMigration>>,
    board: Mutex<Board>,
}

/// A schema with pending work.
struct Todo {
    site: Site,
    presence: Presence,
    /// The versions to apply; empty for other jobs.
    versions: Vec<i64>,
    /// Steps whose outcome is unknown, because the response was lost.
    lost: Mutex<Vec<Step>>,
    /// Why it is to be retried after others.
    collided: Mutex<Option<Failure>>,
}

/// Which run has handled a schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum DoneBy {
    Us,
    Others,
    /// Another run is working on it.
    NotYet,
    /// It collided with others, and is retried after them.
    Again,
}

/// Whether a failed schema is retried.
enum Again {
    In(Duration),
    AfterOthers,
    Never,
}

/// Schemas that must be completed before later stages start.
struct Stage {
    schemas: Vec<usize>,
    /// Whether none of the others begins unless all of these succeed.
    is_canary: bool,
}

impl Order<'_> {
    /// Does the job in all of these schemas, and returns the results.
    pub(super) async fn over(
        &self,
        targets: Vec<(Target, Result<Recorded, Failure>)>,
    ) -> (End, Vec<TenantMigration>) {
        let Self { options, fleet, .. } = self;
        let is_ours = |recorded: &Result<Recorded, Failure>| {
            recorded.as_ref().err().is_none_or(|failure| !failure.is_put_aside())
        };
        let ours = targets.iter().filter(|(_, recorded)| is_ours(recorded));
        let sites = ours.filter_map(|(target, _)| target.site.as_ref().ok());
        let granted: Vec<_> = sites.filter(|site| site.grantee.is_some()).cloned().collect();
        let (mut todo, mut results) = (Vec::new(), Vec::new());
        for (target, recorded) in targets {
            let (outcome, what) = self.look(recorded);
            let (name, schema) = (target.name_of_tenant(), target.schema());
            results.push(TenantMigration::new(name, schema, outcome));
            let both = target.site.ok().zip(what);
            todo.push(both.map(|(site, (presence, versions))| {
                let (lost, collided) = (Mutex::default(), Mutex::default());
                Todo { site, presence, versions, lost, collided }
            }));
        }
        let run = Run {
            order: self,
            began: Instant::now(),
            todo,
            results: Mutex::new(results),
            board: Mutex::new(Board::new(options.on_failure, options.error_budget)),
        };
        run.go().await;
        if matches!(self.job, Job::Apply { .. }) {
            privileges::catch_up(fleet, &granted).await;
        }
        let end = run.board.into_inner().stopped().unwrap_or(End::Completed);
        (end, run.results.into_inner())
    }

    /// Determines whether there is anything to do in a schema.
    fn look(&self, recorded: Result<Recorded, Failure>) -> (Outcome, Option<(Presence, Vec<i64>)>) {
        let steps = recorded.and_then(|recorded| {
            let steps = steps(self.job, self.set, &recorded.applied, self.options.leniency())?;
            Ok((recorded.presence, steps))
        });
        match steps {
            Ok((_, steps)) if steps.is_empty() => (Outcome::UpToDate, None),
            Ok((presence, steps)) => {
                let applied = steps.iter().filter(|step| step.action == Action::Applied);
                let versions = applied.map(|step| step.version).collect();
                (Outcome::NotStarted, Some((presence, versions)))
            }
            // Another run may be executing it at the moment: the lock holder will know.
            Err(error) if error.reason == FailureReason::Dirty => {
                (Outcome::NotStarted, Some((Presence::Table, Vec::new())))
            }
            Err(error) if error.reason == FailureReason::Doubtful => {
                (Outcome::Doubtful { error }, None)
            }
            Err(error) => (Outcome::Failed { error }, None),
        }
    }
}

/// The result of some attempts in a schema.
#[derive(Default)]
struct Tried {
    /// `None` if the schema has to be tried again later.
    outcome: Option<Outcome>,
    attempts: u32,
    files: Vec<FileDone>,
    /// Steps whose outcome is unknown.
    lost: Vec<Step>,
    /// Whether concurrent work was in the way.
    collided: bool,
}

impl Run<'_> {
    async fn go(&self) {
        let done_with = (0..self.todo.len()).filter(|schema| self.todo[*schema].is_none());
        done_with.for_each(|schema| self.note_end(schema));
        let stages = self.stages();
        for (index, stage) in stages.iter().enumerate() {
            let open = stage.schemas.iter().copied();
            let open: Vec<_> = open.filter(|schema| self.todo[*schema].is_some()).collect();
            self.board.lock().add(&open);
            if !open.is_empty()
                && sqlx_lock::wait(self.order.fleet, self.order.options).await.is_err()
            {
                tracing::debug!(target: "tenantry::migrate", "sqlx's lock could not be checked");
            }
            self.work_off(open.len()).await;
            if stage.is_canary && index + 1 < stages.len() && !self.all_well(stage) {
                self.board.lock().stop(End::CanaryFailed);
            }
        }
    }

    /// Splits the schemas into stages: the canaries first, then the waves.
    fn stages(&self) -> Vec<Stage> {
        let options = self.order.options;
        let results = self.results.lock();
        let is_canary = |schema: &usize| {
            let name = results[*schema].tenant_id.as_deref();
            name.is_some_and(|name| options.canary.contains(name))
        };
        let (canary, others): (Vec<_>, Vec<_>) = (0..results.len()).partition(is_canary);
        let waves = others.chunks(options.wave.unwrap_or(usize::MAX)).map(<[_]>::to_vec);
        let waves = waves.map(|schemas| Stage { schemas, is_canary: false });
        let first = (!canary.is_empty()).then_some(Stage { schemas: canary, is_canary: true });
        first.into_iter().chain(waves).collect()
    }

    fn all_well(&self, stage: &Stage) -> bool {
        let results = self.results.lock();
        stage.schemas.iter().all(|schema| results[*schema].is_success())
    }

    /// Processes the queue, which has this number of schemas.
    async fn work_off(&self, open: usize) {
        let Order { fleet, options, .. } = self.order;
        // One connection can hold the lock that announces this run.
        let places = fleet.server().places_for_upkeep();
        let places = places.saturating_sub(1).max(1);
        let workers = options.concurrency.min(places).min(open);
        let work = join_all((0..workers).map(|_| self.worker()));
        match options.stop.clone() {
            None => drop(work.await),
            Some(signal) => {
                if let Either::Left(((), work)) = select(signal, work).await {
                    self.board.lock().stop(End::Stopped);
                    work.await;
                }
            }
        }
        let given_up = self.board.lock().given_up();
        for schema in given_up {
            let error = self.todo[schema].as_ref().and_then(|todo| todo.collided.lock().take());
            if let Some(error) = error {
                self.results.lock()[schema].outcome = Outcome::Failed { error };
                self.note_end(schema);
            }
        }
    }

    /// Processes one schema after the other, and keeps its connection while no request waits for one.
    async fn worker(&self) {
        let mut lease = None;
        loop {
            let next = self.board.lock().next(self.began.elapsed());
            match next {
                Next::Nothing => return settle(lease.take()).await,
                Next::Wait(until) => {
                    // While waiting, a worker holds neither a connection nor a lock.
                    settle(lease.take()).await;
                    sleep_until(self.began + until).await;
                }
                Next::Schema(schema, _) | Next::Alone(schema) => {
                    let alone = matches!(next, Next::Alone(_));
                    let by = self.migrate(schema, alone, &mut lease).await;
                    self.board.lock().leave();
                    if let Next::Schema(_, turned) = next
                        && self.note_who(schema, by, turned)
                    {
                        settle(lease.take()).await;
                        self.review().await;
                    }
                    // Gives other waiting tasks their turn.
                    let waited_for = self.order.fleet.server().is_waited_for();
                    if waited_for || lease.as_ref().is_some_and(Lease::is_spent) {
                        settle(lease.take()).await;
                    }
                }
            }
        }
    }

    /// Records which run has handled a schema. Returns `true` if all remaining schemas should be reviewed.
    fn note_who(&self, schema: usize, by: DoneBy, turned: u32) -> bool {
        let mut board = self.board.lock();
        if by == DoneBy::NotYet {
            board.postpone(self.began.elapsed(), schema);
        }
        match by {
            DoneBy::Us => {
                board.met_nobody();
                false
            }
            DoneBy::Others | DoneBy::NotYet => board.met_somebody(turned, fastrand::f64()),
            DoneBy::Again => false,
        }
    }

    async fn migrate(&self, schema: usize, alone: bool, lease: &mut Option<Lease>) -> DoneBy {
        let Some(todo) = &self.todo[schema] else { return DoneBy::Us };
        let began = Instant::now();
        let mut tried = self.attempts(todo, (schema, alone), lease).await;
        if alone && let Some(outcome) = &tried.outcome {
            let error = if let Outcome::Failed { error } = outcome { Some(error) } else { None };
            self.board.lock().was_alone(error.is_some_and(|error| error.collision().is_some()));
        }
        if !tried.files.is_empty() {
            self.order.fleet.note_change(&todo.site);
        }
        {
            let result = &mut self.results.lock()[schema];
            result.files.append(&mut tried.files);
            result.attempts += tried.attempts;
            result.duration += began.elapsed();
            if let Some(outcome) = &tried.outcome {
                result.outcome = outcome.clone();
            }
        }
        let by = match tried.outcome {
            None => {
                *todo.lost.lock() = tried.lost;
                return if tried.collided { DoneBy::Again } else { DoneBy::NotYet };
            }
            Some(Outcome::UpToDate | Outcome::Skipped) => DoneBy::Others,
            Some(_) => DoneBy::Us,
        };
        self.note_end(schema);
        by
    }

    /// Makes attempts until the outcome is known, or the schema has to wait for others.
    async fn attempts(
        &self,
        todo: &Todo,
        (schema, alone): (usize, bool),
        lease: &mut Option<Lease>,
    ) -> Tried {
        let Todo { site, presence, .. } = todo;
        let Order { fleet, job, set, options } = *self.order;
        let (name, seen, earlier) = {
            let result = &self.results.lock()[schema];
            (result.tenant_id.clone(), result.attempts > 0, result.files.len())
        };
        let name = name.as_deref();
        if !seen {
            self.tell(&Progress::Started { tenant: name });
        }
        let work = Work { job, set, site, options, presence: *presence };
        let lost = std::mem::take(&mut *todo.lost.lock());
        let mut tried = Tried { lost, ..Tried::default() };
        let mut first = None;
        tried.outcome = loop {
            tried.attempts += 1;
            let done = (&mut tried.files, &mut tried.lost);
            match self.attempt(&work, name, lease, done).await {
                Ok(Worked::Locked) if options.when_locked == WhenLocked::Wait => break None,
                Ok(Worked::Locked) => break Some(Outcome::Skipped),
                Ok(Worked::Done) if tried.files.len() + earlier == 0 => {
                    break Some(Outcome::UpToDate);
                }
                Ok(Worked::Done) => break Some(job.outcome()),
                Err(error) => match self.again(&error, (schema, alone), tried.attempts) {
                    Again::In(pause) => {
                        first.get_or_insert(error);
                        sleep(pause).await;
                    }
                    Again::Never => {
                        let path = &site.occupant.binding.search_path;
                        let error = explained(fleet, path, error).await.after(first);
                        break Some(Outcome::Failed { error });
                    }
                    Again::AfterOthers => {
                        *todo.collided.lock() = Some(error);
                        tried.collided = true;
                        break None;
                    }
                },
            }
        };
        tried
    }

    /// Reviews all remaining schemas at once, because another run is active and may have handled many of them.
    async fn review(&self) {
        let Some(left) = self.board.lock().begin_review(self.began.elapsed()) else { return };
        let places = left.into_iter().filter_map(|place| Some((place, self.todo[place].as_ref()?)));
        let places: Vec<_> = places.filter(|(_, todo)| !todo.versions.is_empty()).collect();
        let schemas: Vec<_> = places
            .iter()
            .filter_map(|(_, todo)| Some((&todo.site.schema, *todo.versions.first()?)))
            .collect();
        let Order { fleet, set, options, .. } = self.order;
        // Anything that cannot be determined now is determined when the schema's turn comes.
        let found = survey::read_from(fleet, &schemas).await.unwrap_or_default();
        let done = places.iter().zip(found).filter_map(|((place, todo), found)| {
            let done = were_applied(set, &todo.versions, &found?, options.leniency());
            done.then_some(*place)
        });
        let gone = self.board.lock().end_review(self.began.elapsed(), &done.collect());
        for place in gone {
            self.results.lock()[place].outcome = Outcome::UpToDate;
            self.note_end(place);
        }
    }

    async fn attempt(
        &self,
        what: &Work<'_>,
        name: Option<&str>,
        lease: &mut Option<Lease>,
        (files, lost): (&mut Vec<FileDone>, &mut Vec<Step>),
    ) -> Result<Worked, Failure> {
        let role = self.order.fleet.role_of(what.site).await?;
        let mut held = match lease.take() {
            Some(held) => held,
            None => self.order.fleet.lease().await?,
        };
        let mut done = |file: FileDone| {
            self.tell(&Progress::File { tenant: name, file: &file });
            files.push(file);
        };
        let worked = work(what, role.as_ref(), &mut held, lost, &mut done).await;
        match worked {
            Ok(_) => *lease = Some(held),
            Err(_) => held.settle().await,
        }
        worked
    }

    /// Decides whether and when to retry after this number of attempts.
    fn again(&self, error: &Failure, (schema, alone): (usize, bool), attempts: u32) -> Again {
        let Order { fleet, options, .. } = self.order;
        let mut board = self.board.lock();
        let attempts = attempts + board.collisions(schema);
        let pause = options.retry.delay_after(attempts, fastrand::f64(), None);
        let Some(pause) = pause.filter(|_| !fleet.server().is_closed()) else {
            return Again::Never;
        };
        if let Some(how) = error.collision()
            && !alone
            && board.collided(self.began.elapsed(), schema, how, fastrand::f64())
        {
            return Again::AfterOthers;
        }
        if error.is_passing() { Again::In(pause) } else { Again::Never }
    }

    /// Counts and reports the result of a schema.
    fn note_end(&self, schema: usize) {
        let (result, total) = {
            let results = self.results.lock();
            (results[schema].clone(), results.len())
        };
        let done = self.board.lock().ended(&result.outcome);
        let meters = &self.order.fleet.server().observer.meters;
        meters.migrated(result.outcome.as_str(), result.duration);
        if !matches!(result.outcome, Outcome::UpToDate) {
            let told = Event::Migrated(Migrated {
                tenant_id: result.tenant_id.clone(),
                schema: result.schema.clone(),
                outcome: result.outcome.as_str(),
                files: result.files.len(),
                duration: result.duration,
                error: result.error().map(|error| error.to_string().into()),
            });
            self.order.fleet.server().observer.tell(told);
        }
        self.tell(&Progress::Ended { tenant: &result, done, total });
    }

    fn tell(&self, progress: &Progress<'_>) {
        let Order { fleet, options, .. } = self.order;
        if let Some(on_progress) = &options.on_progress
            && catch_unwind(AssertUnwindSafe(|| on_progress(progress))).is_err()
        {
            fleet.server().observer.meters.hook_failures.inc();
            tracing::error!(target: "tenantry::hook", "the progress callback of a migration panicked");
        }
    }
}

async fn settle(lease: Option<Lease>) {
    if let Some(lease) = lease {
        lease.settle().await;
    }
}
