//! Extensions that tenants cannot reach.

use std::{collections::BTreeSet, fmt};

use serde::Serialize;

use crate::{error::Error, fleet::Fleet, tenant::Ident};

/// An extension whose types, functions and operators tenants cannot find unqualified.
///
/// `Display` is a line such as `citext: the schema public is not in the search path of tenants; 12
/// schemas have columns of its types, such as tenant_acme.users.email`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct UnreachableExtension {
    /// The extension, such as `citext`.
    pub extension: String,
    /// The schema in which it is installed.
    pub schema: String,
    /// The reason why it cannot be reached.
    pub reason: Unreachable,
    /// Number of schemas that have columns of one of its types. If it is not zero, the extension is
    /// in use: comparing a `citext` column resolves to the operators of `text` instead, without an
    /// error.
    pub schemas_in_use: usize,
    /// One of these columns, with its schema and table.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<String>,
}

/// The reason why an [extension](UnreachableExtension) cannot be reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum Unreachable {
    /// Its schema is not in the search path: add it to
    /// [`extension_schemas`](crate::ManagerBuilder::extension_schemas).
    NotInSearchPath,
    /// These roles may not use its schema, so PostgreSQL skips it: grant them usage on it.
    NoUsage {
        /// The roles.
        roles: Vec<String>,
    },
}

/// Finds the extensions that tenants cannot reach in the database of the URL of this fleet's server, by name.
pub(crate) async fn unreachable(fleet: &Fleet) -> Result<Vec<UnreachableExtension>, Error> {
    let lookup = fleet.lookup();
    let path: Vec<_> = lookup.schemas_behind().into_iter().map(Ident::to_string).collect();
    // A catalog that cannot list tenants has no roles to check.
    let records = fleet.list().await.unwrap_or_default();
    let roles = records.iter().filter_map(|record| record.role.as_ref());
    let roles: Vec<_> = roles.map(Ident::to_string).collect::<BTreeSet<_>>().into_iter().collect();
    let rows = sqlx::query_as(FIND).bind(&path).bind(&roles).persistent(false);
    let rows: Vec<Row> = rows.fetch_all(&fleet.system_here()).await?;
    Ok(rows.into_iter().map(UnreachableExtension::from).collect())
}

/// Extension, schema, whether that is in the search path, roles without usage, number of schemas
/// with columns, one of the columns.
type Row = (String, String, bool, Vec<String>, i64, Option<String>);

impl From<Row> for UnreachableExtension {
    fn from((extension, schema, in_path, roles, schemas, column): Row) -> Self {
        let reason =
            if in_path { Unreachable::NoUsage { roles } } else { Unreachable::NotInSearchPath };
        let schemas_in_use = usize::try_from(schemas).unwrap_or_default();
        Self { extension, schema, reason, schemas_in_use, column }
    }
}

impl fmt::Display for UnreachableExtension {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { extension, schema, reason, schemas_in_use, column } = self;
        match reason {
            Unreachable::NotInSearchPath => {
                write!(f, "{extension}: the schema {schema} is not in the search path of tenants")?;
            }
            Unreachable::NoUsage { roles } => {
                write!(f, "{extension}: {} may not use the schema {schema}", roles.join(", "))?;
            }
        }
        match column {
            Some(column) => {
                write!(f, "; {schemas_in_use} schemas have columns of its types, such as {column}")
            }
            None => Ok(()),
        }
    }
}

/// Types are members of the extension; arrays and domains over them are not, but count the same.
const FIND: &str = "\
    with role as (select oid, rolname from pg_catalog.pg_roles \
        where rolname operator(pg_catalog.=) any ($2::pg_catalog.text[]) \
        or rolname operator(pg_catalog.=) session_user), \
    ext as materialized ( \
      select e.oid, e.extname, n.oid as schema, n.nspname, \
        n.nspname operator(pg_catalog.=) any ($1::pg_catalog.text[]) as in_path, \
        array(select r.rolname::pg_catalog.text from role r \
          where not pg_catalog.has_schema_privilege(r.oid, n.oid, 'usage') order by 1) as without \
      from pg_catalog.pg_extension e \
      join pg_catalog.pg_namespace n on n.oid operator(pg_catalog.=) e.extnamespace \
      where n.nspname operator(pg_catalog.<>) 'pg_catalog' \
      and exists (select from pg_catalog.pg_depend d \
        where d.refclassid operator(pg_catalog.=) 'pg_catalog.pg_extension'::pg_catalog.regclass \
        and d.refobjid operator(pg_catalog.=) e.oid and d.deptype operator(pg_catalog.=) 'e' \
        and d.classid operator(pg_catalog.=) any (array['pg_catalog.pg_type', 'pg_catalog.pg_proc', \
          'pg_catalog.pg_operator', 'pg_catalog.pg_opclass', 'pg_catalog.pg_collation', \
          'pg_catalog.pg_ts_config', 'pg_catalog.pg_ts_dict']::pg_catalog.regclass[]))), \
    member as materialized ( \
      select x.oid as ext, t.oid, t.typarray from ext x \
      join pg_catalog.pg_depend d on d.refobjid operator(pg_catalog.=) x.oid \
      join pg_catalog.pg_type t on t.oid operator(pg_catalog.=) d.objid \
      where d.refclassid operator(pg_catalog.=) 'pg_catalog.pg_extension'::pg_catalog.regclass \
      and d.deptype operator(pg_catalog.=) 'e' \
      and d.classid operator(pg_catalog.=) 'pg_catalog.pg_type'::pg_catalog.regclass), \
    base as materialized ( \
      select ext, oid from member union \
      select ext, typarray from member where typarray operator(pg_catalog.<>) 0::pg_catalog.oid), \
    kind as materialized ( \
      select ext, oid from base union \
      select b.ext, t.oid from base b \
      join pg_catalog.pg_type t on t.typbasetype operator(pg_catalog.=) b.oid), \
    used as materialized ( \
      select k.ext, c.relnamespace as schema, \
        pg_catalog.format('%I.%I.%I', n.nspname, c.relname, a.attname) as name \
      from kind k \
      join pg_catalog.pg_depend d on d.refobjid operator(pg_catalog.=) k.oid \
        and d.refclassid operator(pg_catalog.=) 'pg_catalog.pg_type'::pg_catalog.regclass \
        and d.classid operator(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass \
      join pg_catalog.pg_class c on c.oid operator(pg_catalog.=) d.objid \
      join pg_catalog.pg_namespace n on n.oid operator(pg_catalog.=) c.relnamespace \
      join pg_catalog.pg_attribute a on a.attrelid operator(pg_catalog.=) d.objid \
        and a.attnum operator(pg_catalog.=) d.objsubid \
      join ext x on x.oid operator(pg_catalog.=) k.ext \
      where a.attnum operator(pg_catalog.>) 0 and not a.attisdropped \
      and c.relnamespace operator(pg_catalog.<>) x.schema) \
    select x.extname::pg_catalog.text, x.nspname::pg_catalog.text, x.in_path, x.without, \
      (select pg_catalog.count(distinct u.schema) from used u where u.ext operator(pg_catalog.=) x.oid), \
      (select pg_catalog.min(u.name) from used u where u.ext operator(pg_catalog.=) x.oid) \
    from ext x \
    where not x.in_path or pg_catalog.cardinality(x.without) operator(pg_catalog.>) 0 \
    order by 1, 2";
