//! The lint of a schema that exists.

use tenantry::schema::{LintOptions, LintRule, introspect};

use crate::support::{World, run, try_run};

const SCHEMA: &str = "
    create schema \"Ac me\"; set search_path = \"Ac me\";
    create table customers (id bigint generated always as identity primary key, \"Odd, (name)\" text not null);
    create table orders (
        id serial primary key, customer bigint references customers on delete cascade,
        placed timestamp, state varchar(20), code char(3), total money, document json, paid boolean,
        state2 text not null);
    create index orders_state on orders (state varchar_pattern_ops);
    create index orders_partial on orders (customer) where paid;
    create index orders_expression on orders (lower(state2), customer);
    create table items (order_id int references orders, no int, note text, primary key (order_id, no));
    create table notes (note text);
    create unlogged table scratch (id uuid primary key);
    create table \"Camel\" (id uuid primary key, \"(x)\" uuid references \"Camel\");
    create index on \"Camel\" (\"(x)\"); create index camel_again on \"Camel\" (\"(x)\") with (fillfactor = 70);
    create index camel_long on \"Camel\" (\"(x)\", id);
    alter table notes add constraint not_empty check (note <> '') not valid;
    alter table customers enable row level security;
    create policy mine on notes using (true);
    create function f(\"Camel\") returns int language sql security definer as 'select 1';
    create function g() returns int language sql security definer set search_path = pg_catalog as 'select 1';
    create function fired() returns trigger language plpgsql as 'begin return new; end';
    create trigger off before insert on notes for each row execute function fired();
    alter table notes disable trigger off;
    create table _sqlx_migrations (version int, odd json)";

/// Applied to what is found by the rules that are on by default.
const EXPECTED: &[&str] = &[
    "policy-without-row-security table notes",
    "require-primary-key table notes",
    "security-definer-search-path function f(\"Camel\")",
    "table-naming table Camel",
    "unlogged-table table scratch",
    "row-security-without-policy table customers",
    "column-naming column Camel.(x)",
    "column-naming column customers.Odd, (name)",
    "padded-char column orders.code",
    "small-primary-key column orders.id",
    "timestamp-without-time-zone column orders.placed",
    "money column orders.total",
    "constraint-not-valid constraint not_empty on notes",
    "foreign-key-index constraint orders_customer_fkey on orders",
    "duplicate-index index camel_again",
    "disabled-trigger trigger off on notes",
    "json column orders.document",
    "serial column orders.id",
    "nullable-boolean column orders.paid",
    "varchar-length column orders.state",
    "redundant-index index Camel_(x)_idx",
];

#[tokio::test]
async fn a_real_schema_is_advised_and_its_fixes_mend_it() {
    let world = World::new().await;
    let mut admin = world.admin().await;
    run(&mut admin, SCHEMA).await;
    let schema = "Ac me".parse().expect("a name");
    let model = introspect(&mut admin, &schema, None).await.expect("it is read");
    let found = model.lint(&LintOptions::default());
    let mut names: Vec<_> =
        found.iter().map(|finding| format!("{} {}", finding.rule, finding.object)).collect();
    let mut expected: Vec<_> = EXPECTED.iter().map(|name| (*name).to_owned()).collect();
    names.sort();
    expected.sort();
    assert_eq!(names, expected);
    assert!(found.is_sorted_by_key(|finding| std::cmp::Reverse(finding.severity)));

    // Each by itself, as people run them.
    let fixes: Vec<_> = found.iter().filter_map(|finding| finding.fix.clone()).collect();
    for fix in &fixes {
        try_run(&mut admin, fix).await.expect(fix);
    }
    let model = introspect(&mut admin, &schema, None).await.expect("it is read");
    let left = model.lint(&LintOptions::default());
    let left: Vec<_> = left.iter().filter(|finding| finding.fix.is_some()).collect();
    assert!(left.is_empty(), "{left:#?}");
    assert!(fixes.len() > 10, "{fixes:#?}");
    let all = LintRule::ALL.iter().fold(LintOptions::default(), |options, rule| {
        options.severity(*rule, tenantry::schema::Severity::Off)
    });
    assert_eq!(model.lint(&all), []);
}
