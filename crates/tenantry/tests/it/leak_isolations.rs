//! The session's state does not pass from one kind of isolation to another, nor between tenants in the same
//! tables.

use sqlx::PgConnection;
use tenantry::{
    FixedCatalog, Isolation, IsolationKind, Rows, TenantId, TenantManager, TenantRecord,
};

use crate::leak::{Pair, check};
use crate::leak_kinds::{BOTH, LEAKS, Leak, SETTINGS, Way, leak};
use crate::support::{TestResult, World, create_perform, name_of, run};

/// What makes a session one of the tenant `acme`, whose rows are in tables of all tenants.
const ACME_IN_ROWS: &str =
    "set search_path to public; set tenantry.tenant to 'acme'; set role leak_app";

/// `acme` and `globex` have rows in tables of all tenants, and `hooli` has a schema.
async fn world() -> World {
    let world = World::with_tenants(&["hooli"]).await;
    create_perform(&world).await;
    let setting = "nullif(current_setting('tenantry.tenant', true), '')";
    run(
        &mut world.admin().await,
        &format!(
            "do $$ begin create role leak_app; \
               exception when duplicate_object or unique_violation then null; end $$; \
             grant leak_app, pg_monitor to current_user; \
             create sequence public.counter; grant all on sequence public.counter to leak_app; \
             create table public.users (id int, name text, tenant_id text default {setting}, \
               primary key (tenant_id, id)); \
             insert into public.users values (1, 'acme', 'acme'), (1, 'globex', 'globex'); \
             alter table public.users enable row level security; \
             alter table public.users force row level security; \
             create policy tenants on public.users using (tenant_id = (select {setting})); \
             grant usage on schema public to leak_app; \
             grant select, insert, update, delete on public.users to leak_app"
        ),
    )
    .await;
    world
}

fn manager(world: &World) -> TenantManager {
    let record = |id| TenantRecord::new(TenantId::parse(id).expect("the id is valid"));
    let rows = Rows::new().role("leak_app").expect("the name is an identifier");
    world
        .builder()
        .isolation(Isolation::rows(rows))
        .catalog(FixedCatalog::new([
            record("acme"),
            record("globex"),
            record("hooli").isolation(IsolationKind::Schema),
        ]))
        .max_connections(1)
        .build()
        .expect("the configuration is sound")
}

/// The pairs of tenants, the first of which leaves something behind.
fn pairs<'a>(world: &'a World, manager: &'a TenantManager) -> [Pair<'a>; 3] {
    let pair = |from, bind, to| Pair { world, manager, from, bind, to };
    [
        pair("acme", ACME_IN_ROWS, "globex"),
        pair("acme", ACME_IN_ROWS, "hooli"),
        pair("hooli", "set search_path to tenant_hooli", "globex"),
    ]
}

/// What a tenant can leave behind in a setting, without those that its role may not set.
async fn settings(admin: &mut PgConnection) -> Vec<Leak> {
    let allowed: Vec<String> =
        sqlx::query_scalar("select name from pg_settings where context = 'user'")
            .fetch_all(admin)
            .await
            .expect("the server is running");
    let allowed = |name: &str| allowed.iter().any(|allowed| allowed.eq_ignore_ascii_case(name));
    let settings = SETTINGS.iter().filter(|(name, _)| allowed(name));
    let key = ("tenantry.tenant", "globex");
    let settings = settings.chain([&key]).map(|&(name, value)| {
        let set: &'static str = format!("set {name} to '{value}'").leak();
        let show: &'static str =
            format!("select nullif(current_setting('{name}', true), '')").leak();
        leak(name, BOTH, set, show)
    });
    settings.collect()
}

#[tokio::test]
async fn nothing_passes_between_rows_and_schemas_on_one_session() -> TestResult {
    let world = world().await;
    let settings = settings(&mut world.admin().await).await;
    assert!(settings.len() > 20, "most settings are everybody's");
    for number in 0..3 {
        // A new session: `temp_buffers` cannot be set after a temporary table.
        let manager = manager(&world);
        let pair = &pairs(&world, &manager)[number];
        for leak in settings.iter().chain(LEAKS) {
            for way in leak.ways {
                check(pair, leak, *way).await.map_err(|error| {
                    format!("{} to {}: {} ({way:?}): {error}", pair.from, pair.to, leak.name)
                })?;
            }
        }
        manager.close().await;
    }
    Ok(())
}

#[tokio::test]
async fn nothing_is_left_in_rows_by_a_function_that_nobody_has_looked_at() -> TestResult {
    let world = world().await;
    let manager = manager(&world);
    assert_eq!(name_of(&manager.tenant("acme").await?).await?, "acme");
    run(
        &mut world.admin().await,
        "create function public.young(command text) returns void volatile language plpgsql \
         as 'begin execute command; end'",
    )
    .await;
    let settings = settings(&mut world.admin().await).await;
    let hidden = LEAKS.iter().copied().filter(|leak| leak.ways == BOTH);
    // It cannot be set any more once there was a temporary table.
    let settings = settings.into_iter().filter(|leak| leak.name != "temp_buffers");
    let [to_rows, to_schema, _] = pairs(&world, &manager);
    for leak in hidden.chain(settings) {
        for pair in [&to_rows, &to_schema] {
            check(pair, &leak, Way::Young)
                .await
                .map_err(|error| format!("{} to {}: {error}", leak.name, pair.to))?;
        }
    }
    manager.close().await;
    Ok(())
}
