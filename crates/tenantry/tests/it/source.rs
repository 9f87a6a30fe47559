//! The source files of a crate, and the modules whose names they contain.

use std::path::Path;

use crate::repository::{files, read};

/// The path of a module from the root of its crate.
pub(crate) type Module = Vec<String>;

/// A source file: its path below `src`, with slashes, and its text.
pub(crate) struct Source {
    pub(crate) path: String,
    pub(crate) text: String,
}

impl Source {
    pub(crate) fn new(path: &str, text: &str) -> Self {
        Self { path: path.to_owned(), text: text.to_owned() }
    }

    pub(crate) fn module(&self) -> Module {
        let path = self.path.trim_end_matches(".rs");
        let names = path.split('/').filter(|name| !matches!(*name, "mod" | "lib" | "main"));
        names.map(str::to_owned).collect()
    }

    /// Returns the text without comments.
    pub(crate) fn code(&self) -> String {
        let lines = self.text.lines().map(|line| match line.trim_start().starts_with("//") {
            true => "",
            false => line.split_once(" // ").map_or(line, |(code, _)| code),
        });
        lines.collect::<Vec<_>>().join("\n")
    }

    /// Returns the paths in the code that begin in the crate, from its root, such as `pool::lease::Lease`.
    pub(crate) fn paths_in(&self, code: &str) -> Vec<Module> {
        let own = self.module();
        let paths = paths(code);
        paths.iter().map(|path| absolute(path, &own)).collect()
    }
}

/// Returns the sources of this crate.
pub(crate) fn sources() -> Vec<Source> {
    let sources = sources_below(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    assert!(sources.len() > 20, "only {} files were found", sources.len());
    sources
}

/// Returns the sources in a folder `src`.
pub(crate) fn sources_below(src: &Path) -> Vec<Source> {
    let sources = files(src, "rs").into_iter().map(|path| {
        let below = path.strip_prefix(src).expect("it is below");
        Source::new(&below.to_string_lossy().replace('\\', "/"), &read(&path))
    });
    sources.collect()
}

/// Returns the paths that begin with `crate`, `self` or `super`, imported or not.
fn paths(code: &str) -> Vec<Module> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    let mut paths = Vec::new();
    for root in ["crate::", "self::", "super::"] {
        for (at, _) in code.match_indices(root).filter(|(at, _)| !code[..*at].ends_with(is_name)) {
            let path = &code[at..];
            let end = path.find(|c| !is_name(c)).unwrap_or(path.len());
            let group = path[end..].starts_with('{').then(|| group_end(&path[end..]));
            add_paths(&path[..end + group.unwrap_or_default()], &[], &mut paths);
        }
    }
    paths
}

/// Returns the length of the group in braces that a text begins with.
fn group_end(text: &str) -> usize {
    let mut depth = 0_usize;
    for (at, character) in text.char_indices() {
        match character {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at + 1;
        }
    }
    text.len()
}

/// Adds the paths of a tree, such as `a::{b, c::d}`, to those that stand before it.
fn add_paths(tree: &str, before: &[String], paths: &mut Vec<Module>) {
    let names = |path: &str| -> Module {
        let names = path.split("::").map(|name| name.split(" as ").next().unwrap_or_default());
        let names = names.map(str::trim).filter(|name| !name.is_empty());
        before.iter().cloned().chain(names.map(str::to_owned)).collect()
    };
    let (mut depth, mut start) = (0_usize, 0);
    for (at, character) in tree.char_indices().chain([(tree.len(), ',')]) {
        match character {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                let branch = tree[start..at].trim();
                match branch.split_once('{') {
                    Some((path, rest)) => {
                        let inner = rest.strip_suffix('}').unwrap_or(rest);
                        add_paths(inner, &names(path), paths);
                    }
                    None if branch.is_empty() => {}
                    None => paths.push(names(branch)),
                }
                start = at + 1;
            }
            _ => {}
        }
    }
}

/// Returns where a path leads that this module contains.
fn absolute(path: &[String], own: &Module) -> Module {
    let ups = path.iter().take_while(|name| *name == "super").count();
    let (base, rest) = match path.first().map(String::as_str) {
        Some("crate") => (&own[..0], &path[1..]),
        Some("self") => (&own[..], &path[1..]),
        _ => (&own[..own.len().saturating_sub(ups)], &path[ups..]),
    };
    base.iter().chain(rest).cloned().collect()
}
