//! What is made for a tenant can be used by whoever works on its tables, and by no means more.

use std::sync::atomic::{AtomicU32, Ordering};

use sqlx::PgConnection;
use tenantry::{
    CatalogFn, Credentials, FixedCatalog, Ident, ManagerBuilder, TableCatalog, TenantId,
    TenantManager, TenantRecord,
    migrate::MigrateOptions,
    provision::{CreateOptions, DropOptions, HowMade},
    seed::{Seed, SeedOptions},
};

use crate::{
    log::{Format, logged},
    migrate::Files,
    support::{TestResult, World, at_rest, code_of, observe, run, try_run},
};

/// A role of the test's own, which is dropped with what it owns: roles are the server's.
async fn role(world: &World, what: &str, options: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let next = NEXT.fetch_add(1, Ordering::Relaxed);
    let role = format!("{what}_{}_{next}", std::process::id());
    run(&mut world.admin().await, &format!("create role {role} {options}")).await;
    role
}

async fn drop_roles(world: &World, roles: &[&str]) {
    for role in roles {
        let admin = &mut world.admin().await;
        run(admin, &format!("drop owned by {role} cascade; drop role {role}")).await;
    }
}

const THINGS: &str = "\
    create table things (id serial primary key, name text not null); \
    create view names as select name from things; \
    create sequence numbers; \
    create type mood as enum ('good'); \
    create function twice(int) returns int language sql as 'select $1 * 2'; \
    create table audit (id int); revoke update, delete on audit from public;";

/// Does everything that somebody who works on the tables has to be able to do.
async fn work(db: impl AsyncFn(&'static str) -> Result<(), String>, whose: &str) {
    for sql in [
        "insert into things (name) values ('a')",
        "update things set name = 'b'",
        "select count(*) from names",
        "select nextval('numbers'), twice(2), 'good'::mood",
        "insert into audit values (1)",
        "delete from things",
    ] {
        assert_eq!(db(sql).await, Ok(()), "{whose}: {sql}");
    }
    for sql in [
        "create table mine (id int)",
        "alter table things add x int",
        "drop table things",
        "truncate things",
        "create trigger t before insert on things for each row execute function suppress_redundant_updates_trigger()",
        "select * from _sqlx_migrations",
        "delete from _sqlx_migrations",
        "create function f() returns int language sql as 'select 1'",
    ] {
        assert_eq!(db(sql).await, Err("error 42501".into()), "{whose}: {sql}");
    }
}

async fn work_as_tenant(manager: &TenantManager, tenant: &str) {
    let db = manager.tenant(tenant).await.expect("it is listed");
    work(async |sql| try_run(&db, sql).await.map_err(|error| code_of(&error)), tenant).await;
}

fn by_role(world: &World, role: &str) -> ManagerBuilder {
    let role = Ident::parse(role).expect("an identifier");
    let record = move |id: TenantId| TenantRecord::new(id).role(role.clone());
    world.builder().catalog(CatalogFn::new(move |id: TenantId| {
        let record = record(id);
        async move { Ok(Some(record)) }
    }))
}

#[tokio::test]
async fn a_tenants_role_can_use_what_was_made_however_that_was() -> TestResult {
    let world = World::new().await;
    let tenants = role(&world, "tenants", "").await;
    let manager = by_role(&world, &tenants).build()?;
    let files = Files::new(&[("0001_things.sql", THINGS.replace("revoke", "-- revoke"))]);
    let seed = Seed::sql("one", "insert into audit values (0)");
    let provisioner = manager.provisioner().tenants(files.read()).seed(seed.clone());
    let how = provisioner.create("once", CreateOptions::default()).await?.how;
    assert_eq!(how, HowMade::AtOnce);
    work_as_tenant(&manager, "once").await;
    let steps = CreateOptions::default().keep_failed(true);
    assert_eq!(provisioner.create("steps", steps).await?.how, HowMade::InSteps);
    work_as_tenant(&manager, "steps").await;
    let named = CreateOptions::default().role(Ident::parse(&tenants)?);
    assert_eq!(provisioner.create("named", named).await?.how, HowMade::AtOnce);
    work_as_tenant(&manager, "named").await;
    let seeds = observe(&manager.tenant("once").await?, "select * from _tenantry_seeds").await;
    assert_eq!(seeds, "error 42501");
    // What comes later is covered, inside of a transaction and outside.
    files.write(
        "0002_later.sql",
        "create table later (id serial); create table read_only (id int);",
    );
    files.write(
        "0003_revoked.sql",
        format!("revoke insert, update, delete on read_only from {tenants};"),
    );
    files.write("0004_outside.sql", "-- no-transaction\ncreate table outside (id serial);");
    let migrator = manager.migrator().tenants(files.read());
    for _ in 0..2 {
        let report = migrator.migrate(["once", "steps"], MigrateOptions::default()).await?;
        assert!(report.is_success(), "{report}");
        for tenant in ["once", "steps"] {
            let db = manager.tenant(tenant).await?;
            run(&db, "insert into later default values; insert into outside default values").await;
            run(&db, "select * from read_only").await;
            let refused = try_run(&db, "insert into read_only values (1)").await.unwrap_err();
            assert_eq!(code_of(&refused), "error 42501");
        }
    }
    let report = manager.seeder().seed(["once"], &seed, SeedOptions::default()).await?;
    assert!(report.is_success());
    manager.close().await;
    drop_roles(&world, &[&tenants]).await;
    Ok(())
}

#[tokio::test]
async fn a_spare_gets_the_rights_of_the_tenant_it_becomes() -> TestResult {
    let world = World::new().await;
    let tenants = role(&world, "tenants", "").await;
    let manager = by_role(&world, &tenants).build()?;
    let things = THINGS.replace("revoke update, delete on audit from public;", "");
    let files = Files::new(&[("0001_things.sql", things)]);
    let provisioner = manager.provisioner().tenants(files.read());
    provisioner.fill_spares(2).await?;
    files.write("0002_later.sql", "create table later (id serial);");
    let newer = manager.provisioner().tenants(files.read());
    for (provisioner, tenant) in [(&provisioner, "spare"), (&newer, "behind")] {
        let created = provisioner.create(tenant, CreateOptions::default()).await?;
        assert_eq!(created.how, HowMade::Spare);
        work_as_tenant(&manager, tenant).await;
    }
    run(&manager.tenant("behind").await?, "insert into later default values").await;
    // What a file takes away would be given back: such a tenant is made anew.
    newer.fill_spares(1).await?;
    files.write("0003_no.sql", format!("revoke insert on later from {tenants};"));
    let revoking = manager.provisioner().tenants(files.read());
    let created = revoking.create("anew", CreateOptions::default()).await?;
    assert_eq!(created.how, HowMade::AtOnce);
    let anew = manager.tenant("anew").await?;
    let refused = try_run(&anew, "insert into later default values").await.unwrap_err();
    assert_eq!(code_of(&refused), "error 42501");
    manager.close().await;
    drop_roles(&world, &[&tenants]).await;
    Ok(())
}

#[tokio::test]
async fn a_role_that_comes_later_gets_what_is_there() -> TestResult {
    let world = World::new().await;
    let files = Files::new(&[("0001_things.sql", THINGS)]);
    let manager = world.manager();
    manager.provisioner().tenants(files.read()).create("acme", CreateOptions::default()).await?;
    manager.provisioner().tenants(files.read()).create("globex", CreateOptions::default()).await?;
    manager.close().await;
    let tenants = role(&world, "tenants", "").await;
    let readers = role(&world, "readers", "").await;
    // This one was set up by hand, to read.
    let by_hand = format!(
        "grant usage on schema tenant_globex to {readers}; \
         grant select on all tables in schema tenant_globex to {readers}"
    );
    run(&mut world.admin().await, &by_hand).await;
    let record = |id: &str, role: &str| {
        let id = id.parse().expect("an id");
        TenantRecord::new(id).role(Ident::parse(role).expect("an identifier"))
    };
    let records =
        vec![record("acme", &tenants), record("globex", &readers), record("none", "no_such_role")];
    let manager = world.builder().catalog(FixedCatalog::new(records)).build()?;
    // There is nothing to migrate.
    let migrator = manager.migrator().tenants(files.read());
    for _ in 0..2 {
        let report = migrator.migrate(["acme", "globex"], MigrateOptions::default()).await?;
        assert!(report.is_success(), "{report}");
        work_as_tenant(&manager, "acme").await;
    }
    files.write("0002_later.sql", "create table later (id int);");
    let migrator = manager.migrator().tenants(files.read());
    assert!(migrator.migrate(["acme", "globex"], MigrateOptions::default()).await?.is_success());
    let globex = manager.tenant("globex").await?;
    for table in ["things", "later"] {
        assert_eq!(
            observe(&globex, &format!("select count(*) from {table}")).await,
            r#"Some("0")"#
        );
        let refused = try_run(&globex, &format!("delete from {table}")).await.unwrap_err();
        assert_eq!(code_of(&refused), "error 42501", "{table}");
    }
    manager.close().await;
    drop_roles(&world, &[&tenants, &readers]).await;
    Ok(())
}

/// Two logins: one that owns what there is, and one that serves and owns nothing.
async fn owner_and_app(world: &World) -> (String, String) {
    let owner = role(world, "owner", "login password 's3cret'").await;
    let app = role(world, "app", "login password 'pl4in'").await;
    let database = world.database.url().rsplit('/').next().expect("it has a name").to_owned();
    let database = database.split('?').next().expect("it has a name").to_owned();
    let grant = format!(
        "grant create on database \"{database}\" to {owner}; grant create, usage on schema public to {owner}; revoke create on schema public from public"
    );
    run(&mut world.admin().await, &grant).await;
    (owner, app)
}

async fn owned_by(admin: &mut PgConnection, role: &str) -> i64 {
    sqlx::query_scalar(
        "select (select count(*) from pg_class where relowner = $1::text::regrole) \
         + (select count(*) from pg_namespace where nspowner = $1::text::regrole) \
         + (select count(*) from pg_proc where proowner = $1::text::regrole)",
    )
    .bind(role)
    .fetch_one(admin)
    .await
    .expect("the server is running")
}

#[tokio::test]
async fn the_role_that_serves_owns_nothing_and_may_create_nothing() -> TestResult {
    for budget in [1, 2, 10] {
        let world = World::new().await;
        let (owner, app) = owner_and_app(&world).await;
        let connect: sqlx::postgres::PgConnectOptions = world.database.url().parse()?;
        let catalog = || TableCatalog::default();
        let connect = connect.username(&app).password("pl4in");
        let budget = budget + 1; // One listens.
        let manager = TenantManager::builder_with(connect)
            .catalog(catalog())
            .max_connections(budget)
            .upkeep_credentials(Credentials::new(&owner).password("s3cret"))
            .build()?;
        for _ in 0..2 {
            catalog().create_table(manager.shared()).await?;
        }
        let files = Files::new(&[("0001_things.sql", THINGS)]);
        let shared = Files::new(&[(
            "0001_plans.sql",
            "create table if not exists plans (id serial, name text);",
        )]);
        let seed = Seed::sql("one", "insert into audit values (0)");
        let provisioner = manager.provisioner().tenants(files.read()).seed(seed);
        assert_eq!(
            provisioner.create("once", CreateOptions::default()).await?.how,
            HowMade::AtOnce
        );
        provisioner.fill_spares(1).await?;
        assert_eq!(
            provisioner.create("spare", CreateOptions::default()).await?.how,
            HowMade::Spare
        );
        files.write("0002_out.sql", "-- no-transaction\ncreate table outside (id serial);");
        let provisioner = manager.provisioner().tenants(files.read());
        assert_eq!(
            provisioner.create("steps", CreateOptions::default()).await?.how,
            HowMade::InSteps
        );
        let migrator = manager.migrator().tenants(files.read()).shared(shared.read());
        let report = migrator.migrate_all(MigrateOptions::default()).await?;
        assert!(report.is_success(), "{report}");
        for tenant in ["once", "spare", "steps"] {
            work_as_tenant(&manager, tenant).await;
            run(&manager.tenant(tenant).await?, "insert into outside default values").await;
        }
        run(manager.shared(), "insert into plans (name) values ('pro')").await;
        for table in ["_sqlx_migrations", "tenantry_retired"] {
            let seen = observe(manager.shared(), &format!("select count(*) from {table}")).await;
            assert!(["error 42501", "error 42P01"].contains(&&*seen), "{table}: {seen}");
        }
        provisioner.suspend("once").await?;
        provisioner.resume("once").await?;
        provisioner.rename("once", "renamed").await?;
        work_as_tenant(&manager, "renamed").await;
        for tenant in ["renamed", "spare", "steps"] {
            provisioner.drop_tenant(tenant, tenant, DropOptions::default()).await?;
        }
        assert_eq!(owned_by(&mut world.admin().await, &app).await, 0);
        at_rest(&manager).await;
        manager.close().await;
        drop_roles(&world, &[&app, &owner]).await;
    }
    Ok(())
}

#[tokio::test]
async fn tenants_with_roles_and_logins_are_served_beside_an_upkeep_of_its_own() -> TestResult {
    let world = World::new().await;
    let (owner, app) = owner_and_app(&world).await;
    let tenants = role(&world, "tenants", "").await;
    let login = role(&world, "login", "login password 'w1de'").await;
    run(&mut world.admin().await, &format!("grant {tenants} to {app}")).await;
    let connect: sqlx::postgres::PgConnectOptions = world.database.url().parse()?;
    let (with_role, user) = (Ident::parse(&tenants)?, login.clone());
    let manager =
        TenantManager::builder_with(connect.username(&app).password("pl4in"))
            .catalog(CatalogFn::new(move |id: TenantId| {
                let record = TenantRecord::new(id.clone());
                let with_role = with_role.clone();
                async move {
                    Ok(Some(if id.as_str() == "role" { record.role(with_role) } else { record }))
                }
            }))
            .dedicate(|record| record.id.as_str() == "login")
            .credentials(move |_| {
                let user = user.clone();
                async move { Ok(Some(Credentials::new(user).password("w1de"))) }
            })
            .upkeep_credentials(Credentials::new(&owner).password("s3cret"))
            .build()?;
    assert!(!format!("{manager:?}").contains("s3cret"));
    let files = Files::new(&[("0001_things.sql", THINGS)]);
    let provisioner = manager.provisioner().tenants(files.read());
    for tenant in ["role", "login", "neither"] {
        provisioner.create(tenant, CreateOptions::default()).await?;
        work_as_tenant(&manager, tenant).await;
    }
    files.write("0002_later.sql", "create table later (id serial);");
    let migrator = manager.migrator().tenants(files.read());
    let report = migrator.migrate(["role", "login", "neither"], MigrateOptions::default()).await?;
    assert!(report.is_success(), "{report}");
    for tenant in ["role", "login", "neither"] {
        run(&manager.tenant(tenant).await?, "insert into later default values").await;
    }
    let who = observe(&manager.tenant("login").await?, "select session_user").await;
    assert_eq!(who, format!("{:?}", Some(&login)));
    // Nobody reads another tenant's tables.
    let other = observe(&manager.tenant("login").await?, "select * from tenant_role.things").await;
    assert_eq!(other, "error 42501");
    manager.close().await;
    drop_roles(&world, &[&login, &tenants, &app, &owner]).await;
    Ok(())
}

#[tokio::test]
async fn functions_and_types_follow_what_the_owner_lets_everybody_have() -> TestResult {
    let world = World::new().await;
    let (owner, app) = owner_and_app(&world).await;
    let closed = format!(
        "alter default privileges for role {owner} revoke execute on functions from public; \
         alter default privileges for role {owner} revoke usage on types from public"
    );
    run(&mut world.admin().await, &closed).await;
    let connect: sqlx::postgres::PgConnectOptions = world.database.url().parse()?;
    let manager = TenantManager::builder_with(connect.username(&app).password("pl4in"))
        .upkeep_credentials(Credentials::new(&owner).password("s3cret"))
        .build()?;
    let secret = "create function secret() returns int language sql as 'select 1'; revoke execute on function secret() from public;";
    let files = Files::new(&[("0001_things.sql", THINGS.to_owned() + secret)]);
    let provisioner = manager.provisioner().tenants(files.read());
    provisioner.create("acme", CreateOptions::default()).await?;
    work_as_tenant(&manager, "acme").await;
    manager.close().await;
    run(&mut world.admin().await, &format!("alter default privileges for role {owner} grant execute on functions to public; alter default privileges for role {owner} grant usage on types to public")).await;
    let connect: sqlx::postgres::PgConnectOptions = world.database.url().parse()?;
    let manager = TenantManager::builder_with(connect.username(&app).password("pl4in"))
        .upkeep_credentials(Credentials::new(&owner).password("s3cret"))
        .build()?;
    // What a file takes from everybody is taken from this role, too.
    manager.provisioner().tenants(files.read()).create("globex", CreateOptions::default()).await?;
    let refused = observe(&manager.tenant("globex").await?, "select secret()").await;
    assert_eq!(refused, "error 42501");
    manager.close().await;
    drop_roles(&world, &[&app, &owner]).await;
    Ok(())
}

#[tokio::test]
async fn nothing_is_widened_and_nothing_is_written_twice() -> TestResult {
    let world = World::new().await;
    let tenants = role(&world, "tenants", "").await;
    let manager = by_role(&world, &tenants).build()?;
    let files = Files::new(&[("0001_things.sql", THINGS)]);
    let provisioner = manager.provisioner().tenants(files.read());
    provisioner.create("acme", CreateOptions::default()).await?;
    let mut admin = world.admin().await;
    // Whoever operates the database takes something away, and it stays so.
    run(&mut admin, &format!("revoke delete on tenant_acme.things from {tenants}")).await;
    let state = "select string_agg(concat(relname, relacl, xmin), ' ' order by relname) from pg_class \
                 where relnamespace = 'tenant_acme'::regnamespace";
    let before = observe(&mut admin, state).await;
    let migrator = manager.migrator().tenants(files.read());
    for _ in 0..2 {
        assert!(migrator.migrate(["acme"], MigrateOptions::default()).await?.is_success());
    }
    assert_eq!(observe(&mut admin, state).await, before);
    files.write("0002_later.sql", "create table later (id int);");
    let migrator = manager.migrator().tenants(files.read());
    assert!(migrator.migrate(["acme"], MigrateOptions::default()).await?.is_success());
    let acme = manager.tenant("acme").await?;
    assert_eq!(observe(&acme, "delete from things").await, "error 42501");
    run(&acme, "delete from later").await;
    manager.close().await;
    drop_roles(&world, &[&tenants]).await;
    Ok(())
}

#[tokio::test]
async fn a_login_whose_credentials_do_not_come_is_seen_to_later() -> TestResult {
    let world = World::new().await;
    let login = role(&world, "login", "login password 'w1de'").await;
    let build = |sealed: bool| {
        let user = login.clone();
        let acme = TenantRecord::new("acme".parse().expect("an id"));
        world
            .builder()
            .catalog(FixedCatalog::new([acme]))
            .dedicate(|_| true)
            .credentials(move |_| {
                let user = user.clone();
                async move {
                    match sealed {
                        true => Err(tenantry::Error::catalog("the vault is sealed")),
                        false => Ok(Some(Credentials::new(user).password("w1de"))),
                    }
                }
            })
            .build()
    };
    let files = Files::new(&[("0001_things.sql", THINGS)]);
    let manager = build(true)?;
    let provisioner = manager.provisioner().tenants(files.read());
    assert!(provisioner.create("acme", CreateOptions::default()).await.is_err());
    assert_eq!(
        observe(&mut world.admin().await, "select to_regnamespace('tenant_acme')").await,
        "None"
    );
    manager.close().await;
    // Made by hand, and up to date: it is not for want of a secret that a deploy fails.
    let plain = world.manager();
    plain.provisioner().tenants(files.read()).create("acme", CreateOptions::default()).await?;
    plain.close().await;
    for sealed in [true, false] {
        let manager = build(sealed)?;
        let migrator = manager.migrator().tenants(files.read());
        let report = migrator.migrate_all(MigrateOptions::default()).await?;
        assert!(report.is_success(), "{report}");
        if !sealed {
            work_as_tenant(&manager, "acme").await;
        }
        manager.close().await;
    }
    drop_roles(&world, &[&login]).await;
    Ok(())
}

#[tokio::test]
async fn a_role_that_may_plant_something_is_warned_of() -> TestResult {
    let world = World::new().await;
    let tenants = role(&world, "tenants", "").await;
    let manager = by_role(&world, &tenants).build()?;
    let files = Files::new(&[("0001_things.sql", THINGS)]);
    let provisioner = manager.provisioner().tenants(files.read());
    for tenant in ["acme", "globex", "sound"] {
        provisioner.create(tenant, CreateOptions::default()).await?;
    }
    let plant = format!(
        "grant create on schema tenant_acme to {tenants}; \
         grant all on all tables in schema tenant_globex to {tenants}"
    );
    run(&mut world.admin().await, &plant).await;
    let migrator = manager.migrator().tenants(files.read());
    let told = logged(Format::Full, async {
        let tenants = ["acme", "globex", "sound"];
        assert!(migrator.migrate(tenants, MigrateOptions::default()).await?.is_success());
        Ok(())
    });
    let told = told.await;
    for named in ["tenant_acme", "tenant_globex"] {
        assert!(told.contains(&format!("{tenants} in {named}")), "{told}");
    }
    assert!(!told.contains(&format!("{tenants} in tenant_sound")), "{told}");
    manager.close().await;
    drop_roles(&world, &[&tenants]).await;
    Ok(())
}

#[tokio::test]
async fn a_catalog_that_cannot_store_a_role_refuses_it() -> TestResult {
    let world = World::new().await;
    let manager = world.builder().catalog(TableCatalog::new()).build()?;
    TableCatalog::new().create_table(manager.shared()).await?;
    let named = CreateOptions::default().role(Ident::parse("pg_monitor")?);
    let refused = manager.provisioner().create("acme", named).await.expect_err("not stored");
    assert_eq!(refused.kind(), tenantry::ErrorKind::Config);
    let reason = std::error::Error::source(&refused).map(ToString::to_string);
    assert!(reason.is_some_and(|reason| reason.contains("TableCatalog has no column")));
    let created = manager.provisioner().create("acme", CreateOptions::default()).await;
    assert!(created.is_ok(), "nothing was left behind: {created:?}");
    Ok(())
}

#[tokio::test]
async fn a_role_that_does_not_exist_is_refused_and_warned_of() -> TestResult {
    let world = World::new().await;
    for name in ["nobody_has_this_role", "public", "none"] {
        let manager = by_role(&world, name).build()?;
        let (files, what) = (Files::new(&[("0001_a.sql", "create table a (id int)")]), name);
        let provisioner = manager.provisioner().tenants(files.read());
        let refused = provisioner.create("acme", CreateOptions::default()).await;
        let refused = refused.expect_err("it could not be served");
        assert_eq!(refused.kind(), tenantry::ErrorKind::Config, "{refused}");
        let told = refused.to_string();
        assert!(
            told.contains("acme") && told.contains(&format!("{what:?} does not exist")),
            "{told}"
        );
        manager.close().await;
    }
    let admin = &mut world.admin().await;
    let left = "select from pg_namespace where nspname = 'tenant_acme'";
    assert!(sqlx::query(left).fetch_optional(&mut *admin).await?.is_none());
    // A tenant that is there is migrated all the same.
    run(admin, "create schema tenant_acme").await;
    let manager = by_role(&world, "nobody_has_this_role").build()?;
    let files = Files::new(&[("0001_a.sql", "create table a (id int)")]);
    let migrator = manager.migrator().tenants(files.read());
    let told = logged(Format::Full, async {
        assert!(migrator.migrate(["acme"], MigrateOptions::default()).await?.is_success());
        Ok(())
    });
    let told = told.await;
    assert!(told.contains("nobody_has_this_role in tenant_acme"), "{told}");
    Ok(())
}
