//! Whether the servers allow logical replication.

use sqlx::Row;

use super::reach;
use crate::{
    error::Error,
    moves::{conninfo::Conninfo, ends::Ends},
    sql::Sql,
    tenant::Ident,
};

const OF_SOURCE: &str = "select pg_catalog.current_setting('wal_level'), \
    (select r.rolreplication or r.rolsuper from pg_catalog.pg_roles r \
      where r.rolname operator(pg_catalog.=) current_user), \
    pg_catalog.current_setting('max_replication_slots')::pg_catalog.int8 operator(pg_catalog.-) \
      (select pg_catalog.count(*) from pg_catalog.pg_replication_slots), \
    pg_catalog.has_database_privilege(pg_catalog.current_database(), 'create'), \
    pg_catalog.quote_ident(current_user::pg_catalog.text), \
    pg_catalog.current_setting('max_wal_senders')::pg_catalog.int8 operator(pg_catalog.-) \
      (select pg_catalog.count(*) from pg_catalog.pg_stat_get_wal_senders())";

const OF_TARGET: &str = "select coalesce((select r.rolsuper from pg_catalog.pg_roles r \
      where r.rolname operator(pg_catalog.=) current_user), false) \
      or exists (select from pg_catalog.pg_roles g \
        where g.rolname operator(pg_catalog.=) 'pg_create_subscription' \
          and pg_catalog.pg_has_role(g.oid, 'usage')), \
    pg_catalog.current_setting('max_logical_replication_workers')::pg_catalog.int8 operator(pg_catalog.-) \
      (select pg_catalog.count(*) from pg_catalog.pg_stat_subscription s where s.pid is not null), \
    pg_catalog.quote_ident(current_user::pg_catalog.text), \
    pg_catalog.current_setting('max_sync_workers_per_subscription')::pg_catalog.int8, \
    pg_catalog.current_setting('max_replication_slots')::pg_catalog.int8";

/// The replica identity of a table `c`: the columns by which the target finds a row. An index whose check can be deferred
/// is none.
const IDENTITY: &str = "pg_catalog.pg_index i where i.indrelid operator(pg_catalog.=) c.oid and i.indimmediate and i.indisvalid \
    and (c.relreplident operator(pg_catalog.=) 'd' and i.indisprimary \
      or c.relreplident operator(pg_catalog.=) 'i' and i.indisreplident)";

/// Columns `a` of a table whose values the target could not compare: their type, or that of their elements, has no
/// default operator class for equality. Composite types are among them.
const INCOMPARABLE: &str = "pg_catalog.pg_attribute a \
    join pg_catalog.pg_type t on t.oid operator(pg_catalog.=) a.atttypid \
    left join pg_catalog.pg_type b on b.oid operator(pg_catalog.=) t.typbasetype \
    join pg_catalog.pg_type v on v.oid operator(pg_catalog.=) case \
      when coalesce(b.typcategory, t.typcategory) operator(pg_catalog.=) 'A' then coalesce(b.typelem, t.typelem) \
      else coalesce(b.oid, t.oid) end \
    where a.attrelid operator(pg_catalog.=) c.oid and a.attnum operator(pg_catalog.>) 0 and not a.attisdropped \
      and a.attgenerated operator(pg_catalog.=) '' and v.typtype operator(pg_catalog.<>) all (array['e', 'r', 'm']::pg_catalog.\"char\"[]) \
      and not exists (select from pg_catalog.pg_opclass o where o.opcdefault \
        and exists (select from pg_catalog.pg_am m where m.oid operator(pg_catalog.=) o.opcmethod \
          and m.amname operator(pg_catalog.=) any (array['btree', 'hash']::pg_catalog.name[])) \
        and (o.opcintype operator(pg_catalog.=) v.oid or exists (select from pg_catalog.pg_cast k \
          where k.castsource operator(pg_catalog.=) v.oid and k.casttarget operator(pg_catalog.=) o.opcintype \
            and k.castmethod operator(pg_catalog.=) 'b' and k.castcontext operator(pg_catalog.=) 'i')))";

/// What makes a table unfit for replication: the parts of a condition of a table `c`, and what is said about such tables.
const UNFIT: [(&[&str], &str); 7] = [
    (&["c.relpersistence operator(pg_catalog.<>) 'p'"], "tables are unlogged"),
    (
        &["c.relreplident operator(pg_catalog.<>) 'f' and not exists (select from ", IDENTITY, ")"],
        "tables have no primary key and no replica identity whose check cannot be deferred",
    ),
    (
        &[
            "exists (select from ",
            IDENTITY,
            " and exists (select from pg_catalog.pg_attribute a \
               where a.attrelid operator(pg_catalog.=) c.oid and a.attgenerated operator(pg_catalog.<>) '' \
                 and a.attnum operator(pg_catalog.=) any (i.indkey::pg_catalog.int2[])))",
        ],
        "the primary key or replica identity has a generated column in",
    ),
    (
        &["c.relreplident operator(pg_catalog.=) 'f' and exists (select from ", INCOMPARABLE, ")"],
        "the replica identity is the whole row, and a column has a type without equality in",
    ),
    (
        &[
            "exists (select from pg_catalog.pg_trigger g where g.tgrelid operator(pg_catalog.=) c.oid \
             and not g.tgisinternal and g.tgenabled operator(pg_catalog.=) any (array['A', 'R']::pg_catalog.\"char\"[]))",
        ],
        "triggers are enabled for replicated changes, and would fire on both servers, in",
    ),
    (
        &["c.relforcerowsecurity and exists (select from pg_catalog.pg_roles r \
             where r.oid operator(pg_catalog.=) c.relowner and not r.rolsuper and not r.rolbypassrls)"],
        "row security is forced, also for replicated changes, in",
    ),
    (
        &["not pg_catalog.pg_has_role(c.relowner, 'usage')"],
        "on the source, the manager's role is not a member of the owner of",
    ),
];

/// Reads, for each of [`UNFIT`], the names of the tables; and the number of all tables.
fn tables_sql(schema: &Ident) -> Sql {
    let mut sql = Sql::new("select ");
    for (condition, _) in UNFIT {
        sql.text("pg_catalog.string_agg(c.relname::pg_catalog.text, ', ' ");
        sql.text("order by c.relname::pg_catalog.text) filter (where ");
        for part in condition {
            sql.text(part);
        }
        sql.text("), ");
    }
    sql.text(
        "pg_catalog.count(*) from pg_catalog.pg_class c \
         join pg_catalog.pg_namespace n on n.oid operator(pg_catalog.=) c.relnamespace \
         where c.relkind operator(pg_catalog.=) 'r' and n.nspname operator(pg_catalog.=) ",
    );
    sql.literal(schema.as_str());
    sql
}

/// Whether Citus distributes tables of a schema.
fn distributed_sql(schema: &Ident) -> Sql {
    let mut sql = Sql::new(
        "select exists (select from pg_catalog.pg_dist_partition p \
         join pg_catalog.pg_class c on c.oid operator(pg_catalog.=) p.logicalrelid \
         join pg_catalog.pg_namespace n on n.oid operator(pg_catalog.=) c.relnamespace \
         where n.nspname operator(pg_catalog.=) ",
    );
    sql.literal(schema.as_str()).text(")");
    sql
}

/// Returns why logical replication cannot be used; empty if it can.
pub(in crate::moves) async fn why_not(
    ends: &Ends,
    conninfo: Option<&Conninfo>,
) -> Result<Vec<String>, Error> {
    let mut reasons = Vec::new();
    let mut lease = ends.source.lease().await?;
    let source = sqlx::raw_sql(OF_SOURCE).fetch_one(&mut *lease).await?;
    let (level, role): (&str, &str) = (source.try_get(0)?, source.try_get(4)?);
    if level != "logical" {
        reasons.push(format!(
            "wal_level is {level} on the source; set it to logical and restart the server"
        ));
    }
    if !source.try_get::<bool, _>(1)? {
        reasons.push(format!(
            "on the source, the role {role} may not replicate: run `alter role {role} replication`"
        ));
    }
    let (slots, senders): (i64, i64) = (source.try_get(2)?, source.try_get(5)?);
    if !source.try_get::<bool, _>(3)? {
        reasons.push(format!(
            "on the source, the role {role} lacks the privilege create on the database"
        ));
    }
    let tables = sqlx::raw_sql(tables_sql(&ends.schema).finish()).fetch_one(&mut *lease).await?;
    for (column, (_, why)) in UNFIT.iter().enumerate() {
        if let Some(names) = tables.try_get::<Option<&str>, _>(column)? {
            reasons.push(format!("{why}: {names}"));
        }
    }
    let count: i64 = tables.try_get(UNFIT.len())?;
    if count == 0 {
        reasons.push("the tenant has no tables".to_owned());
    }
    let citus = ends.source.citus(&mut lease).await?;
    if citus.is_some_and(|citus| citus.distributes_schemas())
        && sqlx::raw_sql(distributed_sql(&ends.schema).finish())
            .fetch_one(&mut *lease)
            .await?
            .try_get(0)?
    {
        // The subscription would copy the rows, and get no change of them.
        reasons.push(
            "workers of a Citus cluster hold the rows, and the source replicates its own only"
                .to_owned(),
        );
    }
    drop(lease);
    let mut lease = ends.target_server().lease().await?;
    let target = sqlx::raw_sql(OF_TARGET).fetch_one(&mut *lease).await?;
    let role: &str = target.try_get(2)?;
    if !target.try_get::<bool, _>(0)? {
        reasons.push(format!(
            "on the target, the role {role} may not create subscriptions: it must be a superuser, or from PostgreSQL 16 \
             on a member of pg_create_subscription"
        ));
    }
    // Each table that is being copied needs one more of each, besides the subscription itself, and so does that of the
    // markers.
    let at_once = target.try_get::<i64, _>(3)?.clamp(1, count + 1);
    let needed = 1 + at_once;
    for (free, what, setting) in [
        (slots, "replication slots", "max_replication_slots"),
        (senders, "WAL senders", "max_wal_senders"),
    ] {
        if free < needed {
            reasons.push(format!(
                "the source has {free} free {what}, and the move needs {needed}: increase {setting}"
            ));
        }
    }
    let workers: i64 = target.try_get(1)?;
    if workers < 2 {
        reasons.push(format!(
            "the target has {workers} free workers for logical replication, and the move needs 2: increase \
             max_logical_replication_workers"
        ));
    }
    if target.try_get::<i64, _>(4)? == 0 {
        reasons.push("max_replication_slots is 0 on the target: increase it".to_owned());
    }
    drop(lease);
    // Connecting fails for the reasons that are found already, too.
    if reasons.is_empty() {
        reasons.extend(reach::why_not(ends, conninfo).await?);
    }
    Ok(reasons)
}
