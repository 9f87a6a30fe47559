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

/// Reads everything in a schema.
///
/// If the schema is changed meanwhile, the result can mix old and new: the server prints definitions as of the
/// current moment. [`Drift::introspect`](crate::drift::Drift::introspect) retries until nothing changes.
///
/// The connection's role needs only usage on the schema. `role` is the tenant's own role: the model shows it as
/// `{role}`, so that two tenants with roles compare equal.
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
/// [`Placement`](ErrorKind::Placement) if the schema does not exist,
/// [`PermissionDenied`](ErrorKind::PermissionDenied) if the connection's role lacks usage on it, and errors of the
/// queries.
///
/// # Cancel safety
///
/// Safe. The search path of the connection is unchanged.
pub async fn introspect(
    conn: &mut PgConnection,
    schema: &Ident,
    role: Option<&Ident>,
) -> Result<SchemaModel, Error> {
    let subject = (schema.clone(), role.cloned());
    let model = introspect_all(conn, std::slice::from_ref(&subject)).await?.pop();
    model.unwrap_or_else(|| Err(unreadable(&subject_of(&subject), Unreadable::Missing)))
}

/// Reads several schemas at once, in this order, each optionally with the tenant's own role.
///
/// This is faster than [`introspect`] for each of them. Pass a few hundred schemas per call at most.
///
/// # Errors
///
/// Errors of the queries. A schema that cannot be read has a separate error, as with [`introspect`].
///
/// # Cancel safety
///
/// Safe. The search path of the connection is unchanged.
pub async fn introspect_all(
    conn: &mut PgConnection,
    schemas: &[(Ident, Option<Ident>)],
) -> Result<Vec<Result<SchemaModel, Error>>, Error> {
    let subjects: Vec<_> = schemas.iter().map(subject_of).collect();
    // The settings for reading are reverted with the transaction or the savepoint.
    let mut transaction = conn.begin().await?;
    let models = read::details(&mut transaction, &subjects.iter().collect::<Vec<_>>()).await?;
    transaction.rollback().await?;
    let model = |(model, subject): (Result<_, Unreadable>, &Subject)| {
        model.map_err(|reason| unreadable(subject, reason))
    };
    Ok(models.into_iter().zip(&subjects).map(model).collect())
}

/// Computes the fingerprints of schemas on the server, with one statement for all of them.
///
/// A schema that does not exist, or on which the connection's role lacks usage, has no fingerprint. Each schema can
/// be given with the tenant's own role. Pass a few hundred schemas per call at most.
///
/// # Errors
///
/// Errors of the query.
///
/// # Cancel safety
///
/// Safe. The search path of the connection is unchanged.
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

/// Finds every reference from one tenant's schema into another's. Each of its three statements uses one snapshot.
///
/// `schemas` are the tenants' schemas: references between them are found. `shared` is the schema that all tenants
/// share: tenants can refer to it, and its references to tenants are found. A schema that does not exist has no
/// references.
///
/// The search covers foreign keys, queries of views, defaults, types, functions, and every other dependency that the
/// server records; also names in function bodies, strings and search paths, if an object of that name exists. Names
/// that a function assembles at run time cannot be found. Each pair of objects is listed once, in the order of
/// schemas and objects.
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
/// Errors of the queries.
///
/// # Cancel safety
///
/// Safe. The search path of the connection is unchanged.
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
