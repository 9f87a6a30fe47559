//! Look-ups in a table, view or query.

use std::sync::Arc;

use sqlx::{Row, postgres::PgRow};

use super::{
    CHANNEL, TableCatalog,
    columns::Field,
    install::has_step_sql,
    own::END,
    query,
    reading::{Reading, describe},
    record::{id, record},
    shape::{Shape, missing},
};
use crate::{
    catalog::{
        Answer, Ask, BATCH, Catalog, CatalogChange, Page, Resolved, Write,
        discovery::failed,
        one,
        page::{self, PAGE},
    },
    db::SharedDb,
    error::{Error, ErrorKind},
    tenant::{Ident, Isolation, TenantId, TenantRecord},
};

impl TableCatalog {
    /// Returns the connections for reading. Names in a query resolve as in the application's own
    /// statements.
    fn db<'a>(&self, ask: Ask<'a>) -> &'a SharedDb {
        match self.query {
            Some(_) => ask.shared,
            None => ask.library,
        }
    }

    /// Reads rows of a table with custom column names, or of a query.
    ///
    /// A table may be altered at any time: if a statement no longer matches, the columns are looked
    /// up again.
    async fn read(&self, ask: Ask<'_>, rows: Rows<'_>) -> Result<Vec<PgRow>, Error> {
        let mut remembered = self.remembered.get();
        loop {
            let is_new = remembered.is_none();
            let reading = match remembered.take() {
                Some(reading) => reading,
                None => self.look(ask).await?,
            };
            match rows.fetch(self.db(ask), &reading).await {
                Err(error) if !is_new && is_of_shape(&error) => self.remembered.set(None),
                read => return read.map_err(|error| self.failed(ask.shared_schema, error)),
            }
        }
    }

    /// Looks up the columns and builds the statements.
    async fn look(&self, ask: Ask<'_>) -> Result<Arc<Reading>, Error> {
        let source = self.source(ask.shared_schema);
        let columns = describe(self.db(ask), source).await;
        let columns = columns.map_err(|error| self.failed(ask.shared_schema, error))?;
        let shape = Shape::find(&source.in_words(), self.columns.as_ref(), &columns)
            .map_err(|sentence| Error::new(ErrorKind::Catalog, sentence))?;
        let reading = Arc::new(Reading::new(source, &shape));
        self.remembered.set(Some(Arc::clone(&reading)));
        Ok(reading)
    }

    /// Reads rows of the library's own table.
    async fn read_own(&self, ask: Ask<'_>, rows: Rows<'_>) -> Result<Vec<PgRow>, Error> {
        let mut sql = self.select(ask.shared_schema);
        let query = match rows {
            Rows::Of(ids) => {
                sql.text(" where id operator(pg_catalog.=) any($1)").text(END);
                let ids: Vec<_> = ids.iter().map(TenantId::as_str).collect();
                sqlx::query(sql.finish()).bind(ids)
            }
            Rows::After(None) => {
                sql.text(" order by id limit $1").text(END);
                sqlx::query(sql.finish()).bind(PAGE)
            }
            Rows::After(Some(from)) => {
                sql.text(" where id operator(pg_catalog.>) $2 order by id limit $1").text(END);
                sqlx::query(sql.finish()).bind(PAGE).bind(from)
            }
        };
        let is_text = |row: &PgRow| row.try_get::<Option<&str>, _>("id").is_ok();
        match query.fetch_all(ask.library).await {
            Ok(rows) if rows.first().is_none_or(is_text) => Ok(rows),
            Ok(rows) => match self.of_another_shape(ask).await {
                Some(error) => Err(error),
                None => Ok(rows),
            },
            Err(error) if is_of_shape(&error) => {
                Err(self.of_another_shape(ask).await.unwrap_or_else(|| failed(error)))
            }
            Err(error) => Err(self.failed(ask.shared_schema, error)),
        }
    }

    /// Describes how a table differs from one created by the library. `None` if that is not the
    /// reason.
    async fn of_another_shape(&self, ask: Ask<'_>) -> Option<Error> {
        let source = self.source(ask.shared_schema);
        let columns = describe(ask.library, source).await.ok()?;
        let is_there = |field: &Field| columns.iter().any(|column| column.name == field.name());
        let needed =
            [Field::Id, Field::Container, Field::State, Field::CreatedAt, Field::Attributes];
        let lacking = needed.into_iter().find(|field| !is_there(field));
        let of = source.in_words();
        let sentence = match lacking {
            Some(Field::Id) => missing(&of, Field::Id, Field::Id.name(), &columns),
            Some(field) => format!(
                "{of} has no column {:?} for {}, so TableCatalog::create_table did not create it: name its \
                 columns with TableCatalog::columns, which only reads it",
                field.name(),
                field.purpose()
            ),
            None => format!(
                "the columns of {of} have different types than those that TableCatalog::create_table creates: name \
                 them with TableCatalog::columns, which only reads them"
            ),
        };
        Some(Error::new(ErrorKind::Catalog, sentence))
    }

    async fn rows(&self, ask: Ask<'_>, rows: Rows<'_>) -> Result<Vec<PgRow>, Error> {
        match self.is_ours() {
            true => self.read_own(ask, rows).await,
            false => self.read(ask, rows).await,
        }
    }
}

/// Selection of rows.
#[derive(Debug, Clone, Copy)]
enum Rows<'a> {
    Of(&'a [TenantId]),
    After(Option<&'a str>),
}

impl Rows<'_> {
    async fn fetch(self, db: &SharedDb, reading: &Reading) -> sqlx::Result<Vec<PgRow>> {
        let query = match self {
            Self::Of(ids) => match reading.askable(ids) {
                ids if ids.is_empty() => return Ok(Vec::new()),
                ids => sqlx::query(reading.find.clone()).bind(ids),
            },
            Self::After(None) => sqlx::query(reading.first.clone()).bind(PAGE),
            Self::After(Some(from)) => sqlx::query(reading.next.clone()).bind(PAGE).bind(from),
        };
        query.fetch_all(db).await
    }
}

/// Returns `true` if a statement was refused because columns or their types have changed.
fn is_of_shape(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    matches!(
        code.as_deref(),
        Some("42703" | "42702" | "42883" | "42804" | "42846" | "42725" | "0A000" | "22P02")
    )
}

/// Returns the error of a tenant with two rows.
fn twice(id: &TenantId) -> Error {
    let attempted = "the catalog lists the tenant twice: leave one row for each";
    Error::new(ErrorKind::Catalog, attempted).with_tenant(id)
}

impl Catalog for TableCatalog {
    fn table_in_shared_schema(&self) -> Option<&Ident> {
        self.query.is_none().then_some(&self.table)
    }

    fn lists_new(&self) -> bool {
        self.is_ours()
    }

    fn check(&self, _: &Isolation) -> Result<(), Error> {
        let wrong = |what: String| Err(Error::new(ErrorKind::Config, what));
        if let Some(Err(error)) = self.query.as_deref().map(query::check) {
            return wrong(format!("the catalog's query cannot be used: {error}"));
        }
        let channel = self.channel.as_deref().map(Ident::parse);
        if let Some(Err(error)) = channel {
            return wrong(format!("the channel of the catalog is not a valid name: {error}"));
        }
        Ok(())
    }

    fn resolve<'a>(&'a self, ask: Ask<'a>, id: &'a TenantId) -> Answer<'a, Option<TenantRecord>> {
        one(self.resolve_many(ask, std::slice::from_ref(id)))
    }

    fn resolve_many<'a>(&'a self, ask: Ask<'a>, ids: &'a [TenantId]) -> Answer<'a, Resolved> {
        Box::pin(async move {
            let mut resolved = Resolved::new();
            for row in self.rows(ask, Rows::Of(ids)).await? {
                let id = id(&row)?;
                let record = match resolved.contains_key(&id) {
                    false => record(&row),
                    true => Err(twice(&id)),
                };
                resolved.insert(id, record);
            }
            Ok(resolved)
        })
    }

    fn names_roles(&self) -> bool {
        match &self.columns {
            Some(columns) => columns.of(Field::Role).is_some(),
            None => self.query.is_some(),
        }
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
            let rows = self.rows(ask, Rows::After(from)).await?;
            let tenants: Vec<_> = rows.iter().map(record).collect::<Result<_, _>>()?;
            if let Some(pair) = tenants.windows(2).find(|pair| pair[0].id == pair[1].id) {
                return Err(twice(&pair[0].id));
            }
            let next = page::next(&tenants, |last| last.id.to_string());
            Ok(Page { tenants, next })
        })
    }

    fn write<'a>(&'a self, write: Write<'a>, change: CatalogChange<'a>) -> Answer<'a, ()> {
        if !self.is_ours() {
            return Box::pin(std::future::ready(change.unwritten()));
        }
        Box::pin(async move {
            if let CatalogChange::Created(TenantRecord { id, role: Some(role), .. }) = change {
                let what = format!(
                    "TableCatalog has no column for the role {role}: use a catalog that stores it, or \
                     ManagerBuilder::map_records"
                );
                return Err(Error::new(ErrorKind::Config, "creating the tenant")
                    .with_source(std::io::Error::other(what))
                    .with_tenant(id));
            }
            let (sql, tenant) = self.write_sql(write.shared_schema, change);
            // One string with the values inlined: nothing is prepared on a connection that serves
            // many tenants.
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
        if !self.is_ours() {
            return Box::pin(std::future::ready(Ok(false)));
        }
        Box::pin(async move {
            let sql = has_step_sql(write.shared_schema, &self.table);
            let has = sqlx::raw_sql(sql).fetch_one(&mut *write.conn).await;
            has.and_then(|row| row.try_get(0)).map_err(failed)
        })
    }

    fn channel(&self) -> Option<&str> {
        match &self.channel {
            Some(channel) => Some(channel),
            None => self.is_ours().then_some(CHANNEL),
        }
    }
}
