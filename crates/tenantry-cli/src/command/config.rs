use clap::Args;
use schemars::JsonSchema;
use serde::Serialize;

use super::Ended;
use crate::{context::Context, exit::Exit, output::Table, settings::Settings};

/// Arguments of `config`.
#[derive(Debug, Args)]
pub(crate) struct Config {}

/// The settings in force, for JSON.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "ConfigReport")]
pub(crate) struct ConfigReport {
    /// The configuration file, where there is one.
    file: Option<String>,
    /// Every setting.
    settings: Vec<Setting>,
    /// Environment variables that begin with `TENANTRY_` and are no settings.
    unknown_variables: Vec<String>,
}

/// A setting.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Setting {
    /// Its place in the file.
    key: String,
    /// Its value as text, without secrets; null when it is not set.
    value: Option<String>,
    /// Where the value is from: `default`, `FILE:LINE`, `$VARIABLE` or a flag.
    source: Option<String>,
    /// The environment variable that sets it.
    variable: String,
    /// What it is.
    about: &'static str,
}

impl ConfigReport {
    fn new(settings: &Settings) -> Self {
        let all = settings.keys().into_iter().map(|key| {
            let (value, source) = settings.get(&key).unzip();
            Setting {
                key: key.name.to_string(),
                value: value.map(ToString::to_string),
                source: source.map(ToString::to_string),
                variable: key.variable(),
                about: key.about,
            }
        });
        Self {
            file: settings.file.as_ref().map(|file| file.display().to_string()),
            settings: all.collect(),
            unknown_variables: settings
                .unknown_variables
                .iter()
                .map(|(name, _)| name.clone())
                .collect(),
        }
    }

    fn text(&self) -> String {
        let mut table = Table::new(["setting", "value", "from"]);
        for setting in &self.settings {
            table.row([
                setting.key.to_owned(),
                setting.value.clone().unwrap_or_else(|| "-".to_owned()),
                setting.source.clone().unwrap_or_else(|| "not set".to_owned()),
            ]);
        }
        table.to_string()
    }
}

impl Config {
    pub(crate) fn run(self, on: &Context) -> Ended {
        if on.has_given_manager() {
            on.output.note("this program configures the database, tenants and pool itself: settings under database, upkeep, tenants and pool have no effect");
        }
        let report = ConfigReport::new(&on.settings);
        on.output.report(&report, || report.text())?;
        Ok(Exit::Fine)
    }
}
