//! Schemas without a tenant, and tenants without a schema.

use std::collections::HashSet;

use futures_util::FutureExt;

use super::{
    candidates::{self, Found, LISTED},
    everywhere::{Besides, Local, everywhere},
    left_behind::{left_behind, spares},
    spare_databases::{self, Spares},
    told::{Told, merged},
};
use crate::{
    catalog::Lookup,
    doctor::{Affected, BuiltIn, Examined, Finding, Subject, text::counted},
    error::Error,
    plain::{listed, plain},
    provision::is_unfinished,
    tenant::{Ident, PROVISIONAL, TenantRecord},
};

/// The check of schemas and of the list of tenants against each other.
pub(super) const CHECK: BuiltIn = BuiltIn {
    name: "orphans",
    title: "Orphaned schemas and records",
    reads: "the schemas",
    look: |on| look(on).boxed(),
};

async fn look(subject: &Subject) -> Result<Examined, Error> {
    let lookup = subject.fleet().lookup();
    let read = |local| look_into(local).boxed();
    let mut all = match everywhere(subject, Besides::Servers, read).await? {
        Ok(all) => all,
        Err(examined) => return Ok(examined),
    };
    let mut spares = 0;
    let found = std::mem::take(&mut all.found).into_iter().map(|(home, (told, some))| {
        spares += some;
        (home, told)
    });
    let told = merged(found.collect(), all.examined);
    let fine = || match spares {
        0 => FINE.to_owned(),
        spares => format!("{FINE}; {}", counted(spares, "spare", "spares")),
    };
    let examined = all.unseen(told.examined(fine));
    // Without a reversible template, the tenant of a schema is unknown.
    Ok(match lookup.can_be_read_backwards() {
        true => examined,
        false => examined.unseen(
            "schemas without a tenant: names are given by a closure, and do not reveal the tenant",
        ),
    })
}

const FINE: &str = "every schema has its tenant";

/// Looks into one database, and returns with the findings the number of spares.
async fn look_into(local: Local<'_>) -> Result<(Told, usize), Error> {
    let fleet = &local.fleet;
    let placed =
        local.records.iter().filter_map(|record| Some((*record, fleet.site(record).ok()?.schema)));
    let placed: Vec<_> = placed.collect();
    let schemas = candidates::read(fleet).await?;
    let databases = match fleet.home().database() {
        None => spare_databases::read(fleet).await?,
        Some(_) => Spares::default(),
    };
    Ok(judge(fleet.lookup(), &placed, schemas, databases))
}

fn judge(
    lookup: &Lookup,
    placed: &[(&TenantRecord, Ident)],
    schemas: Vec<Found>,
    databases: Spares,
) -> (Told, usize) {
    let (provisional, schemas): (Vec<_>, Vec<_>) =
        schemas.into_iter().partition(|schema| schema.name.as_str().starts_with(PROVISIONAL));
    let mut findings = Vec::new();
    findings.extend(without_schema(placed, &schemas));
    findings.extend(without_tenant(lookup, placed, &schemas));
    findings.extend(unfinished(placed, &schemas));
    findings.extend(left_behind(&provisional));
    findings.extend(databases.findings);
    (Told { findings, left_out: 0 }, spares(&provisional) + databases.ready)
}

fn without_schema(placed: &[(&TenantRecord, Ident)], schemas: &[Found]) -> Option<Finding> {
    let there: HashSet<_> = schemas.iter().map(|schema| &schema.name).collect();
    let missing =
        placed.iter().filter(|(record, schema)| record.step.is_none() && !there.contains(schema));
    let missing: Vec<_> = missing.collect();
    (!missing.is_empty()).then(|| {
        let affected = Affected::new(missing.len(), placed.len());
        let affected = missing.iter().fold(affected, |affected, (record, schema)| {
            affected.worst(record.id.as_str(), format!("no schema {}", plain(schema.as_str())))
        });
        Finding::error(
            "tenants are listed whose schema does not exist",
            "every request for them fails; the schema was dropped or renamed without the catalog",
        )
        .how("restore the schema, or drop the tenant with Provisioner::drop_tenant, which removes the record")
        .tenants(affected)
    })
}

fn without_tenant(
    lookup: &Lookup,
    placed: &[(&TenantRecord, Ident)],
    schemas: &[Found],
) -> Option<Finding> {
    let taken: HashSet<_> = placed.iter().map(|(_, schema)| schema).collect();
    let orphans = schemas.iter().filter(|schema| {
        let is_somebodys =
            taken.contains(&schema.name) || lookup.extension_schemas().contains(&schema.name);
        !is_somebodys && !schema.locked && lookup.may_be_a_tenants(&schema.name)
    });
    let mut orphans: Vec<_> = orphans.collect();
    orphans.sort_by_key(|schema| std::cmp::Reverse(schema.tables));
    (!orphans.is_empty()).then(|| {
        let in_words = |schema: &&Found| match usize::try_from(schema.tables).unwrap_or_default() {
            0 => format!("{} (empty)", schema.name),
            tables => format!("{} ({})", schema.name, counted(tables, "table", "tables")),
        };
        let names: Vec<_> = orphans.iter().map(in_words).collect();
        let what = format!(
            "{} named like a tenant's but without a tenant: {}",
            counted(orphans.len(), "schema is", "schemas are"),
            listed(&names, LISTED)
        );
        Finding::warning(
            what,
            "they are not migrated, backed up or dropped with the tenants, they can contain personal data of former \
             customers, and a new tenant with that id cannot be created",
        )
        .how("make it a tenant with Provisioner::adopt, or dump the schema and drop it")
    })
}

fn unfinished(placed: &[(&TenantRecord, Ident)], schemas: &[Found]) -> Option<Finding> {
    let left: HashSet<_> = schemas
        .iter()
        .filter(|schema| is_unfinished(&schema.comment) && !schema.locked)
        .map(|schema| &schema.name)
        .collect();
    let tenants: Vec<_> = placed.iter().filter(|(_, schema)| left.contains(schema)).collect();
    (!tenants.is_empty()).then(|| {
        let affected = Affected::new(tenants.len(), placed.len());
        let affected = tenants.iter().fold(affected, |affected, (record, schema)| {
            affected.worst(record.id.as_str(), plain(schema.as_str()))
        });
        Finding::warning(
            "the creation of tenants was interrupted",
            "their schemas exist, but migrations or seeds are missing",
        )
        .how("create them again with the same id, which starts over, or drop them")
        .tenants(affected)
    })
}
