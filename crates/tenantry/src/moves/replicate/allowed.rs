//! Whether the servers allow logical replication.

use sqlx::Row;

use crate::{error::Error, moves::ends::Ends, sql::Sql, tenant::Ident};

const OF_SOURCE: &str = "select pg_catalog.current_setting('wal_level'), \
    (select r.rolreplication or r.rolsuper from pg_catalog.pg_roles r \
      where r.rolname operator(pg_catalog.=) current_user), \
    pg_catalog.current_setting('max_replication_slots')::pg_catalog.int8 operator(pg_catalog.>) \
      (select pg_catalog.count(*) from pg_catalog.pg_replication_slots), \
    pg_catalog.has_database_privilege(pg_catalog.current_database(), 'create'), \
    pg_catalog.quote_ident(current_user::pg_catalog.text)";

const OF_TARGET: &str = "select coalesce((select r.rolsuper from pg_catalog.pg_roles r \
      where r.rolname operator(pg_catalog.=) current_user), false) \
      or exists (select from pg_catalog.pg_roles g \
        where g.rolname operator(pg_catalog.=) 'pg_create_subscription' \
          and pg_catalog.pg_has_role(g.oid, 'usage')), \
    pg_catalog.current_setting('max_logical_replication_workers')::pg_catalog.int8 operator(pg_catalog.>) 1 \
      and pg_catalog.current_setting('max_replication_slots')::pg_catalog.int8 operator(pg_catalog.>) 0, \
    pg_catalog.quote_ident(current_user::pg_catalog.text)";

/// Tables that cannot be published: unlogged ones, those without a replica identity, and those of other roles.
fn tables_sql(schema: &Ident) -> Sql {
    let mut sql = Sql::new(
        "select pg_catalog.string_agg(c.relname::pg_catalog.text, ', ' order by c.relname::pg_catalog.text) filter ( \
           where c.relpersistence operator(pg_catalog.<>) 'p' or c.relreplident operator(pg_catalog.=) 'n' \
             or c.relreplident operator(pg_catalog.=) 'd' and not exists (select from pg_catalog.pg_index i \
               where i.indrelid operator(pg_catalog.=) c.oid and i.indisprimary)), \
         pg_catalog.string_agg(c.relname::pg_catalog.text, ', ' order by c.relname::pg_catalog.text) filter ( \
           where not pg_catalog.pg_has_role(c.relowner, 'usage')), pg_catalog.count(*) \
         from pg_catalog.pg_class c \
         join pg_catalog.pg_namespace n on n.oid operator(pg_catalog.=) c.relnamespace \
         where c.relkind operator(pg_catalog.=) 'r' and n.nspname operator(pg_catalog.=) ",
    );
    sql.literal(schema.as_str());
    sql
}

/// Returns why logical replication cannot be used; empty if it can.
pub(in crate::moves) async fn why_not(ends: &Ends) -> Result<Vec<String>, Error> {
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
    if !source.try_get::<bool, _>(2)? {
        reasons.push(
            "the source has no free replication slot: increase max_replication_slots".to_owned(),
        );
    }
    if !source.try_get::<bool, _>(3)? {
        reasons.push(format!(
            "on the source, the role {role} lacks the privilege create on the database"
        ));
    }
    let tables = sqlx::raw_sql(tables_sql(&ends.schema).finish()).fetch_one(&mut *lease).await?;
    if let Some(names) = tables.try_get::<Option<&str>, _>(0)? {
        reasons.push(format!(
            "tables are unlogged, or have no primary key and no replica identity: {names}"
        ));
    }
    if let Some(names) = tables.try_get::<Option<&str>, _>(1)? {
        reasons.push(format!(
            "on the source, the role {role} is not a member of the owner of: {names}"
        ));
    }
    if tables.try_get::<i64, _>(2)? == 0 {
        reasons.push("the tenant has no tables".to_owned());
    }
    drop(lease);
    let mut lease = ends.target.lease().await?;
    let target = sqlx::raw_sql(OF_TARGET).fetch_one(&mut *lease).await?;
    let role: &str = target.try_get(2)?;
    if !target.try_get::<bool, _>(0)? {
        reasons.push(format!(
            "on the target, the role {role} may not create subscriptions: it must be a superuser, or from PostgreSQL 16 \
             on a member of pg_create_subscription"
        ));
    }
    if !target.try_get::<bool, _>(1)? {
        reasons.push(
            "the target has no workers for logical replication: increase max_logical_replication_workers and \
             max_replication_slots"
                .to_owned(),
        );
    }
    Ok(reasons)
}
