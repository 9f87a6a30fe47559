//! Which versions of the migrations make a schema.

use crate::schema::{
    Attribute, Difference, ObjectKey, ObjectKind, SchemaModel, compare, without_consequences,
};

/// A schema, compared with what each version makes.
#[derive(Debug)]
pub(super) struct Likeness {
    model: SchemaModel,
    /// The versions that make it; none is the empty schema.
    pub(super) exact: Vec<Option<i64>>,
    /// What is closest of the others.
    pub(super) nearest: Option<Nearest>,
}

/// A version that makes something else.
#[derive(Debug)]
pub(super) struct Nearest {
    pub(super) version: Option<i64>,
    /// What the schema has that the version does not make, and the other way round.
    pub(super) differences: Vec<Difference>,
}

impl Likeness {
    pub(super) fn new(model: SchemaModel) -> Self {
        Self { model: without_records(model), exact: Vec::new(), nearest: None }
    }

    /// Compares it with what a version makes.
    pub(super) fn compare_with(&mut self, version: Option<i64>, made: &SchemaModel) {
        let differences = differences(made, &self.model);
        if differences.is_empty() {
            self.exact.push(version);
            return;
        }
        let known = self.nearest.as_ref().map_or(usize::MAX, |nearest| nearest.differences.len());
        // Of two that are as close, the later one has more of the files.
        if differences.len() <= known {
            self.nearest = Some(Nearest { version, differences });
        }
    }
}

/// Leaves out the table of records, and all that belongs to it.
pub(super) fn without_records(mut model: SchemaModel) -> SchemaModel {
    const TABLE: &str = "_sqlx_migrations";
    model.objects.retain(|key, object| {
        let of = key.of.as_deref() == Some(TABLE);
        key.name != TABLE && !of && object.text(Attribute::Table) != Some(TABLE)
    });
    model
}

/// Finds what tells versions apart: not who owns a schema or may use it, nor the order of columns.
pub(super) fn differences(made: &SchemaModel, found: &SchemaModel) -> Vec<Difference> {
    let mut all = compare(made, found);
    all.retain(|difference| is_of_files(&difference.object, difference.change.attribute()));
    without_consequences(&all, made, found)
}

/// Returns `true` if an object, or one of its attributes, is what files make.
pub(super) fn is_of_files(object: &ObjectKey, attribute: Option<Attribute>) -> bool {
    let is_around = matches!(
        object.kind,
        ObjectKind::Schema | ObjectKind::DefaultPrivileges | ObjectKind::SecurityLabel
    );
    let is_of_roles =
        matches!(attribute, Some(Attribute::Owner | Attribute::Grants | Attribute::ColumnOrder));
    !is_around && !is_of_roles
}
