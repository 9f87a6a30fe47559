//! Credentials never show up in a `Debug` output.

use base64::{Engine, engine::general_purpose::STANDARD};
use tenantry_actix::OpsScope;

use crate::support::{TestResult, offline};

#[tokio::test]
async fn shows_up_nowhere() -> TestResult {
    let scope = OpsScope::new(offline(["acme"])).basic_auth("mallory", "hunter2");
    let configured = format!("{scope:?}");
    let served = format!("{:?}", scope.into_service()?);
    for shown in [configured, served] {
        for secret in ["mallory", "hunter2", &STANDARD.encode("mallory:hunter2")] {
            assert!(!shown.contains(secret), "{shown}");
        }
        assert!(shown.contains("BasicAuth"), "{shown}");
    }
    Ok(())
}
