//! The latency that the layer adds to a request.

use std::time::Instant;

use axum::{Router, body::Body, http::Request, routing::get};
use serde::Serialize;
use tenantry::{CatalogFn, TenantManager, TenantRecord};
use tenantry_tower::TenantLayer;
use tower::ServiceExt;

use crate::{failure::Failure, stats::median};

/// The number of pairs of batches in each round. The two of a pair run directly after each other, and the median pair
/// counts: a disturbance of a few pairs has no effect.
const PAIRS: u32 = 50;

/// Microseconds per request, with the layer and without it, in each round.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Layer {
    pub(crate) with_us: Vec<f64>,
    pub(crate) without_us: Vec<f64>,
}

impl Layer {
    pub(crate) fn overhead_us(&self) -> f64 {
        let rounds = self.with_us.iter().zip(&self.without_us);
        median(rounds.map(|(with, without)| with - without))
    }
}

/// Sends requests for a tenant that is in the catalog's cache to a handler that uses no database.
pub(crate) async fn run(requests: u32, rounds: u32) -> Result<Layer, Failure> {
    // Nothing connects: the catalog accepts every tenant, and no request needs a connection.
    let manager = TenantManager::builder("postgres://nobody@localhost/none")
        .catalog(CatalogFn::new(|id| async { Ok(Some(TenantRecord::new(id))) }))
        .build()?;
    let without = Router::new().route("/", get(async || "hello"));
    let with = without.clone().layer(TenantLayer::new(manager.clone()));
    let in_batch = requests.div_ceil(PAIRS);
    let mut layer = Layer { with_us: Vec::new(), without_us: Vec::new() };
    for round in 0..=rounds {
        let (mut with_us, mut without_us) = (Vec::new(), Vec::new());
        for _ in 0..PAIRS {
            without_us.push(batch(&without, in_batch).await?);
            with_us.push(batch(&with, in_batch).await?);
        }
        // The first one warms up.
        if round > 0 {
            eprintln!("layer_overhead_us: round {round} of {rounds}");
            layer.with_us.push(median(with_us));
            layer.without_us.push(median(without_us));
        }
    }
    manager.close().await;
    Ok(layer)
}

/// Sends this many requests, one after the other, and returns the microseconds per request.
async fn batch(router: &Router, requests: u32) -> Result<f64, Failure> {
    let began = Instant::now();
    for _ in 0..requests {
        let request = Request::get("/").header("x-tenant-id", "acme").body(Body::empty())?;
        let response = router.clone().oneshot(request).await?;
        if !response.status().is_success() {
            return Err(format!("the handler was not reached: {}", response.status()).into());
        }
    }
    Ok(began.elapsed().as_secs_f64() * 1e6 / f64::from(requests))
}
