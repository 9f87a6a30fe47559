//! Whether changed rows can be logged at one place, and written again at another one.

use sqlx::Row;

use super::{
    super::{columns::read_columns, tables::Table},
    RowsAt,
    keys::Key,
    tree::{INHERITING, Parts},
};
use crate::error::Error;

/// Whether the role may create a schema in the database, its name, and tables and partitions that it does not own.
/// Parameter: the oids of the tables and of their partitions.
const AT_SOURCE: &str = "\
    select pg_catalog.has_database_privilege(pg_catalog.current_database(), 'create'), \
      pg_catalog.quote_ident(current_user::pg_catalog.text), \
      (select pg_catalog.string_agg(c.relname::pg_catalog.text, ', ' order by c.relname::pg_catalog.text) \
        from pg_catalog.pg_class c where c.oid::pg_catalog.int8 operator(pg_catalog.=) any ($1) \
          and not pg_catalog.pg_has_role(c.relowner, 'usage'))";

/// The triggers of a table or of its partitions for insertions and deletions, those for updates, and rules, besides the
/// library's own triggers; and whether deletions of its rows change or delete rows that refer to them, or are refused at
/// once. Parameters: the oids of the tables, and of the parts of each.
const AT_TARGET: &str = "\
    with below as (select b.top, b.oid \
      from rows from (pg_catalog.unnest($1::pg_catalog.int8[]), pg_catalog.unnest($2::pg_catalog.int8[])) as b (top, oid)), \
    fires as ( \
      select b.top, t.tgtype::pg_catalog.int4 as bits from below b \
      join pg_catalog.pg_trigger t on t.tgrelid::pg_catalog.int8 operator(pg_catalog.=) b.oid \
      where not t.tgisinternal and t.tgenabled operator(pg_catalog.<>) 'D' \
        and not pg_catalog.starts_with(t.tgname::pg_catalog.text, '~tenantry_fence_') \
        and not pg_catalog.starts_with(t.tgname::pg_catalog.text, 'tenantry_moved_')) \
    select o.oid, \
      exists (select from fires f where f.top operator(pg_catalog.=) o.oid \
        and (f.bits operator(pg_catalog.&) 12) operator(pg_catalog.<>) 0) as replaces, \
      exists (select from fires f where f.top operator(pg_catalog.=) o.oid \
        and (f.bits operator(pg_catalog.&) 16) operator(pg_catalog.<>) 0) as updates, \
      exists (select from below b join pg_catalog.pg_rewrite r on r.ev_class::pg_catalog.int8 operator(pg_catalog.=) b.oid \
        where b.top operator(pg_catalog.=) o.oid) as has_rules, \
      exists (select from below b \
        join pg_catalog.pg_constraint f on f.confrelid::pg_catalog.int8 operator(pg_catalog.=) b.oid \
        where b.top operator(pg_catalog.=) o.oid and f.contype operator(pg_catalog.=) 'f' \
          and f.confdeltype operator(pg_catalog.<>) 'a') as is_acted_on \
    from below o where o.oid operator(pg_catalog.=) o.top";

/// How a changed row is written at the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rewrite {
    /// The old row is deleted and the new one inserted, so that rows may swap unique values, and no trigger for updates
    /// fires.
    Replace,
    /// The row is updated: other rows would be deleted with it.
    Update,
}

/// What a table at the target does when its rows are written again.
pub(super) struct AtTarget {
    pub(super) rewrite: Rewrite,
    /// Triggers would fire.
    fires: bool,
    has_rules: bool,
}

/// Reads what each table at the target does when its rows are written again.
pub(super) async fn at_target(
    conn: &mut sqlx::PgConnection,
    tables: &[Table],
) -> Result<Vec<AtTarget>, Error> {
    let Parts { tops, oids } = Parts::of(conn, &oids(tables)).await?;
    let rows = sqlx::query(AT_TARGET).bind(tops).bind(oids).persistent(false);
    let rows = rows.fetch_all(conn).await?;
    let mut found = Vec::with_capacity(tables.len());
    for table in tables {
        for row in &rows {
            if row.try_get::<i64, _>("oid")? != table.oid {
                continue;
            }
            let rewrite = match row.try_get("is_acted_on")? {
                true => Rewrite::Update,
                false => Rewrite::Replace,
            };
            let fires =
                row.try_get("replaces")? || (row.try_get("updates")? && rewrite == Rewrite::Update);
            found.push(AtTarget { rewrite, fires, has_rules: row.try_get("has_rules")? });
        }
    }
    Ok(found)
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
        let parts = Parts::of(&mut lease, &oids(&tables)).await?;
        let row = sqlx::query(AT_SOURCE).bind(parts.oids).persistent(false);
        let row = row.fetch_one(&mut *lease).await?;
        let inheriting = sqlx::query_scalar(INHERITING).bind(oids(&tables)).persistent(false);
        let inheriting: Option<String> = inheriting.fetch_one(&mut *lease).await?;
        lease.settle().await;
        let role: &str = row.try_get(1)?;
        if !row.try_get::<bool, _>(0)? {
            reasons.push(format!(
                "on the source, the role {role} may not create a schema: grant it create on the database"
            ));
        }
        if let Some(tables) = row.try_get::<Option<&str>, _>(2)? {
            reasons.push(format!(
                "on the source, the role {role} is not a member of the owner of: {tables}"
            ));
        }
        if let Some(tables) = inheriting {
            reasons.push(format!(
                "these tables inherit from tables with rows, and lack the column of the tenants' key or are in another \
                 schema: {tables}"
            ));
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
        let (mut tables, keys) = self.keyed(&mut lease).await?;
        read_columns(&mut lease, self.of()?, &mut tables).await?;
        let at_target = at_target(&mut lease, &tables).await?;
        lease.settle().await;
        for ((table, key), at_target) in tables.iter().zip(&keys).zip(at_target) {
            let their_key = theirs.iter().zip(their_keys).find(|(of, _)| of.name == table.name);
            let Some((_, their_key)) = their_key else { continue };
            let name = &table.name;
            if !key.is_usable() || !key.is_like(their_key) {
                reasons.push(format!(
                    "the primary key of table {name} has other columns at the target"
                ));
            }
            if self.are_shared && at_target.fires {
                reasons.push(format!(
                    "triggers of table {name} at the target would fire when a row is written again"
                ));
            }
            if at_target.has_rules {
                reasons.push(format!("table {name} has rules at the target"));
            }
            let is_fixed = table.columns.iter().any(|of| of.is_fixed && !key.has(&of.name));
            if at_target.rewrite == Rewrite::Update && is_fixed {
                reasons.push(format!(
                    "table {name} has an identity column besides its primary key, which cannot be updated"
                ));
            }
        }
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
