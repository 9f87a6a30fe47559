//! Lets transactions end that were open when the gate closed.
//!
//! The fence waits for transactions that have written. One that was begun before, and has only read or done nothing yet,
//! would find its tables gone. Most of them end within a moment, and a process that has heard of the gate begins no other
//! one. Those that stay open for longer are told to begin again.

use std::time::{Duration, Instant};

use sqlx::PgConnection;
use tokio::time::sleep;

use crate::{error::Error, tenant::Ident};

/// How long other processes may take to hear that the gate has closed.
const HEARS_WITHIN: Duration = Duration::from_millis(5);

/// How long requests wait for transactions at most.
const MOMENT: Duration = Duration::from_millis(60);

const LOOK_AGAIN: Duration = Duration::from_millis(2);

/// The open transactions of clients of this database that may be the tenant's: they use its tables, or none yet.
/// Parameters: the schema, and the tables there.
const OPEN: &str = "\
    with held as materialized (select l.locktype, l.database, l.relation, l.virtualtransaction, l.pid \
        from pg_catalog.pg_locks l where l.locktype operator(pg_catalog.=) any (array['relation', 'virtualxid']::pg_catalog.text[])), \
      tables as (select c.oid from pg_catalog.pg_class c \
        join pg_catalog.pg_namespace n on n.oid operator(pg_catalog.=) c.relnamespace \
        where n.nspname operator(pg_catalog.=) $1 and c.relname operator(pg_catalog.=) any ($2)), \
      used as (select h.pid, h.relation from held h where h.locktype operator(pg_catalog.=) 'relation' \
        and h.database operator(pg_catalog.<>) 0::pg_catalog.oid and h.relation operator(pg_catalog.>=) 16384::pg_catalog.oid) \
    select pg_catalog.format('%s %s', v.pid, v.virtualtransaction) from held v \
    join pg_catalog.pg_stat_activity a on a.pid operator(pg_catalog.=) v.pid \
      and a.datname operator(pg_catalog.=) pg_catalog.current_database() and a.usesysid is not null \
    where v.locktype operator(pg_catalog.=) 'virtualxid' and v.pid operator(pg_catalog.<>) pg_catalog.pg_backend_pid() \
      and (not exists (select from used u where u.pid operator(pg_catalog.=) v.pid) \
        or exists (select from used u join tables t on t.oid operator(pg_catalog.=) u.relation \
          where u.pid operator(pg_catalog.=) v.pid))";

/// Waits until transactions that are open now have ended, for a moment at most.
pub(super) async fn let_end(
    conn: &mut PgConnection,
    schema: &Ident,
    tables: &[String],
) -> Result<(), Error> {
    let began = Instant::now();
    sleep(HEARS_WITHIN).await;
    let mut open: Option<Vec<String>> = None;
    loop {
        let now = sqlx::query_scalar(OPEN).bind(schema.as_str()).bind(tables).persistent(false);
        let now: Vec<String> = now.fetch_all(&mut *conn).await?;
        let left = match open {
            None => now,
            Some(open) => open.into_iter().filter(|of| now.contains(of)).collect(),
        };
        if left.is_empty() || began.elapsed() >= MOMENT {
            return Ok(());
        }
        open = Some(left);
        sleep(LOOK_AGAIN).await;
    }
}
