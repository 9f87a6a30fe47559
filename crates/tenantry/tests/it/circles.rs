//! No two neighbours among the modules of a crate import from each other, directly or by way of others.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    repository::{from_root, packages},
    source::{Module, Source, sources_below},
};

/// Which modules of a folder import from which of their neighbours.
type Imports = BTreeMap<Module, BTreeSet<Module>>;

/// Returns the code without comments and without the tests at its end.
fn code(source: &Source) -> String {
    let code = source.code();
    code.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default().to_owned()
}

/// Returns which neighbours import from which: of `a::b` and `a::c::d`, `a::b` from `a::c`.
fn imports(sources: &[Source]) -> Imports {
    let mut modules: BTreeSet<Module> = BTreeSet::new();
    for source in sources {
        let module = source.module();
        modules.extend((1..=module.len()).map(|depth| module[..depth].to_vec()));
    }
    let mut imports = Imports::new();
    for source in sources {
        let own = source.module();
        for mut target in source.paths_in(&code(source)) {
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
fn no_crate_has_a_circle() {
    let (mut crates, mut found) = (0, Vec::new());
    for source in packages() {
        crates += 1;
        let circles = circles(imports(&sources_below(&source)));
        found.extend(circles.into_iter().map(|circle| format!("{}: {circle}", from_root(&source))));
    }
    assert!(crates > 15, "only {crates} crates were found");
    assert!(found.is_empty(), "{found:#?}");
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
