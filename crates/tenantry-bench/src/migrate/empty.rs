//! Tenants without tables.

use std::{fmt::Write, str::FromStr};

use sqlx::{Connection, PgConnection, postgres::PgConnectOptions};
use tenantry::TenantManager;
use tenantry_devdb::DevServer;

use super::schemas::schema_of;
use crate::{failure::Failure, trusted};

/// The number of schemas that are created per transaction.
const AT_ONCE: usize = 1_000;

/// A dedicated server with default settings and tenants' schemas.
pub(super) struct Empty {
    server: DevServer,
    options: PgConnectOptions,
}

impl Empty {
    /// Starts it, runs SQL in the shared schema, and creates this many schemas.
    pub(super) async fn start(tenants: usize, shared: &str) -> Result<Self, Failure> {
        let server = DevServer::builder().setting("max_connections", "100").start().await?;
        let options = PgConnectOptions::from_str(&server.create_database("empty").await?)?;
        let empty = Self { server, options };
        let mut conn = empty.connect().await?;
        trusted::run(&mut conn, shared.to_owned()).await?;
        for start in (0..tenants).step_by(AT_ONCE) {
            let mut sql = String::new();
            for number in start..tenants.min(start + AT_ONCE) {
                write!(sql, "create schema {}; ", schema_of(&format!("t{number:05}")))?;
            }
            trusted::run(&mut conn, sql).await?;
        }
        conn.close().await?;
        Ok(empty)
    }

    pub(super) async fn connect(&self) -> Result<PgConnection, Failure> {
        Ok(PgConnection::connect_with(&self.options).await?)
    }

    pub(super) fn manager(&self) -> Result<TenantManager, Failure> {
        Ok(TenantManager::builder_with(self.options.clone()).build()?)
    }

    /// Returns the version of the server.
    pub(super) fn version(&self) -> String {
        self.server.version().to_string()
    }

    pub(super) async fn stop(self) {
        self.server.close().await;
    }
}
