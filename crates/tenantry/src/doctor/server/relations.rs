use crate::{doctor::OnServer, error::Error, tenant::TenantRecord};

/// The number of relations of the tenants.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Relations {
    /// The tables of all tenants: a dump of the whole database locks them.
    pub(crate) tables: u64,
    /// The tenant with the most relations.
    pub(crate) largest: Option<Largest>,
}

/// A tenant with many relations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Largest {
    pub(crate) tenant: String,
    pub(crate) tables: u64,
    /// Tables with their indexes, sequences and TOAST tables: dropping a tenant locks them.
    pub(crate) relations: u64,
}

impl Relations {
    /// Counts the relations in the schemas of tenants of this server.
    pub(crate) async fn read(
        on: OnServer<'_>,
        tenants: impl Iterator<Item = &TenantRecord>,
    ) -> Result<Self, Error> {
        let placed = tenants.filter_map(|record| {
            let container = on.fleet().lookup().container(record).ok()?;
            Some((record.id.to_string(), container.to_string()))
        });
        let (ids, schemas): (Vec<_>, Vec<_>) = placed.unzip();
        let rows = sqlx::query_as(COUNT).bind(&schemas).persistent(false);
        let rows: Vec<(i64, i64, i64)> = rows.fetch_all(on.system()).await?;
        let mut counted = Self::default();
        for (place, tables, relations) in rows {
            let [tables, relations] = [tables, relations].map(i64::unsigned_abs);
            counted.tables += tables;
            let most = counted.largest.as_ref().map_or(0, |largest| largest.relations);
            let tenant = usize::try_from(place - 1).ok().and_then(|place| ids.get(place));
            if let Some(tenant) = tenant.filter(|_| relations > most) {
                counted.largest = Some(Largest { tenant: tenant.clone(), tables, relations });
            }
        }
        Ok(counted)
    }
}

/// TOAST tables and their indexes are not in the tenant's schema: they count with their tables.
const COUNT: &str = "\
    with asked as materialized ( \
      select n.oid, pg_catalog.min(a.place) as place \
      from rows from (pg_catalog.unnest($1::pg_catalog.text[])) with ordinality as a (schema, place) \
      join pg_catalog.pg_namespace n on n.nspname operator(pg_catalog.=) a.schema::pg_catalog.name \
      group by n.oid) \
    select a.place, \
      pg_catalog.count(*) filter (where c.relkind operator(pg_catalog.=) any ('{r,p}'::\"char\"[])), \
      pg_catalog.count(*) operator(pg_catalog.+) \
        (2::pg_catalog.int8 operator(pg_catalog.*) pg_catalog.count(*) filter \
          (where c.reltoastrelid operator(pg_catalog.<>) 0::pg_catalog.oid)) \
    from asked a join pg_catalog.pg_class c on c.relnamespace operator(pg_catalog.=) a.oid \
    where c.relkind operator(pg_catalog.=) any ('{r,p,i,I,S,m,f}'::\"char\"[]) \
    group by a.place";
