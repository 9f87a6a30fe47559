//! The columns by which a row is found again at another place.

use sqlx::{PgConnection, Row};

use super::super::tables::Table;
use crate::{error::Error, sql::Sql, tenant::Ident};

/// The primary key of a table, without the column of the tenants' key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Key {
    /// The table has a primary key, and all of its columns can be logged.
    is_usable: bool,
    columns: Vec<KeyColumn>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct KeyColumn {
    name: String,
    /// The schema and the name of the type, or of the one below a domain: checks of a domain are code of others.
    of_type: (String, String),
    /// The schema of the operator by which the index of the key compares.
    compared_in: String,
}

/// Types whose text is always the same.
const PLAIN: [&str; 9] =
    ["int2", "int4", "int8", "uuid", "text", "varchar", "bpchar", "bool", "name"];

/// The columns of primary keys, and whether each can be logged. Parameters: the oids of the tables, and the column of the
/// tenants' key.
const KEYS: &str = "\
    select i.indrelid::pg_catalog.int8 as oid, a.attname::pg_catalog.text as name, \
      a.attname operator(pg_catalog.=) $2 as is_tenants, \
      n.nspname::pg_catalog.text as type_schema, b.typname::pg_catalog.text as type_name, \
      s.nspname::pg_catalog.text as compared_in, \
      a.attgenerated operator(pg_catalog.=) '' and coalesce(o.oprname operator(pg_catalog.=) '=', false) as is_usable \
    from pg_catalog.pg_index i \
    cross join lateral rows from (pg_catalog.unnest(i.indkey::pg_catalog.int2[]), \
      pg_catalog.unnest(i.indclass::pg_catalog.oid[])) with ordinality as k (attnum, opclass, place) \
    join pg_catalog.pg_attribute a on a.attrelid operator(pg_catalog.=) i.indrelid \
      and a.attnum operator(pg_catalog.=) k.attnum \
    join lateral (with recursive below as ( \
        select t.oid, t.typbasetype from pg_catalog.pg_type t where t.oid operator(pg_catalog.=) a.atttypid \
        union all \
        select t.oid, t.typbasetype from below d \
        join pg_catalog.pg_type t on t.oid operator(pg_catalog.=) d.typbasetype) \
      select t.typname, t.typnamespace from below d \
      join pg_catalog.pg_type t on t.oid operator(pg_catalog.=) d.oid \
      where d.typbasetype operator(pg_catalog.=) 0::pg_catalog.oid) b on true \
    join pg_catalog.pg_namespace n on n.oid operator(pg_catalog.=) b.typnamespace \
    left join pg_catalog.pg_opclass c on c.oid operator(pg_catalog.=) k.opclass \
    left join pg_catalog.pg_amop m on m.amopfamily operator(pg_catalog.=) c.opcfamily \
      and m.amoplefttype operator(pg_catalog.=) c.opcintype and m.amoprighttype operator(pg_catalog.=) c.opcintype \
      and m.amopstrategy operator(pg_catalog.=) 3::pg_catalog.int2 \
    left join pg_catalog.pg_operator o on o.oid operator(pg_catalog.=) m.amopopr \
    left join pg_catalog.pg_namespace s on s.oid operator(pg_catalog.=) o.oprnamespace \
    where i.indrelid::pg_catalog.int8 operator(pg_catalog.=) any ($1) and i.indisprimary \
      and k.place operator(pg_catalog.<=) i.indnkeyatts \
    order by i.indrelid, a.attname";

/// Reads the primary key of each table.
pub(super) async fn read_keys(
    conn: &mut PgConnection,
    tables: &[Table],
    tenants: &Ident,
) -> Result<Vec<Key>, Error> {
    let oids: Vec<_> = tables.iter().map(|table| table.oid).collect();
    let mut keys = vec![Key::default(); tables.len()];
    let rows = sqlx::query(KEYS).bind(oids).bind(tenants.as_str()).persistent(false);
    for row in rows.fetch_all(conn).await? {
        let oid: i64 = row.try_get("oid")?;
        let Some(place) = tables.iter().position(|table| table.oid == oid) else { continue };
        let is_first = keys[place] == Key::default();
        let key = &mut keys[place];
        key.is_usable = (is_first || key.is_usable) && row.try_get("is_usable")?;
        if !row.try_get::<bool, _>("is_tenants")? {
            key.columns.push(KeyColumn {
                name: row.try_get("name")?,
                of_type: (row.try_get("type_schema")?, row.try_get("type_name")?),
                compared_in: row.try_get::<Option<_>, _>("compared_in")?.unwrap_or_default(),
            });
        }
    }
    Ok(keys)
}

impl Key {
    /// Returns `true` if rows can be found by it.
    pub(super) fn is_usable(&self) -> bool {
        self.is_usable
    }

    /// Returns `true` if it has the same columns as another one.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        let names = |key: &Self| key.columns.iter().map(|of| of.name.clone()).collect::<Vec<_>>();
        names(self) == names(other)
    }

    /// Appends the query of no rows with the columns of a table of keys: the first one is always true, since the tenant's
    /// only row of a table has no other key than the tenant's.
    pub(super) fn shape<'s>(&self, sql: &'s mut Sql, from: &Table, schema: &Ident) -> &'s mut Sql {
        sql.text("select true as k0");
        for (number, column) in self.columns.iter().enumerate() {
            sql.text(", x.").name(&column.name).text("::").name(&column.of_type.0);
            sql.text(".").name(&column.of_type.1).text(" as k").number(number as u64 + 1);
        }
        from.named(sql.text(" from "), schema).text(" x with no data")
    }

    /// Appends the columns of a type for keys.
    pub(super) fn types(&self, sql: &mut Sql) {
        sql.text("k0 pg_catalog.bool");
        for (number, column) in self.columns.iter().enumerate() {
            sql.text(", k").number(number as u64 + 1).text(" ").name(&column.of_type.0);
            sql.text(".").name(&column.of_type.1);
        }
    }

    /// Appends the key of a row, as a record. Its text comes from the output functions of the types, and not from casts.
    pub(super) fn of_row(&self, sql: &mut Sql, row: &'static str) {
        sql.text("row(true");
        for column in &self.columns {
            sql.text(", ").text(row).text(".").name(&column.name);
        }
        sql.text(")::pg_catalog.record");
    }

    /// Returns what it is made of. The schema of a type can get another name.
    pub(super) fn described(&self) -> String {
        let columns = self.columns.iter().map(|of| format!("{} {}", of.name, of.of_type.1));
        columns.collect::<Vec<_>>().join(", ")
    }

    /// Returns `true` if its text depends on no setting.
    pub(super) fn is_plain(&self) -> bool {
        self.columns
            .iter()
            .all(|column| column.of_type.0 == "pg_catalog" && PLAIN.contains(&&*column.of_type.1))
    }

    /// Appends the condition that a row has a logged key.
    pub(super) fn is_logged(&self, sql: &mut Sql, row: &'static str, logged: &'static str) {
        sql.text(logged).text(".k0");
        for (number, column) in self.columns.iter().enumerate() {
            sql.text(" and ").text(row).text(".").name(&column.name);
            column.equals(sql).text(logged).text(".k").number(number as u64 + 1);
        }
    }

    /// Appends the condition that two rows have the same key.
    pub(super) fn is_same(&self, sql: &mut Sql, one: &'static str, other: &'static str) {
        sql.text("true");
        for column in &self.columns {
            sql.text(" and ").text(one).text(".").name(&column.name);
            column.equals(sql).text(other).text(".").name(&column.name);
        }
    }

    /// Returns `true` if a column belongs to it.
    pub(super) fn has(&self, column: &str) -> bool {
        self.columns.iter().any(|of| of.name == column)
    }
}

impl KeyColumn {
    fn equals<'s>(&self, sql: &'s mut Sql) -> &'s mut Sql {
        sql.equals_in(&self.compared_in)
    }
}
