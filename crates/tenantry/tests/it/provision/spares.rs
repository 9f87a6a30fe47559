//! Schemas that are made before anybody asks for them.

use std::time::Duration;

use sqlx::PgConnection;
use tenantry::{
    ErrorKind, Isolation,
    provision::{CreateOptions, HowMade},
    seed::Seed,
};
use tokio::time::timeout;

use super::with_table;
use crate::{
    migrate::Files,
    support::{TestResult, World, eventually, free_names, run},
};

async fn spares(admin: &mut PgConnection) -> Vec<String> {
    sqlx::query_scalar(
        "select nspname::text from pg_namespace where nspname like 'tenantry\\_spare\\_%' order by 1",
    )
    .fetch_all(admin)
    .await
    .expect("the server is running")
}

#[tokio::test]
async fn a_spare_becomes_a_tenant_by_a_rename() -> TestResult {
    let (world, files) = (World::new().await, Files::notes());
    let (manager, provisioner) = with_table(&world, &files).await;
    let provisioner =
        provisioner.seed(Seed::sql("note", "insert into notes (id, text) values (1, 'hello')"));
    let report = provisioner.fill_spares(3).await?;
    assert_eq!((report.ready, report.made), (3, 3));
    let mut admin = world.admin().await;
    assert_eq!(spares(&mut admin).await.len(), 3);
    assert_eq!(manager.tenants().await?.len(), 0);
    let mut made = Vec::new();
    for id in ["a", "b", "c", "d"] {
        made.push(provisioner.create(id, CreateOptions::default()).await?.how);
        let db = manager.tenant(id).await?;
        let notes: i64 = sqlx::query_scalar("select count(*) from notes").fetch_one(&db).await?;
        assert_eq!(notes, 1, "{id}");
    }
    assert_eq!(made, [HowMade::Spare, HowMade::Spare, HowMade::Spare, HowMade::AtOnce]);
    assert_eq!(spares(&mut admin).await, Vec::<String>::new());
    Ok(())
}

#[tokio::test]
async fn many_at_once_never_get_the_same_spare() -> TestResult {
    let (world, files) = (World::new().await, Files::notes());
    let (manager, provisioner) = with_table(&world, &files).await;
    provisioner.fill_spares(4).await?;
    let tasks = (0..8).map(|number| {
        let provisioner = provisioner.clone();
        let create =
            async move { provisioner.create(format!("t{number}"), CreateOptions::default()).await };
        tokio::spawn(create)
    });
    let mut from_spares = 0;
    for task in tasks.collect::<Vec<_>>() {
        from_spares += usize::from(task.await??.how == HowMade::Spare);
    }
    assert_eq!((from_spares, manager.tenants().await?.len()), (4, 8));
    assert_eq!(spares(&mut world.admin().await).await, Vec::<String>::new());
    Ok(())
}

/// `pg_get_expr` locks the table of a default, and so waits where it is asked about the tables of others.
#[tokio::test]
async fn a_tenant_is_created_while_another_ones_tables_are_locked() -> TestResult {
    let (world, files) = (World::new().await, Files::notes());
    files.write("0003_kind.sql", "alter table notes add kind text not null default 'note';");
    let (manager, provisioner) = with_table(&world, &files).await;
    provisioner.create("busy", CreateOptions::default()).await?;
    provisioner.fill_spares(1).await?;
    let mut admin = world.admin().await;
    run(&mut admin, "begin; lock table tenant_busy.notes in access exclusive mode").await;
    for (id, how) in [("spare", HowMade::Spare), ("new", HowMade::AtOnce)] {
        // A new one looks for names that are written down, as after a restart of the service.
        let provisioner = manager.provisioner().tenants(files.read());
        let create = provisioner.create(id, CreateOptions::default());
        let created = timeout(Duration::from_secs(10), create).await;
        assert_eq!(created.map_err(|_| "creating a tenant waits for another one")??.how, how);
    }
    run(&mut admin, "rollback").await;
    Ok(())
}

#[tokio::test]
async fn spares_that_are_behind_catch_up_and_half_made_ones_go() -> TestResult {
    let (world, files) = (World::new().await, Files::notes());
    let (manager, provisioner) = with_table(&world, &files).await;
    provisioner.fill_spares(2).await?;
    files.write("0003_more.sql", "alter table notes add more int;");
    let provisioner = provisioner.tenants(files.read());
    // One that is taken before there are others catches up on the way.
    assert_eq!(provisioner.create("acme", CreateOptions::default()).await?.how, HowMade::Spare);
    let db = manager.tenant("acme").await?;
    sqlx::query("select more from notes").fetch_all(&db).await?;
    let mut admin = world.admin().await;
    run(&mut admin, "create schema tenantry_spare_half; create table tenantry_spare_half.t ()")
        .await;
    let report = provisioner.fill_spares(2).await?;
    assert_eq!((report.ready, report.made, report.removed), (2, 2, 1));
    Ok(())
}

/// Puts the notes on all spares back by this many hours.
async fn let_pass(admin: &mut PgConnection, hours: u32) {
    let sql = format!(
        "do $$ declare s record; begin for s in select nspname, obj_description(oid) as note \
         from pg_namespace where nspname like 'tenantry\\_spare\\_%' loop \
         execute format('comment on schema %I is %L', s.nspname, regexp_replace(s.note, '\\d+$', \
           (split_part(s.note, ' ', 5)::bigint - {hours} * 3600)::text)); end loop; end $$"
    );
    run(admin, &sql).await;
}

#[tokio::test]
async fn two_releases_leave_each_others_spares_alone_until_a_day_is_over() -> TestResult {
    let (world, files) = (World::new().await, Files::notes());
    let (manager, before) = with_table(&world, &files).await;
    files.write("0003_more.sql", "alter table notes add more int;");
    let after = manager.provisioner().tenants(files.read());
    let mut admin = world.admin().await;
    for _ in 0..3 {
        for provisioner in [&before, &after] {
            let report = provisioner.fill_spares(2).await?;
            assert_eq!((report.ready, report.removed), (2, 0));
        }
    }
    assert_eq!(spares(&mut admin).await.len(), 4);
    let_pass(&mut admin, 23).await;
    // Whoever still has a use for its own says so.
    assert_eq!(after.fill_spares(2).await?.removed, 0);
    let_pass(&mut admin, 2).await;
    let report = after.fill_spares(2).await?;
    assert_eq!((report.ready, report.made, report.removed), (2, 0, 2));
    assert_eq!(after.create("acme", CreateOptions::default()).await?.how, HowMade::Spare);
    // A spare of files that are newer is of no use to those that are older.
    assert_eq!(before.create("globex", CreateOptions::default()).await?.how, HowMade::AtOnce);
    assert_eq!(spares(&mut admin).await.len(), 1);
    Ok(())
}

#[tokio::test]
async fn a_spare_of_a_release_that_wrote_no_note_is_renewed() -> TestResult {
    let (world, files) = (World::new().await, Files::notes());
    let (_, provisioner) = with_table(&world, &files).await;
    provisioner.fill_spares(1).await?;
    let mut admin = world.admin().await;
    let spare = spares(&mut admin).await.remove(0);
    run(&mut admin, &format!("comment on schema {spare} is 'tenantry: ready'")).await;
    files.write("0003_more.sql", "alter table notes add more int;");
    let provisioner = provisioner.tenants(files.read());
    let report = provisioner.fill_spares(1).await?;
    assert_eq!((report.ready, report.migrated, report.made), (1, 1, 0));
    assert_eq!(provisioner.create("acme", CreateOptions::default()).await?.how, HowMade::Spare);
    Ok(())
}

#[tokio::test]
async fn a_failed_seed_gives_the_spare_back() -> TestResult {
    let (world, files) = (World::new().await, Files::notes());
    let (_, provisioner) = with_table(&world, &files).await;
    provisioner.fill_spares(1).await?;
    let before = spares(&mut world.admin().await).await;
    let refuses = Seed::new("refuses", |_| Box::pin(async { Err("no".into()) }));
    let error =
        provisioner.seed(refuses).create("acme", CreateOptions::default()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Seed);
    assert_eq!(spares(&mut world.admin().await).await, before);
    Ok(())
}

#[tokio::test]
async fn spares_are_no_tenants_whatever_the_name_template() -> TestResult {
    let (world, files) = (World::new().await, Files::notes());
    let manager = world.builder().isolation(Isolation::schema("{id}")).build()?;
    let provisioner = manager.provisioner().tenants(files.read());
    provisioner.fill_spares(1).await?;
    let spare = spares(&mut world.admin().await).await.remove(0);
    assert_eq!(manager.tenants().await?.len(), 0);
    assert!(manager.tenant(spare.as_str()).await.is_err());
    Ok(())
}

#[tokio::test]
async fn spares_are_kept_in_the_background_until_the_manager_is_closed() -> TestResult {
    let (world, files) = (World::new().await, Files::notes());
    let (manager, provisioner) = with_table(&world, &files).await;
    provisioner.keep_spares(2, Duration::from_millis(20));
    let mut admin = world.admin().await;
    eventually("there are spares", async || spares(&mut admin).await.len() == 2).await;
    eventually("they are used and made again", async || {
        let id = format!("t{}", spares(&mut admin).await.join("").len());
        drop(provisioner.create(id, CreateOptions::default()).await);
        tokio::time::sleep(Duration::from_millis(30)).await;
        manager.tenants().await.is_ok_and(|tenants| !tenants.is_empty())
            && spares(&mut admin).await.len() == 2
    })
    .await;
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn one_connection_is_enough() -> TestResult {
    let (world, files) = (World::new().await, Files::notes());
    let one = world.builder().max_connections(1).build()?;
    let one_for_each = world.builder().max_connections(5).max_connections_per_tenant(1).build()?;
    for (manager, id) in [(one, "a"), (one_for_each, "b")] {
        let provisioner = manager.provisioner().tenants(files.read());
        assert_eq!(provisioner.fill_spares(1).await?.ready, 1);
        assert_eq!(provisioner.create(id, CreateOptions::default()).await?.how, HowMade::Spare);
        provisioner.rename(id, "c").await?;
        provisioner.drop_tenant("c", "c", Default::default()).await?;
        free_names(&mut world.admin().await).await;
    }
    Ok(())
}

#[tokio::test]
async fn what_cannot_be_removed_keeps_nobody_from_making_spares() -> TestResult {
    let (world, files) = (World::new().await, Files::notes());
    let (manager, provisioner) = with_table(&world, &files).await;
    let admin = &mut world.admin().await;
    // Half made by somebody who has ended, and in use by something outside.
    run(
        admin,
        "create schema tenantry_spare_0123456789abcdef; \
         create table tenantry_spare_0123456789abcdef.t (id int)",
    )
    .await;
    let mut holder = world.admin().await;
    run(&mut holder, "begin; lock table tenantry_spare_0123456789abcdef.t").await;
    let report = provisioner.fill_spares(2).await?;
    assert_eq!((report.ready, report.removed), (2, 0), "{report}");
    run(&mut holder, "rollback").await;
    let report = provisioner.fill_spares(2).await?;
    assert_eq!((report.ready, report.removed), (2, 1), "{report}");
    manager.close().await;
    Ok(())
}
