//! Duration and size of a scrape with many known tenants.

use std::time::Instant;

use prometheus::{Registry, TextEncoder};
use serde::Serialize;
use sqlx::postgres::PgConnectOptions;
use tenantry::{CatalogFn, MetricsOptions, TenantManager, TenantRecord};

use crate::{failure::Failure, stats::median};

/// Tenants with separate series, if there are any.
const LABELLED: usize = 20;

/// Milliseconds per scrape, and the size of the text in bytes.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct MetricsText {
    pub(crate) tenants: usize,
    pub(crate) render_ms: f64,
    pub(crate) bytes: usize,
    pub(crate) labelled_render_ms: f64,
    pub(crate) labelled_bytes: usize,
}

/// Serves each tenant once, so that all of them have a tenant pool, and scrapes.
pub(crate) async fn run(
    server: PgConnectOptions,
    tenants: usize,
    rounds: u32,
) -> Result<MetricsText, Failure> {
    let manager = TenantManager::builder_with(server)
        .catalog(CatalogFn::new(|id| async { Ok(Some(TenantRecord::new(id))) }))
        .build()?;
    eprintln!("metrics_text: serving {tenants} tenants");
    for number in 0..tenants {
        let db = manager.tenant(format!("m{number:05}")).await?;
        sqlx::query("select 1").execute(&db).await?;
    }
    let pools = manager.snapshot().tenant_pools;
    if pools < tenants {
        return Err(format!("only {pools} of {tenants} tenant pools are there").into());
    }
    let (render_ms, bytes) = scrape(&manager, MetricsOptions::default(), rounds)?;
    let labelled = MetricsOptions::default().tenant_labels(LABELLED);
    let (labelled_render_ms, labelled_bytes) = scrape(&manager, labelled, rounds)?;
    manager.close().await;
    Ok(MetricsText { tenants, render_ms, bytes, labelled_render_ms, labelled_bytes })
}

/// Returns the median of the milliseconds, and the size of the last text in bytes.
fn scrape(
    manager: &TenantManager,
    options: MetricsOptions,
    rounds: u32,
) -> Result<(f64, usize), Failure> {
    let registry = Registry::new();
    registry.register(Box::new(manager.collector(options)))?;
    let (mut times, mut bytes) = (Vec::new(), 0);
    for _ in 0..=rounds {
        let began = Instant::now();
        bytes = TextEncoder::new().encode_to_string(&registry.gather())?.len();
        times.push(began.elapsed().as_secs_f64() * 1e3);
    }
    Ok((median(times), bytes))
}
