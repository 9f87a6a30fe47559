//! The JSON Schemas of the reports: what operations really return validates against them.

mod drifting;
mod judge;
mod migrating;
mod provisioning;
mod serving;

use crate::{source::sources, support::TestResult};

/// Configuration, which is read and not reported.
const CONFIGURATION: &[&str] =
    &["anonymize/fake_kind.rs", "anonymize/mask_options.rs", "anonymize/rules.rs"];

/// Every public type that is serialised without a schema, and every field whose schema would be that of its type
/// although it is written otherwise.
fn lacking(path: &str, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let (mut attributes, mut is_open) = (String::new(), false);
    for line in text.lines().map(str::trim) {
        if is_open || line.starts_with("#[") {
            attributes.push_str(line);
            is_open = !line.ends_with(']');
            continue;
        }
        let is_type = line.starts_with("pub struct ") || line.starts_with("pub enum ");
        let is_written = attributes.contains("Serialize");
        if is_type && is_written && !attributes.contains("derive(schemars::JsonSchema)") {
            found.push(format!("{path}: {line}"));
        }
        if attributes.contains("serialize_with = ") && !attributes.contains("schemars(with = ") {
            found.push(format!("{path}: {line}"));
        }
        if !line.starts_with("//") {
            attributes.clear();
        }
    }
    found
}

#[test]
fn everything_that_is_serialised_has_a_schema() -> TestResult {
    let mut sources = sources();
    sources.retain(|source| !CONFIGURATION.contains(&source.path.as_str()));
    let found: Vec<_> =
        sources.iter().flat_map(|source| lacking(&source.path, &source.text)).collect();
    assert!(found.is_empty(), "{found:#?}");
    for text in [
        "#[derive(Debug, Serialize)]\n#[non_exhaustive]\npub struct Report {",
        "#[derive(\n    Debug, Serialize,\n)]\npub enum Outcome {",
        "/// How long.\n#[serde(serialize_with = \"serialize_millis\")]\npub duration: Duration,",
    ] {
        assert_eq!(lacking("", text).len(), 1, "{text}");
    }
    Ok(())
}
