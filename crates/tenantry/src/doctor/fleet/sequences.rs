//! Sequences that run out of numbers.

use futures_util::FutureExt;
use sqlx::{
    PgConnection, Row,
    postgres::{PgRow, types::Oid},
};

use super::{
    everywhere::{Besides, Local, everywhere},
    full_sequences::{Full, tell},
    tenants::Tenants,
    told::{Told, merged},
};
use crate::{
    doctor::{BuiltIn, Examined, Subject, text::counted},
    error::Error,
    pool::Lease,
    reading::{Parts, Settled, lease_for_reading, on},
    sql::Sql,
};

/// The number of sequences read per statement: each is locked until it ends, and the server's lock table is small.
const AT_ONCE: usize = 500;

/// The percentage of used numbers from which a sequence is a warning.
const WARNED_AT: f64 = 70.0;

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

async fn look(subject: &Subject) -> Result<Examined, Error> {
    let read = |local| look_into(local).boxed();
    let mut all = match everywhere(subject, Besides::Nothing, read).await? {
        Ok(all) => all,
        Err(examined) => return Ok(examined),
    };
    let (mut unreadable, mut refused) = (0, 0);
    let found = std::mem::take(&mut all.found).into_iter().map(|(home, seen)| {
        unreadable += seen.unreadable;
        refused += seen.refused;
        (home, seen.told)
    });
    let told = merged(found.collect(), all.examined);
    let examined = told.examined(|| format!("no sequence past 70 % in {}", all.in_words()));
    let examined = all.unseen(examined);
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

/// What was seen in one database.
struct Seen {
    told: Told,
    unreadable: usize,
    refused: usize,
}

async fn look_into(local: Local<'_>) -> Result<Seen, Error> {
    let tenants = &local.tenants;
    let mut lease = lease_for_reading(&local.fleet).await?;
    let all = on(&mut lease, async |conn| list(conn, tenants).await).await?;
    let unreadable = all.iter().filter(|sequence| !sequence.readable).count();
    let readable: Vec<_> = all.into_iter().filter(|sequence| sequence.readable).collect();
    let (full, refused) = read(&mut lease, &readable).await?;
    Ok(Seen { told: tell(full, tenants), unreadable, refused })
}

/// Lists the sequences of all tenants, and whether they can be read.
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
    let query = sqlx::query_as(READ).bind(oids).bind(WARNED_AT).persistent(false);
    let rows: Vec<Read> = query.fetch_all(conn).await?;
    let full = |(oid, name, table, column, column_type, percent, last): Read| {
        let of = sequences.iter().find(|sequence| sequence.oid == oid);
        let place = of.map_or(usize::MAX, |sequence| sequence.place);
        Full { place, name, of: table.zip(column), column_type, percent, last }
    };
    Ok(rows.into_iter().map(full).collect())
}

/// A row of [`READ`]: the sequence's OID and name, the table and column that it fills, the type that runs out first,
/// the percentage used, and the last value.
type Read = (Oid, String, Option<String>, Option<String>, Option<String>, f64, i64);

/// Sequences that can run out in the life of a service: using up most of a `bigint` takes centuries. Reading a
/// sequence opens it, which takes much longer than finding it.
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

/// The share of used numbers of a sequence, by what runs out first: the sequence, or the type of the column that it
/// is the default or identity of. A cycling sequence does not run out.
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
    when b.top operator(pg_catalog.>) 0::pg_catalog.int8 and b.seqmin operator(pg_catalog.<=) 1::pg_catalog.int8 then (case when b.last operator(pg_catalog.>) 0::pg_catalog.int8 then b.last::pg_catalog.float8 operator(pg_catalog./) b.top::pg_catalog.float8 else 0::pg_catalog.float8 end) \
    else (b.last::pg_catalog.float8 operator(pg_catalog.-) b.seqmin::pg_catalog.float8) operator(pg_catalog./) (case when b.top operator(pg_catalog.>) b.seqmin then b.top::pg_catalog.float8 operator(pg_catalog.-) b.seqmin::pg_catalog.float8 else 1::pg_catalog.float8 end) end as share from b) \
    select p.oid, p.relname::pg_catalog.text, p.rel::pg_catalog.text, p.att::pg_catalog.text, case when p.by_type or p.top operator(pg_catalog.=) any (array[32767, 2147483647]::pg_catalog.int8[]) then p.typname::pg_catalog.text end, \
    p.share operator(pg_catalog.*) 100::pg_catalog.float8, p.last from p where (p.share operator(pg_catalog.*) 100::pg_catalog.float8) operator(pg_catalog.>=) $2";
