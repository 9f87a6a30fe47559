//! Tenants that are listed in another application's table, and what is advised where they cannot be read.

use crate::support::{Fleet, execute};

const COLUMNS: &str =
    "[tenants]\ncatalog = 'table'\ntable = 'customers'\n[catalog.columns]\nid = 'slug'\n";

#[tokio::test]
async fn tenants_come_from_a_table_of_another_shape_and_from_a_query() {
    let fleet = Fleet::new().await;
    let setup = "create table customers (number int, slug text); insert into customers values (1, 'acme'), (2, 'globex')";
    execute(&mut fleet.admin().await, setup).await;
    let query = "[tenants]\ncatalog = 'query'\n[catalog]\nquery = 'select slug as id from customers where number = 1'\n";
    for (settings, globex) in [(COLUMNS, true), (query, false)] {
        fleet.folder.write("tenantry.toml", settings);
        let listed = fleet.tenantry(["tenant", "list", "--json"]).run().await.ended_with(0).json();
        let listed = listed.to_string();
        assert!(listed.contains("\"acme\"") && !listed.contains("initech"), "{listed}");
        assert_eq!(listed.contains("\"globex\""), globex, "{listed}");
    }
}

#[tokio::test]
async fn what_cannot_be_read_is_told_with_the_key_or_command_that_helps() {
    let fleet = Fleet::new().await;
    execute(&mut fleet.admin().await, "create table customers (number int, slug text)").await;
    for (settings, says, help) in [
        (
            "[tenants]\ncatalog = 'table'\ntable = 'absent'",
            "no table public.absent",
            "tenantry init --create-table",
        ),
        (
            "[tenants]\ncatalog = 'table'\ntable = 'customers'",
            "no column \"id\"",
            "catalog.columns =",
        ),
        (
            "[tenants]\ncatalog = 'table'\ntable = 'customers'\n[catalog.columns]\nid = 'name'",
            "no column \"name\" for the tenant's id",
            "its columns are number, slug",
        ),
    ] {
        fleet.folder.write("tenantry.toml", settings);
        fleet.tenantry(["tenant", "list"]).run().await.ended_with(2).says(says).says(help);
    }
}
