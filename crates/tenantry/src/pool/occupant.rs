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
    session::SEEN_AS,
};
use crate::{
    error::{Error, ErrorKind, RETRY_AFTER},
    event::Whose,
    tenant::{Binding, Ident, Schema, SchemaOid, TenantId},
};

/// Whoever a session can be bound to: a tenant, the shared schema, or the library itself.
#[derive(Debug)]
pub(crate) struct Occupant {
    // There is one for every tenant that was met: what few of them have is boxed.
    pub(crate) id: OccupantId,
    pub(crate) class: Class,
    pub(crate) binding: Binding,
    /// The schema in which names are looked up first, for those who tell of it.
    pub(crate) schema: Arc<str>,
    /// Which schema had the binding's first name when the tenant was looked up, or when a session was
    /// first bound, where nobody could tell before.
    identity: OnceLock<Schema>,
    /// What is known of the schemas of extensions that stand behind its own.
    pub(super) extensions: Option<Arc<ExtensionSchemas>>,
    /// Whether it is a tenant's. What is not has the schema of its name, whichever it is.
    is_tenants: bool,
    /// Logs in as somebody else than the manager.
    pub(crate) login: Option<Box<Login>>,
    /// What the application does to a session that was bound to it.
    pub(super) after_bind: Option<Box<AfterBind>>,
    looked: Mutex<Looked>,
    /// Whether a function that its statements can come to reaches into the session.
    unruly: AtomicBool,
    /// Whether the tenant was found to be another one than the one that this was made for.
    retired: AtomicBool,
    /// Whether it was refused from the beginning, because the tenant is suspended.
    suspended: bool,
    /// Whether a handle of it was asked for.
    met: AtomicBool,
    /// Whether one task may have connections of it beside others.
    may_nest: AtomicBool,
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

/// What a look at the schemas of an occupant has found, and when.
#[derive(Debug)]
struct Looked {
    alike: Alike,
    at: Option<Instant>,
    /// How long it took.
    took: Duration,
}

/// For how long a look is good. Other processes change tables and functions, too, without telling.
const LOOK_AGAIN: Duration = Duration::from_secs(5 * 60);

/// How many times as long as a look takes passes until the next one that nothing asks for by itself.
const RARELY: u32 = 100;

/// How the tables of an occupant look, as far as prepared statements can tell.
///
/// Two occupants with equal keys can use each other's prepared statements: PostgreSQL plans them anew
/// for the new search path, and the results have the same columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Alike {
    /// Not read yet.
    Unknown,
    /// Statements are never shared: the schema has types or collations of its own, or there is no
    /// schema.
    Unlike,
    /// A hash of everything that decides what a statement returns, and of the settings under which it
    /// is read.
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
            identity: OnceLock::new(),
            extensions: None,
            is_tenants: false,
            login: None,
            after_bind: None,
            looked: Mutex::new(looked),
            unruly: AtomicBool::new(false),
            retired: AtomicBool::new(false),
            suspended: false,
            met: AtomicBool::new(false),
            may_nest: AtomicBool::new(matches!(class, Class::System | Class::Upkeep)),
            serial,
            tables,
            changes: AtomicU32::new(0),
        }
    }

    /// Returns `true` if a task that acquires a connection of it is not asked what it holds already, and
    /// does not hold this one: the library itself does not wait for itself.
    pub(crate) fn may_nest(&self) -> bool {
        self.may_nest.load(Ordering::Relaxed) || self.id == OccupantId::Upkeep
    }

    /// Lets the library have several connections of it in one task.
    pub(crate) fn let_nest(&self) {
        self.may_nest.store(true, Ordering::Relaxed);
    }

    /// Returns `true` for the first who asks.
    pub(crate) fn is_new(&self) -> bool {
        !self.met.load(Ordering::Relaxed) && !self.met.swap(true, Ordering::Relaxed)
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

    /// Makes it that of the schema which has the binding's first name now, and of no other. `None`
    /// leaves it to the first session that is bound.
    pub(crate) fn of(mut self, schema: Option<Schema>) -> Self {
        self.identity = schema.map_or_else(OnceLock::new, OnceLock::from);
        self.is_tenants = true;
        self
    }

    /// Puts schemas of extensions behind its own.
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
        Self { suspended: true, retired: AtomicBool::new(true), ..self }
    }

    /// Returns the schema that it was made for, if it is a tenant's.
    pub(crate) fn oid(&self) -> Option<SchemaOid> {
        match self.identity.get() {
            Some(Schema::There(oid)) => Some(*oid),
            Some(Schema::Missing) | None => None,
        }
    }

    /// Says whether a session that was seen to be in its schema so long ago is taken to be there.
    pub(super) fn is_known_for(&self, since: Duration) -> bool {
        match self.identity.get() {
            None => true,
            Some(Schema::There(_)) => since < SEEN_AS,
            Some(Schema::Missing) => false,
        }
    }

    /// Checks that the name of its schema stands for what it stood for when it was made.
    pub(super) fn check(&self, now: Schema) -> Result<(), Error> {
        if !self.is_tenants {
            return Ok(());
        }
        let before = match (self.identity.get(), now) {
            (None, Schema::There(_)) => *self.identity.get_or_init(|| now),
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

    /// Refuses every use from now on: the tenant was renamed, dropped or created anew.
    pub(crate) fn retire(&self) {
        self.retired.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_retired(&self) -> bool {
        self.retired.load(Ordering::Relaxed)
    }

    /// Returns why it is refused once it is retired.
    pub(super) fn refusal(&self) -> Error {
        if self.suspended {
            return self.name(Error::new(ErrorKind::Suspended, "taking a connection"));
        }
        if self.oid().is_none() && self.sees_others() {
            let attempted = format!("there was no schema {} when it was looked up", self.schema);
            return self.name(Error::new(ErrorKind::Placement, attempted));
        }
        let attempted = "the tenant was renamed, dropped or recreated after the handle was made; \
                         look it up again";
        self.name(Error::new(ErrorKind::StaleHandle, attempted).with_retry_after(RETRY_AFTER))
    }

    /// Says whether its statements may change the session although their text does not show it.
    pub(super) fn is_unruly(&self) -> bool {
        self.unruly.load(Ordering::Relaxed)
            || self.extensions.as_ref().is_some_and(|extensions| extensions.are_unruly())
    }

    /// Says whether its leases hold the [pin](super::reset::PINS) of its schema from the beginning:
    /// where tables of others are behind its own, a statement that comes after a drop would find those.
    pub(super) fn is_always_pinned(&self) -> bool {
        let tables = || self.extensions.as_ref().is_some_and(|extensions| extensions.hold_tables());
        self.is_tenants && (self.sees_shared() || tables())
    }

    /// Says whether tables that are not in its own schema are looked up in the shared one.
    fn sees_shared(&self) -> bool {
        self.binding.of_tables().len() > self.binding.own().len()
    }

    /// Says whether names that are not in its own schema are looked up in another one.
    fn sees_others(&self) -> bool {
        self.binding.search_path.len() > self.binding.own().len()
    }

    /// Says whether its schemas have to be looked at: nobody has, or too long ago.
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

    /// Notes what a look has found.
    pub(super) fn note_look(&self, alike: Alike, unruly: bool, took: Duration) {
        // Statements keep what they were read with: settings decide how.
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

    /// Says whether a session that is bound to one is bound to the other.
    pub(crate) fn is_same(self: &Arc<Self>, other: &Arc<Self>) -> bool {
        Arc::ptr_eq(self, other)
            || (self.id == other.id
                && self.binding == other.binding
                && self.class == other.class
                && self.is_tenants == other.is_tenants
                && self.is_set_up_as(other)
                && (other.identity.get().is_none() || self.identity == other.identity))
    }

    fn is_set_up_as(&self, other: &Self) -> bool {
        match (&self.after_bind, &other.after_bind) {
            (Some(one), Some(other)) => one.is_same(other),
            (one, other) => one.is_none() && other.is_none(),
        }
    }

    /// Puts the tenant's name into an error.
    pub(crate) fn name(&self, error: Error) -> Error {
        match self.tenant() {
            Some(tenant) => error.with_tenant(tenant),
            None => error,
        }
    }

    /// Has the schemas looked at anew when a session is bound next.
    pub(crate) fn doubt_alike(&self) {
        let mut looked = self.looked.lock();
        *looked = Looked { alike: Alike::Unknown, at: None, took: looked.took };
    }

    /// Has the schemas looked at anew, unless that was done a moment ago: looking is never more than a
    /// small part of what a session does, however often statements fail.
    pub(super) fn suspect_alike(&self) {
        let mut looked = self.looked.lock();
        if looked.at.is_some_and(|at| at.elapsed() >= looked.took * RARELY) {
            *looked = Looked { alike: Alike::Unknown, at: None, took: looked.took };
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
