use std::{
    error::Error as _,
    time::{Duration, SystemTime},
};

use serde_json::Value;
use sqlx::{Row, SqlStr, error::DatabaseError, postgres::PgRow};

use super::{
    Answer, Ask, BATCH, Catalog, CatalogChange, Page, Resolved, Write,
    discovery::failed,
    install::{has_step_sql, install, install_for},
    one,
    page::{self, PAGE},
};
use crate::{
    db::SharedDb,
    error::{Error, ErrorKind},
    sql::Sql,
    tenant::{Ident, IdentError, TenantId, TenantRecord, TenantState},
};

/// A catalog that reads a table of the shared schema.
///
/// | column | type | meaning |
/// |---|---|---|
/// | `id` | `text`, primary key | the tenant's id |
/// | `container` | `text`, unique | its schema; null leaves it to the name template |
/// | `state` | `text` | `active` or `suspended` |
/// | `created_at` | `timestamptz` | when the row was inserted |
/// | `attributes` | `jsonb` | anything else |
/// | `step` | `text` | null when the tenant is whole; otherwise what its creation has not come to yet |
///
/// [`create_table`](Self::create_table) makes it, with a trigger that announces every change, so
/// that all processes forget what they have cached of a tenant as soon as its row changes. The
/// manager keeps one connection of its budget for listening.
#[derive(Debug, Clone)]
pub struct TableCatalog {
    table: Ident,
}

/// What ends a select of tenants.
const END: &str = ") as tenant";

/// How every step begins that the library writes. What an application keeps in a column of that name is none.
pub(super) const STEP: &str = "tenantry: ";

/// The channel on which the trigger announces changes.
pub(super) const CHANNEL: &str = "tenantry_catalog";

impl TableCatalog {
    /// Reads the table `tenants`.
    #[must_use]
    pub fn new() -> Self {
        Self { table: Ident::parse("tenants").expect("the name is an identifier") }
    }

    /// Reads another table of the shared schema.
    ///
    /// # Errors
    ///
    /// [`IdentError`] when the name is no identifier.
    pub fn table(mut self, name: &str) -> Result<Self, IdentError> {
        self.table = Ident::parse(name)?;
        Ok(self)
    }

    /// Creates the table and its trigger where they are missing. Safe to call at every start, and
    /// from several processes at once.
    ///
    /// A table of that name that is there already is used when it has the columns above and its ids are
    /// unique; `varchar`, `timestamp` and `json` will do. It gets the trigger, or a newer one. Where nothing
    /// is missing, nothing is changed, so that the role needs no right to. Where
    /// [upkeep](crate::ManagerBuilder::upkeep_credentials) has a login of its own, it makes the table, and
    /// the manager's role may read it.
    ///
    /// A table without `step`, which earlier releases have made, gets it where the role may add it, and is as good
    /// without.
    ///
    /// # Errors
    ///
    /// [`Config`](ErrorKind::Config) when there is a table of that name that is something else, a view,
    /// or somebody else's; nothing is changed then. Otherwise what the server answers, such as that the
    /// role may not create in the shared schema.
    ///
    /// # Cancel safety
    ///
    /// When dropped, all of it is there or nothing.
    pub async fn create_table(&self, shared: &SharedDb) -> Result<(), Error> {
        let mut tx = shared.begin_upkeep().await?;
        let schema = shared.schema();
        match shared.role_of_manager() {
            None => drop(install(&mut tx, schema, &self.table).await?),
            Some(manager) => install_for(&mut tx, schema, &self.table, manager).await?,
        }
        tx.commit().await?;
        Ok(())
    }

    /// Appends the name of the table.
    fn name<'s>(&self, sql: &'s mut Sql, shared_schema: &Ident) -> &'s mut Sql {
        sql.ident(shared_schema).text(".").ident(&self.table)
    }

    fn write_sql<'c>(
        &self,
        shared_schema: &Ident,
        change: CatalogChange<'c>,
    ) -> (SqlStr, &'c TenantId) {
        let mut sql = Sql::new(match change {
            CatalogChange::Created(_) => "insert into ",
            CatalogChange::State(..)
            | CatalogChange::Renamed { .. }
            | CatalogChange::Step { .. } => "update ",
            CatalogChange::Dropped(_) => "delete from ",
        });
        self.name(&mut sql, shared_schema);
        let tenant = match change {
            CatalogChange::Created(record) => {
                sql.text(" (id, container, state, attributes");
                sql.text(if record.step.is_some() { ", step) values (" } else { ") values (" });
                sql.literal(record.id.as_str()).text(", ");
                container(&mut sql, record);
                sql.text(", ").literal(record.state.as_str()).text(", ");
                let attributes = match &record.attributes {
                    Value::Null => "{}".to_owned(),
                    other => other.to_string(),
                };
                sql.literal(&attributes);
                if let Some(step) = &record.step {
                    sql.text(", ").literal(step);
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
                from
            }
            CatalogChange::Step { tenant, to, .. } => {
                match to {
                    Some(step) => sql.text(" set step = ").literal(step),
                    None => sql.text(" set state = 'active', step = null"),
                };
                tenant
            }
            CatalogChange::Dropped(tenant) => tenant,
        };
        sql.text(" where id operator(pg_catalog.=) ").literal(tenant.as_str());
        if let CatalogChange::Step { from, .. } = change {
            sql.text(" and step operator(pg_catalog.=) ").literal(from);
        }
        (sql.finish(), tenant)
    }

    /// Begins a select, which [`END`] ends. Where the table has no column `step`, the name stands for the null
    /// outside.
    fn select(&self, ask: Ask<'_>) -> Sql {
        let mut sql = Sql::new(
            "select tenant.* from (select null::pg_catalog.text as step) as nothing \
             cross join lateral (select id, container, state, attributes, \
               extract(epoch from created_at)::pg_catalog.float8 as created, \
               step::pg_catalog.text as step from ",
        );
        self.name(&mut sql, ask.shared_schema);
        sql
    }

    /// A tenant that is there already is an error of its own.
    fn refusal(
        &self,
        shared_schema: &Ident,
        error: sqlx::Error,
        change: CatalogChange<'_>,
    ) -> Error {
        let taken = error.as_database_error().is_some_and(DatabaseError::is_unique_violation);
        let adds = matches!(change, CatalogChange::Created(_) | CatalogChange::Renamed { .. });
        match taken && adds {
            true => Error::new(ErrorKind::TenantExists, "writing the list of tenants")
                .with_source(error),
            false => self.failed(shared_schema, error),
        }
    }

    /// Says what to do where the table is missing.
    fn failed(&self, shared_schema: &Ident, error: impl Into<Error>) -> Error {
        let error = error.into();
        let answer = error.source().and_then(|source| source.downcast_ref::<sqlx::Error>());
        let code =
            answer.and_then(|answer| answer.as_database_error()).and_then(|error| error.code());
        match code.as_deref() {
            Some("42P01" | "3F000") => {
                let table = &self.table;
                let attempted = format!(
                    "there is no table {shared_schema}.{table}: create it with TableCatalog::create_table"
                );
                Error::new(ErrorKind::Catalog, attempted).with_source(error)
            }
            _ => failed(error),
        }
    }
}

impl Default for TableCatalog {
    fn default() -> Self {
        Self::new()
    }
}

impl Catalog for TableCatalog {
    fn resolve<'a>(&'a self, ask: Ask<'a>, id: &'a TenantId) -> Answer<'a, Option<TenantRecord>> {
        one(self.resolve_many(ask, std::slice::from_ref(id)))
    }

    fn resolve_many<'a>(&'a self, ask: Ask<'a>, ids: &'a [TenantId]) -> Answer<'a, Resolved> {
        Box::pin(async move {
            let mut sql = self.select(ask);
            sql.text(" where id operator(pg_catalog.=) any($1)").text(END);
            let ids: Vec<_> = ids.iter().map(TenantId::as_str).collect();
            let rows = sqlx::query(sql.finish()).bind(ids).fetch_all(ask.library).await;
            let mut resolved = Resolved::new();
            for row in rows.map_err(|error| self.failed(ask.shared_schema, error))? {
                let id = id(&row)?;
                let record = match resolved.contains_key(&id) {
                    false => record(&row),
                    true => {
                        let twice = "the table lists the tenant twice";
                        Err(Error::new(ErrorKind::Catalog, twice).with_tenant(&id))
                    }
                };
                resolved.insert(id, record);
            }
            Ok(resolved)
        })
    }

    fn names_roles(&self) -> bool {
        false
    }

    fn batch(&self) -> usize {
        BATCH
    }

    fn list<'a>(&'a self, ask: Ask<'a>) -> Answer<'a, Vec<TenantRecord>> {
        Box::pin(page::all(self, ask, None))
    }

    /// A page begins after an id.
    fn list_page<'a>(&'a self, ask: Ask<'a>, from: Option<&'a str>) -> Answer<'a, Page> {
        Box::pin(async move {
            let mut sql = self.select(ask);
            if from.is_some() {
                sql.text(" where id operator(pg_catalog.>) $2");
            }
            sql.text(" order by id limit $1").text(END);
            let query = sqlx::query(sql.finish()).bind(PAGE);
            let query = if let Some(from) = from { query.bind(from) } else { query };
            let rows = query.fetch_all(ask.library).await;
            let rows = rows.map_err(|error| self.failed(ask.shared_schema, error))?;
            let tenants: Vec<_> = rows.iter().map(record).collect::<Result<_, _>>()?;
            let next = page::next(&tenants, |last| last.id.to_string());
            Ok(Page { tenants, next })
        })
    }

    fn write<'a>(&'a self, write: Write<'a>, change: CatalogChange<'a>) -> Answer<'a, ()> {
        Box::pin(async move {
            if let CatalogChange::Created(TenantRecord { id, role: Some(role), .. }) = change {
                let what = format!(
                    "TableCatalog has no column for the role {role}: use a catalog that stores it"
                );
                return Err(Error::new(ErrorKind::Config, "creating the tenant")
                    .with_source(std::io::Error::other(what))
                    .with_tenant(id));
            }
            let (sql, tenant) = self.write_sql(write.shared_schema, change);
            // One string, with the values in it: nothing is prepared on a connection that serves many
            // tenants.
            let written = sqlx::raw_sql(sql).execute(&mut *write.conn).await;
            let rows = written.map_err(|error| {
                self.refusal(write.shared_schema, error, change).with_tenant(tenant)
            })?;
            if rows.rows_affected() == 0 && !matches!(change, CatalogChange::Dropped(_)) {
                let gone = Error::new(ErrorKind::UnknownTenant, "changing the list of tenants");
                return Err(gone.with_tenant(tenant));
            }
            Ok(())
        })
    }

    fn keeps_steps<'a>(&'a self, write: Write<'a>) -> Answer<'a, bool> {
        Box::pin(async move {
            let sql = has_step_sql(write.shared_schema, &self.table);
            let has = sqlx::raw_sql(sql).fetch_one(&mut *write.conn).await;
            has.and_then(|row| row.try_get(0)).map_err(failed)
        })
    }

    fn channel(&self) -> Option<&str> {
        Some(CHANNEL)
    }
}

/// Appends the container that is on record, or null when it follows the name template.
fn container(sql: &mut Sql, record: &TenantRecord) {
    match &record.container {
        Some(container) => sql.literal(container.as_str()),
        None => sql.text("null"),
    };
}

fn id(row: &PgRow) -> Result<TenantId, Error> {
    let id: String = row.try_get("id").map_err(Error::catalog)?;
    TenantId::parse(&id).map_err(Error::catalog)
}

fn record(row: &PgRow) -> Result<TenantRecord, Error> {
    let id = id(row)?;
    let container: Option<String> = row.try_get("container").map_err(Error::catalog)?;
    let container = container.as_deref().map(Ident::parse).transpose().map_err(Error::catalog)?;
    let state: String = row.try_get("state").map_err(Error::catalog)?;
    let state = match state.as_str() {
        "active" => TenantState::Active,
        "suspended" => TenantState::Suspended,
        other => {
            let attempted = format!("reading the state of a tenant: {other:?} is not known");
            return Err(Error::new(ErrorKind::Catalog, attempted).with_tenant(&id));
        }
    };
    let attributes: Value = row.try_get("attributes").map_err(Error::catalog)?;
    let created: Option<f64> = row.try_get("created").map_err(Error::catalog)?;
    let created_at = created
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .and_then(|since| SystemTime::UNIX_EPOCH.checked_add(since));
    let step: Option<&str> = row.try_get("step").map_err(Error::catalog)?;
    let step = step.filter(|step| step.starts_with(STEP)).map(Into::into);
    let record = TenantRecord::new(id).state(state).attributes(attributes);
    let record = TenantRecord { container, created_at, step, ..record };
    Ok(record.suspended_while_in_the_making())
}
