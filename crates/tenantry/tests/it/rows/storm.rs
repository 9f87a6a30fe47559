//! Random statements of several tenants at once, some of them cancelled, some in tasks that panic.

use std::{panic::AssertUnwindSafe, time::Duration};

use futures_util::{FutureExt, StreamExt, future::join_all};
use sqlx::{Row as _, postgres::PgRow, raw_sql};
use tenantry::{KeyType, TenantDb};
use tokio::time::timeout;

use super::ground::Ground;
use crate::support::{TestResult, World, run};

const TENANTS: [&str; 3] = ["ann", "bob", "cat"];

/// What a tenant runs. Each text in an answer begins with the id of a tenant.
const STATEMENTS: [&str; 16] = [
    "select name from users",
    "select name from users where id % 3 = 1 order by name desc limit 5",
    "insert into users (name) values (current_setting('tenantry.tenant') || md5(random()::text)) returning name",
    "insert into users as u (name) values (current_setting('tenantry.tenant')) \
     on conflict (tenant_id, name) do update set name = excluded.name returning u.name",
    "update users set name = name || 'x' where random() < 0.1 and length(name) < 60 returning name",
    "delete from users where random() < 0.05 and not exists (select from orders where buyer = users.id) returning name",
    "insert into orders (id, buyer) select u.id + (random() * 1e6)::int, u.id from users u limit 1 \
     on conflict do nothing returning tenant_id",
    "select u.name from users u join orders o on o.buyer = u.id",
    "select u.name from users u left join users v on v.id = u.id + 1 where v.name is null",
    "select name from buyers",
    "select names()",
    "select coalesce(first_name(), current_setting('tenantry.tenant'))",
    "with x as (select * from users) select name from x union all select name from x",
    "select tenant_id from users group by tenant_id",
    "select coalesce(max(name), current_setting('tenantry.tenant')) from users",
    "select name from (select name, row_number() over (order by name) from users) as w",
];

/// Checks the texts of an answer; returns how many there were.
fn check(of: &str, sql: &str, rows: &[PgRow]) -> usize {
    for row in rows {
        let text: String = row.get(0);
        assert!(text.starts_with(of), "{of} has seen {text} with {sql}");
    }
    rows.len()
}

async fn step(db: &TenantDb, of: &str, random: &mut fastrand::Rng) -> usize {
    let sql = STATEMENTS[random.usize(..STATEMENTS.len())];
    let rows = match random.u8(..14) {
        0..5 => sqlx::query(sql).fetch_all(db).await,
        5 => sqlx::query(sql).persistent(false).fetch_all(db).await,
        6 | 7 => {
            let Ok(mut tx) = db.begin().await else { return 0 };
            let rows = sqlx::query(sql).fetch_all(&mut *tx).await;
            if random.bool() {
                tx.commit().await.ok()
            } else {
                tx.rollback().await.ok()
            };
            rows
        }
        8 => {
            let Ok(mut lease) = db.acquire().await else { return 0 };
            // What it leaves behind concerns nobody.
            let left =
                ["set tenantry.tenant = 'bob'", "set role none", "begin", "listen x", "reset all"];
            run(&mut *lease, left[random.usize(..left.len())]).await;
            return 1;
        }
        12 => by_cursor(db, random).await,
        13 => prepared_with_sql(db).await,
        9 => {
            // Reads the beginning of an answer only.
            let mut rows = sqlx::query("select name from users").fetch(db);
            let first = rows.next().await.transpose();
            first.map(|row| row.into_iter().collect())
        }
        10 => {
            let limit = Duration::from_micros(random.u64(1..2_000));
            timeout(limit, sqlx::query(sql).fetch_all(db)).await.unwrap_or_else(|_| Ok(Vec::new()))
        }
        _ => {
            let panics = async {
                let mut lease = db.acquire().await.expect("a connection is free soon");
                let mut tx = lease.begin().await.expect("the session is usable");
                drop(sqlx::query(sql).fetch_all(&mut *tx).await);
                std::panic::resume_unwind(Box::new("on purpose"));
            };
            let () = AssertUnwindSafe(panics).catch_unwind().await.unwrap_or_default();
            return 0;
        }
    };
    match rows {
        Ok(rows) => check(of, sql, &rows),
        // Deadlocks and duplicates happen; nothing was seen.
        Err(_) => 0,
    }
}

/// Reads the rows through a cursor, of which some outlive their transaction.
async fn by_cursor(db: &TenantDb, random: &mut fastrand::Rng) -> sqlx::Result<Vec<PgRow>> {
    let mut lease = db.acquire().await?;
    let declare = match random.bool() {
        true => "begin; declare names cursor for select name from users",
        false => "begin; declare names cursor with hold for select name from users; commit",
    };
    raw_sql(declare).execute(&mut *lease).await?;
    let rows = raw_sql("fetch 20 from names").fetch_all(&mut *lease).await;
    if random.bool() {
        raw_sql("commit").execute(&mut *lease).await?;
    }
    rows
}

/// Executes a statement that was prepared with SQL, often enough for a plan that suits all tenants.
async fn prepared_with_sql(db: &TenantDb) -> sqlx::Result<Vec<PgRow>> {
    let mut lease = db.acquire().await?;
    raw_sql("prepare names as select name from users").execute(&mut *lease).await?;
    let mut rows = Vec::new();
    for _ in 0..7 {
        rows.extend(raw_sql("execute names").fetch_all(&mut *lease).await?);
    }
    Ok(rows)
}

/// Counts rows whose name or key is that of another tenant than theirs.
async fn mixed(world: &World) -> i64 {
    let sql = "select (select count(*) from users where not starts_with(name, tenant_id)) \
               + (select count(*) from users where tenant_id <> all (array['ann', 'bob', 'cat'])) \
               + (select count(*) from orders o where not exists (select from users u \
                   where (u.tenant_id, u.id) = (o.tenant_id, o.buyer)))";
    sqlx::query_scalar(sql)
        .fetch_one(&mut world.admin().await)
        .await
        .expect("the server is running")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn random_statements_never_meet_rows_of_others() -> TestResult {
    let ground = Ground::new(KeyType::Text).await.with_users(&TENANTS).await;
    let manager = ground.manager(3, &TENANTS);
    let seed = fastrand::u64(..);
    let tasks = (0..9).map(|task: u64| {
        let manager = manager.clone();
        tokio::spawn(async move {
            let mut random = fastrand::Rng::with_seed(seed ^ task);
            let mut seen = 0;
            for _ in 0..150 {
                let of = TENANTS[random.usize(..TENANTS.len())];
                let db = manager.tenant(of).await.expect("the tenant is listed");
                seen += step(&db, of, &mut random).await;
            }
            seen
        })
    });
    let seen: Vec<_> = join_all(tasks).await;
    let seen =
        seen.into_iter().map(|seen| seen.unwrap_or_else(|error| panic!("seed {seed}: {error}")));
    assert!(seen.sum::<usize>() > 1_000, "seed {seed}: hardly anything was read");
    assert_eq!(mixed(&ground.world).await, 0, "seed {seed}");
    manager.close().await;
    Ok(())
}
