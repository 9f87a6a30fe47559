//! `/metrics` is what Prometheus scrapes.

use std::{
    error::Error,
    io::{ErrorKind, Write},
    process::{Command, Output, Stdio},
};

use prometheus::{IntCounter, Registry};

use super::{OpsSettings, ServesOps, stage::Stage};
use crate::{client::get, world::World};

/// The content type does not depend on the `Accept` header.
pub async fn metrics_are_in_the_text_format_whatever_is_accepted<S: ServesOps>() {
    let world = World::new().await;
    let stage = Stage::new::<S>(world.manager()).await;
    let openmetrics = "application/openmetrics-text;version=1.0.0,text/plain;q=0.1";
    for accept in ["*/*", openmetrics, "application/vnd.google.protobuf"] {
        let answer = get("/metrics").header("accept", accept).send(&stage.server).await;
        assert_eq!(answer.status, 200);
        let text = "text/plain; version=0.0.4; charset=utf-8";
        assert_eq!(answer.header("content-type"), Some(text));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert!(answer.body.starts_with("# HELP "), "{}", answer.body);
        assert!(answer.body.ends_with('\n'));
    }
    stage.end().await;
}

/// Checks the metrics of a new manager after five requests for one tenant, with one statement each.
///
/// # Panics
///
/// When a line is missing.
pub fn assert_five_requests(metrics: &str) {
    for line in [
        "# TYPE tenantry_acquires_total counter",
        "tenantry_acquires_total{outcome=\"open\"} 1",
        "tenantry_acquires_total{outcome=\"hit\"} 4",
        "tenantry_query_duration_seconds_count 5",
        "tenantry_tenant_pools 1",
    ] {
        assert!(metrics.lines().any(|found| found == line), "{line} is not in:\n{metrics}");
    }
}

/// Tenants are labels only with `tenant_labels`.
pub async fn metrics_name_tenants_on_request<S: ServesOps>() {
    let world = World::new().await;
    let hidden = Stage::new::<S>(world.manager()).await;
    let verbose = Stage::with::<S>(hidden.manager.clone(), OpsSettings::verbose()).await;
    verbose.metrics().await;
    verbose.use_tenants(&["acme"]).await;
    let line = r#"tenantry_tenant_connections{state="idle",tenant="acme"} 1"#;
    assert!(verbose.metrics().await.contains(line));
    assert!(!hidden.metrics().await.contains("acme"));
    hidden.end().await;
}

/// `promtool check metrics` has nothing to say. Skipped on a machine without it.
pub async fn metrics_are_accepted_by_promtool<S: ServesOps>() {
    let world = World::new().await;
    let stage = Stage::with::<S>(world.manager(), OpsSettings::verbose()).await;
    stage.use_tenants(&["acme", "globex"]).await;
    stage.health(200).await;
    let metrics = stage.metrics().await;
    stage.end().await;
    let Some(verdict) = promtool(&metrics) else {
        eprintln!("skipped: promtool is not installed");
        return;
    };
    let stderr = String::from_utf8_lossy(&verdict.stderr);
    assert!(verdict.status.success() && stderr.is_empty(), "{stderr}\n{metrics}");
}

/// Returns the output of `promtool check metrics`, or `None` if it is not installed.
fn promtool(metrics: &str) -> Option<Output> {
    let mut promtool = Command::new("promtool");
    promtool.args(["check", "metrics"]).stdin(Stdio::piped());
    let promtool = promtool.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    if promtool.as_ref().is_err_and(|error| error.kind() == ErrorKind::NotFound) {
        return None;
    }
    let mut promtool = promtool.expect("promtool can be started");
    let mut stdin = promtool.stdin.take().expect("it is piped");
    stdin.write_all(metrics.as_bytes()).expect("promtool reads");
    drop(stdin);
    Some(promtool.wait_with_output().expect("promtool ends"))
}

/// The metrics of the application are in the same answer, whichever worker gives it. A registry takes the metrics of
/// a manager only once.
pub async fn metrics_contain_the_whole_registry<S: ServesOps>() {
    let world = World::new().await;
    let registry = Registry::new();
    let orders = IntCounter::new("orders_total", "Orders placed").expect("the name is valid");
    registry.register(Box::new(orders.clone())).expect("the name is free");
    orders.inc_by(7);
    let settings = OpsSettings { registry: Some(registry), ..OpsSettings::default() };
    let stage = Stage::with::<S>(world.manager(), settings.clone()).await;
    for _ in 0..4 {
        let metrics = stage.metrics().await;
        assert!(metrics.contains("\norders_total 7\n"), "{metrics}");
        assert!(metrics.contains("\ntenantry_connections_max 20\n"), "{metrics}");
    }

    let again = S::serve(stage.manager.clone(), settings).await.expect_err("the names are taken");
    assert!(again.to_string().contains("already"), "{again}");
    assert!(again.source().is_some());
    stage.end().await;
}

/// Two managers in one process can be told apart by a label of their registries.
pub async fn two_managers_share_a_registry_with_labels<S: ServesOps>() {
    let world = World::new().await;
    let managers = [world.manager(), world.manager()];
    for (manager, region) in managers.iter().zip(["eu", "us"]) {
        let labels = [("region".to_owned(), region.to_owned())].into();
        let registry = Registry::new_custom(None, Some(labels)).expect("the label is valid");
        let settings = OpsSettings { registry: Some(registry), ..OpsSettings::default() };
        let metrics = Stage::with::<S>(manager.clone(), settings).await.metrics().await;
        let line = format!("tenantry_connections_max{{region=\"{region}\"}} 20");
        assert!(metrics.contains(&line), "{metrics}");
    }
    for manager in managers {
        manager.close().await;
    }
}
