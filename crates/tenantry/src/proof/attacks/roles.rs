//! Tenants with separate roles.

use sqlx::{Row, raw_sql};

use super::super::{
    create::now,
    finding::{Attacked, Finding, Stop, code_of},
    ground::Ground,
    look::text_of,
    mark::note,
};
use crate::{
    db::TenantDb,
    sql::Sql,
    tenant::{Ident, TenantId, TenantRecord},
};

/// Binds two tenants to a role each, and has each try to access the other's schema.
pub(in crate::proof) async fn run(ground: &Ground<'_>) -> Attacked {
    let mut lease = ground.fleet.lease().await?;
    let may = "select r.rolsuper or r.rolcreaterole from pg_catalog.pg_roles r \
               where r.rolname operator(pg_catalog.=) session_user";
    let row = raw_sql(may).fetch_one(&mut *lease).await?;
    if !row.try_get::<bool, _>(0)? {
        return Err(Stop::new("the login that creates schemas may not create roles"));
    }
    let now = now(&mut lease).await?;
    let manager = ground.fleet.server().role_of_manager().cloned();
    let mut dbs = Vec::new();
    for id in ["acme", "globex"] {
        let (role, schema) = (ground.mark.name(&format!("role_{id}"))?, ground.mark.name(id)?);
        let sql = role_sql(&role, &schema, now, manager.as_ref());
        raw_sql(sql).execute(&mut *lease).await?;
        let record = TenantRecord::new(TenantId::parse(id).map_err(crate::error::Error::from)?);
        let record = record.role(role.clone());
        dbs.push((ground.fleet.in_the_making(&record, &schema)?, role));
    }
    drop(lease);
    let rounds = ground.options.plantings() * 4;
    for _ in 0..rounds {
        for ((db, role), (other, _)) in dbs.iter().zip(dbs.iter().rev()) {
            reach(ground, db, role, other).await?;
        }
    }
    let seen =
        "each session had its tenant's role, and the other schema was refused (42501)".to_owned();
    Ok(Finding { seen, rounds: u64::from(rounds) })
}

async fn reach(
    ground: &Ground<'_>,
    db: &TenantDb,
    role: &Ident,
    other: &TenantDb,
) -> Result<(), Stop> {
    let id = db.tenant().id();
    let mut lease = db.acquire().await?;
    ground.met(lease.backend_pid());
    let who = raw_sql("select current_user::pg_catalog.text").fetch_all(&mut *lease).await;
    let who = text_of(who)?;
    if who != role.as_str() {
        ground.leak(format!("the session of tenant {id} had the role {who} on a lease"));
    }
    // The next tenant must not keep the role that this one sets.
    raw_sql("reset role").execute(&mut *lease).await?;
    drop(lease);
    let mut sql = Sql::new("select owner from ");
    sql.ident(&ground.mark.name(other.tenant().id().as_str())?).text(".marker");
    match raw_sql(sql.finish()).fetch_all(db).await {
        Ok(_) => ground.leak(format!("tenant {id} read the schema of {}", other.tenant().id())),
        Err(error) => {
            let code = code_of(error)?;
            if !code.starts_with("error 42501") {
                ground.leak(format!("tenant {id} reached for the other schema: {code}"));
            }
        }
    }
    let own = ground.look(db, "").await?;
    if own.owner() != id.as_str() {
        ground.leak(format!("tenant {id} read {:?} in its own schema", own.owner()));
    }
    Ok(())
}

fn role_sql(role: &Ident, schema: &Ident, now: i64, manager: Option<&Ident>) -> sqlx::SqlStr {
    let mut sql = Sql::new("create role ");
    sql.ident(role).text(" nologin; comment on role ").ident(role).text(" is ");
    sql.literal(&note(now)).text("; grant usage on schema ").ident(schema);
    sql.text(" to ").ident(role).text("; grant all on all tables in schema ").ident(schema);
    sql.text(" to ").ident(role).text("; grant ").ident(role).text(" to ");
    match manager {
        Some(manager) => sql.ident(manager),
        None => sql.text("session_user"),
    };
    sql.finish()
}
