use std::{io, sync::OnceLock, time::Duration};

use prometheus::{Registry, TextEncoder};
use tenantry::{MetricsOptions, PlainFormat, TenantManager};
use tokio::task::JoinHandle;
use tracing_subscriber::{
    filter::LevelFilter, fmt, layer::SubscriberExt, registry, reload, util::SubscriberInitExt,
};

use crate::failure::Failure;

/// The scrape interval. Prometheus usually scrapes every 15 s; this is the harder case.
const SCRAPE_EVERY: Duration = Duration::from_secs(1);

/// The level filter of the process's subscriber: off until recording starts.
static LEVEL: OnceLock<reload::Handle<LevelFilter, tracing_subscriber::Registry>> = OnceLock::new();

/// Metrics that are scraped, and events at `INFO` whose output is discarded.
#[derive(Debug)]
pub(crate) struct Telemetry {
    registry: Registry,
}

impl Telemetry {
    pub(crate) fn of(manager: &TenantManager) -> Result<Self, Failure> {
        if LEVEL.get().is_none() {
            let (level, handle) = reload::Layer::new(LevelFilter::OFF);
            let lines = fmt::layer().event_format(PlainFormat::default()).with_writer(io::sink);
            registry().with(level).with(lines).try_init()?;
            // Only one thread builds contenders.
            let _ = LEVEL.set(handle);
        }
        let registry = Registry::new();
        registry.register(Box::new(manager.collector(MetricsOptions::default())))?;
        Ok(Self { registry })
    }

    /// Records until the value is dropped.
    pub(crate) fn record(&self) -> Recording {
        set(LevelFilter::INFO);
        let registry = self.registry.clone();
        let scraping = tokio::spawn(async move {
            loop {
                let text = TextEncoder::new().encode_to_string(&registry.gather());
                std::hint::black_box(text.map(|text| text.len()).unwrap_or_default());
                tokio::time::sleep(SCRAPE_EVERY).await;
            }
        });
        Recording { scraping }
    }
}

/// Records until it is dropped.
#[derive(Debug)]
pub(crate) struct Recording {
    scraping: JoinHandle<()>,
}

impl Drop for Recording {
    fn drop(&mut self) {
        self.scraping.abort();
        set(LevelFilter::OFF);
    }
}

fn set(level: LevelFilter) {
    if let Some(handle) = LEVEL.get() {
        // It only fails if the subscriber is gone, and then nothing is recorded any more.
        let _ = handle.reload(level);
    }
}
