use std::{
    fmt,
    hash::{DefaultHasher, Hash, Hasher},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tokio::time::Instant;

use super::{
    after_bind::AfterBind, credentials::Login, extensions::ExtensionSchemas, scheduler::Class,
};
use crate::{
    error::{Error, ErrorKind, RETRY_AFTER},
    event::Whose,
    tenant::{Binding, Ident, Schema, SchemaOid, TenantId},
};

/// An entity that a session can be bound to: a tenant, the shared schema, or the library itself.
#[derive(Debug)]
pub(crate) struct Occupant {
    // There is one per known tenant, so rarely used fields are boxed.
    pub(crate) id: OccupantId,
    pub(crate) class: Class,
    pub(crate) binding: Binding,
    /// The first schema of the search path, for events and logs.
    pub(crate) schema: Arc<str>,
    tie: Tie,
    /// The extension schemas in its search path, and their state.
    pub(super) extensions: Option<Arc<ExtensionSchemas>>,
    /// Separate login, instead of the manager's.
    pub(crate) login: Option<Box<Login>>,
    /// The application hook that runs on sessions after a bind.
    pub(super) after_bind: Option<Box<AfterBind>>,
    looked: Mutex<Looked>,
    /// `true` if a function that its statements can reach modifies the session.
    unruly: AtomicBool,
    /// Why it is refused, if so.
    refused: OnceLock<Refused>,
    /// `true` once a handle of it was requested.
    met: AtomicBool,
    /// `true` if one task may hold connections of it beside others.
    may_nest: AtomicBool,
    /// Unique number of the occupant during the lifetime of the process.
    pub(crate) serial: u64,
    tables: AtomicU32,
    /// Number of known changes to the tables.
    changes: AtomicU32,
}

/// How long a session seen in a tenant's schema is assumed to be there: other processes also rename
/// and drop tenants. A released name is not reused before twice this time.
pub(crate) const SEEN_AS: Duration = Duration::from_secs(5);

/// Assumed number of tables if they were not counted.
const TYPICAL_TABLES: u32 = 10;

static NEXT_SERIAL: AtomicU64 = AtomicU64::new(0);

/// The name of an occupant.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum OccupantId {
    /// The library, when it queries the catalog or checks health.
    System,
    /// A custom catalog, which is queried in the shared schema.
    Catalog,
    /// The application, when it uses the shared schema.
    Shared,
    /// The library, when it migrates, provisions or seeds: its sessions serve one schema after the
    /// other.
    Upkeep,
    Tenant(TenantId),
}

/// What an occupant is tied to.
#[derive(Debug)]
enum Tie {
    /// Whichever schema currently has the binding's first name.
    Name,
    /// For a tenant: the schema that had the name when the tenant was looked up, or when a session
    /// was first bound, if it was unknown before.
    Schema(OnceLock<Schema>),
}

/// Why every use of an occupant is refused.
#[derive(Debug, PartialEq, Eq)]
enum Refused {
    /// The tenant was renamed, dropped or recreated.
    Retired,
    /// The tenant was suspended from the start.
    Suspended,
}

/// Result and time of an inspection of an occupant's schemas.
#[derive(Debug)]
struct Looked {
    alike: Alike,
    at: Option<Instant>,
    /// Its duration.
    took: Duration,
}

/// How long an inspection is valid. Other processes also change tables and functions, without
/// notification.
const LOOK_AGAIN: Duration = Duration::from_secs(5 * 60);

/// The next inspection that nothing requires follows after this many times the duration of the last
/// one.
const RARELY: u32 = 100;

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

impl Occupant {
    pub(crate) fn new(id: OccupantId, class: Class, binding: Binding) -> Self {
        let looked = Looked { alike: Alike::Unknown, at: None, took: Duration::ZERO };
        let serial = NEXT_SERIAL.fetch_add(1, Ordering::Relaxed);
        let tables = AtomicU32::new(TYPICAL_TABLES);
        let schema = binding.search_path.first().map_or_else(Arc::default, Ident::shared);
        Self {
            id,
            class,
            binding,
            schema,
            tie: Tie::Name,
            extensions: None,
            login: None,
            after_bind: None,
            looked: Mutex::new(looked),
            unruly: AtomicBool::new(false),
            refused: OnceLock::new(),
            met: AtomicBool::new(false),
            may_nest: AtomicBool::new(matches!(class, Class::System | Class::Upkeep)),
            serial,
            tables,
            changes: AtomicU32::new(0),
        }
    }

    /// Returns `true` if acquires of it are exempt from the nesting check: the library does not
    /// wait for itself.
    pub(crate) fn may_nest(&self) -> bool {
        self.may_nest.load(Ordering::Relaxed) || self.id == OccupantId::Upkeep
    }

    /// Allows the library to hold several of its connections in one task.
    pub(crate) fn let_nest(&self) {
        self.may_nest.store(true, Ordering::Relaxed);
    }

    /// Returns `true` for the first caller only.
    pub(crate) fn is_new(&self) -> bool {
        !self.met.load(Ordering::Relaxed) && !self.met.swap(true, Ordering::Relaxed)
    }

    /// Returns the number of table changes; see [`note_change`](Self::note_change).
    pub(crate) fn changes(&self) -> u32 {
        self.changes.load(Ordering::Relaxed)
    }

    /// Records that the tables were changed: each session drops its prepared statements at its next
    /// use.
    pub(crate) fn note_change(&self) {
        self.changes.fetch_add(1, Ordering::Relaxed);
        self.doubt_alike();
    }

    /// Ties it to the schema that currently has the binding's first name. `None` leaves that to the
    /// first session that is bound.
    pub(crate) fn of(mut self, schema: Option<Schema>) -> Self {
        self.tie = Tie::Schema(schema.map_or_else(OnceLock::new, OnceLock::from));
        self
    }

    /// Appends extension schemas to its search path.
    pub(crate) fn reaching(mut self, extensions: &Arc<ExtensionSchemas>) -> Self {
        self.binding = self.binding.reaching(extensions.names());
        self.extensions = Some(Arc::clone(extensions));
        self
    }

    pub(crate) fn logging_in(mut self, login: Option<Login>) -> Self {
        self.login = login.map(Box::new);
        self
    }

    pub(crate) fn followed_by(mut self, hook: Option<AfterBind>) -> Self {
        self.after_bind = hook.map(Box::new);
        self
    }

    /// Refuses every use, because the tenant is suspended.
    pub(crate) fn suspended(self) -> Self {
        Self { refused: OnceLock::from(Refused::Suspended), ..self }
    }

    /// Returns the schema that it was created for, or that it is missing, once that is known.
    fn known_schema(&self) -> Option<Schema> {
        match &self.tie {
            Tie::Name => None,
            Tie::Schema(schema) => schema.get().copied(),
        }
    }

    fn is_tenants(&self) -> bool {
        matches!(self.tie, Tie::Schema(_))
    }

    /// Returns the schema that it was created for, if it is a tenant's.
    pub(crate) fn oid(&self) -> Option<SchemaOid> {
        match self.known_schema() {
            Some(Schema::There(oid)) => Some(oid),
            Some(Schema::Missing) | None => None,
        }
    }

    /// Returns the schema that it was created for, with its name.
    pub(super) fn own_schema(&self) -> Option<(SchemaOid, &Ident)> {
        self.oid().zip(self.binding.own().first())
    }

    /// Returns `true` if a session seen in its schema this long ago is still assumed to be there.
    pub(super) fn is_known_for(&self, since: Duration) -> bool {
        match self.known_schema() {
            None => true,
            Some(Schema::There(_)) => since < SEEN_AS,
            Some(Schema::Missing) => false,
        }
    }

    /// Checks that its schema name still refers to the same schema as at its creation.
    pub(super) fn check(&self, now: Schema) -> Result<(), Error> {
        let Tie::Schema(schema) = &self.tie else {
            return Ok(());
        };
        let before = match (schema.get(), now) {
            (None, Schema::There(_)) => *schema.get_or_init(|| now),
            (None, Schema::Missing) => Schema::Missing,
            (Some(before), _) => *before,
        };
        match now == before && (now != Schema::Missing || !self.sees_others()) {
            true => Ok(()),
            false => {
                self.retire();
                Err(self.refusal())
            }
        }
    }

    /// Refuses every further use: the tenant was renamed, dropped or recreated.
    pub(crate) fn retire(&self) {
        // A suspended one stays that.
        drop(self.refused.set(Refused::Retired));
    }

    pub(crate) fn is_retired(&self) -> bool {
        self.refused.get().is_some()
    }

    /// Returns the error for its uses after it was retired.
    pub(super) fn refusal(&self) -> Error {
        if self.refused.get() == Some(&Refused::Suspended) {
            return self.name(Error::new(ErrorKind::Suspended, "acquiring a connection"));
        }
        if self.oid().is_none() && self.sees_others() {
            let attempted =
                format!("schema {} did not exist when the tenant was looked up", self.schema);
            return self.name(Error::new(ErrorKind::Placement, attempted));
        }
        let attempted = "the tenant was renamed, dropped or recreated after the handle was created; \
                         look it up again";
        self.name(Error::new(ErrorKind::StaleHandle, attempted).with_retry_after(RETRY_AFTER))
    }

    /// Returns `true` if its statements may change the session without showing it in their text.
    pub(super) fn is_unruly(&self) -> bool {
        self.unruly.load(Ordering::Relaxed)
            || self.extensions.as_ref().is_some_and(|extensions| extensions.are_unruly())
    }

    /// Returns `true` if its leases hold the [pin](super::pin::PINS) of its schema from the
    /// start: if its search path has tables of other schemas, a statement after a drop would find
    /// those.
    pub(super) fn is_always_pinned(&self) -> bool {
        let tables = || self.extensions.as_ref().is_some_and(|extensions| extensions.hold_tables());
        self.is_tenants() && (self.sees_shared() || tables())
    }

    /// Returns `true` if tables missing in its own schema are looked up in the shared one.
    fn sees_shared(&self) -> bool {
        self.binding.of_tables().len() > self.binding.own().len()
    }

    /// Returns `true` if names missing in its own schema are looked up in another one.
    fn sees_others(&self) -> bool {
        self.binding.search_path.len() > self.binding.own().len()
    }

    /// Returns `true` if its schemas must be inspected: never, or not recently, done.
    pub(super) fn needs_a_look(&self) -> bool {
        let looked = self.looked.lock();
        matches!(self.class, Class::Pooled | Class::Dedicated | Class::Shared)
            && self.id != OccupantId::Upkeep
            && looked.at.is_none_or(|at| at.elapsed() >= LOOK_AGAIN.max(looked.took * RARELY))
    }

    pub(crate) fn alike(&self) -> Alike {
        if self.binding.own().is_empty() { Alike::Unlike } else { self.looked.lock().alike }
    }

    pub(crate) fn tables(&self) -> usize {
        self.tables.load(Ordering::Relaxed) as usize
    }

    pub(crate) fn set_tables(&self, tables: u32) {
        self.tables.store(tables, Ordering::Relaxed);
    }

    /// Records the result of an inspection.
    pub(super) fn note_look(&self, alike: Alike, unruly: bool, took: Duration) {
        // Settings influence how statements are parsed.
        let alike = match alike {
            Alike::Key(key) if !self.binding.settings.is_empty() => {
                let mut hasher = DefaultHasher::new();
                (key, &self.binding.settings).hash(&mut hasher);
                Alike::Key(hasher.finish().cast_signed())
            }
            other => other,
        };
        self.unruly.store(unruly, Ordering::Relaxed);
        *self.looked.lock() = Looked { alike, at: Some(Instant::now()), took };
    }

    /// Returns `true` if a session bound to one is also bound to the other.
    pub(crate) fn is_same(self: &Arc<Self>, other: &Arc<Self>) -> bool {
        Arc::ptr_eq(self, other)
            || (self.id == other.id
                && self.binding == other.binding
                && self.class == other.class
                && self.is_tenants() == other.is_tenants()
                && self.is_set_up_as(other)
                && (other.known_schema().is_none() || self.known_schema() == other.known_schema()))
    }

    fn is_set_up_as(&self, other: &Self) -> bool {
        match (&self.after_bind, &other.after_bind) {
            (Some(one), Some(other)) => one.is_same(other),
            (one, other) => one.is_none() && other.is_none(),
        }
    }

    /// Adds the tenant to an error.
    pub(crate) fn name(&self, error: Error) -> Error {
        match self.tenant() {
            Some(tenant) => error.with_tenant(tenant),
            None => error,
        }
    }

    /// Makes the next bind inspect the schemas again.
    pub(crate) fn doubt_alike(&self) {
        let mut looked = self.looked.lock();
        *looked = Looked { alike: Alike::Unknown, at: None, took: looked.took };
    }

    /// Makes the next bind inspect the schemas again, unless that was just done: inspections stay a
    /// small part of a session's work, however often statements fail.
    pub(super) fn suspect_alike(&self) {
        let mut looked = self.looked.lock();
        if looked.at.is_some_and(|at| at.elapsed() >= looked.took * RARELY) {
            *looked = Looked { alike: Alike::Unknown, at: None, took: looked.took };
        }
    }

    /// Returns the owner of the session, for events.
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
