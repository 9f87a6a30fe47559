//! Tenants that are created, listed, cloned, adopted and dropped, and the seeds that they get.

use sqlx::PgConnection;
use tenantry::{
    Ident, TableCatalog, TenantId, TenantManager, TenantRecord, TenantState,
    anonymize::Anonymize,
    clone::CloneOptions,
    provision::{Adopt, CreateOptions, DatabaseSpares, DropOptions, Provisioner},
    seed::{Seed, SeedOptions},
};

use super::judge::{check, check_all_but};
use crate::{
    migrate::Files,
    support::{TestResult, World, run},
};

fn roles() -> Seed {
    Seed::sql("roles", "insert into notes values (1, 'Wilhelmina Quillon', 'a note by nobody')")
}

struct Service {
    manager: TenantManager,
    provisioner: Provisioner,
    admin: PgConnection,
}

impl Service {
    async fn new(world: &World) -> Self {
        let catalog = TableCatalog::new();
        let manager = world.builder().catalog(catalog.clone()).build().expect("it is sound");
        catalog.create_table(manager.shared()).await.expect("the server is running");
        let files = Files::new(&[(
            "1_notes.sql",
            "create table notes (id int primary key, author text, text text, email text)",
        )]);
        let provisioner = manager.provisioner().tenants(files.read()).seed(roles());
        Self { manager, provisioner, admin: world.admin().await }
    }
}

#[tokio::test]
async fn from_creation_to_the_drop() -> TestResult {
    let world = World::new().await;
    let Service { manager, provisioner, mut admin } = Service::new(&world).await;
    let attributes = serde_json::json!({ "plan": "pro" });
    let options = CreateOptions::default().attributes(attributes);
    let created = provisioner.create("acme", options).await?;
    assert_eq!(created.seeds.len(), 1, "{created}");
    check(&created);

    let spares = provisioner.fill_spares(1).await?;
    assert_eq!(spares.ready, 1, "{spares}");
    check(&spares);
    let databases = DatabaseSpares::new(0).on("nowhere", 1);
    let databases = provisioner.fill_database_spares(&databases).await?;
    assert!(databases.servers[1].error.is_some(), "{databases}");
    check(&databases);
    check(&provisioner.create("globex", CreateOptions::default()).await?);
    provisioner.suspend("globex").await?;

    let records = manager.tenants().await?;
    assert_eq!((records.len(), records[1].state), (2, TenantState::Suspended), "{records:?}");
    for record in &records {
        check_all_but(record, &["/attributes", "/attributes/plan"]);
    }

    let outside = "create view public.notes_of_acme as select * from tenant_acme.notes; \
                   create function public.names() returns bigint language sql \
                     as 'select count(*) from tenant_acme.notes'";
    run(&mut admin, outside).await;
    for options in [DropOptions::default().dry_run(true), DropOptions::default()] {
        let report = provisioner.drop_tenant("acme", "acme", options.cascade(true)).await?;
        assert_eq!((report.outside.len(), report.named.len()), (1, 1), "{report}");
        check(&report);
    }
    manager.close().await;
    Ok(())
}

/// A catalog may have more on record than the one in a table has.
#[test]
fn a_record_with_everything() {
    let id = TenantId::parse("acme").expect("it is one");
    let ident = |name: &str| Ident::parse(name).expect("it is one");
    let mut record = TenantRecord::new(id)
        .container(ident("Acme Ltd"))
        .role(ident("acme"))
        .setting("work_mem", "1MB")
        .setting("statement_timeout", "5s")
        .setting("work_mem", "2MB")
        .step("seeds");
    record.created_at = Some(std::time::UNIX_EPOCH);
    let written = check_all_but(&record, &["/attributes"]);
    let expected = serde_json::json!({
        "tenantId": "acme",
        "container": "Acme Ltd",
        "state": "suspended",
        "role": "acme",
        "settings": { "statement_timeout": "5s", "work_mem": "2MB" },
        "createdAt": "1970-01-01T00:00:00.000Z",
        "attributes": null,
        "step": "seeds",
    });
    assert_eq!(written, expected);
}

#[tokio::test]
async fn clones() -> TestResult {
    let world = World::new().await;
    let Service { manager, provisioner, mut admin } = Service::new(&world).await;
    provisioner.create("acme", CreateOptions::default()).await?;
    check(&provisioner.clone_tenant("acme", "structure", CloneOptions::default()).await?);

    // The text names the author, whom the rule is for.
    let leaky = "update tenant_acme.notes set text = 'by ' || author, email = 'w@example.com'; \
                 create publication of_acme for table tenant_acme.notes";
    run(&mut admin, leaky).await;
    let rules = "strict = false\n[[rules]]\ncolumns = [\"notes.author\"]\nmask = \"hash\"";
    let rules = Anonymize::from_toml(rules)?;
    let options = CloneOptions::default().anonymize(rules);
    let report = provisioner.clone_tenant("acme", "masked", options).await?;
    assert_eq!((report.rows(), report.remarks.len()), (3, 1), "{report}");
    let masked = report.anonymized.as_ref().expect("it is");
    let found = (masked.columns.len(), masked.suspicions.len(), masked.proof.found.len());
    assert_eq!(found, (1, 1, 1), "{report}");
    check(&report);
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn adoptions() -> TestResult {
    let world = World::new().await;
    let Service { manager, provisioner, mut admin } = Service::new(&world).await;
    let service = "create table public.plans (id int primary key); \
                   create table public.users (id int, plan int references public.plans); \
                   create schema other; \
                   create view other.everybody as select * from public.users; \
                   create function public.one() returns int language sql \
                     set search_path = public as 'select 1'";
    run(&mut admin, service).await;
    let options = || Adopt::schema("public").keep_shared(["plans"]);
    let report = provisioner.adopt("acme", options().dry_run(true)).await?;
    assert!(report.is_possible() && report.dry_run, "{report}");
    assert!(!report.names.is_empty() && !report.references.is_empty(), "{report}");
    check(&report);
    check(&provisioner.adopt("acme", options()).await?);
    check(&provisioner.release("acme", options()).await?);
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn seeds() -> TestResult {
    let world = World::with_tenants(&["acme", "globex"]).await;
    let manager = world.manager();
    let seeder = manager.seeder();
    let more = Seed::sql("more", "insert into users values (2, 'more')");
    run(&mut world.admin().await, "insert into tenant_globex.users values (2, 'two')").await;
    let report = seeder.seed(["acme", "globex", "nobody"], &more, SeedOptions::default()).await?;
    assert_eq!((report.seeded, report.failed), (1, 2), "{report}");
    check(&report);
    let report = seeder.seed_all(&more, SeedOptions::default()).await?;
    assert_eq!((report.already, report.failed), (1, 1), "{report}");
    check(&report);
    let plans = Seed::sql("plans", "create table plans (id int)");
    check(&seeder.seed_shared(&plans, SeedOptions::default()).await?);
    manager.close().await;
    Ok(())
}
