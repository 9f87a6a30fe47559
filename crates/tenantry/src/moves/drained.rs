//! Lets transactions end that were open when the gate closed.
//!
//! The fence waits for transactions that have written. One that was begun before, and has only read or done nothing yet,
//! would find its tables gone. Most of them end within a moment, and a process that has heard of the gate begins no other
//! one. Those that stay open for longer are told to begin again.

use std::time::{Duration, Instant};

use sqlx::PgConnection;
use tokio::time::sleep;

use super::ends::Ends;
use crate::{error::Error, tenant::Ident};

/// How long other processes may take to hear that the gate has closed.
const HEARS_WITHIN: Duration = Duration::from_millis(5);

/// How long requests wait for transactions at most.
const MOMENT: Duration = Duration::from_millis(60);

const LOOK_AGAIN: Duration = Duration::from_millis(2);

/// Behind this savepoint, the time of a look is limited.
const BEGIN: &str = "savepoint looking; set local statement_timeout = '60ms'";

const END: &str = "rollback to savepoint looking; release savepoint looking";

/// PostgreSQL's `query_canceled`: a server with very many locks.
const TOO_LONG: &str = "57014";

/// The open transactions of clients of this database that may be the tenant's: they use its tables, or none yet besides those
/// that all tenants share and temporary ones. Parameters: the schema, and the schemas that all tenants share.
const OPEN: &str = "\
    with held as materialized (select l.locktype, l.database, l.relation, l.virtualtransaction, l.pid \
        from pg_catalog.pg_locks l where l.locktype operator(pg_catalog.=) any (array['relation', 'virtualxid']::pg_catalog.text[])), \
      used as materialized (select h.pid, (select n.nspname::pg_catalog.text from pg_catalog.pg_namespace n \
          where n.oid operator(pg_catalog.=) (select c.relnamespace from pg_catalog.pg_class c \
            where c.oid operator(pg_catalog.=) h.relation)) as schema \
        from held h where h.locktype operator(pg_catalog.=) 'relation' \
        and h.database operator(pg_catalog.<>) 0::pg_catalog.oid and h.relation operator(pg_catalog.>=) 16384::pg_catalog.oid) \
    select pg_catalog.format('%s %s', v.pid, v.virtualtransaction) from held v \
    join pg_catalog.pg_stat_activity a on a.pid operator(pg_catalog.=) v.pid \
      and a.datname operator(pg_catalog.=) pg_catalog.current_database() and a.usesysid is not null \
    where v.locktype operator(pg_catalog.=) 'virtualxid' and v.pid operator(pg_catalog.<>) pg_catalog.pg_backend_pid() \
      and (exists (select from used u where u.pid operator(pg_catalog.=) v.pid and u.schema operator(pg_catalog.=) $1) \
        or not exists (select from used u where u.pid operator(pg_catalog.=) v.pid \
          and u.schema operator(pg_catalog.<>) all ($2) and not pg_catalog.starts_with(u.schema, 'pg_')))";

/// Waits until transactions that are open now have ended, for a moment at most. The transaction keeps its locks.
pub(super) async fn let_end(ends: &Ends, conn: &mut PgConnection) -> Result<(), Error> {
    let began = Instant::now();
    sleep(HEARS_WITHIN).await;
    sqlx::raw_sql(BEGIN).execute(&mut *conn).await?;
    let looked = look(ends, conn, began).await;
    sqlx::raw_sql(END).execute(&mut *conn).await?;
    match looked {
        Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some(TOO_LONG) => Ok(()),
        looked => Ok(looked?),
    }
}

async fn look(ends: &Ends, conn: &mut PgConnection, began: Instant) -> sqlx::Result<()> {
    let lookup = ends.control.lookup();
    let shared = ends.control.shared_site().schema;
    let shared = std::iter::once(&shared).chain(lookup.extension_schemas());
    let shared: Vec<_> = shared.map(Ident::as_str).collect();
    let mut open: Option<Vec<String>> = None;
    loop {
        let now = sqlx::query_scalar(OPEN).bind(ends.schema.as_str()).bind(&shared);
        let now: Vec<String> = now.persistent(false).fetch_all(&mut *conn).await?;
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
