//! All values come back as they were, for another key and in another database.

use tenantry::{
    ErrorKind, TenantState,
    provision::CreateOptions,
    seed::{Seed, SeedOptions},
};

use super::{Login, Scene, beside, plain, table};
use crate::support::{TestResult, observe, run};

/// A table with a column of each awkward type, and one that refers to it.
fn awkward(role: &str) -> String {
    let things = "id int, t text, c character(3), v varchar(9), n numeric, f float8, b bytea, j json, \
                  o jsonb, a text[], m int[], d date, ts timestamptz, iv interval, u uuid, e mood, \
                  dm short, r int4range, big bigint generated always as (id * 2) stored, \
                  \"odd \"\"Name\\\" text, primary key (tenant_id, id)";
    let parts = "number bigint generated always as identity primary key, thing int, \
                 foreign key (tenant_id, thing) references things";
    "create type mood as enum ('so-so', 'it''s \"fine\"'); create domain short as text check (length(value) < 9);"
        .to_owned()
        + &table("things", things, role)
        + &table("parts", parts, role)
        + &table("alone", "primary key (tenant_id)", role)
}

const ROWS: &str = "insert into things values \
    (default, 1, E'a\\tb\\nc\\r\\\\d', 'ab', '', 'NaN', 'Infinity', '\\xdeadbeef00', '{\"a\" : [1,null]}', \
     '{\"a\": \"\\\\n\"}', array['a', null, 'b,\"c', '\\N', '{}'], '{{1,2},{3,4}}', '0044-03-15 BC', 'infinity', \
     '1 year -2 days 03:04:05.6', gen_random_uuid(), 'it''s \"fine\"', 'x', '[1,5)', default, '\\.'), \
    (default, 2, '\\N', null, null, 12345678901234567890.123456789, -0.0, '', null, 'null', '{}', null, '-infinity', \
     '0001-01-01 00:00:00+00 BC', '-1 mon', null, 'so-so', null, 'empty', default, E'\\u00e4\\U0001F980\\u200b'), \
    (default, 3, '\\.', '   ', E'\\\\', 0.1, 0.1, '\\x5c2e0a', '\"\\\\.\"', '[]', '{\"\"}', '[2:3]={1,2}', null, null, null, \
     null, null, '', null, default, null), \
    (default, 4, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, \
     default, null)";

async fn fill(scene: &Scene, tenant: &str) {
    scene.provisioner().create(tenant, CreateOptions::default()).await.expect("it is new");
    let db = scene.manager.tenant(tenant).await.expect("it was created");
    run(&db, ROWS).await;
    run(&db, "insert into parts (thing) values (1), (null), (3)").await;
    run(&db, "insert into alone default values").await;
}

/// Returns everything that a tenant has, but for its key and the numbers of its parts.
async fn everything(scene: &Scene, tenant: &str) -> String {
    let db = scene.manager.tenant(tenant).await.expect("it is served");
    let rows = "select concat_ws('; ', \
        (select string_agg(x::text, ', ' order by id) from (select id, t, c, v, n, f, b, j::text, o, a, m, d, ts, iv, u, \
          e, dm, r, big, \"odd \"\"Name\\\" from things) x), \
        (select string_agg(coalesce(thing::text, '-'), ', ' order by number) from parts), \
        (select count(*) from alone))";
    observe(&db, rows).await
}

#[tokio::test]
async fn awkward_values_come_back_under_another_key_and_in_another_database() -> TestResult {
    for login in [Login::Superuser, Login::Owner] {
        let scene = Scene::with(login, awkward).await;
        fill(&scene, "acme").await;
        fill(&scene, "other").await;
        let (before, others) =
            (everything(&scene, "acme").await, everything(&scene, "other").await);
        let file = scene.export("acme").await;
        let text = String::from_utf8_lossy(&file);
        assert!(text.starts_with("tenantry rows 1\n{\"tenantId\":\"acme\","), "{text}");
        let report = scene.restore("copy", &file, beside().key("K 1'")).await?;
        assert!(report.created, "{report}");
        let tables: Vec<_> =
            report.tables.iter().map(|table| (&*table.table, table.rows)).collect();
        assert_eq!(tables, [("things", 4), ("parts", 3), ("alone", 1)], "{login:?}");
        assert_eq!(everything(&scene, "copy").await, before);
        assert_eq!(everything(&scene, "other").await, others);
        assert_eq!(scene.manager.tenant("copy").await?.tenant().placement().key(), Some("K 1'"));

        let elsewhere = Scene::with(login, awkward).await;
        elsewhere.restore("acme", &file, plain()).await?;
        assert_eq!(everything(&elsewhere, "acme").await, before);
        let db = elsewhere.manager.tenant("acme").await?;
        let numbers = "select string_agg(number::text, ' ' order by number) from parts";
        assert_eq!(observe(&db, numbers).await, "Some(\"1 2 3\")", "ids stay");
        run(&db, "insert into parts (thing) values (4)").await;
        assert_eq!(observe(&db, numbers).await, "Some(\"1 2 3 4\")", "and the sequence continues");
        // What comes out again is the same.
        let again = elsewhere.export("acme").await;
        let file = scene.export("acme").await;
        let rows = |file: &[u8]| {
            let text = String::from_utf8_lossy(file).into_owned();
            let lines: Vec<_> = text.lines().skip(2).map(str::to_owned).collect();
            lines[..lines.len() - 1].join("\n")
        };
        let new = rows(&again)
            .replace("{\"table\":\"parts\",\"rows\":4}", "{\"table\":\"parts\",\"rows\":3}");
        assert_eq!(new.replace("4\t4\n", ""), rows(&file));
        elsewhere.manager.close().await;
        scene.manager.close().await;
    }
    Ok(())
}

#[tokio::test]
async fn a_tenant_goes_back_to_an_earlier_state() -> TestResult {
    for login in [Login::Superuser, Login::Owner] {
        let mut scene = Scene::new(login).await;
        scene.create(&["acme", "globex"]).await;
        let file = scene.export("acme").await;
        let acme = scene.manager.tenant("acme").await?;
        let state = "select concat_ws(' ', (select string_agg(name, '' order by id) from users), \
                     (select string_agg(id::text, ',' order by id) from notes))";
        let before = observe(&acme, state).await;
        run(&acme, "update users set name = 'x'; delete from notes where user_id = 2").await;
        run(&acme, "insert into users (id, name, boss) values (9, 'new', 9)").await;
        let refused = scene.restore("acme", &file, plain()).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Placement);
        let told = "table app.notes has rows with its key \"acme\" already: drop the tenant first, or restore with the \
                    option to replace them";
        assert!(refused.to_string().ends_with(told), "{refused}");
        scene.provisioner().suspend("acme").await?;
        let report = scene.restore("acme", &file, plain().replace(true)).await?;
        let rows = |tables: &[tenantry::provision::TableRows]| {
            let told = tables.iter().map(|table| format!("{} {}", table.rows, table.table));
            told.collect::<Vec<_>>().join(", ")
        };
        assert_eq!(rows(&report.deleted), "1 notes, 4 users", "{login:?}");
        assert_eq!(rows(&report.tables), "3 users, 3 notes");
        assert!(!report.created);
        let record = scene.manager.tenants().await?.into_iter().find(|t| t.id.as_str() == "acme");
        assert_eq!(record.map(|record| record.state), Some(TenantState::Suspended));
        scene.provisioner().resume("acme").await?;
        assert_eq!(observe(&scene.manager.tenant("acme").await?, state).await, before);
        assert_eq!(scene.rows("users").await, "acme 3, globex 3");
        scene.manager.close().await;
    }
    Ok(())
}

#[tokio::test]
async fn a_dropped_tenant_comes_back_with_its_seeds() -> TestResult {
    let mut scene = Scene::new(Login::Owner).await;
    let seed = Seed::sql("first", "insert into users (id, name) values (7, 'seeded')");
    scene.provisioner().seed(seed.clone()).create("acme", CreateOptions::default()).await?;
    let file = scene.export("acme").await;
    scene.provisioner().drop_tenant("acme", "acme", Default::default()).await?;
    scene.free_keys().await;
    assert_eq!(scene.rows("users").await, "");
    scene.restore("acme", &file, plain()).await?;
    let seeded = scene.manager.seeder().seed_all(&seed, SeedOptions::default()).await?;
    assert!(seeded.is_success(), "{seeded}");
    assert_eq!(scene.rows("users").await, "acme 1", "the seed is known to have run");
    // An existing tenant without rows gets them, too; a file without rows has none.
    scene.provisioner().create("empty", CreateOptions::default()).await?;
    let nothing = scene.export("empty").await;
    scene.restore("empty", &file, plain()).await?;
    let report = scene.restore("empty", &nothing, plain().replace(true)).await?;
    assert_eq!((report.rows(), report.deleted.len()), (0, 1));
    assert_eq!(scene.rows("users").await, "acme 1");
    scene.manager.close().await;
    Ok(())
}

/// Two tables that refer to each other and to themselves, and one without the tenant column in its key.
fn circle(role: &str) -> String {
    table("one", "id int, other int not null, primary key (tenant_id, id)", role)
        + &table(
            "other",
            "id int, one int not null, mother int, primary key (tenant_id, id), \
             foreign key (tenant_id, one) references one (tenant_id, id), \
             foreign key (tenant_id, mother) references other (tenant_id, id)",
            role,
        )
        + "alter table one add constraint one_other foreign key (tenant_id, other) \
             references other (tenant_id, id) deferrable initially deferred;"
        + &table(
            "leaf",
            "id int generated by default as identity primary key, mother int references leaf",
            role,
        )
}

#[tokio::test]
async fn tables_that_refer_to_each_other_come_back() -> TestResult {
    let mut scene = Scene::with(Login::Superuser, circle).await;
    scene.provisioner().create("acme", CreateOptions::default()).await?;
    let acme = scene.manager.tenant("acme").await?;
    let mut tx = acme.begin().await?;
    run(&mut *tx, "insert into one (id, other) values (1, 2), (2, 1)").await;
    run(&mut *tx, "insert into other (id, one, mother) values (2, 1, 1), (1, 2, 2)").await;
    run(&mut *tx, "insert into leaf (id, mother) values (20, 10), (10, 20)").await;
    tx.commit().await?;
    // Checked at once in the table that gets the rows.
    run(&mut scene.admin, "alter table app.one alter constraint one_other not deferrable").await;
    let file = scene.export("acme").await;
    scene.provisioner().drop_tenant("acme", "acme", Default::default()).await?;
    scene.free_keys().await;
    scene.restore("acme", &file, plain()).await?;
    for table in ["one", "other", "leaf"] {
        assert_eq!(scene.rows(table).await, "acme 2", "{table}");
    }
    assert_eq!(scene.export("acme").await, file);
    run(&scene.manager.tenant("acme").await?, "insert into leaf default values").await;
    assert_eq!(
        observe(&mut scene.admin, "select max(id)::text from app.leaf").await,
        "Some(\"21\")"
    );
    scene.manager.close().await;
    Ok(())
}
