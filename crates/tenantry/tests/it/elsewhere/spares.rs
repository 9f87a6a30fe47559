//! Databases that are made before anybody asks for them.

use std::time::Duration;

use futures_util::future::join_all;
use sqlx::Connection;
use tenantry::{
    Credentials, Isolation, IsolationKind, TableCatalog, TenantManager,
    provision::{CreateOptions, DatabaseSpares, DropOptions, HowMade, Provisioner, SparesOnServer},
};

use super::{Host, built, of_databases, of_servers, options, plain, provisioner};
use crate::{
    migrate::Files,
    support::{TestResult, connect, eventually, observe, run},
};

fn of_databases_on(server: &str) -> CreateOptions {
    options().isolation(IsolationKind::Database).server(server)
}

impl Host {
    /// The spares that are ready. None of them may be open to connections.
    async fn ready_spares(&mut self) -> usize {
        let open = "select count(*)::text from pg_database where datallowconn \
                    and shobj_description(oid, 'pg_database') like 'tenantry: ready %'";
        assert_eq!(plain(self.ask(open).await), "0");
        let sql = "select count(*)::text from pg_database where datname like 'tenantry\\_spare\\_%' \
                   and shobj_description(oid, 'pg_database') like 'tenantry: ready %'";
        plain(self.ask(sql).await).parse().expect("a number")
    }

    /// Lets hours pass since the spares were used.
    async fn let_pass(&mut self, hours: u32) {
        let sql = format!(
            "do $$ declare s record; begin for s in select datname, shobj_description(oid, 'pg_database') as note \
             from pg_database where datname like 'tenantry\\_spare\\_%' loop \
             execute format('comment on database %I is %L', s.datname, regexp_replace(s.note, '\\d+$', \
               (split_part(s.note, ' ', 5)::bigint - {hours} * 3600)::text)); end loop; end $$"
        );
        run(&mut self.admin, &sql).await;
    }
}

/// Fills the spares of the main server, and expects that it works.
async fn fill(provisioner: &Provisioner, spares: usize) -> SparesOnServer {
    let report = provisioner.fill_database_spares(&DatabaseSpares::new(spares)).await;
    let report = report.expect("the files are fine");
    assert!(report.is_success() && report.servers.len() == 1, "{report}");
    report.servers.into_iter().next().expect("there is one")
}

async fn notes_of(manager: &TenantManager, id: &str) -> String {
    let db = manager.tenant(id).await.expect("it is served");
    plain(observe(&db, "select string_agg(text, ' ' order by id) from notes").await)
}

#[tokio::test]
async fn a_spare_becomes_a_tenant_by_a_rename_with_one_connection_too() -> TestResult {
    for connections in [1, 4] {
        let mut host = Host::new().await;
        let manager = built(of_databases(&host).max_connections(connections + 1)).await;
        let provisioner = provisioner(&manager, &Files::notes());
        let on = fill(&provisioner, 2).await;
        assert_eq!((&*on.server, on.ready, on.made, on.removed), ("main", 2, 2, 0), "{on}");
        assert_eq!(host.ready_spares().await, 2);
        assert_eq!(manager.tenants().await?.len(), 0);
        let mut made = Vec::new();
        for id in ["a", "b", "c"] {
            made.push(provisioner.create(id, options()).await?.how);
            assert_eq!(notes_of(&manager, id).await, "inside");
        }
        assert_eq!(made, [HowMade::Spare, HowMade::Spare, HowMade::InSteps]);
        assert_eq!(host.databases().await, "db_a db_b db_c");
        provisioner.drop_tenant("a", "a", DropOptions::default()).await?;
        assert_eq!(host.databases().await, "db_b db_c");
        manager.close().await;
    }
    Ok(())
}

#[tokio::test]
async fn each_server_has_the_spares_that_are_asked_for_it() -> TestResult {
    let (mut main, mut eu) = (Host::new().await, Host::new().await);
    let manager = built(of_servers(&main, &eu).isolation(Isolation::database("db_{id}"))).await;
    let provisioner = provisioner(&manager, &Files::notes());
    let spares = DatabaseSpares::new(1).on("eu-1", 2).on("nowhere", 1);
    let report = provisioner.fill_database_spares(&spares).await?;
    let told: Vec<_> =
        report.servers.iter().map(|on| (&*on.server, on.ready, on.error.is_some())).collect();
    assert_eq!(told, [("eu-1", 2, false), ("main", 1, false), ("nowhere", 0, true)]);
    assert!(report.to_string().contains("there is no server \"nowhere\""), "{report}");
    assert_eq!((main.ready_spares().await, eu.ready_spares().await), (1, 2));
    let created = provisioner.create("acme", of_databases_on("eu-1")).await?;
    assert_eq!((created.how, created.server.as_deref()), (HowMade::Spare, Some("eu-1")));
    assert_eq!(notes_of(&manager, "acme").await, "inside");
    assert_eq!((main.ready_spares().await, eu.ready_spares().await), (1, 1));
    let without = of_databases_on("eu-1").use_spare(false);
    assert_eq!(provisioner.create("globex", without).await?.how, HowMade::InSteps);
    Ok(())
}

#[tokio::test]
async fn several_creations_never_get_the_same_spare() -> TestResult {
    let mut host = Host::new().await;
    let files = Files::notes();
    let managers = [built(of_databases(&host)).await, built(of_databases(&host)).await];
    assert_eq!(fill(&provisioner(&managers[0], &files), 3).await.ready, 3);
    let creations = (0..6).map(|n| {
        let provisioner = provisioner(&managers[n % 2], &files);
        async move { provisioner.create(format!("t{n}"), options()).await }
    });
    let mut from_spares = 0;
    for created in join_all(creations).await {
        from_spares += usize::from(created?.how == HowMade::Spare);
    }
    // One that is being tried by another creation is skipped.
    assert!(from_spares + host.ready_spares().await == 3 && from_spares > 0, "{from_spares}");
    for n in 0..6 {
        assert_eq!(notes_of(&managers[0], &format!("t{n}")).await, "inside");
    }
    Ok(())
}

#[tokio::test]
async fn a_spare_of_an_earlier_release_catches_up_or_is_replaced() -> TestResult {
    let mut host = Host::new().await;
    let files = Files::notes();
    let manager = built(of_databases(&host)).await;
    fill(&provisioner(&manager, &files), 1).await;
    files.write("0003_more.sql", "alter table notes add more int;");
    let newer = provisioner(&manager, &files);
    assert_eq!(newer.create("acme", options()).await?.how, HowMade::Spare);
    let db = manager.tenant("acme").await?;
    sqlx::query("select more from notes").fetch_all(&db).await?;

    // One whose files have been changed since.
    fill(&newer, 1).await;
    files.write("0003_more.sql", "alter table notes add more text;");
    files.write("0004_most.sql", "alter table notes add most int;");
    let changed = provisioner(&manager, &files);
    assert_eq!(changed.create("globex", options()).await?.how, HowMade::InSteps);
    let db = manager.tenant("globex").await?;
    sqlx::query("select most from notes where more = 'text'").fetch_all(&db).await?;
    assert_eq!(host.databases().await, "db_acme db_globex");

    // The later release never takes those of a newer one.
    fill(&changed, 1).await;
    assert_eq!(newer.create("initech", options()).await?.how, HowMade::InSteps);
    assert_eq!(host.ready_spares().await, 1);
    Ok(())
}

#[tokio::test]
async fn unused_and_half_made_spares_go_and_others_stay() -> TestResult {
    let mut host = Host::new().await;
    let files = Files::notes();
    let manager = built(of_databases(&host)).await;
    let earlier = provisioner(&manager, &files);
    fill(&earlier, 1).await;
    files.write("0003_more.sql", "alter table notes add more int;");
    let newer = provisioner(&manager, &files);
    let counts = async |of: &Provisioner| {
        let on = fill(of, 1).await;
        (on.ready, on.made, on.removed)
    };
    // Another release may run beside this one.
    assert_eq!(counts(&newer).await, (1, 1, 0));
    host.let_pass(23).await;
    assert_eq!(counts(&newer).await, (1, 0, 0));
    // The spare of this release was used now, the other one 25 hours ago.
    host.let_pass(2).await;
    assert_eq!(counts(&newer).await, (1, 0, 1));
    assert_eq!(host.ready_spares().await, 1);

    let oid = plain(
        host.ask("select oid::text from pg_database where datname = current_database()").await,
    );
    let url =
        host.server.create_database(&format!("tenantry_spare_{oid}_00000000000000aa")).await?;
    // It is not removed while a session is connected.
    let theirs = connect(&url).await;
    for name in [
        format!("tenantry_spare_{oid}_00000000000000bb"),
        "tenantry_spare_1_00000000000000cc".into(),
    ] {
        host.server.create_database(&name).await?;
    }
    let sql = format!(
        "comment on database tenantry_spare_{oid}_00000000000000bb is 'of the accountants'"
    );
    run(&mut host.admin, &sql).await;
    assert_eq!(counts(&newer).await, (1, 0, 0));
    drop(theirs);
    eventually("the half-made one is removed", async || counts(&newer).await == (1, 0, 1)).await;
    assert_eq!(counts(&newer).await, (1, 0, 0));
    let left = host.databases().await;
    assert!(left.contains("00bb") && left.contains("00cc") && !left.contains("00aa"), "{left}");
    Ok(())
}

#[tokio::test]
async fn a_spare_accepts_no_connections() -> TestResult {
    let mut host = Host::new().await;
    let manager = built(of_databases(&host)).await;
    fill(&provisioner(&manager, &Files::notes()), 1).await;
    let spare = host.databases().await;
    let url = host.server.url();
    let url = format!("{}/{spare}", url.strip_suffix("/postgres").expect("the database is last"));
    let refused = sqlx::PgConnection::connect(&url).await.map(drop).unwrap_err();
    assert_eq!(
        refused.as_database_error().and_then(|error| error.code()).as_deref(),
        Some("55000")
    );
    Ok(())
}

#[tokio::test]
async fn files_that_store_the_name_of_their_database_have_no_spares() -> TestResult {
    let mut host = Host::new().await;
    let files = Files::notes();
    files.write("0003_name.sql", "create table about as select current_database()::text as name;");
    let manager = built(of_databases(&host)).await;
    let provisioner = provisioner(&manager, &files);
    for _ in 0..2 {
        let on = fill(&provisioner, 1).await;
        assert_eq!((on.ready, on.refused.len()), (0, 1), "{on}");
    }
    assert_eq!(host.databases().await, "");
    assert_eq!(provisioner.create("acme", options()).await?.how, HowMade::InSteps);
    let db = manager.tenant("acme").await?;
    // Files run under the final name.
    assert_eq!(plain(observe(&db, "select name from about").await), "db_acme");
    Ok(())
}

#[tokio::test]
async fn a_spare_of_a_template_is_taken_by_its_creations_alone() -> TestResult {
    let host = Host::new().await;
    let manager = built(of_databases(&host)).await;
    let provisioner = provisioner(&manager, &Files::notes());
    let url = host.server.create_database("mold").await?;
    let mut mold = connect(&url).await;
    run(&mut mold, "create table from_mold ()").await;
    drop(mold);
    let name = || tenantry::Ident::parse("mold").expect("a name");
    let spares = DatabaseSpares::new(1).template(name());
    let report = provisioner.fill_database_spares(&spares).await?;
    assert_eq!(report.servers[0].ready, 1, "{report}");
    assert_eq!(provisioner.create("acme", options()).await?.how, HowMade::InSteps);
    let of_mold = options().database_template(name());
    assert_eq!(provisioner.create("globex", of_mold).await?.how, HowMade::Spare);
    let db = manager.tenant("globex").await?;
    sqlx::query("select from from_mold").fetch_all(&db).await?;
    Ok(())
}

#[tokio::test]
async fn spares_are_replenished_after_a_creation() -> TestResult {
    let mut host = Host::new().await;
    let manager = built(of_databases(&host)).await;
    let provisioner = provisioner(&manager, &Files::notes());
    provisioner.keep_database_spares(DatabaseSpares::new(1), Duration::from_secs(600));
    for id in ["a", "b"] {
        eventually("a spare is there", async || host.ready_spares().await == 1).await;
        assert_eq!(provisioner.create(id, options()).await?.how, HowMade::Spare);
    }
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn a_role_that_cannot_create_databases_is_told() -> TestResult {
    let mut host = Host::new().await;
    run(&mut host.admin, "create role plain login").await;
    let builder = TenantManager::builder(host.server.url().replace("postgres@", "plain@"));
    let isolation = Isolation::database("db_{id}");
    let manager = builder.isolation(isolation).catalog(TableCatalog::new()).build()?;
    let provisioner = provisioner(&manager, &Files::notes());
    let report = provisioner.fill_database_spares(&DatabaseSpares::new(1)).await?;
    assert!(report.to_string().contains("alter role plain createdb"), "{report}");
    assert_eq!(host.databases().await, "");
    Ok(())
}

#[tokio::test]
async fn the_login_of_the_service_works_in_what_was_a_spare() -> TestResult {
    let mut host = Host::new().await;
    let roles = "create role owner_of_all login createdb; grant create on schema public to owner_of_all; \
                 create role service login; create role stranger login";
    run(&mut host.admin, roles).await;
    let builder = TenantManager::builder(host.server.url().replace("postgres@", "service@"))
        .isolation(Isolation::database("db_{id}"))
        .catalog(TableCatalog::new())
        .upkeep_credentials(Credentials::new("owner_of_all"));
    let manager = built(builder).await;
    let provisioner = provisioner(&manager, &Files::notes());
    assert_eq!(fill(&provisioner, 1).await.ready, 1);
    assert_eq!(provisioner.create("acme", options()).await?.how, HowMade::Spare);
    let db = manager.tenant("acme").await?;
    assert_eq!(plain(observe(&db, "select current_user::text").await), "service");
    assert_eq!(notes_of(&manager, "acme").await, "inside");
    sqlx::query("insert into notes (id, text) values (2, 'ours')").execute(&db).await?;
    assert!(sqlx::query("create table mine ()").execute(&db).await.is_err());
    let may = "select concat_ws(' ', has_database_privilege('stranger', 'db_acme', 'connect'), \
               has_database_privilege('service', 'db_acme', 'connect'))";
    assert_eq!(plain(host.ask(may).await), "f t");
    Ok(())
}

#[tokio::test]
async fn the_doctor_counts_spares_and_names_half_made_ones() -> TestResult {
    let (main, mut eu) = (Host::new().await, Host::new().await);
    let manager = built(of_servers(&main, &eu)).await;
    let provisioner = provisioner(&manager, &Files::notes());
    let spares = DatabaseSpares::new(1).on("eu-1", 1);
    assert!(provisioner.fill_database_spares(&spares).await?.is_success());
    let orphans = async || {
        let report = manager.doctor().only(["orphans"]).run().await.expect("the check exists");
        format!("{report}")
    };
    let told = orphans().await;
    assert!(told.contains("2 spares"), "{told}");
    let oid =
        plain(eu.ask("select oid::text from pg_database where datname = current_database()").await);
    eu.server.create_database(&format!("tenantry_spare_{oid}_00000000000000aa")).await?;
    let told = orphans().await;
    assert!(told.contains("1 spare database is half made: tenantry_spare_"), "{told}");
    Ok(())
}
