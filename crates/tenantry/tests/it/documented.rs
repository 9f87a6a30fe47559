//! Lists in the documentation and in other crates have everything that the sources define, and nothing else.

use std::collections::{BTreeMap, BTreeSet};

use tenantry::{TenantManager, migrate::Rule, schema::LintRule};

use crate::{
    repository::{read, root},
    source::{Source, sources},
};

/// Returns the text of a file of the repository.
fn file(path: &str) -> String {
    read(&root().join(path))
}

/// Returns what stands between a beginning and a quote, wherever a text has that beginning.
fn after<'a>(text: &'a str, beginning: &str) -> BTreeSet<&'a str> {
    text.split(beginning).skip(1).filter_map(|rest| rest.split('"').next()).collect()
}

#[test]
fn each_check_of_the_doctor_is_in_the_table() -> Result<(), tenantry::ConfigError> {
    let doctor = TenantManager::builder("postgres://app@localhost/saas").build()?.doctor();
    let page = file("crates/tenantry/src/doctor/mod.rs");
    let names: Vec<_> = doctor.checks().map(|(name, _)| name).collect();
    assert!(names.len() > 30, "{names:?}");
    let missing: Vec<_> =
        names.into_iter().filter(|name| !page.contains(&format!("`{name}`"))).collect();
    assert_eq!(missing, [""; 0]);
    Ok(())
}

#[test]
fn each_rule_of_the_lint_is_in_the_guide() {
    let page = file("docs/migrating.md");
    let names = Rule::ALL.iter().map(|rule| rule.as_str());
    let missing: Vec<_> = names.filter(|name| !page.contains(&format!("`{name}`"))).collect();
    assert_eq!(missing, [""; 0]);
}

#[test]
fn each_rule_for_schemas_is_in_the_guide_with_its_severity() {
    let page = file("docs/drift.md");
    let rows = LintRule::ALL
        .iter()
        .map(|rule| format!("| `{}` | {} |", rule.id(), rule.default_severity()));
    let missing: Vec<_> = rows.filter(|row| !page.contains(row)).collect();
    assert_eq!(missing, [""; 0]);
}

#[test]
fn each_type_of_problem_is_in_the_tables() {
    const PREFIX: &str = "urn:problem-type:tenantry:";
    let kinds = file("crates/tenantry/src/admission/kind.rs");
    let of_requests = after(&kinds, PREFIX);
    assert!(of_requests.len() > 6, "{of_requests:?}");
    let guide = file("docs/handlers.md");
    let missing: Vec<_> =
        of_requests.iter().filter(|name| !guide.contains(&format!("`{name}`"))).collect();
    assert!(missing.is_empty(), "docs/handlers.md lacks {missing:?}");
    for path in [
        "crates/tenantry/src/admission/rejection.rs",
        "crates/tenantry-tower/src/rejection.rs",
        "crates/tenantry-actix/src/rejection.rs",
    ] {
        let page = file(path);
        let missing: Vec<_> = of_requests
            .iter()
            .filter(|name| !page.contains(&format!("`{PREFIX}{name}`")))
            .collect();
        assert!(missing.is_empty(), "{path} lacks {missing:?}");
    }
}

/// Returns the cells of a row of a table, without the bars at its ends.
fn cells(row: &str) -> Vec<&str> {
    row.trim_matches('|').split(" | ").map(str::trim).collect()
}

/// Returns the first number in a cell: a status.
fn status(cell: &str) -> Option<&str> {
    cell.split(|c: char| !c.is_ascii_digit()).find(|number| number.len() == 3)
}

/// Returns the status of each kind of error without and with `Mapped`, as `docs/handlers.md` has them.
fn statuses(page: &str) -> BTreeMap<&str, (&str, &str)> {
    let table = page.split("| `ErrorKind` | `DbError` | `Mapped` |\n").nth(1).unwrap_or_default();
    let rows = table.lines().take_while(|line| line.starts_with('|'));
    let mut found = BTreeMap::new();
    for row in rows {
        let [kinds, plain, mapped] = cells(row)[..] else { continue };
        let (Some(plain), Some(mapped)) = (status(plain), status(mapped)) else { continue };
        found.extend(kinds.split('`').skip(1).step_by(2).map(|kind| (kind, (plain, mapped))));
    }
    found
}

#[test]
fn both_tables_of_statuses_agree() {
    let (guide, table) = (file("docs/handlers.md"), file("docs/troubleshooting.md"));
    let statuses = statuses(&guide);
    assert!(statuses.len() > 20, "{statuses:?}");
    let (mut compared, mut wrong) = (0, Vec::new());
    for row in table.lines().filter(|line| line.starts_with("| `")) {
        let [kind, _, status, _, _] = cells(row)[..] else { continue };
        let (plain, mapped) = match statuses.get(kind.trim_matches('`')) {
            // It depends on the error, which the table explains.
            Some(_) if kind == "`Catalog`" => continue,
            Some(known) => *known,
            None => ("500", "500"),
        };
        let expected =
            if plain == mapped { plain.to_owned() } else { format!("{plain}; {mapped}") };
        compared += 1;
        if status != expected {
            wrong.push(row);
        }
    }
    assert!(wrong.is_empty(), "docs/handlers.md has other statuses than {wrong:#?}");
    assert!(compared > 30, "only {compared} were compared");
}

#[test]
fn each_name_of_opentelemetry_in_the_page_of_metrics_is_exported() {
    let page = file("docs/metrics.md");
    let exporter = file("crates/tenantry/src/metrics/otel.rs");
    let quoted = page.split('`').skip(1).step_by(2);
    let names: BTreeSet<_> = quoted
        .filter(|name| name.starts_with("db.client.") || name.starts_with("tenantry."))
        .collect();
    assert!(names.len() > 10, "{names:?}");
    let missing: Vec<_> =
        names.iter().filter(|name| !exporter.contains(&format!("\"{name}\""))).collect();
    assert!(missing.is_empty(), "metrics/otel.rs lacks {missing:?}");
}

#[test]
fn each_term_that_the_command_line_translates_is_one_of_the_library() {
    let words = file("crates/tenantry-cli/src/words.rs");
    let list = words.split("const WORDS").nth(1).and_then(|rest| rest.split("\n];\n").next());
    let lines = list.unwrap_or_default().lines().filter_map(|line| line.trim().strip_prefix("(\""));
    let terms: Vec<_> =
        lines.filter_map(|line| line.split_once("\", \"")).map(|(term, _)| term).collect();
    assert!(terms.len() > 10, "{terms:?}");
    let code: Vec<_> = sources().iter().map(Source::code).collect();
    let is_known = |term: &str| code.iter().any(|code| code.contains(term));
    let unknown: Vec<_> = terms.into_iter().filter(|term| !is_known(term)).collect();
    assert_eq!(unknown, [""; 0]);
}
