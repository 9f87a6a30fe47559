//! The time that PostgreSQL's own functions take for the same schemas on one connection.

use sqlx::{Connection, Executor};

use super::fleet::Fleet;
use crate::failure::Failure;

/// The definitions of constraints, indexes and columns of all tenants.
const DEFS: [&str; 3] = [
    "select count(pg_get_constraintdef(k.oid)) from pg_namespace n \
     join pg_class c on c.relnamespace = n.oid join pg_constraint k on k.conrelid = c.oid \
     where n.nspname like 'tenant\\_%'",
    "select count(pg_get_indexdef(i.indexrelid)) from pg_namespace n \
     join pg_class c on c.relnamespace = n.oid join pg_index i on i.indrelid = c.oid \
     where n.nspname like 'tenant\\_%'",
    "select count(format_type(a.atttypid, a.atttypmod)), count(pg_get_expr(d.adbin, d.adrelid)) from pg_namespace n \
     join pg_class c on c.relnamespace = n.oid and c.relkind = 'r' \
     join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 \
     left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum \
     where n.nspname like 'tenant\\_%'",
];

pub(super) async fn run(fleet: &Fleet) -> Result<(), Failure> {
    let mut conn = fleet.connect().await?;
    conn.execute("set jit = off; set search_path = ''").await?;
    for sql in DEFS {
        conn.execute(sql).await?;
    }
    conn.close().await?;
    Ok(())
}
