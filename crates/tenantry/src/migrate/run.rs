//! Runs a job over many schemas, stage by stage and with limited concurrency, until all are done or it has to stop.

use std::{
    collections::HashSet,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};

use futures_util::future::{Either, join_all, select};
use parking_lot::Mutex;
use tokio::time::{Instant, sleep, sleep_until};

use super::{
    Action, End, Failure, FailureReason, FileDone, MigrateOptions, Migrations, Outcome, Progress,
    TenantMigration, WhenLocked,
    apply::{Work, Worked, work},
    board::Next,
    hint::explained,
    lane::Lane,
    memory::{Announced, Memory, WorkedOn, announce},
    plan::{Job, Step, steps, were_applied},
    privileges,
    remembered::{Seen, files_of},
    sqlx_lock,
    survey::{self, Recorded},
    tally::{Concerns, Tally},
    targets::Target,
    tracking::Presence,
};
use crate::{
    catalog::Site,
    error::Error,
    event::{Event, Migrated},
    fleet::{Fleet, InHome, in_each_home},
    pool::Lease,
};

/// What to do, and how.
pub(super) struct Order<'a> {
    pub(super) fleet: &'a Fleet,
    pub(super) job: Job,
    pub(super) set: &'a Migrations,
    pub(super) options: &'a MigrateOptions,
    /// What was remembered before the tenants were looked at, if what was seen is to be remembered.
    pub(super) memory: Option<&'a Memory>,
}

/// A run over schemas whose records were read.
struct Run<'a> {
    order: &'a Order<'a>,
    began: Instant,
    todo: Vec<Option<Todo>>,
    /// The result of each schema so far.
    results: Mutex<Vec<TenantMigration>>,
    tally: Mutex<Tally>,
    /// The servers.
    lanes: Vec<Lane>,
    /// The server of each schema, by its index.
    lane_of: Vec<Option<usize>>,
}

/// A schema with pending work.
struct Todo {
    site: Site,
    presence: Presence,
    /// The identity of the schema when it was looked at.
    seen: Seen,
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

impl<'a> Order<'a> {
    /// Does the job in all of these schemas, and returns the results.
    pub(super) async fn over(
        &self,
        targets: Vec<(Target, Result<Recorded, Failure>)>,
    ) -> (End, Vec<TenantMigration>) {
        let Self { options, fleet, .. } = self;
        let (lanes, lane_of) = Lane::all(fleet, targets.iter().map(|(target, _)| target));
        let is_ours = |recorded: &Result<Recorded, Failure>| {
            recorded.as_ref().err().is_none_or(|failure| !failure.is_put_aside())
        };
        let ours = targets.iter().filter(|(_, recorded)| is_ours(recorded));
        let ours = ours.filter(|(_, recorded)| !is_remembered(recorded));
        let sites = ours.filter_map(|(target, _)| target.site.as_ref().ok());
        let granted: Vec<_> = sites.filter(|site| site.grantee.is_some()).cloned().collect();
        let (mut todo, mut results, mut complete) = (Vec::new(), Vec::new(), Vec::new());
        for (target, recorded) in targets {
            let seen = recorded.as_ref().map_or_else(|_| Seen::default(), |recorded| recorded.seen);
            let (outcome, what) = still(target.site.as_ref(), self.look(recorded));
            if let (Outcome::UpToDate, true, Ok(site)) =
                (&outcome, seen.database != 0, &target.site)
            {
                complete.push((Arc::clone(&target.name), site.clone(), seen));
            }
            let (name, schema) = (target.name_of_tenant(), target.schema());
            let result = TenantMigration::new(name, schema, outcome).of_rows(target.row_tenants);
            results.push(result.at(fleet.names_of(target.home())));
            let both = target.site.ok().zip(what);
            todo.push(both.map(|(site, (presence, versions))| {
                let (lost, collided) = (Mutex::default(), Mutex::default());
                Todo { site, presence, seen, versions, lost, collided }
            }));
        }
        let announced = self.announce_all(&mut todo, &mut results).await;
        let run = Run {
            order: self,
            began: Instant::now(),
            todo,
            results: Mutex::new(results),
            tally: Mutex::new(Tally::new(options.on_failure, options.error_budget)),
            lanes,
            lane_of,
        };
        run.go().await;
        if let Some(announced) = announced {
            let results = run.results.lock().clone();
            let files = files_of(self.set, options.leniency());
            announced.end(&files, &worked_on(&run.todo, &results)).await;
        }
        if let Some(memory) = self.memory {
            memory.note(fleet, &complete).await;
        }
        if matches!(self.job, Job::Apply { .. }) {
            privileges::catch_up(fleet, &granted).await;
        }
        let end = run.tally.into_inner().stopped().unwrap_or(End::Completed);
        (end, run.results.into_inner())
    }

    /// Announces that the records of all schemas with pending work are about to change. If that is necessary and
    /// cannot be done, none of them is changed.
    async fn announce_all(
        &self,
        todo: &mut [Option<Todo>],
        results: &mut [TenantMigration],
    ) -> Option<Announced<'a>> {
        let with_work = results.iter().zip(&*todo).filter(|(_, todo)| todo.is_some());
        let names: Vec<_> =
            with_work.filter_map(|(result, _)| result.tenant_id.as_deref()).collect();
        let error = match announce(self.fleet, self.job, &names).await {
            Ok(announced) => return announced,
            Err(error) => error,
        };
        for (todo, result) in todo.iter_mut().zip(results).filter(|(todo, _)| todo.is_some()) {
            *todo = None;
            result.outcome = Outcome::Failed { error: error.clone() };
        }
        None
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

/// Returns `true` if a tenant was not looked at, because it is remembered to have all files.
fn is_remembered(recorded: &Result<Recorded, Failure>) -> bool {
    recorded
        .as_ref()
        .is_ok_and(|found| found.presence == Presence::Table && found.seen == Seen::default())
}

fn worked_on<'a>(todo: &'a [Option<Todo>], results: &'a [TenantMigration]) -> Vec<WorkedOn<'a>> {
    let both = todo.iter().zip(results);
    let worked_on = both.filter_map(|(todo, result)| {
        let Todo { site, seen, .. } = todo.as_ref()?;
        Some(WorkedOn { result, site, before: *seen })
    });
    worked_on.collect()
}

/// Refuses to change a schema that is being moved.
fn still<W>(
    site: Result<&Site, &Error>,
    (outcome, what): (Outcome, Option<W>),
) -> (Outcome, Option<W>) {
    match (site.map(Site::refuse_moving), &what) {
        (Ok(Err(moving)), Some(_)) => {
            let error = Failure::new(FailureReason::Tenant, moving.to_string());
            (Outcome::Failed { error }, None)
        }
        _ => (outcome, what),
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
            self.work_off(&open).await;
            if stage.is_canary && index + 1 < stages.len() && !self.all_well(stage) {
                self.tally.lock().stop(End::CanaryFailed);
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

    /// Processes these schemas, on all servers at a time.
    async fn work_off(&self, open: &[usize]) {
        let options = self.order.options;
        let work = self.lanes.iter().enumerate().map(|(index, lane)| {
            let here = open.iter().copied();
            let here = here.filter(|schema| self.lane_of[*schema] == Some(index));
            lane.watched(self.work_off_lane(lane, here.collect()))
        });
        let work = join_all(work);
        match options.stop.clone() {
            None => drop(work.await),
            Some(signal) => {
                if let Either::Left(((), work)) = select(signal, work).await {
                    self.tally.lock().stop(End::Stopped);
                    work.await;
                }
            }
        }
        if self.tally.lock().stopped().is_some() {
            self.lanes.iter().for_each(|lane| self.give_up(lane));
        }
    }

    /// Processes schemas of one server.
    async fn work_off_lane(&self, lane: &Lane, open: Vec<usize>) {
        let options = self.order.options;
        if open.iter().any(|schema| self.is_in_database_of_url(*schema)) {
            let wait = lane.unless_away(sqlx_lock::wait(&lane.fleet, options));
            if wait.await.is_err() {
                tracing::debug!(target: "tenantry::migrate", "sqlx's lock could not be checked");
            }
        }
        lane.board.lock().add(&open);
        // One connection can hold the lock that announces this run, or check that the server answers.
        let places = lane.fleet.server().places_for_upkeep();
        let places = places.saturating_sub(1).max(1);
        let workers = options.concurrency.min(places).min(open.len());
        join_all((0..workers).map(|_| self.worker(lane))).await;
    }

    fn is_in_database_of_url(&self, schema: usize) -> bool {
        self.todo[schema].as_ref().is_some_and(|todo| todo.site.home.database().is_none())
    }

    /// Ends the schemas of a server that were to be retried.
    fn give_up(&self, lane: &Lane) {
        let given_up = lane.board.lock().given_up();
        for schema in given_up {
            let error = self.todo[schema].as_ref().and_then(|todo| todo.collided.lock().take());
            if let Some(error) = error {
                self.results.lock()[schema].outcome = Outcome::Failed { error };
                self.note_end(schema);
            }
        }
    }

    /// Processes one schema after the other, and keeps its connection while no request waits for one.
    async fn worker(&self, lane: &Lane) {
        let mut lease = None;
        loop {
            let stopped = self.tally.lock().stopped().is_some();
            let next =
                if stopped { Next::Nothing } else { lane.board.lock().next(self.began.elapsed()) };
            match next {
                Next::Nothing => return settle(lease.take()).await,
                Next::Wait(until) => {
                    // While waiting, a worker holds neither a connection nor a lock.
                    settle(lease.take()).await;
                    sleep_until(self.began + until).await;
                }
                Next::Schema(schema, _) | Next::Alone(schema) => {
                    let alone = matches!(next, Next::Alone(_));
                    let by = self.migrate(lane, (schema, alone), &mut lease).await;
                    lane.board.lock().leave();
                    if let Next::Schema(_, turned) = next
                        && self.note_who(lane, schema, by, turned)
                    {
                        settle(lease.take()).await;
                        self.review(lane).await;
                    }
                    // Gives other waiting tasks their turn.
                    let waited_for = lane.fleet.server().is_waited_for();
                    if waited_for || lease.as_ref().is_some_and(Lease::is_spent) {
                        settle(lease.take()).await;
                    }
                }
            }
        }
    }

    /// Records which run has handled a schema. Returns `true` if all remaining schemas should be reviewed.
    fn note_who(&self, lane: &Lane, schema: usize, by: DoneBy, turned: u32) -> bool {
        let mut board = lane.board.lock();
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

    async fn migrate(
        &self,
        lane: &Lane,
        (schema, alone): (usize, bool),
        lease: &mut Option<Lease>,
    ) -> DoneBy {
        let Some(todo) = &self.todo[schema] else { return DoneBy::Us };
        let began = Instant::now();
        let mut tried = self.attempts(lane, todo, (schema, alone), lease).await;
        if alone && let Some(outcome) = &tried.outcome {
            let error = if let Outcome::Failed { error } = outcome { Some(error) } else { None };
            lane.board.lock().was_alone(error.is_some_and(|error| error.collision().is_some()));
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
        lane: &Lane,
        todo: &Todo,
        (schema, alone): (usize, bool),
        lease: &mut Option<Lease>,
    ) -> Tried {
        let Todo { site, presence, .. } = todo;
        let Order { job, set, options, .. } = *self.order;
        let fleet = &lane.fleet.at(&site.home);
        let (name, seen, earlier) = {
            let result = &self.results.lock()[schema];
            (result.tenant_id.clone(), result.attempts > 0, result.files.len())
        };
        let name = name.as_deref();
        if !seen {
            self.tell(&Progress::Started { tenant: name });
        }
        let work = (fleet, &Work { job, set, site, options, presence: *presence });
        let lost = std::mem::take(&mut *todo.lost.lock());
        let mut tried = Tried { lost, ..Tried::default() };
        let mut first = None;
        tried.outcome = loop {
            tried.attempts += 1;
            let done = (&mut tried.files, &mut tried.lost);
            let attempt = self.attempt(work, name, lease, done);
            match lane.unless_away(attempt).await {
                Ok(Worked::Locked) if options.when_locked == WhenLocked::Wait => break None,
                Ok(Worked::Locked) => break Some(Outcome::Skipped),
                Ok(Worked::Done) if tried.files.len() + earlier == 0 => {
                    break Some(Outcome::UpToDate);
                }
                Ok(Worked::Done) => break Some(job.outcome()),
                Err(error) => match self.again(lane, &error, (schema, alone), tried.attempts) {
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
    async fn review(&self, lane: &Lane) {
        let Some(left) = lane.board.lock().begin_review(self.began.elapsed()) else { return };
        let places = left.into_iter().filter_map(|place| Some((place, self.todo[place].as_ref()?)));
        let places: Vec<_> = places.filter(|(_, todo)| !todo.versions.is_empty()).collect();
        let homes = places.iter().map(|(_, todo)| Some(&todo.site.home));
        let Order { fleet, set, options, .. } = self.order;
        let of = &places;
        let read = |fleet: Fleet, places: Vec<usize>| async move {
            let todo = places.iter().map(|place| of[*place].1);
            let schemas =
                todo.filter_map(|todo| Some((&todo.site.schema, *todo.versions.first()?)));
            survey::read_from(&fleet, &schemas.collect::<Vec<_>>()).await
        };
        // Anything that cannot be determined now is determined when the schema's turn comes.
        let found = in_each_home(fleet, homes, read).await.unwrap_or_default();
        let mut done = HashSet::new();
        for InHome { places: here, result, .. } in found {
            for (place, found) in here.into_iter().zip(result.unwrap_or_default()) {
                let (schema, todo) = places[place];
                if found.is_some_and(|found| {
                    were_applied(set, &todo.versions, &found, options.leniency())
                }) {
                    done.insert(schema);
                }
            }
        }
        let gone = lane.board.lock().end_review(self.began.elapsed(), &done);
        for place in gone {
            self.results.lock()[place].outcome = Outcome::UpToDate;
            self.note_end(place);
        }
    }

    async fn attempt(
        &self,
        (fleet, what): (&Fleet, &Work<'_>),
        name: Option<&str>,
        lease: &mut Option<Lease>,
        (files, lost): (&mut Vec<FileDone>, &mut Vec<Step>),
    ) -> Result<Worked, Failure> {
        let role = fleet.role_of(what.site).await?;
        let home = what.site.home.database();
        let held = lease.take();
        let (held, elsewhere) = match held {
            Some(held) if held.occupant().home().database() == home => (Some(held), None),
            other => (None, other),
        };
        settle(elsewhere).await;
        let mut held = match held {
            Some(held) => held,
            None => lease_in(fleet, self.order.options).await?,
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
    fn again(
        &self,
        lane: &Lane,
        error: &Failure,
        (schema, alone): (usize, bool),
        attempts: u32,
    ) -> Again {
        let options = self.order.options;
        let mut board = lane.board.lock();
        let attempts = attempts + board.collisions(schema);
        let pause = options.retry.delay_after(attempts, fastrand::f64(), None);
        let goes_on = !lane.fleet.server().is_closed() && lane.away().is_none();
        let Some(pause) = pause.filter(|_| goes_on) else {
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
        let lane = self.lane_of[schema].map(|lane| &self.lanes[lane]);
        let concerns = lane.map_or(Concerns::All, Lane::concerns);
        let done = self.tally.lock().ended(&result.outcome, concerns);
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
                server: result.server.clone(),
                database: result.database.clone(),
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

/// Checks out a connection in a fleet's database. A database of one tenant is only connected to when the tenant's
/// turn comes, so this is where its lock of sqlx's migrator is waited for.
async fn lease_in(fleet: &Fleet, options: &MigrateOptions) -> Result<Lease, Failure> {
    if fleet.home().database().is_some() && sqlx_lock::wait(fleet, options).await.is_err() {
        tracing::debug!(target: "tenantry::migrate", "sqlx's lock could not be checked");
    }
    Ok(fleet.lease().await?)
}

async fn settle(lease: Option<Lease>) {
    if let Some(lease) = lease {
        lease.settle().await;
    }
}
