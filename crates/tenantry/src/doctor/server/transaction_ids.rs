use futures_util::FutureExt;
use sqlx::{FromRow, Row, postgres::PgRow};

use super::Settings;
use crate::{
    doctor::{Examined, Finding, OnServer, ServerCheck, text::grouped},
    error::Error,
    sql::Sql,
};

/// How close the server is to running out of transaction ids, and what prevents old rows from being frozen.
pub(super) const CHECK: ServerCheck = ServerCheck {
    name: "transactionIds",
    title: "Transaction ids",
    reads: "the age of the databases",
    look: |on| look(on).boxed(),
};

/// The server refuses to write some 3 million before 2³¹ ([Preventing transaction ID wraparound
/// failures](https://www.postgresql.org/docs/current/routine-vacuuming.html#VACUUM-FOR-WRAPAROUND)).
const ALARMING: i64 = 1_000_000_000;

/// The number of hours from which a prepared transaction is considered abandoned.
const LEFT: f64 = 0.25;

/// The age of one kind of id, and the age from which autovacuum is forced.
#[derive(Debug, Clone, Copy)]
struct Age {
    of: &'static str,
    age: i64,
    forced: i64,
}

async fn look(on: OnServer<'_>) -> Result<Examined, Error> {
    let settings = on.settings().await?;
    let system = on.system();
    let asked = sqlx::query_as(AGES).persistent(false).fetch_one(system).await;
    let (xid_in, xid, multixact_in, multixact): (String, i64, String, i64) = asked?;
    let ages = ages(settings, xid, multixact).into_iter().zip([xid_in, multixact_in]);
    let slots: Vec<Slot> = sqlx::query_as(SLOTS).persistent(false).fetch_all(system).await?;
    let prepared: Vec<Prepared> =
        sqlx::query_as(PREPARED).persistent(false).fetch_all(system).await?;
    let message = format!("oldest {} of 2,147 million", millions(xid));
    let old = ages.filter_map(|(age, database)| age.judge(&database));
    let examined = Examined::ok(message).findings(old);
    Ok(examined
        .findings(slots.iter().map(Slot::finding))
        .findings(prepared.iter().filter_map(Prepared::finding)))
}

fn ages(settings: &Settings, xid: i64, multixact: i64) -> [Age; 2] {
    let forced = |name| settings.number(name).max(1);
    [
        Age { of: "transaction", age: xid, forced: forced("autovacuum_freeze_max_age") },
        Age {
            of: "multixact",
            age: multixact,
            forced: forced("autovacuum_multixact_freeze_max_age"),
        },
    ]
}

fn millions(age: i64) -> String {
    format!("{} million", grouped(age.unsigned_abs() / 1_000_000))
}

impl Age {
    fn judge(self, database: &str) -> Option<Finding> {
        let Self { of, age, forced } = self;
        let what = format!("{of} ids of the database {database} are {} old", millions(age));
        let how = "find what holds transaction ids back (old transactions, replication slots, prepared transactions), then run \
                   vacuum on the oldest tables; make sure that autovacuum keeps up";
        if age >= ALARMING {
            let why = "at 2,147 million the server stops writing until everything was vacuumed";
            return Some(Finding::error(what, why).how(how).sql(OLDEST));
        }
        // Beyond the age from which it is forced, autovacuum does not keep up.
        (age > forced.saturating_add(forced / 2)).then(|| {
            let why =
                format!("autovacuum is forced from {} on, and does not keep up", millions(forced));
            Finding::warning(what, why).how(how).sql(OLDEST)
        })
    }
}

/// An inactive replication slot, and how many transactions it holds back.
#[derive(Debug)]
struct Slot {
    name: String,
    age: Option<i64>,
}

impl FromRow<'_, PgRow> for Slot {
    fn from_row(row: &PgRow) -> sqlx::Result<Self> {
        Ok(Self { name: row.try_get("name")?, age: row.try_get("age")? })
    }
}

impl Slot {
    fn finding(&self) -> Finding {
        let Self { name, age } = self;
        let held = age.map_or_else(String::new, |age| {
            format!(", and rows of {} transactions", grouped(age.unsigned_abs()))
        });
        let why = format!(
            "the server keeps all write-ahead log since its last use{held}, until the disk is full"
        );
        let finding = Finding::warning(format!("the replication slot {name} is inactive"), why);
        if is_of_a_move(name) {
            return finding.how(format!(
                "run `Mover::take_over` (`tenantry move --take-over` on the command line): if the process that moved the \
                 tenant has died, it completes or undoes the move, and drops the slot {name}. Drop the slot yourself only \
                 if `tenantry move --list` shows no unfinished move"
            ));
        }
        let mut sql = Sql::new("select pg_catalog.pg_drop_replication_slot(");
        sql.literal(name).text(")");
        finding
            .how(format!("restart what reads the replication slot {name}, or drop the slot"))
            .sql(sql.as_str())
    }
}

/// Returns `true` if the replication slot has the name of one of a [move](crate::moves): the move is undone or completed
/// by another process, which needs the slot for that.
fn is_of_a_move(slot: &str) -> bool {
    let digits = slot.strip_prefix("tenantry_move_").unwrap_or_default();
    digits.len() == 16 && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// A transaction that was prepared and neither committed nor rolled back for a while.
#[derive(Debug)]
struct Prepared {
    name: String,
    database: String,
    hours: f64,
}

impl FromRow<'_, PgRow> for Prepared {
    fn from_row(row: &PgRow) -> sqlx::Result<Self> {
        Ok(Self {
            name: row.try_get("name")?,
            database: row.try_get("database")?,
            hours: row.try_get("hours")?,
        })
    }
}

impl Prepared {
    fn finding(&self) -> Option<Finding> {
        let Self { name, database, hours } = self;
        if *hours < LEFT {
            return None;
        }
        let what =
            format!("the transaction {name:?} in {database} was prepared {hours:.1} hours ago");
        let why =
            "it keeps its locks, and prevents vacuum from removing rows, even across restarts";
        let mut sql = Sql::new("rollback prepared ");
        sql.literal(name);
        let how = format!(
            "resolve the prepared transactions in {database}: commit each, or roll it back"
        );
        Some(Finding::warning(what, why).how(how).sql(sql.as_str()))
    }
}

/// The oldest database of the server: any of them stops all.
const AGES: &str = "\
    select x.datname::pg_catalog.text, x.age::pg_catalog.int8, m.datname::pg_catalog.text, m.age::pg_catalog.int8 \
    from (select d.datname, pg_catalog.age(d.datfrozenxid) as age \
      from pg_catalog.pg_database d order by 2 desc limit 1) x, \
      (select d.datname, pg_catalog.mxid_age(d.datminmxid) as age \
      from pg_catalog.pg_database d order by 2 desc limit 1) m";

const SLOTS: &str = "\
    select s.slot_name::pg_catalog.text as name, pg_catalog.age(s.xmin)::pg_catalog.int8 as age, \
      pg_catalog.age(s.catalog_xmin)::pg_catalog.int8 as catalog_age \
    from pg_catalog.pg_replication_slots s where not s.active and s.restart_lsn is not null order by 1";

const PREPARED: &str = "\
    select p.gid as name, p.database::pg_catalog.text, \
      pg_catalog.date_part('epoch', pg_catalog.now() operator(pg_catalog.-) p.prepared) \
        operator(pg_catalog./) 3600::pg_catalog.float8 as hours \
    from pg_catalog.pg_prepared_xacts p order by p.prepared limit 20";

/// Shown to the operator, who runs it.
const OLDEST: &str = "select c.oid::pg_catalog.regclass, pg_catalog.age(c.relfrozenxid) \
    from pg_catalog.pg_class c \
    where c.relkind operator(pg_catalog.=) any ('{r,m,t}'::\"char\"[]) \
    order by 2 desc limit 20";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Severity;

    #[test]
    fn age_is_told_before_the_server_stops() {
        let settings = Settings::from([
            ("autovacuum_freeze_max_age", "200000000"),
            ("autovacuum_multixact_freeze_max_age", "400000000"),
        ]);
        let judged = |xid, multixact| {
            let ages = ages(&settings, xid, multixact);
            ages.map(|age| age.judge("saas").map(|finding| finding.severity))
        };
        assert_eq!(judged(210_000_000, 410_000_000), [None, None]);
        assert_eq!(judged(310_000_000, 0), [Some(Severity::Warning), None]);
        assert_eq!(
            judged(1_200_000_000, 700_000_000),
            [Some(Severity::Error), Some(Severity::Warning)]
        );
    }

    #[test]
    fn the_slot_of_a_move_is_not_dropped_by_hand() {
        let finding = |name: &str| Slot { name: name.into(), age: None }.finding();
        let of_a_move = finding("tenantry_move_00000000000000ab");
        assert!(of_a_move.how.contains("`tenantry move --take-over`"), "{}", of_a_move.how);
        assert_eq!(of_a_move.sql, [""; 0]);
        for other in ["tenantry_move_1", "tenantry_move_", "move_00000000000000ab", "idle"] {
            assert!(finding(other).sql[0].contains("pg_drop_replication_slot"), "{other}");
        }
    }

    #[test]
    fn names_are_quoted() {
        let slot = Slot { name: "it's".into(), age: Some(12_000) }.finding();
        assert_eq!(slot.sql, ["select pg_catalog.pg_drop_replication_slot('it''s')"]);
        assert!(slot.why.contains("12,000"));
        let prepared = Prepared { name: r"a\'".into(), database: "d".into(), hours: 2.0 };
        assert_eq!(prepared.finding().unwrap().sql, [r"rollback prepared  E'a\\'''"]);
        let fresh = Prepared { hours: 0.1, ..prepared };
        assert_eq!(fresh.finding(), None);
    }
}
