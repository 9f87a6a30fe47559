//! Reads the columns of tables that hold rows of tenants, and what is unique in them.

use sqlx::{PgConnection, Row};

use super::tables::{Column, Table, UniqueKey};
use crate::{catalog::RowsOfTenant, error::Error};

/// Reads the columns and the unique keys of the tables.
pub(super) async fn read_columns(
    conn: &mut PgConnection,
    of: &RowsOfTenant,
    tables: &mut [Table],
) -> Result<(), Error> {
    let oids: Vec<_> = tables.iter().map(|table| table.oid).collect();
    let key = of.of.key_column().as_str();
    let asked = |sql| sqlx::query(sql).bind(oids.clone()).bind(key).persistent(false);
    for row in asked(COLUMNS).fetch_all(&mut *conn).await? {
        let (name, is_key) = (row.try_get("name")?, row.try_get("is_key")?);
        let (is_drawn, is_required) = (row.try_get("is_drawn")?, row.try_get("is_required")?);
        let (is_fixed, of_type) = (row.try_get("is_fixed")?, row.try_get("of_type")?);
        let column = Column { name, is_key, is_drawn, is_required, is_fixed, of_type };
        if let Some(table) = with_oid(tables, row.try_get("oid")?) {
            table.columns.push(column);
        }
    }
    for row in asked(UNIQUE_KEYS).fetch_all(&mut *conn).await? {
        let (name, only_column) = (row.try_get("name")?, row.try_get("only_column")?);
        let unique = UniqueKey { name, only_column, is_keyed: row.try_get("is_keyed")? };
        if let Some(table) = with_oid(tables, row.try_get("oid")?) {
            table.unique_keys.push(unique);
        }
    }
    Ok(())
}

fn with_oid(tables: &mut [Table], oid: i64) -> Option<&mut Table> {
    tables.iter_mut().find(|table| table.oid == oid)
}

/// Parameters: the oids of the tables, and the column of the tenants' key.
const COLUMNS: &str = "\
    select a.attrelid::pg_catalog.int8 as oid, a.attname::pg_catalog.text as name, \
      a.attname operator(pg_catalog.=) $2 as is_key, \
      a.attidentity operator(pg_catalog.<>) '' or coalesce( \
        pg_catalog.starts_with(e.text, 'nextval(') or e.text operator(pg_catalog.=) 'gen_random_uuid()', \
        false) as is_drawn, \
      a.attnotnull and d.oid is null and a.attidentity operator(pg_catalog.=) '' as is_required, \
      a.attidentity operator(pg_catalog.=) 'a' as is_fixed, \
      pg_catalog.format_type(a.atttypid, null) as of_type \
    from pg_catalog.pg_attribute a \
    left join pg_catalog.pg_attrdef d on d.adrelid operator(pg_catalog.=) a.attrelid \
      and d.adnum operator(pg_catalog.=) a.attnum \
    left join lateral (select pg_catalog.pg_get_expr(d.adbin, d.adrelid) as text) e on true \
    where a.attrelid::pg_catalog.int8 operator(pg_catalog.=) any ($1) \
      and a.attnum operator(pg_catalog.>) 0 and not a.attisdropped \
      and a.attgenerated operator(pg_catalog.=) '' \
    order by a.attrelid, a.attnum";

/// Parameters: those of [`COLUMNS`].
const UNIQUE_KEYS: &str = "\
    select i.indrelid::pg_catalog.int8 as oid, c.relname::pg_catalog.text as name, \
      case when i.indnkeyatts operator(pg_catalog.=) 1::pg_catalog.int2 then (select a.attname::pg_catalog.text \
        from pg_catalog.pg_attribute a where a.attrelid operator(pg_catalog.=) i.indrelid \
        and a.attnum operator(pg_catalog.=) i.indkey[0]) end as only_column, \
      exists (select from pg_catalog.pg_attribute a where a.attrelid operator(pg_catalog.=) i.indrelid \
        and a.attname operator(pg_catalog.=) $2 and not a.attisdropped \
        and a.attnum operator(pg_catalog.=) any \
          ((i.indkey::pg_catalog.int2[])[0:i.indnkeyatts operator(pg_catalog.-) 1])) as is_keyed \
    from pg_catalog.pg_index i join pg_catalog.pg_class c on c.oid operator(pg_catalog.=) i.indexrelid \
    where i.indrelid::pg_catalog.int8 operator(pg_catalog.=) any ($1) \
      and (i.indisunique or i.indisexclusion) order by c.relname";
