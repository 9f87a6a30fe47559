use std::time::Duration;

use futures_util::FutureExt;
use tokio::time::Instant;

use super::unreachable::{Target, explain};
use crate::{
    doctor::{BuiltIn, Examined, Subject, text::millis},
    error::Error,
};

/// Whether the database can be reached, its version, and its latency.
pub(super) const CHECK: BuiltIn = BuiltIn {
    name: crate::doctor::DATABASE,
    title: "Database connection",
    reads: "the latency",
    look: |on| look(on).boxed(),
};

/// The number of round trips. The median is reported.
const ROUNDS: usize = 5;

async fn look(on: &Subject) -> Result<Examined, Error> {
    let version = match on.server_version() {
        Ok(version) => version,
        Err(error) => {
            let target = Target::of(on.manager().connect_options());
            let message = format!("no connection to {}", target.place());
            return Ok(Examined::error(message).finding(explain(error, &target)));
        }
    };
    let latency = latency(on).await?;
    let message = format!("PostgreSQL {}", version.name);
    let text = format!("OK ({message}, latency: {})", millis(latency));
    Ok(Examined::ok(message).in_words(text).latency(latency))
}

async fn latency(on: &Subject) -> Result<Duration, Error> {
    let mut lease = on.fleet().system().acquire().await?;
    let mut took = [Duration::ZERO; ROUNDS];
    for took in &mut took {
        let began = Instant::now();
        sqlx::raw_sql("select 1").execute(&mut *lease).await?;
        *took = began.elapsed();
    }
    took.sort_unstable();
    Ok(took[ROUNDS / 2])
}
