//! Binds and resets that leave something out on purpose, to show that the proof of isolation finds it.

use sqlx::SqlStr;

use super::occupant::Occupant;
use crate::{sql::Sql, tenant::Schema};

/// What is left out. It exists in unit tests alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Broken {
    /// Pieces of the SQL of bind and reset, and what stands in their place.
    pub(crate) replaced: &'static [(&'static str, &'static str)],
    /// Whether statements stay, whoever they were prepared for.
    pub(crate) keeps_statements: bool,
    /// Whether a schema is taken for the tenant's whatever its OID.
    pub(crate) trusts_names: bool,
    /// Whether a session that is bound to a tenant stays so when another gets it.
    pub(crate) never_rebinds: bool,
}

impl Broken {
    pub(super) fn break_sql(self, mut sql: SqlStr) -> SqlStr {
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

    pub(super) fn skips_bind(self, from: Option<&Occupant>, to: &Occupant) -> bool {
        let is_tenants = |occupant: &Occupant| occupant.tenant().is_some();
        self.never_rebinds && from.is_some_and(is_tenants) && is_tenants(to)
    }
}
