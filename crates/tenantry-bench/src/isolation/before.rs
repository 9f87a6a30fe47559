//! The current pool, beside an earlier build of this benchmark.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Stdio,
};

use serde_json::Value;
use tokio::process::Command;

use crate::{args::IsolationArgs, failure::Failure, stats::ratio};

/// Runs the scenario of one tenant with both builds in turn; returns the ratio of their throughput.
pub(super) async fn one_tenant(before: &Path, args: &IsolationArgs) -> Result<f64, Failure> {
    let now = env::current_exe()?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for round in 0..args.rounds {
        eprintln!("before: round {} of {}", round + 1, args.rounds);
        // The first of a pair finds a machine that has rested.
        let pair = [(&now, &mut ours), (&before.to_owned(), &mut theirs)];
        let pair: Vec<_> =
            if round % 2 == 0 { pair.into() } else { pair.into_iter().rev().collect() };
        for (program, figures) in pair {
            figures.push(per_second(program, args).await?);
        }
    }
    Ok(ratio(ours, theirs))
}

/// Returns the requests per second of the manager.
async fn per_second(program: &PathBuf, args: &IsolationArgs) -> Result<f64, Failure> {
    let json = env::temp_dir().join(format!("tenantry-bench-{}.json", std::process::id()));
    let status = Command::new(program)
        .args(["pool", "--only", "one_tenant", "--rounds", "3", "--seconds"])
        .arg(args.seconds.as_secs_f64().to_string())
        .arg("--json")
        .arg(&json)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .await?;
    if !status.success() {
        return Err(format!("{} has failed", program.display()).into());
    }
    let report: Value = serde_json::from_str(&fs::read_to_string(&json)?)?;
    fs::remove_file(&json)?;
    let found = report.pointer("/raw/one_tenant/0/per_second").and_then(Value::as_f64);
    found.ok_or_else(|| format!("{} reports no throughput", program.display()).into())
}
