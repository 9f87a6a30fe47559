//! References from one tenant's schema into another's, as reported.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{ObjectKey, ObjectKind};

/// An object of one schema that depends on an object of a tenant's schema.
///
/// `Display` writes a sentence: `constraint orders_customer_fkey on orders of tenant_a references
/// tenant_b.customers`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct CrossReference {
    /// The schema of the object that refers to the other: a tenant's, or the shared one.
    pub from_schema: String,
    /// The object.
    pub object: ObjectKey,
    /// The tenant's schema that it refers to.
    pub to_schema: String,
    /// The object that it refers to, as the catalog stores the name; empty for the schema itself.
    pub to: String,
    /// How it refers to it.
    pub via: ReferenceKind,
}

impl fmt::Display for CrossReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { from_schema, object, to_schema, to, via } = self;
        write!(f, "{object} of {from_schema} {} ", via.words())?;
        match to.as_str() {
            "" => write!(f, "the schema {to_schema}"),
            to => write!(f, "{to_schema}.{to}"),
        }
    }
}

macro_rules! kinds {
    ($($(#[$docs:meta])* $variant:ident = $words:literal,)*) => {
        /// How an object refers to another one.
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
        )]
        #[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
        #[serde(rename_all = "snake_case")]
        #[non_exhaustive]
        pub enum ReferenceKind {
            $($(#[$docs])* $variant,)*
        }

        impl ReferenceKind {
            /// Returns the verb of a sentence.
            pub(crate) fn words(self) -> &'static str {
                match self {
                    $(Self::$variant => $words,)*
                }
            }
        }
    };
}

kinds! {
    /// A foreign key references the table.
    ForeignKey = "references",
    /// The query of a view or materialized view.
    View = "reads",
    /// The actions of a rewrite rule.
    Rule = "has an action that uses",
    /// A table inherits from the other.
    Inherits = "inherits from",
    /// A table is a partition of the other.
    PartitionOf = "is a partition of",
    /// The partition key of a table.
    PartitionKey = "is partitioned by",
    /// A table of a composite type.
    OfType = "is a table of the type",
    /// A sequence is owned by a column of the table.
    OwnedBy = "is owned by",
    /// The default of a column.
    Default = "has a default that uses",
    /// The expression of a generated column.
    Generated = "is generated with",
    /// A check or exclusion constraint of a table or a domain.
    Check = "checks with",
    /// The type of a column, or of a field of a composite type.
    ColumnType = "has the type",
    /// The collation of a column.
    Collation = "has the collation",
    /// The base type of a domain, the subtype of a range, the functions of a type.
    Type = "is based on",
    /// The type of an argument or a result.
    Signature = "takes or returns",
    /// The default of an argument, or the support function.
    ArgumentDefault = "has an argument whose default uses",
    /// The body of a routine in the SQL standard's form, which the server has parsed.
    SqlBody = "has an SQL body that uses",
    /// The column types, expressions, operator classes or predicate of an index.
    Index = "is built with",
    /// The function or the condition of a trigger.
    Trigger = "calls",
    /// The condition of a policy.
    Policy = "has a condition that uses",
    /// The functions and operators of an aggregate.
    Aggregate = "is computed with",
    /// The function or an argument of an operator.
    Operator = "is defined with",
    /// The type or a member of an operator class or family.
    OperatorClass = "has as a member",
    /// Extended statistics.
    Statistics = "is gathered with",
    /// A text search object.
    TextSearch = "searches with",
    /// The source text of a routine names it.
    FunctionBody = "has a body that names",
    /// The search path of a routine, or one that its body sets, holds the schema.
    SearchPath = "has in its search path",
    /// A string names it, such as one that is cast to `regclass`, or an argument of a trigger.
    Literal = "has a string that names",
    /// It depends on it in another way.
    Other = "depends on",
}

/// An object as described by `pg_identify_object_as_address`, with additional facts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Described<'a> {
    /// The type of the object in PostgreSQL's words.
    pub(crate) words: &'a str,
    /// Its names, including that of the schema.
    pub(crate) names: &'a [String],
    /// The types of its arguments, of a routine or operator.
    pub(crate) arguments: Option<&'a str>,
    /// A letter or word with which the catalog describes it.
    pub(crate) detail: &'a str,
    /// The catalog of the other object.
    pub(crate) other: &'a str,
}

impl Described<'_> {
    /// Returns the object and how it refers to the other.
    pub(crate) fn resolve(&self) -> (ObjectKey, ReferenceKind) {
        use ReferenceKind as Via;
        let column_kind = match self.other {
            "pg_collation" => Via::Collation,
            "pg_type" => Via::ColumnType,
            // Before version 15, a generated column itself has the dependencies of its expression.
            _ => Via::Generated,
        };
        let (kind, via) = match (self.words, self.detail) {
            ("table", "partition") => (ObjectKind::Table, Via::PartitionOf),
            ("foreign table", "partition") => (ObjectKind::ForeignTable, Via::PartitionOf),
            ("table", _) => (ObjectKind::Table, self.of_table()),
            ("foreign table", _) => (ObjectKind::ForeignTable, self.of_table()),
            ("sequence", _) => (ObjectKind::Sequence, Via::OwnedBy),
            ("index", "index") => return (self.part(ObjectKind::Constraint), Via::Index),
            ("index", _) => (ObjectKind::Index, Via::Index),
            ("view", _) => (ObjectKind::View, Via::View),
            ("materialized view", _) => (ObjectKind::MaterializedView, Via::View),
            ("composite type", _) => (ObjectKind::Composite, Via::Type),
            ("default value", detail) => {
                let is_generated = matches!(detail, "s" | "v");
                let via = if is_generated { Via::Generated } else { Via::Default };
                return (self.part(ObjectKind::Column), via);
            }
            ("table constraint", "f") => {
                return (self.part(ObjectKind::Constraint), Via::ForeignKey);
            }
            ("table constraint" | "domain constraint", _) => {
                return (self.part(ObjectKind::Constraint), Via::Check);
            }
            ("trigger", _) => return (self.part(ObjectKind::Trigger), Via::Trigger),
            ("policy", _) => return (self.part(ObjectKind::Policy), Via::Policy),
            ("rule", relation) if self.names.last().is_some_and(|name| name == "_RETURN") => {
                let is_view = relation != "m";
                let kind = if is_view { ObjectKind::View } else { ObjectKind::MaterializedView };
                (kind, Via::View)
            }
            ("rule", _) => return (self.part(ObjectKind::Rule), Via::Rule),
            ("function", detail) => (ObjectKind::Function, of_routine(detail)),
            ("procedure", detail) => (ObjectKind::Procedure, of_routine(detail)),
            ("aggregate", _) => (ObjectKind::Aggregate, Via::Aggregate),
            ("operator", _) => (ObjectKind::Operator, Via::Operator),
            ("operator class", _) => {
                return (self.of_method(ObjectKind::OperatorClass), Via::OperatorClass);
            }
            ("operator family" | "operator of access method" | "function of access method", _) => {
                return (self.of_method(ObjectKind::OperatorFamily), Via::OperatorClass);
            }
            ("type" | "domain", detail) => (of_type(detail), Via::Type),
            ("statistics object", _) => (ObjectKind::Statistics, Via::Statistics),
            ("text search configuration", _) => {
                (ObjectKind::TextSearchConfiguration, Via::TextSearch)
            }
            ("text search dictionary", _) => (ObjectKind::TextSearchDictionary, Via::TextSearch),
            ("text search parser", _) => (ObjectKind::TextSearchParser, Via::TextSearch),
            ("text search template", _) => (ObjectKind::TextSearchTemplate, Via::TextSearch),
            ("collation", _) => (ObjectKind::Collation, Via::Other),
            ("conversion", _) => (ObjectKind::Conversion, Via::Other),
            (words, _) if words.ends_with(" column") => {
                return (self.part(ObjectKind::Column), column_kind);
            }
            _ => (ObjectKind::Schema, Via::Other),
        };
        let mut key = ObjectKey::new(kind, self.name(1));
        key.arguments = self.arguments.map(str::to_owned);
        (key, via)
    }

    fn name(&self, place: usize) -> &str {
        self.names.get(place).map_or("", String::as_str)
    }

    fn part(&self, kind: ObjectKind) -> ObjectKey {
        ObjectKey::part(kind, self.name(1), self.name(2))
    }

    /// An object that belongs to an access method, whose name comes first.
    fn of_method(&self, kind: ObjectKind) -> ObjectKey {
        ObjectKey::part(kind, self.name(0), self.name(2))
    }

    fn of_table(&self) -> ReferenceKind {
        match self.other {
            "pg_class" => ReferenceKind::Inherits,
            "pg_type" => ReferenceKind::OfType,
            _ => ReferenceKind::PartitionKey,
        }
    }
}

fn of_routine(detail: &str) -> ReferenceKind {
    match detail {
        "signature" => ReferenceKind::Signature,
        "body" => ReferenceKind::SqlBody,
        "support" => ReferenceKind::Other,
        _ => ReferenceKind::ArgumentDefault,
    }
}

fn of_type(letter: &str) -> ObjectKind {
    match letter {
        "d" => ObjectKind::Domain,
        "e" => ObjectKind::Enum,
        "r" | "m" => ObjectKind::Range,
        "c" => ObjectKind::Composite,
        _ => ObjectKind::BaseType,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_is_a_sentence() {
        let mut reference = CrossReference {
            from_schema: "tenant_a".to_owned(),
            object: ObjectKey::part(ObjectKind::Constraint, "orders", "orders_customer_fkey"),
            to_schema: "tenant_b".to_owned(),
            to: "customers".to_owned(),
            via: ReferenceKind::ForeignKey,
        };
        assert_eq!(
            reference.to_string(),
            "constraint orders_customer_fkey on orders of tenant_a references tenant_b.customers"
        );
        reference.object = ObjectKey::new(ObjectKind::Function, "f");
        reference.object.arguments = Some(String::new());
        reference.to.clear();
        reference.via = ReferenceKind::SearchPath;
        assert_eq!(
            reference.to_string(),
            "function f() of tenant_a has in its search path the schema tenant_b"
        );
    }
}
