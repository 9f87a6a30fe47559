//! What the tests look at schemas through.

#![allow(clippy::missing_panics_doc, reason = "only tests come here")]

use sqlx::PgConnection;

use super::{
    SchemaModel,
    read::{self, Subject},
};
use crate::tenant::Ident;

fn subject((schema, role): (&str, Option<&str>)) -> Subject {
    let ident = |name| Ident::parse(name).expect("a name is an identifier");
    Subject { schema: ident(schema), role: role.map(ident) }
}

/// Reads schemas.
pub async fn details(
    conn: &mut PgConnection,
    schemas: &[(&str, Option<&str>)],
) -> Vec<SchemaModel> {
    let subjects: Vec<Subject> = schemas.iter().map(|schema| subject(*schema)).collect();
    let subjects: Vec<&Subject> = subjects.iter().collect();
    let models = read::details(conn, &subjects).await.expect("they can be read");
    models.into_iter().map(|model| model.expect("it is there")).collect()
}

/// Computes fingerprints.
pub async fn fingerprints(
    conn: &mut PgConnection,
    schemas: &[(&str, Option<&str>)],
) -> Vec<impl PartialEq + std::fmt::Debug + use<>> {
    let subjects: Vec<Subject> = schemas.iter().map(|schema| subject(*schema)).collect();
    let subjects: Vec<&Subject> = subjects.iter().collect();
    let fingerprints: Vec<Option<read::Fingerprint>> =
        read::fingerprints(conn, &subjects).await.expect("they can be read");
    fingerprints
}
