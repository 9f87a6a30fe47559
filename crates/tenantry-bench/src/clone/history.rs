//! Migration files with a history: some create or add objects that others change or drop.

use sqlx::migrate::{Migration, MigrationType, Migrator};
use tenantry::migrate::Migrations;

use crate::{failure::Failure, trusted::trusted};

/// The number of tables after all files, without the records table.
pub(crate) const TABLES: usize = 10;

const FILES: [(&str, &str); 30] = [
    (
        "customers",
        "create table customers (id bigint primary key, name text not null, email text, fax text, \
           created_at timestamptz not null default now()); \
         create index customers_name on customers (name);",
    ),
    (
        "addresses",
        "create table addresses (id bigint primary key, customer bigint not null references customers, \
           street text, city text, country char(2)); \
         create index addresses_customer on addresses (customer);",
    ),
    (
        "products",
        "create table products (id bigint primary key, sku text not null, title text not null, \
           price integer not null); \
         create index products_title on products (title);",
    ),
    (
        "orders",
        "create table orders (id bigint primary key, customer bigint not null references customers, \
           placed_at timestamptz not null default now(), legacy_number text); \
         create index orders_customer on orders (customer);",
    ),
    ("roles", "create table roles (name text primary key, rights text not null);"),
    (
        "default roles",
        "insert into roles (name, rights) values ('admin', 'all'), ('member', 'read, write'), ('guest', 'read');",
    ),
    ("e-mail is unique", "alter table customers add constraint customers_email unique (email);"),
    (
        "order lines",
        "create table order_lines (order_id bigint not null references orders on delete cascade, \
           line integer not null, product bigint not null references products, \
           quantity integer not null, primary key (order_id, line)); \
         create index order_lines_product on order_lines (product);",
    ),
    ("state of orders", "alter table orders add column state text not null default 'new';"),
    (
        "carts",
        "create table carts (id bigint primary key, customer bigint references customers, content jsonb); \
         create index carts_customer on carts (customer);",
    ),
    (
        "invoices",
        "create table invoices (id bigint primary key, order_id bigint not null references orders, \
           total numeric(12,2) not null, issued_at timestamptz not null default now()); \
         create index invoices_order on invoices (order_id);",
    ),
    ("no fax", "alter table customers drop column fax;"),
    ("price in cents", "alter table products alter column price type numeric(12,2);"),
    (
        "payments",
        "create table payments (id bigint primary key, invoice bigint not null references invoices, \
           amount numeric(12,2) not null, paid_at timestamptz); \
         create index payments_invoice on payments (invoice);",
    ),
    ("settings", "create table settings (key text primary key, value text not null);"),
    (
        "default settings",
        "insert into settings (key, value) values ('currency', 'EUR'), ('language', 'en'), ('theme', 'light');",
    ),
    ("index on states", "create index orders_state on orders (state, placed_at);"),
    ("no carts", "drop table carts;"),
    (
        "shipments",
        "create table shipments (id bigint primary key, order_id bigint not null references orders, \
           carrier text, sent_at timestamptz); \
         create index shipments_order on shipments (order_id);",
    ),
    (
        "sku is unique",
        "alter table products add constraint products_sku unique (sku); drop index products_title;",
    ),
    ("quantity is positive", "alter table order_lines add check (quantity > 0);"),
    ("no legacy numbers", "alter table orders drop column legacy_number;"),
    ("orders are open", "alter table orders alter column state set default 'open';"),
    ("index on titles", "create index products_lower_title on products (lower(title));"),
    ("phone", "alter table customers add column phone text, add column changed_at timestamptz;"),
    (
        "tracking",
        "alter table shipments add column tracking text; \
         create index shipments_tracking on shipments (tracking) where tracking is not null;",
    ),
    (
        "notes on orders",
        "alter table orders add column note text, add column changed_at timestamptz; \
         create index orders_changed_at on orders (changed_at);",
    ),
    ("auditors", "insert into roles (name, rights) values ('auditor', 'read');"),
    ("city is required", "alter table addresses alter column city set not null;"),
    (
        "reminders",
        "alter table invoices add column reminded_at timestamptz, \
           add constraint invoices_total check (total >= 0); \
         create index invoices_issued on invoices (issued_at); \
         update settings set value = 'dark' where key = 'theme';",
    ),
];

pub(crate) fn migrations() -> Result<Migrations, Failure> {
    let files = (1..).zip(FILES).map(|(version, (description, text))| {
        let text = trusted(text.to_owned());
        Migration::new(version, description.into(), MigrationType::Simple, text, false)
    });
    Ok(Migrations::embedded(&Migrator::with_migrations(files.collect::<Vec<_>>()))?)
}
