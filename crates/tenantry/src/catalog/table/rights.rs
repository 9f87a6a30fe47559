//! Names the privilege that a role lacks to create the table of tenants.

use sqlx::Row;

use crate::{
    db::SharedDb,
    error::{Error, ErrorKind},
    tenant::Ident,
};

/// The current role, and whether it may look into a schema and create objects there.
const ASK: &str = "\
    select current_user::pg_catalog.text, \
      pg_catalog.has_schema_privilege(n.oid, 'usage') and pg_catalog.has_schema_privilege(n.oid, 'create') \
    from pg_catalog.pg_namespace n where n.nspname operator(pg_catalog.=) $1::pg_catalog.name";

/// Adds to an error which privilege the role lacks in the shared schema, if this can be determined.
pub(super) async fn name_missing_right(shared: &SharedDb, error: Error) -> Error {
    match why_denied(shared).await {
        Ok(Some(why)) => Error::new(ErrorKind::PermissionDenied, why).with_source(error),
        Ok(None) | Err(_) => error,
    }
}

async fn why_denied(shared: &SharedDb) -> Result<Option<String>, Error> {
    let mut tx = shared.begin_upkeep().await?;
    let asked = sqlx::query(ASK).bind(shared.schema().as_str()).persistent(false);
    let Some(row) = asked.fetch_optional(&mut *tx).await? else { return Ok(None) };
    let (role, may_create): (String, bool) = (row.try_get(0)?, row.try_get(1)?);
    let (role, schema) = (Ident::parse(&role).ok(), shared.schema().quoted());
    Ok(role.filter(|_| !may_create).map(|role| {
        let role = role.quoted();
        format!(
            "the role {role} may not create tables in the schema {schema}; have its owner run \
             `grant usage, create on schema {schema} to {role}`"
        )
    }))
}
