//! The setters of [`PoolOptions`], by value and named after the fields.

use std::time::Duration;

use super::{breaker::BreakerOptions, options::PoolOptions};
use crate::retry::RetryPolicy;

impl PoolOptions {
    /// Sets [`max_connections`](Self::max_connections).
    #[must_use]
    pub fn max_connections(mut self, most: usize) -> Self {
        self.max_connections = most;
        self
    }

    /// Sets [`max_connections_per_tenant`](Self::max_connections_per_tenant); takes a value or `None`.
    #[must_use]
    pub fn max_connections_per_tenant(mut self, most: impl Into<Option<usize>>) -> Self {
        self.max_connections_per_tenant = most.into();
        self
    }

    /// Sets [`reserved_connections`](Self::reserved_connections); takes a value or `None`.
    #[must_use]
    pub fn reserved_connections(mut self, connections: impl Into<Option<usize>>) -> Self {
        self.reserved_connections = connections.into();
        self
    }

    /// Sets [`max_waiting_per_tenant`](Self::max_waiting_per_tenant).
    #[must_use]
    pub fn max_waiting_per_tenant(mut self, requests: usize) -> Self {
        self.max_waiting_per_tenant = requests;
        self
    }

    /// Sets [`acquire_timeout`](Self::acquire_timeout).
    #[must_use]
    pub fn acquire_timeout(mut self, timeout: Duration) -> Self {
        self.acquire_timeout = timeout;
        self
    }

    /// Sets [`connect_timeout`](Self::connect_timeout).
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// Sets [`idle_timeout`](Self::idle_timeout); takes a value or `None`.
    #[must_use]
    pub fn idle_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.idle_timeout = timeout.into();
        self
    }

    /// Sets [`max_lifetime`](Self::max_lifetime); takes a value or `None`.
    #[must_use]
    pub fn max_lifetime(mut self, lifetime: impl Into<Option<Duration>>) -> Self {
        self.max_lifetime = lifetime.into();
        self
    }

    /// Sets [`min_idle`](Self::min_idle).
    #[must_use]
    pub fn min_idle(mut self, connections: usize) -> Self {
        self.min_idle = connections;
        self
    }

    /// Sets [`liveness_check_after`](Self::liveness_check_after).
    #[must_use]
    pub fn liveness_check_after(mut self, idle: Duration) -> Self {
        self.liveness_check_after = idle;
        self
    }

    /// Sets [`max_tables_per_connection`](Self::max_tables_per_connection).
    #[must_use]
    pub fn max_tables_per_connection(mut self, tables: usize) -> Self {
        self.max_tables_per_connection = tables;
        self
    }

    /// Sets [`max_tenants_per_connection`](Self::max_tenants_per_connection).
    #[must_use]
    pub fn max_tenants_per_connection(mut self, tenants: usize) -> Self {
        self.max_tenants_per_connection = tenants;
        self
    }

    /// Sets [`affinity`](Self::affinity).
    #[must_use]
    pub fn affinity(mut self, ahead: Duration) -> Self {
        self.affinity = ahead;
        self
    }

    /// Sets [`max_tenant_pools`](Self::max_tenant_pools).
    #[must_use]
    pub fn max_tenant_pools(mut self, pools: usize) -> Self {
        self.max_tenant_pools = pools;
        self
    }

    /// Sets [`tenant_pool_ttl`](Self::tenant_pool_ttl).
    #[must_use]
    pub fn tenant_pool_ttl(mut self, ttl: Duration) -> Self {
        self.tenant_pool_ttl = ttl;
        self
    }

    /// Sets [`keep_statements`](Self::keep_statements).
    #[must_use]
    pub fn keep_statements(mut self, keep: bool) -> Self {
        self.keep_statements = keep;
        self
    }

    /// Sets [`close_altered_sessions`](Self::close_altered_sessions).
    #[must_use]
    pub fn close_altered_sessions(mut self, close: bool) -> Self {
        self.close_altered_sessions = close;
        self
    }

    /// Sets [`cleanup_timeout`](Self::cleanup_timeout).
    #[must_use]
    pub fn cleanup_timeout(mut self, timeout: Duration) -> Self {
        self.cleanup_timeout = timeout;
        self
    }

    /// Sets [`statement_timeout`](Self::statement_timeout); takes a value or `None`.
    #[must_use]
    pub fn statement_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.statement_timeout = timeout.into();
        self
    }

    /// Sets [`idle_in_transaction_timeout`](Self::idle_in_transaction_timeout); takes a value or `None`.
    #[must_use]
    pub fn idle_in_transaction_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.idle_in_transaction_timeout = timeout.into();
        self
    }

    /// Sets [`name_tenants`](Self::name_tenants).
    #[must_use]
    pub fn name_tenants(mut self, name: bool) -> Self {
        self.name_tenants = name;
        self
    }

    /// Sets [`refuse_nested_acquires`](Self::refuse_nested_acquires).
    #[must_use]
    pub fn refuse_nested_acquires(mut self, refuse: bool) -> Self {
        self.refuse_nested_acquires = refuse;
        self
    }

    /// Sets [`retry`](Self::retry).
    #[must_use]
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.retry = policy;
        self
    }

    /// Sets [`breaker`](Self::breaker).
    #[must_use]
    pub fn breaker(mut self, options: BreakerOptions) -> Self {
        self.breaker = options;
        self
    }
}
