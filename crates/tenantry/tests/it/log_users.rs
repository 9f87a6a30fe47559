//! An application that uses the crate `log`, and no subscriber of `tracing`, reads the tenant and all causes.

use std::{env, process::Command, time::Duration};

use log::{LevelFilter, Log, Metadata, Record};
use tenantry::{
    Error, FixedCatalog, TenantId, TenantManager, TenantRecord,
    admission::{Failure, Rejection},
};

use crate::support::TestResult;

/// Writes each record as a line, as `env_logger` does.
struct Lines;

impl Log for Lines {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        eprintln!("{} {} {}", record.level(), record.target(), record.args());
    }

    fn flush(&self) {}
}

fn directory_is_down() -> Error {
    Error::catalog(std::io::Error::other("the directory is down"))
}

/// In a process of its own: a process has one logger, and tracing hands it nothing once there is a subscriber.
#[tokio::test]
#[ignore = "a child that another test starts"]
async fn child_that_logs() -> TestResult {
    log::set_logger(&Lines).map_err(|error| error.to_string())?;
    log::set_max_level(LevelFilter::Debug);
    let acme = TenantId::parse("acme")?;
    Failure::from(directory_is_down()).log();
    Rejection::from(directory_is_down()).log("request rejected");
    let manager = TenantManager::builder("postgres://app:hunter2@127.0.0.1:1/saas")
        .catalog(FixedCatalog::new([TenantRecord::new(acme.clone())]))
        .acquire_timeout(Duration::from_millis(300))
        .build()?;
    let error = manager.tenant(acme).await?.acquire().await.err().ok_or("there is no server")?;
    Failure::from(Error::from(error)).log();
    manager.close().await;
    Ok(())
}

#[test]
fn read_the_tenant_and_all_causes() -> TestResult {
    let child = Command::new(env::current_exe()?)
        .args(["--ignored", "--exact", "log_users::child_that_logs", "--nocapture"])
        .output()?;
    let lines = String::from_utf8(child.stderr)?;
    assert!(child.status.success(), "{lines}");
    let line = |words: &[&str]| {
        let found = lines.lines().any(|line| words.iter().all(|word| line.contains(word)));
        assert!(found, "no line with {words:?} in:\n{lines}");
    };
    let catalog = "catalog failed: asking the catalog: the directory is down";
    line(&["ERROR", "request failed", catalog]);
    line(&["ERROR", "request rejected", catalog]);
    line(&["WARN", "request failed", r#"tenant="acme""#, "refused"]);
    line(&["WARN", "tenantry::pool", "POOL_ERROR", "refused"]);
    assert!(!lines.contains("hunter2"), "{lines}");
    Ok(())
}
