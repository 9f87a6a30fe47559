//! What is known of the tables that an occupant's statements reach.

use std::{
    ops::Deref,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tokio::time::Instant;

use super::retired_keys::RetiredKeys;
use crate::tenant::Ident;

/// The tables of one occupant, or those that hold the rows of all tenants.
#[derive(Debug)]
pub(super) enum Shape {
    Own(TablesShape),
    Everybodys(Arc<TablesShape>),
}

impl Shape {
    /// Returns the same tables as sessions on replicas find them, which may lag behind. Those of all
    /// tenants are not changed by any of them.
    pub(super) fn on_replicas(&self) -> Self {
        match self {
            Self::Own(_) => Self::Own(TablesShape::default()),
            Self::Everybodys(shape) => Self::Everybodys(Arc::clone(shape)),
        }
    }
}

impl Deref for Shape {
    type Target = TablesShape;

    fn deref(&self) -> &TablesShape {
        match self {
            Self::Own(shape) => shape,
            Self::Everybodys(shape) => shape,
        }
    }
}

/// What is known of the tables in one database that hold the rows of all tenants.
#[derive(Debug)]
pub(crate) struct RowTables {
    pub(super) shape: Arc<TablesShape>,
    pub(super) retired_keys: Arc<RetiredKeys>,
}

impl RowTables {
    /// Creates one for the tables of this schema.
    pub(crate) fn new(schema: &Ident) -> Self {
        Self { shape: Arc::default(), retired_keys: Arc::new(RetiredKeys::new(schema)) }
    }

    /// Records that the tables were changed.
    pub(crate) fn note_change(&self) {
        self.shape.note_change();
    }
}

/// What is known of a set of tables.
#[derive(Debug)]
pub(crate) struct TablesShape {
    looked: Mutex<Looked>,
    /// Duration of the last inspection in microseconds, to save memory.
    took: AtomicU32,
    /// `true` if a function that statements can reach modifies the session.
    unruly: AtomicBool,
    tables: AtomicU32,
    /// Number of known changes to the tables.
    changes: AtomicU32,
    /// Unique number during the lifetime of the process.
    serial: u64,
}

/// Result and time of an inspection of the schemas.
#[derive(Debug)]
struct Looked {
    alike: Alike,
    at: Option<Instant>,
}

impl Looked {
    const NEVER: Self = Self { alike: Alike::Unknown, at: None };
}

/// Assumed number of tables if they were not counted.
const TYPICAL_TABLES: u32 = 10;

/// How long an inspection is valid. Other processes also change tables and functions, without
/// notification.
const LOOK_AGAIN: Duration = Duration::from_secs(5 * 60);

/// The next inspection that nothing requires follows after this many times the duration of the last
/// one.
const RARELY: u32 = 100;

static NEXT_SERIAL: AtomicU64 = AtomicU64::new(0);

/// Shape of an occupant's tables, as far as it matters for prepared statements.
///
/// Two occupants with equal keys can use each other's prepared statements: PostgreSQL replans them
/// for the new search path, and the results have the same columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Alike {
    /// Not read yet.
    Unknown,
    /// Statements are never shared: the schema has its own types or collations, or does not exist.
    Unlike,
    /// A hash of everything that decides what a statement returns, and of the settings under which
    /// it is parsed.
    Key(i64),
}

impl TablesShape {
    /// Returns the number of table changes; see [`note_change`](Self::note_change).
    pub(super) fn changes(&self) -> u32 {
        self.changes.load(Ordering::Relaxed)
    }

    /// Records that the tables were changed: each session drops its prepared statements at its next
    /// use.
    pub(crate) fn note_change(&self) {
        self.changes.fetch_add(1, Ordering::Relaxed);
        self.doubt();
    }

    pub(super) fn is_unruly(&self) -> bool {
        self.unruly.load(Ordering::Relaxed)
    }

    pub(super) fn serial(&self) -> u64 {
        self.serial
    }

    pub(super) fn tables(&self) -> usize {
        self.tables.load(Ordering::Relaxed) as usize
    }

    pub(super) fn set_tables(&self, tables: u32) {
        self.tables.store(tables, Ordering::Relaxed);
    }

    pub(super) fn alike(&self) -> Alike {
        self.looked.lock().alike
    }

    /// Returns `true` if the schemas were never inspected, or not recently.
    pub(super) fn needs_a_look(&self) -> bool {
        let looked = self.looked.lock();
        looked.at.is_none_or(|at| at.elapsed() >= LOOK_AGAIN.max(self.pause()))
    }

    /// Records the result of an inspection.
    pub(super) fn note_look(&self, alike: Alike, unruly: bool, took: Duration) {
        self.unruly.store(unruly, Ordering::Relaxed);
        let took = u32::try_from(took.as_micros()).unwrap_or(u32::MAX);
        self.took.store(took, Ordering::Relaxed);
        *self.looked.lock() = Looked { alike, at: Some(Instant::now()) };
    }

    /// Returns how long after an inspection the next one follows that nothing requires.
    fn pause(&self) -> Duration {
        Duration::from_micros(self.took.load(Ordering::Relaxed).into()) * RARELY
    }

    /// Makes the next bind inspect the schemas again.
    pub(super) fn doubt(&self) {
        *self.looked.lock() = Looked::NEVER;
    }

    /// Makes the next bind inspect the schemas again, unless that was just done: inspections stay a
    /// small part of a session's work, however often statements fail.
    pub(super) fn suspect(&self) {
        let mut looked = self.looked.lock();
        if looked.at.is_some_and(|at| at.elapsed() >= self.pause()) {
            *looked = Looked::NEVER;
        }
    }
}

impl Default for TablesShape {
    fn default() -> Self {
        Self {
            looked: Mutex::new(Looked::NEVER),
            took: AtomicU32::new(0),
            unruly: AtomicBool::new(false),
            tables: AtomicU32::new(TYPICAL_TABLES),
            changes: AtomicU32::new(0),
            serial: NEXT_SERIAL.fetch_add(1, Ordering::Relaxed),
        }
    }
}
