//! `docs/configuration.md` names each setter of the option types, with the default that it has.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Debug,
    time::Duration,
};

use tenantry::{
    BreakerOptions, CatalogOptions, EventOptions, HealthOptions, MetricsOptions, PoolOptions,
    TenantLimits, WarmUp,
    activity::ActivityOptions,
    archive::{DiffOptions, ImportOptions, MergeOptions},
    clone::CloneOptions,
    each::EachOptions,
    fan_out::FanOutOptions,
    migrate::MigrateOptions,
    moves::{DrainOptions, MoveOptions},
    proof::ProofOptions,
    provision::{CreateOptions, DropOptions},
    retry::RetryPolicy,
    rows::{ExportOptions, RestoreOptions},
    seed::SeedOptions,
    serve::ServeOptions,
};

use crate::{
    repository::{read, root},
    source::sources,
};

/// How the names of option types end.
const ENDINGS: &[&str] = &["Options", "Builder", "Policy"];

/// Option types with other names.
const OTHERS: &[&str] =
    &["Adopt", "Baseline", "Drift", "Lint", "SharedBudget", "TenantLimits", "Tier", "WarmUp"];

fn page() -> String {
    read(&root().join("docs/configuration.md"))
}

/// Returns the section of the page on a type.
fn section<'a>(page: &'a str, of: &str) -> &'a str {
    let heading = format!("\n## {of}\n");
    let below = page.split(heading.as_str()).nth(1).unwrap_or_default();
    below.split("\n## ").next().unwrap_or_default()
}

/// Returns the rows of a type: option and default.
fn rows<'a>(page: &'a str, of: &str) -> impl Iterator<Item = (&'a str, &'a str)> {
    section(page, of).lines().filter_map(|line| {
        let mut cells = line.strip_prefix("| `")?.split(" | ");
        let option = cells.next()?.strip_suffix('`')?;
        Some((option, cells.nth(1)?))
    })
}

/// A default, as a cell states it and as `Debug` prints it.
#[derive(Debug, PartialEq)]
enum Value {
    Nothing,
    Number(f64),
    Time(Duration),
    Word(String),
}

impl Value {
    /// Reads the default of a cell, if it is a plain value.
    fn stated(cell: &str) -> Option<Self> {
        let value = cell.split([';', ':']).next()?.trim_matches('`');
        match value {
            "all" | "never" | "no limit" | "none" | "None" | "null" | "off" | "one wave" => {
                return Some(Self::Nothing);
            }
            "zero" => return Some(Self::Time(Duration::ZERO)),
            _ => {}
        }
        let Some((number, unit)) = value.split_once(' ') else { return Some(Self::word(value)) };
        let milliseconds = match unit {
            "ms" => 1,
            "s" => 1_000,
            "min" => 60_000,
            "h" => 3_600_000,
            _ => return None,
        };
        let number: u64 = number.parse().ok()?;
        Some(Self::Time(Duration::from_millis(number * milliseconds)))
    }

    /// Reads what `Debug` printed.
    fn real(value: &str) -> Self {
        let time = |unit: &str, seconds: f64| {
            let number: f64 = value.strip_suffix(unit)?.parse().ok()?;
            Some(Self::Time(Duration::from_secs_f64(number * seconds)))
        };
        match value {
            "None" | "Null" | "[]" | "{}" => Self::Nothing,
            value => time("ms", 1e-3)
                .or_else(|| time("ns", 1e-9))
                .or_else(|| time("s", 1.0))
                .unwrap_or_else(|| Self::word(value)),
        }
    }

    fn word(value: &str) -> Self {
        match value.replace(',', "").parse() {
            Ok(number) => Self::Number(number),
            Err(_) => Self::Word(value.to_owned()),
        }
    }

    /// Returns `true` if the two agree. A setter without an argument that is off has the value `false`.
    fn is(&self, real: &Self) -> bool {
        self == real || (*self == Self::Nothing && *real == Self::Word("false".to_owned()))
    }
}

/// Returns the fields of a value with their values, as `Debug` prints them.
fn fields(of: &impl Debug) -> BTreeMap<String, String> {
    let pretty = format!("{of:#?}\n");
    let outer = pretty.lines().filter_map(|line| line.strip_prefix("    "));
    let lines: Vec<&str> = outer.collect();
    let mut found = BTreeMap::new();
    for (at, line) in lines.iter().enumerate() {
        let Some((name, value)) = line.split_once(": ") else { continue };
        let value = match value {
            "Some(" => lines.get(at + 1).map_or("", |inner| inner.trim()),
            value => value,
        };
        if !name.starts_with(' ') {
            found.insert(name.to_owned(), value.trim_end_matches(',').to_owned());
        }
    }
    found
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
fn each_setter_has_a_row() {
    let (page, mut setters) = (page(), BTreeMap::new());
    for source in sources() {
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
}

/// Compares the defaults in a section with those of a value; returns the options that were compared.
fn compare(page: &str, of: &str, value: &impl Debug, wrong: &mut Vec<String>) -> BTreeSet<String> {
    let (fields, mut compared) = (fields(value), BTreeSet::new());
    for (option, cell) in rows(page, of) {
        let (Some(stated), Some(real)) = (Value::stated(cell), fields.get(option)) else {
            continue;
        };
        compared.insert(format!("{of}::{option}"));
        if !stated.is(&Value::real(real)) {
            wrong.push(format!("{of}::{option} is {real}, not {cell}"));
        }
    }
    compared
}

#[test]
fn defaults_are_the_real_ones() {
    let (page, mut wrong, mut compared) = (page(), Vec::new(), BTreeSet::new());
    macro_rules! compare_all {
        ($($of:ident),* $(,)?) => {
            $(compared.append(&mut compare(&page, stringify!($of), &$of::default(), &mut wrong));)*
        };
    }
    compare_all!(
        ActivityOptions,
        BreakerOptions,
        CatalogOptions,
        CloneOptions,
        CreateOptions,
        DiffOptions,
        DrainOptions,
        DropOptions,
        EachOptions,
        EventOptions,
        ExportOptions,
        FanOutOptions,
        HealthOptions,
        ImportOptions,
        MergeOptions,
        MetricsOptions,
        MigrateOptions,
        MoveOptions,
        PoolOptions,
        ProofOptions,
        RestoreOptions,
        RetryPolicy,
        SeedOptions,
        ServeOptions,
        TenantLimits,
        WarmUp,
    );
    assert!(wrong.is_empty(), "docs/configuration.md is wrong: {wrong:#?}");
    assert!(compared.len() >= 80, "only {} were compared: {compared:#?}", compared.len());
}

#[test]
fn defaults_are_read_as_they_are_written() {
    let time = |milliseconds| Some(Value::Time(Duration::from_millis(milliseconds)));
    assert_eq!(Value::stated("100,000"), Some(Value::Number(100_000.0)));
    assert_eq!(Value::stated("10 min; `None`: never"), time(600_000));
    assert_eq!(Value::stated("`None`: \u{be} of what tenants can have"), Some(Value::Nothing));
    assert_eq!(Value::stated("`Continue`"), Some(Value::Word("Continue".to_owned())));
    assert_eq!(Value::stated("5 attempts, from 250 ms on"), None);
    assert_eq!(Some(Value::real("250ms")), time(250));
    assert_eq!(Some(Value::real("3600s")), time(3_600_000));
    assert!(!Value::Number(3.0).is(&Value::real("5")));
    assert!(!Value::Nothing.is(&Value::real("5")));
    let options = PoolOptions::default().idle_timeout(Duration::from_secs(7));
    assert_eq!(fields(&options)["idle_timeout"], "7s");
    assert_eq!(fields(&options)["max_connections_per_tenant"], "None");
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
