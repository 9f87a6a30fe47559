//! The two servers.

use std::env;

use tenantry_devdb::DevServer;

/// A server that a variable names, or a throwaway one.
pub(crate) struct Server {
    url: String,
    throwaway: Option<DevServer>,
}

impl Server {
    pub(crate) async fn start(variable: &str) -> anyhow::Result<Self> {
        if let Ok(url) = env::var(variable) {
            return Ok(Self { url, throwaway: None });
        }
        tracing::info!("{variable} is not set: starting a throwaway PostgreSQL");
        let server = DevServer::start().await?;
        Ok(Self { url: server.url(), throwaway: Some(server) })
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) async fn close(self) {
        if let Some(server) = self.throwaway {
            server.close().await;
        }
    }
}
