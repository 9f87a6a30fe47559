//! Builds the tiers that the settings name.

use std::collections::BTreeMap;

use tenantry::{IsolationKind, TenantLimits, TenantRecord, Tier};

use super::{Key, Settings, key};
use crate::failure::Failure;

/// Tiers by the value of an attribute.
#[derive(Debug)]
pub(super) struct Tiers {
    attribute: String,
    tiers: BTreeMap<String, Tier>,
}

impl Tiers {
    /// Returns the tier of a tenant: the one without anything if its attribute names none.
    pub(super) fn of(&self, record: &TenantRecord) -> Tier {
        let name = record.attributes[self.attribute.as_str()].as_str();
        name.and_then(|name| self.tiers.get(name)).cloned().unwrap_or_default()
    }
}

impl Settings {
    /// Returns the tiers, if there are any.
    ///
    /// # Errors
    ///
    /// With the invalid key, and where it was set.
    pub(super) fn tiers(&self) -> Result<Option<Tiers>, Failure> {
        let names = self.names(&key::TIERS);
        match (self.text(&key::TIER), names.as_slice()) {
            (None, []) => Ok(None),
            (Some(_), []) => {
                Err(Failure::new(format!("{} has no effect without tiers", self.place(&key::TIER)))
                    .hint("add [tiers.NAME], or remove it"))
            }
            (None, [first, ..]) => Err(Failure::new(format!(
                "{} has no effect: nothing says which tenants have the tier",
                self.place_of_tier(first)
            ))
            .hint(
                "set tenants.tier to the attribute that names it, such as tenants.tier = \"plan\"",
            )),
            (Some(attribute), _) => {
                let tiers = names.into_iter().map(|name| Ok((name.clone(), self.a_tier(&name)?)));
                let tiers = tiers.collect::<Result<_, Failure>>()?;
                Ok(Some(Tiers { attribute: attribute.to_owned(), tiers }))
            }
        }
    }

    /// Returns the first setting of a tier, with its place.
    fn place_of_tier(&self, name: &str) -> String {
        let first = key::TIERS.keys_of(name).find(|key| self.get(key).is_some());
        first.map_or_else(|| name.to_owned(), |key| self.place(&key))
    }

    fn a_tier(&self, name: &str) -> Result<Tier, Failure> {
        let of = |key: &Key| key::TIERS.key(name, key);
        let isolation = self.text(&of(&key::TIER_ISOLATION)).map(|kind| match kind {
            "row" => IsolationKind::Row,
            "database" => IsolationKind::Database,
            _ => IsolationKind::Schema,
        });
        let tier = Tier::new().isolation(isolation).limits(self.limits(name)?);
        let server = of(&key::TIER_SERVER);
        match self.text(&server) {
            None => Ok(tier),
            Some(named) => {
                self.refuse_unknown_server(&server, named)?;
                Ok(tier.server(named))
            }
        }
    }

    fn refuse_unknown_server(&self, key: &Key, server: &str) -> Result<(), Failure> {
        let mut known = self.names(&key::SERVERS);
        known.push("main".to_owned());
        match known.iter().any(|known| known == server) {
            true => Ok(()),
            false => Err(Failure::new(format!("{}: there is no server {server}", self.place(key)))
                .hint(format!("the servers are {}; add [servers.{server}]", known.join(", ")))),
        }
    }

    fn limits(&self, name: &str) -> Result<TenantLimits, Failure> {
        let of = |key: &Key| key::TIERS.key(name, key);
        let limits = TenantLimits::new()
            .max_connections(self.count(&of(&key::TIER_MAX_CONNECTIONS)))
            .max_waiting(self.count(&of(&key::TIER_MAX_WAITING)))
            .weight(self.number(&of(&key::TIER_WEIGHT)))
            .statement_timeout(self.duration(&of(&key::TIER_STATEMENT_TIMEOUT)))
            .idle_in_transaction_timeout(self.duration(&of(&key::TIER_IDLE_IN_TRANSACTION_TIMEOUT)))
            .requests_per_second(self.number(&of(&key::TIER_REQUESTS_PER_SECOND)));
        match limits.check() {
            Ok(()) => Ok(limits),
            Err(error) => {
                let told = error.to_string();
                let named = key::TIERS.keys.iter().find(|key| told.starts_with(&*key.name));
                Err(match named {
                    Some(key) => self.wrong(&of(key), &error),
                    None => Failure::new(told),
                })
            }
        }
    }
}
