use super::{
    Answer, Ask, BATCH, Catalog, CatalogChange, Page, Resolved, Write, one,
    page::{self, PAGE},
    placing::Isolations,
};
use crate::{
    error::{Error, ErrorKind},
    glob::is_like,
    tenant::{Ident, Isolation, Schema, TenantId, TenantRecord},
};

/// A catalog that lists existing schemas: a tenant exists if its schema does.
///
/// No state is kept beside the schemas themselves. All tenants are active and have no attributes;
/// [`map_records`](crate::ManagerBuilder::map_records) adds roles and settings.
///
/// Every schema whose name matches the [template](crate::NameTemplate) counts, so use a prefix, as
/// in `tenant_{id}`. If tenants' schemas have none, exclude other schemas with
/// [`except`](Self::except).
///
/// # Examples
///
/// ```
/// use tenantry::{Isolation, SchemaDiscovery, TenantManager};
///
/// let manager = TenantManager::builder("postgres://app@localhost/saas")
///     .isolation(Isolation::schema("{id}"))
///     .catalog(SchemaDiscovery::new().except(["audit", "reporting_*"]));
/// ```
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct SchemaDiscovery {
    except: Vec<String>,
}

impl SchemaDiscovery {
    /// Treats every schema whose name matches the template as a tenant's.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Excludes these schemas, in addition to those excluded before. `*` matches any text and `?`
    /// one character.
    ///
    /// They are not listed, requests for them fail as [`UnknownTenant`](ErrorKind::UnknownTenant),
    /// and no tenant is created in them. The shared schema, the extension schemas and PostgreSQL's
    /// own are always excluded.
    #[must_use]
    pub fn except<N: Into<String>>(mut self, schemas: impl IntoIterator<Item = N>) -> Self {
        self.except.extend(schemas.into_iter().map(Into::into));
        self
    }

    fn leaves_out(&self, schema: &str) -> bool {
        self.except.iter().any(|pattern| is_like(schema, pattern))
    }

    /// Returns the schema of a tenant; `None` if it is excluded.
    fn schema_of(
        &self,
        record: &TenantRecord,
        isolations: &Isolations,
        shared_schema: &Ident,
    ) -> Option<Result<Ident, Error>> {
        let placement = isolations.place(record, shared_schema);
        let container = placement.map(|placement| placement.container().clone());
        let left_out = container.as_ref().is_ok_and(|schema| self.leaves_out(schema.as_str()));
        (!left_out).then_some(container)
    }
}

impl Catalog for SchemaDiscovery {
    /// The schema name identifies the tenant, so there is nothing to write; a suspension, and a key
    /// that is not the id, cannot be recorded.
    fn write<'a>(&'a self, _: Write<'a>, change: CatalogChange<'a>) -> Answer<'a, ()> {
        let written = match change {
            CatalogChange::Created(record) | CatalogChange::Renamed { to: record, .. }
                if record.key.as_deref().is_some_and(|key| key != record.id.as_str()) =>
            {
                let attempted = "the key of its rows is not its id, and a catalog that finds tenants by their schemas \
                                 cannot record it: use a TableCatalog";
                Err(Error::new(ErrorKind::Catalog, attempted).with_tenant(&record.id))
            }
            CatalogChange::Renamed { .. } => Ok(()),
            other => other.unwritten(),
        };
        Box::pin(std::future::ready(written))
    }

    fn check(&self, isolation: &Isolation) -> Result<(), Error> {
        isolation.of_schemas().map(drop).ok_or_else(finds_no_schemas)
    }

    fn finds_schemas(&self) -> bool {
        true
    }

    fn excludes(&self, schema: &Ident) -> bool {
        self.leaves_out(schema.as_str())
    }

    fn resolve<'a>(&'a self, ask: Ask<'a>, id: &'a TenantId) -> Answer<'a, Option<TenantRecord>> {
        one(self.resolve_many(ask, std::slice::from_ref(id)))
    }

    fn resolve_many<'a>(&'a self, ask: Ask<'a>, ids: &'a [TenantId]) -> Answer<'a, Resolved> {
        Box::pin(async move {
            let isolations = Isolations::new(ask.isolation.clone(), Vec::new());
            let records = ids.iter().cloned().map(TenantRecord::new);
            let placed = records.filter_map(|record| {
                Some((self.schema_of(&record, &isolations, ask.shared_schema)?, record))
            });
            let placed: Vec<_> = placed.collect();
            let containers = placed.iter().filter_map(|(container, _)| container.as_ref().ok());
            let seen = ask.library.schemas_named(containers).await.map_err(failed)?;
            let resolved = placed.into_iter().filter_map(|(container, record)| {
                let id = record.id.clone();
                match container {
                    Ok(container) => {
                        let schema = Some(Schema::There(*seen.get(container.as_str())?));
                        Some((id, Ok(TenantRecord { schema, is_placed: true, ..record })))
                    }
                    Err(error) => Some((id, Err(error))),
                }
            });
            Ok(resolved.collect())
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

    /// A page begins after a schema name.
    fn list_page<'a>(&'a self, ask: Ask<'a>, from: Option<&'a str>) -> Answer<'a, Page> {
        Box::pin(async move {
            let Some(template) = ask.isolation.of_schemas() else {
                return Err(finds_no_schemas());
            };
            if !template.can_be_read_backwards() {
                let attempted = "listing tenants: a naming closure cannot be inverted; give its inverse with \
                                 Isolation::schema_with_inverse";
                return Err(Error::new(ErrorKind::Catalog, attempted));
            }
            // A closure may put anything around an id.
            let (prefix, suffix) = template.around_id().unwrap_or_default();
            let schemas = sqlx::query_scalar(SCHEMAS).bind(prefix).bind(suffix);
            let schemas = schemas.bind(from.unwrap_or_default()).bind(PAGE);
            let schemas: Vec<String> = schemas.fetch_all(ask.library).await.map_err(failed)?;
            let next = page::next(&schemas, Clone::clone);
            let nobodys = |schema: &String| {
                ask.shared_schema.as_str() == schema
                    || self.leaves_out(schema)
                    || ask.extension_schemas.iter().any(|of| of.as_str() == schema)
            };
            let tenants = schemas.iter().filter(|schema| !nobodys(schema));
            let ids = tenants.filter_map(|schema| template.id_of(schema));
            let tenants = ids.map(|id| TenantRecord { is_placed: true, ..TenantRecord::new(id) });
            Ok(Page { tenants: tenants.collect(), next })
        })
    }
}

fn finds_no_schemas() -> Error {
    let attempted = "SchemaDiscovery lists schemas, and tenants have none: list the tenants in another catalog, such \
                     as a TableCatalog";
    Error::new(ErrorKind::Config, attempted)
}

/// A page of the schemas between a prefix and a suffix. With `offset 0` the names are read in the order of the index;
/// without it, each page reads and sorts all of them.
const SCHEMAS: &str = "select nspname::pg_catalog.text from ( \
                   select nspname from pg_catalog.pg_namespace \
                   where nspname operator(pg_catalog.>) $3::pg_catalog.text::pg_catalog.name \
                   order by nspname offset 0) as schemas \
                 where pg_catalog.starts_with(nspname::pg_catalog.text, $1) \
                 and pg_catalog.right(nspname::pg_catalog.text, pg_catalog.length($2)) \
                   operator(pg_catalog.=) $2 \
                 order by schemas.nspname limit $4";

/// Keeps the pool's own errors, and converts all others to catalog errors.
pub(super) fn failed(error: impl Into<Error>) -> Error {
    let error = error.into();
    if error.kind().is_of_statement() { Error::catalog(error) } else { error }
}
