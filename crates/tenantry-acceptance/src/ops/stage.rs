//! Routes for operators on top of a database, and what the cases ask them.

use serde_json::Value;
use tenantry::{ManagerBuilder, TenantManager};

use super::{OpsSettings, ServesOps};
use crate::{
    adapter::Server,
    client::{Answer, get},
    world::{World, eventually},
};

/// The routes of a manager.
pub(super) struct Stage {
    pub(super) manager: TenantManager,
    pub(super) server: Server,
}

impl Stage {
    /// Serves the routes with their defaults.
    pub(super) async fn new<S: ServesOps>(manager: TenantManager) -> Self {
        let server = S::serve_defaults(manager.clone()).await;
        Self { manager, server }
    }

    /// Serves the routes with these settings.
    pub(super) async fn with<S: ServesOps>(manager: TenantManager, settings: OpsSettings) -> Self {
        let server = S::serve(manager.clone(), settings).await;
        Self { manager, server: server.expect("the names of the metrics are free") }
    }

    pub(super) async fn get(&self, path: &str) -> Answer {
        get(path).send(&self.server).await
    }

    /// Returns `/health`, after checking its status and headers.
    pub(super) async fn health(&self, status: u16) -> Value {
        self.checked_health(status).await.json()
    }

    async fn checked_health(&self, status: u16) -> Answer {
        let answer = self.get("/health").await;
        assert_eq!(answer.status, status, "{}", answer.body);
        assert_eq!(answer.header("content-type"), Some("application/json"));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        answer
    }

    /// Returns the report of `/health` once its status is ok, because on a busy machine a ping may
    /// take more than half of its timeout.
    pub(super) async fn health_when_ok(&self) -> Value {
        self.answer_when_ok().await.json()
    }

    /// Returns `/health` once its status is ok, after checking each answer as [`health`](Self::health) does.
    pub(super) async fn answer_when_ok(&self) -> Answer {
        let mut last = None;
        let is_ok = async || {
            let answer = last.insert(self.checked_health(200).await);
            answer.json()["status"] == "ok"
        };
        eventually("the status is ok", is_ok).await;
        last.expect("it was asked")
    }

    pub(super) async fn metrics(&self) -> String {
        self.get("/metrics").await.body
    }

    /// Gives each of these tenants an idle connection.
    pub(super) async fn use_tenants(&self, tenants: &[&str]) {
        let mut leases = Vec::new();
        for tenant in tenants {
            let db = self.manager.tenant(*tenant).await.expect("the tenant exists");
            leases.push(db.acquire().await.expect("a connection is free"));
        }
        drop(leases);
        // Otherwise a session could be taken for one tenant while that of another is still reset.
        let is_idle = async || self.manager.snapshot().leased == 0;
        eventually("the connections are idle", is_idle).await;
    }

    pub(super) async fn end(self) {
        drop(self.server);
        self.manager.close().await;
    }
}

/// A manager with so many connections.
pub(super) fn small(world: &World, connections: usize) -> TenantManager {
    build(world.builder().max_connections(connections))
}

pub(super) fn build(builder: ManagerBuilder) -> TenantManager {
    builder.build().expect("the configuration is valid")
}

/// Checks that neither the body nor a header contains one of these words.
pub(super) fn assert_free_of(answer: &Answer, words: &[&str]) {
    for word in words {
        assert!(!answer.body.contains(word), "{word} is in:\n{}", answer.body);
        for (name, value) in answer.headers() {
            assert!(!value.contains(word), "{word} is in {name}");
        }
    }
}
