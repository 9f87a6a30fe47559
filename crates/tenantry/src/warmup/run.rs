use std::{
    collections::{HashMap, HashSet},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use futures_util::{StreamExt, future::BoxFuture, stream};
use tokio::time::Instant;

use super::{TenantWarmUp, WarmUp, WarmUpReport, WarmUpStatus};
use crate::{
    db::TenantDb,
    error::Error,
    event::{Event, WarmedUp},
    pool::{Lease, Server},
};

/// Finds the handle of a tenant by its id as text.
pub(crate) type Tenants<'a> =
    dyn Fn(Arc<str>) -> BoxFuture<'a, Result<TenantDb, Error>> + Send + Sync + 'a;

/// Binds a connection to each of these tenants, within the budget of its server.
///
/// All are looked up before the first connection is taken, because the catalog may need one, too.
pub(crate) async fn warm_up(
    main: &Arc<Server>,
    find: &Tenants<'_>,
    named: Vec<Arc<str>>,
    options: &WarmUp,
) -> WarmUpReport {
    let began = Instant::now();
    let mut seen = HashSet::new();
    let named: Vec<_> = named.into_iter().filter(|name| seen.insert(Arc::clone(name))).collect();
    let look_up = stream::iter(named).map(|name| {
        let found = find(Arc::clone(&name));
        async move { (name, found.await) }
    });
    let found: Vec<_> = look_up.buffered(options.concurrency).collect().await;
    let mut places = HashMap::new();
    let run = stream::iter(found.into_iter().enumerate()).map(|(index, (name, found))| {
        let server = found.as_ref().map_or(main, TenantDb::server);
        let places =
            places.entry(Arc::as_ptr(server).addr()).or_insert_with(|| server.places_for_tenants());
        // The first tenants of a server to get here have places.
        let place = found.is_ok() && *places > 0;
        *places -= usize::from(place);
        let server = Arc::clone(server);
        let ping = options.ping;
        async move {
            let began = Instant::now();
            let (status, lease) = match found {
                Ok(db) => warm(&db, place, ping).await,
                Err(error) => (failed(error), None),
            };
            let detail = TenantWarmUp { tenant_id: name, status, duration: began.elapsed() };
            (index, server, detail, lease)
        }
    });
    let mut run = run.buffer_unordered(options.concurrency);
    let mut details = Vec::new();
    // A request that waits for a connection gets the next free one: warmed connections would go to
    // the tenants that are still waiting, so they are held until all are done.
    let mut held = Vec::new();
    while let Some((index, server, detail, lease)) = run.next().await {
        tell(&server, options, &detail);
        details.push((index, detail));
        held.extend(lease);
    }
    drop(held);
    details.sort_unstable_by_key(|(index, _)| *index);
    let details = details.into_iter().map(|(_, detail)| detail).collect();
    WarmUpReport::new(details, began.elapsed())
}

async fn warm(db: &TenantDb, place: bool, ping: bool) -> (WarmUpStatus, Option<Lease>) {
    let already = db.is_warm();
    if !place {
        let status = if already { WarmUpStatus::AlreadyWarm } else { WarmUpStatus::OverBudget };
        return (status, None);
    }
    // Acquiring a connection binds it.
    let lease = match ping {
        true => db.acquire_alive().await,
        false => db.acquire_for_library().await,
    };
    match lease {
        // It is a transaction, which the server must not keep open.
        Ok(lease) if lease.is_fleeting() => (WarmUpStatus::Warmed, None),
        Ok(lease) if already => (WarmUpStatus::AlreadyWarm, Some(lease)),
        Ok(lease) => (WarmUpStatus::Warmed, Some(lease)),
        Err(error) => (failed(error), None),
    }
}

fn failed(error: Error) -> WarmUpStatus {
    WarmUpStatus::Failed { error: Arc::new(error) }
}

fn tell(server: &Server, options: &WarmUp, detail: &TenantWarmUp) {
    server.observer.tell(Event::WarmUp(WarmedUp {
        tenant_id: Arc::clone(&detail.tenant_id),
        status: detail.status.as_str(),
        duration: detail.duration,
        server: None,
    }));
    if let Some(progress) = &options.on_progress {
        let told = catch_unwind(AssertUnwindSafe(|| progress(&detail.tenant_id, &detail.status)));
        if told.is_err() {
            server.observer.meters.hook_failures.inc();
            tracing::error!(target: "tenantry::hook", "the progress callback of a warm-up panicked");
        }
    }
}
