use std::{env, fs, path::PathBuf, process};

use serde::Deserialize;
use tokio::process::Command;

use crate::failure::Failure;

/// The load generator, and the script that generates its requests.
pub(super) struct Wrk {
    script: PathBuf,
}

/// Its result.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Answer {
    requests: u64,
    duration_us: f64,
    p99_us: f64,
    errors: u64,
}

/// Concurrent connections; each sends its next request after a response.
const CLIENTS: &str = "32";

/// Every request is for a random tenant and item. The last line that it prints is JSON.
const SCRIPT: &str = r#"
local tenants = tonumber(os.getenv("TENANTRY_BENCH_TENANTS"))
function request()
  local tenant = string.format("t%05d", math.random(0, tenants - 1))
  return wrk.format("GET", "/items/" .. math.random(1, 1000), { ["x-tenant-id"] = tenant })
end
function done(summary, latency, requests)
  local e = summary.errors
  io.write(string.format(
    '\n{"requests":%d,"duration_us":%d,"p99_us":%d,"errors":%d}\n',
    summary.requests, summary.duration, latency:percentile(99),
    e.connect + e.read + e.write + e.status + e.timeout))
end
"#;

impl Wrk {
    /// Finds the program.
    pub(super) async fn find() -> Result<Self, Failure> {
        let found = Command::new("wrk").arg("-v").output().await;
        found
            .map_err(|error| format!("wrk is needed (on Debian: apt-get install wrk): {error}"))?;
        let script = env::temp_dir().join(format!("tenantry-bench-{}.lua", process::id()));
        fs::write(&script, SCRIPT)?;
        Ok(Self { script })
    }

    /// Sends requests for this many seconds.
    pub(super) async fn run(
        &self,
        port: u16,
        tenants: usize,
        seconds: u64,
    ) -> Result<Answer, Failure> {
        let output = Command::new("wrk")
            .args(["-t", "1", "-c", CLIENTS, "-d", &format!("{seconds}s"), "-s"])
            .arg(&self.script)
            .arg(format!("http://127.0.0.1:{port}/"))
            .env("TENANTRY_BENCH_TENANTS", tenants.to_string())
            .output()
            .await?;
        let text = String::from_utf8_lossy(&output.stdout);
        if !output.status.success() {
            return Err(format!("wrk: {text}{}", String::from_utf8_lossy(&output.stderr)).into());
        }
        let line = text.lines().rev().find(|line| line.starts_with('{'));
        Ok(serde_json::from_str(line.ok_or_else(|| format!("wrk has not told: {text}"))?)?)
    }
}

impl Drop for Wrk {
    fn drop(&mut self) {
        // A file that stays behind does no harm.
        let _ = fs::remove_file(&self.script);
    }
}

impl Answer {
    pub(super) fn per_second(&self) -> f64 {
        let answered = self.requests.saturating_sub(self.errors);
        answered as f64 / (self.duration_us / 1e6)
    }

    pub(super) fn p99_ms(&self) -> f64 {
        self.p99_us / 1e3
    }

    pub(super) fn errors(&self) -> u64 {
        self.errors
    }
}
