//! Futures that are dropped while they wait.

use std::{future::poll_fn, pin::pin, task::Poll};

use tokio::task::yield_now;

use super::super::{
    attacked::{Attacked, Finding},
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
pub(super) const POLLS: usize = 40;

/// Drops a `BEGIN` at every point of its progress, through the pool and on a lease.
pub(in crate::proof) async fn begin(ground: &Ground<'_>) -> Attacked {
    let mut random = ground.random(1);
    let mut dropped = 0;
    let before = ground.look(&ground.globex, "").await?;
    for round in 0..ground.options.rounds {
        let polls = random.usize(..POLLS);
        let ended = match round % 3 {
            0 => polled(polls, ground.acme.begin()).await.is_some(),
            1 => {
                let mut lease = ground.acme.acquire().await?;
                polled(polls, lease.begin()).await.is_some()
            }
            _ => {
                let mut lease = ground.acme.acquire().await?;
                let begin = "begin; set local search_path to pg_catalog";
                polled(polls, lease.begin_with(begin)).await.is_some()
            }
        };
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
