use std::{
    sync::{
        OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Instant,
};

use parking_lot::Mutex;
use sqlx::postgres::PgConnectOptions;

use super::lsn::History;

/// Which of the servers that may take a server's writes is the newest primary.
///
/// After a promotion the former primary goes on accepting writes, and nothing in the protocol tells.
/// Only its timeline does, compared with that of the new one.
#[derive(Debug)]
pub(crate) struct Lineage {
    /// Hosts that may be promoted, beside those of the server.
    hosts: Vec<PgConnectOptions>,
    began: Instant,
    newest: Mutex<Option<History>>,
    /// The OID of the server's database.
    database: OnceLock<u32>,
    /// Connections that were opened before this are not written to, in nanoseconds since it began.
    superseded_before: AtomicU64,
    /// `true` if all hosts have to be asked before one is taken.
    is_doubtful: AtomicBool,
    /// `true` if there is another primary since this was last asked.
    has_news: AtomicBool,
}

impl Lineage {
    pub(crate) fn new(hosts: Vec<PgConnectOptions>) -> Self {
        Self {
            hosts,
            began: Instant::now(),
            newest: Mutex::default(),
            database: OnceLock::new(),
            superseded_before: AtomicU64::new(0),
            is_doubtful: AtomicBool::new(true),
            has_news: AtomicBool::new(false),
        }
    }

    pub(in crate::pool) fn hosts(&self) -> &[PgConnectOptions] {
        &self.hosts
    }

    /// Returns `true` if it is known which cluster it is.
    pub(in crate::pool) fn is_known(&self) -> bool {
        self.newest.lock().is_some()
    }

    /// Records a server that takes writes. Returns `false` if it has been superseded, or belongs to
    /// another cluster.
    pub(in crate::pool) fn note(&self, history: History) -> bool {
        let mut newest = self.newest.lock();
        match *newest {
            Some(known) if known == history => return true,
            Some(known) if !history.supersedes(known) => return false,
            Some(_) => {
                let now = u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX);
                self.superseded_before.store(now, Ordering::Release);
                self.has_news.store(true, Ordering::Release);
            }
            None => {}
        }
        *newest = Some(history);
        true
    }

    /// Records the database of a host of the server itself, if it is the first.
    pub(in crate::pool) fn note_database(&self, database: u32) {
        self.database.get_or_init(|| database);
    }

    /// Returns `true` if a host is known to lead to another database of the cluster.
    pub(in crate::pool) fn is_other(&self, database: u32) -> bool {
        self.database.get().is_some_and(|known| *known != database)
    }

    /// Makes the next connect ask all hosts.
    pub(in crate::pool) fn doubt(&self) {
        self.is_doubtful.store(true, Ordering::Release);
    }

    /// Returns `true` if all hosts have to be asked.
    pub(in crate::pool) fn is_doubtful(&self) -> bool {
        self.is_doubtful.load(Ordering::Acquire)
    }

    /// Records that all hosts were asked.
    pub(in crate::pool) fn settle(&self) {
        self.is_doubtful.store(false, Ordering::Release);
    }

    /// Returns `true` if a connection that was opened then may lead to a former primary.
    pub(in crate::pool) fn has_superseded(&self, opened: Instant) -> bool {
        let before = self.superseded_before.load(Ordering::Acquire);
        let opened = opened.saturating_duration_since(self.began).as_nanos();
        before > 0 && opened < u128::from(before)
    }

    /// Returns `true` once after each failover.
    pub(in crate::pool) fn take_news(&self) -> bool {
        self.has_news.load(Ordering::Relaxed) && self.has_news.swap(false, Ordering::AcqRel)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const fn of(timeline: u32) -> History {
        History { system: 7, timeline }
    }

    #[test]
    fn a_promotion_supersedes_what_was_open_and_the_former_primary_for_good() {
        let lineage = Lineage::new(Vec::new());
        assert!(lineage.note(of(1)) && lineage.note(of(1)));
        let opened = Instant::now();
        assert!(!lineage.has_superseded(opened) && !lineage.take_news());
        std::thread::sleep(Duration::from_millis(1));
        assert!(lineage.note(of(2)));
        assert!(lineage.has_superseded(opened));
        assert!(lineage.take_news() && !lineage.take_news());
        std::thread::sleep(Duration::from_millis(1));
        assert!(!lineage.has_superseded(Instant::now()));
        assert!(!lineage.note(of(1)), "it came back");
        assert!(lineage.note(of(2)) && lineage.note(of(3)));
        assert!(!lineage.note(History { system: 8, timeline: 9 }), "of another cluster");
    }

    #[test]
    fn all_hosts_are_asked_at_first_and_when_in_doubt() {
        let lineage = Lineage::new(Vec::new());
        assert!(lineage.is_doubtful());
        lineage.settle();
        assert!(!lineage.is_doubtful());
        lineage.doubt();
        assert!(lineage.is_doubtful());
    }
}
