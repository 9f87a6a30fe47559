//! The doctor: looks at the configuration, the server and all tenants, and says what is wrong and how to fix it.
//!
//! ```text
//!   TenantManager::doctor() ─▶ Doctor ── run ──▶ DoctorReport ── fix ──▶ FixReport
//!                                │                 checks, findings,
//!                                ▼                 recommendations
//!                  Check, Check, Check, …  ◀── yours, too
//! ```
//!
//! Every [`Check`] is bounded in time, and one that fails, panics or hangs leaves the others alone. A check that may
//! not see what it has to look at says so: its status is [`Unknown`](CheckStatus::Unknown), never
//! [`Ok`](CheckStatus::Ok).

mod affected;
mod builder;
mod built_in;
mod check;
mod examined;
mod finding;
mod fix;
mod fleet;
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
    /// Makes what looks for mistakes in the configuration, on the server and in the tenants' schemas; see [`Doctor`].
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
