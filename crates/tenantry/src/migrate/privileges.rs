//! Grants the privileges on a schema's tables to the roles that work on them, unless this was done before.

use sqlx::{Executor, PgConnection, Row};

use super::{
    Failure,
    tracking::{self, Presence, try_lock},
};
use crate::{
    catalog::Site,
    error::Error,
    fleet::{Fleet, InHome, in_each_home},
    pool::{Lease, grant, keep_to_owner},
    sql::Sql,
    tenant::Ident,
};

/// Grants a role its privileges before files are run, so that default privileges cover the objects they create, and
/// privileges they revoke stay revoked. The records table is created before that: only its owner has access.
pub(super) async fn prepare(
    lease: &mut Lease,
    schema: &Ident,
    presence: Presence,
    role: &Ident,
) -> Result<(), Failure> {
    let mut sql = Sql::default();
    if presence != Presence::Table {
        tracking::create(&mut sql, schema);
        // The schema can already have default privileges.
        keep_to_owner(&mut sql, schema, "_sqlx_migrations");
    }
    grant(&mut sql, schema, role);
    super::survey::run(lease, async |conn| {
        conn.execute(sqlx::raw_sql(sql.finish())).await.map(drop)
    })
    .await
}

/// Grants the privileges to roles that lack them because their schemas had no pending files, such as a role that was
/// set after the tenant was created. One statement finds them all.
///
/// Errors are logged: the schemas are up to date nevertheless.
pub(super) async fn catch_up(fleet: &Fleet, sites: &[Site]) {
    let homes = sites.iter().map(|site| Some(&site.home));
    let grant = |fleet: Fleet, places: Vec<usize>| async move {
        let sites = places.iter().map(|place| &sites[*place]);
        catch_up_in_home(&fleet, &sites.collect::<Vec<_>>()).await;
        Ok::<_, Error>(())
    };
    let all = in_each_home(fleet, homes, grant).await;
    for InHome { places, result, .. } in all.into_iter().flatten() {
        if let (Err(error), Some(place)) = (result, places.first()) {
            failed(&sites[*place], &error);
        }
    }
}

async fn catch_up_in_home(fleet: &Fleet, sites: &[&Site]) {
    let mut named = Vec::new();
    for &site in sites {
        match fleet.role_of(site).await {
            Ok(Some(role)) => named.push((site, role)),
            Ok(None) => {}
            Err(error) => failed(site, &error),
        }
    }
    if named.is_empty() {
        return;
    }
    let granted = async {
        let mut lease = fleet.lease().await?;
        let found = look(&mut lease, &named).await?;
        warn(&named, &found);
        for (site, role) in lacking(&named, &found) {
            if let Err(error) = grant_alone(&mut lease, &site.schema, role).await {
                failed(site, &error.into());
            }
        }
        lease.settle().await;
        Ok::<_, Error>(())
    };
    if let (Err(error), [(site, _), ..]) = (granted.await, &named[..]) {
        failed(site, &error);
    }
}

fn failed(site: &Site, error: &Error) {
    tracing::warn!(
        target: "tenantry::migrate",
        schema = site.schema.as_str(),
        error = error as &dyn std::error::Error,
        "the privileges of a role could not be checked or granted"
    );
}

/// The state of a role in a schema.
struct Found {
    place: usize,
    /// Whether it was not given its rights yet.
    lacks: bool,
    /// Whether the role can add objects to the schema, or to the records table, that the next migration would run.
    plants: bool,
    /// Whether the role does not exist.
    missing: bool,
}

fn lacking<'a>(
    named: &'a [(&'a Site, Ident)],
    found: &[Found],
) -> impl Iterator<Item = (&'a Site, &'a Ident)> {
    let lacking = found.iter().filter(|found| found.lacks);
    lacking.filter_map(|found| named.get(found.place)).map(|(site, role)| (*site, role))
}

/// The maximum number of schemas named in a warning.
const NAMED: usize = 5;

fn warn(named: &[(&Site, Ident)], found: &[Found]) {
    warn_of(
        "roles can create objects in their schema, or triggers on _sqlx_migrations, which would run with the \
         privileges of the next migration; revoke this from",
        found.iter().filter(|found| found.plants).filter_map(|found| named.get(found.place)),
    );
    warn_of(
        "tenants whose role does not exist cannot be served; create the role, then migrate again to grant it \
         privileges:",
        found.iter().filter(|found| found.missing).filter_map(|found| named.get(found.place)),
    );
}

fn warn_of<'a>(what: &str, named: impl Iterator<Item = &'a (&'a Site, Ident)>) {
    let names: Vec<_> = named.map(|(site, role)| format!("{role} in {}", site.schema)).collect();
    if !names.is_empty() {
        tracing::warn!(
            target: "tenantry::migrate",
            schemas = names.len(),
            "{what} {}",
            names[..names.len().min(NAMED)].join(", ")
        );
    }
}

async fn look(conn: &mut PgConnection, named: &[(&Site, Ident)]) -> sqlx::Result<Vec<Found>> {
    let schemas: Vec<_> = named.iter().map(|(site, _)| site.schema.as_str()).collect();
    let roles: Vec<_> = named.iter().map(|(_, role)| role.as_str()).collect();
    let rows = sqlx::query(
        "select asked.place, asked.lacks, asked.plants, asked.missing from ( \
           select names.place, r.oid is null as missing, r.oid is not null and not exists ( \
             select from pg_catalog.pg_default_acl a \
             cross join lateral pg_catalog.aclexplode(a.defaclacl) x \
             where a.defaclrole operator(pg_catalog.=) me.oid \
             and a.defaclnamespace operator(pg_catalog.=) n.oid \
             and a.defaclobjtype operator(pg_catalog.=) 'r' \
             and x.grantee operator(pg_catalog.=) r.oid) as lacks, \
           coalesce(pg_catalog.has_schema_privilege(r.oid, n.oid, 'create'), false) \
             or coalesce(pg_catalog.has_table_privilege(r.oid, c.oid, 'trigger'), false) as plants \
           from rows from ( \
               pg_catalog.unnest($1::pg_catalog.text[]), \
               pg_catalog.unnest($2::pg_catalog.text[])) \
             with ordinality as names (schema, role, place) \
           join pg_catalog.pg_roles me on me.rolname operator(pg_catalog.=) current_user \
           join pg_catalog.pg_namespace n on n.nspname operator(pg_catalog.=) names.schema \
           left join pg_catalog.pg_roles r on r.rolname operator(pg_catalog.=) names.role \
           left join pg_catalog.pg_class c on c.relnamespace operator(pg_catalog.=) n.oid \
             and c.relname operator(pg_catalog.=) '_sqlx_migrations' \
           where r.oid is null or (not r.rolsuper and r.oid operator(pg_catalog.<>) me.oid)) as asked \
         where asked.lacks or asked.plants or asked.missing order by asked.place",
    );
    let rows = rows.bind(schemas).bind(roles).persistent(false).fetch_all(conn).await?;
    let found = |row: &sqlx::postgres::PgRow| {
        let place: i64 = row.try_get("place")?;
        let place = usize::try_from(place).unwrap_or_default().saturating_sub(1);
        Ok(Found {
            place,
            lacks: row.try_get("lacks")?,
            plants: row.try_get("plants")?,
            missing: row.try_get("missing")?,
        })
    };
    rows.iter().map(found).collect()
}

/// Grants a role its privileges, unless a migration run has locked the schema and does the same.
async fn grant_alone(conn: &mut PgConnection, schema: &Ident, role: &Ident) -> sqlx::Result<()> {
    let mut sql = Sql::new("select ");
    try_lock(&mut sql, "pg_catalog.pg_try_advisory_lock", schema);
    if sqlx::raw_sql(sql.finish()).fetch_one(&mut *conn).await?.try_get(0)? {
        let mut sql = Sql::default();
        grant(&mut sql, schema, role);
        let granted = sqlx::raw_sql(sql.finish()).execute(&mut *conn).await;
        let mut sql = Sql::new("select ");
        try_lock(&mut sql, "pg_catalog.pg_advisory_unlock", schema);
        sqlx::raw_sql(sql.finish()).execute(conn).await?;
        granted?;
    }
    Ok(())
}
