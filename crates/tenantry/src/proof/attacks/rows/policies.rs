//! The application's own tables: whether anything goes around their policies.

use super::super::super::{
    finding::{Attacked, Finding, Stop},
    ground::Ground,
};
use crate::rows::{RowsReport, RowsRule};

/// Reports what the verification of the tables has found. It only reads system catalogs.
pub(in crate::proof) async fn run(ground: &Ground<'_>) -> Attacked {
    let report = ground.verified()?;
    if let Some(broken) = report.errors().find(|found| found.rule == RowsRule::Configuration) {
        return Err(Stop::new(broken.finding.what.clone()));
    }
    ground.leak_all(report.unfiltered.iter().map(|table| unfiltered(report, table)));
    ground.leak_all(report.errors().map(|found| {
        let finding = &found.finding;
        format!("{}: {}", finding.what, finding.why)
    }));
    let RowsReport { tables, role, schema, .. } = report;
    let seen = format!(
        "{tables} tables in {}: the server applies their policies to the role {role}, and nothing was found that \
         goes around them",
        schema.as_str()
    );
    Ok(Finding { seen, rounds: u64::try_from(*tables).unwrap_or(u64::MAX) })
}

fn unfiltered(report: &RowsReport, table: &str) -> String {
    format!("the server applies no policy of {table} to the role {}", report.role)
}
