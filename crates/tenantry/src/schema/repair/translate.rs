//! Translates definitions of the reference into the other schema.

use super::{
    super::{
        Attribute, Object, SchemaModel, Value,
        tokens::{names_schema, translated as text_translated},
    },
    Impossible,
    plan::Plan,
};

/// Returns the model with the other schema's name where its own name is meant and could not be replaced by a
/// placeholder.
///
/// If an object in the schema has the same name as the schema itself, the meaning is ambiguous, and nothing is
/// changed.
pub(super) fn translated(model: &SchemaModel, schema: &str) -> SchemaModel {
    let mut meant = model.clone();
    let is_unclear = model.objects.keys().any(|key| key.name == model.schema);
    meant.schema = schema.to_owned();
    if is_unclear || model.schema == schema {
        return meant;
    }
    let own = model.own();
    for object in meant.objects.values_mut() {
        let mut changed = Object::default();
        for (attribute, value) in object.attributes().filter(|(attribute, _)| is_code(**attribute))
        {
            let value = match value {
                Value::Text(text) => Value::Text(text_translated(text, own, schema)),
                Value::List(list) => {
                    let list = list.iter().map(|text| text_translated(text, own, schema));
                    Value::List(list.collect())
                }
                Value::Flag(flag) => Value::Flag(*flag),
            };
            changed.set(*attribute, value);
        }
        for (attribute, value) in changed.attributes() {
            object.set(*attribute, value.clone());
        }
    }
    meant
}

/// Returns `true` if an attribute is not a name, a number or a text for people.
fn is_code(attribute: Attribute) -> bool {
    !matches!(
        attribute,
        Attribute::Comment
            | Attribute::IndexComment
            | Attribute::NotNullComment
            | Attribute::Labels
            | Attribute::Label
            | Attribute::ColumnOrder
            | Attribute::Owner
            | Attribute::Grants
            | Attribute::Roles
    )
}

/// Returns the objects of the reference that name the schema to be changed, in which the name would refer to itself.
pub(super) fn names_of(expected: &SchemaModel, plan: &Plan<'_>) -> Vec<Impossible> {
    let schema = &plan.actual.schema;
    let concerned = plan.created.iter().chain(plan.changed.keys());
    let mut found: Vec<Impossible> = Vec::new();
    if expected.schema == *schema {
        return found;
    }
    for key in concerned {
        let Some(object) = expected.get(key) else { continue };
        let is_named = object.attributes().any(|(attribute, value)| match value {
            _ if !is_code(*attribute) => false,
            Value::Text(text) => names_schema(text, schema),
            Value::List(list) => list.iter().any(|text| {
                names_schema(text, schema)
                    || text.strip_prefix("search_path=").is_some_and(|path| {
                        path.split(',').any(|name| name.trim().trim_matches('"') == schema)
                    })
            }),
            Value::Flag(_) => false,
        });
        if is_named && !found.iter().any(|found| found.object == **key) {
            let reason = format!(
                "the reference names the schema {schema}, which is the schema to be repaired"
            );
            found.push(Impossible { object: (*key).clone(), reason });
        }
    }
    found
}
