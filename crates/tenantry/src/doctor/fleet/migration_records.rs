//! Tenants without a migrations table.

use futures_util::FutureExt;

use super::{
    check::{Question, examine},
    kinds::Kind,
    tenants::Tenants,
};
use crate::doctor::{BuiltIn, Finding};

/// Tenants without a migrations table.
pub(super) const CHECK: BuiltIn = BuiltIn {
    name: "migrationRecords",
    title: "Migration records",
    reads: "the tables of migrations",
    look: |on| examine(on, "no missing table of migrations", QUESTIONS).boxed(),
};

const QUESTIONS: &[Question] = &[Question { find: MISSING, tell }];

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

/// Returns nothing if no tenant has records: the service migrates in another way.
const MISSING: &str = "\
    h as materialized (select c.relnamespace as schema, pg_catalog.count(*) as tables, pg_catalog.bool_or(c.relname operator(pg_catalog.=) '_sqlx_migrations') as has_record \
    from pg_catalog.pg_class c where c.relkind operator(pg_catalog.=) any (array['r', 'p']::pg_catalog.\"char\"[]) group by c.relnamespace), \
    f as (select n.place, array[case when h.tables operator(pg_catalog.>) 0 then 'filled' else 'empty' end] as what, \
    array[coalesce(h.tables, 0)::pg_catalog.text] as detail, coalesce(h.tables, 0)::pg_catalog.float8 as weight \
    from n left join h on h.schema operator(pg_catalog.=) n.oid \
    where not coalesce(h.has_record, false) \
    and exists (select from h as o join n as other on other.oid operator(pg_catalog.=) o.schema where o.has_record))";
