//! How long requests will wait. Pure.

use std::time::Duration;

/// What an estimate is made of.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Measured {
    /// Bytes of the tables and their indexes.
    pub(super) bytes: u64,
    pub(super) tables: u32,
    /// How long a table without rows takes.
    pub(super) per_table: Duration,
    /// Bytes per second that went through a sample copy; `None` if there were too few rows.
    pub(super) rate: Option<f64>,
    /// How long it took to create the empty schema on the target, and to compare it.
    pub(super) structure: Duration,
    /// Whether the rows are copied, and compared, while requests wait.
    pub(super) is_copied: bool,
    pub(super) verify: bool,
}

/// Comparing reads the rows on both sides at once, and writes nothing.
const COMPARING: f64 = 0.5;

impl Measured {
    /// Returns the time for which requests wait.
    pub(super) fn pause(&self) -> Duration {
        #[expect(clippy::cast_precision_loss, reason = "an estimate")]
        let rows = match self.rate.filter(|rate| *rate > 0.0) {
            Some(rate) => self.bytes as f64 / rate,
            None => 0.0,
        };
        let tables = self.per_table.as_secs_f64() * f64::from(self.tables);
        let copying = rows + tables;
        let parts = match (self.is_copied, self.verify) {
            (false, _) => 0.0,
            (true, false) => 1.0,
            (true, true) => 1.0 + COMPARING,
        };
        let copying = Duration::try_from_secs_f64(copying * parts).unwrap_or(Duration::MAX / 2);
        self.structure + copying
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_grows_with_the_rows_and_the_tables() {
        let structure = Duration::from_millis(20);
        let of = |bytes, rate, verify| Measured {
            bytes,
            tables: 0,
            per_table: Duration::from_millis(1),
            rate,
            structure,
            is_copied: true,
            verify,
        };
        let pause = |bytes, rate, verify| of(bytes, rate, verify).pause();
        assert_eq!(pause(0, None, true), structure);
        let (small, second) = (Some(5_000_000.0), Duration::from_secs(1));
        assert_eq!(pause(10_000_000, small, false), structure + 2 * second);
        assert_eq!(pause(10_000_000, small, true), structure + 3 * second);
        assert_eq!(pause(1, Some(0.0), true), structure);
        assert!(pause(u64::MAX, Some(1e-300), true) > Duration::from_secs(1 << 40));
        let moved = Measured { is_copied: false, ..of(10_000_000, small, true) };
        assert_eq!(moved.pause(), structure, "it is compared while requests are served");
        let many = Measured { tables: 1_000, ..of(0, None, false) };
        assert_eq!(many.pause(), structure + second);
    }
}
