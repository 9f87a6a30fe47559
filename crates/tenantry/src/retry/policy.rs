use std::time::Duration;

use crate::error::OptionsError;

/// Number of attempts, and the delay between them: exponential backoff with a ceiling.
///
/// After the n-th failed attempt, the delay is `initial_delay × multiplierⁿ⁻¹`, at most
/// `max_delay`, reduced by `jitter`. With the defaults that is about 100 ms, then 200 ms.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use tenantry::retry::RetryPolicy;
///
/// let policy = RetryPolicy::default().max_attempts(5).initial_delay(Duration::from_millis(200));
/// assert!(policy.check().is_ok());
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct RetryPolicy {
    /// Total number of attempts, including the first. Default: 3. With 1, nothing is retried.
    pub max_attempts: u32,
    /// The delay before the second attempt. Default: 100 ms.
    pub initial_delay: Duration,
    /// The longest delay. Default: 5 s. Neither jitter nor the `retry_after` of an error exceeds
    /// it.
    pub max_delay: Duration,
    /// Factor by which each delay is longer than the previous one. Default: 2.
    pub multiplier: f64,
    /// The random share of each delay, from 0 to 1. Default: 0.25: a delay of 100 ms becomes 75 ms
    /// to 100 ms. It keeps callers that failed together from retrying together.
    pub jitter: f64,
    /// Maximum total duration. No delay begins that would end later. Default: `None`.
    ///
    /// A running attempt is not interrupted: put a timeout into it.
    pub deadline: Option<Duration>,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            max_attempts: 3,
            initial_delay: Duration::from_millis(100),
            max_delay: Duration::from_secs(5),
            multiplier: 2.0,
            jitter: 0.25,
            deadline: None,
        }
    }
}

impl RetryPolicy {
    /// Creates a policy that tries once.
    #[must_use]
    pub fn never() -> Self {
        Self { max_attempts: 1, ..Self::default() }
    }

    /// Sets [`max_attempts`](Self::max_attempts).
    #[must_use]
    pub fn max_attempts(mut self, attempts: u32) -> Self {
        self.max_attempts = attempts;
        self
    }

    /// Sets [`initial_delay`](Self::initial_delay).
    #[must_use]
    pub fn initial_delay(mut self, delay: Duration) -> Self {
        self.initial_delay = delay;
        self
    }

    /// Sets [`max_delay`](Self::max_delay).
    #[must_use]
    pub fn max_delay(mut self, delay: Duration) -> Self {
        self.max_delay = delay;
        self
    }

    /// Sets [`multiplier`](Self::multiplier).
    #[must_use]
    pub fn multiplier(mut self, multiplier: f64) -> Self {
        self.multiplier = multiplier;
        self
    }

    /// Sets [`jitter`](Self::jitter).
    #[must_use]
    pub fn jitter(mut self, share: f64) -> Self {
        self.jitter = share;
        self
    }

    /// Sets [`deadline`](Self::deadline).
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// Validates the policy.
    ///
    /// An unchecked policy is harmless: zero attempts count as one, and delays are always limited
    /// by `max_delay`.
    ///
    /// # Errors
    ///
    /// [`OptionsError`] names the option and the accepted values.
    pub fn check(&self) -> Result<(), OptionsError> {
        let wrong = |option, must: &str| Err(OptionsError::new(option, must));
        if self.max_attempts == 0 {
            return wrong("max_attempts", "be at least 1");
        }
        if self.initial_delay > self.max_delay {
            return wrong("initial_delay", "not be longer than max_delay");
        }
        if !(self.multiplier >= 1.0 && self.multiplier.is_finite()) {
            return wrong("multiplier", "be a number of at least 1");
        }
        if !(0.0..=1.0).contains(&self.jitter) {
            return wrong("jitter", "be a share from 0 to 1");
        }
        Ok(())
    }

    /// Returns the delay after this many failed attempts, or `None` after the last one.
    ///
    /// `chance` is from 0 to 1; 0 disables the jitter. `asked` is the minimum delay that the error
    /// asks for.
    pub(crate) fn delay_after(
        &self,
        failed: u32,
        chance: f64,
        asked: Option<Duration>,
    ) -> Option<Duration> {
        if failed >= self.max_attempts {
            return None;
        }
        let exponent = i32::try_from(failed.saturating_sub(1)).unwrap_or(i32::MAX);
        let factor = self.multiplier.max(0.0).powi(exponent);
        let full = self.initial_delay.as_secs_f64() * factor;
        let full = Duration::try_from_secs_f64(full).unwrap_or(self.max_delay).min(self.max_delay);
        let less = (self.jitter * chance).clamp(0.0, 1.0);
        let delay = Duration::try_from_secs_f64(full.as_secs_f64() * (1.0 - less)).unwrap_or(full);
        Some(delay.max(asked.unwrap_or_default()).min(self.max_delay))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn delays(policy: &RetryPolicy, chance: f64) -> Vec<Duration> {
        (1..).map_while(|failed| policy.delay_after(failed, chance, None)).collect()
    }

    #[test]
    fn doubles_up_to_the_ceiling() {
        let policy = RetryPolicy::default().max_attempts(7).max_delay(MS * 1_500);
        let expected = [100, 200, 400, 800, 1_500, 1_500].map(|ms| MS * ms);
        assert_eq!(delays(&policy, 0.0), expected);
        let shorter = delays(&policy, 1.0);
        assert_eq!(shorter[..2], [MS * 75, MS * 150]);
        assert!(shorter.iter().all(|delay| *delay <= policy.max_delay));
    }

    #[test]
    fn waits_as_long_as_it_is_asked_to_but_never_above_the_ceiling() {
        let policy = RetryPolicy::default().max_delay(MS * 500);
        assert_eq!(policy.delay_after(1, 0.0, Some(MS * 300)), Some(MS * 300));
        assert_eq!(policy.delay_after(1, 0.0, Some(MS * 900)), Some(MS * 500));
        assert_eq!(policy.delay_after(3, 0.0, Some(MS * 300)), None);
    }

    #[test]
    fn survives_any_numbers() {
        for policy in [
            RetryPolicy::default().multiplier(f64::NAN),
            RetryPolicy::default().multiplier(f64::INFINITY).max_attempts(u32::MAX),
            RetryPolicy::default().multiplier(-3.0).jitter(f64::NAN),
            RetryPolicy::default().initial_delay(Duration::MAX).jitter(9.0),
            RetryPolicy::default().max_delay(Duration::MAX).multiplier(1e300).max_attempts(9),
        ] {
            for failed in [0, 1, 2, 1_000, u32::MAX - 1] {
                let delay = policy.delay_after(failed, 0.5, None);
                assert!(delay.is_none_or(|delay| delay <= policy.max_delay), "{policy:?}");
            }
        }
    }

    #[test]
    fn names_the_option_that_contradicts() {
        for (option, policy) in [
            ("max_attempts", RetryPolicy::default().max_attempts(0)),
            ("initial_delay", RetryPolicy::default().initial_delay(Duration::from_secs(6))),
            ("multiplier", RetryPolicy::default().multiplier(0.5)),
            ("jitter", RetryPolicy::default().jitter(-0.1)),
        ] {
            assert_eq!(policy.check().map_err(|error| error.option()), Err(option));
        }
        assert_eq!(RetryPolicy::default().check(), Ok(()));
        assert_eq!(delays(&RetryPolicy::never(), 0.0), Vec::<Duration>::new());
    }
}
