//! The configuration of Prometheus and its alert rules are to the taste of its own tool.

use std::{io::ErrorKind, process::Command};

use example_support::testing::skip;
use serde_json::Value;

use crate::ops_files::{list, path, str_of, text, yaml};

/// Runs promtool, if there is one.
fn promtool(arguments: &[&str], file: &str) {
    let ran = Command::new("promtool").args(arguments).arg(path(file)).output();
    let output = match ran {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return skip(&format!("{file}: there is no promtool on this machine"));
        }
        ran => ran.expect("promtool can be run"),
    };
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{file}: {}", String::from_utf8_lossy(&said));
}

#[test]
fn promtool_accepts_the_configuration_and_the_rules() {
    promtool(&["check", "config"], "ops/prometheus.yml");
    promtool(&["check", "rules"], "ops/alerts.yml");
}

#[test]
fn alerts_fire_when_they_should_and_not_before() {
    promtool(&["test", "rules"], "ops/alerts_test.yml");
}

fn alerts(rules: &Value) -> impl Iterator<Item = &Value> {
    list(&rules["groups"]).flat_map(|group| list(&group["rules"]))
}

#[test]
fn each_alert_says_how_urgent_it_is_and_what_to_do() {
    let rules = yaml("ops/alerts.yml");
    assert!(alerts(&rules).count() > 10);
    for alert in alerts(&rules) {
        let severity = str_of(&alert["labels"]["severity"]);
        assert!(["page", "ticket"].contains(&severity), "{alert}");
        for annotation in ["summary", "description"] {
            assert!(str_of(&alert["annotations"][annotation]).len() > 20, "{alert}");
        }
    }
}

/// docs/observability.md shows some of the rules.
#[test]
fn the_documentation_shows_the_rules_that_there_are() {
    let rules = yaml("ops/alerts.yml");
    let documentation = text("docs/observability.md");
    let (_, shown) =
        documentation.split_once("# Prometheus: alert rules").expect("rules are shown");
    let (_, shown) = shown.split_once('\n').expect("they are in lines of their own");
    let (shown, _) = shown.split_once("```").expect("the block has an end");
    let shown: Vec<Value> = serde_saphyr::from_str(shown).expect("what is shown is YAML");
    assert!(shown.len() >= 4);
    for shown in &shown {
        let alert = alerts(&rules).find(|alert| alert["alert"] == shown["alert"]);
        let alert = alert.unwrap_or_else(|| panic!("there is no such rule: {shown}"));
        for of in ["expr", "for"] {
            assert_eq!(alert[of], shown[of], "{shown}");
        }
    }
}
