use std::{sync::Arc, time::Duration};

use serde::Serialize;
use sqlx::postgres::PgConnectOptions;

use crate::{
    contender::Contender,
    failure::Failure,
    load::{self, Work},
    rounds::{Round, interleave},
    sessions::{SessionSampler, begun},
    stats::{median, ratio},
};

/// One contender in a race.
#[derive(Debug)]
pub(crate) struct Entrant {
    /// Its name in the report, and the application name of its sessions.
    pub(crate) name: &'static str,
    pub(crate) contender: Arc<Contender>,
    pub(crate) work: Work,
}

/// The environment and duration of a race.
#[derive(Debug)]
pub(crate) struct Course {
    pub(crate) scenario: &'static str,
    pub(crate) server: PgConnectOptions,
    pub(crate) duration: Duration,
    pub(crate) rounds: u32,
}

/// One contender, one round.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Run {
    /// Requests per second with a correct response.
    pub(crate) per_second: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    /// Requests that failed or returned another tenant's row.
    pub(crate) errors: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) first_error: Option<String>,
    /// The maximum number of concurrent sessions of the contender on the server.
    pub(crate) max_sessions: i64,
    /// Answered requests for each session that began, with those of the measurement.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) requests_per_session: Option<f64>,
    /// The share of acquires that found a connection of the tenant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) hit_ratio: Option<f64>,
}

/// All runs of one contender.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Series {
    pub(crate) contender: &'static str,
    /// The median of the rounds.
    pub(crate) per_second: f64,
    pub(crate) rounds: Vec<Run>,
}

impl Series {
    pub(crate) fn median_of(&self, figure: impl Fn(&Run) -> f64) -> f64 {
        median(self.rounds.iter().map(figure))
    }

    pub(crate) fn errors(&self) -> u64 {
        self.rounds.iter().map(|run| run.errors).sum()
    }

    pub(crate) fn max_sessions(&self) -> i64 {
        self.rounds.iter().map(|run| run.max_sessions).max().unwrap_or_default()
    }

    /// Returns how many times as much work this one did as the other.
    pub(crate) fn times(&self, other: &Self) -> f64 {
        let rates = |series: &Self| -> Vec<f64> {
            series.rounds.iter().map(|run| run.per_second).collect()
        };
        ratio(rates(self), rates(other))
    }
}

/// Runs all entrants in turn, round after round, and closes them.
pub(crate) async fn race(course: &Course, entrants: &[Entrant]) -> Result<Vec<Series>, Failure> {
    let names: Vec<_> = entrants.iter().map(|entrant| entrant.name).collect();
    let runs = interleave(course.scenario, &names, course.rounds, async |index, round| {
        run(course, &entrants[index], round).await
    })
    .await;
    for entrant in entrants {
        entrant.contender.close().await;
    }
    let series = names.iter().zip(runs?).map(|(contender, rounds)| Series {
        contender,
        per_second: median(rounds.iter().map(|run: &Run| run.per_second)),
        rounds,
    });
    Ok(series.collect())
}

async fn run(course: &Course, entrant: &Entrant, round: Round) -> Result<Run, Failure> {
    let Entrant { name, contender, work } = entrant;
    // Within a round all contenders get the same requests.
    let seed = match round {
        Round::WarmUp => 0,
        Round::Measured(round) => u64::from(round) + 1,
    };
    let begun_before = begun(&course.server).await?;
    let sessions = SessionSampler::start(&course.server, name).await?;
    let before = contender.acquires();
    let recording = contender.record();
    let tally = load::closed_loop(contender, work, course.duration, seed).await?;
    drop(recording);
    let after = contender.acquires();
    let max_sessions = sessions.stop().await?;
    let sessions_begun = begun(&course.server).await? - begun_before;
    let requests_per_session = tally.answered as f64 / sessions_begun as f64;
    let hit_ratio = before.zip(after).map(|(before, after)| after.hit_ratio_since(before));
    Ok(Run {
        per_second: tally.per_second(),
        p50_ms: tally.quantile_ms(0.5),
        p99_ms: tally.quantile_ms(0.99),
        errors: tally.errors,
        first_error: tally.first_error,
        max_sessions,
        requests_per_session: Some(requests_per_session),
        hit_ratio,
    })
}
