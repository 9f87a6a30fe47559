//! Dead rows that are not vacuumed, and tables without planner statistics.

use futures_util::FutureExt;
use sqlx::{PgConnection, Row};

use super::{
    check::{Question, ask},
    everywhere::{Besides, Local, everywhere},
    kinds::Kind,
    tenants::Tenants,
    told::{Told, merged},
};
use crate::{
    doctor::{BuiltIn, Examined, Finding, Subject, text::grouped},
    error::Error,
    plain::plain,
    reading::{lease_for_reading, on},
    sql::Sql,
};

/// The check of dead rows and of statistics.
pub(super) const CHECK: BuiltIn = BuiltIn {
    name: "bloat",
    title: "Dead rows and statistics",
    reads: "the statistics of tables",
    look: |on| look(on).boxed(),
};

const QUESTIONS: &[Question] = &[
    Question { find: DEAD, tell: tell_dead },
    Question { find: NEVER_ANALYZED, tell: tell_never_analyzed },
];

async fn look(subject: &Subject) -> Result<Examined, Error> {
    let read = |local| read(local).boxed();
    let mut all = match everywhere(subject, Besides::Nothing, read).await? {
        Ok(all) => all,
        Err(examined) => return Ok(examined),
    };
    let (mut with_rows, mut lost, mut uncounted) = (0, 0, Vec::new());
    let found = std::mem::take(&mut all.found).into_iter().filter_map(|(home, (seen, told))| {
        if !seen.track_counts {
            uncounted.push(home.server().to_owned());
            return None;
        }
        with_rows += seen.with_rows;
        lost += seen.lost;
        Some((home, told))
    });
    let told = merged(found.collect(), all.examined);
    uncounted.dedup();
    if !uncounted.is_empty() && told.findings.is_empty() {
        let unknown = Examined::unknown(format!(
            "the server {} does not count rows: track_counts is off, and autovacuum does nothing without it",
            uncounted.join(", ")
        ));
        return Ok(all.unseen(unknown));
    }
    let fine = || format!("no table with many dead rows in {}", all.in_words());
    let examined = all.unseen(told.examined(fine));
    // Some tables may have nothing to count.
    Ok(match lost * 2 > with_rows {
        true => examined.unseen(format!(
            "the counts of {} of {} tables with rows begin at zero: a crash or a reset has cleared them",
            grouped(lost),
            grouped(with_rows)
        )),
        false => examined,
    })
}

async fn read(local: Local<'_>) -> Result<(Visible, Told), Error> {
    let tenants = &local.tenants;
    let mut lease = lease_for_reading(&local.fleet).await?;
    let seen = on(&mut lease, async |conn| visible(conn, tenants).await).await?;
    drop(lease);
    let told = match seen.track_counts {
        true => ask(&local, QUESTIONS).await?,
        false => Told::default(),
    };
    Ok((seen, told))
}

/// What the statistics show.
struct Visible {
    track_counts: bool,
    /// Tables that had rows when they were last vacuumed or analyzed.
    with_rows: u64,
    /// Tables among these without any statistics.
    lost: u64,
}

async fn visible(conn: &mut PgConnection, tenants: &Tenants) -> sqlx::Result<Visible> {
    let mut sql = Sql::default();
    tenants.begin(&mut sql);
    sql.text(VISIBLE);
    let row = tenants.bind(sqlx::query(sql.finish())).persistent(false).fetch_one(conn).await?;
    let count =
        |at| Ok::<_, sqlx::Error>(u64::try_from(row.try_get::<i64, _>(at)?).unwrap_or_default());
    Ok(Visible { track_counts: row.try_get(0)?, with_rows: count(1)?, lost: count(2)? })
}

fn tell_dead(kind: &Kind, tenants: &Tenants) -> Finding {
    let table = plain(kind.part(1));
    let affected = kind.affected(tenants, |worst| {
        let [dead, live, last] = [0, 1, 2].map(|at| worst.part(at));
        let last = if last.is_empty() {
            "never vacuumed".to_owned()
        } else {
            format!("last vacuumed {last}")
        };
        format!("{table}: {} dead rows, {} live, {last}", number(dead), number(live))
    });
    let finding = match kind.part(0) {
        "off" => Finding::warning(
            format!("table {table} has many dead rows, and autovacuum is off for it"),
            "reads skip dead rows, their space is not reused, and transaction ids age",
        )
        .how("reset autovacuum_enabled of the table, or vacuum it on a schedule"),
        _ => Finding::warning(
            format!("table {table} has many dead rows"),
            "reads skip dead rows, and their space is not reused: there are more than twice as many as \
             autovacuum waits for, so it does not keep up, or an old transaction, a replication slot or a prepared \
             transaction keeps them",
        )
        .how(
            "find what keeps old rows (the checks transactionIds and oldSnapshots), then vacuum; if it comes back, \
             raise autovacuum_max_workers or autovacuum_vacuum_cost_limit",
        ),
    };
    let statements = kind.sql(tenants, |sql, schema, _| {
        // Returning space to the operating system would lock the table.
        sql.words("vacuum (analyze, truncate off) ").of(schema, kind.part(1));
    });
    statements.into_iter().fold(finding.tenants(affected), Finding::sql)
}

fn tell_never_analyzed(kind: &Kind, tenants: &Tenants) -> Finding {
    let table = plain(kind.part(0));
    let finding = Finding::warning(
        format!("table {table} has rows and was never analyzed"),
        "the planner guesses the number of rows and their values, and can choose slow plans",
    )
    .how("analyze it; it only reads a sample of the rows")
    .tenants(kind.affected(tenants, |worst| format!("{table}: {} rows", number(worst.part(0)))));
    let statements = kind.sql(tenants, |sql, schema, _| {
        sql.words("analyze ").of(schema, kind.part(0));
    });
    statements.into_iter().fold(finding.harmless(), Finding::sql)
}

fn number(digits: &str) -> String {
    grouped(digits.parse::<u64>().unwrap_or_default())
}

/// Tables with more than twice as many dead rows as autovacuum's threshold, and at least 1,000; see [routine
/// vacuuming](https://www.postgresql.org/docs/current/routine-vacuuming.html#AUTOVACUUM).
const DEAD: &str = "\
    t as materialized (select n.place, c.oid, c.relname, c.reltuples, c.reloptions, pg_catalog.pg_stat_get_dead_tuples(c.oid) as dead \
    from n join pg_catalog.pg_class c on c.relnamespace operator(pg_catalog.=) n.oid and c.relkind operator(pg_catalog.=) any (array['r', 'm']::pg_catalog.\"char\"[])), \
    o as (select t.*, (select pg_catalog.max(p.option_value) from pg_catalog.pg_options_to_table(t.reloptions) as p where p.option_name operator(pg_catalog.=) 'autovacuum_enabled') as enabled, \
    coalesce((select pg_catalog.max(p.option_value) from pg_catalog.pg_options_to_table(t.reloptions) as p where p.option_name operator(pg_catalog.=) 'autovacuum_vacuum_threshold'), \
    pg_catalog.current_setting('autovacuum_vacuum_threshold'))::pg_catalog.float8 as threshold, \
    coalesce((select pg_catalog.max(p.option_value) from pg_catalog.pg_options_to_table(t.reloptions) as p where p.option_name operator(pg_catalog.=) 'autovacuum_vacuum_scale_factor'), \
    pg_catalog.current_setting('autovacuum_vacuum_scale_factor'))::pg_catalog.float8 as scale \
    from t where t.dead operator(pg_catalog.>=) 1000), \
    f as (select o.place, array[case when o.enabled operator(pg_catalog.=) any (array['off', 'false', 'no', '0']) then 'off' else '' end, o.relname::pg_catalog.text] as what, \
    array[o.dead::pg_catalog.text, pg_catalog.pg_stat_get_live_tuples(o.oid)::pg_catalog.text, \
    coalesce((select pg_catalog.to_char(pg_catalog.max(v.at) at time zone 'UTC', 'YYYY-MM-DD HH24:MI \"UTC\"') \
    from pg_catalog.unnest(array[pg_catalog.pg_stat_get_last_vacuum_time(o.oid), pg_catalog.pg_stat_get_last_autovacuum_time(o.oid)]) as v (at)), '')] as detail, \
    o.dead::pg_catalog.float8 as weight \
    from o where o.dead::pg_catalog.float8 operator(pg_catalog.>) (2::pg_catalog.float8 operator(pg_catalog.*) (o.threshold operator(pg_catalog.+) (o.scale operator(pg_catalog.*) (case when o.reltuples operator(pg_catalog.>) 0::pg_catalog.float4 then o.reltuples else 0::pg_catalog.float4 end)::pg_catalog.float8))))";

/// Tables with 10,000 rows or more, many of them new since statistics began. Autovacuum analyzes no partitioned table.
const NEVER_ANALYZED: &str = "\
    f as (select n.place, array[c.relname::pg_catalog.text] as what, array[pg_catalog.pg_stat_get_live_tuples(c.oid)::pg_catalog.text] as detail, \
    pg_catalog.pg_stat_get_live_tuples(c.oid)::pg_catalog.float8 as weight \
    from n join pg_catalog.pg_class c on c.relnamespace operator(pg_catalog.=) n.oid and c.relkind operator(pg_catalog.=) any (array['r', 'm']::pg_catalog.\"char\"[]) \
    where pg_catalog.pg_stat_get_live_tuples(c.oid) operator(pg_catalog.>=) 10000::pg_catalog.int8 \
    and pg_catalog.pg_stat_get_last_analyze_time(c.oid) is null and pg_catalog.pg_stat_get_last_autoanalyze_time(c.oid) is null \
    and (pg_catalog.pg_stat_get_mod_since_analyze(c.oid)::pg_catalog.float8 operator(pg_catalog.*) 10::pg_catalog.float8) operator(pg_catalog.>) (case when c.reltuples operator(pg_catalog.>) 0::pg_catalog.float4 then c.reltuples else 0::pg_catalog.float4 end)::pg_catalog.float8)";

const VISIBLE: &str = "\
    select pg_catalog.current_setting('track_counts')::pg_catalog.bool, pg_catalog.count(*) filter (where c.reltuples operator(pg_catalog.>) 0::pg_catalog.float4), \
    pg_catalog.count(*) filter (where c.reltuples operator(pg_catalog.>) 0::pg_catalog.float4 and pg_catalog.pg_stat_get_live_tuples(c.oid) operator(pg_catalog.=) 0::pg_catalog.int8 \
    and pg_catalog.pg_stat_get_dead_tuples(c.oid) operator(pg_catalog.=) 0::pg_catalog.int8 and pg_catalog.pg_stat_get_numscans(c.oid) operator(pg_catalog.=) 0::pg_catalog.int8 \
    and pg_catalog.pg_stat_get_last_analyze_time(c.oid) is null and pg_catalog.pg_stat_get_last_autoanalyze_time(c.oid) is null) \
    from n join pg_catalog.pg_class c on c.relnamespace operator(pg_catalog.=) n.oid and c.relkind operator(pg_catalog.=) 'r'::pg_catalog.\"char\"";
