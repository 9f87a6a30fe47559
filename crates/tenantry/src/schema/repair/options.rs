//! The differences between two lists of options, as clauses of `alter`.

use std::collections::BTreeMap;

use super::super::{
    Attribute, Object,
    ddl::{escape, ident, literal, storage_option},
};

/// Returns `reset (…)` and `set (…)` for the differences of storage options.
pub(super) fn storage(
    old: &Object,
    new: &Object,
    attribute: Attribute,
    prefix: &str,
) -> Vec<String> {
    let (reset, set) = differences(old.list(attribute), new.list(attribute));
    let reset: Vec<_> = reset.iter().map(|name| format!("{prefix}{name}")).collect();
    let set: Vec<_> =
        set.iter().map(|option| format!("{prefix}{}", storage_option(option))).collect();
    let mut found = Vec::new();
    if !reset.is_empty() {
        found.push(format!("reset ({})", reset.join(", ")));
    }
    if !set.is_empty() {
        found.push(format!("set ({})", set.join(", ")));
    }
    found
}

/// Returns the names of the options to reset, and the options to set.
fn differences<'a>(before: &'a [String], after: &'a [String]) -> (Vec<&'a str>, Vec<&'a String>) {
    let gone = before.iter().filter(|option| !after.iter().any(|o| name(o) == name(option)));
    let gone: Vec<_> = gone.map(|option| name(option)).collect();
    let set: Vec<_> = after.iter().filter(|option| !before.contains(option)).collect();
    // The options that are set come last.
    let is_set = |option: &&String| set.iter().any(|set| name(set) == name(option));
    let stay = before.iter().filter(|option| !gone.contains(&name(option)) && !is_set(option));
    match stay.chain(set.iter().copied()).eq(after) {
        true => (gone, set),
        false => (before.iter().map(|option| name(option)).collect(), after.iter().collect()),
    }
}

fn name(option: &str) -> &str {
    option.split('=').next().unwrap_or_default()
}

/// Returns `options (…)` for the differences of a foreign object.
pub(super) fn foreign(old: &Object, new: &Object) -> Option<String> {
    let split = |option: &'_ str| -> (String, String) {
        let (name, value) = option.split_once('=').unwrap_or((option, ""));
        (ident(name), literal(&escape(value)))
    };
    let list = |object: &Object| -> BTreeMap<String, String> {
        object.list(Attribute::ForeignOptions).iter().map(|option| split(option)).collect()
    };
    let (before, after) = (list(old), list(new));
    let gone = before.keys().filter(|name| !after.contains_key(*name));
    let gone = gone.map(|name| format!("drop {name}"));
    let set = after.iter().filter(|(name, value)| before.get(*name) != Some(value));
    let set = set.map(|(name, value)| match before.contains_key(name) {
        true => format!("set {name} {value}"),
        false => format!("add {name} {value}"),
    });
    let all: Vec<_> = gone.chain(set).collect();
    (!all.is_empty()).then(|| format!("options ({})", all.join(", ")))
}
