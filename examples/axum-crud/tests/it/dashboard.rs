//! Every panel of the dashboard shows something, and every alert looks at what there is, in a real
//! Prometheus that scrapes the running program, and managers with what the program does not have.

use std::{collections::HashSet, net::SocketAddr, thread};

use example_support::testing::{get, try_send, wait_until};
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};
use tenantry::TenantManager;
use tenantry_devdb::{DevDatabase, DevServer};
use tokio::{
    net::TcpListener,
    task::{JoinSet, spawn_blocking},
};

use crate::{
    TestResult,
    ops_files::{self, list, str_of},
    prometheus::Prometheus,
    start,
};

const DASHBOARD: &str = "ops/grafana/dashboards/tenantry.json";

fn panels(dashboard: &Value) -> impl Iterator<Item = &Value> {
    list(&dashboard["panels"]).filter(|panel| panel["type"] != "row")
}

/// Puts in what Grafana would.
fn filled_in(expression: &str) -> String {
    let filled = expression
        .replace("$__rate_interval", "5s")
        .replace("$job", ".*")
        .replace("$instance", ".*");
    assert!(!filled.contains('$'), "nothing is known of a variable in {filled}");
    filled
}

#[test]
fn each_panel_says_what_it_shows_and_where_from() {
    let dashboard = ops_files::json(DASHBOARD);
    let (mut ids, mut cells) = (HashSet::new(), HashSet::new());
    for panel in list(&dashboard["panels"]) {
        assert!(ids.insert(panel["id"].as_u64()), "another panel has the id of {panel}");
        let at = |name: &str| panel["gridPos"][name].as_u64().expect("a panel has a place");
        for x in at("x")..at("x") + at("w") {
            for y in at("y")..at("y") + at("h") {
                assert!(x < 24 && cells.insert((x, y)), "there is no room for {}", panel["title"]);
            }
        }
    }
    assert!(panels(&dashboard).count() > 25);
    for panel in panels(&dashboard) {
        let title = str_of(&panel["title"]);
        assert!(str_of(&panel["description"]).ends_with(['.', ')']), "{title}");
        assert!(panel["fieldConfig"]["defaults"]["unit"].is_string(), "{title}");
        assert!(list(&panel["targets"]).next().is_some(), "{title}");
        for from in list(&panel["targets"]).chain([panel]) {
            assert_eq!(from["datasource"]["uid"], "${datasource}", "{title}");
        }
        for target in list(&panel["targets"]) {
            let expression = str_of(&target["expr"]);
            assert!(expression.contains(r#"job=~"$job",instance=~"$instance""#), "{expression}");
            assert!(!expression.contains("rate(") || expression.contains("[$__rate_interval]"));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_panel_has_data_and_every_alert_something_to_look_at() -> TestResult {
    let database = DevDatabase::create().await?;
    let server = start(&database, &[("METRICS_TENANTS", "20")]);
    let others = Others::start().await?;
    let mut targets = vec![server.address()];
    targets.extend(&others.addresses);
    if let Some(prometheus) = Prometheus::start(&targets) {
        let admin = PgConnection::connect(database.url()).await?;
        let traffic = tokio::spawn(traffic(server.address(), admin));
        tokio::task::block_in_place(|| {
            all_panels_have_data(&prometheus);
            all_variables_have_values(&prometheus);
            all_rules_are_evaluated(&prometheus);
            assert!(!traffic.is_finished(), "the traffic has failed");
        });
        traffic.abort();
        let _ = traffic.await;
    }
    drop(others);
    server.stop();
    database.close().await?;
    Ok(())
}

/// Managers with what the program does not have: one with a replica and a part of a shared budget, and one behind a
/// pooler in transaction mode, which connects to nothing.
struct Others {
    addresses: Vec<SocketAddr>,
    /// They serve the metrics, and read.
    _tasks: JoinSet<()>,
    _servers: [DevServer; 2],
}

impl Others {
    async fn start() -> Result<Self, Box<dyn std::error::Error>> {
        let primary = DevServer::builder()
            .setting("wal_level", "replica")
            .setting("max_wal_senders", "4")
            .start()
            .await?;
        let mut admin = PgConnection::connect(&primary.url()).await?;
        sqlx::raw_sql("create schema tenant_acme").execute(&mut admin).await?;
        drop(admin);
        let standby = primary.standby().await?;
        let reading = TenantManager::builder(primary.url())
            .budget_shared_by("dashboard")
            .replica("main", standby.url())
            .build()?;
        let none = "postgres://nobody@127.0.0.1:1/none";
        let pooled =
            TenantManager::builder(none).behind_transaction_pooler().direct_url(none).build()?;
        let (mut addresses, mut tasks) = (Vec::new(), JoinSet::new());
        for manager in [&reading, &pooled] {
            let listener = TcpListener::bind("127.0.0.1:0").await?;
            addresses.push(listener.local_addr()?);
            let routes: axum::Router = tenantry_axum::ops_routes(manager.clone());
            tasks.spawn(async move {
                axum::serve(listener, routes).await.expect("it listens");
            });
        }
        // Both are kept as long as it reads.
        tasks.spawn(async move {
            let _pooled = pooled;
            loop {
                let db = reading.tenant("acme").await.expect("there is its schema");
                let read = sqlx::query("select pg_sleep(0.02)").execute(&db.read()).await;
                read.expect("the primary is there");
            }
        });
        Ok(Self { addresses, _tasks: tasks, _servers: [primary, standby] })
    }
}

fn all_panels_have_data(prometheus: &Prometheus) {
    let dashboard = ops_files::json(DASHBOARD);
    for target in panels(&dashboard).flat_map(|panel| list(&panel["targets"])) {
        prometheus.wait_for_data(&filled_in(str_of(&target["expr"])));
    }
}

/// `label_values(series, label)`
fn all_variables_have_values(prometheus: &Prometheus) {
    let dashboard = ops_files::json(DASHBOARD);
    let variables = list(&dashboard["templating"]["list"]).filter(|of| of["type"] == "query");
    assert_eq!(variables.clone().count(), 2);
    for variable in variables {
        let query = str_of(&variable["query"]["query"]);
        let of = query.strip_prefix("label_values(").and_then(|rest| rest.strip_suffix(")"));
        let of = of.and_then(|arguments| arguments.rsplit_once(", "));
        let (series, label) = of.unwrap_or_else(|| panic!("what is {query}?"));
        let found = prometheus.wait_for_data(&filled_in(series));
        assert!(found.iter().all(|of| of["metric"][label].is_string()), "{query}: {found:?}");
    }
}

/// An alert that does not fire has no data. What it looks at must be there all the same.
fn all_rules_are_evaluated(prometheus: &Prometheus) {
    let file = ops_files::yaml("ops/alerts.yml");
    let written = list(&file["groups"]).flat_map(|group| list(&group["rules"]));
    let rules = wait_until("all rules were evaluated", || {
        let all = prometheus.api("rules");
        let rules: Vec<_> =
            list(&all["groups"]).flat_map(|group| list(&group["rules"])).cloned().collect();
        rules.iter().all(|rule| rule["health"] != "unknown").then_some(rules)
    });
    assert_eq!(rules.len(), written.clone().count());
    for rule in rules {
        assert_eq!(rule["health"], "ok", "{rule}");
    }
    for rule in written {
        let selectors = selectors(str_of(&rule["expr"]));
        assert!(!selectors.is_empty(), "{rule}");
        for selector in selectors {
            prometheus.wait_for_data(&selector);
        }
    }
}

/// Finds the metrics in an expression, with what is in braces after them.
fn selectors(expression: &str) -> Vec<String> {
    let is_of_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut found = Vec::new();
    let mut rest = expression;
    while let Some(at) = rest.find(is_of_name) {
        let word = &rest[at..];
        let end = word.find(|c| !is_of_name(c)).unwrap_or(word.len());
        let (name, after) = word.split_at(end);
        let braces = after.starts_with('{').then(|| after.find('}').expect("braces are closed"));
        let length = braces.map_or(0, |end| end + 1);
        let prefixes = ["tenantry_", "process_", "tokio_"];
        if name == "up" || prefixes.iter().any(|prefix| name.starts_with(prefix)) {
            found.push(format!("{name}{}", &after[..length]));
        }
        rest = &after[length..];
    }
    found
}

#[test]
fn finds_metrics_in_expressions() {
    let expression = r#"sum by (le) (rate(tokio_a{b="up"}[5m])) / tenantry_c > 1 or up == 0"#;
    assert_eq!(selectors(expression), [r#"tokio_a{b="up"}"#, "tenantry_c", "up"]);
}

/// Does something for every panel, again and again: hits, connections that are taken over, that
/// die and are opened, statements that fail, tenants that do not exist.
async fn traffic(address: SocketAddr, mut admin: PgConnection) {
    loop {
        let requests = spawn_blocking(move || {
            for tenant in ["acme", "globex"] {
                burst(address, tenant);
                let taken = json!({ "email": format!("ada@{tenant}.example"), "name": "Ada" });
                let _ = try_send(address, "POST", "/users", Some(tenant), Some(&taken));
            }
            let _ = try_send(address, "GET", "/users", Some("nobody"), None);
            for path in ["/plans", "/readyz", "/health"] {
                let _ = get(address, path, &[]);
            }
        });
        requests.await.expect("no request panics");
        let kill = "select pg_terminate_backend(pid) from pg_stat_activity
                    where datname = current_database() and pid <> pg_backend_pid()
                    order by random() limit 1";
        sqlx::raw_sql(kill).execute(&mut admin).await.expect("the server lets us end a session");
    }
}

/// More requests at once than the budget has connections: those of the other tenant are taken over.
fn burst(address: SocketAddr, tenant: &str) {
    thread::scope(|scope| {
        for _ in 0..12 {
            scope.spawn(|| {
                for path in ["/users", "/users-async"] {
                    let _ = try_send(address, "GET", path, Some(tenant), None);
                }
            });
        }
    });
}
