//! Reads schemas by their names.

use sqlx::PgConnection;
use tenantry::{
    Ident,
    schema::{self, Fingerprint, SchemaModel},
};

/// A schema and the role that is its own.
type Named<'a> = (&'a str, Option<&'a str>);

pub(crate) async fn details(conn: &mut PgConnection, schemas: &[Named<'_>]) -> Vec<SchemaModel> {
    let models = schema::introspect_all(conn, &idents(schemas)).await.expect("they can be read");
    models.into_iter().map(|model| model.expect("it is there")).collect()
}

pub(crate) async fn fingerprints(
    conn: &mut PgConnection,
    schemas: &[Named<'_>],
) -> Vec<Option<Fingerprint>> {
    schema::fingerprints(conn, &idents(schemas)).await.expect("they can be read")
}

fn idents(schemas: &[Named<'_>]) -> Vec<(Ident, Option<Ident>)> {
    let ident = |name| Ident::parse(name).expect("a name is an identifier");
    schemas.iter().map(|(schema, role)| (ident(schema), role.map(ident))).collect()
}
