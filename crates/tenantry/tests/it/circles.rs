//! No two neighbours among the modules of a crate import from each other, directly or by way of others.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::Path,
};

use crate::architecture::{Source, sources_below};

/// The path of a module from the root of its crate.
type Module = Vec<String>;

/// Which modules of a folder import from which of their neighbours.
type Imports = BTreeMap<Module, BTreeSet<Module>>;

fn module(path: &str) -> Module {
    let path = path.trim_end_matches(".rs");
    let names = path.split('/').filter(|name| !matches!(*name, "mod" | "lib" | "main"));
    names.map(str::to_owned).collect()
}

/// Returns the code without comments and without the tests at its end.
fn code(source: &Source) -> String {
    let code = source.code();
    code.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default().to_owned()
}

/// Adds the paths of a tree, such as `a::{b, c::d}`, to those that stand before it.
fn add_paths(tree: &str, before: &[String], paths: &mut Vec<Module>) {
    let names = |path: &str| -> Module {
        let names =
            path.split("::").map(|name| name.split(" as ").next().unwrap_or_default().trim());
        let names = names.filter(|name| !name.is_empty());
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

/// Returns the paths within the crate that a file names: what it imports, and other paths from the root.
fn paths(code: &str) -> Vec<Module> {
    let mut paths = Vec::new();
    for statement in code.split("use ").skip(1) {
        let tree = statement.split(';').next().unwrap_or_default();
        if ["crate", "self", "super"].iter().any(|root| tree.starts_with(root)) {
            add_paths(tree, &[], &mut paths);
        }
    }
    for path in code.split("crate::").skip(1) {
        let end = path.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':'));
        add_paths(&format!("crate::{}", &path[..end.unwrap_or(path.len())]), &[], &mut paths);
    }
    paths
}

/// Returns where a path leads that a module names.
fn absolute(path: &[String], own: &Module) -> Module {
    let ups = path.iter().take_while(|name| *name == "super").count();
    let (base, rest) = match path.first().map(String::as_str) {
        Some("crate") => (&own[..0], &path[1..]),
        Some("self") => (&own[..], &path[1..]),
        _ => (&own[..own.len().saturating_sub(ups)], &path[ups..]),
    };
    base.iter().chain(rest).cloned().collect()
}

/// Returns which neighbours import from which: of `a::b` and `a::c::d`, `a::b` from `a::c`.
fn imports(sources: &[Source]) -> Imports {
    let mut modules: BTreeSet<Module> = BTreeSet::new();
    for source in sources {
        let module = module(&source.path);
        modules.extend((1..=module.len()).map(|depth| module[..depth].to_vec()));
    }
    let mut imports = Imports::new();
    for source in sources {
        let own = module(&source.path);
        for path in paths(&code(source)) {
            let mut target = absolute(&path, &own);
            while !target.is_empty() && !modules.contains(&target) {
                target.pop();
            }
            let common = own.iter().zip(&target).take_while(|(own, target)| own == target).count();
            if common < own.len() && common < target.len() {
                let importer = imports.entry(own[..=common].to_vec()).or_default();
                importer.insert(target[..=common].to_vec());
            }
        }
    }
    imports
}

/// Returns what is left after everything is removed that imports nothing that is left.
fn circles(mut imports: Imports) -> Vec<String> {
    loop {
        let left: BTreeSet<Module> = imports.keys().cloned().collect();
        let before = left.len();
        for targets in imports.values_mut() {
            targets.retain(|target| left.contains(target));
        }
        imports.retain(|_, targets| !targets.is_empty());
        if imports.len() == before {
            break;
        }
    }
    let arrows = imports.iter().map(|(module, targets)| {
        let targets: Vec<_> = targets.iter().map(|target| target.join("::")).collect();
        format!("{} imports from {}", module.join("::"), targets.join(", "))
    });
    arrows.collect()
}

#[test]
fn no_crate_has_a_circle() -> io::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let (mut crates, mut found) = (0, Vec::new());
    for folder in ["crates", "examples"] {
        for entry in fs::read_dir(root.join(folder))? {
            let folder = entry?.path().join("src");
            if folder.is_dir() {
                crates += 1;
                let circles = circles(imports(&sources_below(&folder)?));
                let name = folder.display();
                found.extend(circles.into_iter().map(|circle| format!("{name}: {circle}")));
            }
        }
    }
    assert!(crates > 15, "only {crates} crates were found");
    assert!(found.is_empty(), "{found:#?}");
    Ok(())
}

#[test]
fn circles_are_found() {
    let found = |files: &[(&str, &str)]| {
        let sources: Vec<_> = files.iter().map(|(path, text)| Source::new(path, text)).collect();
        circles(imports(&sources)).len()
    };
    let root = ("lib.rs", "mod a; mod b;");
    assert_eq!(
        found(&[root, ("a.rs", "use crate::b::B;"), ("b.rs", "use super::{c, a::{A}};")]),
        2
    );
    assert_eq!(
        found(&[root, ("a.rs", "fn f(b: crate::b::B) {}"), ("b/mod.rs", "use crate::a::A;")]),
        2
    );
    assert_eq!(
        found(&[root, ("a/x.rs", "use super::y;"), ("a/y.rs", "use super::x::{self, X};")]),
        2
    );
    assert_eq!(
        found(&[root, ("a/x.rs", "use crate::b;"), ("b.rs", "use crate::{\n    a::y,\n};")]),
        2
    );
    assert_eq!(found(&[root, ("a.rs", "use crate::b::B;"), ("b.rs", "// use crate::a::A;")]), 0);
    let test = "fn f() {}\n\n#[cfg(test)]\nmod tests {\n    use crate::a::A;\n}";
    assert_eq!(found(&[root, ("a.rs", "use crate::b::B;"), ("b.rs", test)]), 0);
}
