//! Compares what is serialised with the schema that its type has.

use jsonschema::Validator;
use schemars::{JsonSchema, generate::SchemaSettings};
use serde::Serialize;
use serde_json::{Value, json};

/// A value of a type that no report has anywhere.
fn surplus() -> Value {
    json!([[]])
}

/// Checks that a report validates against the schema of its type, and that the schema says all there is to say: it
/// refuses the report with one more property anywhere, or with one value of another type.
pub(super) fn check<T: JsonSchema + Serialize>(report: &T) -> Value {
    check_all_but(report, &[])
}

/// As [`check`], but for these places, given as JSON pointers, where anything may be.
pub(super) fn check_all_but<T: JsonSchema + Serialize>(report: &T, free: &[&str]) -> Value {
    let mut written = serde_json::to_value(report).expect("it can be written");
    let name = T::schema_name();
    let errors = refusals(&validator(&schema_of::<T>(false)), &written);
    assert!(errors.is_empty(), "{name}: {errors:#?}\n{written:#}");
    let mut strict = schema_of::<T>(true);
    close(&mut strict);
    let strict = validator(&strict);
    let errors = refusals(&strict, &written);
    assert!(errors.is_empty(), "{name} has what its schema lacks: {errors:#?}\n{written:#}");
    for place in places(&written).iter().filter(|place| !free.contains(&place.as_str())) {
        let here = written.pointer_mut(place).expect("it is there");
        let was = here.clone();
        match here {
            Value::Object(object) => drop(object.insert("surplus".to_owned(), surplus())),
            other => *other = surplus(),
        }
        assert!(!strict.is_valid(&written), "{name}: its schema takes anything at {place:?}");
        *written.pointer_mut(place).expect("it is there") = was;
    }
    written
}

fn refusals(schema: &Validator, written: &Value) -> Vec<String> {
    let errors = schema.iter_errors(written);
    errors.map(|error| format!("{}: {error}", error.instance_path())).collect()
}

fn validator(schema: &Value) -> Validator {
    let options = jsonschema::options().should_validate_formats(true);
    options.build(schema).unwrap_or_else(|error| panic!("{error}\n{schema:#}"))
}

fn schema_of<T: JsonSchema>(inline: bool) -> Value {
    let settings = SchemaSettings::draft2020_12().for_serialize();
    let settings = settings.with(|settings| settings.inline_subschemas = inline);
    settings.into_generator().into_root_schema_for::<T>().to_value()
}

/// Forbids properties that a schema does not name. What is flattened has its properties beside those of the object
/// that it is a part of, so the branches themselves stay open.
fn close(schema: &mut Value) {
    if has_properties(schema) {
        schema["unevaluatedProperties"] = false.into();
    }
    descend(schema);
}

fn has_properties(schema: &Value) -> bool {
    let branches = ["oneOf", "anyOf", "allOf"].iter().filter_map(|word| schema.get(word));
    let mut branches = branches.filter_map(Value::as_array).flatten();
    schema.get("properties").is_some() || branches.any(has_properties)
}

fn descend(schema: &mut Value) {
    for (word, value) in schema.as_object_mut().into_iter().flatten() {
        match (word.as_str(), value) {
            ("properties" | "patternProperties", Value::Object(of)) => {
                of.values_mut().for_each(close);
            }
            ("items" | "additionalProperties", of) => close(of),
            ("prefixItems", Value::Array(of)) => of.iter_mut().for_each(close),
            ("oneOf" | "anyOf" | "allOf", Value::Array(of)) => of.iter_mut().for_each(descend),
            _ => {}
        }
    }
}

/// Returns every place in a value but the lists, as a JSON pointer.
fn places(value: &Value) -> Vec<String> {
    fn visit(value: &Value, at: &str, found: &mut Vec<String>) {
        match value {
            Value::Array(list) => {
                for (index, value) in list.iter().enumerate() {
                    visit(value, &format!("{at}/{index}"), found);
                }
                return;
            }
            Value::Object(object) => {
                for (name, value) in object {
                    let name = name.replace('~', "~0").replace('/', "~1");
                    visit(value, &format!("{at}/{name}"), found);
                }
            }
            _ => {}
        }
        found.push(at.to_owned());
    }
    let mut found = Vec::new();
    visit(value, "", &mut found);
    found
}

/// A report as they are made, whose schema may be wrong.
macro_rules! report {
    ($(#[$of_count:meta])* count, $(#[$of_error:meta])* error) => {{
        #[derive(Serialize, JsonSchema)]
        struct Report {
            $(#[$of_count])*
            count: u32,
            #[serde(flatten)]
            outcome: Outcome,
        }
        #[derive(Serialize, JsonSchema)]
        #[serde(tag = "outcome")]
        enum Outcome {
            Failed {
                $(#[$of_error])*
                error: Option<Failure>,
            },
        }
        #[derive(Serialize, JsonSchema)]
        struct Failure {
            line: u32,
        }
        let outcome = Outcome::Failed { error: Some(Failure { line: 1 }) };
        std::panic::catch_unwind(|| check(&Report { count: 1, outcome })).map(drop)
    }};
}

#[test]
fn a_schema_that_is_wrong_is_found() {
    report!(count, error).expect("it is right");
    for (wrong, what) in [
        (
            report!(
                #[schemars(with = "String")]
                count,
                error
            ),
            "another type",
        ),
        (
            report!(
                #[schemars(with = "Value")]
                count,
                error
            ),
            "any type",
        ),
        (
            report!(
                #[schemars(skip)]
                count,
                error
            ),
            "a property is missing",
        ),
        (
            report!(
                #[schemars(rename = "Count")]
                count,
                error
            ),
            "another name",
        ),
        (
            report!(
                count,
                #[schemars(skip)]
                error
            ),
            "a property of a variant is missing",
        ),
        (
            report!(
                count,
                #[schemars(with = "Value")]
                error
            ),
            "any type in a variant",
        ),
        (
            report!(
                count,
                #[schemars(with = "Option<()>")]
                error
            ),
            "another type in a variant",
        ),
    ] {
        assert!(wrong.is_err(), "nobody has noticed: {what}");
    }
}
