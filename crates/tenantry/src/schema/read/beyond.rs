//! Reads facts about schemas that are not part of a dump.

use sqlx::{PgConnection, Row, postgres::PgRow};

use super::{
    super::{Beyond, BeyondKind, ObjectKey, ObjectKind},
    Subject, begin, names, write_subjects,
};
use crate::sql::Sql;

/// A finder: a query that returns the index of the schema, the object (its kind in words, its parent, its name, its
/// arguments) and the other object.
struct Finder {
    what: BeyondKind,
    sql: &'static str,
    /// The first version that has the catalog.
    since: u32,
}

const fn finder(what: BeyondKind, sql: &'static str) -> Finder {
    Finder { what, sql, since: 0 }
}

/// The words for the kind of a type `t`, and its name; the row type of a table counts as the table.
macro_rules! type_key {
    () => {
        "case when t.typtype operator(pg_catalog.=) 'e'::pg_catalog.\"char\" then 'enum' \
           when t.typtype operator(pg_catalog.=) 'd'::pg_catalog.\"char\" then 'domain' \
           when t.typtype operator(pg_catalog.=) 'r'::pg_catalog.\"char\" then 'range type' \
           when t.typtype operator(pg_catalog.=) 'c'::pg_catalog.\"char\" then 'composite type' else 'type' end, null, t.typname"
    };
}

const FINDERS: &[Finder] = &[
    finder(
        BeyondKind::InvalidIndex,
        "select n.place, 'index', null, c.relname, null, null from n \
         join pg_catalog.pg_class c on c.relnamespace operator(pg_catalog.=) n.oid \
           and c.relkind operator(pg_catalog.=) 'i'::pg_catalog.\"char\" \
         join pg_catalog.pg_index i on i.indexrelid operator(pg_catalog.=) c.oid and not i.indisvalid",
    ),
    finder(
        BeyondKind::NotPopulated,
        "select n.place, 'materialized view', null, c.relname, null, null from n \
         join pg_catalog.pg_class c on c.relnamespace operator(pg_catalog.=) n.oid \
           and c.relkind operator(pg_catalog.=) 'm'::pg_catalog.\"char\" and not c.relispopulated",
    ),
    finder(
        BeyondKind::KeyTriggerDisabled,
        "select distinct n.place, 'constraint', t.relname, k.conname, null, null from n \
         join pg_catalog.pg_class t on t.relnamespace operator(pg_catalog.=) n.oid and t.relhastriggers \
         join pg_catalog.pg_constraint k on k.conrelid operator(pg_catalog.=) t.oid \
           and k.contype operator(pg_catalog.=) 'f'::pg_catalog.\"char\" \
         join pg_catalog.pg_trigger g on g.tgconstraint operator(pg_catalog.=) k.oid and g.tgisinternal \
           and g.tgenabled operator(pg_catalog.<>) 'O'::pg_catalog.\"char\"",
    ),
    finder(
        BeyondKind::Cast,
        concat!(
            "select n.place, ",
            type_key!(),
            // Types of the schema are printed without it.
            ", null, case when pg_catalog.current_setting('search_path') operator(pg_catalog.=) n.path \
                 or pg_catalog.set_config('search_path', n.path, true) is not null \
               then pg_catalog.concat(pg_catalog.format_type(a.castsource, null), ' as ', pg_catalog.format_type(a.casttarget, null)) end from n \
             join pg_catalog.pg_type t on t.typnamespace operator(pg_catalog.=) n.oid \
             join (select a.oid, a.castsource, a.casttarget, e.type from pg_catalog.pg_cast a \
               cross join lateral (select a.castsource union select a.casttarget) as e (type)) as a on a.type operator(pg_catalog.=) t.oid \
             where not exists (select from pg_catalog.pg_depend d where d.classid operator(pg_catalog.=) 'pg_catalog.pg_cast'::pg_catalog.regclass \
               and d.objid operator(pg_catalog.=) a.oid and d.deptype operator(pg_catalog.=) any (array['e', 'i']::pg_catalog.\"char\"[]))"
        ),
    ),
    finder(
        BeyondKind::Published,
        "select n.place, 'table', null, c.relname, null, p.pubname from n \
         join pg_catalog.pg_class c on c.relnamespace operator(pg_catalog.=) n.oid \
         join pg_catalog.pg_publication_rel r on r.prrelid operator(pg_catalog.=) c.oid \
         join pg_catalog.pg_publication p on p.oid operator(pg_catalog.=) r.prpubid",
    ),
    Finder {
        what: BeyondKind::Published,
        sql: "select n.place, 'schema', null, '', null, p.pubname from n \
              join pg_catalog.pg_publication_namespace r on r.pnnspid operator(pg_catalog.=) n.oid \
              join pg_catalog.pg_publication p on p.oid operator(pg_catalog.=) r.pnpubid",
        since: 15,
    },
    finder(
        BeyondKind::EventTrigger,
        "select n.place, 'function', null, p.proname, pg_catalog.oidvectortypes(p.proargtypes), e.evtname from n \
         join pg_catalog.pg_proc p on p.pronamespace operator(pg_catalog.=) n.oid \
         join pg_catalog.pg_event_trigger e on e.evtfoid operator(pg_catalog.=) p.oid",
    ),
    finder(
        BeyondKind::Extension,
        "select n.place, 'schema', null, '', null, e.extname from n \
         join pg_catalog.pg_extension e on e.extnamespace operator(pg_catalog.=) n.oid",
    ),
    finder(
        BeyondKind::CollationVersion,
        "select n.place, 'collation', null, c.collname, null, c.collversion from n \
         join pg_catalog.pg_collation c on c.collnamespace operator(pg_catalog.=) n.oid \
           and c.collversion operator(pg_catalog.<>) case when c.collnamespace operator(pg_catalog.=) n.oid \
             then pg_catalog.pg_collation_actual_version(c.oid) end",
    ),
    finder(
        BeyondKind::PendingDetach,
        "select n.place, case when c.relkind operator(pg_catalog.=) 'f'::pg_catalog.\"char\" then 'foreign table' else 'table' end, \
           null, c.relname, null, null from n \
         join pg_catalog.pg_class c on c.relnamespace operator(pg_catalog.=) n.oid and c.relispartition \
         join pg_catalog.pg_inherits h on h.inhrelid operator(pg_catalog.=) c.oid and h.inhdetachpending",
    ),
    finder(
        BeyondKind::Transform,
        concat!(
            "select n.place, ",
            type_key!(),
            ", null, l.lanname from n \
             join pg_catalog.pg_type t on t.typnamespace operator(pg_catalog.=) n.oid \
             join pg_catalog.pg_transform f on f.trftype operator(pg_catalog.=) t.oid \
             join pg_catalog.pg_language l on l.oid operator(pg_catalog.=) f.trflang"
        ),
    ),
];

/// Finds the facts of each schema in one statement, in this order and sorted.
pub(crate) async fn beyond(
    conn: &mut PgConnection,
    subjects: &[&Subject],
) -> sqlx::Result<Vec<Vec<Beyond>>> {
    let version = begin(conn).await?;
    beyond_of(conn, subjects, version).await
}

pub(super) async fn beyond_of(
    conn: &mut PgConnection,
    subjects: &[&Subject],
    version: u32,
) -> sqlx::Result<Vec<Vec<Beyond>>> {
    let mut sql = Sql::default();
    write_subjects(&mut sql);
    let finders = FINDERS.iter().enumerate().filter(|(_, finder)| finder.since <= version);
    for (index, (place, finder)) in finders.enumerate() {
        sql.text(if index == 0 { " select b.* from (select " } else { " union all select " });
        sql.number(place as u64)
            .text(
                " as finder, f.place, f.kind::pg_catalog.text, f.of::pg_catalog.text, f.name::pg_catalog.text, \
                 f.arguments::pg_catalog.text, f.other::pg_catalog.text from (",
            )
            .text(finder.sql);
        sql.text(") as f (place, kind, of, name, arguments, other)");
    }
    sql.text(") as b");
    let (schemas, roles) = names(subjects);
    let query = sqlx::query(sql.finish()).bind(schemas).bind(roles).persistent(false);
    let mut found = vec![Vec::new(); subjects.len()];
    for row in query.fetch_all(conn).await? {
        let place = usize::try_from(row.try_get::<i32, _>("place")? - 1).unwrap_or(usize::MAX);
        if let (Some(found), Some(beyond)) = (found.get_mut(place), from_row(&row)?) {
            found.push(beyond);
        }
    }
    found.iter_mut().for_each(|found| found.sort_unstable());
    Ok(found)
}

fn from_row(row: &PgRow) -> sqlx::Result<Option<Beyond>> {
    let finder = usize::try_from(row.try_get::<i32, _>("finder")?).ok();
    let finder = finder.and_then(|finder| FINDERS.get(finder));
    let words: String = row.try_get("kind")?;
    let kind = ObjectKind::ALL.iter().find(|kind| kind.as_str() == words);
    let (Some(finder), Some(kind)) = (finder, kind) else { return Ok(None) };
    let object = ObjectKey {
        kind: *kind,
        of: row.try_get("of")?,
        name: row.try_get("name")?,
        arguments: row.try_get("arguments")?,
    };
    Ok(Some(Beyond { object, what: finder.what, other: row.try_get("other")? }))
}
