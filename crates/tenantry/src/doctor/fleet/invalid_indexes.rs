//! Indexes that no query uses because their creation or removal was interrupted.

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

/// Indexes that no query uses because their creation or removal was interrupted.
pub(super) const CHECK: BuiltIn = BuiltIn {
    name: "invalidIndexes",
    title: "Invalid indexes",
    reads: "the indexes",
    look: |on| examine(on, "no invalid index", QUESTIONS).boxed(),
};

const QUESTIONS: &[Question] = &[Question { find: INVALID, tell }];

fn tell(kind: &Kind, tenants: &Tenants) -> Finding {
    let [table, index] = [0, 1].map(|at| plain(kind.part(at)));
    let what = format!("index {index} of {table} is invalid");
    let affected = kind.affected(tenants, |worst| format!("{table}.{index}, {}", worst.part(0)));
    if kind.part(3) == "busy" {
        return Finding::info(
            what,
            "it may still be under construction: another session holds the lock that building and vacuuming take",
        )
        .how("run the doctor again when that session has ended")
        .tenants(affected);
    }
    let why = "queries do not use it, a unique one guarantees nothing, and writes can still update it: building or \
               dropping it concurrently was interrupted";
    let finding = Finding::warning(what, why).tenants(affected);
    let (finding, statements) = match kind.part(2) {
        "partitioned" => (
            finding.how("create the index on each partition that lacks it, and attach it"),
            Vec::new(),
        ),
        "toast" => (
            finding.how("rebuild the indexes of the table; it takes as much I/O as building them"),
            kind.sql(tenants, |sql, schema, _| {
                sql.words("reindex table concurrently ").of(schema, kind.part(0));
            }),
        ),
        _ if is_leftover(kind.part(1)) => (
            finding.how(
                "drop it: an interrupted reindex concurrently has left it, and the index that it would have replaced \
                 still exists",
            ),
            kind.sql(tenants, |sql, schema, _| {
                sql.words("drop index concurrently ").of(schema, kind.part(1));
            }),
        ),
        _ => (
            finding.how(
                "rebuild it, after removing duplicates if it is unique, or drop it; rebuilding \
                 takes as much I/O as building it",
            ),
            kind.sql(tenants, |sql, schema, _| {
                sql.words("reindex index concurrently ").of(schema, kind.part(1));
            }),
        ),
    };
    statements.into_iter().fold(finding, Finding::sql)
}

/// Returns `true` for the names that `reindex concurrently` uses; see [its
/// documentation](https://www.postgresql.org/docs/current/sql-reindex.html#SQL-REINDEX-CONCURRENTLY).
fn is_leftover(index: &str) -> bool {
    let bare = index.trim_end_matches(|c: char| c.is_ascii_digit());
    bare.ends_with("_ccnew") || bare.ends_with("_ccold")
}

/// The index of a TOAST table is named with its table. Building an index concurrently takes a lock on its table that
/// [only vacuuming and similar commands take](https://www.postgresql.org/docs/current/explicit-locking.html).
const INVALID: &str = "\
    f as (select n.place, array[t.relname::pg_catalog.text, c.relname::pg_catalog.text, \
    case when i.indrelid operator(pg_catalog.<>) t.oid then 'toast' when c.relkind operator(pg_catalog.=) 'I'::pg_catalog.\"char\" then 'partitioned' else '' end, \
    case when t.oid operator(pg_catalog.=) any (array(select l.relation from pg_catalog.pg_locks l where l.locktype operator(pg_catalog.=) 'relation' and l.granted \
    and l.database operator(pg_catalog.=) (select b.oid from pg_catalog.pg_database b where b.datname operator(pg_catalog.=) pg_catalog.current_database()) \
    and l.mode operator(pg_catalog.=) 'ShareUpdateExclusiveLock' and l.pid operator(pg_catalog.<>) pg_catalog.pg_backend_pid())) then 'busy' else '' end] as what, \
    array[pg_catalog.pg_size_pretty(c.relpages::pg_catalog.int8 operator(pg_catalog.*) pg_catalog.current_setting('block_size')::pg_catalog.int8)] as detail, c.relpages::pg_catalog.float8 as weight \
    from pg_catalog.pg_index i \
    join pg_catalog.pg_class c on c.oid operator(pg_catalog.=) i.indexrelid \
    left join pg_catalog.pg_class o on o.reltoastrelid operator(pg_catalog.=) i.indrelid \
    join pg_catalog.pg_class t on t.oid operator(pg_catalog.=) coalesce(o.oid, i.indrelid) \
    join n on n.oid operator(pg_catalog.=) t.relnamespace \
    where not (i.indisvalid and i.indisready and i.indislive))";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_what_reindex_leaves() {
        for (index, leftover) in
            [("i_ccnew", true), ("i_ccold2", true), ("i", false), ("i_ccnew_", false)]
        {
            assert_eq!(is_leftover(index), leftover, "{index}");
        }
    }
}
