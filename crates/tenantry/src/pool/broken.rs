//! Binds and resets with deliberate gaps, to show that the isolation proof detects them.

use sqlx::SqlStr;

use super::occupant::Occupant;
use crate::{sql::Sql, tenant::Schema};

/// The gaps. Unit tests only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Broken {
    /// Pieces of the SQL of bind and reset, and their replacements.
    pub(crate) replaced: &'static [(&'static str, &'static str)],
    /// Keeps all prepared statements, regardless of the tenant they were prepared for.
    pub(crate) keeps_statements: bool,
    /// Identifies a schema by name, ignoring its OID.
    pub(crate) trusts_names: bool,
    /// Keeps a session bound to its tenant when another one gets it.
    pub(crate) never_rebinds: bool,
}

impl Broken {
    pub(crate) fn break_sql(self, mut sql: SqlStr) -> SqlStr {
        for (piece, instead) in self.replaced {
            if let Some(at) = sql.as_str().find(piece) {
                let (after, end) = (at + piece.len(), sql.as_str().len());
                let mut broken = Sql::default();
                broken.vouched(&sql, 0..at).text(instead).vouched(&sql, after..end);
                sql = broken.finish();
            }
        }
        sql
    }

    pub(super) fn trust(self, found: Schema, of: &Occupant) -> Schema {
        of.oid().filter(|_| self.trusts_names).map_or(found, Schema::There)
    }

    pub(super) fn skips_bind(self, from: &Occupant, to: &Occupant) -> bool {
        let is_tenants = |occupant: &Occupant| occupant.tenant().is_some();
        self.never_rebinds && is_tenants(from) && is_tenants(to)
    }
}
