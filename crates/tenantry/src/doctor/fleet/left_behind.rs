//! Schemas with a provisional name: spares, and leftovers of creating and dropping tenants.

use super::candidates::{Found, LISTED};
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
    let findings = [
        half_made(&of(Provisional::HalfMade)),
        unused(&of(Provisional::Unused)),
        kept(&of(Provisional::Kept)),
    ];
    findings.into_iter().flatten().collect()
}

fn half_made(names: &[String]) -> Option<Finding> {
    let what = what(
        names,
        "schema is half made or half dropped",
        "schemas are half made or half dropped",
    )?;
    let why = "creating or dropping a tenant was interrupted; the leftover takes space and can contain rows of a \
               dropped tenant";
    Some(Finding::warning(what, why).how(
        "remove them with Provisioner::fill_spares, which also completes interrupted drops; 0 spares are enough",
    ))
}

fn unused(names: &[String]) -> Option<Finding> {
    let what = what(names, "spare was not used for a day", "spares were not used for a day")?;
    Some(
        Finding::info(what, "they belong to a release that is no longer running")
            .how("remove them with Provisioner::fill_spares"),
    )
}

fn kept(names: &[String]) -> Option<Finding> {
    let what =
        what(names, "schema of a failed creation is kept", "schemas of failed creations are kept")?;
    let finding = Finding::info(what, "CreateOptions::keep_failed keeps it until it is dropped")
        .how("inspect it, then drop it");
    Some(names.iter().take(LISTED).fold(finding, |finding, name| {
        let mut sql = Shown::default();
        sql.words("drop schema ").name(name).words(" cascade");
        finding.sql(sql.finish())
    }))
}

/// Counts and lists schemas, unless there are none.
fn what(names: &[String], one: &str, many: &str) -> Option<String> {
    (!names.is_empty())
        .then(|| format!("{}: {}", counted(names.len(), one, many), listed(names, LISTED)))
}
