use futures_util::FutureExt;

use super::Settings;
use crate::{
    doctor::{
        Examined, Finding, OnServer, ServerCheck,
        text::{counted, grouped},
    },
    error::Error,
};

/// Whether autovacuum runs, and keeps up with the tables of this database.
pub(super) const CHECK: ServerCheck = ServerCheck {
    name: "autovacuum",
    title: "Autovacuum",
    reads: "the statistics of tables",
    look: |on| look(on).boxed(),
};

/// The factor over the threshold from which a table is overdue.
const LATE: i32 = 4;

/// The number of overdue tables from which the workers do not keep up.
const MANY: usize = 10;

async fn look(on: OnServer<'_>) -> Result<Examined, Error> {
    let settings = on.settings().await?;
    let workers = settings.number("autovacuum_max_workers").unsigned_abs();
    if let Some(finding) = turned_off(settings) {
        return Ok(Examined::error("does not run").finding(finding));
    }
    let asked = sqlx::query_as(LATE_TABLES).bind(LATE).persistent(false);
    let (tables, late): (i64, i64) = asked.fetch_one(on.system()).await?;
    let [tables, late] = [tables, late].map(|count| usize::try_from(count).unwrap_or_default());
    let workers = usize::try_from(workers).unwrap_or_default();
    let message = format!(
        "{} for {}",
        counted(workers, "worker", "workers"),
        counted(tables, "table", "tables")
    );
    Ok(Examined::ok(message).findings(lag(tables, late, workers)))
}

fn turned_off(settings: &Settings) -> Option<Finding> {
    let setting = ["autovacuum", "track_counts"].into_iter().find(|name| settings.is_off(name))?;
    let why = "tables grow with every update, plans get worse, and in the end the server stops writing (transaction \
               id wraparound)";
    let how = format!("turn {setting} on in postgresql.conf, and reload");
    Some(Finding::error(format!("autovacuum does not run: {setting} is off"), why).how(how))
}

fn lag(tables: usize, late: usize, workers: usize) -> Option<Finding> {
    (late >= MANY).then(|| {
        let what = format!(
            "{} of {} have {LATE} times as many dead rows as autovacuum waits for",
            grouped(late),
            counted(tables, "table", "tables")
        );
        let why = "reads pass over dead rows, and the space is not used again";
        let how = format!(
            "give autovacuum more: raise autovacuum_max_workers (now {workers}) together with \
             autovacuum_vacuum_cost_limit; see also what the check oldSnapshots finds"
        );
        Finding::warning(what, why).how(how)
    })
}

/// Tables with statistics in this database, and the overdue ones. The server's settings count, not those of single
/// tables.
const LATE_TABLES: &str = "\
    with limits as materialized ( \
      select pg_catalog.current_setting('autovacuum_vacuum_threshold')::pg_catalog.float8 as base, \
        pg_catalog.current_setting('autovacuum_vacuum_scale_factor')::pg_catalog.float8 as factor) \
    select pg_catalog.count(*), pg_catalog.count(*) filter ( \
      where pg_catalog.pg_stat_get_dead_tuples(c.oid)::pg_catalog.float8 operator(pg_catalog.>) \
        ($1::pg_catalog.int4::pg_catalog.float8 operator(pg_catalog.*) (l.base operator(pg_catalog.+) \
          (l.factor operator(pg_catalog.*) case \
            when c.reltuples operator(pg_catalog.>) 0::pg_catalog.float4 then c.reltuples::pg_catalog.float8 \
            else 0 end)))) \
    from pg_catalog.pg_class c, limits l \
    where c.relkind operator(pg_catalog.=) any ('{r,m}'::\"char\"[]) \
    and c.relpersistence operator(pg_catalog.<>) 't'::\"char\"";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn off_and_late_are_told() {
        let of = |settings: &Settings| turned_off(settings).map(|finding| finding.what);
        assert_eq!(of(&Settings::from([("autovacuum", "on"), ("track_counts", "on")])), None);
        assert!(
            of(&Settings::from([("autovacuum", "off")])).unwrap().ends_with(": autovacuum is off")
        );
        assert!(
            of(&Settings::from([("track_counts", "off")]))
                .unwrap()
                .ends_with(": track_counts is off")
        );
        assert_eq!(lag(20_000, 9, 3), None);
        assert!(lag(20_000, 1_200, 3).unwrap().what.starts_with("1,200 of 20,000 tables"));
    }
}
