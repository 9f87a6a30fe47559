//! Generates the statements that create what a model describes.

mod columns;
mod grants;
mod operators;
mod order;
mod parts;
mod quoting;
mod reads;
mod relations;
mod reparse;
mod routines;
mod script;
mod sequences;
mod types;
mod whole;

pub(crate) use columns::column_definition;
pub(crate) use grants::are_shown_alike;
pub(super) use grants::{builtin_grants, grant_changes, grantee_and_grantor};
pub(super) use order::{Mention, Order, mention, names, words};
pub(super) use parts::{comes_with_its_table, enable_key_trigger, is_check, is_key, is_of_domain};
pub(super) use quoting::{escape, storage_option};
pub(crate) use quoting::{fill, ident, literal, name_of, own};
pub(crate) use reads::tables_read;
pub(super) use reparse::reparsable;
pub(super) use script::{Phase, Script};
pub(super) use sequences::{identity_clause, sequence_options};

use super::{ObjectKey, ObjectKind, SchemaModel};
use crate::tenant::Ident;

impl SchemaModel {
    /// Returns a script that creates the schema under this name, with all its contents.
    ///
    /// Run it on a server of the same major version, in a session with the necessary privileges. Roles, extensions,
    /// tablespaces and objects of other schemas must exist. The script sets the session's search path to the schema.
    #[must_use]
    pub fn ddl(&self, schema: &Ident) -> String {
        let mut script = String::from("set check_function_bodies = off;\n");
        for (_, statement) in order::statements(self) {
            let statement = fill(&reparsable(&statement), schema.as_str(), self.role.as_deref());
            script.push_str(&statement);
            script.push_str(";\n");
        }
        script
    }
}

/// Returns a script that creates everything in the current schema, regardless of its name, and populates its
/// materialized views.
pub(crate) fn unqualified(model: &SchemaModel) -> String {
    let mut script = String::from("set local check_function_bodies = off;\n");
    let statements = order::statements(model).into_iter();
    let created = statements.map(|(_, statement)| reparsable(&statement).into_owned());
    let views = model.in_order_of_need().into_iter();
    let views = views.filter(|key| key.kind == ObjectKind::MaterializedView);
    let filled = views.map(|key| format!("refresh materialized view {}", quoting::own(&key.name)));
    for statement in created.chain(filled) {
        script.push_str(&without_schema(&statement, model));
        script.push_str(";\n");
    }
    script
}

/// Removes the schema from the names of its objects. If the schema itself is named, it is the current schema at the
/// time when the script is written.
fn without_schema(statement: &str, model: &SchemaModel) -> String {
    const PLACEHOLDER: &str = "{schema}.";
    let (mut bare, mut rest) = (String::with_capacity(statement.len()), statement);
    while let Some(at) = rest.find(PLACEHOLDER) {
        let (before, after) = rest.split_at(at);
        bare.push_str(before);
        // In double braces it is a text and not a placeholder.
        let is_text = before.ends_with('{');
        bare.push_str(if is_text { PLACEHOLDER } else { "" });
        rest = &after[PLACEHOLDER.len()..];
    }
    bare.push_str(rest);
    fill(&bare, &model.schema, model.role.as_deref())
}

/// The statements that create a schema, without semicolons.
#[derive(Debug, Clone, Default)]
pub(crate) struct AroundRows {
    /// Creates everything that rows need.
    pub(crate) before: Vec<String>,
    /// Statements for what is faster to create after the rows are there, or only correct then: keys, indexes, foreign
    /// keys, triggers, policies and privileges.
    pub(crate) after: Vec<String>,
}

impl SchemaModel {
    /// Returns the objects that are created separately, each after what it needs.
    pub(crate) fn in_order_of_need(&self) -> Vec<&ObjectKey> {
        let order = Order::new(self);
        order.places().into_iter().map(|place| order.keys[place]).collect()
    }

    /// Returns the statements that create the schema under another name, for another role, split into those before
    /// and after the rows of its tables.
    pub(crate) fn ddl_around_rows(&self, schema: &Ident, role: Option<&Ident>) -> AroundRows {
        let statements = order::statements(self);
        let split = statements.partition_point(|(phase, _)| *phase < Phase::Rows);
        let role = role.map(Ident::as_str);
        let filled =
            |(_, statement): &(Phase, String)| fill(&reparsable(statement), schema.as_str(), role);
        AroundRows {
            before: statements[..split].iter().map(filled).collect(),
            after: statements[split..].iter().map(filled).collect(),
        }
    }
}

/// Returns the statements that create one object, in order and without semicolons, with its identity columns if it is a
/// table. `{schema}` and `{role}` stay placeholders.
pub(crate) fn object_ddl(model: &SchemaModel, key: &ObjectKey) -> Vec<String> {
    let mut phases = script(model, key).into_phases();
    if key.kind == ObjectKind::Table {
        let sequences = model.of_kind(ObjectKind::Sequence);
        for (sequence, _) in sequences.filter(|(_, object)| sequences::is_identity_of(object, key))
        {
            phases.extend(script(model, sequence).into_phases());
        }
    }
    phases.sort_by_key(|(phase, _)| *phase);
    phases.into_iter().map(|(_, statement)| statement).collect()
}

/// Returns the object whose statements include those of this one: the table, view or type of a column, the table of
/// an identity's sequence or of a check. Otherwise it is the object itself.
pub(crate) fn told_with(model: &SchemaModel, key: &ObjectKey) -> ObjectKey {
    let of = match (key.kind, &key.of) {
        (ObjectKind::Column, Some(of)) => of.clone(),
        (ObjectKind::Constraint, Some(of)) if comes_with_its_owner(model, key) => of.clone(),
        (ObjectKind::Sequence, _) => {
            let of = |sequence| {
                let mut tables = model.of_kind(ObjectKind::Table).map(|(table, _)| table);
                tables.find(|table| sequences::is_identity_of(sequence, table))
            };
            return model.get(key).and_then(of).unwrap_or(key).clone();
        }
        _ => return key.clone(),
    };
    columns::holder_named(model, &of).unwrap_or_else(|| key.clone())
}

/// Returns `true` if an object is created together with the one that it is part of.
pub(crate) fn comes_with_its_owner(model: &SchemaModel, key: &ObjectKey) -> bool {
    match key.kind {
        ObjectKind::Column => true,
        ObjectKind::Constraint => {
            !parts::is_of_domain(model, key)
                && model.get(key).is_some_and(parts::comes_with_its_table)
        }
        _ => false,
    }
}

/// Returns the statements that create one object with all of its attributes, without semicolons.
///
/// [`fill`] replaces the placeholders in them. A table includes its columns and its checks, other relations and
/// composite types include their columns; an identity includes its sequence.
pub(super) fn script(model: &SchemaModel, key: &ObjectKey) -> Script {
    let mut script = Script::default();
    let Some(object) = model.get(key) else { return script };
    let out = &mut script;
    match key.kind {
        ObjectKind::Schema => whole::schema(model, object, out),
        ObjectKind::DefaultPrivileges => whole::default_privileges(key, object, out),
        ObjectKind::SecurityLabel => whole::security_label(key, object, out),
        ObjectKind::Collation => operators::collation(model, key, object, out),
        ObjectKind::Conversion => operators::conversion(model, key, object, out),
        ObjectKind::Operator => operators::operator(model, key, object, out),
        ObjectKind::OperatorFamily => operators::family(model, key, object, out),
        ObjectKind::OperatorClass => operators::class(model, key, object, out),
        ObjectKind::TextSearchParser
        | ObjectKind::TextSearchTemplate
        | ObjectKind::TextSearchDictionary
        | ObjectKind::TextSearchConfiguration => operators::text_search(model, key, object, out),
        ObjectKind::Enum => types::enumeration(model, key, object, out),
        ObjectKind::Composite => types::composite(model, key, object, out),
        ObjectKind::Domain => types::domain(model, key, object, out),
        ObjectKind::Range => types::range(model, key, object, out),
        ObjectKind::BaseType => types::base(model, key, object, out),
        ObjectKind::Function | ObjectKind::Procedure => routines::routine(model, key, object, out),
        ObjectKind::Aggregate => routines::aggregate(model, key, object, out),
        ObjectKind::Sequence => sequences::sequence(model, key, object, out),
        ObjectKind::Table | ObjectKind::ForeignTable => relations::table(model, key, object, out),
        ObjectKind::View | ObjectKind::MaterializedView => {
            relations::view(model, key, object, out);
        }
        ObjectKind::Column => columns::column(model, key, object, out),
        ObjectKind::Constraint => parts::constraint(model, key, object, out),
        ObjectKind::Index => parts::index(model, key, object, out),
        ObjectKind::Statistics => parts::statistics(model, key, object, out),
        ObjectKind::Trigger => parts::trigger(model, key, object, out),
        ObjectKind::Rule => parts::rule(key, object, out),
        ObjectKind::Policy => parts::policy(key, object, out),
    }
    script
}
