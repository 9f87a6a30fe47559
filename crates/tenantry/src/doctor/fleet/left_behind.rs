//! Schemas with a provisional name: spares, and leftovers of creating and dropping tenants.

use super::orphans::{Found, LISTED};
use crate::{
    doctor::{Finding, text::counted},
    plain::listed,
    provision::Provisional,
    sql::Shown,
};

/// Counts the spares.
pub(super) fn spares(provisional: &[Found]) -> usize {
    let kinds = provisional.iter().map(|schema| Provisional::of(&schema.comment));
    kinds.filter(|kind| *kind == Provisional::Spare).count()
}

/// Reports leftovers.
pub(super) fn left_behind(provisional: &[Found]) -> Vec<Finding> {
    let of = |wanted: Provisional| {
        let found = provisional
            .iter()
            .filter(|schema| !schema.locked && Provisional::of(&schema.comment) == wanted);
        found.map(|schema| schema.name.to_string()).collect::<Vec<_>>()
    };
    let what = |names: &[String], one: &str, many: &str| {
        format!("{}: {}", counted(names.len(), one, many), listed(names, LISTED))
    };
    let mut findings = Vec::new();
    let half_made = of(Provisional::HalfMade);
    if !half_made.is_empty() {
        findings.push(
            Finding::warning(
                what(&half_made, "schema is half made or half dropped", "schemas are half made or half dropped"),
                "creating or dropping a tenant was cut off; what is left takes space and may hold rows of a dropped tenant",
            )
            .how("remove them with Provisioner::fill_spares, which also drops the rest of a tenant; 0 spares will do"),
        );
    }
    let unused = of(Provisional::Unused);
    if !unused.is_empty() {
        findings.push(
            Finding::info(
                what(&unused, "spare was not used for a day", "spares were not used for a day"),
                "they are of a release that has ended",
            )
            .how("remove them with Provisioner::fill_spares"),
        );
    }
    let kept = of(Provisional::Kept);
    if !kept.is_empty() {
        let finding = Finding::info(
            what(
                &kept,
                "schema of a failed creation is kept",
                "schemas of failed creations are kept",
            ),
            "somebody wanted to look at it, and nothing removes it by itself",
        )
        .how("drop it after a look");
        findings.push(kept.iter().take(LISTED).fold(finding, |finding, name| {
            let mut sql = Shown::default();
            sql.words("drop schema ").name(name).words(" cascade");
            finding.sql(sql.finish())
        }));
    }
    findings
}
