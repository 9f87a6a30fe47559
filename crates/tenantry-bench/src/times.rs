use std::time::Duration;

use serde::Serialize;

use crate::{
    failure::Failure,
    rounds::{Round, interleave},
    stats::{self, median},
};

/// The times of a contender, one per round.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Times {
    pub(crate) contender: &'static str,
    pub(crate) ms: Vec<f64>,
}

impl Times {
    pub(crate) fn median(&self) -> f64 {
        median(self.ms.iter().copied())
    }
}

/// Runs all contenders in turn, round after round.
pub(crate) async fn run(
    scenario: &str,
    contenders: &[&'static str],
    rounds: u32,
    mut run: impl AsyncFnMut(usize, Round) -> Result<Duration, Failure>,
) -> Result<Vec<Times>, Failure> {
    let runs = interleave(scenario, contenders, rounds, async |contender, round| {
        Ok(run(contender, round).await?.as_secs_f64() * 1e3)
    });
    let times = contenders.iter().zip(runs.await?);
    Ok(times.map(|(contender, ms)| Times { contender, ms }).collect())
}

pub(crate) fn find<'t>(all: &'t [Times], contender: &str) -> Option<&'t Times> {
    all.iter().find(|times| times.contender == contender)
}

/// Returns the median over all rounds of the ratio of one contender's time to another's.
pub(crate) fn ratio(all: &[Times], one: &str, another: &str) -> f64 {
    let ms =
        |contender| find(all, contender).into_iter().flat_map(|times| times.ms.iter().copied());
    stats::ratio(ms(one), ms(another))
}
