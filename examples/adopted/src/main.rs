//! A database created by Rails, adopted without any statement that changes what Rails manages.
//!
//! Run it with `cargo run -p adopted`. It prints its steps and then exits. `cargo run -p adopted --
//! first-migration` prints the first migration, generated from a customer's schema.

mod rails;

use std::{env, process::ExitCode};

use example_support::{database, exit_code, say, start_log};
use tenantry::{
    Isolation, TableCatalog, TenantManager,
    baseline::Baseline,
    migrate::{MigrateOptions, Migrations, MigrationsError, Schemas, TenantMigrator},
};

#[tokio::main]
async fn main() -> ExitCode {
    exit_code(run().await)
}

async fn run() -> anyhow::Result<()> {
    start_log("error");
    let database = database().await?;
    rails::make(database.url()).await?;
    let manager = TenantManager::builder(database.url())
        .isolation(Isolation::schema("customer_{id}"))
        .catalog(accounts())
        .max_connections(4)
        .build()?;
    match env::args().nth(1).as_deref() {
        Some("first-migration") => first_migration(&manager).await?,
        _ => adopt(&manager).await?,
    }
    manager.close().await;
    database.close().await?;
    Ok(())
}

/// The customers that Rails lists. The table is only read.
fn accounts() -> TableCatalog {
    TableCatalog::query(
        "select subdomain as id, 'customer_' || id as container,
                case when suspended_at is null then 'active' else 'suspended' end as state,
                jsonb_build_object('plan', plan) as attributes
         from accounts",
    )
}

/// The first one is the output of `first_migration`: the state of the schema that is furthest
/// behind.
fn migrations() -> Result<Migrations, MigrationsError> {
    Migrations::from_files([
        ("0001_rails.sql", include_str!("../migrations/0001_rails.sql")),
        ("0002_archived_projects.sql", include_str!("../migrations/0002_archived_projects.sql")),
        ("0003_budgets.sql", include_str!("../migrations/0003_budgets.sql")),
    ])
}

async fn adopt(manager: &TenantManager) -> anyhow::Result<()> {
    let migrator = manager.migrator().tenants(migrations()?);
    say("Without records, nothing is migrated:");
    say(migrator.migrate_all(MigrateOptions::default()).await?);

    say("\nWhich migrations do the schemas have? A look, which changes nothing:");
    say(baseline(&migrator, Baseline::detected().dry_run(true)).await?);
    say("\nThat is right, so it is recorded:");
    say(baseline(&migrator, Baseline::detected()).await?);

    say("\nNow they are migrated, each from where it was:");
    say(migrator.migrate_all(MigrateOptions::default()).await?);

    say("\nEach customer has what it had, and the new table:");
    for customer in ["acme", "globex", "initech"] {
        say(format!("{customer}: {}", projects_of(manager, customer).await?));
    }
    Ok(())
}

async fn baseline(
    migrator: &TenantMigrator,
    baseline: Baseline,
) -> Result<tenantry::baseline::BaselineReport, tenantry::Error> {
    migrator.baseline(Schemas::AllTenants, baseline, MigrateOptions::default()).await
}

async fn projects_of(manager: &TenantManager, customer: &str) -> anyhow::Result<String> {
    let db = match manager.tenant(customer).await {
        // Rails has suspended it; its data is still migrated.
        Err(error) if error.kind() == tenantry::ErrorKind::Suspended => {
            return Ok(error.to_string());
        }
        db => db?,
    };
    sqlx::query("insert into budgets select id, 100 from projects").execute(&db).await?;
    let projects = "select string_agg(name || ' (' || cents || ')', ', ' order by id) \
                    from projects join budgets on project_id = id";
    Ok(sqlx::query_scalar(projects).fetch_one(&db).await?)
}

async fn first_migration(manager: &TenantManager) -> anyhow::Result<()> {
    let script = manager.migrator().baseline_script("customer_3").await?;
    say(script.sql.trim_end());
    for difference in script.differences {
        eprintln!("not in the file: {difference}");
    }
    Ok(())
}
