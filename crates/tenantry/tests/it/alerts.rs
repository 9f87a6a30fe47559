//! The alert rules fire on the metrics of a real failure, and stay silent otherwise.
//!
//! Each test causes a failure and scrapes the manager twice. promtool then extrapolates: gauges keep
//! their value, and counters grow as much per step as they did between the two scrapes.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    io::ErrorKind,
    path::PathBuf,
    process::Command,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use prometheus::{Registry, TextEncoder};
use tenantry::{
    Event, EventOptions, HealthOptions, HealthReport, MetricsOptions, TableCatalog, TenantDb,
    TenantManager,
};
use tenantry_devdb::DevServer;
use tokio::task::JoinSet;

use crate::{
    failover::Pair,
    support::{
        TestResult, World, connect, eventually, name_of, pool_options, private_server, run, skip,
    },
};

const MS: Duration = Duration::from_millis(1);

/// A manager and the registry that scrapes it.
struct Scraped {
    registry: Registry,
    manager: TenantManager,
}

/// Two scrapes during the same failure.
struct Scrapes {
    before: BTreeMap<String, f64>,
    after: BTreeMap<String, f64>,
    /// Time of the second scrape, in seconds since 1970.
    at: f64,
}

impl Scraped {
    fn new(manager: &TenantManager) -> Self {
        let registry = Registry::new();
        let options = MetricsOptions::default().process(true).runtime(true).tenant_labels(3);
        registry.register(Box::new(manager.collector(options))).expect("it is the only one");
        Self { registry, manager: manager.clone() }
    }

    async fn check(&self) -> HealthReport {
        self.manager.health(HealthOptions::default().ping_timeout(MS * 1_000)).await
    }

    fn scrape(&self) -> BTreeMap<String, f64> {
        let text = TextEncoder::new().encode_to_string(&self.registry.gather());
        let text = text.expect("it can be written");
        let samples = text.lines().filter(|line| !line.starts_with('#'));
        let samples = samples.filter_map(|line| line.rsplit_once(' '));
        samples
            .map(|(series, value)| (series.to_owned(), value.parse().expect("a number")))
            .collect()
    }

    /// Scrapes before and after the failure, each after a health check.
    async fn while_there_is(&self, trouble: impl AsyncFnOnce() -> TestResult) -> Scrapes {
        drop(self.check().await);
        let before = self.scrape();
        trouble().await.expect("the trouble can be made");
        drop(self.check().await);
        let at = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970");
        Scrapes { before, after: self.scrape(), at: at.as_secs_f64() }
    }
}

/// One evaluation every ten seconds, for longer than any rule waits.
const STEPS: usize = 900;
const END: &str = "2h25m";

impl Scrapes {
    /// The input series of promtool, extrapolated from the two scrapes.
    fn series(&self) -> String {
        let mut text = String::new();
        for (series, after) in &self.after {
            let name = series.split('{').next().unwrap_or(series);
            let grows =
                ["_total", "_bucket", "_sum", "_count"].iter().any(|end| name.ends_with(end));
            let (first, step) = match self.before.get(series) {
                // promtool starts in 1970.
                _ if name.ends_with("_timestamp_seconds") => (after - self.at, 10.0),
                before if grows => {
                    let before = before.copied().unwrap_or_default();
                    (before, after - before)
                }
                _ => (*after, 0.0),
            };
            let labels = series.split_once('{').map_or("", |(_, rest)| rest.trim_end_matches('}'));
            let comma = if labels.is_empty() { "" } else { "," };
            let series = format!("{name}{{job=\"shop\",instance=\"a:3000\"{comma}{labels}}}");
            writeln!(text, "      - series: '{series}'").expect("a string takes everything");
            writeln!(text, "        values: '{first:.6}+{step:.6}x{STEPS}'")
                .expect("a string takes everything");
        }
        text
    }

    /// Evaluates the rules over these series with promtool.
    fn assert_alerts(&self, name: &str, firing: &[&str], silent: &[&str]) {
        let mut test = format!(
            "rule_files: [{}]\nevaluation_interval: 10s\ntests:\n  - name: {name}\n    interval: 10s\n    \
             input_series:\n      - series: 'up{{job=\"shop\",instance=\"a:3000\"}}'\n        \
             values: '1x{STEPS}'\n{}    promql_expr_test:\n",
            path("ops/alerts.yml").display(),
            self.series(),
        );
        for (alert, fires) in firing
            .iter()
            .map(|alert| (alert, true))
            .chain(silent.iter().map(|alert| (alert, false)))
        {
            let expression =
                format!("count(ALERTS{{alertname=\"{alert}\",alertstate=\"firing\"}})");
            writeln!(test, "      - expr: {expression}\n        eval_time: {END}")
                .expect("a string takes everything");
            if fires {
                test.push_str("        exp_samples: [{ labels: '{}', value: 1 }]\n");
            }
        }
        let file = std::env::temp_dir().join(format!("alerts-{}-{name}.yml", std::process::id()));
        fs::write(&file, &test).expect("the folder is there");
        let ran = Command::new("promtool").args(["test", "rules"]).arg(&file).output();
        fs::remove_file(&file).expect("it was written");
        match ran {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                skip(&format!("alerts of {name}: there is no promtool on this machine"));
            }
            ran => {
                let output = ran.expect("it can be run");
                let said = [output.stdout, output.stderr].concat();
                let said = String::from_utf8_lossy(&said);
                assert!(output.status.success(), "{name}: {said}\n{test}");
            }
        }
    }
}

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..").join(name)
}

/// The names of all alert rules.
fn alerts() -> Vec<String> {
    let rules = fs::read_to_string(path("ops/alerts.yml")).expect("it is there");
    let names = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: "));
    names.map(str::to_owned).collect()
}

/// Builds a manager with ten connections: one listens to the catalog, and one is the reserve.
async fn listening(world: &World, tenants: &[&str]) -> Result<TenantManager, tenantry::Error> {
    let catalog = TableCatalog::new();
    let manager = world
        .builder()
        .catalog(catalog.clone())
        .pool_options(pool_options(|options| {
            options.max_connections = 10;
            options.acquire_timeout = MS * 400;
        }))
        .build()
        .expect("the configuration is sound");
    catalog.create_table(manager.shared()).await?;
    for tenant in tenants {
        let insert = format!("insert into tenants (id) values ('{tenant}')");
        run(&mut world.admin().await, &insert).await;
    }
    Ok(manager)
}

async fn handles(manager: &TenantManager, ids: &[&str]) -> Result<Vec<TenantDb>, tenantry::Error> {
    let mut handles = Vec::new();
    for id in ids {
        handles.push(manager.tenant(*id).await?);
    }
    Ok(handles)
}

#[tokio::test]
async fn nothing_fires_while_all_is_well() -> TestResult {
    let world = World::with_tenants(&["acme", "globex"]).await;
    let manager = listening(&world, &["acme", "globex"]).await?;
    let scraped = Scraped::new(&manager);
    let dbs = handles(&manager, &["acme", "globex"]).await?;
    let serve = async || -> TestResult {
        for db in dbs.iter().cycle().take(20) {
            name_of(db).await?;
        }
        Ok(())
    };
    // The first requests wait for connects, which take long on a busy machine.
    serve().await?;
    let scrapes = scraped.while_there_is(serve).await;
    let all = alerts();
    assert!(all.len() >= 15, "{all:?}");
    let all: Vec<_> = all.iter().map(String::as_str).collect();
    scrapes.assert_alerts("well", &[], &all);
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn saturation_is_distinguished_from_an_outage() -> TestResult {
    let tenants = ["acme", "globex", "initech", "umbrella"];
    let world = World::with_tenants(&tenants).await;
    let manager = listening(&world, &tenants).await?;
    let scraped = Scraped::new(&manager);
    let dbs = handles(&manager, &tenants).await?;
    let mut held = Vec::new();
    for db in dbs.iter().cycle().take(8) {
        held.push(db.acquire().await?);
    }
    let scrapes = scraped
        .while_there_is(async || {
            // One acquire times out, and one waits for a while.
            assert!(dbs[0].acquire().await.is_err());
            let waiting = tokio::spawn({
                let db = dbs[1].clone();
                async move { db.acquire().await }
            });
            tokio::time::sleep(MS * 150).await;
            held.pop();
            held.push(waiting.await??);
            Ok(())
        })
        .await;
    assert_eq!(scrapes.after["tenantry_tenant_leases"], 8.0);
    assert_eq!(scrapes.after["tenantry_tenant_leases_max"], 8.0);
    assert_eq!(scrapes.after["tenantry_connections_max"], 10.0);
    scrapes.assert_alerts(
        "saturated",
        &["BudgetExhausted", "AcquiresFailing", "PoolTooSmall"],
        &[
            "InstanceDown",
            "DatabaseDown",
            "InstanceUnhealthy",
            "CredentialsRefused",
            "ServerOutOfSlots",
        ],
    );
    held.pop();
    let scrapes = scraped.while_there_is(async || Ok(())).await;
    scrapes.assert_alerts("nearly_saturated", &[], &["BudgetExhausted", "AcquiresFailing"]);
    drop(held);
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn tenants_without_their_schema_are_unhealthy() -> TestResult {
    let world = World::with_tenants(&["acme", "globex"]).await;
    let manager = world.manager();
    for db in handles(&manager, &["acme", "globex"]).await? {
        name_of(&db).await?;
    }
    run(&mut world.admin().await, "drop schema tenant_acme cascade").await;
    let scrapes = Scraped::new(&manager).while_there_is(async || Ok(())).await;
    scrapes.assert_alerts("gone", &["TenantsUnhealthy"], &["InstanceUnhealthy", "BudgetExhausted"]);
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn a_stopped_server_is_down() -> TestResult {
    let server = private_server(&["acme"]).await;
    let manager = TenantManager::builder(server.url()).build()?;
    let scraped = Scraped::new(&manager);
    let db = manager.tenant("acme").await?;
    name_of(&db).await?;
    server.stop_now().await?;
    while db.acquire().await.is_ok() {}
    eventually("the breaker is open", async || {
        drop(db.acquire().await);
        manager.snapshot().breaker != tenantry::BreakerState::Closed
    })
    .await;
    let scrapes = scraped
        .while_there_is(async || {
            for _ in 0..10 {
                assert!(db.acquire().await.is_err());
            }
            Ok(())
        })
        .await;
    scrapes.assert_alerts(
        "down",
        &["DatabaseDown", "InstanceUnhealthy", "AcquiresFailing"],
        &["BudgetExhausted", "CredentialsRefused", "ServerOutOfSlots"],
    );
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn a_refused_login_fires() -> TestResult {
    let world = World::with_tenants(&["acme"]).await;
    let options: sqlx::postgres::PgConnectOptions = world.database.url().parse()?;
    let manager = TenantManager::builder_with(options.username("nobody_of_that_name")).build()?;
    let scraped = Scraped::new(&manager);
    let scrapes = scraped
        .while_there_is(async || {
            assert!(manager.shared().acquire().await.is_err());
            Ok(())
        })
        .await;
    scrapes.assert_alerts("refused", &["CredentialsRefused"], &["ServerOutOfSlots"]);
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn a_server_without_free_slots_fires() -> TestResult {
    let server = DevServer::builder()
        .setting("max_connections", "5")
        .setting("superuser_reserved_connections", "0")
        .setting("max_wal_senders", "0")
        .start()
        .await?;
    let mut admin = connect(&server.url()).await;
    crate::support::create_tenant(&mut admin, "acme").await;
    let manager = TenantManager::builder(server.url())
        .pool_options(pool_options(|options| {
            options.max_connections = 8;
            options.acquire_timeout = MS * 1_500;
        }))
        .build()?;
    let scraped = Scraped::new(&manager);
    let db = manager.tenant("acme").await?;
    let mut held = Vec::new();
    let scrapes = scraped
        .while_there_is(async || {
            let mut asking = JoinSet::new();
            for _ in 0..6 {
                let db = db.clone();
                asking.spawn(async move { db.acquire().await });
            }
            for asked in asking.join_all().await {
                held.extend(asked.ok());
            }
            Ok(())
        })
        .await;
    assert!((1..=4).contains(&held.len()), "{} connections", held.len());
    scrapes.assert_alerts(
        "no_room",
        &["ServerOutOfSlots", "AcquiresFailing"],
        &["DatabaseDown", "BudgetExhausted", "CredentialsRefused", "InstanceUnhealthy"],
    );
    drop(held);
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn slow_statements_unknown_ids_and_failing_hooks_fire() -> TestResult {
    let world = World::with_tenants(&["acme"]).await;
    let manager = world
        .builder()
        .events(EventOptions::default().slow_query_threshold(MS * 5))
        .on_event(|_: Event| Err::<(), _>("an error"))
        .build()?;
    let scraped = Scraped::new(&manager);
    let db = manager.tenant("acme").await?;
    let scrapes = scraped
        .while_there_is(async || {
            for _ in 0..5 {
                sqlx::query("select pg_sleep(0.01)").execute(&db).await?;
            }
            for nth in 0..40 {
                assert!(manager.tenant(format!("nobody{nth}")).await.is_err());
            }
            eventually("the hook has failed", async || {
                scraped.scrape()["tenantry_hook_failures_total"] > 5.0
            })
            .await;
            Ok(())
        })
        .await;
    scrapes.assert_alerts(
        "quality",
        &["SlowQueries", "CatalogCacheTooSmall", "HooksFailing"],
        &["AcquiresFailing", "BudgetExhausted", "DatabaseDown"],
    );
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn a_process_that_gets_no_part_of_the_budget_fires() -> TestResult {
    let world = World::with_tenants(&["acme"]).await;
    // Two floors, and one connection to ask on.
    let process = || world.builder().max_connections(5).budget_shared_by("alerts").build();
    let (served, other, third) = (process()?, process()?, process()?);
    let held = (served.shared().acquire().await?, other.shared().acquire().await?);
    let scraped = Scraped::new(&third);
    let refused = r#"tenantry_budget_state{state="refused"}"#;
    eventually("the third process is refused", async || {
        drop(third.shared().acquire().await);
        scraped.scrape()[refused] == 1.0
    })
    .await;
    let scrapes = scraped
        .while_there_is(async || {
            assert!(third.shared().acquire().await.is_err());
            Ok(())
        })
        .await;
    scrapes.assert_alerts(
        "refused_a_floor",
        &["BudgetNotGranted", "InstanceUnhealthy"],
        &["BudgetTableAway", "DatabaseDown", "CredentialsRefused"],
    );
    let scrapes = Scraped::new(&served).while_there_is(async || Ok(())).await;
    scrapes.assert_alerts("granted", &[], &["BudgetNotGranted", "BudgetTableAway"]);
    drop(held);
    for manager in [served, other, third] {
        manager.close().await;
    }
    Ok(())
}

#[tokio::test]
async fn a_replica_that_is_away_fires() -> TestResult {
    let pair = Pair::start().await?;
    let manager = TenantManager::builder(pair.primary.url())
        .pool_options(pool_options(|options| options.max_connections = 6))
        .replica("main", pair.standby.url())
        .build()?;
    let scraped = Scraped::new(&manager);
    let db = manager.tenant("acme").await?;
    let read = async || sqlx::query("select 1").execute(&db.read()).await;
    let by_replica = r#"tenantry_reads_total{answered="replica"}"#;
    eventually("the replica answers", async || {
        drop(read().await);
        scraped.scrape()[by_replica] > 0.0
    })
    .await;
    let reads = async || -> TestResult {
        for _ in 0..20 {
            read().await?;
        }
        Ok(())
    };
    let scrapes = scraped.while_there_is(&reads).await;
    scrapes.assert_alerts("replica_in_use", &[], &["ReplicaUnused", "ReplicasUnused"]);
    pair.standby.stop_now().await?;
    let away = r#"tenantry_replica_state{replica="main/replica-1",state="away"}"#;
    eventually("the replica is away", async || {
        drop(read().await);
        scraped.scrape()[away] == 1.0
    })
    .await;
    let scrapes = scraped.while_there_is(&reads).await;
    scrapes.assert_alerts(
        "replica_away",
        &["ReplicaUnused", "ReplicasUnused"],
        &["DatabaseDown", "AcquiresFailing"],
    );
    manager.close().await;
    Ok(())
}

/// Returns what a manager exports that has replicas and a part of a shared budget, and another one behind a transaction
/// pooler.
async fn samples_of_other_kinds() -> Result<BTreeMap<String, f64>, Box<dyn std::error::Error>> {
    const NONE: &str = "postgres://nobody@127.0.0.1:1/none";
    let pair = Pair::start().await?;
    let shared = TenantManager::builder(pair.primary.url())
        .max_connections(12)
        .budget_shared_by("alerts")
        .server("eu-1", NONE)
        .replica("main", pair.standby.url())
        .replica("main", pair.standby.url())
        .replica("eu-1", NONE)
        .build()?;
    let scraped = Scraped::new(&shared);
    let db = shared.tenant("acme").await?;
    eventually("a replica was asked for its position", async || {
        drop(sqlx::query("select 1").execute(&db.read()).await);
        scraped.scrape().keys().any(|series| series.starts_with("tenantry_replica_lag_bytes"))
    })
    .await;
    let mut samples = scraped.scrape();
    // It connects to nothing.
    let pooled =
        TenantManager::builder(NONE).behind_transaction_pooler().direct_url(NONE).build()?;
    samples.extend(Scraped::new(&pooled).scrape());
    shared.close().await;
    pooled.close().await;
    Ok(samples)
}

/// Returns the metrics that an expression reads, with the label values that it selects.
fn selectors(text: &str) -> Vec<(String, Vec<(String, String)>)> {
    let is_of_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut found = Vec::new();
    for prefix in ["tenantry_", "process_", "tokio_"] {
        for (at, _) in text.match_indices(prefix) {
            if text[..at].ends_with(is_of_name) || text[..at].ends_with(['/', '-', '.']) {
                continue;
            }
            let name: String = text[at..].chars().take_while(|c| is_of_name(*c)).collect();
            let rest = &text[at + name.len()..];
            let braces = rest.strip_prefix('{').and_then(|rest| rest.split('}').next());
            let wanted = braces.unwrap_or_default().split(',').filter_map(|matcher| {
                let (label, value) = matcher.split_once('=')?;
                let value = value.trim_start_matches('~').trim_matches(['"', '\\']);
                Some((label.trim().to_owned(), value.to_owned()))
            });
            let wanted = wanted.filter(|(label, _)| !["job", "instance", "le"].contains(&&**label));
            found.push((name, wanted.collect()));
        }
    }
    found
}

/// A metric or label that is no longer exported would silence a rule or a panel.
#[tokio::test]
async fn all_metrics_of_the_rules_and_the_dashboard_exist() -> TestResult {
    let world = World::with_tenants(&["acme"]).await;
    // Several servers, so that there are all labels.
    let manager = world.builder().server("eu-1", "postgres://nobody@127.0.0.1:1/none").build()?;
    let scraped = Scraped::new(&manager);
    name_of(&manager.tenant("acme").await?).await?;
    drop(scraped.check().await);
    let mut samples = scraped.scrape();
    samples.extend(samples_of_other_kinds().await?);
    let is_there = |name: &str, label: Option<(&str, &str)>| {
        samples.keys().any(|series| {
            let rest = series.strip_prefix(name);
            rest.is_some_and(|rest| match label {
                None => rest.is_empty() || rest.starts_with('{'),
                Some((label, value)) => {
                    rest.starts_with('{') && rest.contains(&format!("{label}=\"{value}\""))
                }
            })
        })
    };
    for file in ["ops/alerts.yml", "ops/alerts_test.yml", "ops/grafana/dashboards/tenantry.json"] {
        let text = fs::read_to_string(path(file))?;
        let found = selectors(&text);
        assert!(found.len() > 10, "{file}: {found:?}");
        for (name, wanted) in found {
            assert!(is_there(&name, None), "{file}: there is no {name}");
            for (label, values) in wanted {
                for value in values.split('|') {
                    let label = Some((&*label, value));
                    assert!(is_there(&name, label), "{file}: {name} never has {label:?}");
                }
            }
        }
    }
    assert!(!is_there("tenantry_acquires", None), "the comparison can see a difference");
    assert!(!is_there("tenantry_acquires_total", Some(("outcome", "lost"))));
    manager.close().await;
    Ok(())
}
