//! What `docker-compose.yml` says fits together, as far as can be told without Docker.

use std::process::Command;

use serde_json::{Map, Value};
use tenantry_devdb::DevDatabase;

use crate::{
    TestResult,
    ops_files::{list, path, replace, str_of, text, yaml},
    start,
};

fn services(compose: &Value) -> &Map<String, Value> {
    compose["services"].as_object().expect("there are services")
}

/// What a service has mounted: the source, and where in the container it is.
fn mounts(service: &Value) -> impl Iterator<Item = (&str, &str)> {
    list(&service["volumes"]).map(|mount| {
        let mut parts = str_of(mount).split(':');
        let source = parts.next().expect("a split has a first part");
        (source, parts.next().expect("a mount has a target"))
    })
}

/// Whether the tag says which version it is.
fn assert_is_pinned(image: &str) {
    let tag = image.rsplit_once(':').map_or("", |(_, tag)| tag);
    let tells = tag.contains(|c: char| c.is_ascii_digit()) || tag.starts_with("bookworm");
    assert!(tells, "{image} may be anything tomorrow");
}

#[test]
fn has_the_whole_stack_and_the_guide_lists_it() {
    let compose = yaml("docker-compose.yml");
    let mut names: Vec<_> = services(&compose).keys().map(String::as_str).collect();
    names.sort_unstable();
    let all = [
        "citus",
        "citus-coordinator",
        "citus-worker-1",
        "citus-worker-2",
        "example",
        "example-transaction",
        "grafana",
        "pgbouncer",
        "pgbouncer-transaction",
        "postgres",
        "postgres-large",
        "prometheus",
        "tiers",
    ];
    assert_eq!(names, all);
    let guide = text("docs/observability.md");
    // The others are reached by the network of the coordinator.
    let with_network = |(_, service): &(&String, &Value)| service["network_mode"].is_null();
    for (name, service) in services(&compose).iter().filter(with_network) {
        let port = str_of(&service["ports"][0]).split(':').nth(1).expect("a port is published");
        let row = guide.lines().find(|line| line.starts_with(&format!("| `{name}` |")));
        let row = row.unwrap_or_else(|| panic!("docs/observability.md does not list {name}"));
        assert!(row.contains(&format!("127.0.0.1:{port}")), "{row}");
    }
}

#[test]
fn what_is_run_is_pinned_and_what_is_built_can_be() {
    let compose = yaml("docker-compose.yml");
    for (name, service) in services(&compose) {
        assert_is_pinned(str_of(&service["image"]));
        let Some(context) = service["build"]["context"].as_str() else { continue };
        let file = service["build"]["dockerfile"].as_str().unwrap_or("Dockerfile");
        let file = text(&format!("{context}/{file}"));
        for line in file.lines().filter_map(|line| line.strip_prefix("FROM ")) {
            assert_is_pinned(line.split(' ').next().expect("a split has a first part"));
        }
        assert!(file.contains("\nUSER "), "{name} runs as root");
    }
    // The compiler is the one that is promised to do.
    let manifest = text("Cargo.toml");
    let version = manifest.lines().find_map(|line| line.strip_prefix("rust-version = "));
    let version = version.expect("the workspace has one").trim_matches('"');
    assert!(text("ops/Dockerfile").contains(&format!("FROM rust:{version}-")));
}

#[test]
fn what_is_mounted_is_there() {
    let compose = yaml("docker-compose.yml");
    for service in services(&compose).values() {
        for (source, target) in mounts(service) {
            assert!(target.starts_with('/'), "{target}");
            match source.strip_prefix("./") {
                Some(file) => assert!(path(file).exists(), "{file}"),
                None => assert!(compose["volumes"].get(source).is_some(), "{source}"),
            }
        }
    }
    for volume in compose["volumes"].as_object().expect("there are volumes").keys() {
        let mut mounts = services(&compose).values().flat_map(mounts);
        assert!(mounts.any(|(source, _)| source == volume), "nobody uses {volume}");
    }
}

#[test]
fn nothing_is_reached_from_other_machines_and_everything_is_waited_for() {
    let compose = yaml("docker-compose.yml");
    let mut published = Vec::new();
    for (name, service) in services(&compose) {
        for port in list(&service["ports"]) {
            let port = str_of(port).strip_prefix("127.0.0.1:");
            published.push(port.unwrap_or_else(|| panic!("{name} is open to all")));
        }
        // It makes a cluster of the others, and ends.
        let ends = name == "citus";
        assert!(ends || list(&service["healthcheck"]["test"]).count() > 1, "{name}");
        for (needed, how) in service["depends_on"].as_object().into_iter().flatten() {
            assert!(services(&compose).contains_key(needed), "{name} needs {needed}");
            assert_eq!(how["condition"], "service_healthy");
        }
    }
    let ports = published.iter().map(|port| port.split(':').next());
    let different: std::collections::HashSet<_> = ports.clone().collect();
    assert_eq!(different.len(), ports.count(), "{published:?}");
}

/// Each speaks of the others by the names and ports that they have.
#[test]
fn the_files_agree_with_each_other() {
    let compose = yaml("docker-compose.yml");
    let of = |service: &str| &compose["services"][service];
    let postgres = &of("postgres")["environment"];
    let [user, password, name] = ["USER", "PASSWORD", "DB"]
        .map(|what| str_of(&postgres[format!("POSTGRES_{what}")]).to_owned());
    let url = format!("postgres://{user}:{password}@pgbouncer:6432/{name}");
    assert_eq!(of("example")["environment"]["DATABASE_URL"], url);

    let tiers = &of("tiers")["environment"];
    let large = &of("postgres-large")["environment"];
    assert_eq!(postgres, large, "both have the same user");
    for (variable, server, database) in
        [("DATABASE_URL", "postgres", "postgres"), ("LARGE_DATABASE_URL", "postgres-large", &name)]
    {
        let url = format!("postgres://{user}:{password}@{server}:5432/{database}");
        assert_eq!(tiers[variable], url);
        assert!(of("tiers")["depends_on"].get(server).is_some(), "{server}");
    }
    assert_eq!(of("tiers")["healthcheck"]["test"], of("example")["healthcheck"]["test"]);
    let pooled = &of("example-transaction")["environment"];
    let pooler = format!("postgres://pooled:pooled@pgbouncer-transaction:6432/{name}");
    assert_eq!(pooled["DATABASE_URL"], pooler);
    assert_eq!(pooled["DIRECT_URL"], format!("postgres://{user}:{password}@postgres:5432/{name}"));
    for service in ["pgbouncer-transaction", "example-transaction"] {
        assert_eq!(of(service)["profiles"], serde_json::json!(["transaction-pooler"]));
    }
    for example in ["example", "example-transaction", "tiers"] {
        let built = str_of(&of(example)["build"]["args"]["EXAMPLE"]);
        assert!(path(&format!("examples/{built}/Cargo.toml")).exists(), "{built}");
        assert!(str_of(&of(example)["image"]).starts_with(&format!("tenantry-{built}:")));
    }

    let pooler = text("ops/pgbouncer/pgbouncer.ini");
    let lines: Vec<_> = pooler.lines().collect();
    let database = format!("{name} = host=postgres port=5432 dbname={name}");
    assert!(lines.contains(&database.as_str()) && lines.contains(&"listen_port = 6432"));
    assert!(lines.contains(&"pool_mode = session"));
    let transaction = text("ops/pgbouncer/transaction.ini");
    let lines: Vec<_> = transaction.lines().collect();
    assert!(lines.contains(&database.as_str()) && lines.contains(&"listen_port = 6432"));
    assert!(lines.contains(&"pool_mode = transaction"));
    assert_eq!(text("ops/pgbouncer/transaction-userlist.txt").trim_end(), "\"pooled\" \"pooled\"");
    assert!(
        text("ops/postgres/pooled.sql")
            .contains(&format!("login password 'pooled' in role {user};"))
    );
    let users = text("ops/pgbouncer/userlist.txt");
    assert_eq!(users.trim_end(), format!("\"{user}\" \"{password}\""));

    let prometheus = yaml("ops/prometheus.yml");
    let target = str_of(&prometheus["scrape_configs"][0]["static_configs"][0]["targets"][0]);
    assert_eq!(target, format!("example:{}", str_of(&of("example")["environment"]["PORT"])));
    let target = str_of(&prometheus["scrape_configs"][1]["static_configs"][0]["targets"][0]);
    assert_eq!(target, format!("tiers:{}", str_of(&tiers["PORT"])));
    assert_eq!(of("example")["environment"]["HOST"], "0.0.0.0");
    assert_eq!(tiers["HOST"], "0.0.0.0");
    for rules in list(&prometheus["rule_files"]).map(str_of) {
        let target = format!("/etc/prometheus/{rules}");
        assert!(mounts(of("prometheus")).any(|(_, mounted)| mounted == target), "{rules}");
    }

    let sources = yaml("ops/grafana/provisioning/datasources/prometheus.yml");
    let source = &sources["datasources"][0];
    assert_eq!(source["url"], "http://prometheus:9090");
    assert_eq!(source["jsonData"]["timeInterval"], prometheus["global"]["scrape_interval"]);
    let dashboards = yaml("ops/grafana/provisioning/dashboards/tenantry.yml");
    let folder = str_of(&dashboards["providers"][0]["options"]["path"]);
    let mounted = mounts(of("grafana")).find(|(_, target)| *target == folder);
    let (source, _) = mounted.expect("the dashboards are mounted where they are looked for");
    let home = str_of(&of("grafana")["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]);
    let home = replace(home, folder, source);
    assert!(path(&home).exists(), "{home}");
}

/// The command is run as Docker would run it, against the program.
#[tokio::test]
async fn the_health_check_of_the_example_can_tell() -> TestResult {
    let compose = yaml("docker-compose.yml");
    let test = &compose["services"]["example"]["healthcheck"]["test"];
    let words: Vec<_> = list(test).map(str_of).collect();
    let ["CMD", "bash", "-c", script] = words[..] else { panic!("{words:?}") };
    let script = replace(script, "$$", "$");

    let database = DevDatabase::create().await?;
    let server = start(&database, &[]);
    let script = replace(&script, "/3000", &format!("/{}", server.address().port()));
    let check = || Command::new("bash").args(["-c", &script]).output();
    let well = check()?;
    assert!(well.status.success(), "{}", String::from_utf8_lossy(&well.stderr));
    let missing = replace(&script, "/health", "/missing");
    assert!(!Command::new("bash").args(["-c", &missing]).status()?.success());
    server.stop();
    assert!(!check()?.status.success());
    database.close().await?;
    Ok(())
}
