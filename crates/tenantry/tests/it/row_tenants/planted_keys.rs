//! A table in the place of the one with keys that were given up is not trusted, and every error says so.

use tenantry::{
    ErrorKind, TenantManager,
    clone::CloneOptions,
    provision::{CreateOptions, DropOptions},
    rows::RowsRule,
};

use super::{Login, Scene};
use crate::support::{TestResult, observe, run};

const COLUMNS: &str = "(digest int8 primary key, retired_at timestamptz not null, taken_at timestamptz, waits_for text[])";

/// What another role plants, what is then said of it, and whether tenants can be served nevertheless.
fn planted(role: &str) -> Vec<(String, &'static str, bool)> {
    let table = format!("create table app._tenantry_retired_keys {COLUMNS}");
    vec![
        (
            format!("{table}; alter table app._tenantry_retired_keys owner to {role}"),
            "which owns neither the schema nor all tables with rows of tenants",
            true,
        ),
        (
            format!(
                "{table}; alter table app._tenantry_retired_keys owner to {role}; \
                 create table app.decoy (tenant_id text); alter table app.decoy owner to {role}"
            ),
            "which owns neither the schema nor all tables with rows of tenants",
            true,
        ),
        (
            format!(
                "{table}; create function app.f(int8) returns bool language sql immutable as 'select true'; \
                 alter table app._tenantry_retired_keys add check (app.f(digest))"
            ),
            "it has a constraint besides its key",
            true,
        ),
        (
            format!(
                "{table}; create function app.g(int8) returns int8 language sql immutable as 'select $1'; \
                 create index on app._tenantry_retired_keys (app.g(digest))"
            ),
            "an index calls functions",
            true,
        ),
        (
            format!("{table}; alter table app._tenantry_retired_keys alter waits_for set default array['x']"),
            "a column has a default",
            true,
        ),
        (
            format!("{table}; alter table app._tenantry_retired_keys add extra int"),
            "it has other columns",
            true,
        ),
        (
            "create view app._tenantry_retired_keys as select null::int8 as digest, null::timestamptz as retired_at, \
               null::timestamptz as taken_at, null::text[] as waits_for"
                .to_owned(),
            "it is not an ordinary table",
            false,
        ),
        (
            format!(
                "create extension if not exists postgres_fdw schema public; \
                 create server nowhere foreign data wrapper postgres_fdw; \
                 create foreign table app._tenantry_retired_keys {} server nowhere",
                COLUMNS.replace(" primary key", "")
            ),
            "it is not an ordinary table",
            false,
        ),
        (
            format!("{table}; alter table app._tenantry_retired_keys enable row level security"),
            "row security is enabled for it",
            false,
        ),
        ("create table app._tenantry_retired_keys (digest int8)".to_owned(), "it lacks a column of the library's", false),
        (
            format!(
                "{table}; create function app.note() returns trigger language plpgsql as 'begin return null; end'; \
                 create trigger note before insert on app._tenantry_retired_keys \
                   for each row execute function app.note()"
            ),
            "it has a trigger",
            true,
        ),
        (
            format!("{table}; create rule none as on insert to app._tenantry_retired_keys do instead nothing"),
            "it has a rule",
            true,
        ),
        (
            format!("create table app.parent {COLUMNS}; create table app._tenantry_retired_keys () inherits (app.parent)"),
            "it inherits, or is inherited from",
            true,
        ),
    ]
}

/// A manager that has not seen the schema yet.
fn another(scene: &Scene) -> TenantManager {
    scene.builder().build().expect("the configuration is sound")
}

#[tokio::test]
async fn a_planted_table_is_refused_until_it_is_dropped() -> TestResult {
    let mut scene = Scene::new(Login::Superuser).await;
    scene.create(&["acme"]).await;
    let grants = format!("grant create on schema app to {}", scene.role);
    run(&mut scene.admin, &grants).await;
    for (sql, why, is_served) in planted(&scene.role) {
        run(&mut scene.admin, &sql).await;
        run(&mut scene.admin, "grant select on app._tenantry_retired_keys to public").await;
        let manager = another(&scene);
        let provisioner = manager.provisioner().tenants(scene.files.read());
        let data = CloneOptions::default().data(true);
        let refused = [
            provisioner.create("other", CreateOptions::default()).await.map(drop),
            provisioner.clone_tenant("acme", "other", data).await.map(drop),
            provisioner.drop_tenant("acme", "acme", DropOptions::default()).await.map(drop),
        ];
        for refused in refused {
            let error = refused.expect_err(&sql);
            assert_eq!(error.kind(), ErrorKind::Config, "{error}");
            let told = error.to_string();
            assert!(told.contains("the table _tenantry_retired_keys in schema app"), "{told}");
            assert!(told.contains(why) && told.contains("Drop it"), "{told}");
        }
        let found = manager.verify_rows().await?;
        let found = found.errors().find(|found| found.rule == RowsRule::RetiredKeys);
        let told = found.expect(&sql).to_string();
        assert!(told.contains(why), "{told}");
        let db = manager.tenant("acme").await?;
        let served = db.acquire().await.map(drop).map_err(tenantry::Error::from);
        match served {
            Ok(()) => assert!(is_served, "{sql}"),
            Err(error) => {
                assert!(!is_served, "{sql}: {error}");
                assert_eq!(error.kind(), ErrorKind::Config, "{error}");
                assert!(error.to_string().contains(why), "{error}");
            }
        }
        // Nothing has to be restarted.
        let drop = match why {
            _ if sql.starts_with("create view") => "drop view app._tenantry_retired_keys",
            _ if sql.contains("foreign table") => "drop foreign table app._tenantry_retired_keys",
            "it has a trigger" => "drop table app._tenantry_retired_keys; drop function app.note()",
            _ => "drop table app._tenantry_retired_keys; drop table if exists app.parent",
        };
        run(&mut scene.admin, drop).await;
        assert_eq!(observe(&db, "select count(*)::text from users").await, "Some(\"3\")");
        let sound = manager.verify_rows().await?;
        assert!(sound.errors().all(|found| found.rule != RowsRule::RetiredKeys));
        manager.close().await;
    }
    scene.provisioner().drop_tenant("acme", "acme", DropOptions::default()).await?;
    // The library's own is sound for each login that works on the rows.
    let found = another(&scene).verify_rows().await?;
    assert!(found.errors().all(|found| found.rule != RowsRule::RetiredKeys), "{found}");
    scene.manager.close().await;
    Ok(())
}
