//! Seeds: run once in each schema, all of it or nothing, and told for every tenant.

use std::{fs, sync::Arc};

use tenantry::{
    ErrorKind, TableCatalog, TenantDb,
    migrate::{Lint, OnFailure},
    seed::{Seed, SeedOptions, SeedOutcome, SeedReport},
};

use crate::support::{TestResult, World, create_tenant, observe, run};

fn options() -> SeedOptions {
    SeedOptions::default()
}

/// A seed that puts a user into the table that every tenant of a [`World`] has.
fn second_user() -> Seed {
    Seed::new("second user", |tx| {
        Box::pin(async move {
            let name = tx.tenant().map(ToString::to_string);
            let insert = "insert into users (id, name) values (2, $1)";
            sqlx::query(insert).bind(name).execute(&mut **tx).await?;
            Ok(())
        })
    })
}

async fn names(db: &TenantDb) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar("select name from users order by id").fetch_all(db).await
}

fn outcomes(report: &SeedReport) -> Vec<(&str, &str)> {
    let tenants = report.tenants.iter();
    let outcome = |tenant: &'_ tenantry::seed::TenantSeed| tenant.outcome.as_str();
    tenants.map(|t| (t.tenant_id.as_deref().unwrap_or("(shared)"), outcome(t))).collect()
}

#[tokio::test]
async fn every_tenant_is_seeded_once_with_its_own_data() -> TestResult {
    let world = World::with_tenants(&["acme", "globex", "initech"]).await;
    let manager = world.manager();
    let seeder = manager.seeder();
    let report = seeder.seed(["acme", "acme"], &second_user(), options()).await?;
    assert_eq!((report.total, report.seeded), (1, 1), "{report}");
    let report = seeder.seed_all(&second_user(), options().concurrency(2)).await?;
    assert_eq!((report.total, report.seeded, report.already), (3, 2, 1), "{report}");
    for id in ["acme", "globex", "initech"] {
        assert_eq!(names(&manager.tenant(id).await?).await?, [id, id]);
    }
    let report = seeder.seed_all(&second_user(), options()).await?;
    assert!(report.is_success() && report.already == 3, "{report}");
    Ok(())
}

#[tokio::test]
async fn a_seed_that_fails_leaves_nothing_and_keeps_nobody_else_from_theirs() -> TestResult {
    let world = World::with_tenants(&["acme", "globex"]).await;
    let manager = world.manager();
    let odd = Seed::new("odd", |tx| {
        Box::pin(async move {
            sqlx::query("insert into users values (2, 'x')").execute(&mut **tx).await?;
            match tx.tenant().map(|id| id.as_str()) {
                Some("acme") => Err("not on a Monday".into()),
                _ => Ok(()),
            }
        })
    });
    let report = manager.seeder().seed(["acme", "globex", "nobody"], &odd, options()).await?;
    let expected = [("acme", "failed"), ("globex", "seeded"), ("nobody", "failed")];
    assert_eq!(outcomes(&report), expected, "{report}");
    assert!(report.to_string().contains("not on a Monday"), "{report}");
    assert_eq!(serde_json::to_value(&report)?["tenants"][0]["outcome"], "failed");
    let SeedOutcome::Failed { error } = &report.tenants[2].outcome else { panic!("{report}") };
    assert_eq!(error.kind(), ErrorKind::UnknownTenant);
    assert_eq!(names(&manager.tenant("acme").await?).await?, ["acme"]);
    let report = manager.seeder().seed(["acme"], &second_user(), options()).await?;
    assert!(report.is_success(), "{report}");
    Ok(())
}

#[tokio::test]
async fn abort_leaves_the_rest_not_started() -> TestResult {
    let world = World::with_tenants(&["a", "b", "c", "d"]).await;
    let refuses = Seed::new("refuses", |_| Box::pin(async { Err("no".into()) }));
    let abort = options().concurrency(1).on_failure(OnFailure::Abort);
    let report = world.manager().seeder().seed_all(&refuses, abort).await?;
    assert_eq!((report.failed, report.not_started), (1, 3), "{report}");
    let none = world.manager().seeder().seed_all(&refuses, options().concurrency(0)).await;
    assert_eq!(none.unwrap_err().kind(), ErrorKind::Config);
    Ok(())
}

#[tokio::test]
async fn a_repeatable_seed_runs_every_time() -> TestResult {
    let world = World::with_tenants(&["acme"]).await;
    let manager = world.manager();
    let more =
        Seed::sql("more", "insert into users select max(id) + 1, 'more' from users; select 1;")
            .repeatable();
    for _ in 0..3 {
        assert_eq!(manager.seeder().seed_all(&more, options()).await?.seeded, 1);
    }
    assert_eq!(names(&manager.tenant("acme").await?).await?, ["acme", "more", "more", "more"]);
    let recorded = "select (to_regclass('tenant_acme._tenantry_seeds') is null)::text";
    assert_eq!(observe(&mut world.admin().await, recorded).await, "Some(\"true\")");
    Ok(())
}

#[tokio::test]
async fn a_closure_can_have_the_database_itself() -> TestResult {
    let world = World::with_tenants(&["acme"]).await;
    let manager = world.manager();
    let seed = Seed::with_db("many", |db: TenantDb| async move {
        for id in 2..5 {
            let insert = "insert into users values ($1, 'x') on conflict do nothing";
            sqlx::query(insert).bind(id).execute(&db).await?;
        }
        Ok::<_, sqlx::Error>(())
    });
    assert_eq!(manager.seeder().seed_all(&seed, options()).await?.seeded, 1);
    assert_eq!(manager.seeder().seed_all(&seed, options()).await?.already, 1);
    assert_eq!(names(&manager.tenant("acme").await?).await?.len(), 4);
    let report = manager.seeder().seed_shared(&seed, options()).await?;
    assert_eq!(outcomes(&report), [("(shared)", "failed")], "{report}");
    Ok(())
}

#[tokio::test]
async fn the_shared_schema_is_seeded_by_itself() -> TestResult {
    let world = World::with_tenants(&["acme"]).await;
    let mut admin = world.admin().await;
    run(&mut admin, "create table public.plans (name text)").await;
    let manager = world.manager();
    let plans = Seed::sql("plans", "insert into plans values ('free'), ('pro')");
    assert_eq!(manager.seeder().seed_shared(&plans, options()).await?.seeded, 1);
    assert_eq!(manager.seeder().seed_shared(&plans, options()).await?.already, 1);
    let other = Seed::with_shared("more plans", |shared| async move {
        sqlx::query("insert into plans values ('team')").execute(&shared).await.map(drop)
    });
    assert_eq!(manager.seeder().seed_shared(&other, options()).await?.seeded, 1);
    assert_eq!(observe(&mut admin, "select count(*)::text from public.plans").await, "Some(\"3\")");
    let report = manager.seeder().seed_all(&other, options()).await?;
    assert_eq!(outcomes(&report), [("acme", "failed")], "{report}");
    Ok(())
}

#[tokio::test]
async fn a_file_is_a_seed_and_is_looked_into_before_it_is_run() -> TestResult {
    let world = World::with_tenants(&["acme"]).await;
    let files = crate::migrate::Files::new(&[
        (
            "users.sql",
            "\u{feff}insert into users values (2, 'file');\r\ninsert into users values (3, 'x');",
        ),
        ("stray.sql", "insert into users values (4, 'x');\ninsert into public.log values (1);"),
        ("ends.sql", "insert into users values (5, 'x');\ncommit;"),
        ("pair.sql", "-- psql -f\nbegin;\ninsert into users values (6, 'x');\ncommit;\n"),
    ]);
    let manager = world.manager();
    let seed = |name: &str| Seed::from_file(files.path().join(name));
    assert_eq!(seed("users.sql")?.name(), "users");
    assert_eq!(manager.seeder().seed_all(&seed("users.sql")?, options()).await?.seeded, 1);
    for name in ["stray.sql", "ends.sql"] {
        let report = manager.seeder().seed_all(&seed(name)?, options()).await?;
        assert_eq!(report.failed, 1, "{report}");
        assert!(report.to_string().contains("line 2"), "{report}");
    }
    let mut admin = world.admin().await;
    run(&mut admin, "create table public.log (id int)").await;
    let allowed = seed("stray.sql")?.lint(Lint::default().allow_schema("public"));
    assert_eq!(manager.seeder().seed_all(&allowed, options()).await?.seeded, 1);
    assert_eq!(manager.seeder().seed_all(&seed("pair.sql")?, options()).await?.seeded, 1);
    assert_eq!(names(&manager.tenant("acme").await?).await?.len(), 5);
    fs::write(files.path().join("odd.sql"), b"\xff")?;
    assert!(seed("odd.sql").is_err() && seed("nothing.sql").is_err());
    Ok(())
}

#[tokio::test]
async fn many_who_seed_at_once_seed_once() -> TestResult {
    let world = World::new().await;
    let mut admin = world.admin().await;
    let ids: Vec<_> = (0..12).map(|number| format!("t{number}")).collect();
    for id in &ids {
        create_tenant(&mut admin, id).await;
    }
    let seed = Arc::new(second_user());
    let seeders = [world.manager().seeder(), world.manager().seeder(), world.manager().seeder()];
    let tasks = seeders.map(|seeder| {
        let seed = Arc::clone(&seed);
        tokio::spawn(async move { seeder.seed_all(&seed, SeedOptions::default()).await })
    });
    let mut seeded = 0;
    for task in tasks {
        let report = task.await??;
        assert!(report.is_success(), "{report}");
        seeded += report.seeded;
    }
    assert_eq!(seeded, 12);
    Ok(())
}

#[tokio::test]
async fn a_suspended_tenant_is_seeded_in_a_transaction_and_not_through_its_database() -> TestResult
{
    let world = World::with_tenants(&["acme"]).await;
    let catalog = TableCatalog::new();
    let manager = world.builder().catalog(catalog.clone()).build()?;
    catalog.create_table(manager.shared()).await?;
    let suspended = "insert into tenants (id, state) values ('acme', 'suspended')";
    run(&mut world.admin().await, suspended).await;
    let seeder = manager.seeder();
    assert_eq!(seeder.seed_all(&second_user(), options()).await?.seeded, 1);
    let through = Seed::with_db("through", |_| async { Ok::<_, sqlx::Error>(()) });
    let report = seeder.seed_all(&through, options()).await?;
    let SeedOutcome::Failed { error } = &report.tenants[0].outcome else { panic!("{report}") };
    assert_eq!(error.kind(), ErrorKind::Suspended);
    Ok(())
}
