//! Findings of checks: what is wrong, why it matters, and how to fix it.

mod affected;
#[expect(clippy::module_inception, reason = "the file is named by the concept it holds")]
mod finding;
mod place;

pub use affected::{Affected, AffectedTenant};
pub use finding::{Finding, Severity};
pub use place::FindingPlace;
