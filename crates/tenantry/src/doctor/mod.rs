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
//! Checks of the configuration and of the server. With [several servers](crate::ManagerBuilder::server), those of the
//! server run on each of them at the same time, and each finding names the servers that it is about. A server that
//! does not answer is a finding of the check `databases`, which comes first in the text report and in the
//! recommendations; the others list it as not seen. The checks
//! `configuration`, `tenants`, `migrations`, `sharedMigrations` and `isolation` are about the whole fleet.
//!
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
//! | `rows` | policies, keys, roles and privileges of the tables that hold the rows of all tenants |
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
//! | `replication` | a standby, read-only defaults, commits that wait for a standby, read replicas that are not used |
//! | `citus` | the version of the extension, the nodes, the schemas on each, tenants that are not distributed |
//! | `settings` | settings that can lose data or hide what happens |
//!
//! Checks of the tenants' schemas and data. They examine every database that tenants are in, or a
//! [sample](Doctor::databases) of many. What cannot be reached is a finding of the check `databases`, and the others
//! list it as not seen.
//!
//! | check | what it examines |
//! |---|---|
//! | `databases` | whether the databases and servers of tenants can be reached, and how many are examined |
//! | `sharedContainers` | tenants that share a container, or whose container is easily confused with another's |
//! | `orphans` | schemas without a tenant, and tenants without a schema |
//! | `tenantsOfState` | suspended tenants, and tenants whose creation has not completed |
//! | `limits` | limits and places of tenants that cannot be used, and limits beyond the budget |
//! | `migrationRecords` | tenants without a migrations table |
//! | `driftSummary` | the number of different schema structures among tenants |
//! | `foreignObjects` | objects that refer from one tenant's schema to another's, or from elsewhere to a tenant's |
//! | `extensionsInTenants` | extensions that are installed in a tenant's schema |
//! | `tenantPrivileges` | roles that can access a tenant's objects |
//! | `rowSecurity` | row-level security that is not effective |
//! | `sequences` | sequences that run out of numbers |
//! | `invalidIndexes` | indexes that no query uses because their creation or removal was interrupted |
//! | `duplicateIndexes` | redundant indexes |
//! | `primaryKeys` | tables without a primary key |
//! | `unloggedTables` | tables that are emptied by a crash |
//! | `bloat` | dead rows that are not vacuumed, and tables without planner statistics |
//! | `largestTenants` | tenants that are much larger than most |
//! | `eventTriggers` | event triggers that fire when migrations change tables |

mod away;
mod builder;
mod built_in;
mod check;
mod examined;
mod fix;
mod fleet;
mod homes;
mod not_configured;
mod on_server;
mod repeated;
mod report;
mod run;
mod server;
mod server_check;
mod several;
mod subject;
mod text;

pub use crate::finding::{Affected, AffectedTenant, Finding, FindingPlace, Severity};
pub use builder::{Doctor, UnknownCheck};
pub(crate) use built_in::BuiltIn;
pub use check::{BoxFuture, Check};
pub(crate) use examined::error_in_words;
pub use examined::{CheckStatus, Examined};
pub use fix::{FixReport, FixedStatement};
pub(crate) use on_server::OnServer;
pub use report::{CheckReport, DoctorHealth, DoctorReport, Versions};
pub use subject::{ServerVersion, Subject};

use run::{DATABASE, NO_CONNECTION};
pub(crate) use server_check::ServerCheck;
use server_check::on_each_server;
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
