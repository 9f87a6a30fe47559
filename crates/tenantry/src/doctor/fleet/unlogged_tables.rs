//! Tables that are emptied by a crash.

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

/// Tables that are empty after a crash.
pub(super) const CHECK: BuiltIn = BuiltIn {
    name: "unloggedTables",
    title: "Unlogged tables",
    reads: "the tables",
    look: |on| examine(on, "no unlogged table", QUESTIONS).boxed(),
};

const QUESTIONS: &[Question] = &[Question { find: UNLOGGED, tell }];

fn tell(kind: &Kind, tenants: &Tenants) -> Finding {
    let table = plain(kind.part(0));
    let finding = Finding::warning(
        format!("table {table} is unlogged"),
        "it is empty after a crash of the server and after a failover, and no backup by WAL has its rows",
    );
    let statements = kind.sql(tenants, |sql, schema, _| {
        sql.words("alter table ").of(schema, kind.part(0)).words(" set logged");
    });
    let finding = finding
        .how(
            "if its rows matter, make it a logged one with a migration, or in each tenant; this writes the table anew \
             and locks it meanwhile",
        )
        .tenants(kind.affected(tenants, |_| table.clone()));
    statements.into_iter().fold(finding, Finding::sql)
}

const UNLOGGED: &str = "\
    f as (select n.place, array[c.relname::pg_catalog.text] as what, array[]::pg_catalog.text[] as detail, c.reltuples::pg_catalog.float8 as weight \
    from n join pg_catalog.pg_class c on c.relnamespace operator(pg_catalog.=) n.oid and c.relkind operator(pg_catalog.=) 'r'::pg_catalog.\"char\" and c.relpersistence operator(pg_catalog.=) 'u'::pg_catalog.\"char\")";
