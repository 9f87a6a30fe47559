use std::{panic::AssertUnwindSafe, pin::pin, sync::Arc, time::Duration};

use futures_util::{
    FutureExt,
    future::{Either, join_all, pending, select},
};
use parking_lot::Mutex;
use tokio::time::Instant;

use super::{
    EachEnd, EachFailure, EachOptions, EachOutcome, EachReport, TenantEach, failure::BoxError,
};
use crate::{
    db::TenantDb,
    error::{Error, ErrorKind},
    fan_out::{
        board::Board,
        targets::{Found, Named, named},
    },
    fleet::Fleet,
    pool::as_part,
};

/// A run over listed tenants.
struct Run<'a, T, V> {
    fleet: &'a Fleet,
    /// Works on the tenant in this place.
    visit: V,
    board: Mutex<Board<EachEnd, (EachOutcome<T>, Duration)>>,
}

/// Runs work for each tenant, and continues after failures.
pub(crate) async fn for_each<T, E, F, W>(
    fleet: &Fleet,
    options: EachOptions,
    work: F,
) -> Result<EachReport<T>, Error>
where
    F: Fn(TenantDb) -> W,
    W: Future<Output = Result<T, E>>,
    E: Into<BoxError>,
{
    options.check("working on each tenant", "concurrency")?;
    if fleet.server().is_closed() {
        return Err(Error::new(ErrorKind::Closed, "working on each tenant"));
    }
    let tenants = named(fleet, options.only.clone()).await?;
    let (listed, work) = (&tenants, &work);
    let report = visit_each(fleet, &options, &tenants, |place| with(fleet, &listed[place], work));
    Ok(report.await)
}

/// Visits each tenant by its place in the list, and continues after failures.
pub(crate) async fn visit_each<T, V, W>(
    fleet: &Fleet,
    options: &EachOptions,
    tenants: &[Named],
    visit: V,
) -> EachReport<T>
where
    V: Fn(usize) -> W,
    W: Future<Output = EachOutcome<T>>,
{
    let began = Instant::now();
    let board = Mutex::new(Board::new(tenants.len(), options.max_failures));
    let run = Run { fleet, visit, board };
    run.go(options, tenants.len()).await;
    let (end, results) = run.board.into_inner().into_results();
    let tenants = tenants.iter().zip(results).map(|(tenant, result)| {
        let (outcome, duration) = result.unwrap_or((EachOutcome::NotStarted, Duration::ZERO));
        let (server, database) = tenant.names();
        TenantEach { tenant_id: Arc::clone(&tenant.name), server, database, outcome, duration }
    });
    EachReport::new(end.unwrap_or(EachEnd::Completed), tenants.collect(), began.elapsed())
}

/// Runs work on a tenant. It is looked up just before its turn: a run may be long, and the tenant suspended meanwhile.
async fn with<T, E, F, W>(fleet: &Fleet, tenant: &Named, work: &F) -> EachOutcome<T>
where
    F: Fn(TenantDb) -> W,
    W: Future<Output = Result<T, E>>,
    E: Into<BoxError>,
{
    let db = match tenant.find(fleet).await {
        Found::Tenant(db) => db,
        Found::Nothing(error) => {
            return EachOutcome::Failed { error: EachFailure::of(error) };
        }
        Found::Suspended | Found::Shared(_) => return EachOutcome::Skipped,
    };
    // The call itself may panic, too, before there is a future.
    let work = AssertUnwindSafe(as_part(async { work(db).await }));
    match work.catch_unwind().await {
        Ok(Ok(value)) => EachOutcome::Done { value },
        Ok(Err(error)) => EachOutcome::Failed { error: EachFailure::of(error) },
        Err(panic) => EachOutcome::Failed { error: EachFailure::of_panic(&*panic) },
    }
}

impl<T, V, W> Run<'_, T, V>
where
    V: Fn(usize) -> W,
    W: Future<Output = EachOutcome<T>>,
{
    async fn go(&self, options: &EachOptions, tenants: usize) {
        let places = self.fleet.server().places_for_tenants().max(1);
        let workers = options.concurrency.min(places).min(tenants);
        let work = join_all((0..workers).map(|_| self.worker()));
        let stop = pin!(self.told_to_stop(options));
        if let Either::Left((end, work)) = select(stop, work).await {
            self.board.lock().stop(end);
            work.await;
        }
    }

    async fn told_to_stop(&self, options: &EachOptions) -> EachEnd {
        let closing = pin!(self.fleet.server().closing().cancelled());
        let stop = match options.stop.clone() {
            Some(stop) => stop.left_future(),
            None => pending().right_future(),
        };
        match select(closing, stop).await {
            Either::Left(_) => EachEnd::Closing,
            Either::Right(_) => EachEnd::Stopped,
        }
    }

    async fn worker(&self) {
        loop {
            let next = self.board.lock().next();
            let Some(place) = next else { return };
            let began = Instant::now();
            let outcome = (self.visit)(place).await;
            let failed = matches!(outcome, EachOutcome::Failed { .. });
            let (result, mut board) = ((outcome, began.elapsed()), self.board.lock());
            match failed {
                true => board.note_failure(place, result, EachEnd::MaxFailures),
                false => board.note(place, result),
            }
        }
    }
}
