//! A clone has the same rows under another key, in the same tables.

use tenantry::{
    ErrorKind, Isolation, KeyType, Rows, TableCatalog, TenantManager,
    clone::CloneOptions,
    provision::CreateOptions,
    seed::{Seed, SeedOptions},
};

use super::{Login, Scene, table};
use crate::support::{TestResult, observe, run};

fn with_data() -> CloneOptions {
    CloneOptions::default().data(true)
}

#[tokio::test]
async fn the_clone_has_the_same_rows_and_no_other_tenant_changes() -> TestResult {
    for login in [Login::Superuser, Login::Owner] {
        let mut scene = Scene::new(login).await;
        scene.create(&["acme", "globex"]).await;
        let before = scene.rows("users").await;
        assert_eq!(before, "acme 3, globex 3");
        let report = scene.provisioner().clone_tenant("acme", "copy", with_data()).await?;
        assert_eq!((report.rows(), &*report.schema, report.objects), (6, "app", 0), "{login:?}");
        let tables: Vec<_> = report.tables.iter().map(|table| (&*table.name, table.rows)).collect();
        assert_eq!(tables, [("users", 3), ("notes", 3)]);
        assert_eq!(scene.rows("users").await, "acme 3, copy 3, globex 3");
        assert_eq!(scene.rows("notes").await, "acme 3, copy 3, globex 3");
        let rows = "select string_agg(concat_ws(' ', u.id, u.name, u.boss, \
                    (select count(*) from notes n where n.user_id = u.id)), ', ' order by u.id) from users u";
        let copy = scene.manager.tenant("copy").await?;
        assert_eq!(observe(&copy, rows).await, "Some(\"1 a 1 1, 2 b 1 2, 3 c 1 0\")");
        // The copy is the tenant's own: a change of one reaches no other.
        run(&copy, "update users set name = 'x'; delete from notes").await;
        let acme = scene.manager.tenant("acme").await?;
        assert_eq!(observe(&acme, rows).await, "Some(\"1 a 1 1, 2 b 1 2, 3 c 1 0\")");
        let again = scene.provisioner().clone_tenant("acme", "copy", with_data()).await;
        assert_eq!(again.unwrap_err().kind(), ErrorKind::TenantExists);
        scene.manager.close().await;
    }
    Ok(())
}

#[tokio::test]
async fn seeds_are_known_to_have_run_and_without_data_nothing_is_copied() -> TestResult {
    let mut scene = Scene::new(Login::Owner).await;
    let seed = Seed::sql("first", "insert into users (id, name) values (7, 'seeded')");
    let provisioner = scene.provisioner().seed(seed.clone());
    provisioner.create("acme", CreateOptions::default()).await?;
    provisioner.clone_tenant("acme", "copy", with_data()).await?;
    provisioner.clone_tenant("acme", "empty", CloneOptions::default()).await?;
    assert_eq!(scene.rows("users").await, "acme 1, copy 1");
    let seeded = scene.manager.seeder().seed_all(&seed, SeedOptions::default()).await?;
    assert!(seeded.is_success(), "{seeded}");
    assert_eq!(scene.rows("users").await, "acme 1, copy 1, empty 1");
    scene.manager.close().await;
    Ok(())
}

#[tokio::test]
async fn a_key_can_be_given() -> TestResult {
    let scene = Scene::new(Login::Superuser).await;
    scene.create(&["acme"]).await;
    let options = with_data().key("K 1'");
    scene.provisioner().clone_tenant("acme", "copy", options).await?;
    let copy = scene.manager.tenant("copy").await?;
    assert_eq!(copy.tenant().placement().key(), Some("K 1'"));
    assert_eq!(observe(&copy, "select count(*)::text from users").await, "Some(\"3\")");
    // Another tenant's key, and one that is not of the type of keys.
    let taken = scene.provisioner().clone_tenant("acme", "other", with_data().key("acme")).await;
    let taken = taken.unwrap_err();
    assert!(taken.to_string().contains("its key \"acme\" is that of tenant acme"), "{taken}");
    let rows = Rows::new().schema("app")?.key(KeyType::Uuid);
    let manager = TenantManager::builder(scene.world.database.url())
        .isolation(Isolation::rows(rows))
        .catalog(TableCatalog::new())
        .build()?;
    let wrong = manager.provisioner().clone_tenant("copy", "other", with_data().key("x")).await;
    assert_eq!(wrong.unwrap_err().kind(), ErrorKind::Placement);
    manager.close().await;
    scene.manager.close().await;
    Ok(())
}

/// Tables whose rows cannot be copied, and why.
fn unsuitable() -> Vec<(String, &'static str)> {
    let alone = [
        ("id int, email text unique, primary key (tenant_id, id)", "unique key things_email_key"),
        (
            "id int primary key, mother int references things",
            "foreign key things_mother_fkey of table things does not contain tenant_id",
        ),
        // A new number would leave the references behind.
        (
            "id int generated always as identity, mother int, unique (tenant_id, id), \
             primary key (id), foreign key (tenant_id, mother) references things (tenant_id, id)",
            "unique key things_pkey",
        ),
    ];
    let mut cases: Vec<_> =
        alone.iter().map(|(columns, why)| (table("things", columns, "ROLE"), *why)).collect();
    let circle = table("one", "id int, other int, primary key (tenant_id, id)", "ROLE")
        + &table(
            "other",
            "id int, one int, primary key (tenant_id, id), \
             foreign key (tenant_id, one) references one (tenant_id, id)",
            "ROLE",
        )
        + "alter table one add foreign key (tenant_id, other) references other (tenant_id, id);";
    cases.push((circle, "the tables one, other refer to each other in a circle"));
    cases
}

#[tokio::test]
async fn rows_that_would_meet_those_of_the_source_are_refused() -> TestResult {
    for (tables, why) in unsuitable() {
        let scene = Scene::with(Login::Superuser, |role| tables.replace("ROLE", role)).await;
        scene.provisioner().create("acme", CreateOptions::default()).await?;
        let error = scene.provisioner().clone_tenant("acme", "copy", with_data()).await;
        let error = error.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Clone, "{tables}");
        assert!(error.to_string().contains(why), "{error}");
        let unknown = scene.manager.tenant("copy").await.unwrap_err();
        assert_eq!(unknown.kind(), ErrorKind::UnknownTenant, "nothing is left");
        scene.manager.close().await;
    }
    Ok(())
}

#[tokio::test]
async fn a_trigger_that_changes_the_rows_fails_the_clone() -> TestResult {
    let mut scene = Scene::new(Login::Superuser).await;
    scene.create(&["acme"]).await;
    run(
        &mut scene.admin,
        "create function app.shout() returns trigger language plpgsql as \
         'begin new.name := upper(new.name); return new; end'; \
         create trigger shout before insert on app.users for each row execute function app.shout()",
    )
    .await;
    let error = scene.provisioner().clone_tenant("acme", "copy", with_data()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Clone);
    assert!(error.to_string().contains("table users of the clone has other rows"), "{error}");
    assert_eq!(scene.rows("users").await, "acme 3");
    scene.manager.close().await;
    Ok(())
}

#[tokio::test]
async fn options_that_do_not_suit_rows_are_refused() -> TestResult {
    let scene = Scene::new(Login::Superuser).await;
    scene.create(&["acme"]).await;
    for (options, why) in [(with_data().container("other".parse()?), "it has no schema of its own")]
    {
        let error = scene.provisioner().clone_tenant("acme", "copy", options).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.to_string().contains(why), "{error}");
    }
    scene.manager.close().await;
    Ok(())
}
