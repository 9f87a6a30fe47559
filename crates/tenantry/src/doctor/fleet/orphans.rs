//! Schemas without a tenant, and tenants without a schema.

use std::collections::HashSet;

use futures_util::FutureExt;
use sqlx::Row;

use super::{
    check::Told,
    left_behind::{left_behind, spares},
};
use crate::{
    catalog::Lookup,
    doctor::{Affected, BuiltIn, Examined, Finding, Subject, text::counted},
    error::Error,
    migrate::LOCK_OF_SCHEMA,
    plain::{listed, plain},
    provision::is_unfinished,
    reading::{lease_for_reading, on},
    tenant::{Ident, PROVISIONAL, TenantRecord},
};

/// The check of schemas and of the list of tenants against each other.
pub(super) const CHECK: BuiltIn = BuiltIn {
    name: "orphans",
    title: "Orphaned schemas and records",
    reads: "the schemas",
    look: |on| look(on).boxed(),
};

/// The maximum number of schemas listed in a finding.
pub(super) const LISTED: usize = 10;

/// A schema that may be a tenant's, or is becoming one.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) name: Ident,
    pub(super) comment: String,
    pub(super) tables: i64,
    /// Whether a session holds the lock for creating, migrating or dropping it.
    pub(super) locked: bool,
}

async fn look(subject: &Subject) -> Result<Examined, Error> {
    let records = match subject.tenants() {
        Ok(records) => records,
        Err(error) => return Ok(Examined::not_read("the list of tenants", error)),
    };
    let lookup = subject.fleet().lookup();
    let mut lease = lease_for_reading(subject.fleet()).await?;
    let rows = on(&mut lease, async |conn| {
        sqlx::query(SCHEMAS).bind(LOCK_OF_SCHEMA).persistent(false).fetch_all(conn).await
    })
    .await?;
    drop(lease);
    let mut schemas = Vec::new();
    for row in &rows {
        let Ok(name) = Ident::parse(row.try_get(0)?) else { continue };
        let (comment, tables, locked) = (row.try_get(1)?, row.try_get(2)?, row.try_get(3)?);
        schemas.push(Found { name, comment, tables, locked });
    }
    let (provisional, schemas): (Vec<_>, Vec<_>) =
        schemas.into_iter().partition(|schema| schema.name.as_str().starts_with(PROVISIONAL));

    let placed = records
        .iter()
        .filter_map(|record| Some((record, subject.fleet().site(record).ok()?.schema)));
    let placed: Vec<_> = placed.collect();
    let mut findings = Vec::new();
    findings.extend(without_schema(&placed, &schemas));
    findings.extend(without_tenant(lookup, &placed, &schemas));
    findings.extend(unfinished(&placed, &schemas));
    findings.extend(left_behind(&provisional));
    let (spares, fine) = (spares(&provisional), "every schema has its tenant");
    let told = Told { findings, left_out: 0 };
    let examined = match (told.findings.is_empty(), spares) {
        (true, 0) => Examined::ok(fine),
        (true, spares) => Examined::ok(format!("{fine}; {}", counted(spares, "spare", "spares"))),
        (false, _) => told.examined_of(records.len(), fine),
    };
    // Without a reversible template, the tenant of a schema is unknown.
    Ok(match lookup.can_be_read_backwards() {
        true => examined,
        false => examined.unseen(
            "schemas without a tenant: names are given by a closure, and say nothing about tenants",
        ),
    })
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
            "every request for them fails; the schema was dropped or renamed behind the catalog's back",
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
            "{} named as a tenant's and no tenant's: {}",
            counted(orphans.len(), "schema is", "schemas are"),
            listed(&names, LISTED)
        );
        Finding::warning(
            what,
            "nobody migrates, backs up or drops them with the tenants, they may hold personal data of customers who have left, and \
             a new tenant of that id cannot be created",
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
            "the creation of tenants was cut off",
            "their schemas are there, and migrations or seeds are missing",
        )
        .how("create them again with the same id, which begins anew, or drop them")
        .tenants(affected)
    })
}

/// All schemas except PostgreSQL's, with their tables, and whether a session holds the lock that
/// [`try_lock`](crate::migrate::try_lock) takes: `$1` distinguishes it from others.
const SCHEMAS: &str = "\
    with held as materialized (select (l.classid::pg_catalog.int8 operator(pg_catalog.<<) 32) operator(pg_catalog.|) l.objid::pg_catalog.int8 as key from pg_catalog.pg_locks l \
    where l.locktype operator(pg_catalog.=) 'advisory' and l.objsubid operator(pg_catalog.=) 1 and l.granted \
    and l.database operator(pg_catalog.=) (select d.oid from pg_catalog.pg_database d where d.datname operator(pg_catalog.=) pg_catalog.current_database())), \
    t as (select c.relnamespace as schema, pg_catalog.count(*) as tables from pg_catalog.pg_class c where c.relkind operator(pg_catalog.=) any (array['r', 'p']::pg_catalog.\"char\"[]) group by c.relnamespace) \
    select s.nspname::pg_catalog.text, coalesce(pg_catalog.obj_description(s.oid, 'pg_namespace'), ''), coalesce(t.tables, 0::pg_catalog.int8), \
    pg_catalog.hashtextextended(s.nspname::pg_catalog.text, $1) operator(pg_catalog.=) any (array(select held.key from held)) \
    from pg_catalog.pg_namespace s left join t on t.schema operator(pg_catalog.=) s.oid \
    where not pg_catalog.starts_with(s.nspname::pg_catalog.text, 'pg_') and s.nspname operator(pg_catalog.<>) 'information_schema' \
    order by 1";
