use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    time::Duration,
};

use futures_util::future::{Either, select};
use sqlx::{PgConnection, Row};
use tokio::time::{Instant, sleep};

use super::{NodeMoveOptions, NodeMoveProgress, NodeMoveReport, options::OnNodeProgress};
use crate::{
    citus::{CitusNode, CitusNodeKind},
    db::TenantTransaction,
    error::{Error, ErrorKind},
    fleet::Fleet,
    migrate::try_lock,
    moves::Mover,
    sql::Sql,
    tenant::{Ident, ParseTenantIdError, TenantId},
};

/// How often the progress is read.
const EVERY: Duration = Duration::from_millis(500);

impl Mover {
    /// Moves a tenant to another node of the Citus cluster that it is in. Citus copies the rows, and the tenant keeps its
    /// schema and its placement, so that handles and the catalog do not change: see
    /// [`citus_schema_move`](https://docs.citusdata.com/en/stable/develop/api_udf.html).
    ///
    /// The tenant is served meanwhile; writes wait for a moment at the end. It is not migrated meanwhile. The two
    /// connections are those of maintenance on the coordinator.
    ///
    /// # Errors
    ///
    /// [`UnknownTenant`](ErrorKind::UnknownTenant); [`Config`](ErrorKind::Config) if the server has no Citus 12.1 or
    /// later, or is not the coordinator; [`Placement`](ErrorKind::Placement) if the schema is not distributed or has no
    /// tables, the cluster has no such node, or the tenant is there already; [`Busy`](ErrorKind::Busy) if the schema is
    /// being migrated or moved; [`Unavailable`](ErrorKind::Unavailable) if a node does not answer;
    /// [`Move`](ErrorKind::Move) with the server's error as the source if Citus refuses. The tenant is where it was then.
    ///
    /// # Cancel safety
    ///
    /// When dropped, the server ends the move, and the tenant is on either of the nodes as a whole. Citus removes what
    /// was copied.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(manager: tenantry::TenantManager) -> Result<(), tenantry::Error> {
    /// use tenantry::{citus::CitusNode, moves::NodeMoveOptions};
    ///
    /// let node = CitusNode::new("worker-2.internal", 5432);
    /// let report = manager.mover().move_to_node("acme", &node, NodeMoveOptions::default()).await?;
    /// println!("{report}");
    /// # Ok(()) }
    /// ```
    pub async fn move_to_node<I>(
        &self,
        id: I,
        node: &CitusNode,
        options: NodeMoveOptions,
    ) -> Result<NodeMoveReport, Error>
    where
        I: TryInto<TenantId>,
        I::Error: Into<ParseTenantIdError>,
    {
        let id = id.try_into().map_err(Into::into)?;
        // A separate boxed future, to keep the callers' futures small.
        let moved = Box::pin(self.move_to_node_now(&id, node, &options)).await;
        moved.map_err(|error| error.with_tenant_unless_named(&id))
    }

    async fn move_to_node_now(
        &self,
        id: &TenantId,
        node: &CitusNode,
        options: &NodeMoveOptions,
    ) -> Result<NodeMoveReport, Error> {
        let began = Instant::now();
        let record = self.fleet().record(id).await?;
        let there = self.fleet().at_tenant(&record)?;
        let site = there.site(&record)?;
        site.refuse_moving()?;
        let schema = &site.schema;
        let mut lease = there.lease_for(&there.site_of(schema)).await?;
        refuse_other_servers(&there, &mut lease).await?;
        let from = node_of(&mut lease, schema, node).await?;
        let mut tx = TenantTransaction::open(lease).await?;
        take_lock(&mut tx, schema).await?;
        let moving = move_schema(&mut tx, schema, node, options);
        match told_about((&there, schema), moving, options.on_progress.as_deref()).await {
            Ok(()) => tx.commit().await.map_err(Error::from)?,
            Err(error) => {
                drop(tx.rollback().await);
                return Err(error);
            }
        }
        let schema = schema.as_str().into();
        let (tenant_id, to) = (id.clone(), node.clone());
        Ok(NodeMoveReport { tenant_id, schema, from, to, duration: began.elapsed() })
    }
}

async fn refuse_other_servers(there: &Fleet, conn: &mut PgConnection) -> Result<(), Error> {
    let attempted = match there.citus(conn).await? {
        Some(citus) if citus.moves_schemas() && citus.node() == CitusNodeKind::Coordinator => {
            return Ok(());
        }
        Some(citus) => format!(
            "moving it between nodes: the coordinator of Citus 12.1 or later does this, and the server has {citus}"
        ),
        None => "moving it between nodes: the server does not have Citus".to_owned(),
    };
    Err(Error::new(ErrorKind::Config, attempted))
}

/// Returns the node that a schema is on, if it can be moved to the other one.
async fn node_of(
    conn: &mut PgConnection,
    schema: &Ident,
    to: &CitusNode,
) -> Result<CitusNode, Error> {
    let refuse = |why: String| Err(Error::new(ErrorKind::Placement, why));
    let mut sql = Sql::new(
        "select n.nodename, n.nodeport, p.logicalrelid is not null from pg_catalog.pg_dist_node n \
         left join pg_catalog.pg_dist_placement l on l.groupid operator(pg_catalog.=) n.groupid \
         left join pg_catalog.pg_dist_shard h on h.shardid operator(pg_catalog.=) l.shardid \
         left join (pg_catalog.pg_dist_partition p \
           join pg_catalog.pg_dist_schema s on s.colocationid operator(pg_catalog.=) p.colocationid \
           join pg_catalog.pg_namespace of on of.oid operator(pg_catalog.=) s.schemaid \
             and of.nspname operator(pg_catalog.=) ",
    );
    sql.literal(schema.as_str());
    sql.text(") on p.logicalrelid operator(pg_catalog.=) h.logicalrelid ");
    sql.text("where n.noderole::pg_catalog.text operator(pg_catalog.=) 'primary'");
    let (mut from, mut is_known) = (None, false);
    for row in sqlx::raw_sql(sql.finish()).fetch_all(conn).await? {
        let (host, port): (String, i32) = (row.try_get(0)?, row.try_get(1)?);
        let node = CitusNode::new(host, u16::try_from(port).unwrap_or_default());
        is_known |= node == *to;
        if row.try_get(2)? {
            from = Some(node);
        }
    }
    match from {
        None => refuse(format!(
            "moving it to node {to}: its schema {schema} is not distributed, or has no tables"
        )),
        Some(_) if !is_known => {
            refuse(format!("moving it to node {to}: pg_dist_node lists no such node"))
        }
        Some(from) if from == *to => refuse(format!("moving it to node {to}: it is there already")),
        Some(from) => Ok(from),
    }
}

/// Keeps migrations, renames and drops away until the end of the transaction.
async fn take_lock(conn: &mut PgConnection, schema: &Ident) -> Result<(), Error> {
    let mut sql = Sql::new("set local statement_timeout = 0; select ");
    try_lock(&mut sql, "pg_catalog.pg_try_advisory_xact_lock", schema);
    let is_ours: bool = sqlx::raw_sql(sql.finish()).fetch_one(conn).await?.try_get(0)?;
    match is_ours {
        true => Ok(()),
        false => Err(Error::new(ErrorKind::Busy, "moving it: its schema is being changed")),
    }
}

async fn move_schema(
    conn: &mut PgConnection,
    schema: &Ident,
    node: &CitusNode,
    options: &NodeMoveOptions,
) -> Result<(), Error> {
    let mut sql = Sql::new("set local client_min_messages = warning; ");
    sql.text("select pg_catalog.citus_schema_move(n.oid::pg_catalog.regnamespace, ");
    sql.literal(&node.host).text(", ").number(node.port.into()).text("::pg_catalog.int4, ");
    // Its type has no name here: not every role may use the schema of the extension.
    sql.literal(options.transfer.as_str()).text(") ");
    sql.text("from pg_catalog.pg_namespace n where n.nspname operator(pg_catalog.=) ");
    sql.literal(schema.as_str());
    let moved = sqlx::raw_sql(sql.finish()).execute(conn).await;
    moved.map(drop).map_err(|error| {
        let error = Error::from(error);
        let attempted = format!("moving its schema to node {node}");
        match error.kind() {
            ErrorKind::Unavailable => error,
            _ => Error::new(ErrorKind::Move, attempted).with_source(error),
        }
    })
}

/// Waits for a move, and reads its progress meanwhile if it is wanted.
async fn told_about(
    (there, schema): (&Fleet, &Ident),
    moving: impl Future<Output = Result<(), Error>>,
    on_progress: Option<&OnNodeProgress>,
) -> Result<(), Error> {
    let Some(on_progress) = on_progress else { return moving.await };
    let telling = async {
        loop {
            sleep(EVERY).await;
            // What cannot be read now is read the next time.
            if let Ok(Some(progress)) = read_progress(there, schema).await
                && catch_unwind(AssertUnwindSafe(|| on_progress(&progress))).is_err()
            {
                tracing::error!(target: "tenantry::hook", "the progress callback of a move panicked");
            }
        }
    };
    match select(pin!(moving), pin!(telling)).await {
        Either::Left((moved, _)) => moved,
        Either::Right((never, _)) => never,
    }
}

async fn read_progress(there: &Fleet, schema: &Ident) -> Result<Option<NodeMoveProgress>, Error> {
    let mut sql = Sql::new(
        "select pg_catalog.count(*) filter (where p.progress operator(pg_catalog.=) 2), pg_catalog.count(*), \
                 coalesce(pg_catalog.sum(p.target_shard_size), 0)::pg_catalog.int8, \
                 coalesce(pg_catalog.sum(p.source_shard_size), 0)::pg_catalog.int8 \
               from pg_catalog.get_rebalance_progress() p \
               join pg_catalog.pg_class c on c.oid operator(pg_catalog.=) p.table_name \
               join pg_catalog.pg_namespace n on n.oid operator(pg_catalog.=) c.relnamespace \
               where n.nspname operator(pg_catalog.=) ",
    );
    sql.literal(schema.as_str());
    let mut lease = there.lease().await?;
    let row = sqlx::raw_sql(sql.finish()).fetch_one(&mut *lease).await?;
    let number = |index| row.try_get::<i64, _>(index).map(|number| number.unsigned_abs());
    let (tables, tables_total) = (number(0)?, number(1)?);
    let (bytes, bytes_total) = (number(2)?, number(3)?);
    lease.settle().await;
    let progress = NodeMoveProgress { tables, tables_total, bytes, bytes_total };
    Ok((tables_total > 0).then_some(progress))
}
