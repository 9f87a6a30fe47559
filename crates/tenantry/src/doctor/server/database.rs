use std::time::Duration;

use futures_util::FutureExt;
use tokio::time::Instant;

use super::unreachable::{Target, explain};
use crate::{
    doctor::{Examined, OnServer, ServerCheck, text::millis},
    error::Error,
};

/// Whether the database can be reached, its version, and its latency.
pub(super) const CHECK: ServerCheck = ServerCheck {
    name: crate::doctor::DATABASE,
    title: "Database connection",
    reads: "the latency",
    look: |on| look(on).boxed(),
};

/// The number of round trips. The median is reported.
const ROUNDS: usize = 5;

async fn look(on: OnServer<'_>) -> Result<Examined, Error> {
    if let Some(error) = on.unreached() {
        return Ok(explained(on, error));
    }
    let version = match on.version().await {
        Ok(version) => version,
        Err(error) => return Ok(explained(on, &error)),
    };
    let latency = latency(on).await?;
    let message = format!("PostgreSQL {}", version.name);
    let text = format!("OK ({message}, latency: {})", millis(latency));
    Ok(Examined::ok(message).in_words(text).latency(latency))
}

fn explained(on: OnServer<'_>, error: &Error) -> Examined {
    let target = Target::of(on.connect_options());
    let message = format!("no connection to {}", target.place());
    Examined::error(message).finding(explain(error, &target))
}

async fn latency(on: OnServer<'_>) -> Result<Duration, Error> {
    let mut lease = on.system().acquire().await?;
    let mut took = [Duration::ZERO; ROUNDS];
    for took in &mut took {
        let began = Instant::now();
        sqlx::raw_sql("select 1").execute(&mut *lease).await?;
        *took = began.elapsed();
    }
    took.sort_unstable();
    Ok(took[ROUNDS / 2])
}
