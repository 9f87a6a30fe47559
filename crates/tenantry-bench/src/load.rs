use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;
use tokio::task::JoinSet;

use crate::{
    contender::Contender,
    failure::Failure,
    popularity::Popularity,
    world::{ITEMS, Tenant},
};

/// The workload of a contender.
#[derive(Debug, Clone)]
pub(crate) struct Work {
    /// Tasks that send one request after the other, each after the previous response.
    pub(crate) tasks: u64,
    pub(crate) tenants: Arc<[Tenant]>,
    pub(crate) popularity: Arc<Popularity>,
}

/// The result of a workload.
#[derive(Debug)]
pub(crate) struct Tally {
    /// Requests with a correct response.
    pub(crate) answered: u64,
    /// Requests that failed or returned another tenant's row.
    pub(crate) errors: u64,
    pub(crate) first_error: Option<String>,
    pub(crate) elapsed: Duration,
    /// Response times, in microseconds.
    pub(crate) latency: Histogram<u64>,
}

impl Tally {
    pub(crate) fn new() -> Self {
        Self {
            answered: 0,
            errors: 0,
            first_error: None,
            elapsed: Duration::ZERO,
            latency: Histogram::new_with_bounds(1, 120_000_000, 3)
                .expect("the bounds and the digits are within what the histogram allows"),
        }
    }

    pub(crate) fn note(&mut self, outcome: Result<(), String>, took: Duration) {
        match outcome {
            Ok(()) => {
                self.answered += 1;
                let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
                self.latency.saturating_record(micros);
            }
            Err(error) => {
                self.errors += 1;
                self.first_error.get_or_insert(error);
            }
        }
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.answered += other.answered;
        self.errors += other.errors;
        self.first_error = self.first_error.take().or(other.first_error);
        self.elapsed = self.elapsed.max(other.elapsed);
        self.latency.add(&other.latency).expect("all histograms have the same bounds");
    }

    pub(crate) fn per_second(&self) -> f64 {
        self.answered as f64 / self.elapsed.as_secs_f64()
    }

    /// Returns the latency that this share of the answers did not exceed.
    pub(crate) fn quantile_ms(&self, share: f64) -> f64 {
        self.latency.value_at_quantile(share) as f64 / 1_000.0
    }
}

/// Runs a contender's workload for this duration. Equal seeds result in equal requests.
pub(crate) async fn closed_loop(
    contender: &Arc<Contender>,
    work: &Work,
    duration: Duration,
    seed: u64,
) -> Result<Tally, Failure> {
    let began = Instant::now();
    let until = began + duration;
    let mut tasks = JoinSet::new();
    for task in 0..work.tasks {
        let random = fastrand::Rng::with_seed(seed * work.tasks + task);
        tasks.spawn(one_task(Arc::clone(contender), work.clone(), until, random));
    }
    let mut total = Tally::new();
    while let Some(tally) = tasks.join_next().await {
        total.add(tally?);
    }
    total.elapsed = began.elapsed();
    Ok(total)
}

async fn one_task(
    contender: Arc<Contender>,
    work: Work,
    until: Instant,
    mut random: fastrand::Rng,
) -> Tally {
    let mut tally = Tally::new();
    let mut now = Instant::now();
    while now < until {
        let tenant = &work.tenants[work.popularity.pick(&mut random)];
        let answer = contender.name_of_item(tenant, random.i32(1..=ITEMS)).await;
        let done = Instant::now();
        tally.note(check(answer, tenant), done - now);
        now = done;
    }
    tally
}

/// Checks that the result belongs to the tenant.
fn check(answer: sqlx::Result<String>, tenant: &Tenant) -> Result<(), String> {
    match answer {
        Ok(name) if name == tenant.id() => Ok(()),
        Ok(name) => Err(format!("asked {} and was answered by {name}", tenant.id())),
        Err(error) => Err(error.to_string()),
    }
}
