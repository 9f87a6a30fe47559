//! The statements that have a schema distributed, or not.

use super::Citus;
use crate::{sql::Sql, tenant::Ident};

/// What becomes of a schema that is created in a Citus cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sharding {
    /// It is a tenant's, or becomes one: its tables are on one of the nodes.
    Tenant,
    /// Its tables stay on the coordinator, or it is distributed later.
    Plain,
}

impl Sharding {
    /// Appends the setting for a schema that the same transaction creates. Nothing on a server without Citus.
    pub(crate) fn set(self, sql: &mut Sql, citus: Option<Citus>) {
        if !citus.is_some_and(|citus| citus.distributes_schemas()) {
            return;
        }
        sql.text(match self {
            Self::Tenant => "set local citus.enable_schema_based_sharding = on; ",
            // An operator may have turned it on for all.
            Self::Plain => "set local citus.enable_schema_based_sharding = off; ",
        });
    }
}

/// Returns the statements that distribute a schema that was built as a plain one, with its rows; `None` if the server
/// does not distribute schemas.
pub(crate) fn distribute_sql(citus: Option<Citus>, schema: &Ident) -> Option<Sql> {
    citus.filter(Citus::distributes_schemas)?;
    // Its notices are about each table.
    let mut sql = Sql::new("set local client_min_messages = warning; ");
    sql.text("select pg_catalog.citus_schema_distribute(n.oid::pg_catalog.regnamespace) ");
    sql.text("from pg_catalog.pg_namespace n where n.nspname operator(pg_catalog.=) ");
    sql.literal(schema.as_str());
    // Otherwise, the copied rows would stay in files of the coordinator.
    sql.text("; select pg_catalog.truncate_local_data_after_distributing_table(p.logicalrelid) ");
    sql.text("from pg_catalog.pg_dist_partition p ");
    sql.text("join pg_catalog.pg_class c on c.oid operator(pg_catalog.=) p.logicalrelid ");
    sql.text("join pg_catalog.pg_namespace n on n.oid operator(pg_catalog.=) c.relnamespace ");
    sql.text("where n.nspname operator(pg_catalog.=) ").literal(schema.as_str());
    Some(sql)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::citus::CitusNodeKind;

    #[test]
    fn a_server_without_citus_gets_no_statement() {
        let of = |version| Citus::parse(version, CitusNodeKind::Coordinator);
        for (citus, tenant, plain) in [
            (None, "", ""),
            (of("11.3-1"), "", ""),
            (
                of("12.0-1"),
                "set local citus.enable_schema_based_sharding = on; ",
                "set local citus.enable_schema_based_sharding = off; ",
            ),
        ] {
            for (sharding, expected) in [(Sharding::Tenant, tenant), (Sharding::Plain, plain)] {
                let mut sql = Sql::default();
                sharding.set(&mut sql, citus);
                assert_eq!(sql.as_str(), expected, "{citus:?}");
            }
            let distributes = distribute_sql(citus, &Ident::parse("a").unwrap()).is_some();
            assert_eq!(distributes, !tenant.is_empty());
        }
    }
}
