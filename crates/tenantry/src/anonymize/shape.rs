//! The shape of a type's values, as far as masks are concerned.

use crate::schema::{Attribute, ObjectKey, ObjectKind, SchemaModel};

/// The form of a type's values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Shape {
    Text {
        /// The most characters.
        limit: Option<usize>,
        /// Texts that differ only in case are equal: `citext`.
        folds_case: bool,
        /// Trailing blanks are insignificant: `character`.
        is_padded: bool,
    },
    Uuid,
    /// An integer of some bytes.
    Integer(u32),
    /// A number with its precision and scale, if they are limited.
    Numeric(Option<(u32, i32)>),
    /// A float of some bytes.
    Float(u32),
    Bytea,
    Date,
    Timestamp,
    Json,
    Boolean,
    /// `inet`, `cidr`.
    Network,
    Enum(Vec<String>),
    Array(Box<Shape>),
    /// The fields with their names.
    Composite(Vec<(String, Shape)>),
    /// Any other type; only masks for all types fit.
    Other,
}

/// The maximum depth to which types are followed. A table can have a column of a type that contains its own row type.
const MAX_DEPTH: usize = 16;

impl Shape {
    /// Reads the type of a column, as the model has it.
    pub(super) fn of(model: &SchemaModel, data_type: &str) -> Self {
        of(model, data_type, 0)
    }

    pub(super) fn is_json(&self) -> bool {
        *self == Self::Json
    }
}

fn of(model: &SchemaModel, data_type: &str, depth: usize) -> Shape {
    if let Some(element) = data_type.strip_suffix("[]") {
        return Shape::Array(Box::new(of(model, element, depth)));
    }
    if let Some(own) = own(model, data_type, depth) {
        return own;
    }
    let (name, modifiers) = match data_type.split_once('(') {
        Some((name, rest)) => (name, rest.split(')').next()),
        None => (data_type, None),
    };
    let numbers = || modifiers.into_iter().flat_map(|list| list.split(','));
    let first = numbers().next().and_then(|number| number.trim().parse().ok());
    let text = |limit, is_padded| Shape::Text { limit, folds_case: false, is_padded };
    match name {
        "text" => text(None, false),
        "character varying" => text(first, false),
        "character" | "bpchar" => text(first, true),
        "name" => text(Some(63), false),
        "uuid" => Shape::Uuid,
        "smallint" => Shape::Integer(2),
        "integer" => Shape::Integer(4),
        "bigint" => Shape::Integer(8),
        "numeric" => {
            let mut numbers = numbers().map(str::trim);
            let precision = numbers.next().and_then(|number| number.parse().ok());
            let scale = numbers.next().and_then(|number| number.parse().ok());
            Shape::Numeric(precision.map(|precision| (precision, scale.unwrap_or_default())))
        }
        "real" => Shape::Float(4),
        "double precision" => Shape::Float(8),
        "bytea" => Shape::Bytea,
        "date" => Shape::Date,
        "json" | "jsonb" => Shape::Json,
        "boolean" => Shape::Boolean,
        "inet" | "cidr" => Shape::Network,
        _ if name.starts_with("timestamp") => Shape::Timestamp,
        _ if name == "citext" || name.ends_with(".citext") => {
            Shape::Text { limit: None, folds_case: true, is_padded: false }
        }
        _ => Shape::Other,
    }
}

/// Returns the shape of a type of the schema.
fn own(model: &SchemaModel, data_type: &str, depth: usize) -> Option<Shape> {
    let name = data_type.strip_prefix("{schema}.").unwrap_or(data_type);
    let name = match name.strip_prefix('"').and_then(|name| name.strip_suffix('"')) {
        Some(quoted) => quoted.replace("\"\"", "\""),
        None => name.to_owned(),
    };
    let find = |kind| model.get(&ObjectKey::new(kind, &*name));
    if let Some(labels) = find(ObjectKind::Enum) {
        return Some(Shape::Enum(labels.list(Attribute::Labels).to_vec()));
    }
    let domain = find(ObjectKind::Domain);
    let is_composite = find(ObjectKind::Composite).or(find(ObjectKind::Table)).is_some();
    if depth >= MAX_DEPTH {
        return (domain.is_some() || is_composite).then_some(Shape::Other);
    }
    if let Some(domain) = domain {
        let base = domain.text(Attribute::Type).unwrap_or_default();
        return Some(of(model, base, depth + 1));
    }
    let fields = is_composite.then(|| model.columns(&name))?.into_iter().map(|(key, field)| {
        let data_type = field.text(Attribute::Type).unwrap_or_default();
        (key.name.clone(), of(model, data_type, depth + 1))
    });
    Some(Shape::Composite(fields.collect()))
}

#[cfg(test)]
mod tests {
    use super::{super::example::Example, *};

    #[test]
    fn types_have_shapes() {
        let model = Example::new()
            .object(ObjectKind::Enum, "status", &[(Attribute::Labels, "open paid")])
            .object(ObjectKind::Domain, "email", &[(Attribute::Type, "character varying(80)")])
            .object(ObjectKind::Domain, "Work mail", &[(Attribute::Type, "email")])
            .composite("place", &["city text", "loops place[]"])
            .model();
        let text = |limit, folds_case, is_padded| Shape::Text { limit, folds_case, is_padded };
        for (data_type, shape) in [
            ("text", text(None, false, false)),
            ("character varying(80)", text(Some(80), false, false)),
            ("character varying", text(None, false, false)),
            ("character(3)", text(Some(3), false, true)),
            ("public.citext", text(None, true, false)),
            ("citext", text(None, true, false)),
            ("uuid", Shape::Uuid),
            ("smallint", Shape::Integer(2)),
            ("numeric(10,2)", Shape::Numeric(Some((10, 2)))),
            ("numeric(5,-2)", Shape::Numeric(Some((5, -2)))),
            ("numeric", Shape::Numeric(None)),
            ("timestamp(3) without time zone", Shape::Timestamp),
            ("timestamp with time zone", Shape::Timestamp),
            ("time without time zone", Shape::Other),
            ("text[]", Shape::Array(Box::new(text(None, false, false)))),
            ("status", Shape::Enum(vec!["open".to_owned(), "paid".to_owned()])),
            ("email", text(Some(80), false, false)),
            ("\"Work mail\"[]", Shape::Array(Box::new(text(Some(80), false, false)))),
            ("tsvector", Shape::Other),
        ] {
            assert_eq!(Shape::of(&model, data_type), shape, "{data_type}");
        }
    }

    #[test]
    fn a_type_that_contains_itself_ends() {
        let model = Example::new().composite("place", &["city text", "loops place[]"]).model();
        let Shape::Composite(fields) = Shape::of(&model, "place") else { panic!("a composite") };
        assert_eq!(fields[0].0, "city");
        assert!(matches!(fields[1].1, Shape::Array(_)));
    }
}
