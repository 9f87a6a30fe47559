//! References from one tenant's schema into another's.

use tenantry::{
    Ident,
    schema::{CrossReference, cross_references},
};

use crate::support::{World, run, try_run};

/// What every tenant has, and another one can refer to.
const BASE: &str = "
    create type e as enum ('x'); create type ct as (i int, j int); create domain d as int;
    create table t (id int primary key, e e); create sequence s; create table parts (id int, k int) partition by list (k);
    create index on parts (id); create table parent (z int check (z > 0)); create collation col (locale = 'C');
    create text search dictionary dict (template = pg_catalog.simple);
    create function f(int) returns int immutable language sql as 'select $1';
    create function plus(int, int) returns int immutable language sql as 'select $1';
    create function is_ok(int) returns bool immutable language sql as 'select true';
    create function fired() returns trigger language plpgsql as 'begin return new; end';
    create function eq(ct, ct) returns bool immutable language sql as 'select true';
    create function cmp(ct, ct) returns int immutable language sql as 'select 0';
    create operator ## (leftarg = int, rightarg = int, function = plus);
    create function same(int, int) returns bool immutable language sql as 'select true';
    create operator #= (leftarg = int, rightarg = int, function = same);
    create operator === (leftarg = ct, rightarg = ct, function = eq);
    create table own (x int primary key default nextval('s'), y int references t, z e, check (is_ok(y)));
    create index on own (f(y)); create view own_view as select * from own;
    create function own_body() returns void language sql set search_path = {schema}, shared as 'insert into {schema}.t values (1)'";

/// What a tenant has in a hiding place, and the sentences that say so.
const PLACES: &[(&str, &[&str])] = &[
    ("create table fk (x int references b.t)", &["constraint fk_x_fkey on fk of a references b.t"]),
    ("create view v as select id from b.t", &["view v of a reads b.t"]),
    ("create view v as select id, count(*) from b.t group by id", &["view v of a reads b.t"]),
    ("create materialized view v as select id from b.t", &["materialized view v of a reads b.t"]),
    ("create view v as select 1 operator(b.##) 2 as x", &["view v of a reads b.##"]),
    ("create view v as select 'b.t'::regclass as x", &["view v of a reads b.t"]),
    ("create view v as select 'b'::regnamespace as x", &["view v of a reads the schema b"]),
    (
        "create view v as select query_to_xml('select from b.t', true, true, '') as x",
        &["view v of a has a string that names b.t"],
    ),
    (
        "create rule r as on insert to own do also insert into b.t values (1)",
        &["rule r on own of a has an action that uses b.t"],
    ),
    (
        "create table x (x int default nextval('b.s'))",
        &["column x.x of a has a default that uses b.s"],
    ),
    (
        "create table x (x int default nextval('b.s'::text))",
        &["column x.x of a has a string that names b.s"],
    ),
    (
        "create table x (x int, y int generated always as (b.f(x)) stored)",
        &["column x.y of a is generated with b.f"],
    ),
    (
        "create table x (x int constraint c check (b.is_ok(x)))",
        &["constraint c on x of a checks with b.is_ok"],
    ),
    (
        "create table x (x int, constraint c exclude using btree (b.f(x) with =))",
        &["constraint c on x of a is built with b.f"],
    ),
    ("create table x (x b.e)", &["column x.x of a has the type b.e"]),
    ("create table x (x b.e[])", &["column x.x of a has the type b.e"]),
    ("create table x (x b.t)", &["column x.x of a has the type b.t"]),
    ("create table x (x text collate b.col)", &["column x.x of a has the collation b.col"]),
    ("create table x of b.ct", &["table x of a is a table of the type b.ct"]),
    ("create table x () inherits (b.parent)", &["table x of a inherits from b.parent"]),
    (
        "create table x partition of b.parts for values in (1)",
        &["table x of a is a partition of b.parts"],
    ),
    ("create table x (x int) partition by range (b.f(x))", &["table x of a is partitioned by b.f"]),
    ("create domain x as b.d", &["domain x of a is based on b.d"]),
    (
        "create domain x as int constraint c check (b.is_ok(value))",
        &["constraint c on x of a checks with b.is_ok"],
    ),
    ("create type x as (p b.ct)", &["column x.p of a has the type b.ct"]),
    ("create type x as range (subtype = b.d)", &["range type x of a is based on b.d"]),
    (
        "create function x(b.e) returns int language sql as 'select 1'",
        &["function x(b.e) of a takes or returns b.e"],
    ),
    (
        "create function x() returns setof b.t language plpgsql as 'begin end'",
        &["function x() of a takes or returns b.t"],
    ),
    (
        "create function x(x int default b.f(1)) returns int language sql as 'select 1'",
        &["function x(integer) of a has an argument whose default uses b.f"],
    ),
    (
        "create function x() returns bigint begin atomic select count(*) from b.t; end",
        &["function x() of a has an SQL body that uses b.t"],
    ),
    (
        "create procedure x() language plpgsql as 'begin perform 1 from b.t; end'",
        &["procedure x() of a has a body that names b.t"],
    ),
    (
        "create function x() returns int language plpgsql as $$ begin execute 'select b.f(1)'; end $$",
        &["function x() of a has a body that names b.f"],
    ),
    ("create function x() returns int language sql as 'select 1 /* b.t */'", &[]),
    ("create function x() returns int language plpgsql as 'begin return b.gone; end'", &[]),
    (
        "create function x() returns int language sql set search_path = b as 'select 1'",
        &["function x() of a has in its search path the schema b"],
    ),
    (
        "create function x() returns int language plpgsql as 'begin set local search_path to b; end'",
        &["function x() of a has in its search path the schema b"],
    ),
    ("create index x on own (b.f(y))", &["index x of a is built with b.f"]),
    ("create index x on own (y) where b.is_ok(y)", &["index x of a is built with b.is_ok"]),
    (
        "create trigger x before insert on own for each row execute function b.fired()",
        &["trigger x on own of a calls b.fired"],
    ),
    (
        "create trigger x before insert on own for each row execute function fired('b.t')",
        &["trigger x on own of a has a string that names b.t"],
    ),
    (
        "create policy x on own using (exists (select from b.t))",
        &["policy x on own of a has a condition that uses b.t"],
    ),
    ("create statistics x on y, b.f(y) from own", &["statistics x of a is gathered with b.f"]),
    (
        "create aggregate x(int) (sfunc = b.plus, stype = int)",
        &["aggregate x(integer) of a is computed with b.plus"],
    ),
    (
        "create operator @@@ (leftarg = int, rightarg = int, function = b.plus)",
        &["operator @@@(integer, integer) of a is defined with b.plus"],
    ),
    (
        "create operator class x for type b.e using btree as operator 3 pg_catalog.=(anyenum, anyenum)",
        &["operator class x using btree of a has as a member b.e"],
    ),
    (
        "create operator class x for type int using btree as operator 3 b.#=",
        &["operator family x using btree of a has as a member b.#="],
    ),
    (
        "create text search configuration x (copy = pg_catalog.english); alter text search configuration x alter mapping for asciiword with b.dict",
        &["text search configuration x of a searches with b.dict"],
    ),
];

fn found(references: &[CrossReference]) -> Vec<String> {
    references.iter().map(ToString::to_string).collect()
}

async fn world() -> (World, Vec<Ident>, Ident) {
    let world = World::new().await;
    let mut admin = world.admin().await;
    run(&mut admin, "create schema shared; create table shared.plans (id int primary key)").await;
    for schema in ["a", "b", "c"] {
        let base = BASE.replace("{schema}", schema);
        run(&mut admin, &format!("create schema {schema}; set search_path = {schema}; {base}; create table bought (plan int references shared.plans)")).await;
    }
    let ident = |name: &str| Ident::parse(name).expect("a name");
    (world, ["a", "b", "c"].map(ident).into(), ident("shared"))
}

#[tokio::test]
async fn each_hiding_place_is_found_once() {
    let (world, schemas, shared) = world().await;
    let mut admin = world.admin().await;
    let clean = cross_references(&mut admin, &schemas, Some(&shared)).await.expect("it is read");
    assert_eq!(found(&clean), Vec::<String>::new());
    let mut wrong = Vec::new();
    for (sql, expected) in PLACES {
        run(&mut admin, "begin; set local search_path = a").await;
        let made = try_run(&mut admin, sql).await;
        if let Err(error) = made {
            wrong.push(format!("{sql}: {error}"));
            run(&mut admin, "rollback").await;
            continue;
        }
        let references = cross_references(&mut admin, &schemas, Some(&shared)).await;
        let found = found(&references.expect("it is read"));
        run(&mut admin, "rollback").await;
        if found != *expected {
            wrong.push(format!("{sql}: {found:#?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn the_shared_schema_is_everybodys_and_refers_to_nobody() {
    let (world, schemas, shared) = world().await;
    let mut admin = world.admin().await;
    run(
        &mut admin,
        "create view shared.all_orders as select id from a.t union all select id from b.t",
    )
    .await;
    let references = cross_references(&mut admin, &schemas, Some(&shared)).await;
    assert_eq!(
        found(&references.expect("it is read")),
        ["view all_orders of shared reads a.t", "view all_orders of shared reads b.t"]
    );
    let nowhere = cross_references(&mut admin, &["gone".parse().expect("a name")], None).await;
    assert_eq!(nowhere.expect("it is read"), []);
}
