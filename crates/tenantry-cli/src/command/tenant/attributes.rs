use serde_json::Value;

use crate::{context::Context, failure::Failure, settings::key};

/// Reads attributes: an object as JSON, or several `name=value`.
pub(in crate::command) fn read(on: &Context, given: &[String]) -> Result<Value, Failure> {
    let is_table = on.settings.text(&key::CATALOG) == Some("table")
        && on.settings.list(&key::CATALOG_COLUMNS).is_empty();
    if !given.is_empty() && !is_table && !on.has_given_manager() {
        on.output.warn("the attributes are not stored: that requires tenants.catalog = \"table\"");
    }
    let mut attributes = serde_json::Map::new();
    for text in given {
        if text.trim_start().starts_with('{') {
            let object: serde_json::Map<_, _> = serde_json::from_str(text).map_err(|error| {
                Failure::while_doing(format_args!("--attributes {text}"), &error)
            })?;
            attributes.extend(object);
        } else if let Some((name, value)) = text.split_once('=') {
            attributes.insert(name.trim().to_owned(), Value::String(value.to_owned()));
        } else {
            return Err(Failure::new(format!(
                "--attributes {text} is neither JSON nor name=value"
            ))
            .hint("write --attributes plan=pro or --attributes '{\"seats\": 5}'"));
        }
    }
    Ok(if attributes.is_empty() { Value::Null } else { Value::Object(attributes) })
}
