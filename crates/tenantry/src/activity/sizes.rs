//! Disk space of tenants.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::{Duration, SystemTime},
};

use futures_util::future::join_all;
use serde::Serialize;
use sqlx::Row;
use tokio::time::Instant;

use super::Unseen;
use crate::{
    catalog::Site,
    error::Error,
    error_report::ErrorReport,
    event::serialize_millis,
    fleet::{Fleet, InHome, in_each_home},
    pool::Lease,
    tenant::TenantId,
    timestamp,
};

/// How sizes are determined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum SizeMethod {
    /// As of the last `vacuum` or `analyze` of each table, by autovacuum or manual: one statement
    /// over the server's catalogs, about a second for a million tables and indexes.
    #[default]
    Estimate,
    /// The current size of the files. The server reads the size of every file, and waits up to 2 s
    /// for a table that is locked exclusively.
    Exact,
}

/// Disk space of each tenant's tables, including indexes.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct TenantSizes {
    /// The time of the reading.
    #[serde(serialize_with = "timestamp::serialize")]
    #[cfg_attr(feature = "schemars", schemars(with = "String"))]
    pub at: SystemTime,
    /// Duration of the reading.
    #[serde(rename = "durationMs", serialize_with = "serialize_millis")]
    #[cfg_attr(feature = "schemars", schemars(with = "f64"))]
    pub duration: Duration,
    /// `true` if they are exact, not estimates.
    pub is_exact: bool,
    /// Every tenant that the catalog lists, the largest first.
    pub tenants: Vec<TenantSize>,
    /// Missing information.
    pub unseen: Vec<Unseen>,
}

/// Disk space of one tenant's tables. In JSON, figures that are unknown are `null`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(into = "Written")]
#[non_exhaustive]
pub struct TenantSize {
    /// The tenant.
    #[cfg_attr(feature = "schemars", schemars(with = "String"))]
    pub tenant_id: TenantId,
    /// Its server, if there are several.
    pub server: Option<Arc<str>>,
    /// Its database, if it is not the one in the URL of its server.
    pub database: Option<Arc<str>>,
    /// `true` if its tables could not be read, such as because its server is away: [`TenantSizes::unseen`] says why.
    /// All figures are unknown then.
    pub unread: bool,
    /// Bytes of tables, indexes and TOAST; `None` if unknown, such as for a tenant without a
    /// schema.
    pub bytes: Option<u64>,
    /// Number of rows, always as of the last `vacuum` or `analyze`; 0 if `bytes` is `None`.
    pub rows: u64,
    /// Number of tables, including partitions and materialized views; 0 if `bytes` is `None`.
    pub tables: u64,
    /// Number of those that were never analyzed: their rows, and in an estimate their bytes, are
    /// not counted.
    pub never_analyzed: u64,
}

/// A size as JSON has it.
#[derive(Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema), schemars(rename = "TenantSize"))]
#[serde(rename_all = "camelCase")]
struct Written {
    /// The tenant.
    #[cfg_attr(feature = "schemars", schemars(with = "String"))]
    tenant_id: TenantId,
    /// Its server, if there are several.
    #[serde(skip_serializing_if = "Option::is_none")]
    server: Option<Arc<str>>,
    /// Its database, if it is not the one in the URL of its server.
    #[serde(skip_serializing_if = "Option::is_none")]
    database: Option<Arc<str>>,
    /// Whether its tables could not be read, such as because its server is away.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    unread: bool,
    /// Bytes of tables, indexes and TOAST; null if unknown, as are the other figures then.
    bytes: Option<u64>,
    /// Number of rows, always as of the last `vacuum` or `analyze`.
    rows: Option<u64>,
    /// Number of tables, including partitions and materialized views.
    tables: Option<u64>,
    /// Number of those that were never analyzed.
    never_analyzed: Option<u64>,
}

impl From<TenantSize> for Written {
    fn from(size: TenantSize) -> Self {
        let known = |figure| size.bytes.map(|_| figure);
        let [rows, tables, never_analyzed] =
            [size.rows, size.tables, size.never_analyzed].map(known);
        let TenantSize { tenant_id, server, database, unread, bytes, .. } = size;
        Self { tenant_id, server, database, unread, bytes, rows, tables, never_analyzed }
    }
}

/// Catalog data of one schema.
#[derive(Debug, Clone, Copy, Default)]
struct Found {
    bytes: Option<u64>,
    rows: u64,
    tables: u64,
    never_analyzed: u64,
}

/// Number of schemas per statement for exact sizes.
const PAGE: usize = 500;

/// How long each further server may take to answer a ping.
const PATIENCE: Duration = Duration::from_secs(5);

/// A tenant's size, where it is known.
type Measured = Result<Found, String>;

/// Reads the sizes of all tenants, in each database that they are in.
///
/// # Cancel safety
///
/// Safe.
pub(crate) async fn read(fleet: &Fleet, method: SizeMethod) -> Result<TenantSizes, Error> {
    let began = Instant::now();
    let records = fleet.list().await?;
    let sites: Vec<_> = records.iter().map(|record| fleet.site_anywhere(record).ok()).collect();
    let sized = sized(fleet, method, &sites).await?;
    let (mut tenants, mut lost) = (Vec::with_capacity(records.len()), Lost::default());
    for ((record, site), sized) in records.into_iter().zip(sites).zip(sized) {
        let (server, database) = fleet.names_of(site.as_ref().map(|site| &site.home));
        let unread = sized.is_err();
        let found = sized.unwrap_or_else(|why| {
            *lost.entry((server.clone(), why)).or_default() += 1;
            Found::default()
        });
        tenants.push(TenantSize { server, database, unread, ..found.of(record.id) });
    }
    tenants.sort_by(|one, other| {
        let key = |of: &TenantSize| Reverse(of.bytes);
        key(one).cmp(&key(other)).then_with(|| one.tenant_id.cmp(&other.tenant_id))
    });
    let is_exact = method == SizeMethod::Exact;
    let unseen = unseen(lost, &tenants);
    Ok(TenantSizes { at: SystemTime::now(), duration: began.elapsed(), is_exact, tenants, unseen })
}

/// The number of tenants whose sizes could not be read, by server and reason.
type Lost = BTreeMap<(Option<Arc<str>>, String), usize>;

fn unseen(lost: Lost, tenants: &[TenantSize]) -> Vec<Unseen> {
    let lost = lost.into_iter().map(|((server, why), count)| {
        Unseen::new(format!("the sizes of {count} tenants"), why).on(server)
    });
    let mut unseen: Vec<_> = lost.collect();
    let never: u64 = tenants.iter().map(|of| of.never_analyzed).sum();
    if never > 0 {
        let why = "autovacuum has not processed them, or is off: run analyze";
        unseen.push(Unseen::new(format!("the rows of {never} tables"), why));
    }
    unseen
}

/// Reads the sizes at each of these sites. A further server that does not answer is not waited for by each of its
/// databases.
async fn sized(
    fleet: &Fleet,
    method: SizeMethod,
    sites: &[Option<Site>],
) -> Result<Vec<Measured>, Error> {
    let away = away(fleet).await;
    let mut sized: Vec<Measured> =
        sites.iter().map(|site| of_server(site.as_ref(), &away)).collect();
    let is_there = |site: &&Site| !away.contains_key(site.home.server());
    let homes = sites.iter().map(|site| site.as_ref().filter(is_there).map(|site| &site.home));
    let done = in_each_home(fleet, homes, |fleet: Fleet, places: Vec<usize>| {
        let schemas =
            places.iter().filter_map(|place| Some(sites[*place].as_ref()?.schema.clone()));
        let schemas: Vec<_> = schemas.map(|schema| schema.to_string()).collect();
        async move { in_home(&fleet, method, &schemas).await }
    });
    for InHome { places, result, .. } in done.await? {
        let all = result
            .unwrap_or_else(|error| vec![Err(ErrorReport::new(&error).to_string()); places.len()]);
        places.into_iter().zip(all).for_each(|(place, measured)| sized[place] = measured);
    }
    Ok(sized)
}

/// Returns what is known of a tenant's size before its database is asked.
fn of_server(site: Option<&Site>, away: &BTreeMap<String, String>) -> Measured {
    let why = site.and_then(|site| away.get(site.home.server()));
    why.map_or_else(|| Ok(Found::default()), |why| Err(why.clone()))
}

/// Returns the further servers that do not answer, with the reason.
async fn away(fleet: &Fleet) -> BTreeMap<String, String> {
    let further = fleet.servers().homes().filter(|home| !home.is_managers());
    let asked = further.map(|home| async move {
        let why = fleet.at(&home).why_away(PATIENCE).await?;
        Some((home.server().to_owned(), why))
    });
    join_all(asked).await.into_iter().flatten().collect()
}

/// Reads the sizes of these schemas in a fleet's database, in their order.
async fn in_home(
    fleet: &Fleet,
    method: SizeMethod,
    schemas: &[String],
) -> Result<Vec<Measured>, Error> {
    let mut lease = match fleet.home().database() {
        Some(_) => fleet.lease().await?,
        None => fleet.system_here().acquire().await?,
    };
    let found = estimates(&mut lease).await?;
    let of = |schema: &String| found.get(schema).copied().unwrap_or_default();
    let mut sized: Vec<Measured> = schemas.iter().map(|schema| Ok(of(schema))).collect();
    if method == SizeMethod::Exact {
        for (page, sized) in schemas.chunks(PAGE).zip(sized.chunks_mut(PAGE)) {
            exact(&mut lease, page, sized).await?;
        }
    }
    Ok(sized)
}

impl Found {
    fn of(self, tenant_id: TenantId) -> TenantSize {
        let Self { bytes, rows, tables, never_analyzed } = self;
        let (server, database, unread) = (None, None, false);
        TenantSize { tenant_id, server, database, unread, bytes, rows, tables, never_analyzed }
    }
}

async fn estimates(lease: &mut Lease) -> Result<HashMap<String, Found>, Error> {
    let rows = sqlx::query(ESTIMATES).persistent(false).fetch_all(&mut **lease).await?;
    let count = |row: &sqlx::postgres::PgRow, column| {
        let count: Option<i64> = row.try_get(column)?;
        Ok::<_, sqlx::Error>(u64::try_from(count.unwrap_or_default()).unwrap_or_default())
    };
    let schema = |row: &sqlx::postgres::PgRow| {
        let found = Found {
            bytes: Some(count(row, "bytes")?),
            rows: count(row, "rows")?,
            tables: count(row, "tables")?,
            never_analyzed: count(row, "never_analyzed")?,
        };
        Ok((row.try_get("schema")?, found))
    };
    let found: Result<_, sqlx::Error> = rows.iter().map(schema).collect();
    Ok(found?)
}

/// Replaces the estimates by the sizes of the files. If they cannot be read, there is only the reason.
async fn exact(lease: &mut Lease, schemas: &[String], sized: &mut [Measured]) -> Result<(), Error> {
    sqlx::raw_sql("set lock_timeout to 2000").execute(&mut **lease).await?;
    let sizes = sqlx::query_as(EXACT).bind(schemas).persistent(false).fetch_all(&mut **lease).await;
    let sizes: HashMap<String, Option<i64>> = match sizes {
        Ok(sizes) => sizes.into_iter().collect(),
        Err(sqlx::Error::Database(error)) => {
            sized.fill(Err(error.message().to_owned()));
            return Ok(());
        }
        Err(error) => return Err(error.into()),
    };
    for (schema, sized) in schemas.iter().zip(sized) {
        if let (Ok(sized), Some(bytes)) = (sized, sizes.get(schema)) {
            sized.bytes = Some(u64::try_from(bytes.unwrap_or_default()).unwrap_or_default());
        }
    }
    Ok(())
}

/// TOAST tables are in a schema of PostgreSQL's own; their index, which is small, is omitted. A
/// table that was never analyzed has -1 rows, and before version 14 neither rows nor pages.
const ESTIMATES: &str = "\
    select n.nspname::pg_catalog.text as schema, \
      coalesce(pg_catalog.sum(c.relpages::pg_catalog.int8 operator(pg_catalog.+) \
        coalesce(t.relpages, 0)::pg_catalog.int8), 0)::pg_catalog.int8 operator(pg_catalog.*) \
        pg_catalog.current_setting('block_size')::pg_catalog.int8 as bytes, \
      pg_catalog.sum(c.reltuples) filter (where c.relkind operator(pg_catalog.=) any \
        ('{r,m}'::pg_catalog.\"char\"[]) and c.reltuples operator(pg_catalog.>) 0)::pg_catalog.int8 as rows, \
      pg_catalog.count(c.oid) filter (where c.relkind operator(pg_catalog.=) any \
        ('{r,m,p}'::pg_catalog.\"char\"[])) as tables, \
      pg_catalog.count(c.oid) filter (where c.relkind operator(pg_catalog.=) any \
        ('{r,m}'::pg_catalog.\"char\"[]) and c.reltuples operator(pg_catalog.<) 0) as never_analyzed \
    from pg_catalog.pg_namespace n \
    left join pg_catalog.pg_class c on c.relnamespace operator(pg_catalog.=) n.oid \
      and c.relkind operator(pg_catalog.=) any ('{r,m,p,i}'::pg_catalog.\"char\"[]) \
    left join pg_catalog.pg_class t on t.oid operator(pg_catalog.=) c.reltoastrelid \
      and c.reltoastrelid operator(pg_catalog.<>) 0::pg_catalog.oid \
    where n.nspname operator(pg_catalog.<>) all (array['pg_catalog', 'information_schema', \
      'pg_toast']::pg_catalog.name[]) \
    group by n.oid, n.nspname";

const EXACT: &str = "\
    select n.nspname::pg_catalog.text, \
      pg_catalog.sum(pg_catalog.pg_total_relation_size(c.oid))::pg_catalog.int8 \
    from pg_catalog.pg_namespace n \
    left join pg_catalog.pg_class c on c.relnamespace operator(pg_catalog.=) n.oid \
      and c.relkind operator(pg_catalog.=) any ('{r,m}'::pg_catalog.\"char\"[]) \
    where n.nspname operator(pg_catalog.=) any ($1::pg_catalog.text[]) \
    group by n.oid, n.nspname";
