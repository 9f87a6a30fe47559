//! Verifies that nothing goes around the policies of the tables that hold the rows of all tenants.

mod facts;
mod finding;
mod judge;
mod normal;
mod query;
mod report;
mod rule;
mod run;
mod sessions;

pub use finding::RowsFinding;
pub use report::{RowsReport, UnsafeRows};
pub use rule::RowsRule;
pub(crate) use run::verify;
