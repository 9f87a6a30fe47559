use std::fmt;

use serde::Serialize;

use super::FindingPlace;
use crate::plain::grouped;

/// The maximum number of tenants named in a finding.
const NAMED: usize = 20;

/// The tenants that a finding affects: how many, and the worst of them.
///
/// `Display` writes `412 of 2,000 tenants`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Affected {
    /// The number of affected tenants.
    pub affected: usize,
    /// The number of examined tenants.
    pub of: usize,
    /// The worst, at most 20, the worst first.
    pub worst: Vec<AffectedTenant>,
}

/// A tenant that a finding affects.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct AffectedTenant {
    /// The tenant.
    pub tenant_id: String,
    /// The fact in it, such as `users_pkey: 91 %`.
    pub detail: String,
    /// The server that the tenant is on, if databases other than the manager's were examined.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server: Option<String>,
    /// The database that the tenant is in, if it is not the one in the URL of its server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub database: Option<String>,
}

impl Affected {
    /// Creates a count of affected tenants out of the tenants that were examined.
    #[must_use]
    pub fn new(affected: usize, of: usize) -> Self {
        Self { affected, of, worst: Vec::new() }
    }

    /// Adds a tenant by name. Call it with the worst first; tenants beyond 20 are dropped.
    #[must_use]
    pub fn worst(self, tenant_id: impl Into<String>, detail: impl Into<String>) -> Self {
        self.worst_in(tenant_id, detail, None)
    }

    /// Adds a tenant by name, with the place where it lives if several are examined.
    pub(crate) fn worst_in(
        mut self,
        tenant_id: impl Into<String>,
        detail: impl Into<String>,
        place: Option<&FindingPlace>,
    ) -> Self {
        if self.worst.len() < NAMED {
            self.worst.push(AffectedTenant {
                tenant_id: tenant_id.into(),
                detail: detail.into(),
                server: place.map(|place| place.server.clone()),
                database: place.and_then(|place| place.database.clone()),
            });
        }
        self
    }

    /// Says where the tenants that are named live.
    pub(crate) fn in_place(mut self, place: &FindingPlace) -> Self {
        for tenant in &mut self.worst {
            tenant.server = Some(place.server.clone());
            tenant.database.clone_from(&place.database);
        }
        self
    }

    /// Adds other tenants that the same finding affects.
    pub(crate) fn and(mut self, other: Self) -> Self {
        self.affected += other.affected;
        self.worst.extend(other.worst);
        self.worst.truncate(NAMED);
        self
    }
}

impl fmt::Display for Affected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tenants = if self.of == 1 { "tenant" } else { "tenants" };
        write!(f, "{} of {} {tenants}", grouped(self.affected), grouped(self.of))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_in_words_and_names_a_few() {
        let affected = (0..30).fold(Affected::new(412, 2_000), |affected, at| {
            affected.worst(format!("t{at}"), "late")
        });
        assert_eq!(affected.to_string(), "412 of 2,000 tenants");
        assert_eq!(affected.worst.len(), NAMED);
        assert_eq!(affected.worst[0].tenant_id, "t0");
    }
}
