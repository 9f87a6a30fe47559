//! Names the sessions that an operation has waited for in vain, for its error: so that they can be found and ended.

use sqlx::{PgConnection, Row, postgres::PgRow};

use crate::{
    error::{Error, ErrorKind},
    migrate::LOCK_OF_SCHEMA,
    plain::{grouped, plain},
    pool::{PINS, pin_hash},
    sql::Sql,
    tenant::Ident,
};

/// How many sessions an error names.
const NAMED: i64 = 3;

/// What sessions have that others wait for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Held<'a> {
    /// One of these processes of the server.
    Processes(&'a [i32]),
    /// A pin of a schema: a lease or transaction of its tenant.
    Pin(&'a Ident),
    /// The advisory lock of something with this name, of this kind.
    Lock(&'a str, i64),
    /// A lock on a table, or another relation, of a schema.
    Relations(&'a Ident),
    /// A connection to a database.
    Database(&'a str),
}

impl<'a> Held<'a> {
    /// The lock of a schema.
    pub(super) fn lock_of(schema: &'a Ident) -> Self {
        Self::Lock(schema.as_str(), LOCK_OF_SCHEMA)
    }

    /// Appends a query of the processes that have it, with the column `pid`.
    fn query(self, sql: &mut Sql) {
        let here = "l.database operator(pg_catalog.=) (select d.oid from pg_catalog.pg_database d \
                    where d.datname operator(pg_catalog.=) pg_catalog.current_database())";
        let advisory = "select l.pid from pg_catalog.pg_locks l where l.locktype operator(pg_catalog.=) 'advisory' \
             and l.granted and l.objsubid operator(pg_catalog.=) 1 and ";
        let key = " and ((l.classid::pg_catalog.int8 operator(pg_catalog.<<) 32) operator(pg_catalog.|) \
             l.objid::pg_catalog.int8) operator(pg_catalog.=) ";
        match self {
            Self::Processes(pids) => {
                sql.text("select pg_catalog.unnest(array[");
                for (index, pid) in pids.iter().enumerate() {
                    sql.text(if index == 0 { "" } else { ", " }).integer((*pid).into());
                }
                sql.text("]::pg_catalog.int4[]) as pid");
            }
            Self::Pin(schema) => {
                sql.text(advisory).text(here).text(key).text("(select ");
                pin_key(sql, schema);
                sql.text(")");
            }
            Self::Lock(name, kind) => {
                sql.text(advisory).text(here).text(key).text("pg_catalog.hashtextextended(");
                sql.literal(name).text(", ").integer(kind).text(")");
            }
            Self::Relations(schema) => {
                sql.text("select l.pid from pg_catalog.pg_locks l where l.granted and ").text(here);
                sql.text(
                    " and exists (select from pg_catalog.pg_class c join pg_catalog.pg_namespace n \
                       on n.oid operator(pg_catalog.=) c.relnamespace \
                       where c.oid operator(pg_catalog.=) l.relation and n.nspname operator(pg_catalog.=) ",
                );
                sql.literal(schema.as_str()).text(")");
            }
            Self::Database(name) => {
                sql.text(
                    "select o.pid from pg_catalog.pg_stat_get_activity(null) o join pg_catalog.pg_database d \
                     on d.oid operator(pg_catalog.=) o.datid where d.datname operator(pg_catalog.=) ",
                );
                sql.literal(name);
            }
        }
    }
}

/// Appends the key of the locks with which sessions pin a schema, and where it is from: the rest of a `select`.
pub(super) fn pin_key(sql: &mut Sql, schema: &Ident) {
    sql.integer(i64::from(PINS) << 32).text(
        "::pg_catalog.int8 operator(pg_catalog.|) (n.oid::pg_catalog.int8 operator(pg_catalog.#) ",
    );
    sql.number(pin_hash(schema).into()).text(
        "::pg_catalog.int8) \
         from pg_catalog.pg_namespace n where n.nspname operator(pg_catalog.=) ",
    );
    sql.literal(schema.as_str());
}

/// Adds to an error that another session did not end in time which session that is. The session of the connection is
/// not in a failed transaction.
pub(super) async fn name_holders(conn: &mut PgConnection, error: Error, held: Held<'_>) -> Error {
    match error.kind() {
        ErrorKind::LockNotAvailable => {
            let who = in_words(conn, held).await;
            if who.is_empty() {
                return error;
            }
            let attempted = format!("another session has not ended in time{who}");
            Error::new(ErrorKind::LockNotAvailable, attempted).with_source(error)
        }
        _ => error,
    }
}

/// Returns the sessions, such as `: process 4711 of role app (tenantry/web), in a transaction for 12s`. Empty if there
/// are none any longer, or if they cannot be read: the error that they are for is more important.
pub(super) async fn in_words(conn: &mut PgConnection, held: Held<'_>) -> String {
    let sessions = read(conn, held).await.unwrap_or_default();
    let (named, more) = (sessions.len(), sessions.first().map_or(0, |session| session.all));
    if sessions.is_empty() {
        return String::new();
    }
    let named_ones: Vec<_> = sessions.iter().map(Session::in_words).collect();
    let text = format!(": {}", named_ones.join("; "));
    match usize::try_from(more).unwrap_or_default().saturating_sub(named) {
        0 => text,
        more => format!("{text}; and {} more", grouped(more)),
    }
}

/// A session of the server.
#[derive(Debug, Default)]
struct Session {
    pid: i32,
    role: String,
    application: String,
    /// Seconds since its transaction began, if it is in one and the role may see that.
    in_transaction: Option<f64>,
    /// Seconds since it has the current state.
    in_state: Option<f64>,
    /// The number of such sessions.
    all: i64,
}

impl Session {
    fn in_words(&self) -> String {
        let mut text = format!("process {}", self.pid);
        if !self.role.is_empty() {
            text += &format!(" of role {}", plain(&self.role));
        }
        if !self.application.is_empty() {
            text += &format!(" ({})", plain(&self.application));
        }
        match (self.in_transaction, self.in_state) {
            (Some(seconds), _) => text += &format!(", in a transaction for {seconds:.0}s"),
            (None, Some(seconds)) => text += &format!(", idle for {seconds:.0}s"),
            (None, None) => {}
        }
        text
    }
}

async fn read(conn: &mut PgConnection, held: Held<'_>) -> Result<Vec<Session>, sqlx::Error> {
    // The server shows a transaction the same sessions all the time.
    sqlx::raw_sql("select pg_catalog.pg_stat_clear_snapshot()").execute(&mut *conn).await?;
    let mut sql = Sql::new(
        "select a.pid, coalesce(pg_catalog.pg_get_userbyid(a.usesysid)::pg_catalog.text, '') as role, \
           coalesce(a.application_name, '') as application, \
           pg_catalog.date_part('epoch', pg_catalog.clock_timestamp() operator(pg_catalog.-) a.xact_start) as in_transaction, \
           pg_catalog.date_part('epoch', pg_catalog.clock_timestamp() operator(pg_catalog.-) a.state_change) as in_state, \
           pg_catalog.count(*) over () as all_of_them \
         from pg_catalog.pg_stat_get_activity(null) a where a.pid operator(pg_catalog.<>) pg_catalog.pg_backend_pid() \
         and exists (select from (",
    );
    held.query(&mut sql);
    sql.text(
        ") as h where h.pid operator(pg_catalog.=) a.pid) \
         order by a.xact_start nulls last, a.pid limit ",
    );
    sql.integer(NAMED);
    let rows = sqlx::raw_sql(sql.finish()).fetch_all(conn).await?;
    rows.iter().map(session).collect()
}

fn session(row: &PgRow) -> Result<Session, sqlx::Error> {
    Ok(Session {
        pid: row.try_get("pid")?,
        role: row.try_get("role")?,
        application: row.try_get("application")?,
        in_transaction: row.try_get("in_transaction")?,
        in_state: row.try_get("in_state")?,
        all: row.try_get("all_of_them")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_told_as_far_as_it_is_known() {
        let known = Session {
            pid: 4711,
            role: "app".into(),
            application: "tenantry/web\u{1b}".into(),
            in_transaction: Some(12.4),
            in_state: Some(3.0),
            all: 1,
        };
        let told = known.in_words();
        assert!(told.starts_with("process 4711 of role app (tenantry/web"), "{told}");
        assert!(
            told.ends_with("), in a transaction for 12s") && !told.contains('\u{1b}'),
            "{told}"
        );
        let hidden = Session { pid: 7, role: "other".into(), ..Session::default() };
        assert_eq!(hidden.in_words(), "process 7 of role other");
    }
}
