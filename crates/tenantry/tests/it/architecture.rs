//! What the architecture document promises about the sources, checked by reading them.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// The modules of the crate, top to bottom; those in a row are equals. A module imports from its own
/// row and from those below.
const LAYERS: &[&[&str]] = &[
    &["ops", "serve", "gate", "framework", "doctor", "outline"],
    &["manager"],
    &[
        "activity",
        "proof",
        "clone",
        "anonymize",
        "baseline",
        "drift",
        "each",
        "fan_out",
        "provision",
        "reading",
        "seed",
        "migrate",
        "warmup",
        "health",
        "metrics",
        "context",
    ],
    &["fleet"],
    &["catalog", "schema"],
    &["db"],
    &["pool"],
    &["retry", "sql"],
    &["event", "admission"],
    &["config", "error"],
    &["tenant", "timestamp", "table", "glob", "plain", "error_report", "incomplete"],
];

/// Files without I/O and without a clock; a folder stands for all that is in it.
const PURE: &[&str] = &[
    "activity/exposition.rs",
    "activity/gather.rs",
    "activity/histogram.rs",
    "activity/options.rs",
    "activity/rates.rs",
    "activity/service.rs",
    "activity/snapshot.rs",
    "admission/",
    "anonymize/",
    "baseline/likeness.rs",
    "baseline/options.rs",
    "baseline/report.rs",
    "catalog/table/columns.rs",
    "catalog/table/query.rs",
    "catalog/table/shape.rs",
    "glob.rs",
    "incomplete.rs",
    "plain.rs",
    "tenant/",
    "error/class.rs",
    "error_report.rs",
    "event/kinds.rs",
    "event/line.rs",
    "event/statement.rs",
    "retry/policy.rs",
    "health/grade.rs",
    "health/report.rs",
    "metrics/families.rs",
    "metrics/labels.rs",
    "metrics/snapshot.rs",
    "ops/allowance.rs",
    "ops/answer.rs",
    "ops/basic_auth.rs",
    "outline/naming.rs",
    "warmup/report.rs",
    "pool/application_name.rs",
    "pool/breaker.rs",
    "pool/hosts.rs",
    "pool/names.rs",
    "pool/outcomes.rs",
    "pool/scheduler/",
    "pool/snapshot.rs",
    "pool/standby.rs",
    "clone/options.rs",
    "clone/plan.rs",
    "clone/progress.rs",
    "clone/report.rs",
    "db/effect.rs",
    "migrate/stored_names.rs",
    "migrate/board.rs",
    "migrate/lint/",
    "migrate/plan.rs",
    "migrate/standing.rs",
    "migrate/stage.rs",
    "migrate/report.rs",
    "schema/ddl/",
    "schema/export/",
    "schema/lint/",
    "schema/repair/",
    "seed/report.rs",
    "serve/report.rs",
    "provision/adopt/options.rs",
    "provision/adopt/report.rs",
    "provision/report.rs",
    "provision/spare_note.rs",
    "provision/step.rs",
    "provision/written/judge.rs",
    "provision/written/scan.rs",
    "provision/written/search_path.rs",
    "each/batch.rs",
    "each/report.rs",
    "fan_out/board.rs",
    "fan_out/refusal.rs",
    "fan_out/report.rs",
    "fan_out/rows.rs",
    "doctor/affected.rs",
    "doctor/examined.rs",
    "doctor/finding.rs",
    "doctor/fleet/full_sequences.rs",
    "doctor/fleet/left_behind.rs",
    "doctor/report.rs",
    "doctor/text.rs",
    "drift/diff.rs",
    "drift/matching.rs",
    "drift/report.rs",
    "drift/text.rs",
    "schema/attribute.rs",
    "schema/beyond.rs",
    "schema/compare.rs",
    "schema/kind.rs",
    "schema/mentions.rs",
    "schema/model.rs",
    "schema/references.rs",
    "schema/tokens.rs",
    "table.rs",
    "proof/mark.rs",
    "proof/report.rs",
    "proof/text.rs",
];

/// What has no place in a pure file.
const IMPURE: &[&str] = &["sqlx", "tokio", "Instant::now", "SystemTime::now"];

/// The one file that may vouch for SQL text.
const SQL: &str = "sql.rs";

/// A source file: its path below `src`, with slashes, and its text.
pub(crate) struct Source {
    pub(crate) path: String,
    pub(crate) text: String,
}

impl Source {
    pub(crate) fn new(path: &str, text: &str) -> Self {
        Self { path: path.to_owned(), text: text.to_owned() }
    }

    /// The module directly below the crate's root that the file belongs to.
    fn module(&self) -> &str {
        let first = self.path.split('/').next().unwrap_or_default();
        first.strip_suffix(".rs").unwrap_or(first)
    }

    /// How many modules deep the file is: `pool/mod.rs` one, `pool/lease.rs` two.
    fn depth(&self) -> usize {
        self.path.trim_end_matches("/mod.rs").split('/').count()
    }

    /// The text without comments.
    pub(crate) fn code(&self) -> String {
        let lines = self.text.lines().map(|line| match line.trim_start().starts_with("//") {
            true => "",
            false => line.split_once(" // ").map_or(line, |(code, _)| code),
        });
        lines.collect::<Vec<_>>().join("\n")
    }
}

/// The modules below the crate's root that a file names in its code.
fn imports(source: &Source) -> Vec<String> {
    let code = source.code();
    let from_root = "super::".repeat(source.depth());
    let starts = ["crate::", &from_root].into_iter().flat_map(|root| {
        let code = &code;
        code.match_indices(root).map(move |(at, _)| &code[at + root.len()..])
    });
    starts.flat_map(first_names).collect()
}

/// The first name of a path, or the first names of all paths in braces.
fn first_names(path: &str) -> Vec<String> {
    let name = |path: &str| {
        let end = path.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
        path[..end.unwrap_or(path.len())].to_owned()
    };
    let Some(group) = path.strip_prefix('{') else {
        return vec![name(path)];
    };
    let (mut depth, mut start, mut names) = (0_i32, 0, Vec::new());
    for (at, character) in group.char_indices() {
        match character {
            '{' => depth += 1,
            '}' | ',' if depth == 0 => {
                names.push(name(group[start..at].trim()));
                start = at + 1;
                if character == '}' {
                    break;
                }
            }
            '}' => depth -= 1,
            _ => {}
        }
    }
    names
}

fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&module))
}

/// Every breach of the rules by one file.
fn breaches(source: &Source) -> Vec<String> {
    let mut found = Vec::new();
    let code = source.code();
    let module = source.module();
    if module != "lib" {
        match layer(module) {
            None => found.push(format!("{}: {module} has no place in LAYERS", source.path)),
            Some(own) => {
                for import in imports(source) {
                    if layer(&import).is_some_and(|other| other < own) {
                        found.push(format!("{}: imports {import} from above", source.path));
                    }
                }
            }
        }
    }
    if PURE.iter().any(|pure| source.path.starts_with(pure)) {
        // The name of a table is no use of a crate.
        let code = code.replace("\"_sqlx_migrations\"", "");
        for word in IMPURE.iter().filter(|word| code.contains(**word)) {
            found.push(format!("{}: {word} in a pure file", source.path));
        }
    }
    if source.path != SQL && code.contains("AssertSqlSafe") {
        found.push(format!("{}: vouches for SQL text", source.path));
    }
    found
}

fn read(folder: &Path, root: &Path, sources: &mut Vec<Source>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path: PathBuf = entry?.path();
        if path.is_dir() {
            read(&path, root, sources)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let below = path.strip_prefix(root).map_err(io::Error::other)?;
            let below = below.to_string_lossy().replace('\\', "/");
            sources.push(Source::new(&below, &fs::read_to_string(&path)?));
        }
    }
    Ok(())
}

/// Reads the sources of the crate.
pub(crate) fn sources() -> io::Result<Vec<Source>> {
    let sources = sources_below(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"))?;
    assert!(sources.len() > 20, "only {} files were found", sources.len());
    Ok(sources)
}

/// Reads the sources in a folder and in those below it.
pub(crate) fn sources_below(root: &Path) -> io::Result<Vec<Source>> {
    let mut sources = Vec::new();
    read(root, root, &mut sources)?;
    Ok(sources)
}

#[test]
fn the_sources_keep_to_the_architecture() -> io::Result<()> {
    let sources = sources()?;
    for pure in PURE {
        assert!(sources.iter().any(|source| source.path.starts_with(pure)), "{pure} is gone");
    }
    let found: Vec<_> = sources.iter().flat_map(breaches).collect();
    assert!(found.is_empty(), "{found:#?}");
    Ok(())
}

#[test]
fn each_rule_is_broken_by_what_breaks_it() {
    for (path, text) in [
        ("pool/lease.rs", "use crate::db::TenantDb;"),
        ("pool/lease.rs", "use crate::{\n    error::Error,\n    db::{TenantDb, SharedDb},\n};"),
        ("pool/lease.rs", "fn f() -> crate::manager::TenantManager {}"),
        ("pool/mod.rs", "use super::catalog::Catalog;"),
        ("pool/scheduler/fair.rs", "use super::super::super::db::TenantDb;"),
        ("tenant/id.rs", "use crate::error::Error;"),
        ("error.rs", "use crate::sql::Sql;"),
        ("novelty.rs", ""),
        ("tenant/id.rs", "use sqlx::Row;"),
        ("pool/scheduler/mod.rs", "use tokio::time::Duration;"),
        ("pool/scheduler/deep/file.rs", "let now = std::time::Instant::now();"),
        ("db/effect.rs", "let now = SystemTime::now(); // when"),
        ("catalog/table.rs", "sqlx::AssertSqlSafe(text)"),
        ("lib.rs", "pub use sqlx::AssertSqlSafe;"),
    ] {
        assert_eq!(breaches(&Source::new(path, text)).len(), 1, "{path}: {text}");
    }
}

#[test]
fn what_is_allowed_breaks_no_rule() {
    for (path, text) in [
        ("db/tenant.rs", "use crate::{error::Error, pool::{Lease, db}, tenant::Tenant};"),
        ("db/tenant.rs", "use super::{Handle, manager};"),
        ("manager.rs", "use crate::{catalog::Lookup, db::{Handle, SharedDb}};"),
        ("manager/builder.rs", "use super::TenantManager;"),
        ("tenant/id.rs", "//! Without sqlx, see crate::manager.\nuse super::ident; // no tokio"),
        ("sql.rs", "sqlx::AssertSqlSafe(self.0)"),
        ("db/statement.rs", "let now = Instant::now();"),
        ("lib.rs", "pub use manager::TenantManager;"),
    ] {
        assert_eq!(breaches(&Source::new(path, text)), Vec::<String>::new(), "{path}: {text}");
    }
}
