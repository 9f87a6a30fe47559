//! Exports a model as a JSON Schema of its tables' rows.

use serde_json::{Map, Value as Json, json};

use super::super::{Attribute, Object, ObjectKey, ObjectKind, SchemaModel};

impl SchemaModel {
    /// Returns a JSON Schema (2020-12) of the rows of each table, as `to_jsonb` prints them, under `$defs`.
    ///
    /// A column is required if it is not nullable and has no default. Numbers without an exact JSON representation
    /// stay numbers.
    #[must_use]
    pub fn json_schema(&self) -> Json {
        let mut definitions = Map::new();
        for (key, object) in &self.objects {
            if matches!(key.kind, ObjectKind::Table | ObjectKind::ForeignTable) {
                definitions.insert(key.name.clone(), self.row_schema(key, object));
            }
        }
        json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "$defs": definitions,
        })
    }

    fn row_schema(&self, table: &ObjectKey, object: &Object) -> Json {
        let (mut properties, mut required) = (Map::new(), Vec::new());
        for (key, column) in self.columns(&table.name) {
            let data_type = column.text(Attribute::Type).unwrap_or_default();
            let mut schema = self.type_schema(data_type, 0);
            if !column.has(Attribute::NotNull) {
                schema = nullable(schema);
            }
            describe(&mut schema, column);
            properties.insert(key.name.clone(), schema);
            let is_filled_in = [
                Attribute::Default,
                Attribute::Identity,
                Attribute::GeneratedStored,
                Attribute::GeneratedVirtual,
            ]
            .into_iter()
            .any(|attribute| column.get(attribute).is_some());
            if column.has(Attribute::NotNull) && !is_filled_in {
                required.push(Json::from(key.name.clone()));
            }
        }
        let mut schema = json!({ "type": "object", "properties": properties });
        if !required.is_empty() {
            schema["required"] = Json::Array(required);
        }
        describe(&mut schema, object);
        schema
    }

    /// Returns the schema of a type; `depth` ends types that contain themselves.
    fn type_schema(&self, data_type: &str, depth: usize) -> Json {
        if let Some(element) = data_type.strip_suffix("[]") {
            // The elements of an array can be null even if the column cannot.
            return json!({ "type": "array", "items": nullable(self.type_schema(element, depth)) });
        }
        if let Some(own) = self.own_type(data_type, depth) {
            return own;
        }
        let (name, modifier) = match data_type.split_once('(') {
            Some((name, rest)) => (name, rest.split_once(')').map(|(modifier, _)| modifier)),
            None => (data_type, None),
        };
        match name {
            "smallint" => json!({ "type": "integer", "minimum": i16::MIN, "maximum": i16::MAX }),
            "integer" => json!({ "type": "integer", "minimum": i32::MIN, "maximum": i32::MAX }),
            "bigint" => json!({ "type": "integer", "minimum": i64::MIN, "maximum": i64::MAX }),
            "numeric" | "real" | "double precision" => json!({ "type": "number" }),
            "boolean" => json!({ "type": "boolean" }),
            "json" | "jsonb" => json!({}),
            "uuid" => json!({ "type": "string", "format": "uuid" }),
            "date" => json!({ "type": "string", "format": "date" }),
            "timestamp" if data_type.ends_with("with time zone") => {
                json!({ "type": "string", "format": "date-time" })
            }
            "timestamp with time zone" => json!({ "type": "string", "format": "date-time" }),
            "character varying" | "character" => {
                let length = modifier.and_then(|length| length.parse::<u64>().ok());
                match length {
                    Some(length) => json!({ "type": "string", "maxLength": length }),
                    None => json!({ "type": "string" }),
                }
            }
            _ => json!({ "type": "string" }),
        }
    }

    /// Returns the schema of an enum, a domain or a composite type of the schema.
    fn own_type(&self, data_type: &str, depth: usize) -> Option<Json> {
        let name = data_type.strip_prefix("{schema}.").unwrap_or(data_type);
        let name = match name.strip_prefix('"').and_then(|name| name.strip_suffix('"')) {
            Some(quoted) => quoted.replace("\"\"", "\""),
            None => name.to_owned(),
        };
        let find = |kind| self.get(&ObjectKey::new(kind, &*name));
        if let Some(object) = find(ObjectKind::Enum) {
            return Some(json!({ "type": "string", "enum": object.list(Attribute::Labels) }));
        }
        if depth > 8 {
            return find(ObjectKind::Domain).or(find(ObjectKind::Composite)).map(|_| json!({}));
        }
        if let Some(object) = find(ObjectKind::Domain) {
            let base = object.text(Attribute::Type).unwrap_or_default();
            return Some(self.type_schema(base, depth + 1));
        }
        find(ObjectKind::Composite)?;
        let fields = self.columns(&name).into_iter().map(|(key, field)| {
            let data_type = field.text(Attribute::Type).unwrap_or_default();
            (key.name.clone(), nullable(self.type_schema(data_type, depth + 1)))
        });
        Some(json!({ "type": "object", "properties": fields.collect::<Map<_, _>>() }))
    }
}

/// Returns a schema that also accepts null.
fn nullable(mut schema: Json) -> Json {
    let Some(fields) = schema.as_object_mut() else { return schema };
    if let Some(name) = fields.get("type").and_then(Json::as_str) {
        let both = json!([name, "null"]);
        fields.insert("type".to_owned(), both);
    }
    if let Some(labels) = fields.get_mut("enum").and_then(Json::as_array_mut) {
        labels.push(Json::Null);
    }
    schema
}

fn describe(schema: &mut Json, object: &Object) {
    if let Some(comment) = object.text(Attribute::Comment) {
        schema["description"] = Json::from(comment);
    }
}

#[cfg(test)]
mod tests {
    use super::{super::keys::example, *};

    #[test]
    fn rows_are_objects() {
        let expected = json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "$defs": {
                "Odd orders": {
                    "type": "object",
                    "properties": {
                        "id": { "type": "string", "format": "uuid" },
                        "customer": {
                            "type": ["integer", "null"], "minimum": i64::MIN, "maximum": i64::MAX
                        },
                        "state": { "type": "string", "enum": ["open", "paid"] },
                        "tags": { "type": ["array", "null"], "items": { "type": ["string", "null"] } },
                    },
                },
                "customers": {
                    "type": "object",
                    "properties": {
                        "id": { "type": "integer", "minimum": i64::MIN, "maximum": i64::MAX },
                        "email": {
                            "type": "string", "maxLength": 80, "description": "Where to \"write\"."
                        },
                    },
                    "required": ["email"],
                    "description": "Who buys.",
                },
            },
        });
        assert_eq!(example().json_schema(), expected);
    }
}
