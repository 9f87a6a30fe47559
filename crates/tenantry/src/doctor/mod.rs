//! The doctor: checks the configuration, the server and all tenants, and reports what is wrong and how to fix it.
//!
//! ```text
//!   TenantManager::doctor() ─▶ Doctor ── run ──▶ DoctorReport ── fix ──▶ FixReport
//!                                │                 checks, findings,
//!                                ▼                 recommendations
//!                  Check, Check, Check, …  ◀── yours, too
//! ```
//!
//! Every [`Check`] has a timeout, and a check that fails, panics or hangs does not affect the others. A check that
//! lacks a privilege to examine something reports the status [`Unknown`](CheckStatus::Unknown), never
//! [`Ok`](CheckStatus::Ok).
//!
//! | check | what it examines |
//! |---|---|
//! | `configuration` | the source of the configuration |
//! | `database` | connection, version, latency; why a connect failed, and what to do |
//! | `tenants` | the number of tenants in the catalog |
//! | `migrations`, `sharedMigrations` | files, pending and blocked tenants, findings of the lint |
//! | `isolation` | name template, shared schema, dedicated tenants |
//! | `poolConfig` | the budget of all instances compared with the limits of server, role and database |
//! | `pooler` | whether a pooler is in front of the server, and whether it keeps sessions apart |
//! | `role` | unnecessary privileges of the role, objects that it owns, schemas that do not belong to a tenant |
//! | `searchPath` | harmful defaults of roles and the database (`alter role … set`) |
//! | `extensions` | extensions that tenants cannot reach, and newer versions |
//! | `tls` | encryption, and whether the server is verified |
//! | `timeouts` | limits on statements, transactions and idle sessions |
//! | `versionEndOfLife` | until when the major version is supported |
//! | `transactionIds` | distance from wraparound, idle replication slots, forgotten prepared transactions |
//! | `oldSnapshots` | transactions that are idle for over 5 min or open for over an hour |
//! | `autovacuum` | whether it runs and keeps up |
//! | `locks` | relations of tenants compared with the size of the lock table |
//! | `memory` | memory of backends for the definitions of tables |
//! | `replication` | a standby, read-only defaults, commits that wait for a standby |
//! | `settings` | settings that can lose data or hide what happens |

mod affected;
mod builder;
mod built_in;
mod check;
mod examined;
mod finding;
mod fix;
mod fleet;
mod not_configured;
mod report;
mod run;
mod server;
mod subject;
mod text;

pub use affected::{Affected, AffectedTenant};
pub use builder::{Doctor, UnknownCheck};
pub(crate) use built_in::BuiltIn;
pub use check::{BoxFuture, Check};
pub(crate) use examined::error_in_words;
pub use examined::{CheckStatus, Examined};
pub use finding::{Finding, Severity};
pub use fix::{FixReport, FixedStatement};
pub use report::{CheckReport, DoctorHealth, DoctorReport, Versions};
pub use subject::{ServerVersion, Subject};

use run::{DATABASE, NO_CONNECTION};
use std::sync::Arc;

use crate::manager::TenantManager;

impl TenantManager {
    /// Creates a [`Doctor`], which checks the configuration, the server and the tenants' schemas for mistakes.
    pub fn doctor(&self) -> Doctor {
        Doctor::new(self.clone())
    }
}

/// The checks of the library, in the order of the report.
fn built_in() -> Vec<Arc<dyn Check>> {
    let mut checks = server::checks();
    checks.extend(fleet::checks());
    checks
}
