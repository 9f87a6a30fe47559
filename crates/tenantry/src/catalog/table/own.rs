//! SQL of the library's own table.

use std::error::Error as _;

use serde_json::Value;
use sqlx::{SqlStr, error::DatabaseError};

use super::TableCatalog;
use crate::{
    catalog::{CatalogChange, discovery::failed},
    error::{Error, ErrorKind},
    sql::Sql,
    tenant::{Ident, IsolationKind, TenantId, TenantRecord, TenantState},
};

/// End of a select of tenants.
pub(super) const END: &str = ") as tenant";

impl TableCatalog {
    /// Appends the name of the table.
    fn name<'s>(&self, sql: &'s mut Sql, shared_schema: &Ident) -> &'s mut Sql {
        sql.ident(shared_schema).text(".").ident(&self.table)
    }

    pub(super) fn write_sql<'c>(
        &self,
        shared_schema: &Ident,
        change: CatalogChange<'c>,
    ) -> (SqlStr, &'c TenantId) {
        let mut sql = Sql::new(match change {
            CatalogChange::Created(_) => "insert into ",
            CatalogChange::State(..)
            | CatalogChange::Renamed { .. }
            | CatalogChange::Step { .. }
            | CatalogChange::Dropping { .. }
            | CatalogChange::Moving { .. }
            | CatalogChange::Moved(_) => "update ",
            CatalogChange::Dropped(_) => "delete from ",
        });
        self.name(&mut sql, shared_schema);
        let tenant = match change {
            CatalogChange::Created(record) => {
                sql.text(" (id, container, state, attributes");
                let rest = beyond_the_first_form(record);
                for (column, _) in &rest {
                    sql.text(", ").text(column);
                }
                sql.text(") values (").literal(record.id.as_str()).text(", ");
                container(&mut sql, record);
                sql.text(", ").literal(record.state.as_str()).text(", ");
                let attributes = match &record.attributes {
                    Value::Null => "{}".to_owned(),
                    other => other.to_string(),
                };
                sql.literal(&attributes);
                for (_, value) in &rest {
                    sql.text(", ").literal(value);
                }
                sql.text(")");
                return (sql.finish(), &record.id);
            }
            CatalogChange::State(tenant, state) => {
                sql.text(" set state = ").literal(state.as_str());
                tenant
            }
            CatalogChange::Renamed { from, to } => {
                sql.text(" set id = ").literal(to.id.as_str()).text(", container = ");
                container(&mut sql, to);
                for (_, assignment, value) in placement(to) {
                    sql.text(assignment).literal(&value);
                }
                from
            }
            CatalogChange::Step { tenant, to, .. } => {
                match to {
                    Some(step) => sql.text(" set step = ").literal(step),
                    None => sql.text(" set state = 'active', step = null"),
                };
                tenant
            }
            CatalogChange::Dropping { tenant, to, .. } => {
                sql.text(" set state = 'suspended', step = ").literal(to);
                tenant
            }
            CatalogChange::Moving { tenant, to, .. } => {
                sql.text(" set state = ").literal(to.as_str());
                tenant
            }
            CatalogChange::Moved(to) => {
                sql.text(" set state = 'active', server = ");
                recorded(&mut sql, to.server.as_deref());
                sql.text(", epoch = ").number(to.epoch);
                if to.isolation.is_some() {
                    sql.text(", container = ");
                    container(&mut sql, to);
                    sql.text(", isolation = ");
                    recorded(&mut sql, to.isolation.map(IsolationKind::as_str));
                    sql.text(", database = ");
                    recorded(&mut sql, to.database.as_ref().map(Ident::as_str));
                    sql.text(", key = ");
                    recorded(&mut sql, to.key.as_deref());
                }
                &to.id
            }
            CatalogChange::Dropped(tenant) => tenant,
        };
        sql.text(" where id operator(pg_catalog.=) ").literal(tenant.as_str());
        match change {
            CatalogChange::Step { from, .. } | CatalogChange::Dropping { from: Some(from), .. } => {
                sql.text(" and step operator(pg_catalog.=) ").literal(from);
            }
            CatalogChange::Dropping { from: None, .. } => drop(sql.text(" and step is null")),
            CatalogChange::Moving { from, epoch, .. } => is_placed(&mut sql, from, epoch),
            CatalogChange::Moved(to) => {
                is_placed(&mut sql, TenantState::Cutover, to.epoch.saturating_sub(1));
            }
            _ => {}
        }
        (sql.finish(), tenant)
    }

    /// Begins a select, which [`END`] ends. If a table of an earlier release has no column of such
    /// a name, the name refers to the null of the outer query.
    pub(super) fn select(&self, shared_schema: &Ident) -> Sql {
        let mut sql = Sql::new(
            "select tenant.* from (select null::pg_catalog.text as step, \
               null::pg_catalog.text as isolation, null::pg_catalog.text as server, \
               null::pg_catalog.text as database, null::pg_catalog.text as key, \
               null::pg_catalog.int8 as epoch) as nothing \
             cross join lateral (select id, container, state, attributes, \
               extract(epoch from created_at)::pg_catalog.float8 as created_at, \
               step::pg_catalog.text as step, isolation::pg_catalog.text as isolation, \
               server::pg_catalog.text as server, database::pg_catalog.text as database, \
               key::pg_catalog.text as key, epoch::pg_catalog.int8 as epoch, \
               null::pg_catalog.text as role, null::pg_catalog.jsonb as settings, \
               true as places from ",
        );
        self.name(&mut sql, shared_schema);
        sql
    }

    /// Returns a dedicated error for a tenant that already exists.
    pub(super) fn refusal(
        &self,
        shared_schema: &Ident,
        error: sqlx::Error,
        change: CatalogChange<'_>,
    ) -> Error {
        let taken = error.as_database_error().is_some_and(DatabaseError::is_unique_violation);
        let adds = matches!(change, CatalogChange::Created(_) | CatalogChange::Renamed { .. });
        if taken && adds && is_about_keys(&error) {
            let attempted =
                "another tenant has its key in the tables of all tenants: choose another key";
            return Error::new(ErrorKind::Placement, attempted).with_source(error);
        }
        if taken && adds {
            return Error::new(ErrorKind::TenantExists, "writing the list of tenants")
                .with_source(error);
        }
        let code = error.as_database_error().and_then(DatabaseError::code);
        if code.as_deref() == Some("42703") {
            let attempted = format!(
                "{} has no columns for the tenant's placement: add them with TableCatalog::create_table",
                self.source(shared_schema).in_words()
            );
            return Error::new(ErrorKind::Catalog, attempted).with_source(error);
        }
        self.failed(shared_schema, error)
    }

    /// Adds the remedy to the error if the table is missing or unreadable.
    pub(super) fn failed(&self, shared_schema: &Ident, error: impl Into<Error>) -> Error {
        let error = error.into();
        let code = code_of(&error).unwrap_or_default();
        let of = self.source(shared_schema).in_words();
        let attempted = match (&*code, self.is_ours()) {
            ("42P01" | "3F000", true) => {
                let table = &self.table;
                format!(
                    "there is no table {shared_schema}.{table}: create it with TableCatalog::create_table"
                )
            }
            ("42P01" | "3F000", false) if self.query.is_none() => format!("{of} does not exist"),
            ("42501", _) => {
                format!("the role of the connection may not read {of}: grant it select")
            }
            _ if !self.is_ours() && ["0A", "22", "42"].iter().any(|of| code.starts_with(of)) => {
                format!("{of} cannot be read")
            }
            _ => return failed(error),
        };
        Error::new(ErrorKind::Catalog, attempted).with_source(error)
    }
}

/// Returns `true` if the violated constraint is the unique index of keys, by the name that PostgreSQL gives it.
fn is_about_keys(error: &sqlx::Error) -> bool {
    let constraint = error.as_database_error().and_then(DatabaseError::constraint);
    constraint.is_some_and(|name| name.ends_with("_coalesce_key_idx"))
}

/// Returns the SQLSTATE of a server error.
pub(super) fn code_of(error: &Error) -> Option<String> {
    let answer = error.source().and_then(|source| source.downcast_ref::<sqlx::Error>())?;
    answer.as_database_error().and_then(|error| error.code()).map(std::borrow::Cow::into_owned)
}

/// Returns the columns that tables of the first release lack, with their values, unless these are
/// the default: without them, such a table can still be written.
fn beyond_the_first_form(record: &TenantRecord) -> Vec<(&'static str, String)> {
    let step = record.step.as_deref().map(|step| ("step", step.to_owned()));
    let placement = placement(record).map(|(column, _, value)| (column, value));
    step.into_iter().chain(placement).collect()
}

/// Returns the columns of the placement, how they are set, and their values, unless these are the
/// default.
fn placement(record: &TenantRecord) -> impl Iterator<Item = (&'static str, &'static str, String)> {
    let TenantRecord { isolation, server, database, key, epoch, .. } = record;
    let columns = [
        ("isolation", ", isolation = ", isolation.map(|kind| kind.as_str().to_owned())),
        ("server", ", server = ", server.as_ref().map(ToString::to_string)),
        ("database", ", database = ", database.as_ref().map(ToString::to_string)),
        ("key", ", key = ", key.as_ref().map(ToString::to_string)),
        ("epoch", ", epoch = ", (*epoch != 1).then(|| epoch.to_string())),
    ];
    columns.into_iter().filter_map(|(column, assignment, value)| Some((column, assignment, value?)))
}

/// Appends the condition that a complete tenant has this state and this placement.
fn is_placed(sql: &mut Sql, state: TenantState, epoch: u64) {
    sql.text(" and step is null and state operator(pg_catalog.=) ").literal(state.as_str());
    sql.text(" and epoch operator(pg_catalog.=) ").number(epoch);
}

/// Appends a value, or null.
fn recorded(sql: &mut Sql, value: Option<&str>) {
    match value {
        Some(value) => sql.literal(value),
        None => sql.text("null"),
    };
}

/// Appends the recorded container, or null if it follows the name template.
fn container(sql: &mut Sql, record: &TenantRecord) {
    recorded(sql, record.container.as_ref().map(Ident::as_str));
}
