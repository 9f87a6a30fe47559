//! The benchmark of clones: tenants that are copies of another tenant, or of a template.

mod anonymized;
pub(crate) mod history;
mod rows;
mod server;
mod source;
mod structure;
mod template;

use clap::ValueEnum;
use serde::Serialize;

use self::{rows::Copied, server::Server};
use crate::{
    args::{CloneArgs, CloneScenario},
    failure::Failure,
    times::{self, Times},
};

/// All figures, in the shape of the JSON file. A scenario that was not run is omitted.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Report {
    /// How many times faster the structure of a tenant is cloned than with `pg_dump`, `sed` and `psql`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) clone_vs_pg_dump: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) clone_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) pg_dump_ms: Option<f64>,
    /// How many times faster a tenant is cloned with its rows than the rows are copied into prepared tables.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) clone_data_vs_insert_select: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) clone_data_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) insert_select_ms: Option<f64>,
    /// How many times faster a tenant is cloned with masked rows, without the proof, than with unchanged rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) anonymized_vs_plain: Option<f64>,
    /// Milliseconds for the proof that no source value is left.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) proof_ms: Option<f64>,
    /// How many times faster a tenant is created from a template than from its migration files.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) template_vs_files: Option<f64>,
    /// Milliseconds for one tenant from a template.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) template_ms: Option<f64>,
    /// Milliseconds for one tenant from its files.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) files_ms: Option<f64>,
    pub(crate) raw: Raw,
}

/// The measurements behind the figures: milliseconds of each run.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Raw {
    pub(crate) rounds: u32,
    /// The server's version.
    pub(crate) server: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) structure: Vec<Times>,
    /// Rows of the tenant in `rows`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) copied_rows: Option<u64>,
    /// Bytes of that tenant's tables, with their indexes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) copied_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) rows: Vec<Times>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) anonymized: Vec<Times>,
    /// Tenants that were created in each run of `template`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) created: Option<usize>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) template: Vec<Times>,
}

/// Runs the requested scenarios.
pub(crate) async fn run(args: &CloneArgs) -> Result<Report, Failure> {
    let server = Server::start().await?;
    let mut report = Report::default();
    report.raw.rounds = args.rounds;
    report.raw.server = server.version();
    let done = run_all(args, &server, &mut report).await;
    server.stop().await;
    done.map(|()| report)
}

async fn run_all(args: &CloneArgs, server: &Server, report: &mut Report) -> Result<(), Failure> {
    let requested = |scenario: &&CloneScenario| args.only.contains(scenario);
    for scenario in CloneScenario::value_variants().iter().filter(requested) {
        match scenario {
            CloneScenario::Structure => structure(args, server, report).await?,
            CloneScenario::Rows => rows(args, server, report).await?,
            CloneScenario::Anonymized => anonymized(args, server, report).await?,
            CloneScenario::Template => template(args, server, report).await?,
        }
    }
    Ok(())
}

async fn structure(args: &CloneArgs, server: &Server, report: &mut Report) -> Result<(), Failure> {
    let times = structure::run(server, args.rounds, &args.sizes).await?;
    report.clone_vs_pg_dump = Some(times::ratio(&times, "pg_dump", "tenantry"));
    report.clone_ms = median(&times, "tenantry");
    report.pg_dump_ms = median(&times, "pg_dump");
    report.raw.structure = times;
    Ok(())
}

async fn rows(args: &CloneArgs, server: &Server, report: &mut Report) -> Result<(), Failure> {
    let Copied { rows, bytes, times } = rows::run(server, args.rounds, &args.sizes).await?;
    report.clone_data_vs_insert_select = Some(times::ratio(&times, "insert_select", "tenantry"));
    report.clone_data_ms = median(&times, "tenantry");
    report.insert_select_ms = median(&times, "insert_select");
    report.raw.copied_rows = Some(rows);
    report.raw.copied_bytes = Some(bytes);
    report.raw.rows = times;
    Ok(())
}

async fn anonymized(args: &CloneArgs, server: &Server, report: &mut Report) -> Result<(), Failure> {
    let masked = anonymized::run(server, args.rounds, &args.sizes).await?;
    report.anonymized_vs_plain = Some(times::ratio(&masked.times, "plain", "anonymized"));
    report.proof_ms = Some(masked.proof_ms);
    report.raw.anonymized = masked.times;
    Ok(())
}

async fn template(args: &CloneArgs, server: &Server, report: &mut Report) -> Result<(), Failure> {
    let tenants = args.sizes.created_tenants;
    let times = template::run(server, args.rounds, tenants).await?;
    let each = |name| median(&times, name).map(|ms| ms / tenants as f64);
    report.template_vs_files = Some(times::ratio(&times, "files", "template"));
    (report.template_ms, report.files_ms) = (each("template"), each("files"));
    report.raw.created = Some(tenants);
    report.raw.template = times;
    Ok(())
}

fn median(times: &[Times], contender: &str) -> Option<f64> {
    times::find(times, contender).map(Times::median)
}
