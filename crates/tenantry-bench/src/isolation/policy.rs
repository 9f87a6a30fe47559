//! What a policy costs a prepared statement, and what a plan for one tenant costs another.

use std::time::{Duration, Instant};

use sqlx::{Connection, PgConnection};

use super::rows::{self, ROLE};
use crate::{
    failure::Failure,
    times::{self, Times},
    trusted,
    world::{ITEMS, NAME_OF_ITEM, World},
};

/// Statements of each round.
const STATEMENTS: i32 = 5_000;

/// Compares a select by key under the policy with one that names the tenant, without policies.
pub(super) async fn overhead(world: &mut World, rounds: u32) -> Result<Vec<Times>, Failure> {
    let tenants = world.tenants(200).await?;
    rows::fill(world, &tenants).await?;
    let mut admin = PgConnection::connect_with(&world.options("setup")).await?;
    let plain = format!(
        "drop table if exists public.items; create table public.items (like all_tenants.items including indexes); \
         insert into public.items select * from all_tenants.items; grant select on public.items to {ROLE}"
    );
    trusted::run(&mut admin, plain).await?;
    trusted::run(&mut admin, "vacuum analyze public.items".to_owned()).await?;
    admin.close().await?;
    let (mut policy, mut condition) = (session(world).await?, session(world).await?);
    let bound =
        format!("set search_path = all_tenants; set tenantry.tenant = '{}'", tenants[7].id());
    trusted::run(&mut policy, bound).await?;
    let id = tenants[7].id();
    times::run("row_policy", &["policy", "condition"], rounds, async |contender, _| {
        let began = Instant::now();
        for n in 0..STATEMENTS {
            let item = n % ITEMS + 1;
            let name: String = match contender {
                0 => sqlx::query_scalar(NAME_OF_ITEM).bind(item).fetch_one(&mut policy).await?,
                _ => {
                    let sql = "select name from public.items where tenant_id = $1 and id = $2";
                    sqlx::query_scalar(sql).bind(id).bind(item).fetch_one(&mut condition).await?
                }
            };
            assert_eq!(name, id);
        }
        Ok(began.elapsed())
    })
    .await
}

/// Opens a session to which policies apply.
async fn session(world: &World) -> Result<PgConnection, Failure> {
    let mut conn = PgConnection::connect_with(&world.options("policy")).await?;
    trusted::run(&mut conn, format!("set role {ROLE}")).await?;
    Ok(conn)
}

/// Rows of the large tenant, and of each of the others.
const LARGE: i64 = 200_000;
const SMALL: i64 = 20;

/// The statement of both tenants.
const SUM: &str = "select sum(amount)::int8 from skewed";

/// Compares a small tenant's statement that a large tenant has planned with one that a small one has planned.
pub(super) async fn skewed(world: &World, rounds: u32) -> Result<Vec<Times>, Failure> {
    let mut admin = PgConnection::connect_with(&world.options("setup")).await?;
    let setting = "nullif(current_setting('tenantry.tenant', true), '')::int8";
    let table = format!(
        "do $$ begin create role {ROLE}; exception when duplicate_object then null; end $$; \
         drop table if exists public.skewed; \
         create table public.skewed (tenant_id int8 not null, id int8 not null, amount int8 not null, \
           primary key (tenant_id, id)); \
         insert into public.skewed select 1, n, 1 from generate_series(1, {LARGE}) n; \
         insert into public.skewed select of, n, 1 from generate_series(2, 200) of, generate_series(1, {SMALL}) n; \
         alter table public.skewed enable row level security; alter table public.skewed force row level security; \
         create policy tenantry_all on public.skewed using (true); \
         create policy tenantry_tenant on public.skewed as restrictive using (tenant_id = (select {setting})); \
         grant usage on schema public to {ROLE}; grant select on public.skewed to {ROLE}"
    );
    trusted::run(&mut admin, table).await?;
    trusted::run(&mut admin, "vacuum analyze public.skewed".to_owned()).await?;
    admin.close().await?;
    let (mut kept, mut fresh) = (session(world).await?, session(world).await?);
    let name = "set tenantry.tenant = ";
    trusted::run(&mut kept, format!("{name}'1'")).await?;
    for _ in 0..20 {
        let sum: i64 = sqlx::query_scalar(SUM).fetch_one(&mut kept).await?;
        assert_eq!(sum, LARGE);
    }
    for conn in [&mut kept, &mut fresh] {
        trusted::run(conn, format!("{name}'7'")).await?;
    }
    times::run("skewed_statement", &["kept", "fresh"], rounds, async |contender, _| {
        let conn = if contender == 0 { &mut kept } else { &mut fresh };
        time_small(conn).await
    })
    .await
}

async fn time_small(conn: &mut PgConnection) -> Result<Duration, Failure> {
    let began = Instant::now();
    for _ in 0..1_000 {
        let sum: i64 = sqlx::query_scalar(SUM).fetch_one(&mut *conn).await?;
        assert_eq!(sum, SMALL);
    }
    Ok(began.elapsed())
}
