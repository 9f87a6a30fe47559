//! Events in `tracing`.

use tracing::{debug, info, trace, warn};

use super::{
    AcquireTimeout, BreakerChange, BreakerState, BudgetChange, BudgetState, CatalogOutage, Event,
    LongLease, Migrated, MoveStep, PoolError, PoolEvicted, Query, Rebind, ReplicaChange,
    ReplicaState, Retry, WarmedUp, kinds::as_millis,
};

/// Emits an event to the subscriber. The message is the same word as in the text line.
pub(super) fn trace(event: &Event) {
    let tenant = event.tenant();
    match event {
        Event::Query(of) => trace_query(tenant, of),
        Event::SlowQuery(of) => trace_slow_query(tenant, of),
        Event::LongLease(of) => trace_long_lease(tenant, of),
        Event::PoolCreated(of) => {
            let (schema, server) = (&*of.schema, of.server.as_deref());
            debug!(target: "tenantry::pool", tenant, server, schema, "POOL_CREATED");
        }
        Event::PoolEvicted(of) => trace_eviction(tenant, of),
        Event::PoolError(of) => trace_pool_error(tenant, of),
        Event::Rebind(of) => trace_rebind(tenant, of),
        Event::WarmUp(of) => trace_warm_up(tenant, of),
        Event::Retry(of) => trace_retry(tenant, of),
        Event::Breaker(of) => trace_breaker(of),
        Event::Budget(of) => trace_budget(of),
        Event::Replica(of) => trace_replica(of),
        Event::AcquireTimeout(of) => trace_acquire_timeout(tenant, of),
        Event::CatalogOutage(of) => trace_outage(of),
        Event::Migrated(of) => trace_migrated(of),
        Event::Move(of) => trace_move(of),
        Event::Drifted(of) => {
            let (server, database) = (of.server.as_deref(), of.database.as_deref());
            warn!(target: "tenantry::drift", tenant, server, database, finding = &*of.finding, "DRIFT");
        }
    }
}

fn trace_query(tenant: Option<&str>, of: &Query) {
    debug!(
        target: "tenantry::query",
        tenant,
        server = of.server.as_deref(),
        schema = &*of.schema,
        query = of.statement,
        duration_ms = as_millis(of.duration),
        rows = of.rows,
        failed = of.error.map(|class| class.as_str()),
    );
}

fn trace_slow_query(tenant: Option<&str>, of: &Query) {
    warn!(
        target: "tenantry::query",
        tenant,
        server = of.server.as_deref(),
        schema = &*of.schema,
        duration_ms = as_millis(of.duration),
        query = of.statement,
        rows = of.rows,
        failed = of.error.map(|class| class.as_str()),
        "SLOW_QUERY"
    );
}

fn trace_long_lease(tenant: Option<&str>, of: &LongLease) {
    warn!(
        target: "tenantry::query",
        tenant,
        server = of.server.as_deref(),
        schema = &*of.schema,
        duration_ms = as_millis(of.duration),
        backend_pid = of.backend_pid,
        "LONG_LEASE"
    );
}

fn trace_eviction(tenant: Option<&str>, of: &PoolEvicted) {
    debug!(
        target: "tenantry::pool",
        tenant,
        server = of.server.as_deref(),
        schema = &*of.schema,
        reason = of.reason.as_str(),
        "POOL_EVICTED"
    );
}

fn trace_pool_error(tenant: Option<&str>, of: &PoolError) {
    warn!(
        target: "tenantry::pool",
        tenant,
        server = of.server.as_deref(),
        attempted = of.attempted,
        class = of.class.as_str(),
        error = &*of.error,
        "POOL_ERROR"
    );
}

fn trace_rebind(tenant: Option<&str>, of: &Rebind) {
    trace!(
        target: "tenantry::pool",
        tenant,
        server = of.server.as_deref(),
        schema = &*of.schema,
        duration_ms = as_millis(of.duration),
        "REBIND"
    );
}

fn trace_warm_up(tenant: Option<&str>, of: &WarmedUp) {
    debug!(
        target: "tenantry::pool",
        tenant,
        server = of.server.as_deref(),
        status = of.status,
        duration_ms = as_millis(of.duration),
        "WARMUP"
    );
}

fn trace_retry(tenant: Option<&str>, of: &Retry) {
    warn!(
        target: "tenantry::server",
        tenant,
        server = of.server.as_deref(),
        of = of.of.as_str(),
        attempt = format_args!("{}/{}", of.attempt, of.max_attempts),
        delay_ms = as_millis(of.delay),
        error = &*of.error,
        "CONNECTION_RETRY"
    );
}

fn trace_breaker(of: &BreakerChange) {
    let state = of.state.as_str();
    let retry_after_ms = of.retry_after.map(as_millis);
    let (failed_probes, server) = (of.failed_probes, of.server.as_deref());
    match of.state {
        BreakerState::Closed => info!(target: "tenantry::server", server, state, "BREAKER"),
        BreakerState::Open if failed_probes == 0 => {
            warn!(target: "tenantry::server", server, state, retry_after_ms, "BREAKER");
        }
        BreakerState::Open | BreakerState::HalfOpen => {
            debug!(
                target: "tenantry::server", server, state, retry_after_ms, failed_probes, "BREAKER"
            );
        }
    }
}

fn trace_budget(of: &BudgetChange) {
    let (state, connections) = (of.state.as_str(), of.connections);
    let (error, server) = (of.error.as_deref(), of.server.as_deref());
    match of.state {
        BudgetState::Granted => {
            info!(target: "tenantry::server", server, state, connections, error, "BUDGET");
        }
        BudgetState::Asking if error.is_none() => {
            debug!(target: "tenantry::server", server, state, connections, "BUDGET");
        }
        _ => warn!(target: "tenantry::server", server, state, connections, error, "BUDGET"),
    }
}

fn trace_replica(of: &ReplicaChange) {
    let (state, lag_bytes, server) = (of.state.as_str(), of.lag_bytes, of.server.as_deref());
    match of.state {
        ReplicaState::InUse | ReplicaState::Unknown => {
            info!(target: "tenantry::server", server, state, lag_bytes, "REPLICA");
        }
        _ => warn!(target: "tenantry::server", server, state, lag_bytes, "REPLICA"),
    }
}

fn trace_acquire_timeout(tenant: Option<&str>, of: &AcquireTimeout) {
    warn!(
        target: "tenantry::pool",
        tenant,
        server = of.server.as_deref(),
        waited_ms = as_millis(of.waited),
        reason = &*of.reason,
        "ACQUIRE_TIMEOUT"
    );
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
    let (tenant, outcome, files) = (of.tenant_id.as_deref(), of.outcome, of.files);
    let (error, duration_ms) = (of.error.as_deref(), as_millis(of.duration));
    let (server, database) = (of.server.as_deref(), of.database.as_deref());
    match error {
        Some(error) => {
            warn!(target: "tenantry::migrate", tenant, server, database, outcome, files, duration_ms, error, "MIGRATION");
        }
        None => {
            info!(target: "tenantry::migrate", tenant, server, database, outcome, files, duration_ms, "MIGRATION")
        }
    }
}

fn trace_move(of: &MoveStep) {
    let (tenant, server, stage) = (of.tenant_id.as_str(), of.server.as_deref(), of.stage);
    let (from, to, method) = (&*of.from, &*of.to, of.method);
    let (error, pause_ms) = (of.error.as_deref(), of.pause.map(as_millis));
    match error {
        Some(error) => {
            warn!(target: "tenantry::provision", tenant, server, from, to, stage, method, pause_ms, error, "MOVE");
        }
        None => {
            info!(target: "tenantry::provision", tenant, server, from, to, stage, method, pause_ms, "MOVE");
        }
    }
}
