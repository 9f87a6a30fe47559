//! Events in `tracing`.

use tracing::{debug, info, trace, warn};

use super::{BreakerState, CatalogOutage, Event, Migrated, kinds::as_millis};

/// Emits an event to the subscriber. The message is the same word as in the text line.
pub(super) fn trace(event: &Event) {
    let tenant = event.tenant();
    match event {
        Event::Query(of) => debug!(
            target: "tenantry::query",
            tenant,
            schema = &*of.schema,
            query = of.statement,
            duration_ms = as_millis(of.duration),
            rows = of.rows,
            failed = of.error.map(|class| class.as_str()),
        ),
        Event::SlowQuery(of) => warn!(
            target: "tenantry::query",
            tenant,
            schema = &*of.schema,
            duration_ms = as_millis(of.duration),
            query = of.statement,
            rows = of.rows,
            failed = of.error.map(|class| class.as_str()),
            "SLOW_QUERY"
        ),
        Event::LongLease(of) => warn!(
            target: "tenantry::query",
            tenant,
            schema = &*of.schema,
            duration_ms = as_millis(of.duration),
            backend_pid = of.backend_pid,
            "LONG_LEASE"
        ),
        Event::PoolCreated(of) => {
            debug!(target: "tenantry::pool", tenant, schema = &*of.schema, "POOL_CREATED");
        }
        Event::PoolEvicted(of) => debug!(
            target: "tenantry::pool",
            tenant,
            schema = &*of.schema,
            reason = of.reason.as_str(),
            "POOL_EVICTED"
        ),
        Event::PoolError(of) => warn!(
            target: "tenantry::pool",
            tenant,
            attempted = of.attempted,
            class = of.class.as_str(),
            error = &*of.error,
            "POOL_ERROR"
        ),
        Event::Rebind(of) => trace!(
            target: "tenantry::pool",
            tenant,
            schema = &*of.schema,
            duration_ms = as_millis(of.duration),
            "REBIND"
        ),
        Event::WarmUp(of) => debug!(
            target: "tenantry::pool",
            tenant,
            status = of.status,
            duration_ms = as_millis(of.duration),
            "WARMUP"
        ),
        Event::Retry(of) => warn!(
            target: "tenantry::server",
            tenant,
            of = of.of.as_str(),
            attempt = format_args!("{}/{}", of.attempt, of.max_attempts),
            delay_ms = as_millis(of.delay),
            error = &*of.error,
            "CONNECTION_RETRY"
        ),
        Event::Breaker(of) if of.state == BreakerState::Closed => {
            info!(target: "tenantry::server", state = of.state.as_str(), "BREAKER");
        }
        Event::Breaker(of) if of.state == BreakerState::HalfOpen || of.failed_probes > 0 => debug!(
            target: "tenantry::server",
            state = of.state.as_str(),
            retry_after_ms = of.retry_after.map(as_millis),
            failed_probes = of.failed_probes,
            "BREAKER"
        ),
        Event::Breaker(of) => warn!(
            target: "tenantry::server",
            state = of.state.as_str(),
            retry_after_ms = of.retry_after.map(as_millis),
            "BREAKER"
        ),
        Event::AcquireTimeout(of) => warn!(
            target: "tenantry::pool",
            tenant,
            waited_ms = as_millis(of.waited),
            reason = &*of.reason,
            "ACQUIRE_TIMEOUT"
        ),
        Event::CatalogOutage(of) => trace_outage(of),
        Event::Migrated(of) => trace_migrated(of),
        Event::Drifted(of) => {
            warn!(target: "tenantry::drift", tenant, finding = &*of.finding, "DRIFT");
        }
    }
}

fn trace_outage(of: &CatalogOutage) {
    let CatalogOutage { ended, ref error, duration } = *of;
    let (error, duration_ms) = (error.as_deref(), as_millis(duration));
    match ended {
        true => info!(target: "tenantry::server", ended, duration_ms, error, "CATALOG_OUTAGE"),
        false => warn!(target: "tenantry::server", ended, duration_ms, error, "CATALOG_OUTAGE"),
    }
}

fn trace_migrated(of: &Migrated) {
    let tenant = of.tenant_id.as_deref();
    let (files, duration_ms) = (of.files, as_millis(of.duration));
    match of.error.as_deref() {
        Some(error) => warn!(
            target: "tenantry::migrate",
            tenant,
            outcome = of.outcome,
            files,
            duration_ms,
            error,
            "MIGRATION"
        ),
        None => info!(
            target: "tenantry::migrate",
            tenant,
            outcome = of.outcome,
            files,
            duration_ms,
            "MIGRATION"
        ),
    }
}
