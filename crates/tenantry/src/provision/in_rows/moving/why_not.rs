//! Whether changed rows can be logged at one place, and written again at another one.

use sqlx::Row;

use super::{super::tables::Table, RowsAt, keys::Key};
use crate::error::Error;

/// Whether the role may create a schema in the database, its name, tables that it does not own, and tables below others
/// that have no triggers of their own. Parameter: the oids of the tables.
const AT_SOURCE: &str = "\
    select pg_catalog.has_database_privilege(pg_catalog.current_database(), 'create'), \
      pg_catalog.quote_ident(current_user::pg_catalog.text), \
      (select pg_catalog.string_agg(c.relname::pg_catalog.text, ', ' order by c.relname::pg_catalog.text) \
        from pg_catalog.pg_class c where c.oid::pg_catalog.int8 operator(pg_catalog.=) any ($1) \
          and not pg_catalog.pg_has_role(c.relowner, 'usage')), \
      (select pg_catalog.string_agg(c.relname::pg_catalog.text, ', ' order by c.relname::pg_catalog.text) \
        from pg_catalog.pg_class c where not c.relispartition \
          and c.oid::pg_catalog.int8 operator(pg_catalog.<>) all ($1) and exists (select from pg_catalog.pg_inherits i \
            where i.inhrelid operator(pg_catalog.=) c.oid \
              and i.inhparent::pg_catalog.int8 operator(pg_catalog.=) any ($1)))";

/// The triggers for deletions of a table, and those for updates, besides the library's own. Parameter: the oids of the
/// tables.
const TRIGGERS: &str = "\
    select t.tgrelid::pg_catalog.int8, \
      pg_catalog.bool_or((t.tgtype::pg_catalog.int4 operator(pg_catalog.&) 8) operator(pg_catalog.<>) 0), \
      pg_catalog.bool_or((t.tgtype::pg_catalog.int4 operator(pg_catalog.&) 16) operator(pg_catalog.<>) 0) \
    from pg_catalog.pg_trigger t where t.tgrelid::pg_catalog.int8 operator(pg_catalog.=) any ($1) \
      and not t.tgisinternal and t.tgenabled operator(pg_catalog.<>) 'D' \
      and not pg_catalog.starts_with(t.tgname::pg_catalog.text, '~tenantry_fence_') \
      and not pg_catalog.starts_with(t.tgname::pg_catalog.text, 'tenantry_moved_') \
    group by 1";

/// Tables whose deletions change or delete rows that refer to them, or are refused at once. Parameter: the oids of the
/// tables.
const ACTED_ON: &str = "\
    select distinct f.confrelid::pg_catalog.int8 from pg_catalog.pg_constraint f \
    where f.contype operator(pg_catalog.=) 'f' and f.confdeltype operator(pg_catalog.<>) 'a' \
      and f.confrelid::pg_catalog.int8 operator(pg_catalog.=) any ($1)";

/// How a changed row is written at the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rewrite {
    /// The old row is deleted and the new one inserted, so that rows may swap unique values, and no trigger for updates
    /// fires.
    Replace,
    /// The row is updated: other rows would be deleted with it.
    Update,
}

/// Reads how changed rows of each table are written.
pub(super) async fn rewrites(
    conn: &mut sqlx::PgConnection,
    tables: &[Table],
) -> Result<Vec<Rewrite>, Error> {
    let acted_on = sqlx::query_scalar(ACTED_ON).bind(oids(tables)).persistent(false);
    let acted_on: Vec<i64> = acted_on.fetch_all(conn).await?;
    let rewrite = |table: &Table| match acted_on.contains(&table.oid) {
        true => Rewrite::Update,
        false => Rewrite::Replace,
    };
    Ok(tables.iter().map(rewrite).collect())
}

impl RowsAt<'_> {
    /// Returns why changes of these rows cannot be logged here, or not be written at the target, if that is there already.
    pub(crate) async fn why_not_logged(
        &self,
        to: Option<RowsAt<'_>>,
    ) -> Result<Vec<String>, Error> {
        let mut reasons = Vec::new();
        for fleet in [Some(self.fleet), to.map(|to| to.fleet)].into_iter().flatten() {
            if let Some(citus) = fleet.find_citus().await? {
                reasons.push(format!("server {} has {citus}", fleet.home().server()));
            }
        }
        let mut lease = self.fleet.lease_for(self.site).await?;
        let (tables, keys) = self.keyed(&mut lease).await?;
        let row = sqlx::query(AT_SOURCE).bind(oids(&tables)).persistent(false);
        let row = row.fetch_one(&mut *lease).await?;
        lease.settle().await;
        let role: &str = row.try_get(1)?;
        if !row.try_get::<bool, _>(0)? {
            reasons.push(format!(
                "on the source, the role {role} may not create a schema: grant it create on the database"
            ));
        }
        for (column, why) in [
            (2, "on the source, the manager's role is not a member of the owner of"),
            (
                3,
                "these tables inherit from tables with rows, and lack the column of the tenants' key or are in another schema",
            ),
        ] {
            if let Some(tables) = row.try_get::<Option<&str>, _>(column)? {
                reasons.push(format!("{why}: {tables}"));
            }
        }
        reasons.extend(without_keys(&tables, &keys));
        if let Some(to) = to {
            reasons.extend(to.why_not_written(&tables, &keys).await?);
        }
        Ok(reasons)
    }

    async fn why_not_written(
        &self,
        theirs: &[Table],
        their_keys: &[Key],
    ) -> Result<Vec<String>, Error> {
        let mut reasons = Vec::new();
        let mut lease = self.fleet.lease_for(self.site).await?;
        let (tables, keys) = self.keyed(&mut lease).await?;
        for (theirs, their_key) in theirs.iter().zip(their_keys) {
            let own = tables.iter().zip(&keys).find(|(own, _)| own.name == theirs.name);
            if own.is_some_and(|(_, key)| !key.is_usable() || !key.is_like(their_key)) {
                reasons.push(format!(
                    "the primary key of table {} has other columns at the target",
                    theirs.name
                ));
            }
        }
        if self.are_shared {
            let rewrites = rewrites(&mut lease, &tables).await?;
            let rows = sqlx::query(TRIGGERS).bind(oids(&tables)).persistent(false);
            for row in rows.fetch_all(&mut *lease).await? {
                let oid: i64 = row.try_get(0)?;
                let (of_deletions, of_updates): (bool, bool) = (row.try_get(1)?, row.try_get(2)?);
                for (table, rewrite) in tables.iter().zip(&rewrites) {
                    let fires = of_deletions || (of_updates && *rewrite == Rewrite::Update);
                    if table.oid == oid && fires {
                        reasons.push(format!(
                            "triggers of table {} at the target would fire when a row is written again",
                            table.name
                        ));
                    }
                }
            }
        }
        lease.settle().await;
        Ok(reasons)
    }
}

fn without_keys(tables: &[Table], keys: &[Key]) -> Option<String> {
    let unkeyed = tables.iter().zip(keys).filter(|(_, key)| !key.is_usable());
    let unkeyed: Vec<_> = unkeyed.map(|(table, _)| &*table.name).collect();
    (!unkeyed.is_empty()).then(|| {
        format!(
            "tables have no primary key, or one with a generated column or an operator of its own: {}",
            unkeyed.join(", ")
        )
    })
}

fn oids(tables: &[Table]) -> Vec<i64> {
    tables.iter().map(|table| table.oid).collect()
}
