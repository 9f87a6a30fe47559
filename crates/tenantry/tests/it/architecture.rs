//! What the architecture document promises about the sources, checked by reading them. The document has the same layers
//! as this file, and names only files that exist.

use std::collections::BTreeSet;

use crate::{
    repository::{read, root},
    source::{Source, sources},
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
        "archive",
        "anonymize",
        "baseline",
        "drift",
        "each",
        "fan_out",
        "provision",
        "reading",
        "rows",
        "seed",
        "migrate",
        "moves",
        "warmup",
        "health",
        "metrics",
        "context",
    ],
    &["fleet"],
    &["catalog", "schema"],
    &["db", "servers", "budget"],
    &["pool"],
    &["citus", "retry", "sql"],
    &["event", "admission"],
    &["error"],
    &[
        "tenant",
        "timestamp",
        "table",
        "glob",
        "hashed",
        "finding",
        "plain",
        "error_report",
        "incomplete",
    ],
];

/// Files without I/O and without a clock; a folder stands for all that is in it.
const PURE: &[&str] = &[
    "pool/fleeting/modes.rs",
    "db/behind_pooler.rs",
    "db/only_reads.rs",
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
    "budget/allocation.rs",
    "budget/member.rs",
    "budget/sightings.rs",
    "catalog/placing.rs",
    "citus/found.rs",
    "citus/node.rs",
    "citus/sharding.rs",
    "catalog/table/columns.rs",
    "catalog/table/query.rs",
    "catalog/table/shape.rs",
    "finding/",
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
    "pool/allowance.rs",
    "pool/application_name.rs",
    "pool/breaker.rs",
    "pool/hosts.rs",
    "pool/names.rs",
    "pool/outcomes.rs",
    "pool/replicas/instances.rs",
    "pool/replicas/judge.rs",
    "pool/replicas/lsn.rs",
    "pool/replicas/marks.rs",
    "pool/replicas/token.rs",
    "pool/replicas/trail.rs",
    "pool/scheduler/",
    "pool/snapshot.rs",
    "pool/standby.rs",
    "archive/diff/options.rs",
    "archive/diff/report.rs",
    "archive/manifest.rs",
    "archive/merge/choice.rs",
    "archive/merge/options.rs",
    "archive/merge/report.rs",
    "archive/options.rs",
    "archive/report.rs",
    "clone/options.rs",
    "clone/plan.rs",
    "clone/progress.rs",
    "clone/report.rs",
    "db/effect.rs",
    "migrate/stored_names.rs",
    "migrate/board.rs",
    "migrate/tally.rs",
    "migrate/remembered.rs",
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
    "moves/estimate.rs",
    "moves/machine.rs",
    "moves/to_node/options.rs",
    "moves/to_node/report.rs",
    "moves/obstacle.rs",
    "moves/options.rs",
    "moves/record.rs",
    "moves/stage.rs",
    "provision/adopt/options.rs",
    "provision/adopt/report.rs",
    "provision/in_rows/copies.rs",
    "provision/in_rows/fit.rs",
    "provision/elsewhere/found.rs",
    "provision/in_rows/order.rs",
    "provision/mark.rs",
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
    "doctor/examined.rs",
    "doctor/fleet/full_sequences.rs",
    "doctor/fleet/left_behind.rs",
    "doctor/repeated.rs",
    "doctor/report.rs",
    "doctor/several.rs",
    "doctor/text.rs",
    "drift/diff.rs",
    "drift/matching.rs",
    "drift/report.rs",
    "drift/text.rs",
    "rows/file/",
    "rows/tables/",
    "rows/verify/finding.rs",
    "rows/verify/judge/",
    "rows/verify/normal.rs",
    "rows/verify/report.rs",
    "rows/verify/rule.rs",
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

/// Returns the modules below the crate's root that a file names in its code.
fn imports(source: &Source, code: &str) -> BTreeSet<String> {
    source.paths_in(code).into_iter().filter_map(|path| path.into_iter().next()).collect()
}

fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&module))
}

/// Every breach of the rules by one file.
fn breaches(source: &Source) -> Vec<String> {
    let mut found = Vec::new();
    let code = source.code();
    if let Some(module) = source.module().first() {
        match layer(module) {
            None => found.push(format!("{}: {module} has no place in LAYERS", source.path)),
            Some(own) => {
                for import in imports(source, &code) {
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

#[test]
fn the_sources_keep_to_the_architecture() {
    let sources = sources();
    for pure in PURE {
        assert!(sources.iter().any(|source| source.path.starts_with(pure)), "{pure} is gone");
    }
    let found: Vec<_> = sources.iter().flat_map(breaches).collect();
    assert!(found.is_empty(), "{found:#?}");
}

fn page() -> String {
    read(&root().join("ARCHITECTURE.md"))
}

/// Returns the layers in the document. A line that is indented further continues the one before it.
fn layers_in(page: &str) -> Vec<BTreeSet<&str>> {
    let block = page.split("\n### Layers\n").nth(1).unwrap_or_default();
    let block = block.split("```").nth(1).unwrap_or_default();
    let mut layers: Vec<BTreeSet<&str>> = Vec::new();
    for line in block.lines().skip(1).filter(|line| !line.is_empty()) {
        let modules = line.split(',').map(str::trim).filter(|module| !module.is_empty());
        match layers.last_mut().filter(|_| line.starts_with("  ")) {
            Some(last) => last.extend(modules),
            None => layers.push(modules.collect()),
        }
    }
    layers
}

#[test]
fn the_document_has_these_layers() {
    let layers = LAYERS.iter().map(|layer| layer.iter().copied().collect());
    assert_eq!(layers_in(&page()), layers.collect::<Vec<BTreeSet<_>>>());
    let modules: BTreeSet<_> =
        sources().iter().filter_map(|source| source.module().first().cloned()).collect();
    let gone = LAYERS.iter().flat_map(|layer| *layer).filter(|module| !modules.contains(**module));
    assert_eq!(gone.collect::<Vec<_>>(), [&""; 0]);
}

fn join(folder: &str, path: &str) -> String {
    if folder.is_empty() { path.to_owned() } else { format!("{folder}/{path}") }
}

/// Returns the files and folders that the tables of the document name, each with the folders that it can be in: those
/// of the heading above, the usual ones, and that of the path before it in its row.
fn paths_in(page: &str) -> Vec<(String, Vec<String>)> {
    const USUAL: [&str; 3] = ["", "crates/tenantry", "crates/tenantry/src"];
    let is_path = |name: &str| {
        let ends = ["/", ".rs", ".md", ".yml", ".json"].iter().any(|end| name.ends_with(end));
        ends && !name.starts_with('/') && !name.contains([' ', '*'])
    };
    let (mut found, mut of_heading) = (Vec::new(), Vec::new());
    for line in page.lines() {
        let quoted: Vec<&str> = line.split('`').skip(1).step_by(2).collect();
        if line.starts_with('#') {
            of_heading = quoted.iter().map(|name| (*name).to_owned()).collect();
        }
        if !line.starts_with('|') {
            continue;
        }
        let mut before = Vec::new();
        for path in quoted.into_iter().filter(|name| is_path(name)) {
            let mut folders = of_heading.clone();
            folders.extend(USUAL.map(str::to_owned));
            folders.append(&mut before);
            let folder = path.rfind('/').map_or("", |end| &path[..end]);
            before = folders.iter().map(|of| join(of, folder)).collect();
            found.push((path.to_owned(), folders));
        }
    }
    found
}

#[test]
fn each_path_in_the_document_exists() {
    let (page, root) = (page(), root());
    let paths = paths_in(&page);
    assert!(paths.len() > 150, "{paths:?}");
    let is_there =
        |path: &str, of: &[String]| of.iter().any(|of| root.join(of).join(path).exists());
    let gone = paths.iter().filter(|(path, folders)| !is_there(path, folders));
    assert_eq!(gone.map(|(path, _)| path).collect::<Vec<_>>(), [""; 0]);
}

#[test]
fn each_module_is_in_the_document() {
    let page = page();
    let is_named = |module: &str| {
        page.contains(&format!("`{module}/")) || page.contains(&format!("`{module}.rs`"))
    };
    let missing = LAYERS.iter().flat_map(|layer| *layer).filter(|module| !is_named(module));
    assert_eq!(missing.collect::<Vec<_>>(), [&""; 0]);
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
