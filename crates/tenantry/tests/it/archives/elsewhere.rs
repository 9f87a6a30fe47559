//! Archives become tenants on other servers, whole or not at all.

use tenantry::{
    Error, ErrorKind, ServerOptions, TableCatalog, TenantManager,
    archive::{ExportOptions, ImportOptions},
};
use tenantry_devdb::DevServer;

use super::{Shelf, forge_rows};
use crate::support::{TestResult, connect, create_tenant, name_of, observe, run};

/// Two servers, with a tenant `acme` on the main one.
struct Two {
    main: DevServer,
    eu: DevServer,
    manager: TenantManager,
}

impl Two {
    async fn new() -> Self {
        let main = DevServer::start().await.expect("a server can be started");
        let eu = DevServer::start().await.expect("a server can be started");
        let manager = TenantManager::builder(main.url())
            .server("eu-1", ServerOptions::new(eu.url()))
            .catalog(TableCatalog::new())
            .max_connections(6)
            .build()
            .expect("the configuration is sound");
        TableCatalog::new().create_table(manager.shared()).await.expect("it can be created");
        let mut admin = connect(&main.url()).await;
        create_tenant(&mut admin, "acme").await;
        run(&mut admin, "insert into tenants (id) values ('acme')").await;
        run(&mut admin, "comment on schema tenant_acme is 'of acme'").await;
        Self { main, eu, manager }
    }

    async fn on_eu(&self, sql: &str) -> String {
        observe(&mut connect(&self.eu.url()).await, sql).await
    }

    async fn on_main(&self, sql: &str) -> String {
        observe(&mut connect(&self.main.url()).await, sql).await
    }
}

fn to_eu() -> ImportOptions {
    ImportOptions::default().server("eu-1")
}

const SCHEMAS: &str =
    "select coalesce(string_agg(nspname, ' '), '') from pg_namespace where nspname ~ '^tenant'";

#[tokio::test]
async fn it_is_served_on_the_other_server() -> TestResult {
    let (two, shelf) = (Two::new().await, Shelf::new());
    let hooked = two.manager.provisioner().after_create(|record, tx| {
        let id = record.id.to_string();
        Box::pin(async move {
            sqlx::query("insert into users (id, name) select max(id) + 1, $1 from users")
                .bind(id)
                .execute(&mut *tx)
                .await?;
            Ok(())
        })
    });
    let archiver = two.manager.archiver().provisioner(&hooked);
    archiver.export("acme", shelf.at("acme"), ExportOptions::default()).await?;
    let report = archiver.import(shelf.at("acme"), "copy", to_eu()).await?;
    assert_eq!((&*report.server, report.rows()), ("eu-1", 1));
    let recorded = "select concat_ws(' ', server, state, coalesce(step, 'complete')) from tenants where id = 'copy'";
    assert_eq!(two.on_main(recorded).await, "Some(\"eu-1 active complete\")");
    let copy = two.manager.tenant("copy").await?;
    assert_eq!(copy.tenant().placement().server(), "eu-1");
    let names = "select string_agg(name, ' ' order by name) from tenant_copy.users";
    assert_eq!(two.on_eu(names).await, "Some(\"acme copy\")", "the hook has run");
    let comment = "select obj_description('tenant_copy'::regnamespace)";
    assert_eq!(two.on_eu(comment).await, "Some(\"of acme\")");
    assert_eq!(two.on_main(SCHEMAS).await, "Some(\"tenant_acme\")");
    let again = archiver.import(shelf.at("acme"), "copy", to_eu()).await.unwrap_err();
    assert_eq!(again.kind(), ErrorKind::TenantExists);
    assert_eq!(two.on_eu(names).await, "Some(\"acme copy\")");
    // From there, back to the main server.
    archiver.export("copy", shelf.at("copy"), ExportOptions::default()).await?;
    archiver.import(shelf.at("copy"), "back", ImportOptions::default().server("main")).await?;
    name_of(&two.manager.tenant("back").await?).await?;
    assert_eq!(two.on_main("select count(*)::text from tenant_back.users").await, "Some(\"3\")");
    two.manager.close().await;
    Ok(())
}

async fn is_gone(two: &Two, error: &Error) {
    let unknown = two.manager.tenant("copy").await.expect_err("it was not created");
    assert_eq!(unknown.kind(), ErrorKind::UnknownTenant, "{error:?}");
    assert_eq!(two.on_main("select count(*)::text from tenants").await, "Some(\"1\")", "{error:?}");
    assert_eq!(two.on_eu(SCHEMAS).await, "Some(\"\")", "{error:?}");
    assert_eq!(two.on_main(SCHEMAS).await, "Some(\"tenant_acme\")", "{error:?}");
}

#[tokio::test]
async fn a_failure_leaves_nothing_on_either_server() -> TestResult {
    let (two, shelf) = (Two::new().await, Shelf::new());
    let archiver = two.manager.archiver();
    archiver.export("acme", shelf.at("acme"), ExportOptions::default()).await?;
    let archive = shelf.copy("acme", "wide");
    forge_rows(&archive, "users", "a\tb\tc\n");
    for options in [to_eu(), ImportOptions::default()] {
        let error = archiver.import(&archive, "copy", options).await.expect_err("it does not fit");
        is_gone(&two, &error).await;
    }
    let refusing =
        two.manager.provisioner().after_create(|_, _| Box::pin(async { Err("not today".into()) }));
    let archiver = archiver.provisioner(&refusing);
    for options in [to_eu(), ImportOptions::default()] {
        let error =
            archiver.import(shelf.at("acme"), "copy", options).await.expect_err("a hook refuses");
        assert_eq!(error.kind(), ErrorKind::Seed);
        is_gone(&two, &error).await;
    }
    two.manager.close().await;
    Ok(())
}

#[tokio::test]
async fn an_import_that_was_interrupted_starts_over() -> TestResult {
    let (two, shelf) = (Two::new().await, Shelf::new());
    let archiver = two.manager.archiver();
    archiver.export("acme", shelf.at("acme"), ExportOptions::default()).await?;
    // The process is gone after the schema was made, and before the tenant is served.
    archiver.import(shelf.at("acme"), "copy", to_eu()).await?;
    let mark = "select substr(name, 21, 16) from tenant_copy._tenantry_seeds where name like 'tenantry: filled by %'";
    let mark = two.on_eu(mark).await.replace("Some(\"", "").replace("\")", "");
    let mut admin = connect(&two.main.url()).await;
    let step =
        format!("tenantry: making {mark} seeds \"archive\" for one sign-up (0000000000000001)");
    run(&mut admin, &format!("update tenants set step = '{step}' where id = 'copy'")).await;
    run(
        &mut connect(&two.eu.url()).await,
        "insert into tenant_copy.users values (2, 'other archive')",
    )
    .await;
    let error = two.manager.tenant("copy").await.expect_err("it is not complete");
    assert_ne!(error.kind(), ErrorKind::UnknownTenant, "{error:?}");
    let mut imported = archiver.import(shelf.at("acme"), "copy", to_eu()).await;
    while let Err(error) = &imported {
        let after = error.retry_after().ok_or_else(|| format!("{error:?}"))?;
        tokio::time::sleep(after).await;
        imported = archiver.import(shelf.at("acme"), "copy", to_eu()).await;
    }
    let names = "select string_agg(name, ' ') from tenant_copy.users";
    assert_eq!(two.on_eu(names).await, "Some(\"acme\")", "it has this archive's rows alone");
    two.manager.close().await;
    Ok(())
}
