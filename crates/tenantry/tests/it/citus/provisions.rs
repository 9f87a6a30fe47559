//! The schemas of tenants are distributed, however they are created, and no others are.

use tenantry::{
    drift::Reference,
    migrate::{MigrateOptions, Schemas},
    provision::{CreateOptions, HowMade},
};

use super::{Cluster, distributed};
use crate::{
    migrate::Files,
    support::{TestResult, run},
};

#[tokio::test]
async fn tenants_and_spares_are_distributed() -> TestResult {
    let Some(cluster) = Cluster::new("tenants_and_spares_are_distributed").await else {
        return Ok(());
    };
    let files = Files::new(&[
        ("0001_users.sql", "create table users (id int primary key, email text unique);"),
        (
            "0002_orders.sql",
            "create table orders (id bigint generated always as identity primary key, \
             owner int references users); create index on orders (owner);",
        ),
    ]);
    let (manager, provisioner) = cluster.with_table(&files).await;
    let mut admin = cluster.admin().await;

    let created = provisioner.create("acme", CreateOptions::default()).await?;
    assert_eq!(created.how, HowMade::AtOnce);
    let db = manager.tenant("acme").await?;
    sqlx::query("insert into users values (1, 'a@b.c')").execute(&db).await?;
    sqlx::query("insert into orders (owner) values (1)").execute(&db).await?;
    let count: i64 =
        sqlx::query_scalar("select count(*) from users join orders on owner = users.id")
            .fetch_one(&db)
            .await?;
    assert_eq!(count, 1);

    provisioner.fill_spares(1).await?;
    let spare = provisioner.create("globex", CreateOptions::default()).await?;
    assert_eq!(spare.how, HowMade::Spare);
    let from_template = CreateOptions::default().use_spare(false).from_template();
    let pressed = provisioner.create("initech", from_template).await?;
    assert_eq!(pressed.how, HowMade::Template);
    assert_eq!(distributed(&mut admin).await, ["tenant_acme", "tenant_globex", "tenant_initech"]);
    for schema in ["tenant_acme", "tenant_globex", "tenant_initech"] {
        assert_eq!(cluster.workers_of(schema).await.len(), 1, "{schema}");
    }
    for id in ["globex", "initech"] {
        let db = manager.tenant(id).await?;
        sqlx::query("insert into users values (1, 'a@b.c')").execute(&db).await?;
        sqlx::query("insert into orders (owner) values (1)").execute(&db).await?;
    }

    provisioner
        .drop_tenant("globex", "globex", tenantry::provision::DropOptions::default().cascade(true))
        .await?;
    assert_eq!(distributed(&mut admin).await, ["tenant_acme", "tenant_initech"]);
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn a_tenant_that_is_created_in_steps_is_distributed() -> TestResult {
    let Some(cluster) = Cluster::new("a_tenant_that_is_created_in_steps").await else {
        return Ok(());
    };
    let files = Files::new(&[
        ("0001_notes.sql", "create table notes (id int primary key);"),
        ("0002_index.sql", "-- no-transaction\ncreate index concurrently on notes (id);"),
    ]);
    let (manager, provisioner) = cluster.with_table(&files).await;
    let created = provisioner.create("acme", CreateOptions::default()).await?;
    assert_eq!(created.how, HowMade::InSteps);
    assert_eq!(distributed(&mut cluster.admin().await).await, ["tenant_acme"]);
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn schemas_of_the_library_stay_plain_even_if_an_operator_distributes_all() -> TestResult {
    let Some(cluster) = Cluster::new("schemas_of_the_library_stay_plain").await else {
        return Ok(());
    };
    let mut admin = cluster.admin().await;
    let all =
        format!("alter database {} set citus.enable_schema_based_sharding = on", cluster.name);
    run(&mut admin, &all).await;
    let files = Files::notes();
    let (manager, provisioner) = cluster.with_table(&files).await;
    provisioner.create("acme", CreateOptions::default()).await?;
    // Compares with a schema that is made from the files.
    let drift = manager.drift().against(Reference::Migrations(files.read())).run().await?;
    assert!(drift.is_clean(), "{drift}");
    assert_eq!(distributed(&mut admin).await, ["tenant_acme"]);
    let migrator = manager.migrator().tenants(files.read());
    let plan = migrator.plan(Schemas::AllTenants, &MigrateOptions::default()).await?;
    assert!(plan.is_up_to_date());
    manager.close().await;
    Ok(())
}
