//! Comments with which a file turns rules off: `-- tenantry: allow(drop_column, lock_table)`.

use std::collections::BTreeSet;

use super::Rule;

/// The rules that the comments of a file turn off.
#[derive(Debug, Default)]
pub(super) struct Allowed {
    pub(super) rules: BTreeSet<Rule>,
    /// Names that are not rules that can be turned off, with their positions.
    pub(super) unknown: Vec<(usize, String)>,
}

impl Allowed {
    /// Reads the comments of a file, each with where it begins.
    pub(super) fn new(comments: &[(usize, &str)]) -> Self {
        let mut allowed = Self::default();
        for (at, comment) in comments {
            for name in names(comment) {
                let name = name.replace('-', "_").to_ascii_lowercase();
                let rule = Rule::ALL.iter().copied().find(|rule| rule.as_str() == name);
                match rule.filter(|rule| !rule.keeps_the_record()) {
                    Some(rule) => drop(allowed.rules.insert(rule)),
                    None => allowed.unknown.push((*at, name)),
                }
            }
        }
        allowed
    }
}

/// Returns the names in the parentheses of a comment that is for us.
fn names(comment: &str) -> impl Iterator<Item = &str> {
    let text = comment.trim_start_matches(['-', '/', '*']).trim_start();
    let names = text
        .strip_prefix("tenantry:")
        .and_then(|rest| rest.trim_start().strip_prefix("allow("))
        .and_then(|rest| rest.split_once(')'));
    let names = names.map_or("", |(names, _)| names);
    names.split(',').map(str::trim).filter(|name| !name.is_empty())
}
