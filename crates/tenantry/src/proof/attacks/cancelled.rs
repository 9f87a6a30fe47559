//! Futures that are dropped while they wait.

use std::{future::poll_fn, pin::pin, task::Poll};

use fastrand::Rng;
use tokio::task::yield_now;

use super::super::{
    finding::{Attacked, Finding},
    ground::Ground,
};

/// Polls a future at most this many times, and drops it if it is not ready by then.
pub(super) async fn polled<T>(times: usize, future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    for _ in 0..times {
        let polled = poll_fn(|context| Poll::Ready(future.as_mut().poll(context))).await;
        if let Poll::Ready(output) = polled {
            return Some(output);
        }
        // The driver of sockets runs in between.
        yield_now().await;
    }
    None
}

/// The maximum number of polls before a future is dropped.
const POLLS: usize = 40;

/// The number of polls after which futures of one kind are dropped.
///
/// How many they take depends on the load of the machine. So the number is drawn from those with which the latest ones
/// had not ended.
#[derive(Debug)]
pub(super) struct Polls {
    most: usize,
}

impl Polls {
    pub(super) fn new() -> Self {
        Self { most: POLLS }
    }

    pub(super) fn draw(&self, random: &mut Rng) -> usize {
        random.usize(1..=self.most)
    }

    /// Records whether a future has ended within this number of polls.
    pub(super) fn learn(&mut self, polls: usize, ended: bool) {
        self.most = if ended { (polls - 1).max(1) } else { (self.most + 1).min(POLLS) };
    }
}

/// Drops a `BEGIN` at every point of its progress, through the pool and on a lease.
pub(in crate::proof) async fn begin(ground: &Ground<'_>) -> Attacked {
    let mut random = ground.random(1);
    let (mut polls, mut dropped) = (Polls::new(), 0);
    let before = ground.look(&ground.globex, "").await?;
    for round in 0..ground.options.rounds {
        let most = polls.draw(&mut random);
        let ended = match round % 3 {
            0 => polled(most, ground.acme.begin()).await.is_some(),
            1 => {
                let mut lease = ground.acme.acquire().await?;
                polled(most, lease.begin()).await.is_some()
            }
            _ => {
                let mut lease = ground.acme.acquire().await?;
                let begin = "begin; set local search_path to pg_catalog";
                polled(most, lease.begin_with(begin)).await.is_some()
            }
        };
        polls.learn(most, ended);
        dropped += u64::from(!ended);
        let found = ground.look(&ground.globex, "").await?.differences(&before);
        let after = if ended { "begun and abandoned" } else { "dropped on its way" };
        ground.leak_all(
            found.into_iter().map(|of| format!("after a BEGIN {after}, globex found {of}")),
        );
    }
    let rounds = u64::from(ground.options.rounds);
    let seen = format!(
        "{rounds} times BEGIN, {dropped} of them dropped on their way, none found by the other tenant"
    );
    Ok(Finding { seen, rounds })
}
