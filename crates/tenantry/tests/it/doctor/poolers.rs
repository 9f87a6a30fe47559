use tenantry::{TenantManager, doctor::CheckStatus};

use super::of;
use crate::{
    faults::PgBouncer,
    support::{TestResult, pool_options, private_server},
};

#[tokio::test]
async fn a_pooler_and_its_mode_are_found_out() -> TestResult {
    let server = private_server(&["acme"]).await;
    for (mode, status, message) in [
        ("session", CheckStatus::Ok, "session mode"),
        ("transaction", CheckStatus::Error, "transaction mode"),
    ] {
        let Some(pooler) = PgBouncer::before(server.port(), &[("pool_mode", mode)]).await else {
            return Ok(());
        };
        let options = pool_options(|options| options.max_connections = 4);
        let manager = TenantManager::builder(pooler.url()).pool_options(options).build()?;
        let report = manager.doctor().only(["database", "pooler", "tls"]).run().await?;
        let text = report.to_string();
        match status {
            CheckStatus::Ok => {
                assert_eq!(of(&report, "pooler").message, message, "{text}");
                assert!(
                    text.contains(
                        "session mode; a pooler or proxy is in front of the server (port "
                    ),
                    "{text}"
                );
            }
            // Where nothing is served, the check of the connection says so.
            _ => {
                assert!(!report.success && !report.health.healthy, "{text}");
                assert_eq!(of(&report, "pooler").status, status, "{text}");
                assert!(
                    text.contains("a pooler in transaction mode is in front of the server"),
                    "{text}"
                );
            }
        }
        manager.close().await;
    }
    Ok(())
}

#[tokio::test]
async fn with_one_connection_nobody_can_tell() -> TestResult {
    let server = private_server(&["acme"]).await;
    let options = pool_options(|options| options.max_connections = 1);
    let manager = TenantManager::builder(server.url()).pool_options(options).build()?;
    let report = manager.doctor().only(["pooler"]).run().await?;
    assert_eq!(of(&report, "pooler").status, CheckStatus::Unknown, "{report}");
    manager.close().await;
    Ok(())
}
