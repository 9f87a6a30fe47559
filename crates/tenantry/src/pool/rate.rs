use std::{fmt, num::NonZeroU32, time::Duration};

use governor::{
    Quota, RateLimiter,
    clock::Clock,
    middleware::NoOpMiddleware,
    state::{InMemoryState, NotKeyed},
};
use tokio::time::Instant;

/// Limits how many requests are admitted per second, with one second's worth at once.
pub(super) struct Rate {
    per_second: f64,
    limiter: RateLimiter<NotKeyed, InMemoryState, Since, NoOpMiddleware<Duration>>,
}

/// The time since it was created.
#[derive(Debug, Clone, Copy)]
struct Since(Instant);

impl Clock for Since {
    type Instant = Duration;

    fn now(&self) -> Duration {
        self.0.elapsed()
    }
}

impl Rate {
    /// Creates one that admits so many requests per second, more than none.
    pub(super) fn new(per_second: f64) -> Self {
        let limiter = RateLimiter::direct_with_clock(quota(per_second), Since(Instant::now()));
        Self { per_second, limiter }
    }

    /// Returns `true` if it admits so many requests per second.
    pub(super) fn is(&self, per_second: f64) -> bool {
        self.per_second.total_cmp(&per_second).is_eq()
    }

    /// Counts a request.
    ///
    /// # Errors
    ///
    /// Until the next one would be admitted.
    pub(super) fn check(&self) -> Result<(), Duration> {
        self.limiter.check().map_err(|until| {
            let now = self.limiter.clock().now();
            until.wait_time_from(now)
        })
    }
}

/// Returns the quota of a rate, at least 1 every 1,000 s and at most 1 per microsecond.
fn quota(per_second: f64) -> Quota {
    let per_second = per_second.clamp(0.001, 1e6);
    let burst = NonZeroU32::new(per_second as u32).unwrap_or(NonZeroU32::MIN);
    let period = Duration::from_secs_f64(per_second.recip());
    Quota::with_period(period).map_or(Quota::per_second(burst), |quota| quota.allow_burst(burst))
}

impl fmt::Debug for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Rate").field(&self.per_second).finish()
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// Returns how many requests are admitted at once.
    fn admitted(rate: &Rate) -> usize {
        (0..10_000).take_while(|_| rate.check().is_ok()).count()
    }

    #[tokio::test(start_paused = true)]
    async fn admits_a_second_s_worth_at_once_and_then_at_the_rate() {
        let rate = Rate::new(20.0);
        assert_eq!(admitted(&rate), 20);
        let wait = rate.check().expect_err("over the rate");
        assert!(wait > Duration::ZERO && wait <= MS * 50, "{wait:?}");
        advance(wait).await;
        assert_eq!(admitted(&rate), 1, "after the time that it has named");
        advance(MS * 500).await;
        assert_eq!(admitted(&rate), 10);
        advance(MS * 60_000).await;
        assert_eq!(admitted(&rate), 20, "nothing is saved up beyond a second");
    }

    #[tokio::test(start_paused = true)]
    async fn less_than_one_a_second_is_one_at_a_time() {
        let rate = Rate::new(0.1);
        assert_eq!(admitted(&rate), 1);
        let wait = rate.check().expect_err("over the rate");
        assert!(wait > MS * 9_000 && wait <= MS * 10_000, "{wait:?}");
        advance(MS * 10_001).await;
        assert_eq!(admitted(&rate), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn the_ends_of_the_scale_work() {
        for (per_second, at_once) in [(0.001, 1), (1.0, 1), (1.9, 1), (2.0, 2)] {
            assert_eq!(admitted(&Rate::new(per_second)), at_once, "{per_second}");
        }
        assert_eq!(admitted(&Rate::new(1e6)), 10_000);
    }
}
