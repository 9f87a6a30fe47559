//! Every metric of a manager, once: the collector, OpenTelemetry's descriptions and the documentation read this list.

/// A metric, as Prometheus and the documentation show it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) labels: &'static [&'static str],
    pub(super) help: &'static str,
    /// The values of the last label, for the documentation.
    #[cfg_attr(not(test), expect(dead_code, reason = "the documentation has it"))]
    pub(super) values: &'static str,
    /// The instrument of OpenTelemetry with the same figure.
    #[cfg_attr(not(test), expect(dead_code, reason = "the documentation has it"))]
    pub(super) otel: &'static str,
    /// The metric with this meaning in drizzle-multitenant.
    #[cfg_attr(not(test), expect(dead_code, reason = "the documentation has it"))]
    pub(super) guide: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Gauge,
    Counter,
    Histogram,
}

/// Makes a constant for each entry, and `ALL` with all of them in this order.
macro_rules! entries {
    ($($constant:ident = $kind:ident $name:literal [$($label:literal),*] $help:literal $(, values $values:literal)? $(, otel $otel:literal)? $(, guide $guide:literal)?;)+) => {
        $(
            pub(super) const $constant: Entry = Entry {
                name: $name,
                kind: Kind::$kind,
                labels: &[$($label),*],
                help: $help,
                values: concat!($($values)?),
                otel: concat!($($otel)?),
                guide: concat!($($guide)?),
            };
        )+

        pub(super) const ALL: &[Entry] = &[$($constant),+];
    };
}

entries! {
    TENANT_POOLS = Gauge "tenantry_tenant_pools" [] "Tenant pools in memory", guide "`pool_active_total`";
    TENANT_POOLS_MAX = Gauge "tenantry_tenant_pools_max" [] "Maximum number of tenant pools in memory, apart from those in use", guide "`pool_max_total`";
    CONNECTIONS = Gauge "tenantry_connections" ["state"] "Connections by state", values "`idle`, `leased`, `pending` (connecting or closing)", otel "`db.client.connection.count`", guide "`pool_connections_total`";
    CONNECTIONS_MAX = Gauge "tenantry_connections_max" [] "Maximum number of connections", otel "`db.client.connection.max`";
    DIRECT_CONNECTIONS = Gauge "tenantry_direct_connections" ["state"] "Connections past a pooler in transaction mode, by state", values "`idle`, `leased`, `pending` (connecting or closing)";
    DIRECT_CONNECTIONS_MAX = Gauge "tenantry_direct_connections_max" [] "Maximum number of connections past a pooler in transaction mode";
    BUDGET_CONNECTIONS = Gauge "tenantry_budget_connections" [] "Connections of a shared budget, for all processes together";
    BUDGET_GRANTED = Gauge "tenantry_budget_granted_connections" [] "Connections of a shared budget that this process may have; 0 if it may only ask";
    BUDGET_WANTED = Gauge "tenantry_budget_wanted_connections" [] "Connections of a shared budget that this process wanted when it last asked";
    BUDGET_FLOOR = Gauge "tenantry_budget_floor_connections" [] "Connections of a shared budget that this process keeps whatever others want";
    BUDGET_STATE = Gauge "tenantry_budget_state" ["state"] "1 for what this process has of a shared budget", values "`granted`, `floor`, `asking`, `waiting`, `refused`";
    TENANT_LEASES = Gauge "tenantry_tenant_leases" [] "Connections in use by tenants, the shared handle and maintenance";
    TENANT_LEASES_MAX = Gauge "tenantry_tenant_leases_max" [] "Maximum number of connections for tenants, the shared handle and maintenance: all but the reserve and the one that listens";
    WAITING = Gauge "tenantry_waiting_requests" [] "Requests that wait for a connection", otel "`db.client.connection.pending_requests`", guide "`pool_connections_total{state=\"waiting\"}`";
    TENANT_CONNECTIONS = Gauge "tenantry_tenant_connections" ["tenant", "state"] "Connections of the busiest tenants by state", values "`idle`, `leased`", guide "`pool_connections_total{tenant,state}`";
    TENANT_WAITING = Gauge "tenantry_tenant_waiting_requests" ["tenant"] "Requests of the busiest tenants that wait for a connection", guide "`pool_connections_total{tenant,state=\"waiting\"}`";
    TENANT_ACQUIRES = Counter "tenantry_tenant_acquires_total" ["tenant"] "Connections acquired by the busiest tenants";
    SHARED_INITIALIZED = Gauge "tenantry_shared_initialized" [] "1 once the shared schema has been used", guide "`shared_initialized`";
    SHARED_CONNECTIONS = Gauge "tenantry_shared_connections" ["state"] "Connections bound to the shared schema by state", values "`idle`, `leased`", guide "`shared_connections`";
    SHARED_WAITING = Gauge "tenantry_shared_waiting_requests" [] "Requests that wait for a connection bound to the shared schema", guide "`shared_connections{state=\"waiting\"}`";
    BREAKER_STATE = Gauge "tenantry_breaker_state" ["state"] "1 for the current state of the circuit breaker", values "`closed`, `open`, `half_open`";
    ACQUIRES = Counter "tenantry_acquires_total" ["outcome"] "Acquires by outcome", values "`hit`, `rebind`, `open`; without a connection: `timeout` (`db.client.connection.timeouts`), `refused`, `failed`";
    EVICTIONS = Counter "tenantry_evictions_total" ["reason"] "Tenant pools evicted, by reason", values "`ttl`, `capacity`, `requested`, `changed`, `closed`";
    RETRIES = Counter "tenantry_retries_total" ["of"] "Retries by operation", values "`connect`, `catalog`, `ready`";
    ERRORS = Counter "tenantry_errors_total" ["class"] "Failed acquires, statements on handles and connection attempts, by class", values "those of [`ErrorClass`](https://docs.rs/tenantry/latest/tenantry/enum.ErrorClass.html)";
    RATE_LIMITED = Counter "tenantry_rate_limited_total" [] "Requests refused because their tenant was over its requests per second";
    READS = Counter "tenantry_reads_total" ["answered"] "Reads of handles for reading where there are replicas, by the server that answered, or why the primary did", values "`replica`; by the primary: `behind` (the replica had not what the read needs within 20 ms), `lagging`, `away`, `unrelated`, `no_primary` (its position was not known in time), `token`, `unsuited`; `conflict` counts again those that the replica could not complete";
    REPLICA_WAIT = Histogram "tenantry_replica_wait_seconds" [] "Time that reads with a connection to a replica took to ask for the primary's position and to wait until the replica was there, whether it got there in time or not; without the wait for the connection";
    REPLICA_STATE = Gauge "tenantry_replica_state" ["replica", "state"] "1 for what a replica was good for when a read last asked for it", values "`unknown`, `in_use`, `lagging`, `away`, `unrelated`";
    REPLICA_LAG = Gauge "tenantry_replica_lag_bytes" ["replica"] "How much of the log a replica had not replayed when it was last asked";
    HEALTH_STATUS = Gauge "tenantry_health_status" [] "1 if the last health check found the instance healthy", guide "`health_status`";
    HEALTH_POOLS = Gauge "tenantry_health_pools" ["status"] "Tenants by status, in the last health check of all bound tenants", values "`ok`, `degraded`, `unhealthy`", guide "`health_pools_total`, `…_degraded`, `…_unhealthy`";
    HEALTH_POOLS_AT = Gauge "tenantry_health_pools_timestamp_seconds" [] "Unix time of that check; a readiness probe checks no tenant";
    HEALTH_DURATION = Gauge "tenantry_health_check_duration_seconds" [] "Duration of the last health check", guide "`health_response_time_ms`";
    HEALTH_AT = Gauge "tenantry_health_check_timestamp_seconds" [] "Unix time of the last health check";
    ACQUIRE_WAIT = Histogram "tenantry_acquire_wait_seconds" [] "Time until an acquire had its connection", otel "`db.client.connection.wait_time`";
    CONNECTION_HOLD = Histogram "tenantry_connection_hold_seconds" [] "Time for which a connection was leased", otel "`db.client.connection.use_time`";
    CONNECT = Histogram "tenantry_connect_seconds" [] "Time to open a connection, without failed attempts", otel "`db.client.connection.create_time`";
    REBIND = Histogram "tenantry_rebind_seconds" [] "Time to reset a session and bind it to a tenant";
    QUERY_DURATION = Histogram "tenantry_query_duration_seconds" [] "Duration of statements on handles", otel "`db.client.operation.duration`";
    SLOW_QUERIES = Counter "tenantry_slow_queries_total" [] "Statements on handles at or above the slow-query threshold";
    CATALOG_HITS = Counter "tenantry_catalog_hits_total" [] "Tenant lookups answered by the cache";
    CATALOG_MISSES = Counter "tenantry_catalog_misses_total" [] "Tenant lookups that asked the catalog, or waited for a lookup under way";
    CATALOG_STALE = Counter "tenantry_catalog_stale_total" [] "Tenant lookups answered by an expired entry, because the catalog did not answer";
    HOOK_FAILURES = Counter "tenantry_hook_failures_total" [] "Hook calls that failed or panicked";
    EVENTS_DROPPED = Counter "tenantry_events_dropped_total" [] "Events dropped because a queue was full";
    MIGRATIONS = Counter "tenantry_migrations_total" ["outcome"] "Schemas handled by migration runs, by outcome", values "`migrated`, `reverted`, `marked`, `forgotten`, `up_to_date`, `failed`, `skipped`, `doubtful`";
    MIGRATION = Histogram "tenantry_migration_seconds" [] "Duration of migrations of one schema with something to do", otel "`tenantry.migration.duration`";
    CREATIONS = Counter "tenantry_creations_total" ["outcome"] "Tenants created, by method, and failed creations", values "`at_once`, `in_steps`, `spare`, `template`, `rows`, `resumed`, `clone`, `import`, `failed`";
    CREATION = Histogram "tenantry_creation_seconds" [] "Duration of tenant creation, failed ones included", otel "`tenantry.creation.duration`";
    MOVES = Counter "tenantry_moves_total" ["outcome"] "Moves of tenants away from this server that have ended in this process", values "`moved`, `undone`, `unfinished` (left to a take-over)";
    MOVES_IN_PROGRESS = Gauge "tenantry_moves_in_progress" [] "Moves of tenants away from this server that this process works on";
    TENANTS = Gauge "tenantry_tenants" ["state"] "Tenants by state, when this process last listed all of them", values "`active`, `suspended`", otel "`tenantry.tenants`";
    SPARES_READY = Gauge "tenantry_spares_ready" [] "Spares ready at the last check, without those used here since", otel "`tenantry.spares`";
    DRIFTED_TENANTS = Gauge "tenantry_drifted_tenants" [] "Tenants whose schemas had drifted at the last background comparison; 0 before", otel "`tenantry.drifted_tenants`";
    TOKIO_WORKERS = Gauge "tokio_workers" [] "Worker threads of the runtime";
    TOKIO_TASKS = Gauge "tokio_alive_tasks" [] "Tasks of the runtime that have not ended";
    TOKIO_QUEUED = Gauge "tokio_global_queue_depth" [] "Tasks in the queue that all workers share";
    TOKIO_BUSY = Counter "tokio_worker_busy_seconds_total" [] "Busy time of the runtime's workers";
}

#[cfg(test)]
mod tests {
    use std::{env, fmt::Write, fs, path::Path};

    use super::*;

    fn table() -> String {
        let mut table =
            "| metric | type | meaning | labels | OpenTelemetry | drizzle-multitenant |\n"
                .to_owned();
        table += "|---|---|---|---|---|---|\n";
        for Entry { name, kind, labels, help, values, otel, guide } in ALL {
            let kind = format!("{kind:?}").to_lowercase();
            let mut labels =
                labels.iter().map(|label| format!("`{label}`")).collect::<Vec<_>>().join(", ");
            if !values.is_empty() {
                labels += &format!(": {values}");
            }
            writeln!(table, "| `{name}` | {kind} | {help} | {labels} | {otel} | {guide} |")
                .unwrap();
        }
        table.replace("|  |", "| |").replace("|  |", "| |")
    }

    /// `UPDATE_DOCS=1` writes both.
    #[test]
    fn the_documentation_has_this_list() {
        let page = format!(
            "# Metrics\n\nEvery metric of a manager, as `/metrics` and `MetricsCollector` have it. A test makes this \
             page from the\nsource. [Observability](observability.md#probes-and-metrics) describes how to \
             scrape them, and which alerts to set.\n\n{}",
            table()
        );
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        for (path, text) in [("src/metrics/list.md", table()), ("../../docs/metrics.md", page)] {
            let path = root.join(path);
            if env::var_os("UPDATE_DOCS").is_some() {
                fs::write(&path, &text).unwrap();
            }
            let found = fs::read_to_string(&path).unwrap_or_default();
            assert!(found == text, "{} is not up to date: run with UPDATE_DOCS=1", path.display());
        }
    }

    #[test]
    fn names_follow_prometheus_conventions() {
        for entry in ALL {
            assert_eq!(
                entry.name.ends_with("_total"),
                entry.kind == Kind::Counter,
                "{}",
                entry.name
            );
            assert!(entry.values.is_empty() || !entry.labels.is_empty(), "{}", entry.name);
            assert!(!entry.help.ends_with('.'), "{}", entry.name);
        }
    }
}
