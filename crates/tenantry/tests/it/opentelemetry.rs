//! The pool's figures reach OpenTelemetry under the names of its conventions.

use std::collections::BTreeMap;

use opentelemetry::metrics::MeterProvider;
use opentelemetry_sdk::metrics::{
    InMemoryMetricExporter, PeriodicReader, SdkMeterProvider,
    data::{AggregatedMetrics, MetricData},
};
use tenantry::{ErrorKind, migrate::MigrateOptions, provision::CreateOptions};

use crate::{
    migrate::Files,
    support::{TestResult, World, at_rest, name_of},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_figure_of_the_conventions_is_there() -> TestResult {
    let world = World::with_tenants(&["acme"]).await;
    let manager = world.with_pool(|options| options.max_connections = 7);
    let exporter = InMemoryMetricExporter::default();
    let reader = PeriodicReader::builder(exporter.clone()).build();
    let provider = SdkMeterProvider::builder().with_reader(reader).build();
    let meter = provider.meter("test");
    manager.register_opentelemetry(&meter, "main")?;
    let twice = manager.register_opentelemetry(&meter, "main").expect_err("it is twice");
    assert_eq!(twice.kind(), ErrorKind::Config);
    let db = manager.tenant("acme").await?;
    for _ in 0..3 {
        name_of(&db).await?;
    }
    at_rest(&manager).await;
    let lease = db.acquire().await?;
    provider.force_flush()?;
    drop(lease);
    let mut found = BTreeMap::new();
    for resource in exporter.get_finished_metrics()? {
        for scope in resource.scope_metrics() {
            for metric in scope.metrics() {
                found.insert(
                    metric.name().to_owned(),
                    (metric.unit().to_owned(), sum(metric.data())),
                );
            }
        }
    }
    for (name, unit, expected) in [
        ("db.client.connection.count", "{connection}", 2.0),
        ("db.client.connection.idle.max", "{connection}", 7.0),
        ("db.client.connection.idle.min", "{connection}", 0.0),
        ("db.client.connection.max", "{connection}", 7.0),
        ("db.client.connection.pending_requests", "{request}", 0.0),
        ("db.client.connection.timeouts", "{timeout}", 0.0),
        ("db.client.connection.create_time", "s", 2.0),
        // The catalog's question, three names, and the lease.
        ("db.client.connection.wait_time", "s", 5.0),
        ("db.client.connection.use_time", "s", 4.0),
        ("db.client.operation.duration", "s", 3.0),
    ] {
        assert_eq!(found.get(name), Some(&(unit.to_owned(), expected)), "{name} in {found:#?}");
    }
    manager.close().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn migrations_and_creations_are_there_too() -> TestResult {
    let world = World::new().await;
    let manager = world.manager();
    let exporter = InMemoryMetricExporter::default();
    let reader = PeriodicReader::builder(exporter.clone()).build();
    let provider = SdkMeterProvider::builder().with_reader(reader).build();
    manager.register_opentelemetry(&provider.meter("test"), "main")?;
    let files = Files::notes();
    let provisioner = manager.provisioner().tenants(files.read());
    provisioner.create("acme", CreateOptions::default()).await?;
    files.write("0009_more.sql", "create table more (id int);");
    let migrator = manager.migrator().tenants(files.read());
    assert_eq!(migrator.migrate_all(MigrateOptions::default()).await?.migrated, 1);
    provider.force_flush()?;
    let mut found = BTreeMap::new();
    for resource in exporter.get_finished_metrics()? {
        for metric in resource.scope_metrics().flat_map(|scope| scope.metrics()) {
            found.insert(metric.name().to_owned(), sum(metric.data()));
        }
    }
    for (name, expected) in [
        ("tenantry.creation.duration", 1.0),
        ("tenantry.migration.duration", 1.0),
        ("tenantry.tenants", 1.0),
        ("tenantry.spares", 0.0),
        ("tenantry.drifted_tenants", 0.0),
    ] {
        assert_eq!(found.get(name), Some(&expected), "{name} in {found:#?}");
    }
    manager.close().await;
    Ok(())
}

/// The sum of a metric's values, or how many a histogram holds.
fn sum(data: &AggregatedMetrics) -> f64 {
    match data {
        AggregatedMetrics::F64(MetricData::Histogram(of)) => {
            of.data_points().map(|point| point.count() as f64).sum()
        }
        AggregatedMetrics::I64(MetricData::Sum(of)) => {
            of.data_points().map(|point| point.value() as f64).sum()
        }
        AggregatedMetrics::U64(MetricData::Gauge(of)) => {
            of.data_points().map(|point| point.value() as f64).sum()
        }
        AggregatedMetrics::U64(MetricData::Sum(of)) => {
            of.data_points().map(|point| point.value() as f64).sum()
        }
        _ => f64::NAN,
    }
}
