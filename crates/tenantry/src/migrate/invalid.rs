//! Invalid objects: those that PostgreSQL keeps in a schema but does not use or does not vouch for.

use std::{collections::HashMap, fmt, sync::Arc};

use serde::Serialize;
use sqlx::{PgConnection, Row};

use crate::tenant::Ident;

/// Something in a schema that is incomplete or not validated.
///
/// `Display` writes a remark.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Invalid {
    /// An index that no query uses, although writes may maintain it: its creation or removal was interrupted, or it
    /// waits for indexes of partitions.
    Index {
        /// The table.
        table: Arc<str>,
        /// The index.
        index: Arc<str>,
    },
    /// A partition whose concurrent detaching has not completed.
    PendingDetach {
        /// The partitioned table.
        table: Arc<str>,
        /// The partition.
        partition: Arc<str>,
    },
    /// A constraint that was declared `not valid` and not validated since.
    Constraint {
        /// The table.
        table: Arc<str>,
        /// The constraint.
        constraint: Arc<str>,
    },
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Index { table, index } => write!(f, "index {index} of {table} is invalid"),
            Self::PendingDetach { table, partition } => {
                write!(f, "partition {partition} of {table} is only partly detached: finalize it")
            }
            Self::Constraint { table, constraint } => {
                write!(f, "constraint {constraint} of {table} is not validated")
            }
        }
    }
}

/// Finds invalid objects in these schemas, with one statement for all of them.
pub(super) async fn find(
    conn: &mut PgConnection,
    schemas: &[&Ident],
) -> sqlx::Result<HashMap<String, Vec<Invalid>>> {
    let names: Vec<_> = schemas.iter().map(|schema| schema.as_str()).collect();
    let rows = sqlx::query(
        // An index of large values is named with the table that has them.
        "select n.nspname::pg_catalog.text as schema, found.kind, t.relname::pg_catalog.text as of_table, \
         found.name::pg_catalog.text as name \
         from (select 'index' as kind, coalesce(o.oid, i.indrelid) as of_table, c.relname as name \
             from pg_catalog.pg_index i \
             join pg_catalog.pg_class c on c.oid operator(pg_catalog.=) i.indexrelid \
             left join pg_catalog.pg_class o on o.reltoastrelid operator(pg_catalog.=) i.indrelid \
             where not (i.indisvalid and i.indisready and i.indislive) \
           union all \
           select 'partition', h.inhparent, c.relname \
             from pg_catalog.pg_inherits h \
             join pg_catalog.pg_class c on c.oid operator(pg_catalog.=) h.inhrelid \
             where h.inhdetachpending \
           union all \
           select 'constraint', k.conrelid, k.conname \
             from pg_catalog.pg_constraint k \
             where not k.convalidated) as found \
         join pg_catalog.pg_class t on t.oid operator(pg_catalog.=) found.of_table \
         join pg_catalog.pg_namespace n on n.oid operator(pg_catalog.=) t.relnamespace \
         where n.nspname operator(pg_catalog.=) any ($1::pg_catalog.text[]::pg_catalog.name[]) \
         order by 1, 3, 4",
    );
    let rows = rows.bind(names).persistent(false).fetch_all(conn).await?;
    let mut found = HashMap::<_, Vec<_>>::new();
    for row in &rows {
        let text = |column| row.try_get::<String, _>(column).map(Arc::<str>::from);
        let (table, name) = (text("of_table")?, text("name")?);
        let invalid = match row.try_get("kind")? {
            "index" => Invalid::Index { table, index: name },
            "partition" => Invalid::PendingDetach { table, partition: name },
            _ => Invalid::Constraint { table, constraint: name },
        };
        found.entry(row.try_get("schema")?).or_default().push(invalid);
    }
    Ok(found)
}
