//! A tenant does all kinds of things while it moves, and arrives with every row as it was.

use std::{
    error::Error as _,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use tenantry::{
    IsolationKind, TenantDb, TenantManager,
    moves::{Destination, MoveMethod, MoveStage},
};
use tokio::{runtime::Handle, task::JoinSet};

use super::super::{kinds::Scene, latest, value};
use crate::support::{TestResult, connect, run};

/// Tables whose keys have all kinds of types, and rows that depend on each other in all kinds of ways.
const TABLES: [&str; 9] =
    ["settings", "customers", "orders", "lines", "tags", "moods", "tree", "slots", "events"];

/// The tables. With triggers, the time of a change of a customer is set.
fn tables(with_trigger: bool) -> String {
    let tenant =
        "tenant_id text not null default nullif(current_setting('tenantry.tenant', true), '')";
    let fk = |to: &str, column: &str, action: &str| {
        format!("foreign key (tenant_id, {column}) references {to} (tenant_id, id) {action}")
    };
    let mut sql = format!(
        "create domain label as text check (length(value) < 100); \
         create type mood as enum ('good', 'bad', 'odd'); \
         create table settings ({tenant}, theme text, primary key (tenant_id)); \
         create table customers ({tenant}, id int, slug text not null, balance int not null default 0, \
           updated_at timestamptz not null default now(), primary key (tenant_id, id)); \
         create table orders ({tenant}, id uuid default gen_random_uuid(), customer int not null, note jsonb, \
           d date default now(), t text default 'a', x text, c text, o text, k text, l text, k0 text, \
           doubled int generated always as (customer * 2) stored, primary key (tenant_id, id), {}); \
         create table lines ({tenant}, order_id uuid not null, at timestamptz not null, number numeric, \
           primary key (tenant_id, order_id, at), {}) partition by range (at); \
         create table lines_old partition of lines for values from ('2020-01-01') to ('2025-01-01'); \
         create table lines_new partition of lines default; \
         create table tags ({tenant}, name label, \"weird \"\"col\" text, primary key (name, tenant_id)); \
         create table moods ({tenant}, mood mood, many int, primary key (tenant_id, mood)); \
         create table tree ({tenant}, id int, parent int, primary key (tenant_id, id), {}); \
         create table slots ({tenant}, id varchar(20), position int not null, \
           primary key (tenant_id, id), unique (tenant_id, position)); \
         create table events ({tenant}, id bigint generated always as identity, at date default now(), what bytea, \
           primary key (tenant_id, id));\n",
        fk("customers", "customer", "on update cascade on delete cascade"),
        fk("orders", "order_id", "on delete cascade"),
        fk("tree", "parent", "on delete cascade"),
    );
    for table in TABLES {
        sql += &format!(
            "alter table {table} enable row level security; \
             create policy tenantry_all on {table} as permissive for all using (true) with check (true); \
             create policy tenantry_tenant on {table} as restrictive for all \
               using (tenant_id = (select nullif(current_setting('tenantry.tenant', true), ''))); \
             grant select, insert, update, delete on {table} to worker;\n"
        );
    }
    if with_trigger {
        sql += "create function touch() returns trigger language plpgsql as $$ begin \
                  new.updated_at := clock_timestamp(); return new; end $$; \
                create trigger touch before update on customers for each row execute function touch();\n";
    }
    sql
}

/// Something that an application does. Some violate constraints, because others do something at the same time.
fn statement() -> String {
    let id = fastrand::i32(1..300);
    let (other, year) = (fastrand::i32(1..300), fastrand::i32(2021..2030));
    match fastrand::u8(..20) {
        0 => format!("insert into settings (theme) values ('{id}') on conflict (tenant_id) do update set theme = '{id}'"),
        1 => "delete from settings".to_owned(),
        2 | 3 => format!("insert into customers (id, slug) values ({id}, 's{other}') on conflict do nothing"),
        4 | 5 => format!("update customers set balance = balance + 1, slug = 's{other}' where id = {id}"),
        6 => format!("delete from customers where id = {id}"),
        7 => format!("update customers set id = id + 1000 where id = {id}"),
        8 | 9 => format!(
            "with o as (insert into orders (customer, note) select id, '{{\"a\":  {id}}}' from customers \
               where id = {id} returning id) insert into lines (order_id, at, number) \
             select id, '{year}-01-01'::timestamptz + n * interval '1 hour', n / 3.0 from o, generate_series(1, 3) n"
        ),
        10 => format!("update lines set at = at + interval '1 year' where number = {id} / 3.0"),
        11 => format!("insert into tags values (default, E'it''s \\\\ {id}', null) on conflict do nothing"),
        12 => format!("delete from tags where name = E'it''s \\\\ {id}'"),
        13 => "insert into moods values (default, 'odd', 1) on conflict (tenant_id, mood) do update set many = moods.many + 1"
            .to_owned(),
        14 => format!("insert into tree (id, parent) values ({id}, nullif({other} % 20, 0)) on conflict do nothing"),
        15 => format!("delete from tree where id = {id} % 40"),
        // Unique values go from row to row.
        16 => format!("update slots set position = {} where id = '{}'", other % 25, id % 20),
        17 => "delete from events where id % 7 = 3".to_owned(),
        _ => format!("insert into events (what) values ('\\x{id:04x}')"),
    }
}

/// What tasks do until they are stopped, and how often.
struct Workload {
    tasks: JoinSet<()>,
    stop: Arc<AtomicBool>,
    done: Arc<AtomicU64>,
}

impl Workload {
    fn start(managers: &[TenantManager], tenant: &'static str, each: usize) -> Self {
        let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let mut tasks = JoinSet::new();
        for manager in managers {
            for _ in 0..each {
                let (manager, stop, done) = (manager.clone(), Arc::clone(&stop), Arc::clone(&done));
                tasks.spawn(async move {
                    let db = manager.tenant(tenant).await.expect("it is served");
                    while !stop.load(Ordering::Relaxed) {
                        done.fetch_add(u64::from(act(&db).await), Ordering::Relaxed);
                    }
                });
            }
        }
        Self { tasks, stop, done }
    }

    async fn stop(mut self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        while let Some(ended) = self.tasks.join_next().await {
            ended.expect("nothing was refused");
        }
        self.done.load(Ordering::Relaxed)
    }
}

/// Returns `true` if something was changed.
#[expect(clippy::disallowed_methods, reason = "the text is the test's own")]
async fn act(db: &TenantDb) -> bool {
    let sql = statement();
    let done = sqlx::query(sqlx::AssertSqlSafe(sql.clone())).execute(db).await;
    let Err(error) = done else { return true };
    let code =
        error.as_database_error().and_then(|error| error.code()).map(|code| code.into_owned());
    let is_expected =
        code.as_deref().is_some_and(|code| code.starts_with("23") || code.starts_with("40"));
    assert!(is_expected, "{sql}: {error:?}");
    false
}

/// Which tables of two schemas differ.
async fn differences(url: &str, own: &str) -> Vec<String> {
    let mut admin = connect(url).await;
    let mut different = Vec::new();
    for table in TABLES.into_iter().chain(["users", "notes"]) {
        let sql = format!(
            "with o as (select t::text from {own}.{table} t), s as (select t::text from app.{table} t where tenant_id = 'acme') \
             select (select count(*) from ((select * from o except all select * from s) union all \
               (select * from s except all select * from o)) d) || ' of ' || (select count(*) from o)"
        );
        let found = value(&mut admin, &sql).await;
        if !found.starts_with("0 of ") {
            different.push(format!("{table}: {found}"));
        }
    }
    different
}

async fn prepare(scene: &Scene) {
    let db = scene.manager.tenant("acme").await.expect("it is served");
    run(&db, "insert into slots (id, position) select n::text, n from generate_series(0, 19) n on conflict do nothing")
        .await;
    run(&db, "insert into customers (id, slug) select n, 's' || n from generate_series(1, 2000) n")
        .await;
    run(&db, "insert into orders (customer) select n from generate_series(1, 2000) n").await;
}

/// Moves the tenant, and compares all rows once the move has verified them and requests still wait.
async fn moves(scene: &Scene, kind: IsolationKind) -> (u64, Duration) {
    let stale = scene.stale();
    let load = Workload::start(&[scene.manager.clone(), stale.clone()], "acme", 2);
    tokio::time::sleep(Duration::from_millis(200)).await;
    let found = Arc::new(Mutex::new(None));
    let (noted, manager, url) = (Arc::clone(&found), scene.manager.clone(), scene.main.url());
    let options = scene.options().method(MoveMethod::ChangeLog).on_progress(move |progress| {
        if progress.stage == MoveStage::Verified && !progress.is_worked_off {
            let compared = tokio::task::block_in_place(|| {
                Handle::current().block_on(async {
                    let own = match kind {
                        IsolationKind::Row => latest(&manager).await.kept_as.to_string(),
                        _ => "tenant_acme".to_owned(),
                    };
                    differences(&url, &own).await
                })
            });
            *noted.lock().expect("no one panics") = Some(compared);
        }
    });
    let moved =
        scene.manager.mover().move_tenant("acme", Destination::isolation(kind), options).await;
    let report = moved.unwrap_or_else(|error| panic!("{kind}: {error}: {:?}", error.source()));
    assert_eq!(report.method, MoveMethod::ChangeLog);
    let done = load.stop().await;
    stale.close().await;
    let different = found.lock().expect("no one panics").take().expect("they were compared");
    assert!(different.is_empty(), "{kind}: {different:?}");
    scene.sweep().await;
    (done, report.pause.expect("requests have waited"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn every_change_of_a_busy_tenant_arrives() -> TestResult {
    let scene = Scene::with(&tables(false)).await;
    scene.create("acme", IsolationKind::Row).await;
    prepare(&scene).await;
    for round in 0..2 {
        for kind in [IsolationKind::Schema, IsolationKind::Row] {
            let (done, pause) = moves(&scene, kind).await;
            assert!(pause < Duration::from_secs(5), "{round} {kind}: {pause:?}");
            assert!(done > 100, "{done}");
        }
    }
    scene.others_are_untouched().await;
    scene.manager.close().await;
    Ok(())
}

/// A trigger that sets the time of a change has set it already.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn triggers_of_its_own_tables_do_not_fire_again() -> TestResult {
    let scene = Scene::with(&tables(true)).await;
    scene.create("acme", IsolationKind::Row).await;
    prepare(&scene).await;
    moves(&scene, IsolationKind::Schema).await;
    let mut main = scene.at("main").await;
    let enabled = "select tgenabled::text from pg_trigger where tgrelid = 'tenant_acme.customers'::regclass and tgname = 'touch'";
    assert_eq!(value(&mut main, enabled).await, "O");
    scene.manager.close().await;
    Ok(())
}
