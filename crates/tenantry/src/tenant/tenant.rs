use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, LazyLock},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde::{Serialize, Serializer};
use serde_json::Value;

use super::{Ident, IsolationKind, Placement, Schema, TenantId, Tier};
use crate::timestamp;

/// A tenant in the catalog: its id, the location of its data, and its other recorded data.
///
/// Only the manager creates a `Tenant`, from the catalog's record. Cloning is cheap.
#[derive(Clone)]
pub struct Tenant(Arc<Parts>);

struct Parts {
    id: TenantId,
    placement: Placement,
    state: TenantState,
    /// Seconds from 1970 to its creation, rounded down. These parts are apart, because they take less memory so.
    created_secs: i64,
    /// The rest in nanoseconds; [`UNRECORDED`] if the creation is not recorded.
    created_nanos: u32,
    /// What few tenants have, so that the others take little memory for it.
    attributes: Option<Box<Value>>,
    /// `true` if the attributes are an object without any.
    is_without: bool,
}

const UNRECORDED: u32 = u32::MAX;

/// Splits a time into seconds, rounded down, and nanoseconds.
fn split(time: SystemTime) -> (i64, u32) {
    let seconds = |of: Duration| i64::try_from(of.as_secs()).unwrap_or(i64::MAX);
    match time.duration_since(UNIX_EPOCH) {
        Ok(after) => (seconds(after), after.subsec_nanos()),
        Err(error) => {
            let before = error.duration();
            match before.subsec_nanos() {
                0 => (-seconds(before), 0),
                nanos => (-seconds(before) - 1, 1_000_000_000 - nanos),
            }
        }
    }
}

/// Reverses [`split`].
fn joined(seconds: i64, nanos: u32) -> Option<SystemTime> {
    let whole = Duration::from_secs(seconds.unsigned_abs());
    let time = match seconds < 0 {
        true => UNIX_EPOCH.checked_sub(whole),
        false => UNIX_EPOCH.checked_add(whole),
    };
    time?.checked_add(Duration::from_nanos(nanos.into()))
}

impl Tenant {
    pub(crate) fn new(record: TenantRecord, placement: Placement) -> Self {
        let TenantRecord { id, state, created_at, attributes, .. } = record;
        let is_without = attributes.as_object().is_some_and(serde_json::Map::is_empty);
        let has_any = !attributes.is_null() && !is_without;
        let attributes = has_any.then(|| Box::new(attributes));
        let (created_secs, created_nanos) = created_at.map_or((0, UNRECORDED), split);
        Self(Arc::new(Parts {
            id,
            placement,
            state,
            created_secs,
            created_nanos,
            attributes,
            is_without,
        }))
    }

    /// Returns `true` if both describe the same tenant identically.
    pub(crate) fn says_the_same(&self, other: &Self) -> bool {
        let [this, other] = [self, other].map(|tenant| {
            let Parts { id, placement, state, attributes, is_without, .. } = &*tenant.0;
            (id, placement, state, tenant.created_at(), attributes, is_without)
        });
        this == other
    }

    /// Returns the tenant's id.
    #[must_use]
    pub fn id(&self) -> &TenantId {
        &self.0.id
    }

    /// Returns the location of the tenant's data.
    #[must_use]
    pub fn placement(&self) -> &Placement {
        &self.0.placement
    }

    /// Returns the state of the tenant when it was looked up. Always active where requests are
    /// handled: only [`tenant_to_authorize`](crate::TenantManager::tenant_to_authorize) returns a
    /// suspended tenant.
    #[must_use]
    pub fn state(&self) -> TenantState {
        self.0.state
    }

    /// Returns when the tenant was created, if the catalog records it.
    #[must_use]
    pub fn created_at(&self) -> Option<SystemTime> {
        let Parts { created_secs, created_nanos, .. } = *self.0;
        if created_nanos == UNRECORDED { None } else { joined(created_secs, created_nanos) }
    }

    /// Returns the other attributes that the catalog records; `null` if there are none.
    #[must_use]
    pub fn attributes(&self) -> &Value {
        static NONE: LazyLock<Value> = LazyLock::new(|| Value::Object(serde_json::Map::new()));
        let otherwise = if self.0.is_without { &*NONE } else { &Value::Null };
        self.0.attributes.as_deref().unwrap_or(otherwise)
    }
}

impl fmt::Debug for Tenant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tenant")
            .field("id", &self.0.id)
            .field("placement", &self.0.placement)
            .finish_non_exhaustive()
    }
}

/// The catalog's record of a tenant.
///
/// Its JSON contains the settings and the attributes verbatim. Remove what the reader may not see
/// before you serialize it.
///
/// ```json
/// {
///   "tenantId": "acme", "container": null, "state": "active", "role": null,
///   "settings": { "statement_timeout": "5s" }, "createdAt": "2026-01-15T10:30:00.000Z", "attributes": null
/// }
/// ```
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
#[cfg_attr(
    feature = "schemars",
    schemars(description = "What a catalog has on record about one tenant.")
)]
pub struct TenantRecord {
    /// The tenant's id.
    #[serde(rename = "tenantId")]
    pub id: TenantId,
    /// How its data is kept apart. Default: `None`, the manager's
    /// [isolation](crate::ManagerBuilder::isolation).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub isolation: Option<IsolationKind>,
    /// The name of its schema. Default: `None`: with a schema of its own, the name template
    /// applies, in a database of its own it is `public`. Unused with rows.
    pub container: Option<Ident>,
    /// The name of its server. Default: `None`, the server that the manager was built for, whose name is
    /// `main`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server: Option<Arc<str>>,
    /// The name of its database, with [`IsolationKind::Database`]. Default: `None`, which uses the
    /// name template.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub database: Option<Ident>,
    /// Its key in the tables of all tenants, with [`IsolationKind::Row`]. Default: `None`, its id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<Arc<str>>,
    /// The number of its placement, which increases whenever it moves. Default: 1.
    #[serde(skip_serializing_if = "is_first")]
    pub epoch: u64,
    /// The state of the tenant. Default: [`TenantState::Active`].
    pub state: TenantState,
    /// The database role that its sessions take on, as `SET ROLE` does. Default: none.
    ///
    /// Creating and migrating the tenant grants it usage on the schema and the privileges to read
    /// and change rows.
    ///
    /// The role of the connection must be a member of it. If the role may use only the tenant's own
    /// schema, the server refuses SQL that names another tenant's schema.
    pub role: Option<Ident>,
    /// Session settings by name, such as `statement_timeout`. Default: none.
    #[serde(serialize_with = "as_map")]
    #[cfg_attr(feature = "schemars", schemars(with = "BTreeMap<String, String>"))]
    pub settings: Vec<(String, String)>,
    /// When the tenant was created. Default: `None`.
    #[serde(serialize_with = "timestamp::serialize_optional")]
    #[cfg_attr(feature = "schemars", schemars(with = "Option<String>", extend("format" = "date-time")))]
    pub created_at: Option<SystemTime>,
    /// Other recorded attributes. Default: `null`.
    pub attributes: Value,
    /// The next step of an unfinished creation. Default: `None`, the tenant is complete.
    ///
    /// A tenant with a step is never served, regardless of its state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<Arc<str>>,
    /// The object that has the container's name, if the catalog has seen it in the same query.
    #[serde(skip)]
    pub(crate) schema: Option<Schema>,
    /// `true` if the catalog decides where the tenant is, also by naming no isolation and no server.
    #[serde(skip)]
    pub(crate) is_placed: bool,
}

/// The start of the step of a tenant whose container is elsewhere and is being made; the mark follows.
pub(crate) const MAKING: &str = "tenantry: making ";

/// The start of the step of such a tenant whose creation has failed and that is being removed; the mark follows.
pub(crate) const UNDOING: &str = "tenantry: undoing ";

/// The start of the step of such a tenant that is being dropped.
pub(crate) const DROPPING: &str = "tenantry: dropping ";

impl TenantRecord {
    /// Returns `true` if its database or schema may not exist, because it is being made or dropped.
    pub(crate) fn may_lack_its_container(&self) -> bool {
        let step = self.step.as_deref().unwrap_or_default();
        [MAKING, UNDOING, DROPPING].iter().any(|start| step.starts_with(start))
    }

    /// Creates the record of an active tenant whose container follows the name template.
    #[must_use]
    pub fn new(id: TenantId) -> Self {
        Self {
            id,
            isolation: None,
            container: None,
            server: None,
            database: None,
            key: None,
            epoch: 1,
            state: TenantState::Active,
            role: None,
            settings: Vec::new(),
            created_at: None,
            attributes: Value::Null,
            step: None,
            schema: None,
            is_placed: false,
        }
    }

    /// Sets the container.
    #[must_use]
    pub fn container(mut self, container: Ident) -> Self {
        self.container = Some(container);
        self
    }

    /// Sets how its data is kept apart.
    #[must_use]
    pub fn isolation(mut self, isolation: IsolationKind) -> Self {
        self.isolation = Some(isolation);
        self
    }

    /// Sets the server, by its name in the manager's configuration.
    #[must_use]
    pub fn server(mut self, server: impl Into<Arc<str>>) -> Self {
        self.server = Some(server.into());
        self
    }

    /// Sets the database.
    #[must_use]
    pub fn database(mut self, database: Ident) -> Self {
        self.database = Some(database);
        self
    }

    /// Sets the key in the tables of all tenants.
    #[must_use]
    pub fn key(mut self, key: impl Into<Arc<str>>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// Sets the number of the placement.
    #[must_use]
    pub fn epoch(mut self, epoch: u64) -> Self {
        self.epoch = epoch;
        self
    }

    /// Sets the state.
    #[must_use]
    pub fn state(mut self, state: TenantState) -> Self {
        self.state = state;
        self
    }

    /// Sets the role that its sessions take on.
    #[must_use]
    pub fn role(mut self, role: Ident) -> Self {
        self.role = Some(role);
        self
    }

    /// Adds a session setting.
    #[must_use]
    pub fn setting(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.settings.push((name.into(), value.into()));
        self
    }

    /// Sets the next step of its creation, which suspends it.
    #[must_use]
    pub fn step(mut self, step: impl Into<Arc<str>>) -> Self {
        self.step = Some(step.into());
        self.suspended_while_in_the_making()
    }

    /// Marks it as suspended while it has a step.
    pub(crate) fn suspended_while_in_the_making(mut self) -> Self {
        if self.step.is_some() {
            self.state = TenantState::Suspended;
        }
        self
    }

    /// Gives it the isolation and the server of a tier, where it names none.
    pub(crate) fn placed_by(mut self, tier: &Tier) -> Self {
        self.isolation = self.isolation.or(tier.isolation);
        self.server = self.server.or_else(|| tier.server.clone());
        self
    }

    /// Sets the attributes.
    #[must_use]
    pub fn attributes(mut self, attributes: Value) -> Self {
        self.attributes = attributes;
        self
    }
}

/// The state of a tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum TenantState {
    /// Requests are served.
    #[default]
    Active,
    /// Requests are refused; the data is kept.
    Suspended,
    /// Requests are served while its data is copied to another place. Migrations of it, renaming and dropping are
    /// refused.
    Moving,
    /// Requests wait while it changes places, at most as long as an acquire may wait.
    Cutover,
}

impl TenantState {
    /// Returns the state in snake case, as used in catalogs, metrics and JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Suspended => "suspended",
            Self::Moving => "moving",
            Self::Cutover => "cutover",
        }
    }

    /// Returns `true` if requests of the tenant are served, at once or after waiting.
    #[must_use]
    pub fn is_served(self) -> bool {
        !matches!(self, Self::Suspended)
    }

    /// Returns `true` if its data is on its way to another place.
    #[must_use]
    pub fn is_moving(self) -> bool {
        matches!(self, Self::Moving | Self::Cutover)
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_first(epoch: &u64) -> bool {
    *epoch == 1
}

/// Of settings with the same name, the last one wins, as in a session.
fn as_map<S: Serializer>(settings: &[(String, String)], serializer: S) -> Result<S::Ok, S::Error> {
    settings
        .iter()
        .map(|(name, value)| (name, value))
        .collect::<BTreeMap<_, _>>()
        .serialize(serializer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_of_creation_is_returned_as_it_was() {
        let whole = Duration::from_secs(1_700_000_000);
        for by in
            [Duration::ZERO, Duration::from_nanos(1), Duration::from_nanos(999_999_999), whole]
        {
            let of = whole + by;
            for time in [UNIX_EPOCH + of, UNIX_EPOCH - of, UNIX_EPOCH + by, UNIX_EPOCH - by] {
                let (seconds, nanos) = split(time);
                assert!(nanos < 1_000_000_000);
                assert_eq!(joined(seconds, nanos), Some(time));
            }
        }
    }
}
