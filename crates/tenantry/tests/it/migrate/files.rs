//! Folders of migration files, and what is looked at afterwards.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process,
    sync::atomic::{AtomicU64, Ordering},
};

use sqlx::PgConnection;
use tenantry::migrate::{Migrations, TenantMigrator};

use crate::support::{World, observe, run};

/// A folder of migration files, which goes with this value.
#[derive(Debug)]
pub(crate) struct Files(PathBuf);

static NEXT: AtomicU64 = AtomicU64::new(0);

impl Files {
    pub(crate) fn new<T: AsRef<[u8]>>(files: &[(&str, T)]) -> Self {
        let name =
            format!("tenantry-files-{}-{}", process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(&folder).expect("the folder for temporary files can be written");
        let files_of = Self(folder);
        for (name, text) in files {
            files_of.write(name, text);
        }
        files_of
    }

    pub(crate) fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        fs::write(self.0.join(name), text).expect("the folder can be written");
    }

    pub(crate) fn remove(&self, name: &str) {
        fs::remove_file(self.0.join(name)).expect("the file is there");
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn read(&self) -> Migrations {
        Migrations::from_dir(&self.0).expect("the files are sound")
    }

    /// Two files that make and change a table `notes`.
    pub(crate) fn notes() -> Self {
        Self::new(&[
            ("0001_notes.sql", "create table notes (id int primary key, text text not null);\n"),
            ("0002_author.sql", "alter table notes add author text;\n"),
        ])
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let gone: io::Result<()> = fs::remove_dir_all(&self.0);
        drop(gone);
    }
}

/// A migrator of the tenants' schemas with these files.
pub(super) fn migrator(world: &World, files: &Files) -> TenantMigrator {
    world.manager().migrator().tenants(files.read())
}

/// Ids of so many tenants.
pub(super) fn ids(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("t{number:04}")).collect()
}

/// Creates an empty schema for each of these tenants.
pub(super) async fn create_schemas<T: AsRef<str>>(admin: &mut PgConnection, tenants: &[T]) {
    for tenant in tenants {
        run(&mut *admin, &format!("create schema \"tenant_{}\"", tenant.as_ref())).await;
    }
}

/// The versions that are recorded in a tenant's schema, as text.
pub(super) async fn recorded(admin: &mut PgConnection, tenant: &str) -> String {
    let sql = format!(
        "select coalesce(string_agg(version::text || case when success then '' else '!' end, ' ' \
         order by version), '') from \"tenant_{tenant}\"._sqlx_migrations"
    );
    observe(admin, &sql).await
}

/// How many tenants' schemas have this table.
pub(super) async fn tables(admin: &mut PgConnection, table: &str) -> i64 {
    sqlx::query_scalar(
        "select count(*) from pg_tables where tablename = $1 and schemaname like 'tenant\\_%'",
    )
    .bind(table)
    .fetch_one(admin)
    .await
    .expect("the server is running")
}
