//! A manager whose role is no superuser and owns the tables, so that forced policies apply to it.

use std::time::Duration;

use tenantry::{
    FixedCatalog, Isolation, IsolationKind, ManagerBuilder, Rows, ServerOptions, TableCatalog,
    TenantManager, TenantRecord,
    moves::{Destination, MoveMethod, MoveOptions},
    provision::CreateOptions,
};
use tenantry_devdb::DevServer;

use super::{built, kinds_hostile::with_user, value};
use crate::{
    migrate::Files,
    support::{TestResult, connect, free_names, run},
};

/// As those of a superuser, and the foreign key is created before policies are forced on the owner.
fn tables() -> String {
    let added = "alter table notes add foreign key (tenant_id, user_id) references users (tenant_id, id);\n";
    let tables = super::kinds::tables().replace("to worker", "to public");
    let notes = "user_id int not null, text text, ";
    assert!(tables.contains(added) && tables.contains(notes));
    let reference = "foreign key (tenant_id, user_id) references users (tenant_id, id), ";
    tables.replace(added, "").replace(notes, &format!("{notes}{reference}"))
}

fn rows() -> Isolation {
    let rows = Rows::new().schema("app").and_then(|rows| rows.shared_tables(["countries"]));
    Isolation::rows(rows.expect("identifiers"))
}

fn builder(main: &str, eu: &str) -> ManagerBuilder {
    TenantManager::builder(main)
        .isolation(Isolation::schema("tenant_{id}"))
        .or_isolation(rows())
        .or_isolation(Isolation::database("db_{id}"))
        .server("eu-1", ServerOptions::new(eu))
        .max_connections(8)
}

/// The destinations, and whether rows leave, or get into, the tables of all tenants.
fn route() -> Vec<(Destination, bool)> {
    use IsolationKind::{Database, Row, Schema};
    let mut before = Schema;
    let mut on = |server: &'static str, kind| {
        let are_rows = [std::mem::replace(&mut before, kind), kind].contains(&Row);
        (Destination::server(server).isolated_by(kind), are_rows)
    };
    vec![
        on("eu-1", Schema),
        on("main", Database),
        on("main", Row),
        on("eu-1", Row),
        on("eu-1", Schema),
        on("eu-1", Database),
        on("eu-1", Row),
        on("main", Database),
        on("eu-1", Database),
        on("main", Schema),
        on("eu-1", Row),
        on("main", Schema),
    ]
}

#[tokio::test]
async fn an_owner_to_whom_policies_apply_moves_tenants_in_all_directions() -> TestResult {
    let (main, eu) = (DevServer::start().await?, DevServer::start().await?);
    let files = Files::new(&[("0001_tables.sql", tables())]);
    let no_tenants: FixedCatalog = std::iter::empty::<TenantRecord>().collect();
    for server in [&main, &eu] {
        let mut admin = connect(&server.url()).await;
        run(
            &mut admin,
            "create role boss login createdb; create schema app authorization boss; \
             grant create on schema public to boss; \
             do $$ begin execute format('grant create on database %I to boss', current_database()); end $$",
        )
        .await;
        let url = with_user(&server.url(), "boss");
        let own = built(TenantManager::builder(url).isolation(rows()).catalog(no_tenants.clone()));
        let migrated = own.migrator().tenants(files.read()).migrate_all(Default::default()).await?;
        assert!(migrated.is_success(), "{migrated}");
        own.close().await;
    }
    let (main_url, eu_url) = (with_user(&main.url(), "boss"), with_user(&eu.url(), "boss"));
    let manager = built(builder(&main_url, &eu_url).catalog(TableCatalog::new()));
    TableCatalog::new().create_table(manager.shared()).await?;
    for (id, kind) in [("acme", IsolationKind::Schema), ("globex", IsolationKind::Row)] {
        let options = CreateOptions::default().isolation(kind);
        manager.provisioner().tenants(files.read()).create(id, options).await?;
        let db = manager.tenant(id).await?;
        run(&db, &format!("insert into users values (1, '{id}'), (2, 'two')")).await;
        run(&db, "insert into notes (user_id, text) values (1, 'a'), (2, 'b')").await;
    }
    for (nth, (to, are_rows)) in route().into_iter().enumerate() {
        let options = MoveOptions::default().keep(Duration::ZERO).tenants(files.read());
        // By turns, in each direction.
        let options = match are_rows && nth % 2 == 0 {
            true => options.method(MoveMethod::ChangeLog),
            false => options,
        };
        let moved = manager.mover().move_tenant("acme", to.clone(), options).await;
        moved.unwrap_or_else(|error| panic!("{to:?}: {error:?}"));
        let db = manager.tenant("acme").await?;
        let seen = "select concat_ws(' ', (select string_agg(name, ' ' order by id) from users), \
                    (select string_agg(text, ' ' order by id) from notes))";
        let rows: String = sqlx::query_scalar(seen).fetch_one(&db).await?;
        assert_eq!(rows, "acme two a b", "{to:?}");
        let rows: String =
            sqlx::query_scalar(seen).fetch_one(&manager.tenant("globex").await?).await?;
        assert_eq!(rows, "globex two a b", "{to:?}");
        for server in [&main, &eu] {
            let mut admin = connect(&server.url()).await;
            free(&mut admin).await;
        }
        let swept = manager.mover().sweep().await?;
        assert!(swept.iter().all(|of| of.error.is_none()), "{swept:?}");
        for server in [&main, &eu] {
            let mut admin = connect(&server.url()).await;
            free(&mut admin).await;
        }
    }
    manager.close().await;
    Ok(())
}

async fn free(admin: &mut sqlx::PgConnection) {
    if value(admin, "select to_regclass('tenantry_retired') is not null").await == "t" {
        free_names(admin).await;
    }
    let there = "select to_regclass('app._tenantry_retired_keys') is not null";
    if value(admin, there).await == "t" {
        let sql =
            "update app._tenantry_retired_keys set retired_at = retired_at - interval '1 hour'";
        run(admin, sql).await;
    }
}

/// A move that could not be recorded where the tenant is, or goes to, could not be undone.
#[tokio::test]
async fn a_role_that_may_not_record_a_move_begins_none() -> TestResult {
    let main = DevServer::start().await?;
    let files = Files::new(&[("0001_tables.sql", tables())]);
    let mut admin = connect(&main.url()).await;
    run(
        &mut admin,
        "create role boss login createdb; create schema app authorization boss; grant create on schema public to boss",
    )
    .await;
    let url = with_user(&main.url(), "boss");
    let manager = built(
        TenantManager::builder(&url)
            .isolation(rows())
            .or_isolation(Isolation::database("db_{id}"))
            .max_connections(8)
            .catalog(TableCatalog::new()),
    );
    TableCatalog::new().create_table(manager.shared()).await?;
    let migrator = manager.migrator().tenants(files.read());
    assert!(migrator.migrate_all(Default::default()).await?.is_success());
    for (id, from, to) in [
        ("acme", IsolationKind::Row, IsolationKind::Database),
        ("beta", IsolationKind::Database, IsolationKind::Row),
    ] {
        let options = CreateOptions::default().isolation(from);
        manager.provisioner().tenants(files.read()).create(id, options).await?;
        let options = MoveOptions::default().keep(Duration::ZERO).tenants(files.read());
        let mover = manager.mover();
        let moving = mover.move_tenant(id, Destination::isolation(to), options);
        let moved = tokio::time::timeout(Duration::from_secs(20), moving).await;
        let error = moved.expect("it ends").expect_err("it cannot be recorded");
        assert!(error.to_string().contains("nothing was changed"), "{error:?}");
        let cause = std::error::Error::source(&error).map(ToString::to_string);
        assert!(cause.as_ref().is_some_and(|cause| cause.contains("grant it create")), "{cause:?}");
    }
    manager.close().await;
    Ok(())
}
