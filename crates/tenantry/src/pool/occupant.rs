use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
};

use parking_lot::Mutex;

use super::scheduler::Class;
use crate::{
    error::Error,
    event::Whose,
    tenant::{Binding, TenantId},
};

/// Whoever a session can be bound to: a tenant, the shared schema, or the library itself.
#[derive(Debug)]
pub(crate) struct Occupant {
    pub(crate) id: OccupantId,
    pub(crate) class: Class,
    pub(crate) binding: Binding,
    /// The schema in which names are looked up first, for those who tell of it.
    pub(crate) schema: Arc<str>,
    alike: Mutex<Alike>,
    /// Told apart from every other occupant by this number, for as long as the process runs.
    pub(crate) serial: u64,
    tables: AtomicU32,
    /// Counts how often the tables were changed, as far as this process knows.
    changes: AtomicU32,
}

/// How many tables are assumed where they were not counted.
const TYPICAL_TABLES: u32 = 10;

static NEXT_SERIAL: AtomicU64 = AtomicU64::new(0);

/// The name of an occupant.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum OccupantId {
    /// The library, when it asks the catalog or checks health.
    System,
    /// A catalog of the application's, which is asked in the shared schema.
    Catalog,
    /// The application, when it uses the shared schema.
    Shared,
    /// The library, when it migrates, provisions or seeds: its sessions serve one schema after the
    /// other.
    Upkeep,
    Tenant(TenantId),
}

/// How the tables of an occupant look, as far as prepared statements can tell.
///
/// Two occupants with equal keys and no types of their own can use each other's prepared
/// statements: PostgreSQL plans them anew for the new search path, and the results have the same
/// columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Alike {
    /// Not read yet.
    Unknown,
    /// Statements are never shared: the schema has types of its own, or there is no schema.
    Unlike,
    /// A hash of tables, columns and types.
    Key(i64),
}

impl Occupant {
    pub(crate) fn new(id: OccupantId, class: Class, binding: Binding) -> Self {
        let alike = if binding.own().is_empty() { Alike::Unlike } else { Alike::Unknown };
        let serial = NEXT_SERIAL.fetch_add(1, Ordering::Relaxed);
        let tables = AtomicU32::new(TYPICAL_TABLES);
        let schema = binding.search_path.first().map_or("", |schema| schema.as_str()).into();
        Self {
            id,
            class,
            binding,
            schema,
            alike: Mutex::new(alike),
            serial,
            tables,
            changes: AtomicU32::new(0),
        }
    }

    /// Says how often the tables were changed; see [`note_change`](Self::note_change).
    pub(crate) fn changes(&self) -> u32 {
        self.changes.load(Ordering::Relaxed)
    }

    /// Notes that the tables were changed: prepared statements go at the next use of each session.
    pub(crate) fn note_change(&self) {
        self.changes.fetch_add(1, Ordering::Relaxed);
        self.doubt_alike();
    }

    pub(crate) fn alike(&self) -> Alike {
        *self.alike.lock()
    }

    pub(crate) fn tables(&self) -> usize {
        self.tables.load(Ordering::Relaxed) as usize
    }

    pub(crate) fn set_tables(&self, tables: u32) {
        self.tables.store(tables, Ordering::Relaxed);
    }

    pub(crate) fn set_alike(&self, alike: Alike) {
        *self.alike.lock() = alike;
    }

    /// Says whether a session that is bound to one is bound to the other.
    pub(crate) fn is_same(self: &Arc<Self>, other: &Arc<Self>) -> bool {
        Arc::ptr_eq(self, other)
            || (self.id == other.id && self.binding == other.binding && self.class == other.class)
    }

    /// Puts the tenant's name into an error.
    pub(crate) fn name(&self, error: Error) -> Error {
        match self.tenant() {
            Some(tenant) => error.with_tenant(tenant),
            None => error,
        }
    }

    /// Has the key read anew at the next change of tenants.
    pub(crate) fn doubt_alike(&self) {
        if !self.binding.own().is_empty() {
            self.set_alike(Alike::Unknown);
        }
    }

    /// Says whose the session is, for those who hear of it.
    pub(crate) fn whose(&self) -> Whose<'_> {
        Whose { tenant: self.tenant(), schema: &self.schema }
    }

    pub(crate) fn tenant(&self) -> Option<&TenantId> {
        match &self.id {
            OccupantId::Tenant(id) => Some(id),
            OccupantId::System | OccupantId::Catalog | OccupantId::Shared | OccupantId::Upkeep => {
                None
            }
        }
    }
}

impl fmt::Display for OccupantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System => f.write_str("the library"),
            Self::Catalog => f.write_str("the catalog"),
            Self::Shared => f.write_str("the shared schema"),
            Self::Upkeep => f.write_str("the library's upkeep"),
            Self::Tenant(id) => write!(f, "tenant {id}"),
        }
    }
}
