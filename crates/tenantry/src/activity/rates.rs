//! Rates between two snapshots.

use std::time::Duration;

use serde::Serialize;

use super::{Activity, DatabaseTotals, ServerReading};
use crate::event::serialize_millis;

/// Activity of the database per second between two snapshots.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ActivityRates {
    /// The time between the snapshots.
    #[serde(rename = "elapsedMs", serialize_with = "serialize_millis")]
    #[cfg_attr(feature = "schemars", schemars(with = "f64"))]
    pub elapsed: Duration,
    /// Committed transactions per second.
    pub commits: f64,
    /// Transactions rolled back per second.
    pub rollbacks: f64,
    /// Blocks read from outside the server's own cache, per second.
    pub blocks_read: f64,
    /// Blocks found in the cache, per second.
    pub blocks_hit: f64,
    /// Share of blocks found in the cache, from 0 to 1; `None` if none was read.
    pub hit_ratio: Option<f64>,
    /// Rows read by queries, per second.
    pub rows_returned: f64,
    /// Rows inserted, updated or deleted, per second.
    pub rows_changed: f64,
    /// Bytes written to temporary files, per second.
    pub temp_bytes: f64,
    /// Deadlocks per second.
    pub deadlocks: f64,
}

impl ActivityRates {
    /// Compares two snapshots of one database: of several servers, the main one's.
    ///
    /// Returns `None` if no time has passed between them, or the statistics were reset.
    #[must_use]
    pub fn between(before: &Activity, after: &Activity) -> Option<Self> {
        let elapsed = after.at.duration_since(before.at).ok()?;
        Self::of(&before.database, &after.database, elapsed)
    }

    /// Compares two readings of the same one of several servers; see [`between`](Self::between).
    #[must_use]
    pub fn of_server(before: &ServerReading, after: &ServerReading) -> Option<Self> {
        let elapsed = after.at.duration_since(before.at).ok()?;
        Self::of(&before.database, &after.database, elapsed)
    }

    fn of(before: &DatabaseTotals, after: &DatabaseTotals, elapsed: Duration) -> Option<Self> {
        if elapsed.is_zero() || before.reset != after.reset {
            return None;
        }
        let seconds = elapsed.as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "a rate is not exact")]
        let rate = |of: fn(&DatabaseTotals) -> i64| {
            let more = of(after).checked_sub(of(before)).filter(|more| *more >= 0)?;
            Some(more as f64 / seconds)
        };
        let (blocks_read, blocks_hit) = (rate(|of| of.blocks_read)?, rate(|of| of.blocks_hit)?);
        let blocks = blocks_read + blocks_hit;
        Some(Self {
            elapsed,
            commits: rate(|of| of.commits)?,
            rollbacks: rate(|of| of.rollbacks)?,
            blocks_read,
            blocks_hit,
            hit_ratio: (blocks > 0.0).then(|| blocks_hit / blocks),
            rows_returned: rate(|of| of.rows_returned)?,
            rows_changed: rate(|of| of.rows_changed)?,
            temp_bytes: rate(|of| of.temp_bytes)?,
            deadlocks: rate(|of| of.deadlocks)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_per_second_unless_the_totals_were_reset() {
        let totals = |commits, blocks| DatabaseTotals {
            commits,
            blocks_read: blocks,
            blocks_hit: 3 * blocks,
            ..DatabaseTotals::default()
        };
        let two = Duration::from_secs(2);
        let rates = ActivityRates::of(&totals(10, 5), &totals(30, 9), two).unwrap();
        assert_eq!((rates.commits, rates.blocks_read, rates.hit_ratio), (10.0, 2.0, Some(0.75)));
        let still = ActivityRates::of(&totals(1, 1), &totals(1, 1), two).unwrap();
        assert_eq!((still.commits, still.hit_ratio), (0.0, None));
        assert_eq!(ActivityRates::of(&totals(30, 5), &totals(10, 9), two), None);
        assert_eq!(ActivityRates::of(&totals(1, 1), &totals(2, 2), Duration::ZERO), None);
        let reset = DatabaseTotals { reset: Some(1), ..totals(50, 50) };
        assert_eq!(ActivityRates::of(&totals(1, 1), &reset, two), None);
    }
}
