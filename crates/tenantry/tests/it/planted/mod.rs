//! Nothing that a tenant or an application has planted runs in the library's own statements.

mod traps;

use sqlx::PgConnection;
use tenantry::{
    HealthOf, HealthOptions, HealthStatus, ManagerBuilder, TableCatalog, TenantManager, WarmUp,
    migrate::{Lint, MigrateOptions, Migrations, Schemas},
    provision::{CreateOptions, DropOptions, HowMade, Provisioner},
    seed::{Seed, SeedOptions},
};

use crate::{
    migrate::Files,
    support::{TestResult, World, at_rest, observe, run},
};
use traps::{Traps, tripped};

/// A database in which the shared schema is full of traps, and migrations that fill a tenant's with them.
struct Planted {
    world: World,
    tenants: Files,
    shared: Files,
}

impl Planted {
    async fn new() -> Self {
        let world = World::new().await;
        let traps = Traps::new();
        let mut admin = world.admin().await;
        traps.arm(&mut admin).await;
        run(&mut admin, &format!("set search_path = public; {}", traps.sql())).await;
        let tenants = Files::new(&[("0001_traps.sql", traps.sql())]);
        tenants.write("0002_notes.sql", "create table notes (id int primary key, body text);");
        let shared = Files::new(&[("0001_plans.sql", "create table plans (id int primary key);")]);
        Self { world, tenants, shared }
    }

    fn migrations(&self) -> Migrations {
        self.tenants.read().lint(Lint::default().allow_schema("trips"))
    }

    fn builder(&self) -> ManagerBuilder {
        self.world.builder().max_connections(4)
    }

    /// A manager whose tenants are listed in a table, with ids of another type than the library makes them.
    async fn with_table(&self, see_shared: bool) -> TenantManager {
        let catalog = TableCatalog::new();
        let manager = self.builder().catalog(catalog.clone()).tenants_see_shared(see_shared);
        let manager = manager.build().expect("it is sound");
        catalog.create_table(manager.shared()).await.expect("the server is running");
        let mut admin = self.world.admin().await;
        run(&mut admin, "alter table public.tenants alter id type pg_catalog.varchar").await;
        manager
    }
}

/// Does everything that the library does on its own account.
async fn do_everything(planted: &Planted, manager: &TenantManager) -> TestResult {
    let provisioner = manager.provisioner().tenants(planted.migrations());
    let provisioner = provisioner.seed(Seed::sql("one", "insert into notes (id) values (1)"));
    create(&provisioner).await?;
    migrate(planted, manager).await?;
    seed(manager).await?;
    look(manager).await?;
    change(&provisioner).await?;
    at_rest(manager).await;
    Ok(())
}

async fn create(provisioner: &Provisioner) -> TestResult {
    let in_steps = CreateOptions::default().keep_failed(true);
    assert_eq!(provisioner.create("steps", in_steps).await?.how, HowMade::InSteps);
    assert_eq!(provisioner.create("acme", CreateOptions::default()).await?.how, HowMade::AtOnce);
    assert_eq!(provisioner.fill_spares(1).await?.made, 1);
    assert_eq!(provisioner.fill_spares(1).await?.ready, 1);
    assert_eq!(provisioner.create("spare", CreateOptions::default()).await?.how, HowMade::Spare);
    assert!(provisioner.create("acme", CreateOptions::default()).await.is_err());
    Ok(())
}

async fn migrate(planted: &Planted, manager: &TenantManager) -> TestResult {
    let files = &planted.tenants;
    files.write("0003_author.sql", "alter table notes add author text;");
    files
        .write("0004_index.sql", "-- no-transaction\ncreate index concurrently on notes (author);");
    let migrator = manager.migrator().tenants(planted.migrations()).shared(planted.shared.read());
    for _ in 0..2 {
        assert!(migrator.plan(Schemas::AllTenants, &MigrateOptions::default()).await?.total >= 3);
        drop(migrator.plan(Schemas::Shared, &MigrateOptions::default()).await?);
        let report = migrator.migrate_all(MigrateOptions::default()).await?;
        assert!(report.is_success(), "{report}");
    }
    files.remove("0004_index.sql");
    files.write("0005_later.sql", "alter table notes add later text;");
    let migrator = manager.migrator().tenants(planted.migrations());
    let named = || Schemas::tenants(["acme"]);
    let options = MigrateOptions::default;
    // Version 5 is not there: it is only noted, and version 4 is only forgotten.
    let reports = [
        migrator.forget_orphans(named(), options()).await?,
        migrator.mark_applied(named(), None, options()).await?,
        migrator.forget_dirty(named(), options()).await?,
    ];
    for report in reports {
        assert!(report.is_success(), "{report}");
    }
    Ok(())
}

async fn seed(manager: &TenantManager) -> TestResult {
    let two = Seed::sql("two", "insert into notes (id) values (2)");
    let three = Seed::with_db("three", |db| async move {
        sqlx::query("insert into notes (id) values (3)").execute(&db).await.map(drop)
    });
    for seed in [&two, &two, &three, &three] {
        let report = manager.seeder().seed_all(seed, SeedOptions::default()).await?;
        assert!(report.is_success(), "{report}");
    }
    let plans = Seed::sql("plans", "insert into plans (id) values (1)");
    let report = manager.seeder().seed_shared(&plans, SeedOptions::default()).await?;
    assert!(report.is_success(), "{report}");
    Ok(())
}

async fn look(manager: &TenantManager) -> TestResult {
    let listed = manager.tenants().await?;
    let ids: Vec<_> = listed.into_iter().map(|record| record.id).collect();
    assert!(ids.len() >= 3, "{ids:?}");
    let warmed = manager.warm_up(&ids, WarmUp::default().ping(true)).await;
    assert_eq!(warmed.failed, 0, "{warmed:?}");
    for of in [HealthOf::Bound, HealthOf::These(ids.clone())] {
        let report = manager.health(HealthOptions::default().tenants(of)).await;
        assert_eq!(report.status, HealthStatus::Ok, "{report:?}");
    }
    for id in ids {
        let db = manager.tenant(id).await?;
        sqlx::query("select id from notes").fetch_all(&db).await?;
        let mut tx = db.begin().await?;
        sqlx::query("select id from notes").fetch_all(&mut *tx).await?;
        tx.commit().await?;
    }
    assert!(manager.tenant("nobody").await.is_err());
    sqlx::query("select id from plans").fetch_all(manager.shared()).await?;
    Ok(())
}

async fn change(provisioner: &Provisioner) -> TestResult {
    provisioner.rename("spare", "other").await?;
    let look = DropOptions::default().dry_run(true);
    assert!(provisioner.drop_tenant("other", "other", look).await?.objects.len() > 100);
    // In several batches.
    let drop = DropOptions::default().batch(200);
    assert!(provisioner.drop_tenant("other", "other", drop).await?.transactions > 2);
    provisioner.fill_spares(0).await?;
    Ok(())
}

/// Notes the uses of traps, and says of what was done before.
async fn untouched(admin: &mut PgConnection, what: &str) {
    assert_eq!(tripped(admin).await, Vec::<String>::new(), "{what}");
}

#[tokio::test]
async fn what_is_planted_is_found_where_no_schema_is_named() -> TestResult {
    let planted = Planted::new().await;
    let mut admin = planted.world.admin().await;
    untouched(&mut admin, "nothing was done").await;
    for (path, sql, trap) in [
        ("public", "select 'a'::varchar = 'a'::text", "=(varchar, text)"),
        ("public", "select lower('a'::varchar)", "lower(varchar)"),
        ("public", "select unnest('{a}'::text[])", "unnest(text[])"),
        ("public", "select 1::oid = 1::int4", "=(oid, int4)"),
        ("public", "select count(1)", "step(int8, int4)"),
        ("public, pg_catalog", "select 'a'::name <> 'a'", "<>(name, name)"),
        ("public, pg_catalog", "select 'a'::text", "domain(text)"),
        ("public, pg_catalog", "select now()", "now()"),
        ("public, pg_catalog", "begin; select 1 in (2); rollback", "=(int4, int4)"),
    ] {
        drop(tripped(&mut admin).await);
        run(&mut admin, &format!("set search_path = {path}")).await;
        run(&mut admin, sql).await;
        let found = tripped(&mut admin).await;
        assert!(found.iter().any(|found| found.starts_with(trap)), "{sql}: {found:?}");
    }
    Ok(())
}

#[tokio::test]
async fn nothing_that_is_planted_is_found_by_the_library() -> TestResult {
    for see_shared in [false, true] {
        let planted = Planted::new().await;
        let mut admin = planted.world.admin().await;
        let manager = planted.with_table(see_shared).await;
        untouched(&mut admin, "the table was created").await;
        do_everything(&planted, &manager).await?;
        untouched(&mut admin, "everything was done").await;
        let provisioner = manager.provisioner();
        provisioner.suspend("acme").await?;
        assert!(manager.tenant("acme").await.is_err());
        provisioner.resume("acme").await?;
        manager.tenant("acme").await?;
        untouched(&mut admin, "a state was written").await;
        manager.close().await;
    }
    Ok(())
}

#[tokio::test]
async fn nothing_that_is_planted_is_found_when_schemas_are_the_catalog() -> TestResult {
    for see_shared in [false, true] {
        let planted = Planted::new().await;
        let mut admin = planted.world.admin().await;
        let manager = planted.builder().tenants_see_shared(see_shared).build()?;
        do_everything(&planted, &manager).await?;
        untouched(&mut admin, "everything was done").await;
        manager.close().await;
    }
    Ok(())
}

#[tokio::test]
async fn whoever_changes_the_list_of_tenants_runs_nothing_that_is_planted() -> TestResult {
    let planted = Planted::new().await;
    let mut admin = planted.world.admin().await;
    let manager = planted.with_table(false).await;
    for change in [
        "insert into public.tenants (id) values ('acme')",
        "update public.tenants set state = 'suspended'",
        "delete from public.tenants",
        "truncate public.tenants",
    ] {
        drop(tripped(&mut admin).await);
        run(&mut admin, "set search_path = public, pg_catalog").await;
        run(&mut admin, change).await;
        untouched(&mut admin, change).await;
    }
    let error = "insert into public.tenants (id, state) values ('acme', 'odd')";
    assert_eq!(observe(&mut admin, error).await, "error 23514");
    manager.close().await;
    Ok(())
}

/// Puts the schema of the session before `pg_catalog`, so that everything planted in it is preferred. The lint
/// does not see it.
const TURN: &str = "do $do$ begin \
    execute pg_catalog.concat('set sea', 'rch_path = ', pg_catalog.current_schema(), ', pg_catalog'); \
    end $do$;";

#[tokio::test]
async fn nothing_is_found_after_a_file_has_turned_the_search_path_around() -> TestResult {
    let planted = Planted::new().await;
    let mut admin = planted.world.admin().await;
    let manager = planted.with_table(false).await;
    planted.tenants.write("0003_turn.sql", TURN);
    let provisioner = manager.provisioner().tenants(planted.migrations());
    let provisioner = provisioner.seed(Seed::sql("one", "insert into notes (id) values (1)"));
    create(&provisioner).await?;
    untouched(&mut admin, "tenants were created").await;
    planted.tenants.write("0004_turn.sql", format!("-- no-transaction\n{TURN}\n{TURN}"));
    planted.tenants.write("0005_turn.sql", TURN);
    let migrator = manager.migrator().tenants(planted.migrations());
    let report = migrator.migrate_all(MigrateOptions::default()).await?;
    assert!(report.is_success() && report.migrated >= 3, "{report}");
    untouched(&mut admin, "they were migrated").await;
    at_rest(&manager).await;
    manager.close().await;
    Ok(())
}

/// What a role can do to itself, and what survives every `reset all`.
#[tokio::test]
async fn nothing_is_found_when_the_role_has_the_search_path_turned_around() -> TestResult {
    for path in ["tenant_acme, pg_catalog", "public, pg_catalog"] {
        let planted = Planted::new().await;
        let mut admin = planted.world.admin().await;
        let turn = format!(
            "do $$ begin execute pg_catalog.format('alter role current_user in database %I \
             set search_path = {path}', pg_catalog.current_database()); end $$"
        );
        run(&mut admin, &turn).await;
        let manager = planted.with_table(false).await;
        do_everything(&planted, &manager).await?;
        untouched(&mut admin, path).await;
        manager.close().await;
    }
    Ok(())
}
