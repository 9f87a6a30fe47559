//! Compares a copy with its source.

use std::collections::BTreeSet;

use sqlx::PgConnection;

use super::error::{failed, refused};
use crate::{
    error::{Error, ErrorKind},
    schema::{
        Attribute, Change, CrossReference, Difference, Fingerprint, Hazard, ObjectKey, ObjectKind,
        ReferenceKind, SchemaModel, Step, compare, fill, object_ddl,
        read::{self, ReferenceSearch, Subject},
        repair, unreadable,
    },
    sql::{Sql, printed_by_server},
    tenant::Ident,
};

/// The maximum number of differences named in an error.
const NAMED: usize = 5;

/// The result of comparing a copy with its source.
#[derive(Debug, Default)]
pub(super) struct Compared {
    /// The copy had to be repaired.
    pub(super) is_mended: bool,
    /// Expressions that the server prints differently after reading them again.
    pub(super) reworded: Vec<Difference>,
}

/// Verifies that a copy equals its source, and repairs it if necessary: privileges that were added by default
/// privileges of the copying role are revoked, and texts are adjusted to the name of a renamed copy.
///
/// # Errors
///
/// [`Clone`](ErrorKind::Clone) if they still differ.
pub(super) async fn make_alike(
    conn: &mut PgConnection,
    source: &SchemaModel,
    copy: &Subject,
    is_renamed: bool,
) -> Result<Compared, Error> {
    let first = compare(source, &read(conn, copy).await?);
    if first.iter().all(is_expression) && !is_renamed {
        return Ok(Compared { is_mended: false, reworded: first });
    }
    replace_routines(conn, source, copy, &first).await?;
    let actual = read(conn, copy).await?;
    let differences = compare(source, &actual);
    // An expression that is only worded differently is unchanged, unless it contains the copy's previous name.
    let expected = match is_renamed {
        true => source.clone(),
        false => reworded(source, &actual, &differences),
    };
    // Copied rows are never dropped again.
    let is_harmless = |step: &&Step| !step.hazards.contains(&Hazard::LosesData);
    for step in repair(&expected, &actual).steps.iter().take_while(is_harmless) {
        run(conn, copy, &step.object, &step.sql).await?;
    }
    let (reworded, differences): (Vec<_>, Vec<_>) =
        compare(source, &read(conn, copy).await?).into_iter().partition(is_expression);
    match differences.is_empty() {
        true => Ok(Compared { is_mended: true, reworded }),
        false => Err(refused(format!("the copy differs from its source: {}", told(&differences)))),
    }
}

/// Replaces routines with the texts of the source. Their signatures stay the same: nothing that uses them has to be
/// recreated.
async fn replace_routines(
    conn: &mut PgConnection,
    source: &SchemaModel,
    copy: &Subject,
    differences: &[Difference],
) -> Result<(), Error> {
    let routines = differences.iter().filter(|found| is_text_of_routine(found));
    for object in routines.map(|found| &found.object).collect::<BTreeSet<_>>() {
        let definition = object_ddl(source, object).into_iter().next().unwrap_or_default();
        let definition = definition.strip_prefix("create ").unwrap_or(&definition);
        let role = copy.role.as_ref().map(Ident::as_str);
        let definition = fill(definition, copy.schema.as_str(), role);
        run(conn, copy, object, &format!("create or replace {definition}")).await?;
    }
    Ok(())
}

/// Returns the model of the source with the expressions as the copy has them.
fn reworded(source: &SchemaModel, copy: &SchemaModel, differences: &[Difference]) -> SchemaModel {
    let mut expected = source.clone();
    for found in differences.iter().filter(|found| is_expression(found)) {
        if let Change::Changed { attribute, .. } = &found.change
            && let Some(object) = expected.objects.get_mut(&found.object)
            && let Some(value) = copy.get(&found.object).and_then(|object| object.get(*attribute))
        {
            object.set(*attribute, value.clone());
        }
    }
    expected
}

/// Returns `true` if both sides have an expression that the server has printed. The copy was created from the
/// source's: if the text differs, reading and printing it has changed its wording.
fn is_expression(difference: &Difference) -> bool {
    use Attribute::{
        Body, Check, Default, Definition, GeneratedStored, GeneratedVirtual, PartitionBound, Using,
    };
    match &difference.change {
        Change::Changed { attribute, expected: Some(_), actual: Some(_) } => {
            let is_routine =
                matches!(difference.object.kind, ObjectKind::Function | ObjectKind::Procedure);
            match attribute {
                Definition | Default | GeneratedStored | GeneratedVirtual | PartitionBound
                | Using | Check => true,
                // The server only prints a body in the SQL standard's form.
                Body => !is_routine,
                _ => false,
            }
        }
        _ => false,
    }
}

/// Runs a statement that makes an object of the copy equal to the source's.
async fn run(
    conn: &mut PgConnection,
    copy: &Subject,
    object: &ObjectKey,
    statement: &str,
) -> Result<(), Error> {
    let statement = printed_by_server(statement.to_owned());
    let mut sql = Sql::new("set local check_function_bodies to off; set local search_path to ");
    sql.ident(&copy.schema).text("; ").vouched(&statement, 0..statement.as_str().len());
    let run = sqlx::raw_sql(sql.finish()).execute(conn).await;
    let attempted = || format!("making {object} of the copy equal to the source's");
    run.map(drop).map_err(|error| failed(attempted(), error))
}

/// Returns `true` if a difference concerns the text of a routine, or its settings, which can contain the schema's own
/// name.
fn is_text_of_routine(difference: &Difference) -> bool {
    let Change::Changed { attribute, .. } = &difference.change else { return false };
    matches!(difference.object.kind, ObjectKind::Function | ObjectKind::Procedure)
        && matches!(attribute, Attribute::Body | Attribute::Settings)
}

/// Returns the differences between a source and a copy of it on a server of another version, which describes some
/// objects in different words.
pub(super) fn differences(
    source: &SchemaModel,
    copy: &SchemaModel,
) -> impl Iterator<Item = Difference> {
    compare(source, copy).into_iter()
}

/// Returns `true` if a schema and its copy have the same fingerprint.
///
/// # Errors
///
/// [`Busy`](ErrorKind::Busy) if they are not equal because the source has changed since it was read.
pub(super) async fn are_alike(
    conn: &mut PgConnection,
    source: &Subject,
    model: &SchemaModel,
    copy: &Subject,
) -> Result<bool, Error> {
    let found = fingerprints(conn, &[source, copy]).await?;
    let is_alike = matches!(&found[..], [Some(source), Some(copy)] if source == copy);
    if !is_alike {
        is_unchanged(conn, source, model).await?;
    }
    Ok(is_alike)
}

/// Verifies that the source is unchanged since it was read.
///
/// # Errors
///
/// [`Busy`](ErrorKind::Busy) if it was changed meanwhile.
pub(super) async fn is_unchanged(
    conn: &mut PgConnection,
    source: &Subject,
    model: &SchemaModel,
) -> Result<(), Error> {
    match compare(model, &read(conn, source).await?).is_empty() {
        true => Ok(()),
        false => {
            let schema = &source.schema;
            let attempted =
                format!("the schema {schema} was changed while it was copied; try again");
            Err(Error::new(ErrorKind::Busy, attempted))
        }
    }
}

async fn fingerprints(
    conn: &mut PgConnection,
    subjects: &[&Subject],
) -> Result<Vec<Option<Fingerprint>>, Error> {
    let found = read::fingerprints(conn, subjects).await;
    found.map_err(|error| failed("comparing the copy with its source".into(), error))
}

/// Reads a schema on a connection in the middle of a copy.
pub(crate) async fn read(conn: &mut PgConnection, copy: &Subject) -> Result<SchemaModel, Error> {
    let models = read::details(conn, &[copy]).await;
    let models = models.map_err(|error| failed("reading the copy".into(), error))?;
    match models.into_iter().next() {
        Some(model) => model.map_err(|reason| unreadable(copy, reason)),
        None => Err(refused("the copy cannot be read")),
    }
}

/// References from a copy to its source.
#[derive(Debug)]
pub(super) struct References {
    /// Dependencies that the server records.
    pub(super) hard: Vec<CrossReference>,
    /// Names in texts.
    pub(super) texts: Vec<CrossReference>,
}

/// Finds references from a copy to its source.
pub(super) async fn references(
    conn: &mut PgConnection,
    from: &Ident,
    to: &Ident,
    is_alike: bool,
) -> Result<References, Error> {
    let schemas = [from.clone(), to.clone()];
    let mut search = ReferenceSearch::new(&schemas, None);
    // A reference to the source would be printed with its schema in the copy, and without it in the source, so the
    // two would not be equal.
    if !is_alike {
        search.dependencies(conn).await?;
    }
    // Only the texts of the copy.
    let mentioned = search.texts(conn, 1..2).await?;
    if !mentioned.is_empty() {
        search.resolve(conn, &mentioned).await?;
    }
    let of_copy = |found: &CrossReference| found.from_schema == to.as_str();
    let (texts, hard) = search.finish().into_iter().filter(of_copy).partition(|found| {
        use ReferenceKind::{FunctionBody, Literal, SearchPath};
        matches!(found.via, FunctionBody | Literal | SearchPath)
    });
    Ok(References { hard, texts })
}

fn told(differences: &[Difference]) -> String {
    let mut told: Vec<_> = differences.iter().take(NAMED).map(ToString::to_string).collect();
    if differences.len() > NAMED {
        told.push(format!("{} more", differences.len() - NAMED));
    }
    told.join("; ")
}
