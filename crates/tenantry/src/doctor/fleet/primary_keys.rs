//! Tables without a primary key.

use futures_util::FutureExt;

use super::{
    check::{Question, examine},
    kinds::Kind,
    tenants::Tenants,
};
use crate::{
    doctor::{BuiltIn, Finding},
    plain::plain,
};

/// Tables without a primary key.
pub(super) const CHECK: BuiltIn = BuiltIn {
    name: "primaryKeys",
    title: "Primary keys",
    reads: "the tables",
    look: |on| examine(on, "every table has a primary key", QUESTIONS).boxed(),
};

const QUESTIONS: &[Question] = &[Question { find: WITHOUT, tell }];

fn tell(kind: &Kind, tenants: &Tenants) -> Finding {
    let (table, index) = (plain(kind.part(0)), kind.part(1));
    let finding = Finding::warning(
        format!("table {table} has no primary key"),
        "duplicate rows cannot be distinguished, and logical replication refuses updates and deletes of the table",
    );
    let finding = finding.tenants(kind.affected(tenants, |worst| match worst.part(0) {
        "" => table.clone(),
        rows => format!("{table}: about {rows} rows"),
    }));
    if index.is_empty() {
        return finding.how("add one with a migration");
    }
    let statements = kind.sql(tenants, |sql, schema, _| {
        sql.words("alter table ").of(schema, kind.part(0));
        sql.words(" add primary key using index ").name(index);
    });
    let how = format!(
        "make the unique index {} the primary key with a migration, or in each tenant",
        plain(index)
    );
    statements.into_iter().fold(finding.how(how), Finding::sql)
}

/// Partitions follow their parent; a table with a replica identity is intentional. A unique index whose columns are
/// not null can become the primary key.
const WITHOUT: &str = "\
    f as (select n.place, array[c.relname::pg_catalog.text, coalesce((select pg_catalog.min(x.relname::pg_catalog.text) from pg_catalog.pg_index i \
    join pg_catalog.pg_class x on x.oid operator(pg_catalog.=) i.indexrelid \
    where i.indrelid operator(pg_catalog.=) c.oid and c.relkind operator(pg_catalog.=) 'r'::pg_catalog.\"char\" and i.indisunique and i.indisvalid and i.indimmediate and i.indpred is null and i.indexprs is null \
    and not exists (select from pg_catalog.pg_constraint k where k.conindid operator(pg_catalog.=) i.indexrelid) \
    and not exists (select from pg_catalog.pg_attribute a where a.attrelid operator(pg_catalog.=) c.oid and a.attnum operator(pg_catalog.=) any (i.indkey::pg_catalog.int2[]) and not a.attnotnull)), '')] as what, \
    array[case when c.reltuples operator(pg_catalog.>) 0::pg_catalog.float4 then pg_catalog.round(c.reltuples::pg_catalog.numeric)::pg_catalog.text else '' end] as detail, c.reltuples::pg_catalog.float8 as weight \
    from n join pg_catalog.pg_class c on c.relnamespace operator(pg_catalog.=) n.oid and c.relkind operator(pg_catalog.=) any (array['r', 'p']::pg_catalog.\"char\"[]) \
    and not c.relispartition and c.relreplident operator(pg_catalog.=) any (array['d', 'n']::pg_catalog.\"char\"[]) \
    and c.relname operator(pg_catalog.<>) all (array['_sqlx_migrations', '_tenantry_seeds', 'tenantry_retired', 'tenantry_migrated', 'tenantry_budget', 'tenantry_moves', 'tenantry_movers', 'tenantry_markers']::pg_catalog.name[]) \
    where not exists (select from pg_catalog.pg_index i where i.indrelid operator(pg_catalog.=) c.oid and i.indisprimary) \
    and not exists (select from pg_catalog.pg_depend e where e.classid operator(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass and e.objid operator(pg_catalog.=) c.oid and e.deptype operator(pg_catalog.=) 'e'::pg_catalog.\"char\"))";
