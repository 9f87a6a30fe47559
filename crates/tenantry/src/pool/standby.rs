//! Replacement of connections to a server in recovery.
//!
//! After a failover a name can lead to the former primary, or to another standby, for a while. A
//! connection that was opened then fails every write during its lifetime. But a program may want
//! only a standby, and then its writes fail on every connection: in that case, the search for a
//! primary must become rare.

use std::time::Duration;

use super::scheduler::Time;

/// The pauses between two replacements while no primary is found: the first, and the longest.
const PAUSES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(300)];

/// Decides when connections to a server in recovery are replaced.
#[derive(Debug)]
pub(super) struct Standby {
    /// Connections to a server in recovery that were opened before this are closed.
    replaced: Option<Time>,
    /// The earliest time of the next replacement.
    next: Time,
    pause: Duration,
}

impl Standby {
    pub(super) const fn new() -> Self {
        Self { replaced: None, next: Duration::ZERO, pause: PAUSES[0] }
    }

    /// Records that a server in recovery has, or may have, refused a write. Returns the time of the
    /// last replacement: connections to such servers that were opened earlier must be closed.
    pub(super) fn refused(&mut self, now: Time) -> Option<Time> {
        if now >= self.next {
            self.replaced = Some(now);
            self.next = now.saturating_add(self.pause);
            self.pause = (self.pause * 2).min(PAUSES[1]);
        }
        self.replaced
    }

    /// Records that a connection to a primary was opened.
    pub(super) fn found_primary(&mut self) {
        self.pause = PAUSES[0];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn s(seconds: u64) -> Time {
        Duration::from_secs(seconds)
    }

    #[test]
    fn replaces_at_once_and_then_less_and_less_often() {
        let mut standby = Standby::new();
        let mut replaced = Vec::new();
        for second in 0..1_000 {
            let at = standby.refused(s(second)).expect("the first one replaces");
            if replaced.last() != Some(&at) {
                replaced.push(at);
            }
        }
        assert_eq!(replaced, [0, 1, 3, 7, 15, 31, 63, 127, 255, 511, 811].map(s));
    }

    #[test]
    fn a_primary_makes_the_next_failover_quick() {
        let mut standby = Standby::new();
        for second in 0..200 {
            standby.refused(s(second));
        }
        standby.found_primary();
        assert_eq!(standby.refused(s(1_000)), Some(s(1_000)));
        assert_eq!(standby.refused(s(1_001)), Some(s(1_001)));
    }
}
