//! Tenants without a migrations table.

use futures_util::FutureExt;

use super::{
    everywhere::{Besides, Local, everywhere},
    kinds::{Kind, find},
    tenants::Tenants,
    told::{Told, merged},
};
use crate::{
    doctor::{BuiltIn, Examined, Finding, Subject},
    error::Error,
    reading::{lease_for_reading, on},
};

/// Tenants without a migrations table.
pub(super) const CHECK: BuiltIn = BuiltIn {
    name: "migrationRecords",
    title: "Migration records",
    reads: "the tables of migrations",
    look: |on| look(on).boxed(),
};

/// What a tenant with a migrations table is counted as.
const RECORDED: &str = "recorded";

async fn look(subject: &Subject) -> Result<Examined, Error> {
    let read = |local| read(local).boxed();
    let mut all = match everywhere(subject, Besides::Nothing, read).await? {
        Ok(all) => all,
        Err(examined) => return Ok(examined),
    };
    let is_recorded = |kind: &Kind| kind.part(0) == RECORDED;
    let kinds = || all.found.iter().flat_map(|(_, (kinds, _))| kinds);
    // If no tenant has records, the service migrates in another way.
    let some_have = kinds().any(is_recorded);
    let told = std::mem::take(&mut all.found).into_iter().map(|(home, (kinds, tenants))| {
        let missing = kinds.iter().filter(|kind| some_have && !is_recorded(kind));
        let findings = missing.map(|kind| tell(kind, &tenants)).collect();
        (home, Told { findings, left_out: 0 })
    });
    let told = merged(told.collect(), all.examined);
    let fine = || format!("no missing table of migrations in {}", all.in_words());
    Ok(all.unseen(told.examined(fine)))
}

async fn read(local: Local<'_>) -> Result<(Vec<Kind>, Tenants), Error> {
    let mut lease = lease_for_reading(&local.fleet).await?;
    let tenants = &local.tenants;
    let found = on(&mut lease, async |conn| find(conn, tenants, RECORDS).await).await?;
    Ok((found.kinds, local.tenants))
}

fn tell(kind: &Kind, tenants: &Tenants) -> Finding {
    let has_tables = kind.part(0) == "filled";
    let affected = kind.affected(tenants, |worst| match worst.part(0) {
        "0" => "no tables".to_owned(),
        "1" => "1 table".to_owned(),
        tables => format!("{tables} tables"),
    });
    let finding = match has_tables {
        true => Finding::warning(
            "tenants have tables and no record of migrations, while others have one",
            "the next run applies every file from the first one on, and fails at the existing tables",
        )
        .how(
            "find out how they were created; if their tables are those of a version, adopt the schema or mark that \
             version as applied",
        ),
        false => Finding::warning(
            "tenants have no tables and no record of migrations, while others have one",
            "they were created without migrations: requests find no tables",
        )
        .how("migrate them"),
    };
    finding.tenants(affected)
}

/// The tenants by what they have.
const RECORDS: &str = "\
    h as materialized (select c.relnamespace as schema, pg_catalog.count(*) as tables, pg_catalog.bool_or(c.relname operator(pg_catalog.=) '_sqlx_migrations') as has_record \
    from pg_catalog.pg_class c where c.relkind operator(pg_catalog.=) any (array['r', 'p']::pg_catalog.\"char\"[]) group by c.relnamespace), \
    f as (select n.place, array[case when h.has_record then 'recorded' when h.tables operator(pg_catalog.>) 0 then 'filled' else 'empty' end] as what, \
    array[coalesce(h.tables, 0)::pg_catalog.text] as detail, coalesce(h.tables, 0)::pg_catalog.float8 as weight \
    from n left join h on h.schema operator(pg_catalog.=) n.oid)";
