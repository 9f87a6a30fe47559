use std::sync::Arc;

use tenantry::{
    ErrorKind, Isolation, IsolationKind, Rows, TenantDb,
    provision::{DropOptions, HowMade},
    rows::{ExportOptions, RestoreOptions},
    seed::Seed,
};
use tenantry_devdb::DevServer;

use super::{Host, built, notes_of_all, of_servers, options, plain, provisioner};
use crate::{
    migrate::Files,
    support::{TestResult, connect, eventually, free_names, kind_of, observe, run},
};

#[tokio::test]
async fn a_schema_on_another_server_lives_as_one_on_the_main_server() -> TestResult {
    let (mut main, mut eu) = (Host::new().await, Host::new().await);
    let manager = built(of_servers(&main, &eu)).await;
    let provisioner = provisioner(&manager, &Files::notes());
    let created = provisioner.create("acme", options().server("eu-1")).await?;
    assert_eq!(created.server.as_deref(), Some("eu-1"));
    assert_eq!(
        (&*created.schema, created.database, created.how),
        ("tenant_acme", None, HowMade::InSteps)
    );
    assert_eq!((main.schemas().await, eu.schemas().await), (String::new(), "tenant_acme".into()));
    let comment = "select coalesce(obj_description('tenant_acme'::regnamespace), 'none')";
    assert_eq!(plain(eu.ask(comment).await), "none", "nothing is left that would be drift");
    let db = manager.tenant("acme").await?;
    assert_eq!(plain(observe(&db, "select text from notes").await), "inside");

    provisioner.suspend("acme").await?;
    assert_eq!(manager.tenant("acme").await.unwrap_err().kind(), ErrorKind::Suspended);
    provisioner.resume("acme").await?;
    provisioner.rename("acme", "acme-ltd").await?;
    let renamed = manager.tenant("acme-ltd").await?;
    assert_eq!(renamed.tenant().placement().server(), "eu-1");
    assert_eq!(plain(observe(&renamed, "select text from notes").await), "inside");
    assert_eq!(manager.tenant("acme").await.unwrap_err().kind(), ErrorKind::UnknownTenant);

    let report = provisioner.drop_tenant("acme-ltd", "acme-ltd", DropOptions::default()).await?;
    assert_eq!(report.server.as_deref(), Some("eu-1"));
    assert!(report.to_string().contains("schema tenant_acme on server eu-1 with"), "{report}");
    assert_eq!((main.tenants().await, eu.schemas().await), (String::new(), String::new()));
    let gone = sqlx::query("select 1 from notes").execute(&renamed).await.unwrap_err();
    assert_eq!(kind_of(gone), ErrorKind::StaleHandle);
    let reserved = provisioner.create("acme", options().server("eu-1")).await.unwrap_err();
    assert_eq!(reserved.kind(), ErrorKind::NameInUse, "{reserved:?}");
    assert_eq!(main.tenants().await, "", "the refusal leaves no row");
    free_names(&mut eu.admin).await;
    provisioner.create("acme", options().server("eu-1")).await?;
    Ok(())
}

#[tokio::test]
async fn handles_of_a_tenant_that_was_dropped_are_refused_in_every_process() -> TestResult {
    let (main, eu) = (Host::new().await, Host::new().await);
    let here = built(of_servers(&main, &eu)).await;
    let there = built(of_servers(&main, &eu)).await;
    let provisioner = provisioner(&here, &Files::notes());
    provisioner.create("acme", options().server("eu-1")).await?;
    let older = here.tenant("acme").await?;
    here.evict("acme");
    let handles = [older, here.tenant("acme").await?, there.tenant("acme").await?];
    for handle in &handles {
        assert_eq!(plain(observe(handle, "select text from notes").await), "inside");
    }
    provisioner.drop_tenant("acme", "acme", DropOptions::default()).await?;
    for handle in &handles {
        let gone = sqlx::query("select 1 from notes").execute(handle).await.unwrap_err();
        assert_eq!(kind_of(gone), ErrorKind::StaleHandle);
    }
    Ok(())
}

#[tokio::test]
async fn a_database_on_another_server_is_made_there() -> TestResult {
    let (mut main, mut eu) = (Host::new().await, Host::new().await);
    let manager = built(of_servers(&main, &eu).or_isolation(Isolation::database("db_{id}"))).await;
    let provisioner = provisioner(&manager, &Files::notes());
    let options = options().server("eu-1").isolation(IsolationKind::Database);
    let created = provisioner.create("acme", options).await?;
    assert!(
        created.to_string().contains("schema public of database db_acme on server eu-1"),
        "{created}"
    );
    assert_eq!((main.databases().await, eu.databases().await), (String::new(), "db_acme".into()));
    let db = manager.tenant("acme").await?;
    assert_eq!(plain(observe(&db, "select text from notes").await), "inside");
    provisioner.drop_tenant("acme", "acme", DropOptions::default()).await?;
    assert_eq!((main.tenants().await, eu.databases().await), (String::new(), String::new()));
    Ok(())
}

#[tokio::test]
async fn rows_on_another_server_are_created_and_deleted_there() -> TestResult {
    let (mut main, mut eu) = (Host::new().await, Host::new().await);
    for host in [&mut main, &mut eu] {
        run(&mut host.admin, &notes_of_all()).await;
    }
    let rows = Isolation::rows(Rows::new().role("app")?);
    let manager = built(of_servers(&main, &eu).isolation(rows)).await;
    let provisioner = manager.provisioner().seed(super::inside());
    for id in ["acme", "globex"] {
        let created = provisioner.create(id, options().server("eu-1")).await?;
        assert_eq!(created.how, HowMade::Rows);
    }
    let db = manager.tenant("acme").await?;
    assert_eq!(plain(observe(&db, "select text from notes").await), "inside");
    let notes = "select coalesce(string_agg(tenant_id, ' ' order by tenant_id), '') from notes";
    assert_eq!(
        (plain(main.ask(notes).await), plain(eu.ask(notes).await)),
        (String::new(), "acme globex".into())
    );

    // A creation that finds rows with its key leaves them.
    run(&mut eu.admin, "insert into notes values ('theirs', 1, 'old', null)").await;
    let error = provisioner.create("theirs", options().server("eu-1")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Placement, "{error:?}");
    assert_eq!(plain(eu.ask(notes).await), "acme globex theirs");
    assert_eq!(main.tenants().await, "acme active, globex active");

    provisioner.rename("acme", "acme-ltd").await?;
    let db = manager.tenant("acme-ltd").await?;
    assert_eq!(plain(observe(&db, "select text from notes").await), "inside");
    let report = provisioner.drop_tenant("acme-ltd", "acme-ltd", DropOptions::default()).await?;
    assert_eq!(report.rows.len(), 1, "{report:?}");
    assert_eq!(plain(eu.ask(notes).await), "globex theirs");
    assert_eq!(main.tenants().await, "globex active");
    Ok(())
}

#[tokio::test]
async fn rows_go_from_one_server_to_another_in_a_file() -> TestResult {
    let (mut main, mut eu) = (Host::new().await, Host::new().await);
    for host in [&mut main, &mut eu] {
        run(&mut host.admin, &notes_of_all()).await;
    }
    let rows = Isolation::rows(Rows::new().role("app")?);
    let manager = built(of_servers(&main, &eu).isolation(rows)).await;
    let provisioner = manager.provisioner().seed(super::inside());
    for (id, server) in [("acme", "eu-1"), ("here", "main")] {
        provisioner.create(id, options().server(server)).await?;
    }
    let acme = manager.tenant("acme").await?;
    run(&acme, "update notes set text = 'from eu'").await;
    let mut file = Vec::new();
    provisioner.export_rows("acme", &mut file, ExportOptions::default()).await?;
    run(&acme, "delete from notes").await;
    let notes = "select coalesce(string_agg(tenant_id || ' ' || text, ', ' order by tenant_id), '') from notes";
    assert_eq!(plain(eu.ask(notes).await), "");
    provisioner.restore_rows("acme", &file[..], RestoreOptions::default()).await?;
    let replace = RestoreOptions::default().replace(true);
    provisioner.restore_rows("here", &file[..], replace).await?;
    assert_eq!(plain(eu.ask(notes).await), "acme from eu");
    assert_eq!(plain(main.ask(notes).await), "here from eu");
    Ok(())
}

#[tokio::test]
async fn a_schema_of_someone_else_is_left_alone() -> TestResult {
    let (mut main, mut eu) = (Host::new().await, Host::new().await);
    let manager = built(of_servers(&main, &eu)).await;
    run(&mut eu.admin, "create schema tenant_acme; create table tenant_acme.ledger (id int)").await;
    let provisioner = provisioner(&manager, &Files::notes());
    let error = provisioner.create("acme", options().server("eu-1")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TenantExists, "{error:?}");
    assert!(error.to_string().contains("schema tenant_acme already on server eu-1"), "{error}");
    assert_eq!(main.tenants().await, "");
    assert_eq!(plain(eu.ask("select count(*)::text from tenant_acme.ledger").await), "0");
    Ok(())
}

/// A seed that stops a server while it is needed.
fn stopping(server: Arc<DevServer>) -> Seed {
    Seed::with_db("stopping", move |_: TenantDb| {
        let server = Arc::clone(&server);
        async move { server.stop_now().await }
    })
}

#[tokio::test]
async fn a_server_that_stops_in_the_middle_leaves_a_step_that_the_next_creation_finds() -> TestResult
{
    let (mut main, mut eu) = (Host::new().await, Host::new().await);
    for kind in [IsolationKind::Schema, IsolationKind::Database] {
        let manager =
            built(of_servers(&main, &eu).or_isolation(Isolation::database("db_{id}"))).await;
        let files = Files::notes();
        let options = || options().server("eu-1").isolation(kind);
        let stops = provisioner(&manager, &files).seed(stopping(Arc::clone(&eu.server)));
        let error = stops.create("acme", options()).await.unwrap_err();
        assert!([ErrorKind::Seed, ErrorKind::Unavailable].contains(&error.kind()), "{error:?}");
        assert_eq!(main.tenants().await, "acme suspended tenantry: undoing");
        assert_eq!(manager.tenant("acme").await.unwrap_err().kind(), ErrorKind::Suspended);
        let refused = stops.suspend("acme").await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Busy, "{refused:?}");

        let provisioner = provisioner(&manager, &files);
        let away = provisioner.create("acme", options()).await.unwrap_err();
        assert_eq!(away.kind(), ErrorKind::Unavailable, "{away:?}");
        eu.server.start_again().await?;
        eu.admin = connect(&eu.server.url()).await;
        eventually("the breaker is closed", async || {
            provisioner.create("acme", options()).await.is_ok()
        })
        .await;
        let db = manager.tenant("acme").await?;
        assert_eq!(plain(observe(&db, "select text from notes").await), "inside");
        provisioner.drop_tenant("acme", "acme", DropOptions::default()).await?;
        assert_eq!((eu.databases().await, eu.schemas().await), (String::new(), String::new()));
        if kind == IsolationKind::Schema {
            free_names(&mut eu.admin).await;
        }
    }
    assert_eq!(main.tenants().await, "");
    Ok(())
}

#[tokio::test]
async fn a_drop_goes_on_when_the_server_is_back() -> TestResult {
    let (mut main, mut eu) = (Host::new().await, Host::new().await);
    let manager = built(of_servers(&main, &eu)).await;
    let provisioner = provisioner(&manager, &Files::notes());
    provisioner.create("acme", options().server("eu-1")).await?;
    eu.server.stop_now().await?;
    let away = provisioner.drop_tenant("acme", "acme", DropOptions::default()).await.unwrap_err();
    assert_eq!(away.kind(), ErrorKind::Unavailable, "{away:?}");
    assert_eq!(main.tenants().await, "acme active", "nothing has begun");
    eu.server.start_again().await?;
    eu.admin = connect(&eu.server.url()).await;
    // A process was killed after it had recorded the drop.
    let oid = plain(eu.ask("select 'tenant_acme'::regnamespace::oid::text").await);
    run(
        &mut main.admin,
        &format!(
            "update tenants set state = 'suspended', step = 'tenantry: dropping oid {oid} (0000000000000001)'"
        ),
    )
    .await;
    for refused in [
        provisioner.resume("acme").await.unwrap_err(),
        provisioner.rename("acme", "other").await.unwrap_err(),
    ] {
        assert_eq!(refused.kind(), ErrorKind::Busy, "{refused:?}");
        assert!(refused.to_string().contains("drop it again"), "{refused}");
    }
    let refused = provisioner.create("acme", options().server("eu-1")).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::TenantExists, "{refused:?}");
    // A schema that has the name by now is not the one that was to be dropped.
    run(
        &mut eu.admin,
        "alter schema tenant_acme rename to tenantry_spare_x; create schema tenant_acme",
    )
    .await;
    eventually("the breaker is closed", async || {
        provisioner.drop_tenant("acme", "acme", DropOptions::default()).await.is_ok()
    })
    .await;
    assert_eq!((main.tenants().await, eu.schemas().await), (String::new(), "tenant_acme".into()));
    Ok(())
}
