//! Memory per known, idle tenant.

use std::{env, process};

use serde::Serialize;
use tenantry::{CatalogFn, CatalogOptions, TenantManager, TenantRecord};
use tokio::task::spawn_blocking;

use crate::{failure::Failure, memory::private_memory, stats::median};

/// Bytes per tenant, measured several times.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct IdleTenant {
    pub(crate) tenants: usize,
    pub(crate) rounds: Vec<f64>,
    /// Why it could not be measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) failure: Option<String>,
}

impl IdleTenant {
    pub(crate) fn bytes(&self) -> Option<f64> {
        let measured = !self.rounds.is_empty();
        measured.then(|| median(self.rounds.iter().copied()))
    }
}

/// Measures in separate processes: this one's heap has holes that new tenants would fill.
pub(crate) async fn run(tenants: usize, rounds: u32) -> Result<IdleTenant, Failure> {
    let mut result = IdleTenant { tenants, rounds: Vec::new(), failure: None };
    for round in 0..rounds {
        eprintln!("idle_tenant_bytes: round {} of {rounds}", round + 1);
        match spawn_blocking(move || in_a_process(tenants)).await? {
            Ok(bytes) => result.rounds.push(bytes),
            Err(failure) => {
                result.failure = Some(failure.to_string());
                break;
            }
        }
    }
    Ok(result)
}

fn in_a_process(tenants: usize) -> Result<f64, Failure> {
    let output = process::Command::new(env::current_exe()?)
        .args(["idle-tenants", &tenants.to_string()])
        .output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).trim().into());
    }
    Ok(String::from_utf8(output.stdout)?.trim().parse()?)
}

/// Has a manager look up this many tenants, and returns by how many bytes the process grew per tenant.
///
/// This counts everything that stays: the id, the record, the placement, the binding, the entry in the catalog's
/// cache, and the entry for the owner of the container; and the overhead of the allocator. No tenant has a
/// connection: a tenant pool exists only while a tenant is served.
pub(crate) async fn measure(tenants: usize) -> Result<f64, Failure> {
    let mut options = CatalogOptions::default();
    options.capacity = 2 * u64::try_from(tenants)?;
    // Nothing connects: the catalog accepts every tenant, and no request needs a connection.
    let manager = TenantManager::builder("postgres://nobody@localhost/none")
        .catalog(CatalogFn::new(|id| async { Ok(Some(TenantRecord::new(id))) }))
        .catalog_options(options)
        .build()?;
    manager.tenant("first").await?;
    let before = private_memory(process::id())?;
    for number in 0..tenants {
        manager.tenant(format!("t{number:05}")).await?;
    }
    let after = private_memory(process::id())?;
    manager.close().await;
    let grown = after.bytes.saturating_sub(before.bytes);
    Ok(grown as f64 / tenants as f64)
}
