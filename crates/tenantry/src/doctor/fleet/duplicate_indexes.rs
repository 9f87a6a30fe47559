//! Redundant indexes.

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

/// Redundant indexes.
pub(super) const CHECK: BuiltIn = BuiltIn {
    name: "duplicateIndexes",
    title: "Duplicate indexes",
    reads: "the indexes",
    look: |on| examine(on, "no duplicate index", QUESTIONS).boxed(),
};

const QUESTIONS: &[Question] =
    &[Question { find: SAME, tell: tell_same }, Question { find: BEGINNING, tell: tell_beginning }];

const WHY: &str =
    "every write updates both, and both take memory and disk, but queries need only one of them";

fn tell_same(kind: &Kind, tenants: &Tenants) -> Finding {
    let [table, index, kept] = [0, 1, 2].map(|at| plain(kind.part(at)));
    let finding = Finding::warning(format!("index {index} of {table} is the same as {kept}"), WHY)
        .tenants(kind.affected(tenants, |worst| format!("{table}.{index}, {}", worst.part(0))));
    let (finding, statements) = match (kind.part(3), kind.part(4)) {
        ("", partitioned) => (
            finding.how("drop it with a migration, or in each tenant"),
            kind.sql(tenants, |sql, schema, _| {
                // An index of a partitioned table cannot be dropped concurrently.
                let is_partitioned = partitioned == "I";
                sql.words(if is_partitioned { "drop index " } else { "drop index concurrently " });
                sql.of(schema, kind.part(1));
            }),
        ),
        (constraint, _) => (
            finding.how(
                "drop the constraint that it belongs to with a migration, or in each tenant, which \
                 needs an exclusive lock",
            ),
            kind.sql(tenants, |sql, schema, _| {
                sql.words("alter table ").of(schema, kind.part(0));
                sql.words(" drop constraint ").name(constraint);
            }),
        ),
    };
    statements.into_iter().fold(finding, Finding::sql)
}

fn tell_beginning(kind: &Kind, tenants: &Tenants) -> Finding {
    let [table, index, longer] = [0, 1, 2].map(|at| plain(kind.part(at)));
    let finding = Finding::info(
        format!("index {index} of {table} is a prefix of {longer}"),
        "the longer index serves the same queries slightly more slowly; every write updates both",
    );
    finding
        .how("drop it with a migration if its queries are as quick with the longer one")
        .tenants(kind.affected(tenants, |worst| format!("{table}.{index}, {}", worst.part(0))))
}

/// Indexes on the same columns, operator classes, collations, order, expressions and predicate, except for the first
/// of each group: a primary key before constraints before unique indexes. Positions of nodes in their statement are
/// removed from expressions.
const SAME: &str = "\
    x as materialized (select n.place, t.oid as rel, t.relname as of, c.relname as name, c.oid, c.relkind, c.relam, \
    i.indisunique, i.indisprimary, i.indisreplident, i.indnkeyatts, k.conname, c.relpages, \
    i.indkey::pg_catalog.text as keys, i.indclass::pg_catalog.text as classes, i.indcollation::pg_catalog.text as collations, i.indoption::pg_catalog.text as options, \
    coalesce(pg_catalog.regexp_replace(i.indexprs::pg_catalog.text, ' :location -?[0-9]+', '', 'g'), '') as exprs, \
    coalesce(pg_catalog.regexp_replace(i.indpred::pg_catalog.text, ' :location -?[0-9]+', '', 'g'), '') as pred \
    from n join pg_catalog.pg_class t on t.relnamespace operator(pg_catalog.=) n.oid and t.relhasindex \
    join pg_catalog.pg_index i on i.indrelid operator(pg_catalog.=) t.oid and i.indisvalid and i.indisready and i.indislive \
    join pg_catalog.pg_class c on c.oid operator(pg_catalog.=) i.indexrelid and not c.relispartition \
    left join pg_catalog.pg_constraint k on k.conindid operator(pg_catalog.=) c.oid and k.conrelid operator(pg_catalog.=) t.oid and k.contype operator(pg_catalog.=) any (array['p', 'u', 'x']::pg_catalog.\"char\"[])), \
    y as (select x.*, pg_catalog.first_value(x.name) over same as kept, pg_catalog.row_number() over same as nth from x \
    window same as (partition by x.rel, x.relam, x.keys, x.classes, x.collations, x.options, x.indnkeyatts, x.exprs, x.pred \
    order by x.indisprimary desc, x.indisreplident desc, (x.conname is not null) desc, x.indisunique desc, x.oid)), \
    f as (select y.place, array[y.of::pg_catalog.text, y.name::pg_catalog.text, y.kept::pg_catalog.text, coalesce(y.conname::pg_catalog.text, ''), y.relkind::pg_catalog.text] as what, \
    array[pg_catalog.pg_size_pretty(y.relpages::pg_catalog.int8 operator(pg_catalog.*) pg_catalog.current_setting('block_size')::pg_catalog.int8)] as detail, y.relpages::pg_catalog.float8 as weight \
    from y where y.nth operator(pg_catalog.>) 1)";

/// Indexes whose columns are the leading columns of another.
const BEGINNING: &str = "\
    x as materialized (select n.place, t.oid as rel, t.relname as of, c.relname as name, c.relkind, c.relpages, \
    i.indisunique, i.indnkeyatts, i.indnatts, \
    pg_catalog.concat(i.indkey, ' ') as keys, pg_catalog.concat(i.indclass, ' ') as classes, pg_catalog.concat(i.indcollation, ' ') as collations, pg_catalog.concat(i.indoption, ' ') as options, \
    coalesce(pg_catalog.regexp_replace(i.indpred::pg_catalog.text, ' :location -?[0-9]+', '', 'g'), '') as pred \
    from n join pg_catalog.pg_class t on t.relnamespace operator(pg_catalog.=) n.oid and t.relhasindex \
    join pg_catalog.pg_index i on i.indrelid operator(pg_catalog.=) t.oid and i.indisvalid and i.indisready and i.indislive and i.indexprs is null \
    join pg_catalog.pg_class c on c.oid operator(pg_catalog.=) i.indexrelid and not c.relispartition \
    join pg_catalog.pg_am m on m.oid operator(pg_catalog.=) c.relam and m.amname operator(pg_catalog.=) 'btree'), \
    f as (select a.place, array[a.of::pg_catalog.text, a.name::pg_catalog.text, pg_catalog.min(b.name::pg_catalog.text), a.relkind::pg_catalog.text] as what, \
    array[pg_catalog.pg_size_pretty(a.relpages::pg_catalog.int8 operator(pg_catalog.*) pg_catalog.current_setting('block_size')::pg_catalog.int8)] as detail, a.relpages::pg_catalog.float8 as weight \
    from x as a join x as b on b.rel operator(pg_catalog.=) a.rel and b.indnkeyatts operator(pg_catalog.>) a.indnkeyatts and b.pred operator(pg_catalog.=) a.pred \
    and pg_catalog.starts_with(b.keys, a.keys) and pg_catalog.starts_with(b.classes, a.classes) \
    and pg_catalog.starts_with(b.collations, a.collations) and pg_catalog.starts_with(b.options, a.options) \
    where not a.indisunique and a.indnatts operator(pg_catalog.=) a.indnkeyatts \
    group by a.place, a.rel, a.of, a.name, a.relkind, a.relpages)";
