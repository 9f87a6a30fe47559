//! Phrases that we do not use, in the documentation and in comments: each has a plain replacement.

use std::path::Path;

use crate::repository::{files, from_root, markdown, packages, read};

/// Each phrase in lower case, with its replacement.
const PHRASES: &[(&str, &str)] = &[
    ("says whether", "returns `true` if"),
    ("whoever", "name the component: the request, the process, the run"),
    ("so long as", "while"),
    ("what came of", "result of"),
    ("what has come of", "result of"),
    ("what comes of", "result of"),
    ("is no part of", "is not part of"),
    ("is no wall", "is not a security boundary"),
    ("put right", "repair"),
    ("without notice", "abruptly"),
    ("for good", "permanently"),
    ("openings of connections", "connection attempts"),
    ("nobody knows", "name what cannot be known"),
];

/// Returns `true` for the lines of a page and the comments of a source file.
fn is_prose(path: &Path, line: &str) -> bool {
    path.extension().is_some_and(|extension| extension == "md")
        || line.trim_start().starts_with("//")
}

#[test]
fn phrases_that_we_do_not_use() {
    let mut found = Vec::new();
    let sources = packages().flat_map(|source| files(&source, "rs"));
    for path in markdown().into_iter().chain(sources) {
        let text = read(&path);
        for (number, line) in text.lines().enumerate().filter(|(_, line)| is_prose(&path, line)) {
            let line = line.to_lowercase();
            for (phrase, instead) in PHRASES.iter().filter(|(phrase, _)| line.contains(phrase)) {
                let path = from_root(&path);
                found.push(format!("{path}:{}: {phrase:?}; instead: {instead}", number + 1));
            }
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}
