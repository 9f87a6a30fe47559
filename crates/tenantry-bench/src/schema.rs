//! The benchmark of drift detection: the schemas of many tenants, fingerprinted and compared.

mod defs;
pub(crate) mod fleet;

use serde::Serialize;
use tokio::time::Instant;

use self::fleet::Fleet;
use crate::{
    args::SchemaArgs,
    failure::Failure,
    times::{self, Times},
};

/// All figures, in the shape of the JSON file.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Report {
    /// The time to compare all schemas, relative to one run of PostgreSQL's own functions over the same schemas on
    /// one connection.
    pub(crate) fingerprint_vs_defs: f64,
    /// Seconds for 1,000 schemas with 20 tables each.
    pub(crate) fingerprint_1000x20_s: f64,
    /// The ratio of the times of 2,000 and of 500 schemas, divided by four.
    pub(crate) fingerprint_growth: f64,
    /// Seconds for 200 tenants with 2 tables each.
    pub(crate) drift_200x2_s: f64,
    /// Seconds for 1,000 tenants with 2 tables each.
    pub(crate) drift_1000x2_s: f64,
    /// Findings among tenants that are equal.
    pub(crate) false_findings: usize,
    /// The additional seconds if one of 1,000 tenants was tampered with.
    pub(crate) tampered_extra_s: f64,
    pub(crate) raw: Raw,
}

/// The raw data of the figures: milliseconds of each run.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Raw {
    pub(crate) rounds: u32,
    /// The server's version.
    pub(crate) server: String,
    pub(crate) large: Vec<Times>,
    pub(crate) growth: Vec<Times>,
    pub(crate) small: Vec<Times>,
}

pub(crate) async fn run(args: &SchemaArgs) -> Result<Report, Failure> {
    let mut report = Report::default();
    report.raw.rounds = args.rounds;
    let large = Fleet::start().await?;
    report.raw.server = large.version();
    let done = run_large(args, &large, &mut report).await;
    large.stop().await;
    done?;
    let small = Fleet::start().await?;
    let done = run_small(args, &small, &mut report).await;
    small.stop().await;
    done?;
    Ok(report)
}

/// Twenty tables in each schema.
async fn run_large(args: &SchemaArgs, fleet: &Fleet, report: &mut Report) -> Result<(), Failure> {
    let (few, half, many) = (args.tenants / 2, args.tenants, args.tenants * 2);
    let mut growth = Vec::new();
    fleet.grow(0..few, 20).await?;
    growth.push(drift("500x20", fleet, args.rounds, report).await?);
    fleet.grow(few..half, 20).await?;
    let contenders = ["defs", "tenantry"];
    let times = times::run("fingerprint", &contenders, args.rounds, async |contender, _| {
        let began = Instant::now();
        match contender {
            0 => defs::run(fleet).await?,
            _ => report.false_findings += compared(fleet, 0).await?,
        }
        Ok(began.elapsed())
    });
    report.raw.large = times.await?;
    report.fingerprint_vs_defs = times::ratio(&report.raw.large, "tenantry", "defs");
    let seconds = times::find(&report.raw.large, "tenantry").map(|times| times.median() / 1e3);
    report.fingerprint_1000x20_s = seconds.unwrap_or_default();
    fleet.grow(half..many, 20).await?;
    growth.push(drift("2000x20", fleet, args.rounds, report).await?);
    report.fingerprint_growth = growth[1].median() / growth[0].median() / 4.0;
    report.raw.growth = growth;
    Ok(())
}

/// Two tables in each schema.
async fn run_small(args: &SchemaArgs, fleet: &Fleet, report: &mut Report) -> Result<(), Failure> {
    let (few, many) = (args.tenants / 5, args.tenants);
    fleet.grow(0..few, 2).await?;
    let small = drift("200x2", fleet, args.rounds, report).await?;
    report.drift_200x2_s = small.median() / 1e3;
    fleet.grow(few..many, 2).await?;
    let contenders = ["alike", "tampered"];
    let times = times::run("1000x2", &contenders, args.rounds, async |contender, _| {
        fleet.tamper(contender == 1).await?;
        let began = Instant::now();
        report.false_findings += compared(fleet, contender).await?;
        Ok(began.elapsed())
    });
    let many = times.await?;
    report.drift_1000x2_s = many[0].median() / 1e3;
    report.tampered_extra_s = (many[1].median() - many[0].median()) / 1e3;
    report.raw.small = [small].into_iter().chain(many).collect();
    Ok(())
}

async fn drift(
    name: &'static str,
    fleet: &Fleet,
    rounds: u32,
    report: &mut Report,
) -> Result<Times, Failure> {
    let contenders = [name];
    let times = times::run(name, &contenders, rounds, async |_, _| {
        let began = Instant::now();
        report.false_findings += compared(fleet, 0).await?;
        Ok(began.elapsed())
    });
    times.await?.pop().ok_or_else(|| "nothing was run".into())
}

/// Compares all tenants with the first one, on a new manager with default settings, and returns how many are wrongly
/// reported as drifted.
async fn compared(fleet: &Fleet, expected: usize) -> Result<usize, Failure> {
    let manager = fleet.manager()?;
    let report = manager.drift().run().await?;
    manager.close().await;
    if report.error > 0 {
        return Err(report.to_string().into());
    }
    Ok(report.with_drift.abs_diff(expected))
}
