//! Phrases that we do not use, in the documentation and in comments: each has a plain replacement.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// What is found, in lower case, and what to write instead.
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

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// All files with one of these endings below a folder, without build output.
fn files(folder: &Path, endings: &[&str], found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("the folder is there") {
        let path = entry.expect("it can be read").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() {
            if name != "target" && !name.starts_with('.') {
                files(&path, endings, found);
            }
        } else if endings.iter().any(|ending| name.ends_with(ending)) {
            found.push(path);
        }
    }
}

/// The lines of a page, or the comments of a source file.
fn is_prose(path: &Path, line: &str) -> bool {
    path.extension().is_some_and(|extension| extension == "md")
        || line.trim_start().starts_with("//")
}

#[test]
fn phrases_that_we_do_not_use() {
    let mut all = Vec::new();
    files(&root(), &[".md"], &mut all);
    for parent in ["crates", "examples"] {
        for package in fs::read_dir(root().join(parent)).expect("the folder is there") {
            files(&package.expect("it can be read").path().join("src"), &[".rs"], &mut all);
        }
    }
    let mut found = Vec::new();
    for path in all {
        let text = fs::read_to_string(&path).expect("it is text");
        for (number, line) in text.lines().enumerate().filter(|(_, line)| is_prose(&path, line)) {
            let line = line.to_lowercase();
            for (phrase, instead) in PHRASES.iter().filter(|(phrase, _)| line.contains(phrase)) {
                let path = path.strip_prefix(root()).unwrap_or(&path).display();
                found.push(format!("{path}:{}: {phrase:?}; instead: {instead}", number + 1));
            }
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}
