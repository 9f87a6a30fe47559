//! Schemas that exist: they are listed, released, and get records of the migrations that they have.

use crate::support::{Fleet, Folder, execute, value};

#[tokio::test]
async fn a_schema_is_adopted_baselined_migrated_and_released() {
    let fleet = Fleet::new().await;
    let mut admin = fleet.admin().await;
    let users = fleet.folder.read("migrations/tenants/0001_users.sql");
    execute(
        &mut admin,
        &format!("create schema tenant_hooli; set search_path = tenant_hooli; {users}"),
    )
    .await;
    execute(&mut admin, "insert into users (email) values ('a@example.com')").await;
    fleet.run("tenant adopt hooli").await.ended_with(2).says("--yes");
    fleet.run("tenant adopt hooli --dry-run").await.ended_with(0);
    fleet.run("tenant show hooli").await.ended_with(2).says("there is no tenant hooli");
    fleet.run("tenant adopt hooli --yes --attributes plan=pro").await.ended_with(0);
    fleet.run("tenant show hooli").await.ended_with(0).says("pro");
    fleet.run("tenant adopt hooli --yes").await.ended_with(2).says("already");

    let plan = fleet.run("migrate --tenant hooli --dry-run").await.ended_with(1);
    plan.says("1 table, no migration records: create a baseline?");
    fleet
        .run("doctor --only migrations")
        .await
        .ended_with(1)
        .says("`tenantry migrate baseline`")
        .never_says("::");
    fleet.run("migrate --tenant hooli").await.ended_with(1).says("a baseline?");
    let other = fleet.run("migrate baseline --tenant hooli --to 2").await.ended_with(1);
    other.says("has the tables of version 1");
    fleet.run("migrate baseline --tenant hooli --to 9").await.ended_with(2).says("0002_orders.sql");
    fleet
        .run("migrate baseline --tenant hooli --to 1 --unchecked")
        .await
        .ended_with(2)
        .says("--yes");
    let marked = fleet.run("migrate baseline --all --json").await.ended_with(0).json();
    assert_eq!((&marked["marked"], &marked["hasRecords"]), (&1.into(), &3.into()), "{marked}");
    fleet.run("migrate --tenant hooli").await.ended_with(0).says("migrated");
    assert_eq!(value(&mut admin, "select count(*) from tenant_hooli.users").await, "1");
    fleet.run("drift --migrations").await.ended_with(0);

    fleet.run("tenant release hooli --yes").await.ended_with(0);
    fleet.run("tenant show hooli").await.ended_with(2);
    assert_eq!(value(&mut admin, "select count(*) from tenant_hooli.orders").await, "0");
}

#[tokio::test]
async fn the_first_file_is_made_of_a_schema_and_replaces_none() {
    let fleet = Fleet::new().await;
    let from = "migrate baseline --from-schema tenant_acme";
    fleet.run(from).await.ended_with(2).says("has migrations, such as");
    let empty = format!("{from} --set migrations.tenants=db/new");
    fleet.run(&format!("{empty} --version 1x")).await.ended_with(2).says("is not a version");
    fleet.run(&empty.replace("tenant_acme", "absent")).await.ended_with(2).says("absent");
    fleet.run(&empty).await.ended_with(0).says("db/new/0001_baseline.sql");
    let sql = fleet.folder.read("db/new/0001_baseline.sql");
    assert!(
        sql.to_lowercase().contains("create table users") && !sql.contains("tenant_acme"),
        "{sql}"
    );
    fleet.run(&empty).await.ended_with(2).says("has migrations, such as 0001_baseline.sql");
}

#[tokio::test]
async fn the_tables_of_a_service_become_a_tenants_and_go_back() {
    let fleet = Fleet::empty().await;
    std::fs::remove_file(fleet.folder.path().join("tenantry.toml")).unwrap();
    fleet.run("init --yes --create-table").await.ended_with(0);
    let mut admin = fleet.admin().await;
    execute(&mut admin, "create table plans (id int); create table orders (id int)").await;
    let how = "acme --schema public --keep-shared plans --yes";
    fleet.run(&format!("tenant adopt {how} --dry-run")).await.ended_with(0);
    fleet.run(&format!("tenant adopt {how}")).await.ended_with(0);
    let places = "select string_agg(schemaname || '.' || tablename, ' ' order by tablename) from pg_tables \
                  where tablename in ('plans', 'orders')";
    assert_eq!(value(&mut admin, places).await, "tenant_acme.orders public.plans");
    fleet.run(&format!("tenant release {how}")).await.ended_with(0);
    assert_eq!(value(&mut admin, places).await, "public.orders public.plans");
}

#[tokio::test]
async fn a_list_that_is_only_read_adopts_nothing() {
    let fleet = Fleet::new().await;
    let columns = "[tenants]\ncatalog = 'table'\n[catalog.columns]\nid = 'id'\n";
    fleet.folder.write("tenantry.toml", columns);
    execute(&mut fleet.admin().await, "create schema tenant_hooli").await;
    fleet.run("tenant adopt hooli --yes").await.ended_with(2).says("read-only");
    fleet.run("tenant release acme --yes").await.ended_with(2).says("read-only");
}

#[tokio::test]
async fn upkeep_has_a_url_on_the_same_database() {
    let fleet = Fleet::new().await;
    let upkeep = |url: &str| {
        let set = format!("upkeep.url={url}");
        fleet.tenantry(["tenant", "create", "hooli", "--set", &set])
    };
    let elsewhere =
        upkeep("postgres://postgres:geheim@127.0.0.1:1/other").run().await.ended_with(2);
    elsewhere.says("a different server or database").never_says("geheim");
    let both = upkeep(fleet.url()).env("TENANTRY_UPKEEP_USER", "x").run().await.ended_with(2);
    both.says("upkeep.url (--set)").says("upkeep.user ($TENANTRY_UPKEEP_USER)");
    upkeep(fleet.url()).run().await.ended_with(0);
    let folder = Folder::project();
    let set = "upkeep.url=postgres://owner:geheim@h/saas";
    folder.tenantry(["config", "--set", set]).run().await.ended_with(0).never_says("geheim");
}

/// A message and, at most, one line of advice.
#[tokio::test]
async fn what_the_database_refuses_is_one_line() {
    let fleet = Fleet::new().await;
    let mut admin = fleet.admin().await;
    let name = fleet.database.name();
    let role = format!("weak_{name}");
    execute(&mut admin, &format!("create role \"{role}\" login")).await;
    let (_, place) = fleet.url().rsplit_once('@').unwrap();
    for (url, says) in [
        (format!("postgres://{role}@{place}"), "permission denied"),
        (fleet.url().replace(name, "nowhere"), "\"nowhere\" does not exist"),
        ("postgres://app@127.0.0.1:1/saas".to_owned(), "onnection refused"),
        ("postgres://app:ge#heim@127.0.0.1:1/saas".to_owned(), "write %23"),
        ("mysql://app:geheim@127.0.0.1/saas".to_owned(), "must be postgres"),
        ("host=h password=geheim".to_owned(), "write postgres://"),
    ] {
        for command in ["tenant list", "migrate --all", "status"] {
            let ran = fleet.folder.tenantry(command.split(' ')).url(&url).run().await.ended_with(2);
            let (first, rest) = ran.stderr.split_once('\n').unwrap();
            assert!(
                first.starts_with("error: ") && first.contains(says),
                "{command} {url}: {ran:?}"
            );
            assert!(
                rest.is_empty() || rest.starts_with("  help: ") && rest.lines().count() == 1,
                "{ran:?}"
            );
            ran.never_says("heim")
                .never_says(" at line ")
                .never_says("communicating with database: database");
        }
    }
    execute(&mut admin, &format!("drop role \"{role}\"")).await;
}
