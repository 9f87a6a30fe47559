//! Sequences that run out of numbers.

use std::collections::BTreeMap;

use futures_util::FutureExt;
use sqlx::{
    PgConnection, Row,
    postgres::{PgRow, types::Oid},
};

use super::{
    check::{Told, looked_at},
    kinds::{Kind, Worst},
    tenants::Tenants,
};
use crate::{
    doctor::{BuiltIn, Examined, Finding, Subject, text::counted},
    drift::{Parts, Settled, lease_for_reading, on},
    error::Error,
    plain::plain,
    pool::Lease,
    sql::Sql,
};

/// Sequences that are read in one statement: each is locked until it ends, and the server's lock table is small.
const AT_ONCE: usize = 500;

/// What share of its numbers a sequence may have drawn, in hundredths, before it is worth a warning, and an error.
const WARNED_AT: f64 = 70.0;
const TOO_FULL: f64 = 90.0;

/// The check of sequences.
pub(super) const CHECK: BuiltIn = BuiltIn {
    name: "sequences",
    title: "Sequences",
    reads: "the sequences",
    look: |on| look(on).boxed(),
};

/// A sequence of a tenant.
#[derive(Debug, Clone, Copy)]
struct Listed {
    place: usize,
    oid: Oid,
    readable: bool,
}

/// A sequence that is fuller than it should be.
#[derive(Debug, Clone, PartialEq)]
struct Full {
    place: usize,
    /// The sequence, and the table and column that it numbers, if any.
    name: String,
    of: Option<(String, String)>,
    /// The type that the column has, where that is what runs out.
    column_type: Option<String>,
    percent: f64,
    last: i64,
}

async fn look(subject: &Subject) -> Result<Examined, Error> {
    let tenants = match looked_at(subject) {
        Ok(tenants) => tenants,
        Err(examined) => return Ok(examined),
    };
    let tenants = &tenants;
    let mut lease = lease_for_reading(subject.fleet()).await?;
    let all = on(&mut lease, async |conn| list(conn, tenants).await).await?;
    let unreadable = all.iter().filter(|sequence| !sequence.readable).count();
    let readable: Vec<_> = all.into_iter().filter(|sequence| sequence.readable).collect();
    let (full, refused) = read(&mut lease, &readable).await?;
    let told = tell(full, tenants);
    let examined = told.examined("no sequence past 70 %", tenants);
    let examined = match unreadable {
        0 => examined,
        some => examined.unseen(format!(
            "the values of {}: the role of upkeep needs select on them",
            counted(some, "sequence", "sequences")
        )),
    };
    Ok(match refused {
        0 => examined,
        some => examined.unseen(format!(
            "the values of {} that were dropped or changed meanwhile, or cannot be read on a standby",
            counted(some, "sequence", "sequences")
        )),
    })
}

/// Lists the sequences of all tenants, and says whether they may be read.
async fn list(conn: &mut PgConnection, tenants: &Tenants) -> sqlx::Result<Vec<Listed>> {
    let mut sql = Sql::default();
    tenants.begin(&mut sql);
    sql.text(LIST);
    let rows = tenants.bind(sqlx::query(sql.finish())).persistent(false).fetch_all(conn).await?;
    let listed = |row: &PgRow| {
        let place = usize::try_from(row.try_get::<i32, _>(0)? - 1).unwrap_or(usize::MAX);
        Ok(Listed { place, oid: row.try_get(1)?, readable: row.try_get(2)? })
    };
    rows.iter().map(listed).collect()
}

/// Reads the sequences, and returns those that are too full, and how many could not be read.
async fn read(lease: &mut Lease, sequences: &[Listed]) -> Result<(Vec<Full>, usize), Error> {
    let (mut full, mut refused) = (Vec::new(), 0);
    for start in (0..sequences.len()).step_by(AT_ONCE) {
        let mut parts = Parts::of(start..sequences.len().min(start + AT_ONCE));
        while let Some(part) = parts.next() {
            let asked = &sequences[part.clone()];
            let found = on(lease, async |conn| read_some(conn, asked).await).await;
            match parts.settle(part, found)? {
                Settled::Answered(found) => full.extend(found),
                Settled::Refused(..) => refused += 1,
                Settled::Halved => {}
            }
        }
    }
    Ok((full, refused))
}

async fn read_some(conn: &mut PgConnection, sequences: &[Listed]) -> sqlx::Result<Vec<Full>> {
    let oids: Vec<_> = sequences.iter().map(|sequence| sequence.oid).collect();
    let query = sqlx::query(READ).bind(oids).bind(WARNED_AT).persistent(false);
    let rows = query.fetch_all(conn).await?;
    let full = |row: &PgRow| {
        let oid: Oid = row.try_get(0)?;
        let of = sequences.iter().find(|sequence| sequence.oid == oid);
        full(row, of.map_or(usize::MAX, |sequence| sequence.place))
    };
    rows.iter().map(full).collect()
}

fn full(row: &PgRow, place: usize) -> sqlx::Result<Full> {
    let of: (Option<String>, Option<String>) = (row.try_get(2)?, row.try_get(3)?);
    Ok(Full {
        place,
        name: row.try_get(1)?,
        of: of.0.zip(of.1),
        column_type: row.try_get(4)?,
        percent: row.try_get(5)?,
        last: row.try_get(6)?,
    })
}

/// Puts equal ones of several tenants together, the fullest first.
fn tell(mut full: Vec<Full>, tenants: &Tenants) -> Told {
    full.sort_by(|a, b| b.percent.total_cmp(&a.percent).then(a.place.cmp(&b.place)));
    let mut kinds = BTreeMap::<_, (f64, Kind)>::new();
    for one in full {
        let key = (one.name.clone(), one.of.clone(), one.column_type.clone());
        let what = || {
            let (table, column) = one.of.clone().unwrap_or_default();
            vec![one.name.clone(), table, column, one.column_type.clone().unwrap_or_default()]
        };
        let detail = vec![format!("{:.0} %", one.percent.floor()), one.last.to_string()];
        let (_, kind) = kinds.entry(key).or_insert_with(|| {
            (one.percent, Kind { what: what(), affected: 0, worst: Vec::new() })
        });
        kind.affected += 1;
        if kind.worst.len() < 20 {
            kind.worst.push(Worst { place: one.place, times: 1, detail });
        }
    }
    let mut kinds: Vec<_> = kinds.into_values().collect();
    kinds.sort_by(|a, b| b.0.total_cmp(&a.0));
    let left_out = kinds.len().saturating_sub(20);
    kinds.truncate(20);
    let findings = kinds.iter().map(|(worst, kind)| tell_one(*worst, kind, tenants)).collect();
    Told { findings, left_out }
}

fn tell_one(worst: f64, kind: &Kind, tenants: &Tenants) -> Finding {
    let [name, table, column, of_type] = [0, 1, 2, 3].map(|at| plain(kind.part(at)));
    let of = if table.is_empty() { String::new() } else { format!(" of {table}.{column}") };
    let what = format!("sequence {name}{of} has drawn {:.0} % of its numbers", worst.floor());
    let (why, how) = match of_type.as_str() {
        "" => ("nextval fails when it has drawn the last one, and so do inserts".to_owned(), "raise its maximum, unless it is meant to end there".to_owned()),
        of_type => (
            format!("inserts fail when the next number does not fit into {of_type}"),
            "make the column bigint with a migration, and the sequence with alter sequence … as bigint; a large table is \
             rewritten under a lock unless a second column takes over"
                .to_owned(),
        ),
    };
    let finding =
        if worst >= TOO_FULL { Finding::error(what, why) } else { Finding::warning(what, why) };
    // A column needs more than its sequence does.
    let statements = match (table.as_str(), of_type.as_str()) {
        ("", "") => kind.sql(tenants, |sql, schema, _| {
            sql.words("alter sequence ").of(schema, kind.part(0)).words(" as bigint no maxvalue");
        }),
        _ => Vec::new(),
    };
    let finding = statements.into_iter().fold(finding, Finding::sql);
    finding.how(how).tenants(kind.affected(tenants, |worst| {
        format!("{name}: {} (last value {})", worst.part(0), worst.part(1))
    }))
}

/// Sequences that may run out in the life of a service: drawing most numbers of a `bigint` takes centuries. Reading a sequence opens
/// it, which takes much longer than finding it.
const LIST: &str = "\
    , v as (select d.objid as sequence, d.refobjid as rel, d.refobjsubid as att from pg_catalog.pg_depend d \
    where d.classid operator(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass and d.refclassid operator(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass \
    and d.refobjsubid operator(pg_catalog.>) 0 and d.deptype operator(pg_catalog.=) any (array['a', 'i']::pg_catalog.\"char\"[]) \
    union all select d.refobjid, f.adrelid, f.adnum::pg_catalog.int4 from pg_catalog.pg_depend d join pg_catalog.pg_attrdef f on f.oid operator(pg_catalog.=) d.objid \
    where d.classid operator(pg_catalog.=) 'pg_catalog.pg_attrdef'::pg_catalog.regclass and d.refclassid operator(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass), \
    small as (select distinct v.sequence from v join pg_catalog.pg_attribute a on a.attrelid operator(pg_catalog.=) v.rel and a.attnum operator(pg_catalog.=) v.att \
    where a.atttypid operator(pg_catalog.=) any (array['int2', 'int4']::pg_catalog.regtype[]::pg_catalog.oid[])) \
    select n.place, c.oid, pg_catalog.has_sequence_privilege(c.oid, 'select') or pg_catalog.has_sequence_privilege(c.oid, 'usage') \
    from n join pg_catalog.pg_class c on c.relnamespace operator(pg_catalog.=) n.oid and c.relkind operator(pg_catalog.=) 'S'::pg_catalog.\"char\" \
    join pg_catalog.pg_sequence s on s.seqrelid operator(pg_catalog.=) c.oid left join small on small.sequence operator(pg_catalog.=) c.oid \
    where small.sequence is not null or (s.seqincrement operator(pg_catalog.>) 0::pg_catalog.int8 and s.seqmax operator(pg_catalog.<) 9223372036854775807) \
    or (s.seqincrement operator(pg_catalog.<) 0::pg_catalog.int8 and s.seqmin operator(pg_catalog.>) -9223372036854775807)";

/// The share of its numbers that a sequence has drawn, by what runs out first: the sequence, or the type of the column whose
/// default or identity it is. One that begins anew does not run out.
const READ: &str = "\
    with q as materialized (select c.oid, c.relname, s.seqincrement operator(pg_catalog.>) 0::pg_catalog.int8 as up, s.seqmin, s.seqmax, s.seqcycle, \
    pg_catalog.pg_sequence_last_value(c.oid::pg_catalog.regclass) as last \
    from pg_catalog.unnest($1::pg_catalog.oid[]) as asked (oid) join pg_catalog.pg_class c on c.oid operator(pg_catalog.=) asked.oid and c.relkind operator(pg_catalog.=) 'S'::pg_catalog.\"char\" \
    join pg_catalog.pg_sequence s on s.seqrelid operator(pg_catalog.=) c.oid), \
    d as (select d.objid as sequence, d.refobjid as rel, d.refobjsubid as att from pg_catalog.pg_depend d \
    where d.classid operator(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass and d.objid operator(pg_catalog.=) any ($1) and d.refclassid operator(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass \
    and d.refobjsubid operator(pg_catalog.>) 0 and d.deptype operator(pg_catalog.=) any (array['a', 'i']::pg_catalog.\"char\"[]) \
    union select d.refobjid, v.adrelid, v.adnum::pg_catalog.int4 from pg_catalog.pg_depend d join pg_catalog.pg_attrdef v on v.oid operator(pg_catalog.=) d.objid \
    where d.classid operator(pg_catalog.=) 'pg_catalog.pg_attrdef'::pg_catalog.regclass and d.refclassid operator(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass and d.refobjid operator(pg_catalog.=) any ($1)), \
    u as (select distinct on (d.sequence) d.sequence, t.relname as rel, a.attname as att, y.typname, \
    case when a.atttypid operator(pg_catalog.=) 'int2'::pg_catalog.regtype then 32767::pg_catalog.int8 when a.atttypid operator(pg_catalog.=) 'int4'::pg_catalog.regtype then 2147483647::pg_catalog.int8 end as most \
    from d join pg_catalog.pg_class t on t.oid operator(pg_catalog.=) d.rel join pg_catalog.pg_attribute a on a.attrelid operator(pg_catalog.=) d.rel and a.attnum operator(pg_catalog.=) d.att \
    join pg_catalog.pg_type y on y.oid operator(pg_catalog.=) a.atttypid order by d.sequence, 5, 2, 3), \
    b as (select q.*, u.rel, u.att, u.typname, u.most operator(pg_catalog.<) q.seqmax as by_type, \
    case when u.most operator(pg_catalog.<) q.seqmax then u.most else q.seqmax end as top from q left join u on u.sequence operator(pg_catalog.=) q.oid \
    where q.last is not null and (not q.seqcycle or u.most operator(pg_catalog.<) q.seqmax)), \
    p as (select b.*, case \
    when not b.up and b.seqmin operator(pg_catalog.<) 0::pg_catalog.int8 then (case when b.last operator(pg_catalog.<) 0::pg_catalog.int8 then b.last::pg_catalog.float8 operator(pg_catalog./) b.seqmin::pg_catalog.float8 else 0::pg_catalog.float8 end) \
    when not b.up then (b.seqmax::pg_catalog.float8 operator(pg_catalog.-) b.last::pg_catalog.float8) operator(pg_catalog./) (case when b.seqmax operator(pg_catalog.>) b.seqmin then b.seqmax::pg_catalog.float8 operator(pg_catalog.-) b.seqmin::pg_catalog.float8 else 1::pg_catalog.float8 end) \
    when b.top operator(pg_catalog.>) 0::pg_catalog.int8 then (case when b.last operator(pg_catalog.>) 0::pg_catalog.int8 then b.last::pg_catalog.float8 operator(pg_catalog./) b.top::pg_catalog.float8 else 0::pg_catalog.float8 end) \
    else (b.last::pg_catalog.float8 operator(pg_catalog.-) b.seqmin::pg_catalog.float8) operator(pg_catalog./) (case when b.top operator(pg_catalog.>) b.seqmin then b.top::pg_catalog.float8 operator(pg_catalog.-) b.seqmin::pg_catalog.float8 else 1::pg_catalog.float8 end) end as share from b) \
    select p.oid, p.relname::pg_catalog.text, p.rel::pg_catalog.text, p.att::pg_catalog.text, case when p.by_type or p.top operator(pg_catalog.=) any (array[32767, 2147483647]::pg_catalog.int8[]) then p.typname::pg_catalog.text end, \
    p.share operator(pg_catalog.*) 100::pg_catalog.float8, p.last from p where (p.share operator(pg_catalog.*) 100::pg_catalog.float8) operator(pg_catalog.>=) $2";
