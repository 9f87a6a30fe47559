//! The tables that hold rows of tenants, and the foreign keys between them.

use sqlx::{PgConnection, Row, postgres::PgRow};

use super::inherited::{Inherits, elsewhere};
use crate::{
    catalog::{RowsOfTenant, Site},
    error::{Error, ErrorKind},
    sql::Sql,
    tenant::{Ident, KeyType},
};

/// A table with the column of the tenants' key.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) oid: i64,
    pub(super) name: String,
    /// Its foreign keys to such tables, itself included.
    pub(super) foreign_keys: Vec<ForeignKey>,
    /// Its columns, except generated ones, and its unique keys; empty unless they were [read](super::columns::read_columns).
    pub(super) columns: Vec<Column>,
    pub(super) unique_keys: Vec<UniqueKey>,
    /// The oids of tables that inherit from it, and whose rows belong to another table.
    pub(super) elsewhere: Vec<i64>,
}

/// A column that takes values.
#[derive(Debug)]
pub(super) struct Column {
    pub(super) name: String,
    /// It has the tenants' key.
    pub(super) is_key: bool,
    /// Its default is a new number or `uuid` for each row.
    pub(super) is_drawn: bool,
    /// It can neither be null nor be left out.
    pub(super) is_required: bool,
    /// It is always generated as identity, so that updates cannot set it.
    pub(super) is_fixed: bool,
    /// Its type, without a length.
    pub(super) of_type: String,
}

/// A unique index, or an exclusion constraint.
#[derive(Debug)]
pub(super) struct UniqueKey {
    pub(super) name: String,
    /// Its column, if it has one only.
    pub(super) only_column: Option<String>,
    /// It contains the column of the tenants' key.
    pub(super) is_keyed: bool,
}

/// A foreign key to a table with the column of the tenants' key.
#[derive(Debug)]
pub(super) struct ForeignKey {
    pub(super) name: String,
    /// The oid of the table that it refers to.
    pub(super) to: i64,
    /// A deletion of the row that it refers to changes or deletes the referring row, instead of being refused.
    pub(super) acts_on_delete: bool,
    /// A column that can be null, so that the row refers to nothing.
    pub(super) nullable: Option<String>,
    /// It contains the column of the tenants' key, so it never refers to another tenant's row.
    pub(super) is_keyed: bool,
    /// The policies of the referring table apply to the current role, so it does not see other tenants' rows.
    pub(super) is_filtered: bool,
    /// The columns, and those that they refer to.
    pub(super) columns: Vec<(String, String)>,
}

impl Table {
    pub(super) fn new(oid: i64, name: String) -> Self {
        let (foreign_keys, columns, unique_keys, elsewhere) = Default::default();
        Self { oid, name, foreign_keys, columns, unique_keys, elsewhere }
    }

    /// Appends the name of the table.
    pub(super) fn named<'s>(&self, sql: &'s mut Sql, schema: &Ident) -> &'s mut Sql {
        sql.ident(schema).text(".").name(&self.name)
    }

    /// Appends the condition that a row of `alias` is the tenant's, and belongs to the table.
    pub(super) fn is_tenants<'s>(
        &self,
        sql: &'s mut Sql,
        alias: &'static str,
        of: &RowsOfTenant,
    ) -> &'s mut Sql {
        is_tenants(sql, alias, of);
        belongs(sql, alias, &self.elsewhere)
    }

    /// Returns `true` if an update may set a column.
    pub(super) fn may_update(&self, name: &str) -> bool {
        self.columns.iter().any(|column| column.name == name && !column.is_fixed)
    }
}

impl ForeignKey {
    /// Returns the place of the table that it refers to.
    pub(super) fn target(&self, tables: &[Table]) -> Option<usize> {
        tables.iter().position(|table| self.leads_to(table))
    }

    /// Returns `true` if it refers to this table.
    pub(super) fn leads_to(&self, table: &Table) -> bool {
        table.oid == self.to
    }

    /// Returns a foreign key of this name, from the column of that name.
    #[cfg(test)]
    pub(super) fn keyed(name: &str, to: i64, column: &str) -> Self {
        Self {
            name: name.to_owned(),
            to,
            acts_on_delete: false,
            nullable: None,
            is_keyed: true,
            is_filtered: false,
            columns: vec![(name.to_owned(), column.to_owned())],
        }
    }
}

/// Appends the lock of the tables against `alter table`, until the end of the transaction. This takes no snapshot: a
/// table that is rewritten between a snapshot and its lock looks empty.
pub(super) fn hold_sql(sql: &mut Sql, site: &Site, tables: &[Table]) {
    for (place, table) in tables.iter().enumerate() {
        sql.text(if place == 0 { "lock table " } else { ", " });
        table.named(sql, &site.schema);
    }
    sql.text(if tables.is_empty() { "" } else { " in access share mode; " });
}

/// Refuses tables that were altered before they were locked.
pub(super) fn refuse_altered(before: &[Table], now: &[Table]) -> Result<(), Error> {
    match now.iter().map(|table| table.oid).eq(before.iter().map(|table| table.oid)) {
        true => Ok(()),
        false => Err(Error::new(ErrorKind::Busy, "its tables were altered meanwhile: try again")),
    }
}

/// Appends the condition that a row of `alias` is the tenant's.
pub(super) fn is_tenants<'s>(
    sql: &'s mut Sql,
    alias: &'static str,
    of: &RowsOfTenant,
) -> &'s mut Sql {
    sql.text(alias).text(".").ident(of.of.key_column()).text(" operator(pg_catalog.=) ");
    key(sql, of)
}

/// Appends the rest of the condition: the row is in none of these tables, which a query of the table includes.
pub(super) fn belongs<'s>(sql: &'s mut Sql, alias: &'static str, elsewhere: &[i64]) -> &'s mut Sql {
    for (place, oid) in elsewhere.iter().enumerate() {
        match place {
            0 => sql
                .text(" and ")
                .text(alias)
                .text(".tableoid::pg_catalog.int8 operator(pg_catalog.<>) all (array["),
            _ => sql.text(", "),
        };
        sql.integer(*oid);
    }
    sql.text(if elsewhere.is_empty() { "" } else { "]::pg_catalog.int8[])" })
}

/// Appends the tenant's key.
pub(super) fn key<'s>(sql: &'s mut Sql, of: &RowsOfTenant) -> &'s mut Sql {
    sql.literal(&of.key).text(match of.of.key_type() {
        KeyType::Uuid => "::pg_catalog.uuid",
        KeyType::BigInt => "::pg_catalog.int8",
        KeyType::Text => "::pg_catalog.text",
    })
}

/// Reads the tables of the site's schema, by name. A partition is reached through its table.
///
/// # Errors
///
/// [`Placement`](ErrorKind::Placement) if the collation of a tenant column takes keys that differ for equal: rows of other
/// tenants would be exported, copied and deleted, too.
pub(super) async fn read(
    conn: &mut PgConnection,
    site: &Site,
    of: &RowsOfTenant,
) -> Result<Vec<Table>, Error> {
    let query = sqlx::query(TABLES).bind(site.schema.as_str()).bind(of.of.key_column().as_str());
    let rows = query.persistent(false).fetch_all(&mut *conn).await?;
    let mut tables = Vec::<Table>::new();
    for row in &rows {
        let oid = row.try_get("oid")?;
        if row.try_get("is_blurred")? {
            return Err(blurred(site, of, row.try_get("name")?));
        }
        if tables.last().is_none_or(|last| last.oid != oid) {
            tables.push(Table::new(oid, row.try_get("name")?));
        }
        if let (Some(table), Some(key)) = (tables.last_mut(), foreign_key(row)?) {
            table.foreign_keys.push(key);
        }
    }
    read_inherited(conn, &mut tables).await?;
    Ok(tables)
}

/// Reads which rows that a query of a table returns belong to another one.
async fn read_inherited(conn: &mut PgConnection, tables: &mut [Table]) -> Result<(), Error> {
    let oids: Vec<_> = tables.iter().map(|table| table.oid).collect();
    let rows = sqlx::query(INHERITED).bind(oids.clone()).persistent(false).fetch_all(conn).await?;
    let pair =
        |row: &PgRow| Ok(Inherits { child: row.try_get("child")?, parent: row.try_get("parent")? });
    let pairs = rows.iter().map(pair).collect::<sqlx::Result<Vec<_>>>()?;
    for (table, elsewhere) in tables.iter_mut().zip(elsewhere(&oids, &pairs)) {
        table.elsewhere = elsewhere;
    }
    Ok(())
}

fn blurred(site: &Site, of: &RowsOfTenant, table: &str) -> Error {
    let attempted = format!(
        "the collation of column {}.{table}.{} is not deterministic, so keys that differ can be equal, and rows of other \
         tenants cannot be told from those of this one: drop the policies, alter the type of the column with another \
         collation, and create the policies again",
        site.schema,
        of.of.key_column()
    );
    Error::new(ErrorKind::Placement, attempted)
}

fn foreign_key(row: &PgRow) -> sqlx::Result<Option<ForeignKey>> {
    let Some(name) = row.try_get("constraint")? else { return Ok(None) };
    let own: Vec<String> = row.try_get("own")?;
    let theirs: Vec<String> = row.try_get("theirs")?;
    Ok(Some(ForeignKey {
        name,
        to: row.try_get("to")?,
        acts_on_delete: row.try_get("acts")?,
        nullable: row.try_get("nullable")?,
        is_keyed: row.try_get("is_keyed")?,
        is_filtered: row.try_get("is_filtered")?,
        columns: own.into_iter().zip(theirs).collect(),
    }))
}

/// Tables below others that are not partitions. Parameter: the oids of the topmost tables.
const INHERITED: &str = "\
    with recursive below as ( \
      select i.inhrelid as child, i.inhparent as parent from pg_catalog.pg_inherits i \
      where i.inhparent::pg_catalog.int8 operator(pg_catalog.=) any ($1) \
      union \
      select i.inhrelid, i.inhparent from below b \
      join pg_catalog.pg_inherits i on i.inhparent operator(pg_catalog.=) b.child) \
    select b.child::pg_catalog.int8 as child, b.parent::pg_catalog.int8 as parent from below b \
    join pg_catalog.pg_class c on c.oid operator(pg_catalog.=) b.child \
    where not c.relispartition order by b.child, b.parent";

/// A column can be set to null on its own unless the foreign key is `match full` and has others.
const TABLES: &str = "\
    with t as ( \
      select c.oid, c.relname, a.attnum, a.attcollation from pg_catalog.pg_class c \
      join pg_catalog.pg_namespace n on n.oid operator(pg_catalog.=) c.relnamespace \
      join pg_catalog.pg_attribute a on a.attrelid operator(pg_catalog.=) c.oid \
        and a.attnum operator(pg_catalog.>) 0 and not a.attisdropped \
      where n.nspname operator(pg_catalog.=) $1 and a.attname operator(pg_catalog.=) $2 \
        and c.relkind operator(pg_catalog.=) any (array['r', 'p']::pg_catalog.\"char\"[]) \
        and not c.relispartition) \
    select t.oid::pg_catalog.int8 as oid, t.relname::pg_catalog.text as name, \
      f.conname::pg_catalog.text as constraint, f.confrelid::pg_catalog.int8 as to, \
      f.confdeltype operator(pg_catalog.=) any (array['c', 'n', 'd']::pg_catalog.\"char\"[]) as acts, \
      exists (select from pg_catalog.pg_collation l where l.oid operator(pg_catalog.=) t.attcollation \
        and not l.collisdeterministic) as is_blurred, \
      pg_catalog.row_security_active(t.oid) as is_filtered, k.own, k.theirs, k.is_keyed, \
      case when f.confmatchtype operator(pg_catalog.=) 's'::pg_catalog.\"char\" \
        or pg_catalog.cardinality(f.conkey) operator(pg_catalog.=) 1 then k.nullable end as nullable \
    from t \
    left join pg_catalog.pg_constraint f on f.conrelid operator(pg_catalog.=) t.oid \
      and f.contype operator(pg_catalog.=) 'f'::pg_catalog.\"char\" \
      and f.conparentid operator(pg_catalog.=) 0::pg_catalog.oid \
      and f.confrelid operator(pg_catalog.=) any (select o.oid from t o) \
    left join lateral ( \
      select pg_catalog.array_agg(own.attname::pg_catalog.text order by c.place) as own, \
        pg_catalog.array_agg(theirs.attname::pg_catalog.text order by c.place) as theirs, \
        pg_catalog.bool_or(c.own operator(pg_catalog.=) t.attnum \
          and theirs.attname operator(pg_catalog.=) $2) as is_keyed, \
        pg_catalog.min(own.attname::pg_catalog.text) filter (where not own.attnotnull \
          and c.own operator(pg_catalog.<>) t.attnum) as nullable \
      from rows from (pg_catalog.unnest(f.conkey), pg_catalog.unnest(f.confkey)) \
        with ordinality as c (own, theirs, place) \
      join pg_catalog.pg_attribute own on own.attrelid operator(pg_catalog.=) f.conrelid \
        and own.attnum operator(pg_catalog.=) c.own \
      join pg_catalog.pg_attribute theirs on theirs.attrelid operator(pg_catalog.=) f.confrelid \
        and theirs.attnum operator(pg_catalog.=) c.theirs) k on f.oid is not null \
    order by t.relname, t.oid, f.conname";

/// A table whose policies apply to the current role, and of which none lets it read rows. Parameter: the oids of the
/// tables.
const UNREADABLE: &str = "\
    select c.relname::pg_catalog.text from pg_catalog.pg_class c \
    where c.oid::pg_catalog.int8 operator(pg_catalog.=) any ($1) and pg_catalog.row_security_active(c.oid) \
      and not exists (select from pg_catalog.pg_policy p \
        where p.polrelid operator(pg_catalog.=) c.oid and p.polpermissive \
          and p.polcmd operator(pg_catalog.=) any (array['*', 'r']::pg_catalog.\"char\"[]) \
          and exists (select from pg_catalog.unnest(p.polroles) as r (oid) \
            where r.oid operator(pg_catalog.=) 0::pg_catalog.oid or pg_catalog.pg_has_role(r.oid, 'usage'))) \
    order by c.relname limit 1";

/// Refuses to take a table for empty because no policy shows its rows to the manager's role.
pub(super) async fn refuse_unreadable(
    conn: &mut PgConnection,
    schema: &Ident,
    tables: &[Table],
) -> Result<(), Error> {
    let oids: Vec<_> = tables.iter().map(|table| table.oid).collect();
    let unreadable = sqlx::query_scalar(UNREADABLE).bind(oids).persistent(false);
    let unreadable: Option<String> = unreadable.fetch_optional(conn).await?;
    let Some(table) = unreadable else { return Ok(()) };
    let attempted = format!(
        "no policy of table {schema}.{table} lets the manager's role read rows: give the role bypassrls, or create the \
         policy for it, too"
    );
    Err(Error::new(ErrorKind::Placement, attempted))
}
