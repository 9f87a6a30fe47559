//! The report as text.

use comfy_table::{Table, presets::ASCII_MARKDOWN};

use crate::{
    clone,
    http::{self, Figures, HttpReport},
    isolation, migrate,
    pool::Report,
    pool::{
        CONNECTIONS,
        backend_memory::BackendPrivateMb,
        fairness::{Fairness, FairnessOfKind, FairnessSeries, Steady},
        idle_tenant::IdleTenant,
        many_tenants::ManyTenants,
        metrics_text::MetricsText,
        observability::Observability,
        one_tenant::OneTenant,
        order::Order,
        recovery::Recovery,
    },
    race::Series,
    scale, schema, test_kit,
    times::Times,
};

/// Renders the figures with their targets, followed by the raw data.
pub(crate) fn render(report: &Report) -> String {
    let mut text = figures(lines(report)).to_string();
    for details in [races(report), fairness_runs(report)].into_iter().flatten() {
        text += &format!("\n\n{details}");
    }
    text
}

/// Renders the figures of the web frameworks with their targets.
pub(crate) fn render_http(report: &HttpReport) -> String {
    let mut table = table(["framework", "figure", "value", "target", ""]);
    let frameworks = [("axum", &report.axum), ("actix", &report.actix)];
    for (framework, figures) in frameworks {
        for line in figures.iter().flat_map(|figures| http_lines(framework, figures)) {
            table.add_row(line.cells());
        }
    }
    table.to_string()
}

/// Renders the figures of migrations with their targets, followed by the raw data.
pub(crate) fn render_migrate(report: &migrate::Report) -> String {
    let raw = &report.raw;
    let runs = runs([
        ("noop", &raw.noop),
        ("one_file", &raw.one_file),
        ("create", &raw.create),
        ("two_runners", &raw.two_runners),
        ("remembered", &raw.remembered),
        ("one_file_fsync", &raw.one_file_fsync),
    ]);
    format!("{}\n\n{runs}", figures(migrate_lines(report)))
}

/// Renders the figures of fingerprints and drift with their targets, followed by the raw data.
pub(crate) fn render_schema(report: &schema::Report) -> String {
    let raw = &report.raw;
    let runs = runs([("1000x20", &raw.large), ("growth", &raw.growth), ("x2", &raw.small)]);
    format!("{}\n\n{runs}", figures(schema_lines(report)))
}

/// Renders the figures of clones with their targets, followed by the raw data.
pub(crate) fn render_clone(report: &clone::Report) -> String {
    let raw = &report.raw;
    let runs = runs([
        ("structure", &raw.structure),
        ("rows", &raw.rows),
        ("anonymized", &raw.anonymized),
        ("template", &raw.template),
    ]);
    format!("{}\n\n{runs}", figures(clone_lines(report)))
}

/// Renders the figures of scale-out with their targets, followed by the raw data.
pub(crate) fn render_scale(report: &scale::Report) -> String {
    let raw = &report.raw;
    let mut moves =
        table(["to", "gate ms", "in parts", "move ms", "slowest write ms", "writes", "refused"]);
    for of in &raw.moves {
        moves.add_row([
            of.to.to_owned(),
            format!("{:.1}", of.gate_ms),
            of.parts_ms.map(|ms| format!("{ms:.1}")).join(" + "),
            format!("{:.0}", of.duration_ms),
            format!("{:.1}", of.slowest_write_ms),
            of.acknowledged.to_string(),
            of.refused.to_string(),
        ]);
    }
    let beats = raw
        .members
        .map(|members| format!("\n\n{} beats of {members} processes", raw.beats_us.len()));
    let moves = (moves.row_count() > 0).then(|| format!("\n\n{moves}"));
    let details: String = [beats, moves].into_iter().flatten().collect();
    format!("{}{details}", figures(scale_lines(report)))
}

fn scale_lines(report: &scale::Report) -> Vec<Line> {
    let of = report;
    let ms = |figure, value: Option<f64>| {
        value.map(|value| Line::new("moves", figure, format!("{value:.1} ms")))
    };
    let gate = |figure, value: Option<f64>, most: f64| {
        let met = value.is_some_and(|value| value <= most);
        ms(figure, value).map(|line| line.target(format!("at most {most} ms"), met))
    };
    let none = |figure, value: Option<u64>| {
        value.map(|value| Line::new("moves", figure, value.to_string()).target("0", value == 0))
    };
    let of_rows =
        |figure, value: Option<String>| value.map(|value| Line::new("rows", figure, value));
    let of_pooler = |figure, value: Option<usize>| {
        value.map(|value| Line::new("pooler", figure, value.to_string()).target("0", value == 0))
    };
    let beats = of.beat_us.map(|beat| {
        Line::new("shared_budget", "beat_us", format!("{beat:.0} us"))
            .target("at most 500 us", beat <= 500.0)
    });
    let sessions = of.max_sessions.zip(of.budget).map(|(most, budget)| {
        Line::new("shared_budget", "max_sessions", most.to_string())
            .target(format!("at most {budget}"), most <= budget)
    });
    let shorter = of.move_vs_dump_restore.map(|ratio| {
        Line::new("moves", "move_vs_dump_restore", format!("1/{:.1}", 1.0 / ratio))
            .target("at most 1/20", ratio <= 0.05)
    });
    let lines = [
        beats,
        sessions,
        gate("move_gate_ms_max", of.move_gate_ms_max, 150.0),
        gate("move_gate_ms_median", of.move_gate_ms_median, 40.0),
        none("move_refused", of.move_refused),
        none("move_lost", of.move_lost),
        shorter,
        ms("dump_restore_ms", of.dump_restore_ms),
        of_rows("rows_gate_ms_max", of.rows_gate_ms_max.map(|gate| format!("{gate:.1} ms"))),
        of_rows("rows_gate_ms_median", of.rows_gate_ms_median.map(|gate| format!("{gate:.1} ms"))),
        of_rows(
            "rows_gate_vs_under_fence",
            of.rows_gate_vs_under_fence.map(|ratio| format!("1/{:.1}", 1.0 / ratio)),
        ),
        of_rows("rows_refused", of.rows_refused.map(|writes| writes.to_string())),
        of_rows("rows_lost", of.rows_lost.map(|writes| writes.to_string())),
        of.pooler_select_vs_unbound.map(|ratio| {
            Line::new("pooler", "pooler_select_vs_unbound", format!("{ratio:.2}x"))
                .target("at most 1.2x", ratio <= 1.2)
        }),
        of_pooler("pooler_wrong", of.pooler_wrong),
        of_pooler("pooler_failed", of.pooler_failed),
        of.replica_reads_stale.map(|stale| {
            Line::new("replicas", "replica_reads_stale", stale.to_string()).target("0", stale == 0)
        }),
        of.replica_reads_share.map(|share| {
            Line::new("replicas", "replica_reads_share", format!("{share:.3}"))
                .target("at least 0.9", share >= 0.9)
        }),
        of.replica_wait_p99_ms.map(|wait| {
            Line::new("replicas", "replica_wait_p99_ms", format!("{wait:.2} ms"))
                .target("at most 20 ms", wait <= 20.0)
        }),
        of.servers_bytes_per_tenant.map(|bytes| {
            Line::new("servers", "servers_bytes_per_tenant", format!("{bytes:.0} B"))
                .target("at most 1024 B", bytes <= 1_024.0)
        }),
        of.servers_lookup_us
            .map(|took| Line::new("servers", "servers_lookup_us", format!("{took:.1} us"))),
        of.servers_status_ms
            .map(|took| Line::new("servers", "servers_status_ms", format!("{took:.2} ms"))),
        of.servers_placement_ms
            .map(|took| Line::new("servers", "servers_placement_ms", format!("{took:.0} ms"))),
    ];
    lines.into_iter().flatten().collect()
}

/// Renders the figures of the test kit with their targets, followed by the raw data.
pub(crate) fn render_test_kit(report: &test_kit::Report) -> String {
    let runs = runs([("test_kit", &report.raw.test_kit)]);
    format!("{}\n\n{runs}", figures(test_kit_lines(report)))
}

/// Renders the figures of kinds of isolation with their targets, followed by the raw data.
pub(crate) fn render_isolation(report: &isolation::Report) -> String {
    let runs = runs(report.raw.times.iter().map(|(scenario, times)| (*scenario, times)));
    let mut races =
        table(["scenario", "contender", "requests/s", "errors", "sessions", "requests/session"]);
    for (scenario, series) in &report.raw.races {
        for of in series {
            races.add_row([
                (*scenario).to_owned(),
                of.contender.to_owned(),
                format!("{:.0}", of.per_second),
                of.errors().to_string(),
                of.max_sessions().to_string(),
                format!("{:.1}", of.median_of(|run| run.requests_per_session.unwrap_or_default())),
            ]);
        }
    }
    format!("{}\n\n{races}\n\n{runs}", figures(isolation_lines(report)))
}

fn isolation_lines(report: &isolation::Report) -> Vec<Line> {
    let at_most = |scenario, figure, value: Option<f64>, most: f64| {
        value.map(|value| {
            Line::times(scenario, figure, value).target(format!("at most {most}x"), value <= most)
        })
    };
    let at_least = |scenario, figure, value: Option<f64>, least: f64| {
        value.map(|value| {
            Line::times(scenario, figure, value)
                .target(format!("at least {least}x"), value >= least)
        })
    };
    let quiet_p99 = |of: FairnessOfKind| of.quiet_p99_ratio;
    let of = report;
    let (zipf, uniform) =
        (of.database_zipf_100_vs_pool_per_database, of.database_uniform_100_vs_pool_per_database);
    let sessions = of.max_sessions.map(|most| {
        Line::new("databases", "max_sessions", most.to_string()).target("at most 20", most <= 20)
    });
    let errors = Line::new("all", "errors", of.errors.to_string()).target("0", of.errors == 0);
    let lines = [
        at_most("rows", "row_rebind_vs_schema", of.row_rebind_vs_schema, 1.05),
        at_least("rows", "row_uniform_200_vs_schema", of.row_uniform_200_vs_schema, 0.9),
        at_least("rows", "row_zipf_1000_vs_schema", of.row_zipf_1000_vs_schema, 1.1),
        at_most("rows", "row_policy_overhead", of.row_policy_overhead, 1.25),
        at_most("rows", "skewed_kept_statement", of.skewed_kept_statement, 1.5),
        at_least("databases", "database_zipf_100_vs_pool_per_database", zipf, 1.3),
        at_least("databases", "database_uniform_100_vs_pool_per_database", uniform, 1.0),
        sessions,
        at_least("rows", "row_fairness", of.row_fairness.map(quiet_p99), 15.0),
        of.database_fairness.map(|of| Line::times("databases", "database_fairness", quiet_p99(of))),
        at_least("schemas", "schema_one_tenant_vs_before", of.schema_one_tenant_vs_before, 0.97),
        Some(errors),
    ];
    lines.into_iter().flatten().collect()
}

fn figures(lines: impl IntoIterator<Item = Line>) -> Table {
    let mut figures = table(["scenario", "figure", "value", "target", ""]);
    for line in lines {
        figures.add_row(line.cells());
    }
    figures
}

/// The times of all contenders of these scenarios.
fn runs<'a>(scenarios: impl IntoIterator<Item = (&'a str, &'a Vec<Times>)>) -> Table {
    let mut runs = table(["scenario", "contender", "median ms", "ms of each round"]);
    for (scenario, contenders) in scenarios {
        for times in contenders {
            runs.add_row(times_row(scenario, times));
        }
    }
    runs
}

fn test_kit_lines(report: &test_kit::Report) -> [Line; 4] {
    let ms = |figure, ms: f64| Line::new("test_kit", figure, format!("{ms:.1} ms"));
    let at_most = |figure, value: f64, most: f64| {
        ms(figure, value).target(format!("at most {most} ms"), value <= most)
    };
    [
        at_most("tenant_ms", report.tenant_ms, 15.0),
        at_most("alone_ms", report.alone_ms, 40.0),
        ms("create_database_ms", report.create_database_ms),
        ms("connect_ms", report.connect_ms),
    ]
}

fn clone_lines(report: &clone::Report) -> Vec<Line> {
    let ratio = |scenario, name, value: Option<f64>, least: f64| {
        value.map(|value| {
            Line::times(scenario, name, value).target(format!("at least {least}x"), value >= least)
        })
    };
    let ms = |scenario, name, value: Option<f64>| {
        value.map(|value| Line::new(scenario, name, format!("{value:.1} ms")))
    };
    let lines = [
        ratio("structure", "clone_vs_pg_dump", report.clone_vs_pg_dump, 3.0),
        ms("structure", "clone_ms", report.clone_ms),
        ms("structure", "pg_dump_ms", report.pg_dump_ms),
        ratio("rows", "clone_data_vs_insert_select", report.clone_data_vs_insert_select, 0.8),
        ms("rows", "clone_data_ms", report.clone_data_ms),
        ms("rows", "insert_select_ms", report.insert_select_ms),
        ratio("anonymized", "anonymized_vs_plain", report.anonymized_vs_plain, 0.4),
        ms("anonymized", "proof_ms", report.proof_ms),
        ratio("template", "template_vs_files", report.template_vs_files, 2.5),
        ms("template", "template_ms", report.template_ms),
        ms("template", "files_ms", report.files_ms),
    ];
    lines.into_iter().flatten().collect()
}

fn schema_lines(report: &schema::Report) -> Vec<Line> {
    let ratio = |name, value: f64, most: f64| {
        Line::new("fingerprint", name, format!("{value:.2}"))
            .target(format!("at most {most}"), value <= most)
    };
    let seconds = |scenario, name, value: f64, most: f64| {
        Line::new(scenario, name, format!("{value:.2} s"))
            .target(format!("at most {most} s"), value <= most)
    };
    let found = report.false_findings;
    vec![
        ratio("fingerprint_vs_defs", report.fingerprint_vs_defs, 2.0),
        seconds("fingerprint", "fingerprint_1000x20_s", report.fingerprint_1000x20_s, 5.0),
        ratio("fingerprint_growth", report.fingerprint_growth, 1.0),
        seconds("drift", "drift_200x2_s", report.drift_200x2_s, 0.5),
        seconds("drift", "drift_1000x2_s", report.drift_1000x2_s, 2.0),
        seconds("drift", "tampered_extra_s", report.tampered_extra_s, 0.3),
        Line::new("drift", "false_findings", found.to_string()).target("0", found == 0),
    ]
}

fn times_row(scenario: &str, times: &Times) -> [String; 4] {
    let each = times.ms.iter().map(|ms| format!("{ms:.0}"));
    [
        scenario.to_owned(),
        times.contender.to_owned(),
        format!("{:.0}", times.median()),
        each.collect::<Vec<_>>().join(" "),
    ]
}

fn migrate_lines(report: &migrate::Report) -> Vec<Line> {
    let at_least = |scenario, figure, times: Option<f64>, least: f64| {
        times.map(|times| {
            Line::times(scenario, figure, times)
                .target(format!("at least {least}x"), times >= least)
        })
    };
    let at_most_ms = |scenario, figure, ms: Option<f64>, most: f64| {
        ms.map(|ms| {
            Line::new(scenario, figure, format!("{ms:.0} ms"))
                .target(format!("at most {most} ms"), ms <= most)
        })
    };
    let none = |scenario, figure, count: Option<usize>| {
        count.map(|count| Line::new(scenario, figure, count.to_string()).target("none", count == 0))
    };
    let lines = [
        at_most_ms("noop", "noop_ms", report.noop_ms, 1_000.0),
        report.noop_statements_per_1000.map(statements_per_1000),
        at_least("one_file", "one_file_speedup_vs_sqlx", report.one_file_speedup_vs_sqlx, 2.0),
        at_least("create", "create_speedup_vs_files", report.create_speedup_vs_files, 2.0),
        at_least("create", "spare_speedup_vs_files", report.spare_speedup_vs_files, 12.0),
        report.two_runners_ratio.map(two_runners),
        none("two_runners", "applied_twice", report.applied_twice),
        none("shared_touch", "shared_touch_failures", report.shared_touch_failures),
        none("concurrent_index", "cic_fleet_dirty", report.cic_fleet_dirty),
        at_most_ms("remembered", "remembered_ms", report.remembered_ms, 500.0),
        at_least(
            "remembered",
            "remembered_speedup_vs_verify",
            report.remembered_speedup_vs_verify,
            5.0,
        ),
        at_most_ms("long_file", "lint_ms", report.lint_ms, 1_000.0),
        report
            .one_file_speedup_vs_sqlx_fsync
            .map(|times| Line::times("one_file_fsync", "one_file_speedup_vs_sqlx_fsync", times)),
    ];
    lines.into_iter().flatten().collect()
}

fn statements_per_1000(statements: f64) -> Line {
    Line::new("noop", "noop_statements_per_1000", format!("{statements:.1}"))
        .target("at most 50", statements <= 50.0)
}

fn two_runners(times: f64) -> Line {
    Line::times("two_runners", "two_runners_ratio", times).target("at most 1.2x", times <= 1.2)
}

fn http_lines(framework: &'static str, of: &Figures) -> [Line; 8] {
    let rate = |figure, value: f64| Line::new(framework, figure, format!("{value:.0} /s"));
    let ms = |figure, value: f64| Line::new(framework, figure, format!("{value:.2} ms"));
    let budget = i64::from(http::CONNECTIONS);
    [
        Line::times(framework, "vs_bare_pgpool", of.vs_bare_pgpool)
            .target("at least 0.90x", of.vs_bare_pgpool >= 0.9),
        Line::times(framework, "vs_bare_pgpool_no_ping", of.vs_bare_pgpool_no_ping),
        rate("rps_bare_pgpool", of.rps_bare_pgpool),
        rate("rps_one_tenant", of.rps_one_tenant),
        rate("rps_200_tenants", of.rps_200_tenants),
        ms("p99_ms_200_tenants", of.p99_ms_200_tenants),
        Line::new(framework, "max_sessions", of.max_sessions.to_string())
            .target(format!("at most {budget}"), of.max_sessions <= budget),
        Line::new(framework, "errors", of.errors.to_string()).target("none", of.errors == 0),
    ]
}

/// One figure in the text report.
struct Line {
    scenario: &'static str,
    figure: &'static str,
    value: String,
    target: Option<Target>,
}

struct Target {
    text: String,
    met: bool,
}

impl Line {
    fn new(scenario: &'static str, figure: &'static str, value: String) -> Self {
        Self { scenario, figure, value, target: None }
    }

    fn target(mut self, text: impl Into<String>, met: bool) -> Self {
        let text = text.into();
        self.target = Some(Target { text, met });
        self
    }

    fn cells(self) -> [String; 5] {
        let Self { scenario, figure, value, target } = self;
        let (text, mark) = match target {
            Some(Target { text, met: true }) => (text, "met"),
            Some(Target { text, met: false }) => (text, "MISSED"),
            None => (String::new(), ""),
        };
        [scenario.to_owned(), figure.to_owned(), value, text, mark.to_owned()]
    }

    /// A ratio with a lower bound.
    fn times(scenario: &'static str, figure: &'static str, value: f64) -> Self {
        Self::new(scenario, figure, format!("{value:.2}x"))
    }
}

fn lines(report: &Report) -> Vec<Line> {
    let mut lines = Vec::new();
    lines.extend(report.one_tenant.iter().flat_map(one_tenant));
    lines.extend(report.uniform_200.iter().flat_map(uniform));
    lines.extend(report.zipf_1000.iter().flat_map(|figures| many_tenants("zipf_1000", figures)));
    lines.extend(report.raw.idle_tenant.iter().map(idle_tenant));
    lines.extend(report.layer_overhead_us.map(layer));
    lines.extend(report.fairness.iter().flat_map(fairness));
    lines.extend(report.steady.iter().flat_map(steady));
    lines.extend(report.order.iter().flat_map(order));
    lines.extend(report.backend_private_mb.iter().flat_map(backend_memory));
    lines.extend(report.observability.iter().flat_map(observability));
    lines.extend(report.metrics_text.iter().flat_map(metrics_text));
    lines.extend(report.recovery.iter().flat_map(recovery));
    lines.extend(report.unknown_ids_share.map(|share| {
        Line::times("unknown_ids_share", "new ids against one", share)
            .target("at least 0.80x", share >= 0.8)
    }));
    lines.extend(report.catalog_hang_share.map(|share| {
        Line::times("catalog_hang_share", "during against before", share)
            .target("at least 0.95x", share >= 0.95)
    }));
    lines
}

fn idle_tenant(idle: &IdleTenant) -> Line {
    match idle.bytes() {
        Some(bytes) => Line::new("idle_tenant_bytes", "bytes", format!("{bytes:.0}"))
            .target("at most 1024", bytes <= 1_024.0),
        None => cannot("idle_tenant_bytes", "bytes"),
    }
}

fn layer(us: f64) -> Line {
    Line::new("layer_overhead_us", "microseconds", format!("{us:.2}"))
        .target("at most 2", us <= 2.0)
}

fn one_tenant(figures: &OneTenant) -> [Line; 2] {
    let (default, no_ping) = (figures.vs_pgpool_default, figures.vs_pgpool_no_ping);
    [
        Line::times("one_tenant", "vs_pgpool_default", default)
            .target("at least 1.5x", default >= 1.5),
        Line::times("one_tenant", "vs_pgpool_no_ping", no_ping)
            .target("at least 1.2x", no_ping >= 1.2),
    ]
}

fn uniform(figures: &ManyTenants) -> [Line; 6] {
    let mut lines = many_tenants("uniform_200", figures);
    let [per_tenant, set_each] = [figures.vs_pool_per_tenant, figures.vs_set_each];
    let [first, second, ..] = &mut lines;
    first.target = Some(Target { text: "at least 10x".to_owned(), met: per_tenant >= 10.0 });
    second.target = Some(Target { text: "at least 0.9x".to_owned(), met: set_each >= 0.9 });
    lines
}

fn many_tenants(scenario: &'static str, figures: &ManyTenants) -> [Line; 6] {
    let budget = i64::from(CONNECTIONS);
    [
        Line::times(scenario, "vs_pool_per_tenant", figures.vs_pool_per_tenant),
        Line::times(scenario, "vs_set_each", figures.vs_set_each),
        Line::times(scenario, "vs_one_tenant", figures.vs_one_tenant),
        Line::new(scenario, "max_sessions", figures.max_sessions.to_string())
            .target(format!("at most {budget}"), figures.max_sessions <= budget),
        Line::new(scenario, "errors", figures.errors.to_string())
            .target("none", figures.errors == 0),
        Line::new(scenario, "hit_ratio", format!("{:.3}", figures.hit_ratio)),
    ]
}

fn fairness(figures: &Fairness) -> [Line; 6] {
    let (shorter, total) = (figures.quiet_p99_ratio, figures.total_ratio);
    let uncapped = figures.quiet_p99_ratio_without_cap;
    let quiet = format!("{:.1} ms", figures.quiet_p99_ms);
    let pgpool = format!("{:.1} ms", figures.pgpool_quiet_p99_ms);
    [
        Line::new("fairness", "quiet_p99_ms", quiet),
        Line::new("fairness", "pgpool_quiet_p99_ms", pgpool),
        Line::new("fairness", "quiet_p99", format!("1/{shorter:.1}"))
            .target("at most 1/25", shorter >= 25.0),
        Line::times("fairness", "total_ratio", total).target("at least 0.98x", total >= 0.98),
        Line::new("fairness", "quiet_p99_without_cap", format!("1/{uncapped:.1}")),
        Line::times("fairness", "total_ratio_without_cap", figures.total_ratio_without_cap),
    ]
}

fn steady(figures: &Steady) -> [Line; 4] {
    let ms = |figure, ms: f64| Line::new("steady", figure, format!("{ms:.1} ms"));
    let (longer, total) = (figures.steady_p99_vs_fifo, figures.total_ratio);
    [
        ms("steady_p99_ms", figures.steady_p99_ms),
        ms("pgpool_steady_p99_ms", figures.pgpool_steady_p99_ms),
        Line::times("steady", "steady_p99_vs_fifo", longer).target("at most 4x", longer <= 4.0),
        Line::times("steady", "steady_total_ratio", total),
    ]
}

fn order(figures: &Order) -> [Line; 4] {
    let (half, most) = (figures.uniform_p50_vs_fifo, figures.uniform_p99_vs_fifo);
    [
        Line::times("order", "uniform_p50_vs_fifo", half).target("at most 1.2x", half <= 1.2),
        Line::times("order", "uniform_p99_vs_fifo", most).target("at most 1.5x", most <= 1.5),
        Line::times("order", "p50_vs_set_each", figures.p50_vs_set_each),
        Line::times("order", "p99_vs_set_each", figures.p99_vs_set_each),
    ]
}

fn backend_memory(figures: &BackendPrivateMb) -> [Line; 2] {
    let line = |figure, mb: Option<f64>| match mb {
        Some(mb) => Line::new("backend_private_mb", figure, format!("{mb:.1} MB")),
        None => cannot("backend_private_mb", figure),
    };
    let with = line("with_retirement", figures.with_retirement);
    let met = figures.with_retirement.is_some_and(|mb| mb <= 50.0);
    [with.target("at most 50 MB", met), line("without", figures.without)]
}

fn observability(figures: &Observability) -> [Line; 2] {
    let (seen, hook) = (figures.vs_silent, figures.with_hook_vs_silent);
    [
        Line::times("observability", "vs_silent", seen).target("at least 0.95x", seen >= 0.95),
        Line::times("observability", "with_hook_vs_silent", hook),
    ]
}

fn metrics_text(figures: &MetricsText) -> [Line; 4] {
    let ms = |figure, ms: f64| Line::new("metrics_text", figure, format!("{ms:.2} ms"));
    let bytes = |figure, bytes: usize| Line::new("metrics_text", figure, bytes.to_string());
    let (render, size) = (figures.render_ms, figures.bytes);
    [
        ms("render_ms", render).target("at most 20 ms", render <= 20.0),
        bytes("bytes", size).target("at most 65536", size <= 65_536),
        ms("labelled_render_ms", figures.labelled_render_ms),
        bytes("labelled_bytes", figures.labelled_bytes),
    ]
}

fn recovery(figures: &Recovery) -> [Line; 2] {
    let ms = |figure, ms: f64| Line::new("recovery", figure, format!("{ms:.0} ms"));
    let (first, longest) = (figures.first_success(), figures.longest_request());
    let deadline = figures.deadline_ms;
    [
        ms("first_success_ms", first).target("at most 1000 ms", first <= 1_000.0),
        ms("longest_request_ms", longest)
            .target(format!("at most {deadline:.0} ms"), longest <= deadline),
    ]
}

fn cannot(scenario: &'static str, figure: &'static str) -> Line {
    Line::new(scenario, figure, "cannot be read here".to_owned())
}

fn races(report: &Report) -> Option<Table> {
    let raw = &report.raw;
    let mut table = table([
        "scenario",
        "contender",
        "requests/s",
        "p50 ms",
        "p99 ms",
        "errors",
        "max sessions",
    ]);
    let races = [
        ("one_tenant", &raw.one_tenant),
        ("uniform_200", &raw.uniform_200),
        ("zipf_1000", &raw.zipf_1000),
        ("order", &raw.order),
        ("observability", &raw.observability),
        ("unknown_ids_share", &raw.unknown_ids_share),
        ("catalog_hang_share", &raw.catalog_hang_share),
    ];
    for (scenario, race) in races {
        for series in race {
            table.add_row(race_row(scenario, series));
        }
    }
    (table.row_count() > 0).then_some(table)
}

fn race_row(scenario: &str, series: &Series) -> [String; 7] {
    [
        scenario.to_owned(),
        series.contender.to_owned(),
        format!("{:.0}", series.per_second),
        format!("{:.2}", series.median_of(|run| run.p50_ms)),
        format!("{:.2}", series.median_of(|run| run.p99_ms)),
        series.errors().to_string(),
        series.max_sessions().to_string(),
    ]
}

fn fairness_runs(report: &Report) -> Option<Table> {
    let raw = &report.raw;
    let all = [("fairness", &raw.fairness), ("steady", &raw.steady)];
    let all = all.into_iter().flat_map(|(of, series)| series.iter().map(move |one| (of, one)));
    let mut table = table([
        "scenario",
        "contender",
        "all requests/s",
        "quiet p50 ms",
        "quiet p99 ms",
        "errors",
        "max sessions",
    ]);
    for (scenario, series) in all {
        table.add_row(fairness_row(scenario, series));
    }
    (table.row_count() > 0).then_some(table)
}

fn fairness_row(scenario: &str, series: &FairnessSeries) -> [String; 7] {
    [
        scenario.to_owned(),
        series.contender.to_owned(),
        format!("{:.0}", series.median_of(|run| run.total_per_second)),
        format!("{:.1}", series.median_of(|run| run.quiet_p50_ms)),
        format!("{:.1}", series.median_of(|run| run.quiet_p99_ms)),
        series.errors().to_string(),
        series.max_sessions().to_string(),
    ]
}

fn table<const N: usize>(head: [&str; N]) -> Table {
    let mut table = Table::new();
    table.load_style(ASCII_MARKDOWN).set_header(head);
    table
}
