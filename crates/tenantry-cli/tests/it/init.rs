//! `init` writes a configuration that is read again, and proposes what it sees.

use sqlx::{Connection, PgConnection};
use tenantry_devdb::{DevDatabase, DevServer};

use crate::support::{Fleet, Folder, execute, value};

#[tokio::test]
async fn a_database_is_looked_at_and_described() {
    let fleet = Fleet::new().await;
    let mut admin = fleet.admin().await;
    execute(
        &mut admin,
        "create schema ext; create extension citext schema ext; create schema audit; create table audit.t ()",
    )
    .await;
    std::fs::remove_file(fleet.folder.path().join("tenantry.toml")).unwrap();
    let report = fleet.run("init --json --set service.instances=7").await.ended_with(0).json();
    let proposed = |key: &str| {
        let proposals = report["proposals"].as_array().unwrap();
        let found = proposals.iter().find(|proposal| proposal["key"] == key);
        found.and_then(|found| found["value"].as_str()).unwrap_or_default().to_owned()
    };
    assert_eq!(proposed("tenants.schema"), "tenant_{id}");
    assert_eq!(proposed("tenants.shared_schema"), "public");
    assert_eq!(proposed("tenants.catalog"), "table");
    assert_eq!(proposed("tenants.extension_schemas"), "ext");
    assert_eq!(proposed("migrations.tenants"), "migrations/tenants");
    assert_eq!(proposed("service.instances"), "7");
    assert!((1..=20).contains(&proposed("pool.max_connections").parse::<u32>().unwrap()));
    // The URL is in a variable, and stays there.
    assert_eq!(proposed("database.url"), "");
    let text = fleet.folder.read("tenantry.toml");
    assert!(text.contains("\n#url = "), "{text}");
    // What was written is a configuration for what is there.
    let tenants = fleet.run("tenant list --json").await.ended_with(0).json();
    assert_eq!(
        tenants.as_array().map_or_else(|| tenants["tenants"].as_array().unwrap().len(), Vec::len),
        3
    );
    fleet.run("init").await.ended_with(2).says("tenantry.toml already exists").says("--force");
    fleet.run("init --force --no-look").await.ended_with(0).says("--no-look was given");
}

/// One schema does not tell how the next one is called, and is not taken for the shared one.
#[tokio::test]
async fn a_single_tenant_keeps_the_default_names() {
    let fleet = Fleet::empty().await;
    fleet.run("init --output first.toml --create-table").await.ended_with(0);
    fleet.run("--config first.toml tenant create acme").await.ended_with(0);
    let report = fleet.run("init --json --output other.toml").await.ended_with(0).json();
    let proposals = report["proposals"].as_array().unwrap();
    for (key, value) in [("tenants.schema", "tenant_{id}"), ("tenants.shared_schema", "public")] {
        let proposed = proposals.iter().find(|proposal| proposal["key"] == key);
        let proposed = proposed.and_then(|found| found["value"].as_str());
        assert!(proposed.is_none_or(|proposed| proposed == value), "{key}: {proposals:?}");
    }
    fleet.run("--config other.toml tenant list").await.ended_with(0).says("acme");
}

#[tokio::test]
async fn a_password_is_written_only_if_that_is_wanted() {
    let folder = Folder::new();
    let url = "postgres://app:geheim@127.0.0.1:1/saas";
    let args = ["--database-url", url, "init", "--yes"];
    let ran = folder.tenantry(args).run().await.ended_with(0);
    // Nobody answers there.
    ran.clone().says("inspected no database").says(".pgpass").never_says("geheim");
    let text = folder.read("tenantry.toml");
    assert!(text.contains("\nurl = \"postgres://app@127.0.0.1:1/saas\""), "{text}");
    assert!(!text.contains("geheim"));
    let written = args.iter().chain(&["--force", "--write-password", "--no-look"]);
    folder.tenantry(written).run().await.ended_with(0).never_says("geheim");
    assert!(folder.read("tenantry.toml").contains("geheim"));
    folder.tenantry(["config"]).run().await.ended_with(0).says("app:***@").never_says("geheim");
    folder.tenantry(["init", "--output", "."]).run().await.ended_with(2).says("is a folder");
}

#[tokio::test]
async fn the_catalogs_table_is_made_on_request() {
    let fleet = Fleet::empty().await;
    let ran = fleet.run("init --output other.toml --create-table").await.ended_with(0);
    ran.says("the catalog table exists");
    let mut admin = fleet.admin().await;
    assert_eq!(value(&mut admin, "select count(*) from tenants").await, "0");
    let written = fleet.folder.read("other.toml");
    let again = fleet.run("init --output other.toml --create-table").await.ended_with(0);
    again.says("did not change other.toml").says("the catalog table exists");
    assert_eq!(fleet.folder.read("other.toml"), written);
    fleet.run("--config other.toml tenant create acme").await.ended_with(0);
    assert_eq!(value(&mut admin, "select string_agg(id, ',') from tenants").await, "acme");
}

#[tokio::test]
async fn a_role_that_may_not_create_the_table_is_told_what_to_grant() {
    let (server, folder) = (DevServer::start().await.unwrap(), Folder::new());
    let database = DevDatabase::create_at(&server.url()).await.unwrap();
    let mut admin = PgConnection::connect(database.url()).await.unwrap();
    execute(&mut admin, "revoke create on schema public from public; create role poor login").await;
    let url = database.url().replace("postgres@", "poor@");
    let init = || folder.tenantry(["init", "--yes", "--create-table"]).url(&url);
    let ran = init().run().await.ended_with(2);
    let grant = "grant usage, create on schema \"public\" to \"poor\"";
    let ran = ran.says("the role \"poor\" may not create tables in the schema \"public\"");
    ran.says(&format!("have its owner run `{grant}`"))
        .says("init --create-table --output tenantry.toml` again");
    execute(&mut admin, grant).await;
    init().run().await.ended_with(0).says("the catalog table exists");
    // With a role for maintenance, that role has to be granted it.
    execute(
        &mut admin,
        "drop table tenants cascade; create role upkeep login; grant poor to upkeep",
    )
    .await;
    execute(&mut admin, "revoke create on schema public from poor").await;
    let upkeep = init().env("TENANTRY_UPKEEP_USER", "upkeep").run().await.ended_with(2);
    upkeep.says("have its owner run `grant usage, create on schema \"public\" to \"upkeep\"`");
    drop(admin);
    database.close().await.unwrap();
}
