//! Clones and archives are built plain, and distributed with their rows.

use tenantry::{
    ServerOptions, TableCatalog,
    anonymize::Anonymize,
    clone::CloneOptions,
    drift::Reference,
    moves::{MoveMethod, MoveOptions},
    provision::CreateOptions,
};

use super::{Cluster, distributed};
use crate::{
    migrate::Files,
    support::{TestResult, World, name_of, run},
};

const TABLES: &str = "
    create table people (id int primary key, email text unique, born date);
    create table letters (
        id bigint generated always as identity primary key,
        person int not null references people,
        body text
    );
    create index on letters (person);
    create view recent as select * from letters;";

const ROWS: &str = "
    insert into people select n, 'person' || n || '@example.com', '2000-01-01' from generate_series(1, 20) n;
    insert into letters (person, body) select n, 'to ' || n from generate_series(1, 20) n";

#[tokio::test]
async fn a_clone_has_the_rows_and_is_distributed() -> TestResult {
    let Some(cluster) = Cluster::new("a_clone_has_the_rows").await else { return Ok(()) };
    let files = Files::new(&[("0001_tables.sql", TABLES)]);
    let (manager, provisioner) = cluster.with_table(&files).await;
    provisioner.create("acme", CreateOptions::default()).await?;
    sqlx::raw_sql(ROWS).execute(&manager.tenant("acme").await?).await?;

    let whole = CloneOptions::default().data(true);
    let report = provisioner.clone_tenant("acme", "copy", whole.clone()).await?;
    assert!(report.tables.iter().any(|table| table.rows == 20), "{report}");
    let rules = "[[rules]]\ncolumns = [\"people.email\"]\nmask = { fake = \"email\", unique = true }\n\
                 [[rules]]\ncolumns = [\"people.born\", \"letters.body\"]\nmask = \"null\"\n\
                 [[rules]]\ncolumns = [\"*.id\", \"*.person\"]\nmask = \"keep\"\n";
    let masked = whole.anonymize(Anonymize::from_toml(rules)?);
    provisioner.clone_tenant("acme", "masked", masked).await?;
    let mut admin = cluster.admin().await;
    assert_eq!(distributed(&mut admin).await, ["tenant_acme", "tenant_copy", "tenant_masked"]);
    for id in ["copy", "masked"] {
        let db = manager.tenant(id).await?;
        let sql = "select count(*) from people join letters on person = people.id";
        assert_eq!(sqlx::query_scalar::<_, i64>(sql).fetch_one(&db).await?, 20, "{id}");
        // The identity goes on, and the keys are there.
        sqlx::query("insert into letters (person) values (1)").execute(&db).await?;
        let stray = sqlx::query("insert into letters (person) values (99)").execute(&db).await;
        assert!(
            tenantry::Error::from(stray.expect_err("there is none")).is_foreign_key_violation()
        );
        // Nothing stays in the tables of the coordinator.
        let left: bool = sqlx::query_scalar(
            "select pg_relation_size(format('tenant_%s.people', $1)::regclass) > 0",
        )
        .bind(id)
        .fetch_one(&mut admin)
        .await?;
        assert!(!left, "{id}");
    }
    let db = manager.tenant("masked").await?;
    let sql =
        "select count(*) from people where email like 'person%@example.com' or born is not null";
    assert_eq!(sqlx::query_scalar::<_, i64>(sql).fetch_one(&db).await?, 0);

    let drift = manager.drift().against(Reference::Migrations(files.read())).run().await?;
    assert!(drift.is_clean(), "{drift}");
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn a_tenant_comes_from_a_plain_server() -> TestResult {
    let Some(cluster) = Cluster::new("a_tenant_comes_from_a_plain_server").await else {
        return Ok(());
    };
    let world = World::with_tenants(&["acme"]).await;
    let catalog = TableCatalog::new();
    let builder = world.builder().server("cluster", ServerOptions::new(cluster.url()));
    let manager = builder.catalog(catalog.clone()).build()?;
    catalog.create_table(manager.shared()).await?;
    run(&mut world.admin().await, "insert into tenants (id) values ('acme')").await;
    let options = MoveOptions::default().method(MoveMethod::UnderFence);
    let report = manager.mover().move_tenant("acme", "cluster", options).await?;
    assert_eq!(report.rows, 1, "{report}");
    let mut admin = cluster.admin().await;
    assert_eq!(distributed(&mut admin).await, ["tenant_acme"]);
    assert_eq!(name_of(&manager.tenant("acme").await?).await?, "acme");
    manager.close().await;
    Ok(())
}

/// The connections of the coordinator can share a snapshot, and those of the workers do not have it.
#[tokio::test]
async fn a_clone_over_several_connections_is_of_one_moment() -> TestResult {
    let Some(cluster) = Cluster::new("a_clone_over_several_connections").await else {
        return Ok(());
    };
    let (manager, provisioner) =
        cluster.with_table(&Files::new(&[("0001_tables.sql", TABLES)])).await;
    provisioner.create("acme", CreateOptions::default()).await?;
    let db = manager.tenant("acme").await?;
    for number in 0..4 {
        let options = CloneOptions::default().data(true).connections(4);
        let id = format!("copy{number}");
        let mut cloning = std::pin::pin!(provisioner.clone_tenant("acme", id.as_str(), options));
        let mut person = number * 100_000;
        loop {
            let writing = async {
                let mut tx = db.begin().await?;
                let sql = "insert into people (id) values ($1)";
                sqlx::query(sql).bind(person).execute(&mut *tx).await?;
                let sql = "insert into letters (person, body) values ($1, 'x')";
                sqlx::query(sql).bind(person).execute(&mut *tx).await?;
                tx.commit().await
            };
            tokio::select! {
                cloned = &mut cloning => {
                    cloned?;
                    break;
                }
                wrote = writing => wrote?,
            }
            person += 1;
        }
        let sql = "select (select count(*) from people) - (select count(*) from letters)";
        let copy = manager.tenant(id.as_str()).await?;
        assert_eq!(sqlx::query_scalar::<_, i64>(sql).fetch_one(&copy).await?, 0, "{id}");
    }
    manager.close().await;
    Ok(())
}
