use std::time::Duration;

/// Number of checks that may run in a burst.
const BURST: u32 = 8;

/// Delay until another check may run.
const PAUSE: Duration = Duration::from_secs(1);

/// Rate limit for database checks by clients of a route: a burst of eight, then one a second.
/// Probes that run every few seconds are not affected.
#[derive(Debug)]
pub(super) struct Allowance {
    left: u32,
    /// Start of the wait for the next token, relative to some epoch.
    since: Duration,
}

impl Allowance {
    pub(super) fn new() -> Self {
        Self { left: BURST, since: Duration::ZERO }
    }

    /// Takes a token, if one is left.
    pub(super) fn take(&mut self, now: Duration) -> bool {
        let due = now.saturating_sub(self.since).as_nanos() / PAUSE.as_nanos();
        let due = u32::try_from(due).unwrap_or(u32::MAX);
        if due >= BURST - self.left {
            (self.left, self.since) = (BURST, now);
        } else {
            self.left += due;
            self.since += PAUSE * due;
        }
        let one = self.left > 0;
        self.left -= u32::from(one);
        one
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn allows_a_few_at_once_and_then_one_a_second() {
        let ms = Duration::from_millis;
        let mut allowance = Allowance::new();
        let mut taken = |at: u64| allowance.take(ms(at));
        let at_once = (0..100).filter(|_| taken(5)).count();
        assert_eq!(at_once, 8);
        // Ten seconds of one request each millisecond.
        let later: Vec<_> = (6..10_000).filter(|at| taken(*at)).collect();
        assert_eq!(later.len(), 9, "{later:?}");
        assert!(later.windows(2).all(|two| two[1] - two[0] == 1_000), "{later:?}");
        // Unused time is saved up only for a few tokens.
        assert_eq!((0..100).filter(|_| taken(1_000_000)).count(), 8);
        // A probe every two seconds.
        assert!((0..100).all(|nth| taken(1_010_000 + nth * 2_000)));
    }
}
