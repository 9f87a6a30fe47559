use std::collections::HashSet;

use futures_util::FutureExt;
use sqlx::PgConnection;

use crate::{
    citus::{Citus, CitusNodeKind, ask},
    doctor::{Affected, Examined, Finding, OnServer, ServerCheck, text::counted},
    error::Error,
    sql::Sql,
    tenant::TenantRecord,
};

/// The extension Citus: its version, the nodes, and where tenants are.
pub(super) const CHECK: ServerCheck = ServerCheck {
    name: "citus",
    title: "Citus",
    reads: "the nodes of the Citus cluster",
    look: |on| look(on).boxed(),
};

async fn look(on: OnServer<'_>) -> Result<Examined, Error> {
    let mut lease = on.system().acquire().await.map_err(Error::from)?;
    let Some(citus) = ask(&mut lease).await? else { return Ok(Examined::ok("not used")) };
    // A node that hangs would take longer than the doctor has for all of them.
    let limit = "set citus.node_connection_timeout = '3s'";
    sqlx::raw_sql(limit).execute(&mut *lease).await.map_err(Error::from)?;
    let (nodes, distributed) = match citus.distributes_schemas() {
        true => (read_nodes(&mut lease).await?, read_schemas(&mut lease).await?),
        false => (Vec::new(), HashSet::new()),
    };
    let examined = judge(citus, &nodes);
    if citus.node() == CitusNodeKind::Worker || !citus.distributes_schemas() {
        return Ok(examined);
    }
    let here: Vec<_> = on.tenants().unwrap_or_default().iter().filter(|of| on.has(of)).collect();
    let examined = examined.findings(unknown_login(&mut lease).await?);
    Ok(examined.findings(plain(on, &here, &distributed)).findings(by_row(on, &here)))
}

/// A node that can hold tenants.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Node {
    host: String,
    port: i32,
    is_worker: bool,
    is_active: bool,
    /// `None` for the node that was asked.
    answers: Option<bool>,
    schemas: i64,
}

impl Node {
    fn name(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }
}

/// How many nodes the message lists.
const LISTED: usize = 8;

fn judge(citus: Citus, nodes: &[Node]) -> Examined {
    let mut message = citus.to_string();
    let holding = nodes.iter().filter(|node| node.is_worker || node.schemas > 0);
    let mut listed: Vec<_> = holding
        .map(|node| {
            let schemas = usize::try_from(node.schemas).unwrap_or_default();
            format!("{} has {}", node.name(), counted(schemas, "schema", "schemas"))
        })
        .collect();
    let more = listed.len().saturating_sub(LISTED);
    listed.truncate(LISTED);
    if !listed.is_empty() {
        message = format!("{message}; {}", listed.join(", "));
    }
    if more > 0 {
        message = format!("{message}, and {} more", counted(more, "node", "nodes"));
    }
    Examined::ok(message)
        .findings((!citus.distributes_schemas()).then(|| too_old(citus)))
        .findings((citus.node() == CitusNodeKind::Worker).then(on_worker))
        .findings(nodes.iter().filter_map(away))
}

fn too_old(citus: Citus) -> Finding {
    Finding::warning(
        format!("{citus} does not distribute schemas"),
        "all new tenants are on the coordinator",
    )
    .how("bring the extension on all nodes to version 12.1 or later")
}

fn on_worker() -> Finding {
    Finding::error(
        "the server is a worker of a Citus cluster",
        "tenants are served, but cannot be created, migrated or dropped",
    )
    .how("connect to the coordinator")
}

/// Returns what is wrong with a node, if it cannot serve its tenants.
fn away(node: &Node) -> Option<Finding> {
    let name = node.name();
    let schemas = usize::try_from(node.schemas).unwrap_or_default();
    let (what, how) = match (node.is_active, node.answers) {
        (true, Some(false)) => (
            format!("node {name} does not answer its coordinator"),
            "start it, or promote its standby and change its address with citus_update_node",
        ),
        (false, _) => (
            format!("node {name} is disabled"),
            "start it and run citus_activate_node, or remove it with citus_remove_node",
        ),
        (true, _) => return None,
    };
    let why = match schemas {
        0 => "no schema can be created, migrated or dropped".to_owned(),
        count => format!(
            "statements on {} fail, and no schema can be created, migrated or dropped",
            counted(count, "schema", "schemas")
        ),
    };
    Some(Finding::error(what, why).how(how))
}

/// Returns the finding about tenants whose schemas are not distributed, if there are some.
fn plain(
    on: OnServer<'_>,
    here: &[&TenantRecord],
    distributed: &HashSet<String>,
) -> Option<Finding> {
    let schemas: Vec<_> = here
        .iter()
        .filter(|record| !on.fleet().is_in_rows(record))
        .filter_map(|record| Some((record, on.fleet().site_anywhere(record).ok()?.schema)))
        .collect();
    let of = schemas.len();
    let plain = schemas.iter().filter(|(_, schema)| !distributed.contains(schema.as_str()));
    let (count, first) = (plain.clone().count(), plain.clone().next()?);
    let (record, schema) = first;
    let mut sql = Sql::new("select pg_catalog.citus_schema_distribute(");
    sql.literal(schema.as_str()).text(")");
    let what = "tenants with schemas that are not distributed";
    Some(
        Finding::info(what, "their tables are on the coordinator")
            .how(format!("distribute them, for example: {}", sql.as_str()))
            .tenants(Affected::new(count, of).worst(record.id.as_str(), schema.as_str())),
    )
}

/// Returns the finding about tenants that are isolated by row, if there are some.
fn by_row(on: OnServer<'_>, here: &[&TenantRecord]) -> Option<Finding> {
    let count = here.iter().filter(|record| on.fleet().is_in_rows(record)).count();
    (count > 0).then(|| {
        Finding::warning(
            "tenants that are isolated by row in a Citus cluster",
            "if their tables are distributed, policies are evaluated on the workers, which do not know the tenant",
        )
        .how("give them schemas, or keep their tables in a database without Citus")
        .tenants(Affected::new(count, here.len()))
    })
}

/// Returns the finding about a login that is a role of all nodes, but not of the cluster's objects in this database.
/// Citus adds it together with the first object that depends on it, as a superuser, and within a transaction that has
/// created a schema as the role itself, which it may not.
async fn unknown_login(conn: &mut PgConnection) -> Result<Option<Finding>, Error> {
    let unknown: Option<(String,)> =
        sqlx::query_as(UNKNOWN_LOGIN).persistent(false).fetch_optional(conn).await?;
    Ok(unknown.map(|(name,)| {
        Finding::error(
            format!("the cluster does not know the role {name} in this database"),
            "tenants cannot be created: must be superuser to alter superuser roles",
        )
        .how("let the role create an object of the cluster, outside a transaction; it can be dropped at once")
        .sql("create type public.known as enum ()")
        .sql("drop type public.known")
    }))
}

/// The name of the role of this session, if it is neither a superuser nor an object of the cluster.
const UNKNOWN_LOGIN: &str = "\
    select pg_catalog.quote_ident(r.rolname::pg_catalog.text) from pg_catalog.pg_roles r \
    where r.rolname operator(pg_catalog.=) current_user and not r.rolsuper \
      and not exists (select from pg_catalog.pg_dist_object o \
        where o.classid operator(pg_catalog.=) 'pg_catalog.pg_authid'::pg_catalog.regclass \
          and o.objid operator(pg_catalog.=) r.oid)";

async fn read_nodes(conn: &mut PgConnection) -> Result<Vec<Node>, Error> {
    type Row = (String, i32, bool, bool, Option<bool>, i64);
    let rows: Vec<Row> = sqlx::query_as(NODES).persistent(false).fetch_all(conn).await?;
    let nodes = rows.into_iter().map(|(host, port, is_worker, is_active, answers, schemas)| Node {
        host,
        port,
        is_worker,
        is_active,
        answers,
        schemas,
    });
    Ok(nodes.collect())
}

async fn read_schemas(conn: &mut PgConnection) -> Result<HashSet<String>, Error> {
    let names: Vec<(String,)> = sqlx::query_as(SCHEMAS).persistent(false).fetch_all(conn).await?;
    Ok(names.into_iter().map(|(name,)| name).collect())
}

/// The nodes, with the number of distributed schemas on each. A schema without tables is on none.
const NODES: &str = "\
    select n.nodename, n.nodeport, n.groupid operator(pg_catalog.<>) 0, n.isactive, \
      case when n.isactive and n.groupid operator(pg_catalog.<>) 0 \
        and n.groupid operator(pg_catalog.<>) (select g.groupid from pg_catalog.pg_dist_local_group g) \
        then pg_catalog.citus_check_connection_to_node(n.nodename, n.nodeport) end, \
      (select pg_catalog.count(distinct s.schemaid) from pg_catalog.pg_dist_schema s \
        join pg_catalog.pg_dist_partition p on p.colocationid operator(pg_catalog.=) s.colocationid \
        join pg_catalog.pg_dist_shard h on h.logicalrelid operator(pg_catalog.=) p.logicalrelid \
        join pg_catalog.pg_dist_placement l on l.shardid operator(pg_catalog.=) h.shardid \
        where l.groupid operator(pg_catalog.=) n.groupid) \
    from pg_catalog.pg_dist_node n where n.noderole::pg_catalog.text operator(pg_catalog.=) 'primary' \
    order by n.groupid, n.nodename, n.nodeport";

const SCHEMAS: &str = "\
    select n.nspname::pg_catalog.text from pg_catalog.pg_dist_schema s \
    join pg_catalog.pg_namespace n on n.oid operator(pg_catalog.=) s.schemaid";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::CheckStatus;

    fn node(port: i32, is_active: bool, answers: Option<bool>) -> Node {
        Node { host: "db".into(), port, is_worker: true, is_active, answers, schemas: 2 }
    }

    #[test]
    fn a_cluster_is_judged_by_its_version_its_node_and_the_others() {
        use CitusNodeKind as Kind;
        let coordinator = Node { is_worker: false, schemas: 0, ..node(1, true, None) };
        for (version, kind, worker, status, says) in [
            (
                "13.2-1",
                Kind::Coordinator,
                node(2, true, Some(true)),
                CheckStatus::Ok,
                "Citus 13.2, coordinator; db:2 has 2 schemas",
            ),
            (
                "13.2-1",
                Kind::Coordinator,
                node(2, true, Some(false)),
                CheckStatus::Error,
                "node db:2 does not answer its coordinator",
            ),
            (
                "13.2-1",
                Kind::Coordinator,
                node(2, false, None),
                CheckStatus::Error,
                "node db:2 is disabled",
            ),
            (
                "13.2-1",
                Kind::Worker,
                node(2, true, None),
                CheckStatus::Error,
                "the server is a worker of a Citus cluster",
            ),
            (
                "11.3-1",
                Kind::Coordinator,
                node(2, true, Some(true)),
                CheckStatus::Warn,
                "Citus 11.3, coordinator does not distribute schemas",
            ),
        ] {
            let citus = Citus::parse(version, kind).unwrap();
            let examined = judge(citus, &[coordinator.clone(), worker]);
            assert_eq!(examined.status(), status, "{examined:?}");
            let told: Vec<_> = examined.findings.iter().map(|of| of.what.clone()).collect();
            let told = told.into_iter().next().unwrap_or_else(|| examined.message.clone());
            assert_eq!(told, says);
        }
    }

    #[test]
    fn a_message_lists_some_nodes_only() {
        let citus = Citus::parse("13.2-1", CitusNodeKind::Coordinator).unwrap();
        let nodes: Vec<_> = (1..=10).map(|port| node(port, true, Some(true))).collect();
        let examined = judge(citus, &nodes);
        assert!(examined.message.ends_with("db:8 has 2 schemas, and 2 nodes more"), "{examined:?}");
    }
}
