//! The log on stderr: lines for people, or the library's events as JSON for programs.

use std::env;

use anyhow::bail;
use tenantry::{
    Event, ManagerBuilder, PlainFormat,
    event::{PoolCreated, PoolEvicted},
};
use tracing_subscriber::EnvFilter;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogFormat {
    Plain,
    Json,
}

impl LogFormat {
    /// Reads `LOG_FORMAT`.
    pub(crate) fn from_env() -> anyhow::Result<Self> {
        match env::var("LOG_FORMAT").as_deref() {
            Err(env::VarError::NotPresent) | Ok("plain") => Ok(Self::Plain),
            Ok("json") => Ok(Self::Json),
            _ => bail!("LOG_FORMAT must be plain or json"),
        }
    }
}

/// Writes the log of the program and the libraries to stderr, filtered by `RUST_LOG`.
pub(crate) fn start(format: LogFormat) -> anyhow::Result<()> {
    let mut filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    if format == LogFormat::Json {
        // The library's events already come from the hook.
        for target in ["tenantry::query=off", "tenantry::pool=off", "tenantry::server=off"] {
            filter = filter.add_directive(target.parse()?);
        }
    }
    tracing_subscriber::fmt()
        .event_format(PlainFormat::default())
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
    Ok(())
}

/// Returns how the library's events are logged.
pub(crate) fn hooks(builder: ManagerBuilder, format: LogFormat) -> ManagerBuilder {
    match format {
        LogFormat::Plain => builder
            .on_pool_created(|of: PoolCreated| {
                tracing::info!(tenant = %of.tenant_id, "pool created");
            })
            .on_pool_evicted(|of: PoolEvicted| {
                tracing::info!(tenant = %of.tenant_id, reason = of.reason.as_str(), "pool evicted");
            }),
        // A custom logger is a closure that gets every event.
        LogFormat::Json => builder.on_event(|event: Event| match serde_json::to_string(&event) {
            Ok(line) => eprintln!("{line}"),
            Err(error) => tracing::error!(%error, "cannot write an event"),
        }),
    }
}
