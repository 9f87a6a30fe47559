//! The examined tenants, and how queries address their schemas.

use std::collections::HashSet;

use sqlx::{Postgres, postgres::PgArguments, query::Query};

use crate::{
    fleet::Fleet,
    pool::Grantee,
    sql::Sql,
    tenant::{Ident, TenantId, TenantRecord},
};

/// An examined tenant.
#[derive(Debug)]
pub(super) struct Looked {
    pub(super) id: TenantId,
    pub(super) schema: Ident,
}

/// The tenants of a database that have a container, each container once.
#[derive(Debug, Default)]
pub(super) struct Tenants {
    all: Vec<Looked>,
    schemas: Vec<String>,
    roles: Vec<Option<String>>,
    /// The role that works on the tables of tenants without a separate role, if it is not the maintenance role.
    serving: Option<String>,
    /// The number of tenants with separate credentials, whose login role only the credentials source knows.
    pub(super) with_login: usize,
}

impl Tenants {
    /// Returns the tenants in the database of this maintenance.
    pub(super) fn of<'r>(fleet: &Fleet, records: impl Iterator<Item = &'r TenantRecord>) -> Self {
        let (mut tenants, mut seen) = (Self::default(), HashSet::new());
        let manager = fleet.server().role_of_manager();
        for record in records {
            // The check of containers reports a tenant that does not have a separate one.
            let Ok(site) = fleet.site(record) else { continue };
            if !seen.insert(site.schema.clone()) {
                continue;
            }
            let role = match site.grantee {
                Some(Grantee::Role(role)) => Some(role).filter(|role| Some(role) != manager),
                // The check does not request the credentials of every tenant.
                Some(Grantee::Login(_)) => {
                    tenants.with_login += 1;
                    None
                }
                None => None,
            };
            tenants.schemas.push(site.schema.as_str().to_owned());
            tenants.roles.push(role.map(|role| role.as_str().to_owned()));
            tenants.all.push(Looked { id: record.id.clone(), schema: site.schema });
        }
        tenants.serving = manager.map(|role| role.as_str().to_owned());
        tenants
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// Returns a tenant by its index.
    pub(super) fn at(&self, place: usize) -> Option<&Looked> {
        self.all.get(place)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Looked> {
        self.all.iter()
    }

    /// Begins a statement with the tenants that have a schema, as `n`: their indexes from 1, the schema with its
    /// owner and privileges, the tenant's own role, and the one that works on its tables.
    pub(super) fn begin(&self, sql: &mut Sql) {
        sql.text(BEGIN);
    }

    /// Binds the first three parameters of such a statement.
    pub(super) fn bind<'q>(
        &'q self,
        query: Query<'q, Postgres, PgArguments>,
    ) -> Query<'q, Postgres, PgArguments> {
        query.bind(&self.schemas).bind(&self.roles).bind(&self.serving)
    }
}

/// Since version 15, the schema `public` of a new database belongs to `pg_database_owner`, whose only member is the
/// owner of the database.
const BEGIN: &str = "\
    with recursive n as materialized ( \
    select asked.place::pg_catalog.int4 as place, s.oid, s.nspname as name, \
    coalesce(case when o.rolname operator(pg_catalog.=) 'pg_database_owner' then d.datdba end, s.nspowner) as owner, s.nspacl as acl, \
    r.oid as role, coalesce(r.oid, m.oid) as serves \
    from rows from (pg_catalog.unnest($1::pg_catalog.text[]), pg_catalog.unnest($2::pg_catalog.text[])) with ordinality as asked (schema, role, place) \
    join pg_catalog.pg_namespace s on s.nspname operator(pg_catalog.=) asked.schema::pg_catalog.name \
    join pg_catalog.pg_database d on d.datname operator(pg_catalog.=) pg_catalog.current_database() \
    left join pg_catalog.pg_roles o on o.oid operator(pg_catalog.=) s.nspowner \
    join pg_catalog.pg_roles m on m.rolname operator(pg_catalog.=) coalesce($3::pg_catalog.text::pg_catalog.name, session_user) \
    left join pg_catalog.pg_roles r on r.rolname operator(pg_catalog.=) asked.role::pg_catalog.name)";
