use std::time::Duration;

/// The share of a tenant in the pool's time, in hundredths: what it holds counts inversely to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Weight(u32);

/// The hundredths of a weight of 1.
const ONE: u32 = 100;

impl Weight {
    const LEAST: f64 = 10.0;
    const MOST: f64 = 10_000.0;

    /// Rounds to hundredths, from 0.1 to 100.
    pub(crate) fn new(weight: f64) -> Self {
        let hundredths = (weight * f64::from(ONE)).round().clamp(Self::LEAST, Self::MOST);
        // Clamped, so that it fits; not a number becomes zero, which is no weight.
        Self((hundredths as u32).max(1))
    }

    /// Returns what a tenant of this weight is charged for hold time.
    pub(super) fn charge(self, held: Duration) -> Duration {
        if self.0 == ONE { held } else { held.saturating_mul(ONE) / self.0 }
    }

    pub(super) fn hundredths(self) -> u64 {
        self.0.into()
    }
}

impl Default for Weight {
    fn default() -> Self {
        Self(ONE)
    }
}

/// Returns the hold time that is given, divided among tenants of these weights in total.
pub(super) fn share(given: Duration, hundredths: u64) -> Duration {
    let hundredths = u32::try_from(hundredths.max(1)).unwrap_or(u32::MAX);
    given.saturating_mul(ONE) / hundredths
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn charges_are_exact_and_bounded() {
        for (weight, charge) in [
            (1.0, MS * 30),
            (3.0, MS * 10),
            (0.1, MS * 300),
            (100.0, MS * 3 / 10),
            (2.5, MS * 12),
            (0.001, MS * 300),
            (1e9, MS * 3 / 10),
            (f64::INFINITY, MS * 3 / 10),
            (f64::NEG_INFINITY, MS * 300),
        ] {
            assert_eq!(Weight::new(weight).charge(MS * 30), charge, "{weight}");
        }
        assert_eq!(Weight::new(1.0), Weight::default());
        assert!(Weight::new(0.1).charge(Duration::MAX) <= Duration::MAX);
        assert!(Weight::new(f64::NAN).charge(MS) >= MS, "no more than everybody");
    }

    #[test]
    fn equal_weights_share_equally() {
        for tenants in [1, 3, 7, 1_000] {
            let expected = MS * 700 / u32::try_from(tenants).unwrap();
            assert_eq!(share(MS * 700, tenants * 100), expected, "{tenants}");
        }
        assert_eq!(share(MS, 0), MS * 100, "no division by zero");
        assert_eq!(share(MS * 400, 400), MS * 100, "a weight of 3 and one of 1");
        assert!(share(MS, u64::MAX) < MS);
    }
}
