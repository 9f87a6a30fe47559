//! Whatever is done to one tenant, the rows of another and the tables of all stay.

use std::ops::ControlFlow;

use tenantry::{
    baseline::Baseline,
    clone::CloneOptions,
    fan_out::{FanOutMode, FanOutOptions},
    migrate::{MigrateOptions, Schemas},
    provision::{Adopt, CreateOptions, DropOptions},
    seed::{Seed, SeedOptions},
};

use super::{Login, Scene};
use crate::support::{TestResult, observe, run};

/// The tables with what belongs to them, and the other tenant's rows.
async fn untouched(scene: &mut Scene) -> String {
    let sql = "\
        select (select string_agg(concat_ws(' ', c.relname, c.relkind, c.relrowsecurity, c.relforcerowsecurity, \
            (select count(*) from pg_policy p where p.polrelid = c.oid), \
            (select string_agg(attname, ',' order by attnum) from pg_attribute a where a.attrelid = c.oid and attnum > 0)), \
            '; ' order by c.relname) \
          from pg_class c where relnamespace = 'app'::regnamespace and relname !~ '_tenantry_') \
        || (select string_agg(u::text, '; ' order by u::text) from app.users u where tenant_id = 'globex') \
        || (select string_agg(n::text, '; ' order by n::text) from app.notes n where tenant_id = 'globex')";
    observe(&mut scene.admin, sql).await
}

/// Does everything that can be done to a tenant, however it ends.
async fn everything(scene: &Scene) {
    let (manager, provisioner) = (&scene.manager, scene.provisioner());
    let of = || Schemas::tenants(["acme"]);
    let migrator = manager.migrator().tenants(scene.files.read());
    let migrate = MigrateOptions::default;
    drop(migrator.migrate(["acme"], migrate()).await);
    drop(migrator.revert(of(), 0, migrate()).await);
    drop(migrator.mark_applied(of(), None, migrate()).await);
    drop(migrator.forget_orphans(of(), migrate()).await);
    drop(migrator.forget_dirty(of(), migrate()).await);
    drop(migrator.restart_dirty(of(), migrate()).await);
    drop(migrator.baseline(of(), Baseline::detected(), migrate()).await);
    drop(migrator.baseline(of(), Baseline::to(1), migrate()).await);
    drop(migrator.plan(of(), &migrate()).await);
    drop(manager.drift().run().await);
    drop(manager.drift().repair("acme").await);
    drop(manager.drift().introspect("acme").await);
    let wipe = Seed::sql("wipe", "delete from notes; delete from users;");
    drop(manager.seeder().seed(["acme"], &wipe, SeedOptions::default()).await);
    let write = FanOutOptions::default().mode(FanOutMode::Write);
    let next = |_| async { ControlFlow::Continue(()) };
    drop(manager.fan_out().run(of(), "delete from users", write, next).await);
    drop(provisioner.fill_spares(1).await);
    drop(provisioner.fill_spares(0).await);
    drop(provisioner.create("acme", CreateOptions::default().from_template()).await);
    drop(provisioner.create("acme", CreateOptions::default().keep_failed(true)).await);
    drop(provisioner.create("acme", CreateOptions::default()).await);
    drop(provisioner.clone_tenant("acme", "copy", CloneOptions::default().data(true)).await);
    for (from, to) in [("schema", "acme"), ("acme", "schema")] {
        let options = CloneOptions::default().data(true);
        let cloned = provisioner.clone_tenant(from, to, options).await;
        assert!(cloned.is_err(), "{from} {to}: {cloned:?}");
    }
    for id in ["acme", "new", "schema"] {
        for options in [Adopt::schema("app"), Adopt::in_place()] {
            drop(provisioner.adopt(id, options).await);
        }
        drop(provisioner.release(id, Adopt::schema("app")).await);
    }
    for container in ["app", "public"] {
        let options = CreateOptions::default().isolation(tenantry::IsolationKind::Schema);
        let made =
            provisioner.create("beside", options.container(container.parse().expect("a name")));
        let made = made.await;
        assert!(made.is_err(), "{container}: {made:?}");
    }
    provisioner.rename("acme", "umbrella").await.expect("it is there");
    drop(
        provisioner.drop_tenant("umbrella", "umbrella", DropOptions::default().cascade(true)).await,
    );
    drop(provisioner.drop_tenant("acme", "acme", DropOptions::default().cascade(true)).await);
}

#[tokio::test]
async fn nothing_that_is_done_to_a_tenant_reaches_another_or_the_tables() -> TestResult {
    for login in [Login::Superuser, Login::Owner] {
        let mut scene = Scene::new(login).await;
        scene.create(&["globex", "acme"]).await;
        let in_schema = CreateOptions::default().isolation(tenantry::IsolationKind::Schema);
        scene.provisioner().create("schema", in_schema).await?;
        let before = untouched(&mut scene).await;
        assert!(before.contains("globex"), "{before}");
        everything(&scene).await;
        assert_eq!(untouched(&mut scene).await, before, "{login:?}");
        assert_eq!(scene.rows("users").await, "globex 3");
        let db = scene.manager.tenant("globex").await?;
        run(&db, "insert into users (id, name) values (4, 'd')").await;
    }
    Ok(())
}
