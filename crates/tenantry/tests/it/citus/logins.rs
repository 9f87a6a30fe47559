//! The library's login needs to be no superuser.

use std::collections::BTreeMap;

use tenantry::{
    TableCatalog, TenantManager,
    citus::CitusNode,
    clone::CloneOptions,
    doctor::CheckStatus,
    drift::Reference,
    migrate::MigrateOptions,
    moves::{NodeMoveOptions, ShardTransfer},
    provision::{CreateOptions, DropOptions},
};

use super::{Cluster, distributed, split};
use crate::{
    migrate::Files,
    support::{TestResult, connect, run, try_run},
};

/// Roles of the test in all databases of the cluster, which are dropped at the end.
struct Roles<'a> {
    cluster: &'a Cluster,
    names: Vec<String>,
}

impl<'a> Roles<'a> {
    /// Roles that the cluster's first database knows, and no other.
    async fn new(cluster: &'a Cluster, kinds: &[(&str, &str)]) -> (Self, BTreeMap<String, String>) {
        let mut first = connect(&cluster.given).await;
        let mut names = BTreeMap::new();
        for (kind, options) in kinds {
            let name = format!("{}_{kind}", cluster.name);
            run(&mut first, &format!("create role {name} {options}")).await;
            names.insert((*kind).to_owned(), name);
        }
        (Self { cluster, names: names.values().cloned().collect() }, names)
    }

    async fn remove(&self) {
        let mut first = connect(&self.cluster.given).await;
        let mut nodes = vec![self.cluster.admin().await];
        for worker in &self.cluster.workers {
            nodes.insert(0, self.cluster.on(worker).await);
        }
        for node in &mut nodes {
            // With `current_user` in the statement itself, Citus 13.2 has crashed.
            let me = sqlx::query_scalar("select quote_ident(current_user)").fetch_one(&mut *node);
            let me: String = me.await.expect("the node is running");
            for name in &self.names {
                drop(try_run(&mut *node, &format!("reassign owned by {name} to {me}")).await);
                drop(try_run(&mut *node, &format!("drop owned by {name}")).await);
            }
        }
        let drop_roles = format!("drop role if exists {}", self.names.join(", "));
        drop(try_run(&mut first, &drop_roles).await);
    }
}

#[tokio::test]
async fn everything_works_without_a_superuser() -> TestResult {
    let Some(cluster) = Cluster::new("everything_works_without_a_superuser").await else {
        return Ok(());
    };
    let (roles, names) = Roles::new(&cluster, &[("app", "login")]).await;
    let app = &names["app"];
    let owner = format!("alter database {} owner to {app}", cluster.name);
    for worker in &cluster.workers {
        run(&mut connect(&cluster.url_of(worker, None)).await, &owner).await;
    }
    // Not in the database itself, which would tell the cluster.
    run(&mut connect(&cluster.given).await, &owner).await;

    let url = cluster.url();
    let (server, database) = split(&url);
    let (_, host) = server.rsplit_once('@').unwrap_or(("", server));
    let url = format!("postgres://{app}@{host}/{database}");
    let catalog = TableCatalog::new();
    let manager = TenantManager::builder(url).catalog(catalog.clone()).build()?;
    catalog.create_table(manager.shared()).await?;
    let files = Files::notes();
    let provisioner = manager.provisioner().tenants(files.read());
    provisioner.create("acme", CreateOptions::default()).await?;
    provisioner.create("other", CreateOptions::default()).await?;
    provisioner.fill_spares(1).await?;
    provisioner.create("spare", CreateOptions::default()).await?;
    let from_template = CreateOptions::default().use_spare(false).from_template();
    provisioner.create("pressed", from_template).await?;
    for id in ["acme", "other", "spare", "pressed"] {
        let db = manager.tenant(id).await?;
        sqlx::query("insert into notes (id, text) values (1, $1)").bind(id).execute(&db).await?;
    }
    provisioner.clone_tenant("acme", "copy", CloneOptions::default().data(true)).await?;
    provisioner.rename("copy", "renamed").await?;
    files.write("0900_more.sql", "alter table notes add column more int;");
    let migrator = manager.migrator().tenants(files.read());
    let report = migrator.migrate_all(MigrateOptions::default()).await?;
    assert_eq!(report.migrated, 5, "{report}");
    let drift = manager.drift().against(Reference::Migrations(files.read())).run().await?;
    assert!(drift.is_clean(), "{drift}");
    let at = cluster.workers_of("tenant_acme").await[0].clone();
    let to = cluster.workers.iter().find(|worker| **worker != at).expect("there is another one");
    for (to, transfer) in [(to, ShardTransfer::Auto), (&at, ShardTransfer::BlockWrites)] {
        let to = CitusNode::new(&to.0, u16::try_from(to.1)?);
        let options = NodeMoveOptions::default().transfer(transfer);
        manager.mover().move_to_node("acme", &to, options).await?;
    }
    let report = manager.doctor().only(["citus"]).run().await?;
    assert_eq!(report.checks[0].status, CheckStatus::Ok, "{report:?}");
    for id in ["acme", "renamed"] {
        let db = manager.tenant(id).await?;
        let text: String = sqlx::query_scalar("select text from notes").fetch_one(&db).await?;
        assert_eq!(text, "acme");
    }
    provisioner.drop_tenant("other", "other", DropOptions::default().cascade(true)).await?;
    assert_eq!(
        distributed(&mut cluster.admin().await).await,
        ["tenant_acme", "tenant_pressed", "tenant_renamed", "tenant_spare"]
    );
    manager.close().await;
    roles.remove().await;
    Ok(())
}
