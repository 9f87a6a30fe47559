use std::time::Duration;

use prometheus::{Registry, TextEncoder};
use tenantry::{
    MetricsOptions,
    activity::{Exposition, ServiceFigures, ServiceRates},
};

use crate::support::{TestResult, World, name_of};

#[tokio::test]
async fn the_collectors_own_text_is_understood() -> TestResult {
    let world = World::with_tenants(&["acme", "globex"]).await;
    let manager = world.manager();
    let registry = Registry::new();
    let options = MetricsOptions::default().tenant_labels(10).process(true).runtime(true);
    registry.register(Box::new(manager.collector(options)))?;
    let scrape = || -> Result<ServiceFigures, Box<dyn std::error::Error>> {
        let text = TextEncoder::new().encode_to_string(&registry.gather())?;
        let exposition: Exposition = text.parse()?;
        ServiceFigures::read(&exposition).ok_or_else(|| text.into())
    };
    let (acme, globex) = (manager.tenant("acme").await?, manager.tenant("globex").await?);
    for db in [&acme, &globex] {
        name_of(db).await?;
    }
    let before = scrape()?;
    assert_eq!((before.connections_max, before.tenant_pools), (20.0, 2.0));
    for _ in 0..10 {
        name_of(&acme).await?;
    }
    let _lease = globex.acquire().await?;
    let after = scrape()?;
    assert_eq!(after.tenants["globex"].leased, 1.0);
    let rates = ServiceRates::between(&before, &after, Duration::from_secs(2));
    let rates = rates.expect("time has passed");
    assert_eq!((rates.queries, rates.tenants["acme"].acquires), (5.0, 5.0));
    assert_eq!(rates.tenants["globex"].leased, 1.0);
    let (p50, p99) = (rates.query_p50.unwrap_or(9.0), rates.query_p99.unwrap_or_default());
    assert!(p50 <= p99 && p99 > 0.0, "{rates:?}");
    assert!(rates.acquires["hit"] > 4.0, "{rates:?}");
    manager.close_within(Duration::ZERO).await;
    Ok(())
}
