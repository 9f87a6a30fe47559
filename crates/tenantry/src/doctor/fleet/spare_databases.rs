//! Databases that were created in advance for tenants, on every server.

use super::candidates::LISTED;
use crate::{
    doctor::{Finding, text::counted},
    error::Error,
    fleet::Fleet,
    plain::listed,
    provision::SpareDatabases,
    reading::lease_for_reading,
    tenant::Ident,
};

/// What there is of spare databases.
#[derive(Debug, Default)]
pub(super) struct Spares {
    pub(super) ready: usize,
    pub(super) findings: Vec<Finding>,
}

/// Reads the spare databases of a server.
pub(super) async fn read(fleet: &Fleet) -> Result<Spares, Error> {
    let mut lease = lease_for_reading(fleet).await?;
    let found = SpareDatabases::read(&mut lease).await?;
    let findings = [half_made(&found.half_made), unused(&found.unused)];
    Ok(Spares { ready: found.ready, findings: findings.into_iter().flatten().collect() })
}

fn half_made(names: &[Ident]) -> Option<Finding> {
    let what = what(names, "spare database is half made", "spare databases are half made")?;
    let why = "making or removing it was interrupted, and it takes space";
    Some(Finding::warning(what, why).how(
        "remove them with Provisioner::fill_database_spares for this server; 0 spares are enough",
    ))
}

fn unused(names: &[Ident]) -> Option<Finding> {
    let (one, many) = ("spare database was not used", "spare databases were not used");
    let what = what(names, &format!("{one} for a day"), &format!("{many} for a day"))?;
    Some(
        Finding::info(what, "they belong to a release that is no longer running")
            .how("remove them with Provisioner::fill_database_spares for this server"),
    )
}

/// Counts and lists databases, unless there are none.
fn what(names: &[Ident], one: &str, many: &str) -> Option<String> {
    let texts: Vec<_> = names.iter().map(ToString::to_string).collect();
    (!names.is_empty())
        .then(|| format!("{}: {}", counted(names.len(), one, many), listed(&texts, LISTED)))
}
