//! Creating, changing and dropping tenants: all of it or nothing.

mod adopts;
mod creates;
mod drops;
mod kills;
mod releases;
mod spares;
mod states;
mod steps;
mod templates;
mod unfinished;
mod written;

use tenantry::{TableCatalog, TenantManager, provision::Provisioner};

use crate::{migrate::Files, support::World};

/// A manager whose tenants are listed in a table, and its provisioner with these files.
async fn with_table(world: &World, files: &Files) -> (TenantManager, Provisioner) {
    let catalog = TableCatalog::new();
    let manager = world.builder().catalog(catalog.clone()).build().expect("it is sound");
    catalog.create_table(manager.shared()).await.expect("the server is running");
    let provisioner = manager.provisioner().tenants(files.read());
    (manager, provisioner)
}

/// A provisioner of tenants that are found by their schemas.
fn by_discovery(world: &World, files: &Files) -> (TenantManager, Provisioner) {
    let manager = world.manager();
    let provisioner = manager.provisioner().tenants(files.read());
    (manager, provisioner)
}
