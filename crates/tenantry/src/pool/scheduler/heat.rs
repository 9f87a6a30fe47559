use super::Time;

/// How often a tenant was used, where a use counts half after [`Heat::HALF_LIFE`].
///
/// It is the time at which a single use would count as much, in seconds, so that two of them can be
/// compared at any time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Heat(pub(super) f64);

impl Heat {
    const HALF_LIFE: f64 = 2.0;

    pub(super) fn used(self, now: Time) -> Self {
        let now = now.as_secs_f64();
        let (later, earlier) = if self.0 > now { (self.0, now) } else { (now, self.0) };
        let halvings = (later - earlier) / Self::HALF_LIFE;
        Self(later + Self::HALF_LIFE * (-halvings).exp2().ln_1p() / std::f64::consts::LN_2)
    }
}

impl Default for Heat {
    fn default() -> Self {
        Self(f64::NEG_INFINITY)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_use_counts_half_after_a_while() {
        let once = Heat::default().used(Duration::from_secs(10));
        let twice_before =
            Heat::default().used(Duration::from_secs(8)).used(Duration::from_secs(8));
        assert!((once.0 - twice_before.0).abs() < 1e-9, "{once:?} {twice_before:?}");
        assert!(Heat::default().used(Duration::from_secs(11)).0 > once.0);
        assert!(once.used(Duration::MAX).0.is_finite());
    }
}
