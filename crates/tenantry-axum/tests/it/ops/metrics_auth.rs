//! Credentials never show up in a `Debug` output.

use base64::{Engine, engine::general_purpose::STANDARD};
use tenantry_axum::OpsRoutes;

use crate::support::{TestResult, offline};

#[tokio::test]
async fn shows_up_nowhere() -> TestResult {
    let routes = OpsRoutes::new(offline(["acme"])).basic_auth("prom", "hunter2");
    let shown = format!("{routes:?}");
    for secret in ["prom", "hunter2", &STANDARD.encode("prom:hunter2")] {
        assert!(!shown.contains(secret), "{shown}");
    }
    assert!(shown.contains("BasicAuth"), "{shown}");
    Ok(())
}
