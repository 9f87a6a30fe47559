//! Tenants in a Citus cluster. The tests run where `TENANTRY_CITUS_URL` names a coordinator with workers, as a
//! superuser; elsewhere they say that they are skipped.

mod copies;
mod errors;
mod finds;
mod frozen;
mod killed;
mod logins;
mod moves;
mod names;
mod nodes;
mod places;
mod provisions;

use std::{
    sync::atomic::{AtomicU32, Ordering},
    thread,
};

use sqlx::{Connection as _, PgConnection};
use tenantry::{TableCatalog, TenantManager, provision::Provisioner};
use tokio::sync::{Mutex, MutexGuard};

use crate::{
    faults::Frozen,
    migrate::Files,
    support::{connect, run, skip, try_run},
};

/// The variable with the URL of a coordinator.
const URL: &str = "TENANTRY_CITUS_URL";

/// One test at a time: a cluster has few processes for the upkeep of databases.
static TURN: Mutex<()> = Mutex::const_new(());

/// A database of the test's own on all nodes of a cluster.
pub(crate) struct Cluster {
    given: String,
    /// The name of the database.
    name: String,
    /// Host and port of each worker.
    workers: Vec<(String, i32)>,
    _turn: MutexGuard<'static, ()>,
}

impl Cluster {
    /// Returns a new database, unless no cluster is named.
    async fn new(test: &str) -> Option<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let Ok(given) = std::env::var(URL) else {
            skip(&format!("citus::{test}: {URL} does not name a coordinator"));
            return None;
        };
        let turn = TURN.lock().await;
        let next = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("tenantry_{}_{next}", std::process::id());
        let mut first = connect(&given).await;
        let workers = sqlx::query_as(
            "select nodename, nodeport from pg_dist_node where groupid <> 0 and noderole = 'primary' order by 2, 1",
        );
        let workers: Vec<(String, i32)> =
            workers.fetch_all(&mut first).await.expect("it is a coordinator");
        assert!(!workers.is_empty(), "{URL}: the cluster has workers");
        let cluster = Self { given, name, workers, _turn: turn };
        cluster.create(&mut first).await;
        Some(cluster)
    }

    async fn create(&self, first: &mut PgConnection) {
        let create = format!("create database {}", self.name);
        run(&mut *first, &create).await;
        let own: (String, i32) =
            sqlx::query_as("select nodename, nodeport from pg_dist_node where groupid = 0")
                .fetch_one(first)
                .await
                .expect("the coordinator knows its address");
        for worker in &self.workers {
            run(&mut connect(&self.url_of(worker, None)).await, &create).await;
            run(&mut self.on(worker).await, "create extension citus").await;
        }
        let mut admin = self.admin().await;
        run(&mut admin, "create extension citus").await;
        let (host, port) = own;
        run(&mut admin, &format!("select citus_set_coordinator_host('{host}', {port})")).await;
        for (host, port) in &self.workers {
            run(&mut admin, &format!("select citus_add_node('{host}', {port})")).await;
        }
    }

    /// The URL of the database on the coordinator.
    fn url(&self) -> String {
        let (server, _) = split(&self.given);
        format!("{server}/{}", self.name)
    }

    /// The URL of a database on a worker: the one in the given URL, unless another one is named.
    fn url_of(&self, (host, port): &(String, i32), database: Option<&str>) -> String {
        let (server, given) = split(&self.given);
        let login = match server.rsplit_once('@') {
            Some((login, _)) => format!("{login}@"),
            None => "postgres://".to_owned(),
        };
        let database = database.unwrap_or(given);
        format!("{login}{host}:{port}/{database}")
    }

    /// A connection to the coordinator, as a superuser.
    async fn admin(&self) -> PgConnection {
        connect(&self.url()).await
    }

    /// A connection to a worker, as a superuser.
    async fn on(&self, worker: &(String, i32)) -> PgConnection {
        connect(&self.url_of(worker, Some(&self.name))).await
    }

    /// A manager whose tenants are listed in a table, and its provisioner with these files.
    async fn with_table(&self, files: &Files) -> (TenantManager, Provisioner) {
        let catalog = TableCatalog::new();
        let builder = TenantManager::builder(self.url());
        let manager = builder.catalog(catalog.clone()).build().expect("it is sound");
        catalog.create_table(manager.shared()).await.expect("the server is running");
        let provisioner = manager.provisioner().tenants(files.read());
        (manager, provisioner)
    }

    /// Lets a worker accept no connection to the database any more, and ends those that are open: to the coordinator,
    /// the worker is down, and the worker's other databases are not concerned.
    async fn stop(&self, worker: &(String, i32)) {
        let mut beside = connect(&self.url_of(worker, None)).await;
        run(&mut beside, &format!("alter database {} allow_connections false", self.name)).await;
        run(&mut beside, &end_sessions(&self.name)).await;
    }

    /// Undoes [`stop`](Self::stop).
    async fn start(&self, worker: &(String, i32)) {
        let mut beside = connect(&self.url_of(worker, None)).await;
        run(&mut beside, &format!("alter database {} allow_connections true", self.name)).await;
    }

    /// Completes what was committed while a worker died, as Citus itself does once a minute.
    async fn complete(&self) {
        run(&mut self.admin().await, "select recover_prepared_transactions()").await;
    }

    /// Freezes all processes of a worker, if it runs on this machine: its sockets stay open, and nothing answers.
    async fn freeze(&self, worker: &(String, i32)) -> Option<Frozen> {
        let file = "select split_part(pg_read_file('postmaster.pid'), E'\\n', 1)";
        let pid: String = sqlx::query_scalar(file)
            .fetch_one(&mut connect(&self.url_of(worker, None)).await)
            .await
            .expect("the worker is running");
        let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        if name.trim() != "postgres" {
            skip("citus::frozen: the worker does not run on this machine, and is not frozen");
            return None;
        }
        Some(Frozen::freeze_server(pid))
    }

    /// Gives up waiting for a node that does not answer after this time.
    async fn limit_connects(&self, time: &str) {
        let sql =
            format!("alter database {} set citus.node_connection_timeout = '{time}'", self.name);
        run(&mut self.admin().await, &sql).await;
    }

    /// The workers that hold tables of a schema.
    async fn workers_of(&self, schema: &str) -> Vec<(String, i32)> {
        sqlx::query_as(
            "select distinct n.nodename, n.nodeport from pg_dist_schema s \
             join pg_dist_partition p using (colocationid) \
             join pg_dist_shard h on h.logicalrelid = p.logicalrelid \
             join pg_dist_placement l on l.shardid = h.shardid \
             join pg_dist_node n on n.groupid = l.groupid where s.schemaid = $1::regnamespace",
        )
        .bind(schema)
        .fetch_all(&mut self.admin().await)
        .await
        .expect("the coordinator is running")
    }
}

/// Splits the name of the database off a URL without options.
fn split(url: &str) -> (&str, &str) {
    url.rsplit_once('/').expect("the URL names a database")
}

fn end_sessions(database: &str) -> String {
    format!(
        "select pg_terminate_backend(pid, 5000) from pg_stat_activity \
         where datname = '{database}' and pid <> pg_backend_pid()"
    )
}

/// Ends transactions that are left prepared in a database after a node was stopped. While there are any, the database
/// cannot be dropped, and no replication slot can be created on the server.
async fn end_prepared(url: &str) {
    let Ok(mut conn) = PgConnection::connect(url).await else { return };
    let left = "select gid from pg_prepared_xacts where database = current_database()";
    let left: Vec<String> = sqlx::query_scalar(left).fetch_all(&mut conn).await.unwrap_or_default();
    for name in left {
        drop(try_run(&mut conn, &format!("rollback prepared '{name}'")).await);
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let name = self.name.clone();
        let own = |worker| (self.url_of(worker, None), self.url_of(worker, Some(&name)));
        let workers: Vec<_> = self.workers.iter().map(own).collect();
        let nodes = std::iter::once((self.given.clone(), self.url())).chain(workers);
        let nodes: Vec<_> = nodes.collect();
        let dropped = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("there is memory").block_on(async {
                for (beside, own) in nodes {
                    let mut beside = connect(&beside).await;
                    for sql in [
                        format!("alter database {name} allow_connections true"),
                        end_sessions(&name),
                    ] {
                        drop(try_run(&mut beside, &sql).await);
                    }
                    end_prepared(&own).await;
                    let drop_it = format!("drop database if exists {name} with (force)");
                    drop(try_run(&mut beside, &drop_it).await);
                }
            });
        });
        drop(dropped.join());
    }
}

/// The schemas that the cluster distributes.
async fn distributed(admin: &mut PgConnection) -> Vec<String> {
    sqlx::query_scalar("select schemaid::regnamespace::text from pg_dist_schema order by 1")
        .fetch_all(admin)
        .await
        .expect("the coordinator is running")
}
