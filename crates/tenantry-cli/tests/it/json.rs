//! What `--json` prints: it validates against `docs/schemas`, which are those of the types, and its shape is known.
//!
//! `UPDATE_SCHEMAS=1 cargo test -p tenantry-cli` writes the schemas anew.

use std::{collections::BTreeMap, env, fs, path::PathBuf, sync::LazyLock};

use serde_json::{Value, json};

use crate::support::{Fleet, Folder, Ran, execute};

static SCHEMAS: LazyLock<BTreeMap<&str, Value>> = LazyLock::new(tenantry_cli::json_schemas);

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/schemas")
}

#[test]
fn the_published_schemas_are_those_of_the_types() {
    let folder = folder();
    let mut files: Vec<_> = fs::read_dir(&folder)
        .map(|files| files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect())
        .unwrap_or_default();
    for (name, schema) in SCHEMAS.iter() {
        let text = format!("{schema:#}\n");
        let path = folder.join(format!("{name}.json"));
        if env::var_os("UPDATE_SCHEMAS").is_some() {
            fs::create_dir_all(&folder).unwrap();
            fs::write(&path, &text).unwrap();
        }
        let published = fs::read_to_string(&path).unwrap_or_default();
        assert!(published == text, "{name} has changed: run the test with UPDATE_SCHEMAS=1");
        files.retain(|file| *file != format!("{name}.json"));
    }
    assert!(files.is_empty() || env::var_os("UPDATE_SCHEMAS").is_some(), "{files:?}");
}

/// Checks a report against the schema of its name.
#[track_caller]
pub(crate) fn check(name: &str, ran: &Ran) -> Value {
    let value = ran.json();
    let options = jsonschema::options().should_validate_formats(true);
    let validator = options.build(&SCHEMAS[name]).unwrap();
    let errors: Vec<_> = validator
        .iter_errors(&value)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert!(errors.is_empty(), "{name}: {errors:#?}\n{value:#}");
    value
}

/// Ends of names whose values are others in each run or in each version.
const UNSTEADY: [&str; 7] =
    ["Ms", "At", "timestamp", "erverVersion", "postgresql", "tenantry", "fingerprint"];

/// The value with times and versions taken out.
fn shape(value: &Value) -> Value {
    let is_unsteady = |key: &str| UNSTEADY.iter().any(|end| key.ends_with(end));
    match value {
        Value::Object(fields) => fields
            .iter()
            .map(|(key, value)| match value {
                Value::Number(_) | Value::String(_) if is_unsteady(key) => {
                    (key.clone(), json!("[..]"))
                }
                value => (key.clone(), shape(value)),
            })
            .collect(),
        Value::Array(items) => items.iter().map(shape).collect(),
        other => other.clone(),
    }
}

#[track_caller]
fn snapshot(name: &str, state: &str, value: &Value) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("snapshots/json");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.add_filter(r"tenantry_dev_\w+", "[database]");
    settings.add_filter(r#"postgres://[^\s"]+"#, "[url]");
    settings.add_filter(r"\d+(\.\d+)?(ms|µs|s)\b", "[time]");
    settings.bind(|| insta::assert_json_snapshot!(format!("{name}-{state}"), shape(value)));
}

/// Runs commands with `--json`: the name of the schema, the state, the exit code, the command.
async fn all(fleet: &Fleet, commands: &[(&str, &str, i32, &str)]) {
    for (name, state, code, command) in commands {
        let ran = fleet.run(&format!("{command} --json")).await;
        assert_eq!(ran.code, Some(*code), "{command}: {ran:#?}");
        snapshot(name, state, &check(name, &ran));
    }
}

#[tokio::test]
async fn reports_of_a_sound_fleet() {
    let fleet = Fleet::new().await;
    all(
        &fleet,
        &[
            ("status", "sound", 0, "status"),
            ("migrate", "sound", 0, "migrate --tenant acme"),
            ("migrate-dry-run", "sound", 0, "migrate --all --dry-run"),
            ("migrate-lint", "sound", 0, "migrate lint"),
            ("migrate-lint-rules", "all", 0, "migrate lint --rules"),
            ("tenant-list", "sound", 0, "tenant list"),
            ("tenant-show", "sound", 0, "tenant show acme"),
            ("tenant-create", "sound", 0, "tenant create hooli --attributes {\"seats\":5}"),
            ("tenant-clone", "sound", 0, "tenant clone hooli wonka --data"),
            ("tenant-changed", "suspended", 0, "tenant suspend wonka"),
            ("tenant-changed", "resumed", 0, "tenant resume wonka"),
            ("tenant-changed", "renamed", 0, "tenant rename wonka stark --yes"),
            ("tenant-drop", "dry-run", 0, "tenant drop stark --dry-run"),
            ("tenant-drop", "sound", 0, "tenant drop stark --yes"),
            ("drift", "sound", 0, "drift"),
            ("drift-repair", "sound", 0, "drift --repair"),
            ("schema-export", "sound", 0, "schema export acme"),
            ("schema-lint", "sound", 0, "schema lint acme"),
            ("seed-list", "sound", 0, "seed --list"),
            ("seed", "sound", 0, "seed --tenant acme"),
            ("health", "sound", 0, "health --tenant acme"),
            ("doctor-list", "all", 0, "doctor --list"),
            ("doctor", "sound", 0, "doctor --only tenants,migrations"),
        ],
    )
    .await;
    let words = ["sql", "select id, email from users", "--tenant", "acme", "--json"];
    let ran = fleet.tenantry(words).run().await.ended_with(0);
    snapshot("sql", "sound", &check("sql", &ran));
    // What differs too much for a snapshot.
    check("metrics", &fleet.run("metrics --json").await.ended_with(0));
    check("metrics", &fleet.run("metrics --json --health --sizes").await.ended_with(0));
}

#[tokio::test]
async fn reports_of_a_fleet_with_problems() {
    let fleet = Fleet::new().await;
    let mut admin = fleet.admin().await;
    execute(&mut admin, "create table tenant_globex.more (x int); alter table tenant_initech.users drop column email")
        .await;
    fleet.add_migration("0003_more", "create table more (id int primary key);\ndrop table orders;");
    all(
        &fleet,
        &[
            ("status", "pending", 0, "status"),
            ("migrate", "failed", 1, "migrate --all --concurrency 1"),
            ("migrate-lint", "warnings", 0, "migrate lint"),
            ("drift", "drifted", 1, "drift"),
            ("drift-repair", "drifted", 1, "drift --repair"),
            ("seed", "failed", 1, "seed admin --all --concurrency 1"),
            ("schema-lint", "problems", 1, "schema lint globex"),
            ("health", "unknown-tenant", 1, "health --tenant nobody"),
            ("doctor", "warnings", 0, "doctor --only driftSummary,migrations"),
        ],
    )
    .await;
    fleet.add_migration("0003_more", "select 1;");
    all(&fleet, &[("migrate-dry-run", "blocked", 1, "migrate --all --dry-run")]).await;
    all(&fleet, &[("tenant-show", "blocked", 0, "tenant show acme")]).await;
    fleet.add_migration("0003_more", "drop table public.plans;");
    all(&fleet, &[("migrate-lint", "errors", 1, "migrate lint")]).await;
    let words = ["sql", "select email from users", "--concurrency", "1", "--json"];
    let ran = fleet.tenantry(words).run().await.ended_with(1);
    snapshot("sql", "failed", &check("sql", &ran));
}

#[tokio::test]
async fn reports_without_a_database() {
    let folder = Folder::project();
    let down = "postgres://app:geheim@127.0.0.1:1/saas";
    let ran = folder.tenantry(["config", "--json"]).url(down).run().await.ended_with(0);
    snapshot("config", "sound", &check("config", &ran));
    for (name, command) in [("health", "health --json"), ("doctor", "doctor --json")] {
        let ran = folder.tenantry(command.split(' ')).url(down).run().await.ended_with(1);
        check(name, &ran);
        ran.never_says("geheim");
    }
    // A configuration that cannot be read is a report, too.
    let ran = folder.tenantry(["doctor", "--json", "--set", "x=1"]).run().await.ended_with(1);
    snapshot("doctor", "not-configured", &check("doctor", &ran));
    // A command that could not run has nothing on standard output.
    for command in ["status --json", "drift --json", "tenant show x --json", "sql table --json"] {
        let ran = folder.tenantry(command.split(' ')).url(down).run().await.ended_with(2);
        assert_eq!(ran.stdout, "", "{command}");
    }
}

#[tokio::test]
async fn the_other_reports_validate() {
    let fleet = Fleet::new().await;
    let args = ["init", "--json", "--yes", "--output", "made.toml"];
    check("init", &fleet.tenantry(args).run().await.ended_with(0));
    check("dump", &fleet.run("dump acme --json --output acme.dump").await.ended_with(0));
    check("restore", &fleet.run("restore acme2 --input acme.dump --json").await.ended_with(0));
    let fixed = fleet.run("doctor --only invalidIndexes --fix --yes --json").await;
    if !fixed.stdout.is_empty() {
        check("doctor-fix", &fixed);
    }
}
