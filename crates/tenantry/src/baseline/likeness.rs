//! Comparison of a schema with the versions of the migrations.

use crate::schema::{
    Attribute, Difference, ObjectKey, ObjectKind, SchemaModel, compare, without_consequences,
};

/// A schema, compared with the result of each version.
#[derive(Debug)]
pub(super) struct Likeness {
    model: SchemaModel,
    /// The versions that produce it; `None` is the empty schema.
    pub(super) exact: Vec<Option<i64>>,
    /// The closest of the other versions.
    pub(super) nearest: Option<Nearest>,
}

/// A version that produces a different schema.
#[derive(Debug)]
pub(super) struct Nearest {
    pub(super) version: Option<i64>,
    /// Differences in both directions between the schema and the version's result.
    pub(super) differences: Vec<Difference>,
}

impl Likeness {
    pub(super) fn new(model: SchemaModel) -> Self {
        Self { model: without_records(model), exact: Vec::new(), nearest: None }
    }

    /// Compares it with the result of a version.
    pub(super) fn compare_with(&mut self, version: Option<i64>, made: &SchemaModel) {
        let differences = differences(made, &self.model);
        if differences.is_empty() {
            self.exact.push(version);
            return;
        }
        let known = self.nearest.as_ref().map_or(usize::MAX, |nearest| nearest.differences.len());
        // Of two equally close versions, the later one has applied more of the files.
        if differences.len() <= known {
            self.nearest = Some(Nearest { version, differences });
        }
    }
}

/// Removes the table of records, and everything that belongs to it.
pub(super) fn without_records(mut model: SchemaModel) -> SchemaModel {
    const TABLE: &str = "_sqlx_migrations";
    model.objects.retain(|key, object| {
        let of = key.of.as_deref() == Some(TABLE);
        key.name != TABLE && !of && object.text(Attribute::Table) != Some(TABLE)
    });
    model
}

/// Finds the differences that distinguish versions: not the owner or privileges of a schema, nor
/// the order of columns.
pub(super) fn differences(made: &SchemaModel, found: &SchemaModel) -> Vec<Difference> {
    let mut all = compare(made, found);
    all.retain(|difference| is_of_files(&difference.object, difference.change.attribute()));
    without_consequences(&all, made, found)
}

/// Returns `true` if migration files create an object, or one of its attributes.
pub(super) fn is_of_files(object: &ObjectKey, attribute: Option<Attribute>) -> bool {
    let is_around = matches!(
        object.kind,
        ObjectKind::Schema | ObjectKind::DefaultPrivileges | ObjectKind::SecurityLabel
    );
    let is_of_roles =
        matches!(attribute, Some(Attribute::Owner | Attribute::Grants | Attribute::ColumnOrder));
    !is_around && !is_of_roles
}
