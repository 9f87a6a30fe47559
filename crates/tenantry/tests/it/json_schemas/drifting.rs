//! Comparisons of schemas, repairs, models, and advice about a schema.

use std::sync::Arc;

use tenantry::{
    TenantManager,
    drift::{DriftStatus, Matching, Reference},
    provision::CreateOptions,
    schema::{Hazard, LintOptions, ObjectKind, SchemaModel, cross_references, introspect, repair},
};

use super::judge::check;
use crate::{
    migrate::Files,
    support::{TestResult, World, run},
};

fn files() -> Files {
    Files::new(&[
        ("1_users.sql", "create table users (id int primary key, name text, email varchar(90))"),
        ("2_orders.sql", "create table orders (id int primary key, paid int references users)"),
        ("3_index.sql", "create index orders_paid on orders (paid)"),
        (
            "4_function.sql",
            "create function orders_of(int) returns bigint language sql as 'select $1::bigint'",
        ),
    ])
}

/// Three tenants: one that is as it should be, one that is not, and one that refers to another.
async fn fleet(world: &World) -> TenantManager {
    let manager = world.manager();
    let provisioner = manager.provisioner().tenants(files().read());
    for tenant in ["acme", "globex", "initech"] {
        provisioner.create(tenant, CreateOptions::default()).await.expect("it can be made");
    }
    let changes = "drop index tenant_globex.orders_paid; \
        alter table tenant_globex.users alter name set not null, alter email type text; \
        alter table tenant_globex.orders drop constraint orders_paid_fkey; \
        create table tenant_globex.surplus (tags text[], flag boolean); \
        create materialized view tenant_globex.later as select 1 as one with no data; \
        alter function tenant_globex.orders_of rename to of_orders; \
        comment on table tenant_globex.users is 'by hand'; \
        alter table tenant_initech.orders add foreign key (id) references tenant_acme.users";
    run(&mut world.admin().await, changes).await;
    manager
}

#[tokio::test]
async fn comparisons() -> TestResult {
    let world = World::new().await;
    let manager = fleet(&world).await;
    let mut admin = world.admin().await;
    let shared = "create view public.everybody as select * from tenant_acme.users";
    run(&mut admin, shared).await;

    let drift = manager.drift().against_tenant("acme");
    let comments =
        Matching::kind(ObjectKind::Table).and_attribute(tenantry::schema::Attribute::Comment);
    let report = drift.clone().ignore(comments).run().await?;
    let globex = &report.details[1];
    assert_eq!((globex.status, globex.beyond.len()), (DriftStatus::Drifted, 1), "{report}");
    assert_eq!((report.hidden.len(), report.shared_references.len()), (1, 1), "{report}");
    assert_eq!(report.details[2].references.len(), 1, "{report}");
    let written = check(&report);
    assert_eq!(written["referenceTenant"], "acme");
    assert_eq!(written["sharedReferences"][0]["fromSchema"], "public");

    let report = drift.include(Matching::named("users")).run().await?;
    assert!(report.hidden.iter().any(|hidden| hidden.rule.is_none()), "{report}");
    check(&report);

    run(&mut admin, "delete from tenant_globex._sqlx_migrations where version > 2").await;
    for reference in [
        Reference::Migrations(files().read()),
        Reference::Recorded(files().read()),
        Reference::Model(Arc::new(manager.drift().introspect("acme").await?)),
    ] {
        check(&manager.drift().against(reference).run().await?);
    }
    let schemas = ["tenant_acme".parse()?, "tenant_initech".parse()?];
    let references = cross_references(&mut admin, &schemas, None).await?;
    assert!(!references.is_empty());
    check(&references);
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn repairs_models_and_advice() -> TestResult {
    let world = World::new().await;
    let manager = fleet(&world).await;
    let repair = manager.drift().against_tenant("acme").repair("globex").await?;
    let hazards = repair.steps.iter().flat_map(|step| &step.hazards);
    assert!(hazards.clone().any(|hazard| matches!(hazard, Hazard::Locks { .. })), "{repair}");
    assert!(hazards.clone().any(|hazard| matches!(hazard, Hazard::MayFail { .. })), "{repair}");
    assert!(hazards.clone().any(|hazard| *hazard == Hazard::LosesData), "{repair}");
    assert_eq!(repair.renames.len(), 1, "{repair}");
    let written = check(&repair);
    assert_eq!(written["steps"][0]["isAlone"], false, "{repair}");
    check(&impossible(&world).await?);

    let model = manager.drift().introspect("globex").await?;
    assert!(!model.beyond.is_empty());
    check(&model);
    let findings = model.lint(&LintOptions::default());
    assert!(findings.iter().any(|finding| finding.fix.is_some()), "{findings:?}");
    check(&findings);
    manager.close().await;
    Ok(())
}

/// A repair that cannot be made: the reference names the schema that is to be like it.
async fn impossible(world: &World) -> Result<tenantry::schema::Repair, Box<dyn std::error::Error>> {
    let mut admin = world.admin().await;
    let made = "create schema a; create schema b; \
                create function a.names_b() returns text language sql as 'select ''b.x''::text'";
    run(&mut admin, made).await;
    let mut read = async |schema: &str| -> Result<SchemaModel, Box<dyn std::error::Error>> {
        Ok(introspect(&mut admin, &schema.parse()?, None).await?)
    };
    let repair = repair(&read("a").await?, &read("b").await?);
    assert!(!repair.impossible.is_empty(), "{repair}");
    Ok(repair)
}
