//! `docs/troubleshooting.md` has a row for each kind of error, and for each warning and error in the log.

use std::collections::BTreeSet;

use crate::{
    repository::{read, root},
    source::sources,
};

/// The macros whose messages must be in the page.
const MACROS: &[&str] = &["warn!(", "error!("];

fn page() -> String {
    read(&root().join("docs/troubleshooting.md"))
}

/// Returns the variants of `ErrorKind`.
fn kinds_in(text: &str) -> BTreeSet<String> {
    let body = text.split("pub enum ErrorKind {").nth(1).unwrap_or_default();
    let body = body.split("\n}").next().unwrap_or_default();
    let names = body.lines().filter_map(|line| line.trim().strip_suffix(','));
    names.filter(|name| name.chars().all(char::is_alphanumeric)).map(str::to_owned).collect()
}

/// Returns how each variant of `ErrorKind` is described, from the arms that do so.
fn descriptions_in(text: &str) -> Vec<(&str, &str)> {
    let body = text.split("fn describe(self)").nth(1).unwrap_or_default();
    let body = body.split("\n    }\n").next().unwrap_or_default();
    let arms = body.lines().filter_map(|line| line.trim().strip_prefix("Self::"));
    arms.filter_map(|arm| arm.trim_end_matches("\",").split_once(" => \"")).collect()
}

/// Returns the messages that a file writes to the log, with their placeholders.
fn messages_in(text: &str) -> BTreeSet<String> {
    let lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    let code = lines.collect::<Vec<_>>().join("\n");
    let mut found = BTreeSet::new();
    for name in MACROS {
        found.extend(code.split(name).skip(1).filter_map(message));
    }
    found
}

/// Returns the string among the arguments of a macro that is neither the value of a field nor inside a call.
fn message(arguments: &str) -> Option<String> {
    let (mut depth, mut stands_alone) = (0_i32, false);
    // Code and strings take turns, because no argument has a quote in quotes.
    for (place, part) in arguments.split('"').enumerate() {
        if place % 2 == 1 {
            if stands_alone {
                return Some(part.split("\\\n").map(str::trim_start).collect());
            }
            continue;
        }
        for character in part.chars() {
            match character {
                '(' | '[' | '{' => depth += 1,
                ')' | ']' | '}' => depth -= 1,
                _ => {}
            }
            if depth < 0 {
                return None;
            }
        }
        let before = part.trim_end();
        stands_alone = depth == 0 && (before.is_empty() || before.ends_with(','));
    }
    None
}

#[test]
fn each_error_and_each_warning_has_a_row() {
    let (page, sources) = (page(), sources());
    let errors = sources.iter().filter(|source| source.path == "error.rs");
    let kinds: BTreeSet<_> = errors.flat_map(|source| kinds_in(&source.text)).collect();
    let messages: BTreeSet<_> =
        sources.iter().flat_map(|source| messages_in(&source.text)).collect();
    assert!(kinds.len() > 30, "{kinds:?}");
    assert!(messages.len() > 30, "{messages:?}");
    let described = sources.iter().filter(|source| source.path == "error.rs");
    let described = described.flat_map(|source| descriptions_in(&source.text));
    let mut described: Vec<_> =
        described.map(|(kind, text)| format!("| `{kind}` | {text} |")).collect();
    assert_eq!(described.len(), kinds.len(), "{described:?}");
    described.retain(|row| !page.contains(row));
    assert!(described.is_empty(), "docs/troubleshooting.md lacks {described:#?}");
    let kinds = kinds.into_iter().filter(|kind| !page.contains(&format!("| `{kind}` |")));
    let messages = messages.into_iter().filter(|message| !page.contains(&format!("`{message}")));
    let missing: Vec<_> = kinds.chain(messages).collect();
    assert!(missing.is_empty(), "docs/troubleshooting.md lacks {missing:#?}");
}

#[test]
fn a_message_is_found_among_its_fields() {
    let text = "// warn!(\"no\")\nwarn!(\n target: \"t\", n = f(\"{}\", 1),\n \"a {} \\\n   b\", x(\", \")\n)";
    assert_eq!(messages_in(text), BTreeSet::from(["a {} b".to_owned()]));
    assert_eq!(
        messages_in("error!(of = 1, \"E\"); warn!(x); f(\"no\")"),
        BTreeSet::from(["E".to_owned()])
    );
    assert_eq!(
        kinds_in("pub enum ErrorKind {\n    /// One, two,\n    One,\n}\nfn f() {}").len(),
        1
    );
}
