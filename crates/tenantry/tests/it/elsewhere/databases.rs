use std::time::{Duration, Instant};

use serde_json::json;
use tenantry::{
    ErrorKind, Ident, IsolationKind, TenantDb, TenantState,
    migrate::MigrateOptions,
    provision::{DropOptions, HowMade},
    seed::Seed,
};

use super::{Host, built, inside, of_databases, options, plain, provisioner};
use crate::{
    migrate::Files,
    support::{TestResult, connect, kind_of, observe, run, try_run},
};

fn outside() -> Seed {
    Seed::with_db("outside", |db: TenantDb| async move {
        let insert = "insert into notes (id, text) values (2, 'outside') on conflict do nothing";
        sqlx::query(insert).execute(&db).await.map(drop)
    })
}

#[tokio::test]
async fn a_database_is_made_from_the_files_and_served_by_one_connection_too() -> TestResult {
    for connections in [1, 4] {
        let mut host = Host::new().await;
        let files = Files::notes();
        files.write("0003_i.sql", "-- no-transaction\ncreate index concurrently on notes (text);");
        let builder = of_databases(&host).max_connections(connections + 1);
        let manager = built(builder).await;
        let provisioner =
            provisioner(&manager, &files).seed(outside()).after_create(|record, tx| {
                let plan = record.attributes["plan"].as_str().map(str::to_owned);
                Box::pin(async move {
                    let insert = "insert into notes (id, text) values (3, $1)";
                    sqlx::query(insert)
                        .bind(plan)
                        .execute(&mut **tx)
                        .await
                        .map(drop)
                        .map_err(Into::into)
                })
            });
        let options = options().attributes(json!({"plan": "gold"})).seed(|tx| {
            Box::pin(async move {
                let insert = "insert into notes (id, text) values (4, 'first user')";
                sqlx::query(insert).execute(&mut **tx).await.map(drop).map_err(Into::into)
            })
        });
        let created = provisioner.create("acme", options).await?;
        assert_eq!(created.how, HowMade::InSteps);
        assert_eq!(created.database.as_deref(), Some("db_acme"));
        assert_eq!((&*created.schema, created.server), ("public", None));
        assert_eq!(created.seeds, ["inside".into(), "outside".into()]);
        assert_eq!(host.tenants().await, "acme active");
        assert_eq!(host.databases().await, "db_acme");
        let db = manager.tenant("acme").await?;
        let notes = "select string_agg(text, ' ' order by id) from notes";
        assert_eq!(plain(observe(&db, notes).await), "inside outside gold first user");
        assert_eq!(db.tenant().placement().isolation(), IsolationKind::Database);
        manager.close().await;
    }
    Ok(())
}

#[tokio::test]
async fn a_tenant_in_a_database_is_suspended_renamed_and_dropped() -> TestResult {
    let mut host = Host::new().await;
    let manager = built(of_databases(&host)).await;
    let provisioner = provisioner(&manager, &Files::notes());
    provisioner.create("acme", options()).await?;
    provisioner.suspend("acme").await?;
    assert_eq!(manager.tenant("acme").await.unwrap_err().kind(), ErrorKind::Suspended);
    provisioner.resume("acme").await?;
    let before = manager.tenant("acme").await?;
    assert_eq!(plain(observe(&before, "select count(*)::text from notes").await), "1");

    provisioner.rename("acme", "acme-ltd").await?;
    assert_eq!(manager.tenant("acme").await.unwrap_err().kind(), ErrorKind::UnknownTenant);
    let renamed = manager.tenant("acme-ltd").await?;
    assert_eq!(plain(observe(&renamed, "select current_database()").await), "db_acme");
    assert_eq!(host.databases().await, "db_acme", "the database keeps its name");
    let taken = provisioner.create("acme", options()).await.unwrap_err();
    assert_eq!(taken.kind(), ErrorKind::TenantExists, "{taken:?}");

    let dry = DropOptions::default().dry_run(true);
    let report = provisioner.drop_tenant("acme-ltd", "acme-ltd", dry).await?;
    assert_eq!(report.database.as_deref(), Some("db_acme"));
    assert!(report.objects.iter().any(|object| object.contains("notes")), "{report:?}");
    assert_eq!(host.databases().await, "db_acme");
    provisioner.drop_tenant("acme-ltd", "acme-ltd", DropOptions::default()).await?;
    assert_eq!((host.databases().await, host.tenants().await), (String::new(), String::new()));
    let gone = sqlx::query("select 1 from notes").execute(&renamed).await.unwrap_err();
    // The catalog may have announced the drop before the handle was invalidated: then its database is missing.
    let kinds = [ErrorKind::StaleHandle, ErrorKind::UnknownTenant, ErrorKind::Placement];
    let kind = kind_of(gone);
    assert!(kinds.contains(&kind), "{kind:?}");
    provisioner.create("acme", options()).await?;
    let db = manager.tenant("acme").await?;
    assert_eq!(plain(observe(&db, "select count(*)::text from notes").await), "1");
    Ok(())
}

#[tokio::test]
async fn a_database_of_someone_else_is_neither_used_nor_dropped() -> TestResult {
    let mut host = Host::new().await;
    let manager = built(of_databases(&host)).await;
    let provisioner = provisioner(&manager, &Files::notes());
    let url = host.server.create_database("db_acme").await?;
    let mut theirs = connect(&url).await;
    run(
        &mut theirs,
        "create table ledger (id int); comment on database db_acme is 'of the accountants'",
    )
    .await;
    for _ in 0..2 {
        let error = provisioner.create("acme", options()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TenantExists, "{error:?}");
        assert!(error.to_string().contains("there is a database db_acme already"), "{error}");
        assert_eq!(
            (host.tenants().await, host.databases().await),
            (String::new(), "db_acme".into())
        );
    }
    // The session in it was not ended either.
    assert_eq!(plain(observe(&mut theirs, "select count(*)::text from ledger").await), "0");
    let comment =
        "select shobj_description(oid, 'pg_database') from pg_database where datname = 'db_acme'";
    assert_eq!(plain(host.ask(comment).await), "of the accountants");

    // The same while its step is in the catalog, as a process leaves it that is killed before it looks.
    run(
        &mut host.admin,
        "insert into tenants (id, state, step) values \
         ('acme', 'suspended', 'tenantry: making 0123456789abcdef seeds (0000000000000001)')",
    )
    .await;
    provisioner.drop_tenant("acme", "acme", DropOptions::default()).await?;
    assert_eq!((host.tenants().await, host.databases().await), (String::new(), "db_acme".into()));
    Ok(())
}

#[tokio::test]
async fn the_database_of_a_server_is_not_dropped_as_that_of_a_tenant() -> TestResult {
    let mut host = Host::new().await;
    let manager = built(of_databases(&host)).await;
    run(&mut host.admin, "create database model is_template true").await;
    for name in ["postgres", "model"] {
        let sql = format!("insert into tenants (id, database) values ('wrong', '{name}')");
        run(&mut host.admin, &sql).await;
        let provisioner = manager.provisioner();
        let dropped = provisioner.drop_tenant("wrong", "wrong", DropOptions::default()).await;
        let error = dropped.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Placement, "{error:?}");
        assert!(error.to_string().contains("the one in the URL of server"), "{error}");
        assert_eq!(host.tenants().await, "wrong active");
        run(&mut host.admin, "delete from tenants").await;
    }
    Ok(())
}

#[tokio::test]
async fn a_deploy_beside_a_creation_leaves_the_unfinished_tenant_to_its_creator() -> TestResult {
    let mut host = Host::new().await;
    let files = Files::notes();
    let manager = built(of_databases(&host)).await;
    provisioner(&manager, &files).create("acme", options()).await?;
    for step in ["making 0123456789abcdef seeds", "undoing 0123456789abcdef", "dropping oid 1"] {
        let sql = format!(
            "insert into tenants (id, state, step) values ('new', 'suspended', 'tenantry: {step} (0)')"
        );
        run(&mut host.admin, &sql).await;
        let migrator = manager.migrator().tenants(files.read());
        let report = migrator.migrate_all(MigrateOptions::default().verify(true)).await?;
        assert!(report.is_success() && report.total == 1, "{step}: {report}");
        run(&mut host.admin, "delete from tenants where id = 'new'").await;
    }
    Ok(())
}

#[tokio::test]
async fn names_have_quotes_and_63_bytes() -> TestResult {
    let mut host = Host::new().await;
    let manager = built(of_databases(&host)).await;
    let provisioner = provisioner(&manager, &Files::notes());
    let long = "ü".repeat(31) + "x";
    for (id, name) in [("quoted", "a\"b'c\\d -- e"), ("long", long.as_str())] {
        provisioner.create(id, options().database(Ident::parse(name)?)).await?;
        let db = manager.tenant(id).await?;
        let found: String =
            sqlx::query_scalar("select current_database()::text").fetch_one(&db).await?;
        assert_eq!(found, name);
        provisioner.drop_tenant(id, id, DropOptions::default()).await?;
        assert_eq!(host.databases().await, "");
    }
    let id = "a".repeat(63);
    let error = provisioner.create(id.as_str(), options()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidTenantId, "{error:?}");
    Ok(())
}

#[tokio::test]
async fn a_template_has_to_be_free_of_sessions() -> TestResult {
    let mut host = Host::new().await;
    let manager = built(of_databases(&host)).await;
    let files = Files::notes();
    let provisioner = provisioner(&manager, &files);
    let url = host.server.create_database("model").await?;
    let mut session = connect(&url).await;
    run(&mut session, "create table extra (id int); insert into extra values (7)").await;
    let template = || options().database_template(Ident::parse("model").expect("a name"));
    let began = Instant::now();
    let create = provisioner.create("acme", template().lock_timeout(Duration::from_millis(100)));
    let error = create.await.unwrap_err();
    assert!(
        error.to_string().contains("are connected to the template \"model\": process "),
        "{error}"
    );
    assert!(began.elapsed() < Duration::from_secs(15), "it is bounded");
    assert_eq!((host.databases().await, host.tenants().await), ("model".into(), String::new()));
    drop(session);
    provisioner.create("acme", template()).await?;
    let db = manager.tenant("acme").await?;
    assert_eq!(plain(observe(&db, "select id::text from extra").await), "7");
    assert_eq!(plain(observe(&db, "select text from notes").await), "inside");
    let missing = options().database_template(Ident::parse("missing")?);
    let error = provisioner.create("globex", missing).await.unwrap_err();
    assert!(error.to_string().contains("there is no template database \"missing\""), "{error}");
    assert_eq!(host.tenants().await, "acme active");
    Ok(())
}

#[tokio::test]
async fn a_failed_creation_leaves_nothing() -> TestResult {
    let mut host = Host::new().await;
    let manager = built(of_databases(&host)).await;
    let failing = Files::new(&[("0001_bad.sql", "create table notes (id int); select 1 / 0;")]);
    let failing_outside = Seed::with_db("broken", |_| async {
        Err::<(), tenantry::seed::BoxError>("it fails".into())
    });
    let provisioners = [
        (manager.provisioner().tenants(failing.read()), ErrorKind::Migration),
        (manager.provisioner().seed(inside()), ErrorKind::Seed),
        (provisioner(&manager, &Files::notes()).seed(failing_outside), ErrorKind::Seed),
    ];
    for (provisioner, kind) in provisioners {
        let error = provisioner.create("acme", options()).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error:?}");
        assert_eq!((host.databases().await, host.tenants().await), (String::new(), String::new()));
    }
    Ok(())
}

#[tokio::test]
async fn what_needs_a_schema_or_a_database_is_refused() -> TestResult {
    let mut host = Host::new().await;
    let manager = built(of_databases(&host)).await;
    let provisioner = provisioner(&manager, &Files::notes());
    let name = || Ident::parse("other").expect("a name");
    for options in [
        options().from_template(),
        options().keep_failed(true),
        options().isolation(IsolationKind::Schema).database(name()),
        options().isolation(IsolationKind::Schema).database_template(name()),
    ] {
        let error = provisioner.create("acme", options).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config, "{error:?}");
    }
    assert_eq!((host.databases().await, host.tenants().await), (String::new(), String::new()));
    provisioner.create("acme", options().isolation(IsolationKind::Schema)).await?;
    assert_eq!(manager.tenant("acme").await?.tenant().state(), TenantState::Active);
    assert_eq!(host.databases().await, "");
    Ok(())
}

#[tokio::test]
async fn other_roles_cannot_connect() -> TestResult {
    let mut host = Host::new().await;
    let manager = built(of_databases(&host)).await;
    provisioner(&manager, &Files::notes()).create("acme", options()).await?;
    run(&mut host.admin, "create role stranger login").await;
    let url = host.server.database_url("db_acme").replace("postgres@", "stranger@");
    let connected = <sqlx::PgConnection as sqlx::Connection>::connect(&url).await;
    let error = connected.map(drop).unwrap_err();
    assert_eq!(crate::support::code_of(&error), "error 42501");
    let free = try_run(&mut host.admin, "create database db_free").await;
    free?;
    Ok(())
}

#[tokio::test]
async fn a_handle_never_reaches_a_later_database_of_the_same_name() -> TestResult {
    let host = Host::new().await;
    let (manager, other) = (built(of_databases(&host)).await, built(of_databases(&host)).await);
    let url = host.server.create_database("model").await?;
    let mut session = connect(&url).await;
    run(&mut session, "create table secrets (text text)").await;
    sqlx::Connection::close(session).await?;
    // The schema `public` of each copy has the same OID.
    let create = async |text: &'static str| {
        let options = options().database_template(Ident::parse("model").expect("a name"));
        let created = manager.provisioner().create("acme", options).await;
        created.expect("the server is running");
        let db = manager.tenant("acme").await.expect("it is served");
        let insert = sqlx::query("insert into secrets values ($1)").bind(text);
        insert.execute(&db).await.expect("the server is running");
    };
    create("of the first").await;
    let old = other.tenant("acme").await?;
    assert_eq!(plain(observe(&old, "select text from secrets").await), "of the first");
    let provisioner = manager.provisioner();
    provisioner.drop_tenant("acme", "acme", DropOptions::default()).await?;
    create("of the second").await;
    for _ in 0..5 {
        let seen =
            sqlx::query_scalar::<_, String>("select text from secrets").fetch_one(&old).await;
        assert!(seen.is_err(), "{seen:?}");
    }
    let new = other.tenant("acme").await?;
    assert_eq!(plain(observe(&new, "select text from secrets").await), "of the second");
    Ok(())
}
