//! What the record of a move says about the places of the tenant, besides the servers.

use std::sync::Arc;

use serde_json::{Value, json};

use super::id::MoveId;
use crate::tenant::{Ident, IsolationKind, MAIN, Placement, TenantRecord};

/// The places before and after a move.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Places {
    pub(super) from: Spot,
    pub(super) to: Spot,
}

/// The place of a tenant on a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Spot {
    pub(super) kind: IsolationKind,
    /// The schema with its tables.
    pub(super) schema: Ident,
    /// The database, if it has one of its own.
    pub(super) database: Option<Ident>,
    /// Its key in the tables of all tenants.
    pub(super) key: Option<Arc<str>>,
    /// What the catalog records of it.
    recorded: Recorded,
}

/// The parts of a record that place a tenant on its server.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Recorded {
    isolation: Option<IsolationKind>,
    container: Option<Ident>,
    database: Option<Ident>,
    key: Option<Arc<str>>,
}

impl Places {
    /// Returns the places of a move between schemas of the same name.
    pub(super) fn of_schema(schema: &Ident) -> Self {
        let recorded = Recorded { container: Some(schema.clone()), ..Recorded::default() };
        let (kind, schema) = (IsolationKind::Schema, schema.clone());
        let spot = Spot { kind, schema, database: None, key: None, recorded };
        Self { from: spot.clone(), to: spot }
    }

    /// Returns the places of two records.
    pub(super) fn between(
        from: (&Placement, &TenantRecord),
        to: (&Placement, &TenantRecord),
    ) -> Self {
        Self { from: Spot::of(from), to: Spot::of(to) }
    }

    /// Returns what stays on the source, in a few words.
    pub(super) fn kept_as(&self, id: MoveId) -> String {
        match &self.from.key {
            Some(key) => format!("rows with the key {key:?} in schema {}", self.from.schema),
            None => id.kept_name().as_str().to_owned(),
        }
    }

    /// Returns the records of a tenant at both places, on these servers.
    pub(super) fn records(&self, of: &TenantRecord, servers: [&str; 2]) -> [TenantRecord; 2] {
        let [from, to] = servers;
        match self.from == self.to {
            true => {
                servers.map(|server| TenantRecord { server: other_than_main(server), ..of.clone() })
            }
            false => [self.from.record(from, of), self.to.record(to, of)],
        }
    }

    pub(super) fn written(&self) -> String {
        json!({ "from": self.from.written(), "to": self.to.written() }).to_string()
    }

    /// Reads what was [written](Self::written).
    pub(super) fn read(text: &str) -> Option<Self> {
        let places: Value = serde_json::from_str(text).ok()?;
        Some(Self { from: Spot::read(&places["from"])?, to: Spot::read(&places["to"])? })
    }
}

impl Spot {
    fn of((place, record): (&Placement, &TenantRecord)) -> Self {
        let TenantRecord { isolation, container, database, key, .. } = record.clone();
        Self {
            recorded: Recorded { isolation, container, database, key },
            kind: place.isolation(),
            schema: place.container().clone(),
            database: place.database().cloned(),
            key: place.key().map(Into::into),
        }
    }

    fn written(&self) -> Value {
        let Recorded { isolation, container, database, key } = &self.recorded;
        let name = |name: &Option<Ident>| name.as_ref().map(|name| name.as_str().to_owned());
        json!({
            "isolation": self.kind.as_str(),
            "schema": self.schema.as_str(),
            "database": name(&self.database),
            "key": self.key,
            "recorded": {
                "isolation": isolation.map(IsolationKind::as_str),
                "container": name(container),
                "database": name(database),
                "key": key,
            },
        })
    }

    fn read(spot: &Value) -> Option<Self> {
        let recorded = &spot["recorded"];
        Some(Self {
            kind: kind_in(spot)??,
            schema: name_in(spot, "schema")??,
            database: name_in(spot, "database")?,
            key: spot["key"].as_str().map(Into::into),
            recorded: Recorded {
                isolation: kind_in(recorded)?,
                container: name_in(recorded, "container")?,
                database: name_in(recorded, "database")?,
                key: recorded["key"].as_str().map(Into::into),
            },
        })
    }

    /// Returns a record that places a tenant there.
    pub(super) fn record(&self, server: &str, of: &TenantRecord) -> TenantRecord {
        let Recorded { isolation, container, database, key } = self.recorded.clone();
        let server = other_than_main(server);
        TenantRecord { server, isolation, container, database, key, ..of.clone() }
    }
}

/// Reads a kind, or null. `None` if it is neither.
fn kind_in(of: &Value) -> Option<Option<IsolationKind>> {
    match &of["isolation"] {
        Value::Null => Some(None),
        kind => kind.as_str()?.parse().ok().map(Some),
    }
}

/// Reads a name, or null. `None` if it is neither.
fn name_in(of: &Value, name: &str) -> Option<Option<Ident>> {
    match &of[name] {
        Value::Null => Some(None),
        name => Ident::parse(name.as_str()?).ok().map(Some),
    }
}

fn other_than_main(server: &str) -> Option<Arc<str>> {
    (server != MAIN).then(|| server.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tenant::TenantId;

    fn ident(name: &str) -> Ident {
        Ident::parse(name).expect("an identifier")
    }

    #[test]
    fn places_are_read_as_they_are_written() {
        let schema = Places::of_schema(&ident("tenant_\"acme\""));
        let rows = Spot {
            kind: IsolationKind::Row,
            schema: ident("app"),
            database: None,
            key: Some("a'b\"c".into()),
            recorded: Recorded { isolation: Some(IsolationKind::Row), ..Recorded::default() },
        };
        let database = Spot { database: Some(ident("acme")), ..schema.to.clone() };
        for places in [schema.clone(), Places { from: rows, to: database }] {
            assert_eq!(Places::read(&places.written()), Some(places));
        }
        for wrong in ["", "{}", r#"{"from": 1, "to": 2}"#] {
            assert_eq!(Places::read(wrong), None);
        }
    }

    #[test]
    fn what_stays_is_named() {
        let id = MoveId::parse("00000000000000ab").expect("sixteen digits");
        let mut places = Places::of_schema(&ident("tenant_acme"));
        assert_eq!(places.kept_as(id), "tenantry_moved_00000000000000ab");
        places.from.key = Some("acme".into());
        assert_eq!(places.kept_as(id), "rows with the key \"acme\" in schema tenant_acme");
    }

    #[test]
    fn a_record_places_the_tenant_again() {
        let of = TenantRecord::new(TenantId::parse("acme").expect("an id"));
        let places = Places::of_schema(&ident("tenant_acme"));
        let record = places.from.record("eu-1", &of);
        assert_eq!(record.server.as_deref(), Some("eu-1"));
        assert_eq!(record.container, Some(ident("tenant_acme")));
        assert_eq!(places.from.record("main", &of).server, None);
        let [from, to] = places.records(&of, ["main", "eu-1"]);
        assert_eq!((from.server.as_deref(), to.server.as_deref()), (None, Some("eu-1")));
        assert_eq!((from.container, from.isolation), (None, None), "the record stays as it was")
    }
}
