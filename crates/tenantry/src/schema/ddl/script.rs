//! A builder for statements.

use super::super::{Attribute, Object, SchemaModel};
use super::{grants, quoting::literal};

/// The position of a statement in a script.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::schema) enum Phase {
    /// Types that functions name before the types are defined.
    Shell,
    /// Independent objects, each after those that it names.
    Create,
    /// The rows of tables that are created anew.
    Rows,
    /// Columns whose values come from a sequence that belongs to them.
    Identity,
    /// Members of an operator family apart from its classes.
    Member,
    /// Primary keys, unique and exclusion constraints.
    Key,
    Index,
    /// Indexes of partitions become parts of their parents'.
    Attach,
    /// Statements that refer to indexes.
    UseIndex,
    /// Checks that are not validated.
    Check,
    ForeignKey,
    /// Indexes whose functions find others through the search path: planning a query on the table would need it, too.
    LateIndex,
    /// Sequences are dropped with columns.
    Ownership,
    Statistics,
    Trigger,
    Rule,
    /// Triggers and rules are disabled.
    Enabled,
    Policy,
    /// Objects are dropped with extensions.
    Extension,
    Grant,
    Label,
    /// Comes last, because it would change what is created.
    DefaultPrivileges,
}

/// The statements for one object.
#[derive(Debug, Default)]
pub(in crate::schema) struct Script(Vec<(Phase, String)>);

impl Script {
    pub(in crate::schema) fn add(&mut self, phase: Phase, statement: impl Into<String>) {
        self.0.push((phase, statement.into()));
    }

    /// Returns the statements with their phases, in the order in which they were added.
    pub(in crate::schema) fn into_phases(self) -> Vec<(Phase, String)> {
        self.0
    }

    /// Adds the owner, the privileges and the comment; `target` is the kind and the name for `comment on`, `granted`
    /// the same for `grant`, if privileges can be granted.
    pub(super) fn common(
        &mut self,
        model: &SchemaModel,
        object: &Object,
        target: &str,
        granted: Option<&str>,
    ) {
        self.owner(object, target);
        if let Some(granted) = granted {
            self.grants(model, object, granted);
        }
        self.comment(object, target);
    }

    pub(super) fn owner(&mut self, object: &Object, target: &str) {
        if let Some(owner) = object.text(Attribute::Owner) {
            self.add(Phase::Create, format!("alter {target} owner to {owner}"));
        }
    }

    pub(super) fn grants(&mut self, model: &SchemaModel, object: &Object, granted: &str) {
        if object.get(Attribute::Grants).is_none() {
            return;
        }
        let owner = object.text(Attribute::Owner).unwrap_or_default();
        let builtin = grants::builtin_grants(granted, owner, model.server_version);
        let list = object.list(Attribute::Grants);
        for statement in grants::grant_changes(granted, owner, &builtin, list) {
            self.add(Phase::Grant, statement);
        }
    }

    pub(super) fn comment(&mut self, object: &Object, target: &str) {
        self.comment_of(object, Attribute::Comment, Phase::Create, target);
    }

    /// Adds a comment that is read as this attribute.
    pub(super) fn comment_of(
        &mut self,
        object: &Object,
        attribute: Attribute,
        phase: Phase,
        target: &str,
    ) {
        if let Some(comment) = object.text(attribute) {
            self.add(phase, format!("comment on {target} is {}", literal(comment)));
        }
    }

    pub(super) fn extensions(&mut self, object: &Object, target: &str) {
        for extension in object.list(Attribute::DependsOnExtensions) {
            let extension = super::ident(extension);
            let statement = format!("alter {target} depends on extension {extension}");
            self.add(Phase::Extension, statement);
        }
    }
}
