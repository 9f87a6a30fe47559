//! Reads schemas over any connection.

use sqlx::{Connection, PgConnection};

use super::{
    CrossReference, Fingerprint, SchemaModel,
    read::{self, Subject, Unreadable},
};
use crate::{
    error::{Error, ErrorKind},
    tenant::Ident,
};

/// Reads everything that a schema holds.
///
/// A schema that is changed meanwhile may come out half old and half new: the server prints definitions as they are
/// at the moment. [`Drift::introspect`](crate::drift::Drift::introspect) reads again until nothing has changed.
///
/// The role of the connection needs the right to use the schema, and nothing else. `role` is the role that is the
/// tenant's own: in the model it is `{role}`, so that two tenants with roles are alike.
///
/// # Examples
///
/// ```no_run
/// # async fn example(conn: &mut sqlx::PgConnection) -> Result<(), Box<dyn std::error::Error>> {
/// use tenantry::schema::{compare, introspect};
///
/// let expected = introspect(conn, &"tenant_acme".parse()?, None).await?;
/// let actual = introspect(conn, &"tenant_beta".parse()?, None).await?;
/// for difference in compare(&expected, &actual) {
///     println!("{difference}");
/// }
/// # Ok(()) }
/// ```
///
/// # Errors
///
/// [`Placement`](ErrorKind::Placement) when there is no such schema,
/// [`PermissionDenied`](ErrorKind::PermissionDenied) when the role of the connection may not use it, and what stands in the
/// way of asking.
///
/// # Cancel safety
///
/// Safe. The search path of the connection stays what it was.
pub async fn introspect(
    conn: &mut PgConnection,
    schema: &Ident,
    role: Option<&Ident>,
) -> Result<SchemaModel, Error> {
    let subject = (schema.clone(), role.cloned());
    let model = introspect_all(conn, std::slice::from_ref(&subject)).await?.pop();
    model.unwrap_or_else(|| Err(unreadable(&subject_of(&subject), Unreadable::Missing)))
}

/// Reads several schemas at once, in this order; each may come with the role that is the tenant's own.
///
/// This is quicker than [`introspect`] for each of them. Name a few hundred schemas at once at most.
///
/// # Errors
///
/// What stands in the way of asking. A schema that cannot be read has an error of its own, as with [`introspect`].
///
/// # Cancel safety
///
/// Safe. The search path of the connection stays what it was.
pub async fn introspect_all(
    conn: &mut PgConnection,
    schemas: &[(Ident, Option<Ident>)],
) -> Result<Vec<Result<SchemaModel, Error>>, Error> {
    let subjects: Vec<_> = schemas.iter().map(subject_of).collect();
    // What is set for reading is taken back with the transaction, or the savepoint.
    let mut transaction = conn.begin().await?;
    let models = read::details(&mut transaction, &subjects.iter().collect::<Vec<_>>()).await?;
    transaction.rollback().await?;
    let model = |(model, subject): (Result<_, Unreadable>, &Subject)| {
        model.map_err(|reason| unreadable(subject, reason))
    };
    Ok(models.into_iter().zip(&subjects).map(model).collect())
}

/// Computes the fingerprints of schemas in the server, in one statement for all of them.
///
/// There is none for a schema that is not there, or that the role of the connection may not use.
/// Each schema may come with the role that is the tenant's own. Name a few hundred schemas at once at most.
///
/// # Errors
///
/// What stands in the way of asking.
///
/// # Cancel safety
///
/// Safe. The search path of the connection stays what it was.
pub async fn fingerprints(
    conn: &mut PgConnection,
    schemas: &[(Ident, Option<Ident>)],
) -> Result<Vec<Option<Fingerprint>>, Error> {
    let subjects: Vec<_> = schemas.iter().map(subject_of).collect();
    let mut transaction = conn.begin().await?;
    let found = read::fingerprints(&mut transaction, &subjects.iter().collect::<Vec<_>>()).await?;
    transaction.rollback().await?;
    Ok(found)
}

fn subject_of((schema, role): &(Ident, Option<Ident>)) -> Subject {
    Subject { schema: schema.clone(), role: role.clone() }
}

/// Finds every reference from one tenant's schema into another's, in one snapshot for each of three statements.
///
/// `schemas` are those of the tenants: references from one to another of them are found. `shared` is the schema
/// that all tenants share: tenants may refer to it, and what it refers to of a tenant is found. A schema that is
/// not there has no references.
///
/// Found are foreign keys, queries of views, defaults, types, functions, and whatever else the server records as a
/// dependency; and names in the bodies of functions, in strings and in search paths, where these are names of
/// objects that exist. A name that is put together when a function runs cannot be found. A reference is listed once
/// for each pair of objects, in the order of schemas and objects.
///
/// # Examples
///
/// ```no_run
/// # async fn example(conn: &mut sqlx::PgConnection) -> Result<(), Box<dyn std::error::Error>> {
/// let schemas = ["tenant_acme".parse()?, "tenant_beta".parse()?];
/// for reference in tenantry::schema::cross_references(conn, &schemas, Some(&"shared".parse()?)).await? {
///     // view report of tenant_acme reads tenant_beta.orders
///     println!("{reference}");
/// }
/// # Ok(()) }
/// ```
///
/// # Errors
///
/// What stands in the way of asking.
///
/// # Cancel safety
///
/// Safe. The search path of the connection stays what it was.
pub async fn cross_references(
    conn: &mut PgConnection,
    schemas: &[Ident],
    shared: Option<&Ident>,
) -> Result<Vec<CrossReference>, Error> {
    let mut transaction = conn.begin().await?;
    let found = read::references(&mut transaction, schemas, shared).await?;
    transaction.rollback().await?;
    Ok(found)
}

pub(crate) fn unreadable(subject: &Subject, reason: Unreadable) -> Error {
    let Subject { schema, .. } = subject;
    match reason {
        Unreadable::Missing => Error::new(
            ErrorKind::Placement,
            format!("reading the schema {schema}: it is not there"),
        ),
        Unreadable::NoUsage => Error::new(
            ErrorKind::PermissionDenied,
            format!(
                "reading the schema {schema}: the role of the connection may not use it; grant it usage"
            ),
        ),
    }
}
