//! A run writes every figure that the report names, whatever the figures are.

use std::{fs, io::Write as _, path::Path, process::Command};

use serde_json::Value;

/// Runs the benchmark with as little of everything as it takes.
fn bench(json: &Path, arguments: &[&str]) -> (Value, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_tenantry-bench"))
        .args(["pool", "--seconds", "0.1", "--json"])
        .arg(json)
        .args(["--uniform-tenants", "6", "--zipf-tenants", "12", "--idle-tenants", "1000"])
        .args(["--memory-tenants", "6", "--memory-visits", "2", "--layer-requests", "100"])
        .args(["--metrics-tenants", "30", "--hang", "0.3"])
        .args(arguments)
        .output()
        .expect("the benchmark is built");
    let progress = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{progress}");
    let text = fs::read_to_string(json).expect("the benchmark has written the file");
    let report = serde_json::from_str(&text).expect("the file is JSON");
    (report, String::from_utf8(output.stdout).expect("the table is text"))
}

#[test]
fn a_run_writes_every_figure() {
    let json = Path::new(env!("CARGO_TARGET_TMPDIR")).join("all.json");
    let (report, table) = bench(&json, &[]);
    let figures: [(&str, &[&str]); 7] = [
        ("one_tenant", &["vs_pgpool_default", "vs_pgpool_no_ping"]),
        ("uniform_200", &MANY_TENANTS),
        ("zipf_1000", &MANY_TENANTS),
        ("fairness", &["quiet_p99_ms", "pgpool_quiet_p99_ms", "total_ratio"]),
        ("backend_private_mb", &["with_retirement", "without"]),
        ("observability", &["vs_silent", "with_hook_vs_silent"]),
        ("metrics_text", &["render_ms", "bytes", "labelled_render_ms", "labelled_bytes"]),
    ];
    for (scenario, names) in figures {
        assert!(table.contains(scenario), "no {scenario} in {table}");
        for name in names {
            let figure = &report[scenario][name];
            assert!(figure.is_number(), "{scenario}.{name} is {figure}");
        }
    }
    assert_eq!(report["recovery"]["first_success_ms"].as_array().map(Vec::len), Some(3));
    let alone =
        ["idle_tenant_bytes", "layer_overhead_us", "unknown_ids_share", "catalog_hang_share"];
    for figure in alone {
        assert!(report[figure].is_number(), "{figure} is {}", report[figure]);
        assert!(table.contains(figure), "no {figure} in {table}");
    }
    for figure in ["steady_p99_vs_fifo", "uniform_p99_vs_fifo", "uniform_p50_vs_fifo"] {
        assert!(report[figure].is_number(), "{figure} is {}", report[figure]);
        assert!(table.contains(figure), "no {figure} in {table}");
    }
    let raced =
        ["one_tenant", "uniform_200", "zipf_1000", "fairness", "steady", "order", "observability"];
    for scenario in raced.into_iter().chain(["unknown_ids_share", "catalog_hang_share"]) {
        for series in report["raw"][scenario].as_array().expect("a list of contenders") {
            let rounds = series["rounds"].as_array().expect("a list of rounds");
            assert_eq!(rounds.len(), 3, "{series}");
            for round in rounds {
                assert_eq!(round["errors"], 0, "{scenario}: {series}");
            }
        }
    }
}

const MANY_TENANTS: [&str; 6] =
    ["vs_pool_per_tenant", "vs_set_each", "vs_one_tenant", "max_sessions", "errors", "hit_ratio"];

#[test]
fn a_part_can_be_run_alone() {
    let json = Path::new(env!("CARGO_TARGET_TMPDIR")).join("part.json");
    let (report, table) = bench(&json, &["--only", "layer_overhead_us"]);
    assert!(report["layer_overhead_us"].is_number());
    assert!(report.get("one_tenant").is_none());
    assert!(!table.contains("one_tenant"));
}

#[test]
fn fewer_rounds_than_a_median_needs_are_refused() {
    let output = Command::new(env!("CARGO_BIN_EXE_tenantry-bench"))
        .args(["pool", "--rounds", "2"])
        .output()
        .expect("the benchmark is built");
    assert!(!output.status.success());
}

#[test]
fn a_run_over_http_writes_every_figure() {
    if Command::new("wrk").arg("-v").output().is_err() {
        // The harness captures what a test prints that passes, and not what it writes.
        let _ = writeln!(
            std::io::stderr(),
            "SKIPPED, and so not tested: HTTP, there is no wrk on this machine"
        );
        return;
    }
    let json = Path::new(env!("CARGO_TARGET_TMPDIR")).join("http.json");
    let output = Command::new(env!("CARGO_BIN_EXE_tenantry-bench"))
        .args(["http", "--seconds", "1", "--json"])
        .arg(&json)
        .output()
        .expect("the benchmark is built");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Value =
        serde_json::from_str(&fs::read_to_string(&json).expect("it was written")).expect("JSON");
    for framework in ["axum", "actix"] {
        let figures = &report[framework];
        for name in ["vs_bare_pgpool", "rps_200_tenants", "p99_ms_200_tenants", "max_sessions"] {
            assert!(figures[name].as_f64().is_some_and(|value| value > 0.0), "{framework}: {name}");
        }
        assert_eq!(figures["errors"], 0, "{framework}");
        assert!(figures["max_sessions"].as_i64() <= Some(20), "{framework}");
    }
}

/// Runs the benchmark of migrations with few tenants.
fn bench_migrate(json: &Path, arguments: &[&str]) -> (Value, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_tenantry-bench"))
        .args(["migrate", "--tenants", "24", "--created-tenants", "2", "--fsync-tenants", "4"])
        .args(["--remembered-tenants", "60"])
        .args(["--touching-tenants", "4", "--indexed-tenants", "4", "--snapshot-seconds", "1"])
        .arg("--json")
        .arg(json)
        .args(arguments)
        .output()
        .expect("the benchmark is built");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = fs::read_to_string(json).expect("the benchmark has written the file");
    let report = serde_json::from_str(&text).expect("the file is JSON");
    (report, String::from_utf8(output.stdout).expect("the table is text"))
}

#[test]
fn a_run_of_migrations_writes_every_figure() {
    let json = Path::new(env!("CARGO_TARGET_TMPDIR")).join("migrate.json");
    let (report, table) = bench_migrate(&json, &["--fsync-in-memory"]);
    for name in [
        "noop_ms",
        "noop_statements_per_1000",
        "one_file_speedup_vs_sqlx",
        "create_speedup_vs_files",
        "spare_speedup_vs_files",
        "lint_ms",
        "two_runners_ratio",
        "remembered_ms",
        "remembered_speedup_vs_verify",
        "one_file_speedup_vs_sqlx_fsync",
    ] {
        let figure = report[name].as_f64();
        assert!(figure.is_some_and(|value| value > 0.0 && value.is_finite()), "{name}: {figure:?}");
        assert!(table.contains(name), "no {name} in {table}");
    }
    for name in ["applied_twice", "shared_touch_failures", "cic_fleet_dirty"] {
        assert_eq!(report[name], 0, "{name}");
        assert!(table.contains(name), "no {name} in {table}");
    }
    assert_eq!((&report["raw"]["touched"], &report["raw"]["indexed"]), (&20.into(), &4.into()));
    let raw = &report["raw"];
    for (scenario, contenders) in
        [("noop", 2), ("one_file", 4), ("create", 3), ("two_runners", 2), ("one_file_fsync", 4)]
    {
        let times = raw[scenario].as_array().expect("a list of contenders");
        assert_eq!(times.len(), contenders, "{scenario}");
        for contender in times {
            let rounds = contender["ms"].as_array().expect("a list of rounds");
            assert_eq!(rounds.len(), 3, "{scenario}: {contender}");
            let took = |ms: &Value| ms.as_f64().is_some_and(|ms| ms > 0.0);
            assert!(rounds.iter().all(took), "{scenario}: {contender}");
        }
    }
    let tenants = |counted: &Value| counted["tenants"].as_u64();
    let counted = raw["noop_statements"].as_array().expect("a list of counts");
    assert_eq!(counted.iter().filter_map(tenants).collect::<Vec<_>>(), [6, 12, 24]);
    for round in raw["two_runners_reports"].as_array().expect("a list of rounds") {
        let of = |runner: usize, name: &str| round[runner][name].as_u64().unwrap_or_default();
        assert_eq!(of(0, "migrated") + of(1, "migrated"), 24, "{round}");
    }
}

#[test]
fn a_part_of_the_migrations_can_be_run_alone() {
    let json = Path::new(env!("CARGO_TARGET_TMPDIR")).join("noop.json");
    let (report, table) = bench_migrate(&json, &["--only", "noop"]);
    assert!(report["noop_ms"].is_number());
    assert!(report.get("one_file_speedup_vs_sqlx").is_none());
    assert!(!table.contains("one_file"));
}

#[test]
fn a_run_of_clones_writes_every_figure() {
    let json = Path::new(env!("CARGO_TARGET_TMPDIR")).join("clone.json");
    let output = Command::new(env!("CARGO_BIN_EXE_tenantry-bench"))
        .args(["clone", "--rounds", "3", "--neighbors", "2", "--tables", "2", "--large-rows", "20"])
        .args(["--masked-rows", "20", "--created-tenants", "1", "--json"])
        .arg(&json)
        .output()
        .expect("the benchmark is built");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Value =
        serde_json::from_str(&fs::read_to_string(&json).expect("it was written")).expect("JSON");
    let table = String::from_utf8(output.stdout).expect("the table is text");
    for name in [
        "clone_vs_pg_dump",
        "clone_ms",
        "pg_dump_ms",
        "clone_data_vs_insert_select",
        "clone_data_ms",
        "insert_select_ms",
        "anonymized_vs_plain",
        "proof_ms",
        "template_vs_files",
        "template_ms",
        "files_ms",
    ] {
        let figure = report[name].as_f64();
        assert!(figure.is_some_and(|value| value > 0.0 && value.is_finite()), "{name}: {figure:?}");
        assert!(table.contains(name), "no {name} in {table}");
    }
    let raw = &report["raw"];
    assert_eq!((&raw["copied_rows"], &raw["created"]), (&40.into(), &1.into()));
    for scenario in ["structure", "rows", "anonymized", "template"] {
        let times = raw[scenario].as_array().expect("a list of contenders");
        assert_eq!(times.len(), 2, "{scenario}");
        for contender in times {
            let rounds = contender["ms"].as_array().expect("a list of rounds");
            assert_eq!(rounds.len(), 3, "{scenario}: {contender}");
        }
    }
}

#[test]
fn a_run_of_the_test_kit_writes_every_figure() {
    let json = Path::new(env!("CARGO_TARGET_TMPDIR")).join("test-kit.json");
    let output = Command::new(env!("CARGO_BIN_EXE_tenantry-bench"))
        .args(["test-kit", "--rounds", "3", "--json"])
        .arg(&json)
        .output()
        .expect("the benchmark is built");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Value =
        serde_json::from_str(&fs::read_to_string(&json).expect("it was written")).expect("JSON");
    let table = String::from_utf8(output.stdout).expect("the table is text");
    for name in ["tenant_ms", "alone_ms", "create_database_ms", "connect_ms"] {
        let figure = report[name].as_f64();
        assert!(figure.is_some_and(|value| value > 0.0 && value.is_finite()), "{name}: {figure:?}");
        assert!(table.contains(name), "no {name} in {table}");
    }
    for contender in report["raw"]["test_kit"].as_array().expect("a list of contenders") {
        assert_eq!(contender["ms"].as_array().map(Vec::len), Some(3), "{contender}");
    }
}

#[test]
fn a_run_of_scale_writes_every_figure() {
    let json = Path::new(env!("CARGO_TARGET_TMPDIR")).join("scale.json");
    let output = Command::new(env!("CARGO_BIN_EXE_tenantry-bench"))
        .args([
            "scale",
            "--seconds",
            "3",
            "--settle",
            "0.1",
            "--members",
            "2",
            "--moves",
            "2",
            "--moved-rows",
            "50",
            "--row-moves",
            "4",
        ])
        .args(["--pooler-statements", "2000", "--pooler-round-ms", "50", "--replica-writes", "400"])
        .args(["--servers", "3", "--tenants", "20000"])
        .arg("--json")
        .arg(&json)
        .output()
        .expect("the benchmark is built");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Value =
        serde_json::from_str(&fs::read_to_string(&json).expect("it was written")).expect("JSON");
    let table = String::from_utf8(output.stdout).expect("the table is text");
    let count = |name: &str| report[name].as_i64().unwrap_or_default();
    let (most, budget) = (count("max_sessions"), count("budget"));
    // They want more than there is, and use nearly all of it.
    assert!((budget * 3 / 4..=budget).contains(&most), "{most} sessions of {budget}");
    for name in [
        "beat_us",
        "max_sessions",
        "move_gate_ms_max",
        "move_gate_ms_median",
        "move_vs_dump_restore",
        "dump_restore_ms",
        "rows_gate_ms_max",
        "rows_gate_ms_median",
        "rows_gate_vs_under_fence",
        "pooler_select_vs_unbound",
        "replica_reads_share",
        "replica_wait_p99_ms",
        "servers_bytes_per_tenant",
        "servers_lookup_us",
        "servers_status_ms",
        "servers_placement_ms",
    ] {
        let figure = report[name].as_f64();
        assert!(figure.is_some_and(|value| value > 0.0 && value.is_finite()), "{name}: {figure:?}");
        assert!(table.contains(name), "no {name} in {table}");
    }
    for name in [
        "move_refused",
        "move_lost",
        "rows_refused",
        "rows_lost",
        "pooler_wrong",
        "pooler_failed",
        "replica_reads_stale",
    ] {
        assert_eq!(report[name], 0, "{name}");
        assert!(table.contains(name), "no {name} in {table}");
    }
    let moves = report["raw"]["moves"].as_array().expect("a list of moves");
    assert_eq!(moves.len(), 2);
    for (of, to) in moves.iter().zip(["second", "main"]) {
        assert_eq!(of["to"], to);
        assert!(of["acknowledged"].as_u64().is_some_and(|writes| writes > 10), "{of}");
        let parts = of["parts_ms"].as_array().expect("the parts of the pause");
        assert!(parts.iter().all(Value::is_number), "{of}");
    }
}
