//! Operations on tenants that are isolated by row: each reaches its own rows, and none the tables of all.

mod blurred;
mod clones;
mod creates;
mod drops;
mod files;
mod in_schemas;
mod inherited;
mod keys;
mod kills;
mod many;
mod migrates;
mod planted_keys;
mod reaches;
mod renames;
mod reserved;
mod seeds;
mod sifted;

use std::sync::atomic::{AtomicU32, Ordering};

use sqlx::PgConnection;
use tenantry::{
    FixedCatalog, Isolation, ManagerBuilder, Rows, TableCatalog, TenantManager,
    provision::{CreateOptions, Provisioner},
};

use crate::{
    migrate::Files,
    support::{World, observe, run},
};

/// A role of the test's own: roles are the server's.
async fn role(world: &World, options: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let next = NEXT.fetch_add(1, Ordering::Relaxed);
    let role = format!("rows_{}_{next}", std::process::id());
    run(&mut world.admin().await, &format!("create role {role} {options}")).await;
    role
}

/// Statements that create a table of all tenants, which a role works on.
fn table(name: &str, columns: &str, role: &str) -> String {
    let key = "nullif(current_setting('tenantry.tenant', true), '')";
    format!(
        "create table {name} (tenant_id text not null default {key}, {columns}); \
         alter table {name} enable row level security; alter table {name} force row level security; \
         create policy tenantry_all on {name} as permissive for all using (true) with check (true); \
         create policy tenantry_tenant on {name} as restrictive for all \
           using (tenant_id = (select {key})) with check (tenant_id = {key}); \
         grant select, insert, update, delete on {name} to {role};\n"
    )
}

/// Who works on the tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Login {
    /// A superuser, whose sessions take on a role for tenants.
    Superuser,
    /// The owner of the tables, to whom forced policies apply.
    Owner,
}

/// A schema `app` with tables for the rows of all tenants.
struct Scene {
    world: World,
    admin: PgConnection,
    files: Files,
    /// The role that works on the tables.
    role: String,
    login: Login,
    manager: TenantManager,
}

/// The tables of users, who have a boss among them, and their notes.
fn users(role: &str) -> String {
    let users = "id int, name text not null, boss int, primary key (tenant_id, id), \
                 foreign key (tenant_id, boss) references users";
    let notes = "id int generated always as identity primary key, user_id int not null, \
                 foreign key (tenant_id, user_id) references users";
    table("users", users, role) + &table("notes", notes, role)
}

impl Scene {
    async fn new(login: Login) -> Self {
        Self::with(login, users).await
    }

    /// Creates the tables of a file.
    async fn with(login: Login, tables: impl Fn(&str) -> String) -> Self {
        let world = World::new().await;
        let mut admin = world.admin().await;
        let role = role(&world, "login").await;
        let database = observe(&mut admin, "select current_database()").await;
        let database = database.trim_start_matches("Some(\"").trim_end_matches("\")").to_owned();
        let owner = match login {
            Login::Superuser => String::new(),
            Login::Owner => format!(" authorization {role}"),
        };
        run(
            &mut admin,
            &format!(
                "create schema app{owner}; grant usage on schema app to {role}; \
                 grant create on schema public to {role}; grant create on database \"{database}\" to {role}"
            ),
        )
        .await;
        let manager = builder(&world, login, &role).build().expect("the configuration is sound");
        TableCatalog::new().create_table(manager.shared()).await.expect("the server is running");
        let files = Files::new(&[("0001_tables.sql", tables(&role))]);
        let scene = Self { world, admin, files, role, login, manager };
        let report = scene.manager.migrator().tenants(scene.files.read());
        let report = report.migrate_all(Default::default()).await.expect("the server is running");
        assert!(report.is_success(), "{report}");
        scene
    }

    fn builder(&self) -> ManagerBuilder {
        builder(&self.world, self.login, &self.role)
    }

    fn provisioner(&self) -> Provisioner {
        self.manager.provisioner().tenants(self.files.read())
    }

    /// Creates tenants with three users each, the first of whom is the boss of the others, and their notes.
    async fn create(&self, tenants: &[&str]) {
        for tenant in tenants {
            let made = self.provisioner().create(*tenant, CreateOptions::default()).await;
            made.unwrap_or_else(|error| panic!("{tenant}: {error:?}"));
            self.fill(tenant).await;
        }
    }

    async fn fill(&self, tenant: &str) {
        let db = self.manager.tenant(tenant).await.expect("it was created");
        let sql = "insert into users (id, name, boss) values (1, 'a', 1), (2, 'b', 1), (3, 'c', 1)";
        run(&db, sql).await;
        run(&db, "insert into notes (user_id) values (1), (2), (2)").await;
    }

    /// Frees the keys that were given up, as if a while had passed.
    async fn free_keys(&mut self) {
        let free =
            "update app._tenantry_retired_keys set retired_at = retired_at - interval '1 hour'";
        run(&mut self.admin, free).await;
    }

    /// Returns the rows of each key in a table of the schema `app`, as the superuser sees them.
    async fn rows(&mut self, table: &str) -> String {
        let sql = format!(
            "select coalesce(string_agg(tenant_id || ' ' || n, ', ' order by tenant_id), '') \
             from (select tenant_id, count(*) as n from app.{table} group by tenant_id) t"
        );
        let told = observe(&mut self.admin, &sql).await;
        told.trim_start_matches("Some(\"").trim_end_matches("\")").to_owned()
    }
}

fn builder(world: &World, login: Login, role: &str) -> ManagerBuilder {
    let rows = Rows::new().schema("app").expect("an identifier");
    let (url, rows) = match login {
        Login::Superuser => {
            (world.database.url().to_owned(), rows.role(role).expect("an identifier"))
        }
        Login::Owner => (with_user(world.database.url(), role), rows),
    };
    TenantManager::builder(&url).isolation(Isolation::rows(rows)).catalog(TableCatalog::new())
}

/// Returns a URL with another user.
fn with_user(url: &str, user: &str) -> String {
    let (scheme, rest) = url.split_once("://").expect("a URL");
    let host = rest.split_once('@').map_or(rest, |(_, host)| host);
    format!("{scheme}://{user}@{host}")
}

/// Tenants in a list of the test's own, with their rows in the tables of the schema `app`.
fn listed(ids: &[&str]) -> FixedCatalog {
    ids.iter().map(|id| tenantry::TenantRecord::new(id.parse().expect("an id"))).collect()
}
