use super::{Answer, Ask, Catalog, CatalogChange, Write};
use crate::{
    error::{Error, ErrorKind},
    tenant::{Schema, TenantId, TenantRecord},
};

/// A catalog that looks at which schemas exist: a tenant is there when its schema is.
///
/// Nothing has to be kept beside the schemas themselves. Tenants found in this way are active and
/// have no attributes.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct SchemaDiscovery {}

impl Catalog for SchemaDiscovery {
    /// A tenant is what its schema is called, so there is nothing to write; there is no place to note
    /// that one is suspended.
    fn write<'a>(&'a self, _: Write<'a>, change: CatalogChange<'a>) -> Answer<'a, ()> {
        let written = match change {
            CatalogChange::Renamed { .. } => Ok(()),
            other => other.unwritten(),
        };
        Box::pin(std::future::ready(written))
    }

    fn resolve<'a>(&'a self, ask: Ask<'a>, id: &'a TenantId) -> Answer<'a, Option<TenantRecord>> {
        Box::pin(async move {
            let record = TenantRecord::new(id.clone());
            let schema = super::fixed::container_of(&record, ask.isolation)?;
            let schema = ask.library.schema_named(&schema).await.map_err(failed)?;
            let there = schema != Schema::Missing;
            Ok(there.then_some(TenantRecord { schema: Some(schema), ..record }))
        })
    }

    fn list<'a>(&'a self, ask: Ask<'a>) -> Answer<'a, Vec<TenantRecord>> {
        Box::pin(async move {
            let template = ask.isolation.template();
            let Some((prefix, suffix)) = template.around_id() else {
                let attempted = "listing tenants: a naming closure cannot be read backwards";
                return Err(Error::new(ErrorKind::Catalog, attempted));
            };
            let schemas: Vec<String> = sqlx::query_scalar(
                "select nspname::pg_catalog.text from pg_catalog.pg_namespace \
                 where pg_catalog.starts_with(nspname::pg_catalog.text, $1) \
                 and pg_catalog.right(nspname::pg_catalog.text, pg_catalog.length($2)) \
                   operator(pg_catalog.=) $2 \
                 order by 1",
            )
            .bind(prefix)
            .bind(suffix)
            .fetch_all(ask.library)
            .await
            .map_err(failed)?;
            let ids = schemas.iter().filter_map(|schema| template.id_of(schema));
            Ok(ids.map(TenantRecord::new).collect())
        })
    }
}

/// Keeps what the pool says about itself, and calls everything else a failure of the catalog.
pub(super) fn failed(error: impl Into<Error>) -> Error {
    let error = error.into();
    if error.kind().is_of_statement() { Error::catalog(error) } else { error }
}
