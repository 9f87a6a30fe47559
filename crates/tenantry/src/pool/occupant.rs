use std::{
    fmt,
    hash::{DefaultHasher, Hash, Hasher},
    sync::{
        Arc, LazyLock, OnceLock,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

use super::{
    after_bind::AfterBind,
    credentials::Login,
    extensions::ExtensionSchemas,
    live_limits::LiveLimits,
    pin::{KeyDigest, Pinned, SEEN_AS},
    retired_keys::RetiredKeys,
    scheduler::Class,
    shape::{Alike, RowTables, Shape, TablesShape},
};
use crate::{
    error::{Error, ErrorKind, RETRY_AFTER},
    event::Whose,
    tenant::{Binding, Home, Ident, Schema, SchemaOid, TenantId},
};

/// An entity that a session can be bound to: a tenant, the shared schema, or the library itself.
#[derive(Debug)]
pub(crate) struct Occupant {
    // There is one per known tenant, so rarely used fields are boxed.
    pub(crate) id: OccupantId,
    pub(crate) class: Class,
    pub(crate) binding: Binding,
    tie: Tie,
    /// The extension schemas in its search path, and their state.
    pub(super) extensions: Option<Arc<ExtensionSchemas>>,
    /// Tenants in the database of one server share it, if they have nothing else in it.
    rare: Option<Arc<Rare>>,
    shape: Shape,
    /// The limits of the tenant, which all of its occupants have.
    pub(crate) limits: Arc<LiveLimits>,
    /// Why it is refused, if so.
    refused: OnceLock<Refused>,
    /// The OID of its database, if that is not the manager's, since a session was first bound there; 0 before. The
    /// schemas of databases that were copied from one have the same OIDs.
    database: AtomicU32,
    /// `true` once a handle of it was requested.
    met: AtomicBool,
    /// `true` if one task may hold connections of it beside others.
    may_nest: AtomicBool,
    /// `true` if its sessions are on replicas, and only read.
    reads: bool,
}

/// What few occupants have.
#[derive(Debug, Clone, Default)]
struct Rare {
    /// Where its connections are, if it is not the manager's database.
    elsewhere: Option<Elsewhere>,
    /// Separate login, instead of the manager's.
    login: Option<Login>,
    /// The application hook that runs on sessions after a bind.
    after_bind: Option<AfterBind>,
}

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
    /// The same, in another database than the one in the server's URL.
    UpkeepIn(Ident),
    /// The library, when it asks for a part of a shared budget, or creates the table of these.
    Budget,
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
    /// For a tenant in the tables of all: the key that it had when it was looked up.
    Key(Box<KeyTie>),
}

/// The key of a tenant in the tables of all.
#[derive(Debug)]
struct KeyTie {
    key: KeyDigest,
    /// When the catalog was asked for the tenant.
    looked_up: Instant,
    /// What is known of keys that were given up.
    retired: Arc<RetiredKeys>,
}

/// Where the connections of an occupant are.
#[derive(Debug, Clone)]
struct Elsewhere {
    home: Home,
    /// The number of the tenant's placement: a schema of the same name that it had there before is another one.
    epoch: u64,
}

/// A home of many tenants, which they share in memory.
#[derive(Debug, Clone)]
pub(crate) struct SharedHome(Arc<Rare>);

impl SharedHome {
    pub(crate) fn of(home: Home) -> Self {
        let elsewhere = (!home.is_managers()).then_some(Elsewhere { home, epoch: FIRST });
        Self(Arc::new(Rare { elsewhere, ..Rare::default() }))
    }
}

/// The number of a tenant's first placement.
const FIRST: u64 = 1;

/// Why every use of an occupant is refused.
#[derive(Debug, PartialEq, Eq)]
enum Refused {
    /// The tenant was renamed, dropped or recreated.
    Retired,
    /// The tenant was suspended from the start.
    Suspended,
    /// The tenant was on its way to another place from the start.
    Cutover,
}

impl Occupant {
    pub(crate) fn new(id: OccupantId, class: Class, binding: Binding) -> Self {
        Self {
            id,
            class,
            binding,
            tie: Tie::Name,
            extensions: None,
            rare: None,
            shape: Shape::Own(TablesShape::default()),
            limits: Arc::default(),
            refused: OnceLock::new(),
            database: AtomicU32::new(0),
            met: AtomicBool::new(false),
            may_nest: AtomicBool::new(matches!(class, Class::System | Class::Upkeep)),
            reads: false,
        }
    }

    /// Returns `true` if it is a tenant whose sessions on a replica cannot be mistaken for another's.
    ///
    /// What it is tied to must be known: the first session decides otherwise, and must be on the
    /// primary. No lock on a replica holds back a drop on the primary.
    pub(super) fn can_read_on_replicas(&self) -> bool {
        let is_tied = self.oid().is_some() || self.key().is_some();
        is_tied && !self.is_always_pinned()
    }

    /// Returns the same tenant as its sessions on replicas know it. A replica may lag behind, so that
    /// what is found there says nothing about the tenant on the primary.
    pub(super) fn on_replicas(&self) -> Self {
        let tie = match &self.tie {
            Tie::Name => Tie::Name,
            Tie::Schema(schema) => Tie::Schema(schema.clone()),
            Tie::Key(tie) => Tie::Key(Box::new(KeyTie {
                key: tie.key,
                looked_up: tie.looked_up,
                retired: Arc::clone(&tie.retired),
            })),
        };
        let mut reader = Self {
            tie,
            extensions: self.extensions.clone(),
            shape: self.shape.on_replicas(),
            limits: Arc::clone(&self.limits),
            reads: true,
            rare: self.rare.clone(),
            ..Self::new(self.id.clone(), self.class, self.binding.clone())
        };
        reader.may_nest = AtomicBool::new(self.may_nest());
        reader
    }

    /// Returns `true` if its sessions are on replicas.
    pub(super) fn reads(&self) -> bool {
        self.reads
    }

    /// Returns the first schema of the search path, for events and logs.
    pub(crate) fn schema(&self) -> &Arc<str> {
        static NONE: LazyLock<Arc<str>> = LazyLock::new(Arc::default);
        self.binding.search_path.first().map_or_else(|| &*NONE, Ident::shared)
    }

    /// Returns `true` if acquires of it are exempt from the nesting check: the library does not
    /// wait for itself.
    pub(crate) fn may_nest(&self) -> bool {
        self.may_nest.load(Ordering::Relaxed) || self.id.is_upkeep()
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
        self.shape.changes()
    }

    /// Records that the tables were changed: each session drops its prepared statements at its next
    /// use.
    pub(crate) fn note_change(&self) {
        self.shape.note_change();
    }

    /// Makes it one of the occupants of the same tables. What one of them finds out about these holds
    /// for all. Ties it to its key there, as the catalog had it at this time.
    pub(crate) fn sharing(self, tables: &RowTables, key: KeyDigest, looked_up: Instant) -> Self {
        let retired = Arc::clone(&tables.retired_keys);
        let tie = Tie::Key(Box::new(KeyTie { key, looked_up, retired }));
        Self { shape: Shape::Everybodys(Arc::clone(&tables.shape)), tie, ..self }
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

    /// Sets where its connections are.
    pub(crate) fn at(self, home: Home) -> Self {
        self.placed(home, FIRST)
    }

    /// Sets where its connections are, and the number of the tenant's placement.
    pub(crate) fn placed(mut self, home: Home, epoch: u64) -> Self {
        if !home.is_managers() || epoch != FIRST {
            self.rare_mut().elsewhere = Some(Elsewhere { home, epoch });
        }
        self
    }

    /// Sets where its connections are, to the first placement in a home that other tenants have, too.
    pub(crate) fn in_home(self, home: &SharedHome) -> Self {
        Self { rare: Some(Arc::clone(&home.0)), ..self }
    }

    /// Returns what is its own from now on.
    fn rare_mut(&mut self) -> &mut Rare {
        Arc::make_mut(self.rare.get_or_insert_default())
    }

    fn epoch(&self) -> u64 {
        self.elsewhere().map_or(FIRST, |elsewhere| elsewhere.epoch)
    }

    fn elsewhere(&self) -> Option<&Elsewhere> {
        self.rare.as_ref()?.elsewhere.as_ref()
    }

    /// Returns where its connections are.
    pub(crate) fn home(&self) -> &Home {
        static MANAGERS: Home = Home::MANAGERS;
        self.elsewhere().map_or(&MANAGERS, |elsewhere| &elsewhere.home)
    }

    pub(crate) fn logging_in(mut self, login: Option<Login>) -> Self {
        if let Some(login) = login {
            self.rare_mut().login = Some(login);
        }
        self
    }

    /// Returns its separate login, instead of the manager's.
    pub(crate) fn login(&self) -> Option<&Login> {
        self.rare.as_ref()?.login.as_ref()
    }

    /// Sets the limits of its tenant.
    pub(crate) fn limited_by(self, limits: Arc<LiveLimits>) -> Self {
        Self { limits, ..self }
    }

    pub(crate) fn followed_by(mut self, hook: Option<AfterBind>) -> Self {
        if let Some(hook) = hook {
            self.rare_mut().after_bind = Some(hook);
        }
        self
    }

    /// Returns the application hook that runs on sessions after a bind.
    pub(super) fn after_bind(&self) -> Option<&AfterBind> {
        self.rare.as_ref()?.after_bind.as_ref()
    }

    /// Refuses every use, because the tenant is suspended.
    pub(crate) fn suspended(self) -> Self {
        Self { refused: OnceLock::from(Refused::Suspended), ..self }
    }

    /// Refuses every use, because the tenant is on its way to another place.
    pub(crate) fn in_cutover(self) -> Self {
        Self { refused: OnceLock::from(Refused::Cutover), ..self }
    }

    /// Returns the schema that it was created for, or that it is missing, once that is known.
    fn known_schema(&self) -> Option<Schema> {
        match &self.tie {
            Tie::Name | Tie::Key(_) => None,
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

    fn key(&self) -> Option<&KeyTie> {
        match &self.tie {
            Tie::Key(key) => Some(key),
            Tie::Name | Tie::Schema(_) => None,
        }
    }

    /// Returns what is known of keys that were given up, if it is a tenant with such a key.
    pub(super) fn retired_keys(&self) -> Option<&RetiredKeys> {
        self.key().map(|key| &*key.retired)
    }

    /// Checks that its key has not been given up since the tenant was looked up, as far as that is
    /// known.
    pub(crate) fn check_key(&self) -> Result<(), Error> {
        let Some(KeyTie { key, looked_up, retired }) = self.key() else { return Ok(()) };
        if !retired.has_lost(*key, *looked_up) {
            return Ok(());
        }
        self.retire();
        Err(self.refusal())
    }

    /// Returns what its sessions can pin.
    pub(super) fn pinned(&self) -> Option<Pinned<'_>> {
        match self.key() {
            Some(tie) => Some(Pinned::Key(tie.key)),
            None => self.own_schema().map(|(oid, schema)| Pinned::Schema(oid, schema)),
        }
    }

    /// Returns the schema that it was created for, with its name.
    pub(crate) fn own_schema(&self) -> Option<(SchemaOid, &Ident)> {
        self.oid().zip(self.binding.own().first())
    }

    /// Returns `true` if a session seen in its schema this long ago is still assumed to be there. A
    /// key is known to be the tenant's for as long as was read which keys were given up; on a standby,
    /// only by the session itself.
    pub(super) fn is_known_for(&self, since: Duration, now: Instant, on_standby: bool) -> bool {
        match self.retired_keys() {
            Some(_) if on_standby => return since < SEEN_AS,
            Some(retired) => return retired.are_known(now),
            None => {}
        }
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
            false => Err(self.not_the_same()),
        }
    }

    /// Returns the error of a session that has found another schema or database in its place. On a
    /// replica it may be there a moment later.
    fn not_the_same(&self) -> Error {
        if !self.reads {
            self.retire();
        }
        self.refusal()
    }

    /// Returns `true` if it is a tenant in a database of its own.
    pub(super) fn has_database(&self) -> bool {
        self.is_tenants() && self.home().database().is_some()
    }

    /// Checks that its database is still the one of its first session.
    pub(super) fn check_database(&self, oid: u32) -> Result<(), Error> {
        if self.elsewhere().is_none_or(|_| self.learned_database(oid) == oid) {
            return Ok(());
        }
        Err(self.not_the_same())
    }

    /// Returns the OID of its database as it was learned first: this one, if none is known.
    fn learned_database(&self, oid: u32) -> u32 {
        let (acquire, release) = (Ordering::Acquire, Ordering::AcqRel);
        match self.database.compare_exchange(0, oid, release, acquire) {
            Ok(_) => oid,
            Err(known) => known,
        }
    }

    fn database(&self) -> Option<u32> {
        Some(self.database.load(Ordering::Acquire)).filter(|oid| *oid > 0)
    }

    fn is_in_database_of(&self, other: &Self) -> bool {
        self.database().zip(other.database()).is_none_or(|(own, theirs)| own == theirs)
    }

    /// Ties it to the schema and database of another occupant of the same tenant, whose sessions it uses,
    /// unless it is known what it is tied to.
    pub(super) fn share_ties_of(&self, other: &Self) {
        if let (Tie::Schema(own), Some(there @ Schema::There(_))) =
            (&self.tie, other.known_schema())
        {
            own.get_or_init(|| there);
        }
        if let (Some(_), Some(oid)) = (self.elsewhere(), other.database()) {
            self.learned_database(oid);
        }
    }

    /// Refuses every further use: the tenant was renamed, dropped or recreated.
    pub(crate) fn retire(&self) {
        // A suspended one stays that.
        drop(self.refused.set(Refused::Retired));
    }

    /// Returns `true` if the tenant has to be looked up again.
    pub(crate) fn is_retired(&self) -> bool {
        self.is_refused() && !self.is_in_cutover()
    }

    /// Returns `true` if the tenant was on its way to another place when it was looked up.
    pub(crate) fn is_in_cutover(&self) -> bool {
        self.refused.get() == Some(&Refused::Cutover)
    }

    /// Returns `true` if it gets no connections.
    pub(crate) fn is_refused(&self) -> bool {
        self.refused.get().is_some()
    }

    /// Returns the error for its uses after it was retired.
    pub(super) fn refusal(&self) -> Error {
        if self.refused.get() == Some(&Refused::Suspended) {
            return self.name(Error::new(ErrorKind::Suspended, "acquiring a connection"));
        }
        if self.is_retired() && self.is_tenants() && self.oid().is_none() && self.sees_others() {
            let attempted =
                format!("schema {} did not exist when the tenant was looked up", self.schema());
            return self.name(Error::new(ErrorKind::Placement, attempted));
        }
        let attempted = "the tenant was renamed, dropped or recreated after the handle was created; \
                         look it up again";
        self.name(Error::new(ErrorKind::StaleHandle, attempted).with_retry_after(RETRY_AFTER))
    }

    /// Returns `true` if its statements may change the session without showing it in their text.
    pub(super) fn is_unruly(&self) -> bool {
        self.shape.is_unruly()
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
        matches!(self.class, Class::Pooled | Class::Dedicated | Class::Shared)
            && !self.id.is_upkeep()
            && self.shape.needs_a_look()
    }

    pub(crate) fn alike(&self) -> Alike {
        match self.schemas_of_tables().is_empty() {
            true => Alike::Unlike,
            false => self.with_settings(self.shape.alike()),
        }
    }

    /// Returns the schemas whose tables it is compared by with other occupants: its own ones, or those that
    /// hold the rows of all tenants.
    pub(super) fn schemas_of_tables(&self) -> &[Ident] {
        match self.has_rows() {
            true => self.binding.of_tables(),
            false => self.binding.own(),
        }
    }

    /// Returns `true` if it is one of many in the same tables.
    pub(super) fn has_rows(&self) -> bool {
        matches!(self.shape, Shape::Everybodys(_))
    }

    /// Adds the settings to a key, because they influence how statements are parsed.
    fn with_settings(&self, alike: Alike) -> Alike {
        match alike {
            Alike::Key(key) if !self.binding.settings().is_empty() => {
                let mut hasher = DefaultHasher::new();
                (key, self.binding.settings()).hash(&mut hasher);
                Alike::Key(hasher.finish().cast_signed())
            }
            other => other,
        }
    }

    /// Returns a number that is the same for all occupants of the same tables.
    pub(super) fn serial_of_tables(&self) -> u64 {
        self.shape.serial()
    }

    pub(crate) fn tables(&self) -> usize {
        self.shape.tables()
    }

    pub(crate) fn set_tables(&self, tables: u32) {
        self.shape.set_tables(tables);
    }

    /// Records the result of an inspection.
    pub(super) fn note_look(&self, alike: Alike, unruly: bool, took: Duration) {
        self.shape.note_look(alike, unruly, took);
    }

    /// Returns `true` if a session bound to one is also bound to the other.
    pub(crate) fn is_same(self: &Arc<Self>, other: &Arc<Self>) -> bool {
        Arc::ptr_eq(self, other)
            || (self.id == other.id
                && self.binding == other.binding
                && self.class == other.class
                && self.home() == other.home()
                && self.epoch() == other.epoch()
                && self.is_in_database_of(other)
                && self.is_retired() == other.is_retired()
                && self.is_tenants() == other.is_tenants()
                && self.is_set_up_as(other)
                && (other.known_schema().is_none() || self.known_schema() == other.known_schema()))
    }

    fn is_set_up_as(&self, other: &Self) -> bool {
        match (self.after_bind(), other.after_bind()) {
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
        self.shape.doubt();
    }

    /// Makes the next bind inspect the schemas again, unless that was just done.
    pub(super) fn suspect_alike(&self) {
        self.shape.suspect();
    }

    /// Returns the owner of the session, for events.
    pub(crate) fn whose(&self) -> Whose<'_> {
        Whose { tenant: self.tenant(), schema: self.schema() }
    }

    pub(crate) fn tenant(&self) -> Option<&TenantId> {
        match &self.id {
            OccupantId::Tenant(id) => Some(id),
            OccupantId::System
            | OccupantId::Catalog
            | OccupantId::Shared
            | OccupantId::Upkeep
            | OccupantId::UpkeepIn(_)
            | OccupantId::Budget => None,
        }
    }
}

impl OccupantId {
    /// Returns `true` if it is the library that works on schemas.
    pub(crate) fn is_upkeep(&self) -> bool {
        matches!(self, Self::Upkeep | Self::UpkeepIn(_))
    }
}

impl fmt::Display for OccupantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System | Self::Budget => f.write_str("the library"),
            Self::Catalog => f.write_str("the catalog"),
            Self::Shared => f.write_str("the shared schema"),
            Self::Upkeep | Self::UpkeepIn(_) => f.write_str("the library's upkeep"),
            Self::Tenant(id) => write!(f, "tenant {id}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tenant::Placement;

    /// There is one of each for every known tenant. With the counts of an `Arc` and the allocator's
    /// word, an occupant takes 240 bytes.
    #[test]
    #[cfg(target_pointer_width = "64")]
    fn a_known_tenant_takes_little_memory() {
        let sizes = [size_of::<Occupant>(), size_of::<LiveLimits>(), size_of::<Placement>()];
        for (size, most) in sizes.into_iter().zip([216, 40, 32]) {
            assert!(size <= most, "{sizes:?}");
        }
    }
}
