//! `docs/configuration.md` names each setter of the option types.

use std::{collections::BTreeMap, fs, io, path::Path};

use crate::architecture::sources;

/// How the names of option types end.
const ENDINGS: &[&str] = &["Options", "Builder", "Policy"];

/// Option types with other names.
const OTHERS: &[&str] = &["Adopt", "Baseline", "Drift", "Lint", "WarmUp"];

fn page() -> io::Result<String> {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/configuration.md"))
}

/// Returns the section of the page on a type.
fn section<'a>(page: &'a str, of: &str) -> &'a str {
    let heading = format!("\n## {of}\n");
    let below = page.split(heading.as_str()).nth(1).unwrap_or_default();
    below.split("\n## ").next().unwrap_or_default()
}

/// Returns `true` if a type holds options.
fn is_options(of: &str) -> bool {
    let ends = ENDINGS.iter().any(|ending| of.ends_with(ending));
    !of.contains(' ') && (ends || OTHERS.contains(&of))
}

/// Adds the public setters in a file, by their types.
fn add_setters(text: &str, found: &mut BTreeMap<String, Vec<String>>) {
    for block in text.split("\nimpl ").skip(1) {
        let Some((of, body)) = block.split_once(" {") else { continue };
        if !is_options(of) {
            continue;
        }
        let body = body.split("\n}").next().unwrap_or_default();
        for function in body.split("\n    pub fn ").skip(1) {
            let signature = function.split('{').next().unwrap_or_default();
            let signature: String = signature.split_whitespace().collect();
            let takes_self = signature.contains("(mutself") || signature.contains("(self");
            if takes_self && signature.contains("->Self") {
                let name = function.split(['(', '<']).next().unwrap_or_default();
                found.entry(of.to_owned()).or_default().push(name.to_owned());
            }
        }
    }
}

#[test]
fn each_setter_has_a_row() -> io::Result<()> {
    let (page, mut setters) = (page()?, BTreeMap::new());
    for source in sources()? {
        add_setters(&source.text, &mut setters);
    }
    assert!(setters.len() > 20, "only {:?} were found", setters.keys());
    let mut missing = Vec::new();
    for (of, names) in &setters {
        let section = section(&page, of);
        let lacking = names.iter().filter(|name| !section.contains(&format!("| `{name}` |")));
        missing.extend(lacking.map(|name| format!("{of}::{name}")));
    }
    assert!(missing.is_empty(), "docs/configuration.md lacks {missing:#?}");
    Ok(())
}

#[test]
fn setters_are_told_from_other_functions() {
    let text = "\nimpl AOptions {\n    pub fn a<T>(\n        mut self,\n    ) -> Self {\n    }\n\n    \
                pub fn b(&self) -> bool {\n    }\n\n    pub fn c() -> Self {\n    }\n}\n\n\
                impl B {\n    pub fn d(self) -> Self {\n    }\n}\n";
    let mut found = BTreeMap::new();
    add_setters(text, &mut found);
    assert_eq!(found, BTreeMap::from([("AOptions".to_owned(), vec!["a".to_owned()])]));
}
