use proptest::prelude::*;

use super::{Lint, Of, Rule, Subject, check, statements, within_pair};

fn found(text: &str, of: Of, transactional: bool) -> Vec<(Rule, u32)> {
    let subject = Subject { text, of, transactional, version: 1 };
    told(&Lint::default(), &subject)
}

/// Returns the errors of a file.
fn told(lint: &Lint, subject: &Subject<'_>) -> Vec<(Rule, u32)> {
    let found = check(lint, subject).list.into_iter();
    found.filter(|found| !found.rule.is_warning()).map(|found| (found.rule, found.line)).collect()
}

/// Returns the warnings of a file.
fn warned(text: &str) -> Vec<(Rule, u32)> {
    let subject = Subject { text, of: Of::Tenant, transactional: true, version: 1 };
    let found = check(&Lint::default(), &subject).list.into_iter();
    found.filter(|found| found.rule.is_warning()).map(|found| (found.rule, found.line)).collect()
}

fn in_a_tenant(text: &str) -> Vec<(Rule, u32)> {
    found(text, Of::Tenant, true)
}

const FINE: &[&str] = &[
    "",
    "-- nothing but a comment; really",
    "do $$ $$; do ''; create function f() returns void language sql as ''; do $$ execute '' $$;",
    "select 1",
    "create table users (id bigint generated always as identity primary key, name text);",
    "create table orders (user_id bigint references users (id) on delete cascade on update cascade);",
    "create unique index concurrently_named on users (lower(name));",
    "create index on users using gin (name gin_trgm_ops) where deleted_at is null;",
    "alter table users add column email text, alter column name type varchar(80) using name::varchar(80);",
    "insert into users (id, name) values (1, 'public.users') on conflict (id) do update set name = excluded.name where users.name <> excluded.name;",
    "update users set name = o.name from orders o where o.user_id = users.id;",
    "update users u set name = u.name || x.name from (select o.name from orders o) x;",
    "delete from users using orders where orders.user_id = users.id;",
    "select u.id, o.* from users u join orders o on o.user_id = u.id where u.name like o.name;",
    "select extract(epoch from u.created_at), substring(u.name from u.start for 3) from users u;",
    "select trim(both from u.name), overlay(u.name placing 'x' from u.start) from users u;",
    "select * from users u where u.name is distinct from u.email;",
    "with recursive t as (select id from users union all select t.id from t) select t.id from t;",
    "select (address).street, a.b -> 'c' ->> 'd', a.b #>> '{x,y}' from addresses a;",
    "select data ? 'public.x', data ?| array['a'], tags @> '{a}'::text[] from users;",
    "select * from users u, lateral unnest(u.tags) as tag;",
    "select now()::date, pg_catalog.now(), information_schema.sql_features.feature_id from information_schema.sql_features;",
    "create type mood as enum ('sad', 'public.glad'); create domain d as text check (value <> '');",
    "create view v as select public.id from users as public;",
    "create sequence s owned by users.id; alter sequence s owned by users.id;",
    "comment on column users.name is 'see public.users'; comment on table users is 'x';",
    "create trigger t after update of name on users for each row when (old.name is distinct from new.name) execute function f();",
    "create function f() returns trigger language plpgsql as $$ begin new.updated_at := now(); return new; end $$;",
    "create function f() returns void language plpgsql as $$ declare r record; begin for r in select * from users loop raise notice '%', r.address.street; end loop; end $$;",
    "create function f(a int) returns int language sql begin atomic select case when a > 1 then 2 else 3 end; select 4; end;",
    "create function f() returns int language sql set search_path = '' as 'select 1';",
    "create function f() returns int language sql set search_path to pg_catalog, pg_temp stable as $$ select 1 $$;",
    "create policy p on users for select using (tenant_id = current_setting('app.tenant')::int);",
    "create rule r as on insert to users do instead nothing;",
    "create table parts (id int) partition by range (id); create table p1 partition of parts for values from (1) to (2);",
    "create table copy_of (like users including all, x int); create table child () inherits (users);",
    "do $$ begin if exists (select from users u where u.id = 1) then perform 1; end if; end $$;",
    "grant select on users to reader; revoke all on users from reader;",
    "lock table users in share mode; truncate users, orders cascade;",
    "create extension if not exists pgcrypto with schema public;",
    "create extension hstore schema extensions version '1.8';",
    "savepoint s; rollback to savepoint s; release savepoint s;",
    "create table t (schema text, schema_name text, begin_at date, commit text);",
    "insert into t (schema) values ('x'); alter table t drop schema;",
    "set local lock_timeout = '1s'; set statement_timeout to 0;",
    "select E'it\\'s', U&'\\0061', 'a''b', $x$ ' $x$, $$ \" $$, \"odd \"\"name\"\"\" from users; /* a /* nested */ ' */",
    "create table x (a int); --> statement-breakpoint\nalter table x add b int;",
    "create index i on users (name) include (email) with (fillfactor = 70);",
    "create materialized view m as select u.id from users u group by u.id with no data; refresh materialized view m;",
    "merge into users u using orders o on o.user_id = u.id when matched then update set name = o.name;",
    "select a.b from t a order by a.b, a.c limit 1; select count(*) filter (where t.x > 1) over w from t window w as (partition by t.y);",
    "create table t (price numeric(10, 2) check (price > 0.5), span tsrange, exclude using gist (span with &&));",
    "copy users from '/srv/users.csv' csv;",
    "comment on column tenant_settings.name is 'x'; create sequence s owned by tenant_settings.id;",
    "alter table tenant_settings add check (tenant_settings.a > 0);",
    "create function f(p tenant_settings) returns int language plpgsql as $$ declare rec record; begin select id into rec.n from users; select id into strict p.id from users; return p.id + rec.n; end $$;",
    "create function f() returns int language plpgsql set search_path = \"\" as $$ begin return 1; end $$;",
    "set app.tenant = 'x'; set local app.tenant to 'y'; alter table users set (toast.autovacuum_enabled = false);",
    "update t set address.city = 'x' where id = 1; select (address).city from t;",
    "alter role app set a.b.c = 'x'; alter database d set a.b.c to 1; set a.b.c = 1; show a.b.c; reset a.b.c;",
    "create function f() returns int language sql set search_path = '' not leakproof as 'select 1';",
    "create function f() returns int language sql set search_path = '' external security definer as 'select 1';",
    "create extension plpgsql; create extension if not exists plpgsql; alter extension hstore set schema other; alter extension hstore update;",
    "update t set q.c.r = 1, (q.c.d, b) = (1, 2); insert into t (q.c.r, q.arr[1]) values (1, 2);",
    "create table t (public boolean, q t2); select t.public, public, x.public from t, t x where t.public; select (q).a.b, (t.q).a, arr[1].b.c from t;",
    "create function public_f(public int) returns int language sql as $$ select public_f.public $$;",
    "create function begin() returns int language sql as $$ select 1 $$; create function \"end\"() returns int as 'select 1' language sql;",
    "create function f(a users.id%type) returns users.name%type language plpgsql as $$ declare x users.name%type; r users%rowtype; begin select a.b.c into x from t; select r.addr.city, x into strict r.name, x from users; insert into t values (r.addr.city) returning id into r.id; return x; end $$;",
    "create function f() returns trigger language plpgsql as $$ <<l>> declare v int; begin l.v := new.addr.city; if old.addr.city is distinct from new.addr.city then null; end if; return new; end $$;",
    "create function f(p addr) returns text language sql as $$ select f.p.city || (p).city $$;",
    "do $$ declare r record; begin for r in select * from t loop execute format('drop table %I.x', r.schema.name); end loop; exception when others then raise notice '%', sqlerrm; end $$;",
    "select '2020-01-01'::date, 'public.x'::text, lower('public.x'), to_tsvector('english', 'public.x'), 'a.b'::ltree;",
    "import foreign schema remote from server s into pg_temp;",
    "create operator === (leftarg = int, rightarg = int, function = int4eq); select 1 operator(pg_catalog.+) 2;",
    "comment on schema_table is 'x'; alter table t rename schema to scheme; alter table t add column schema text; alter table t drop column schema;",
    "alter table t set (toast.autovacuum_enabled = false, autovacuum_vacuum_scale_factor = 0.1);",
    "grant all on all tables in schema pg_temp to x; alter sequence s owned by t.c; create statistics st on a, b from t;",
    "select extract(year from t.created), t.a is distinct from t.b, trim(leading 'x' from t.n), position('a' in t.n), overlay(t.n placing 'x' from 1) from t;",
    "select * from json_to_record('{}') as x(a int); select x.* from (select 1) x; select row(x.*) from t x; select count(t.*) from t;",
    "insert into t as x (a) values (1) on conflict (a) where x.b do update set a = excluded.a, b = x.b where x.a < excluded.a returning x.a;",
    "select a.\"b\" from t as \"a\"; select U&\"d\\0061t\" from t;",
    "alter publication p add table t where (t.a > 1); listen other; notify other, 'public.x';",
    "create table t (a text collate \"de-DE\", b numeric(10,2)[] default '{}', c int4range, exclude using gist (c with &&));",
    "create index i on t (lower(a) text_pattern_ops, (b -> 'x') desc nulls last);",
    "select to_tsvector('english', 'public.x'), to_tsvector('public.x'), to_tsquery('simple', 'a.b'), jsonb_to_tsvector('{\"a\": \"public.x\"}', '\"all\"');",
    "select has_table_privilege('public.x', 't', 'select'), setval('s', 1), nextval($$s$$), regclass('t'), E't'::regclass, f('public.t');",
    "create trigger t before insert on t for each row execute function tsvector_update_trigger(tsv, 'pg_catalog.english', a); create trigger u before insert on t for each row execute function f('public.x');",
    "select 'numeric(10,2)'::regtype, '\"a.b\"'::regclass, array['a', 'b']::regclass[], 'int4pl(int,int)'::regprocedure, 'public.x' collate \"C\";",
    "create function f() returns int language plpython3u as $$ from public.x import y\nplpy.execute('select public.f()') $$;",
];

#[test]
fn what_names_no_schema_is_fine() {
    for text in FINE {
        assert_eq!(in_a_tenant(text), [], "{text}");
    }
}

/// Every place of the grammar where an object name can occur.
const FOREIGN: &[&str] = &[
    "create table public.users (id int)",
    "create table \"public\".\"users\" (id int)",
    "create table Public.users (id int)",
    "create type \"public\".\"role\" as enum ('a')",
    "create table users (role \"public\".\"role\")",
    "create table t (id int references public.plans (id))",
    "alter table t add constraint fk foreign key (a) references \"public\".\"users\"(\"id\")",
    "insert into other.users values (1)",
    "update other.users set a = 1",
    "update only other.users set a = 1",
    "delete from other.users",
    "delete from only other.users",
    "delete from users using other.orders where true",
    "select * from other.users",
    "select * from users, other.orders",
    "select * from users u left join other.orders o on o.id = u.id",
    "select * from users where id in (select user_id from other.orders)",
    "select other.f(1)",
    "select 1::other.mood",
    "select tenant_globex.users.name from users",
    "create view v as select * from other.users",
    "create view other.v as select 1",
    "create index i on other.users (id)",
    "create index if not exists i on only other.users (id)",
    "drop index concurrently_named, other.i",
    "drop table if exists other.users cascade",
    "drop table users, other.orders",
    "truncate other.users",
    "truncate table users, other.orders",
    "alter table only other.users add a int",
    "alter table users set schema other",
    "create trigger t before insert on other.users for each row execute function f()",
    "create trigger t before insert on users for each row execute function other.f()",
    "create trigger t before insert on users for each row execute procedure other.f()",
    "create policy p on other.users using (true)",
    "create rule r as on insert to other.users do nothing",
    "create table t partition of other.parts for values from (1) to (2)",
    "create table t (like other.users including all)",
    "create table t () inherits (other.users)",
    "create sequence other.s",
    "alter sequence s owned by other.users.id",
    "comment on column other.users.name is 'x'",
    "comment on table other.users is 'x'",
    "select nextval('public.s')",
    "alter table t alter id set default nextval('public.s'::regclass)",
    "select 'tenant_acme.users'::regclass",
    "grant select on other.users to reader",
    "grant usage on schema other to reader",
    "create schema other",
    "create schema if not exists other",
    "drop schema other cascade",
    "alter default privileges in schema other grant select on tables to reader",
    "call other.p()",
    "lock table other.users",
    "merge into other.users u using orders o on true when matched then delete",
    "do $$ begin insert into other.users values (1); end $$",
    "create function f() returns int language sql as $$ select id from public.users $$",
    "create function f() returns int language sql begin atomic select id from other.users; end",
    "create function f() returns int language sql set search_path = public as 'select 1'",
    "create function f() returns int language plpgsql set search_path to 'other' as $$ begin end $$",
    "create or replace function other.f() returns int language sql as 'select 1'",
    "do 'begin insert into other.users values (1); end'",
    "create function f() returns int language sql as 'select id from other.users where name = ''x'' limit 1'",
    "copy other.users from '/srv/users.csv'",
    "analyze other.users",
    "select a as public from public.users",
    "select x public from public.users",
    "with public as (select 1) select public.f()",
    "create view v as select public.f(id) from users as public",
    "create table t (a other.mood)",
    "create table t (a other.mood[] not null)",
    "create table t of other.row_type",
    "create table t (a text collate other.german)",
    "create table t (id int default nextval('other.s'))",
    "create table t (a int, exclude using gist (a with operator(other.=)))",
    "create table t (a int check (other.f(a)))",
    "create table t (a int generated always as (other.f(1)) stored)",
    "create temp table t as select * from other.users",
    "select 1 into other.t",
    "create index i on t using gin (a other.gin_trgm_ops)",
    "create index i on t (other.f(a))",
    "create index i on t (a collate other.german)",
    "create index i on t (a) where other.f(a)",
    "create unique index other_i on other.t (a)",
    "alter table parts attach partition other.p default",
    "alter table parts detach partition other.p",
    "alter table t inherit other.parent",
    "alter table t no inherit other.parent",
    "alter table t alter a type other.mood using a::text::other.mood",
    "alter table t add column a other.mood",
    "alter table t add foreign key (a) references other.users",
    "alter index i attach partition other.i",
    "alter index other.i rename to j",
    "alter view other.v rename to w",
    "alter type other.mood add value 'x'",
    "alter type mood add attribute a other.mood",
    "alter domain other.d drop not null",
    "alter domain d add check (other.f(value))",
    "alter function other.f(int) owner to x",
    "alter function f(other.mood) owner to x",
    "alter function f() set search_path = other",
    "alter function f() set schema other",
    "alter type mood set schema other",
    "alter sequence other.s restart",
    "alter statistics other.st rename to x",
    "alter extension hstore add table other.t",
    "alter operator other.+ (int, int) owner to x",
    "alter policy p on other.t using (true)",
    "alter trigger a on other.t rename to b",
    "alter publication p add table other.t",
    "alter text search configuration other.c add mapping for word with simple",
    "alter default privileges for role r in schema other grant select on tables to x",
    "alter schema other rename to tenant_globex",
    "alter materialized view other.m rename to n",
    "select 1 operator(other.+) 2",
    "select * from t order by a using operator(other.<)",
    "select cast(1 as other.mood)",
    "select other.mood 'sad'",
    "select * from other.f(1) as x(a int)",
    "select * from rows from (other.f(1)) as x",
    "select * from f(1) as x(a other.mood)",
    "select * from users tablesample other.bernoulli(1)",
    "select other.users.* from users",
    "select other.count(*) filter (where true) over w from t window w as (order by 1)",
    "select array(select id from other.users)",
    "select exists (select from only other.users)",
    "select a from t union all select b from other.t",
    "values (other.f())",
    "table other.users",
    "update users set a = other.f(1)",
    "update users set a = o.a from other.orders o",
    "insert into users select * from other.users",
    "insert into users values (1) on conflict do nothing returning other.f(id)",
    "with x as (insert into other.users values (1)) select 1",
    "merge into users u using other.orders o on true when matched then delete",
    "create domain d as other.mood",
    "create domain d as text collate other.german",
    "create type t as (a other.mood)",
    "create type r as range (subtype = other.mood)",
    "create type other.mood as enum ('a')",
    "create domain other.d as int",
    "create aggregate other.agg (int) (sfunc = int4pl, stype = int)",
    "create aggregate agg (int) (sfunc = other.f, stype = int)",
    "create operator other.+ (leftarg = int, function = f)",
    "create operator + (leftarg = other.mood, function = f)",
    "create operator class other.oc for type int using btree as operator 1 <",
    "create operator class oc for type other.mood using btree as operator 1 <",
    "create operator class oc for type int using btree as function 1 other.f(int, int)",
    "create operator family other.fam using btree",
    "create cast (other.mood as int) with inout",
    "create cast (int as text) with function other.f(int)",
    "create collation other.c from \"C\"",
    "create collation c from other.d",
    "create conversion other.c for 'UTF8' to 'LATIN1' from f",
    "create text search configuration c (copy = other.german)",
    "create text search dictionary other.d (template = simple)",
    "create statistics other.st on a, b from t",
    "create statistics st on a, b from other.t",
    "create event trigger e on ddl_command_end execute function other.f()",
    "create trigger t after insert on users referencing new table as n for each statement execute function other.f()",
    "create foreign table other.t (a int) server s",
    "import foreign schema remote from server s into other",
    "create publication p for table other.t",
    "create publication p for tables in schema other",
    "create materialized view other.m as select 1",
    "create recursive view other.v (a) as select 1",
    "create policy p on t using (other.f())",
    "create rule r as on insert to users do also insert into other.t values (1)",
    "create function f(a other.mood) returns int language sql as 'select 1'",
    "create function f(a int default other.g()) returns int language sql as 'select 1'",
    "create function f() returns setof other.users language sql as 'select 1'",
    "create function f() returns table (a other.mood) language sql as 'select 1'",
    "create function f() returns int language sql return other.g()",
    "create function f(a other.users.id%type) returns int language sql as 'select 1'",
    "create function f() returns int language plpgsql set search_path to pg_temp, other as $$ begin end $$",
    "create procedure other.p() language sql as 'select 1'",
    "create procedure p() language sql begin atomic call other.q(); end",
    "create schema authorization other",
    "drop schema if exists pg_temp, other",
    "drop function other.f(int)",
    "drop function f(other.mood)",
    "drop type if exists mood, other.mood",
    "drop operator other.+ (int, int)",
    "drop collation other.c",
    "drop trigger t on other.users",
    "drop policy p on other.users",
    "drop rule r on other.users",
    "drop index i, other.j",
    "drop view other.v",
    "drop materialized view other.m",
    "drop sequence other.s",
    "drop aggregate other.agg (int)",
    "drop domain other.d",
    "drop text search configuration other.c",
    "refresh materialized view other.m",
    "reindex table other.t",
    "reindex index other.i",
    "cluster other.t using i",
    "comment on function other.f(int) is 'x'",
    "comment on constraint c on other.users is 'x'",
    "comment on type other.mood is 'x'",
    "comment on schema other is 'x'",
    "comment on operator other.+ (int, int) is 'x'",
    "comment on trigger t on other.users is 'x'",
    "comment on index other.i is 'x'",
    "security label on table other.users is 'x'",
    "grant execute on function other.f(int) to x",
    "grant usage on type other.mood to x",
    "grant select on all tables in schema other to x",
    "grant usage on sequence other.s to x",
    "revoke all on schema other from x",
    "grant select (a) on other.users to x",
    "prepare p (other.mood) as select 1",
    "explain select * from other.users",
    "declare c cursor for select * from other.users",
    "copy (select * from other.users) to '/tmp/x'",
    "copy users from '/srv/users.csv' where other.f(a)",
    "select to_regclass('other.users')",
    "select regclass 'other.users'",
    "select cast('other.users' as regclass)",
    "select 'other.f(int)'::regprocedure",
    "select 'other.users'::text::regclass",
    "select 'other.mood'::pg_catalog.regtype",
    "select 'other'::regnamespace",
    "select pg_get_serial_sequence('other.users', 'id'), 1",
    "select setval('other.s', 1)",
    "select regclass('other.users')",
    "select pg_catalog.regclass('other.users')",
    "select regnamespace('other')",
    "select to_regnamespace('other')",
    "select regclass $$other.users$$",
    "select regclass E'other.users'",
    "select cast($$other.users$$ as pg_catalog.regclass)",
    "select E'other.users'::regclass",
    "select E'\\x6fther.users'::regclass",
    "select $$other.users$$::regclass",
    "select $x$other.users$x$::regclass",
    "select U&'\\006fther.users'::regclass",
    "select U&'!006fther.users' uescape '!'::regclass",
    "select 'other.'\n'users'::regclass",
    "select E'other'::regnamespace",
    "select array['other.users']::regclass[]",
    "select '{users, other.users}'::regclass[]",
    "select 'f(other.mood)'::regprocedure",
    "select nextval($$other.s$$)",
    "select nextval(('other.s'))",
    "select pg_catalog.\"nextval\"('other.s'::text)",
    "select nextval(regclass => 'other.s')",
    "select currval(E'other.s')",
    "select setval($$other.s$$, (select max(id) from users))",
    "select pg_get_serial_sequence(E'other.users', 'id')",
    "select to_tsvector('other.english', a) from users",
    "select websearch_to_tsquery('other.english', 'x')",
    "select ts_headline('other.english', a, q) from users",
    "create table t (a text, b tsvector generated always as (to_tsvector('other.german', a)) stored)",
    "create trigger t before insert on users for each row execute function tsvector_update_trigger(tsv, 'other.english', a)",
    "select has_table_privilege('other.users', 'select')",
    "select has_table_privilege('app', 'other.users', 'select')",
    "select has_column_privilege('other.users', 'name', 'select')",
    "select has_function_privilege('other.f(int)', 'execute')",
    "select has_schema_privilege('app', 'other', 'usage')",
    "select pg_get_viewdef('other.v')",
    "do $$ begin perform setval(E'other.s', 1); end $$",
    "do $$ declare x oid; begin select $y$other.users$y$::regclass into x; end $$",
    "do $$ begin if to_regclass('other.users') is null then null; end if; end $$",
    "create function f() returns int language plpgsql set search_path to E'other' as $$ begin end $$",
    // The parser does not know these.
    "select fancy sugar of nothing at all E'other.users'::pg_catalog.regclass from",
    "select fancy sugar of nothing at all regclass $$other.users$$ from",
    "select fancy sugar of nothing at all cast('other.users' as regclass) from",
    "select fancy sugar of nothing at all to_tsvector('other.english', f(a, b)) from",
    "select fancy sugar of nothing at all has_table_privilege(f(a, b), 'other.users', 'x') from",
    "do $$ begin perform other.f(); end $$",
    "do $$ begin execute 'create table other.t (id int)'; end $$",
    "do $$ begin execute $x$ select * from other.t where a = 'x' $x$ into y using 1; end $$",
    "do language 'plpgsql' $$ begin insert into other.users values (1); end $$",
    "do $$ begin insert into other.users values (1); end $$ language plpgsql",
    "create function f() returns int as $$ select id from other.users $$ language 'sql'",
    "select * from users public, other.orders",
    "select * from only (other.t)",
    "select a from t group by other.f(a)",
    "select (other.h()).*",
    "select x.* from xmltable('/x' passing other.f() columns a int path 'x') x",
    "set constraints other.c deferred",
    "create table t as table other.x",
    "create constraint trigger t after insert on t from other.x for each row execute function f()",
    "create type r as range (subtype = int, subtype_opclass = other.o)",
    "create aggregate a (basetype = other.x, sfunc = f, stype = int)",
    "create operator === (leftarg = int, rightarg = int, procedure = f, commutator = operator(other.===))",
    "create operator class c for type int using gist family other.f as operator 1 &&",
    "create transform for other.x language plperl (to sql with function f(internal))",
    "alter table t of other.x",
    "alter operator family f using btree add function 1 (int, int) other.f(int, int)",
    "alter text search configuration c alter mapping for word with other.d",
    "comment on column other.t.c is 'x'",
    "comment on cast (other.a as int) is 'x'",
    "comment on operator class other.x using btree is 'x'",
    "comment on constraint c on domain other.d is 'x'",
    "drop transform for other.x language plperl",
    "drop cast (other.a as int)",
    "do $$ begin execute 'select ''x'' from other.t'; end $$",
    "do $$ begin open c for execute 'select * from other.t' using a; end $$",
    "do $$ begin for r in execute 'select * from other.t' loop null; end loop; end $$",
    "create function f() returns setof t language plpgsql as $$ begin return query execute 'select * from other.t'; end $$",
    "do $$ declare r other.users%rowtype; begin null; end $$",
    "do $$ declare v other.users.id%type; begin null; end $$",
    "do $$ begin create schema other; end $$",
    "do $$ begin if true then create schema if not exists other; end if; end $$",
    "do $$ declare x int; begin select id into x from other.users; end $$",
    "do $$ declare x int; begin insert into other.users values (1) returning id into x; end $$",
    "do $$ declare r record; begin for r in select * from other.users loop null; end loop; end $$",
    "do $$ declare r record; begin for r in select 1 loop select r.a, id into r from other.users; end loop; end $$",
    "do $$ begin null; exception when others then perform other.f(); end $$",
    "create function f() returns setof int language plpgsql as $$ begin return query select id from other.users; end $$",
    "create function f() returns int language sql as e'select id from other.users where a = \\'x\\''",
    "create function f() returns int as $$ select 1; create schema other $$ language sql",
    "select other . users . name from users",
    "select 1 from other/* x */.users",
    // The parser does not know this: its tokens say enough.
    "create fancy table other.users (id int) with sugar",
    "select fancy sugar other.f(1) of nothing at all from",
    "alter table t frobnicate references other.users",
    "select nextval('other.s')",
    "select tenant_globex.f(1)",
];

#[test]
fn what_names_a_schema_is_found_with_its_line() {
    for text in FOREIGN {
        let text = format!("select 1;\n\n{text};\nselect 2");
        let found = in_a_tenant(&text);
        assert_eq!(found.first(), Some(&(Rule::ForeignSchema, 3)), "{text}: {found:?}");
        assert_eq!(
            told(
                &Lint::default()
                    .allow_schema("public")
                    .allow_schema("other")
                    .allow_schema("tenant_acme")
                    .allow_schema("tenant_globex"),
                &Subject { text: &text, of: Of::Tenant, transactional: true, version: 1 },
            ),
            [],
            "{text}"
        );
        assert_eq!(self::found(&text, Of::Shared, true), [], "{text}");
    }
}

/// Statements that break a rule other than the one about schemas.
const FORBIDDEN: &[(&str, Rule)] = &[
    ("begin", Rule::TransactionControl),
    ("begin transaction isolation level serializable", Rule::TransactionControl),
    ("start transaction", Rule::TransactionControl),
    ("COMMIT", Rule::TransactionControl),
    ("end", Rule::TransactionControl),
    ("rollback", Rule::TransactionControl),
    ("rollback work", Rule::TransactionControl),
    ("abort", Rule::TransactionControl),
    ("prepare transaction 'x'", Rule::TransactionControl),
    ("set transaction read only", Rule::TransactionControl),
    ("set session characteristics as transaction read only", Rule::TransactionControl),
    ("create index concurrently i on users (id)", Rule::NotInTransaction),
    ("create unique index concurrently i on users (id)", Rule::NotInTransaction),
    ("drop index concurrently i", Rule::NotInTransaction),
    ("reindex index concurrently i", Rule::NotInTransaction),
    ("reindex (verbose) table concurrently users", Rule::NotInTransaction),
    ("vacuum users", Rule::NotInTransaction),
    ("create database x", Rule::NotInTransaction),
    ("alter system set x = 1", Rule::NotInTransaction),
    ("copy users from stdin", Rule::ClientCommand),
    ("copy users (id) to stdout", Rule::ClientCommand),
    ("\\connect other", Rule::ClientCommand),
    ("set search_path to x", Rule::SearchPath),
    ("set local search_path = x", Rule::SearchPath),
    ("SET SESSION search_path = x", Rule::SearchPath),
    ("set schema 'x'", Rule::SearchPath),
    ("reset search_path", Rule::SearchPath),
    ("set \"search_path\" = x", Rule::SearchPath),
    ("set local \"search_path\" to x", Rule::SearchPath),
    ("select set_config($$search_path$$, 'x', true)", Rule::SearchPath),
    ("reset all", Rule::SearchPath),
    ("discard all", Rule::SearchPath),
    ("select set_config('search_path', 'x', false)", Rule::SearchPath),
    ("select pg_catalog.set_config('search_path', '', false)", Rule::SearchPath),
    (
        "select set_config(setting_name => 'search_path', new_value => 'x', is_local => true)",
        Rule::SearchPath,
    ),
    ("select set_config('search_path'::text, 'x', true)", Rule::SearchPath),
    ("select set_config(E'search_path', 'x', true)", Rule::SearchPath),
    ("alter role app set search_path = x", Rule::SearchPath),
    ("do $$ begin perform set_config('search_path', 'x', true); end $$", Rule::SearchPath),
    ("do $$ begin set local search_path to x; end $$", Rule::SearchPath),
    ("set session search_path = x", Rule::SearchPath),
    ("set session schema 'x'", Rule::SearchPath),
    ("do $$ begin set session search_path to x; end $$", Rule::SearchPath),
    ("do $$ begin reset all; end $$", Rule::SearchPath),
    ("do $$ begin discard all; end $$", Rule::SearchPath),
    ("do $$ begin execute 'set search_path to x'; end $$", Rule::SearchPath),
    ("do $$ begin if true then set schema 'x'; end if; end $$", Rule::SearchPath),
    ("do $$ begin null; reset search_path; end $$", Rule::SearchPath),
    ("create function f() returns void language sql as 'select 1; reset all'", Rule::SearchPath),
    (
        "create function f() returns void language plpgsql as $$ begin set session search_path = x; end $$",
        Rule::SearchPath,
    ),
    ("do $$ begin create extension hstore; end $$", Rule::ExtensionWithoutSchema),
    ("alter table t detach partition p concurrently", Rule::NotInTransaction),
    ("reindex (verbose) database d", Rule::NotInTransaction),
    ("reindex schema s_x", Rule::NotInTransaction),
    ("cluster", Rule::NotInTransaction),
    ("create extension pgcrypto", Rule::ExtensionWithoutSchema),
    ("create extension if not exists \"uuid-ossp\" cascade", Rule::ExtensionWithoutSchema),
];

/// Texts without an end, with the line in which they begin.
const UNTERMINATED: &[(&str, u32)] = &[
    ("select 'x", 1),
    ("select 1;\nselect \"x", 2),
    ("select 1;\n\n/* x\n /* y */\n", 3),
    ("do $x$ begin\nend $y$;", 1),
    ("select E'x\\';\n", 1),
    ("select 1;\nselect 2\0;", 2),
    ("select N'x", 1),
];

#[test]
fn what_breaks_other_rules_is_found_with_its_line() {
    for &(text, rule) in FORBIDDEN {
        let text = format!("select 1;\n{text};\n");
        let found = in_a_tenant(&text).into_iter();
        let found: Vec<_> = found.filter(|found| *found != (Rule::ForeignSchema, 2)).collect();
        assert_eq!(found, [(rule, 2)], "{text}");
    }
    for &(text, line) in UNTERMINATED {
        assert_eq!(in_a_tenant(text).first(), Some(&(Rule::Unterminated, line)), "{text:?}");
    }
}

#[test]
fn shared_files_and_those_outside_a_transaction_have_fewer_rules() {
    assert_eq!(found("create extension pgcrypto; create schema x;", Of::Shared, true), []);
    let control = found("select 1;\ncommit;", Of::Shared, true);
    assert_eq!(control, [(Rule::TransactionControl, 2)]);
    assert_eq!(found("create index concurrently i on users (id);", Of::Tenant, false), []);
    assert_eq!(found("begin;", Of::Tenant, false), [(Rule::TransactionControl, 1)]);
}

#[test]
fn a_file_that_is_skipped_still_keeps_its_record() {
    let text = "create table public.x ();\nset search_path to y;\ncommit;\nselect '";
    let subject = Subject { text, of: Of::Tenant, transactional: true, version: 7 };
    let rules =
        |lint: Lint| told(&lint, &subject).into_iter().map(|(rule, _)| rule).collect::<Vec<_>>();
    assert_eq!(rules(Lint::default().skip(7)), [Rule::TransactionControl, Rule::Unterminated]);
    assert_eq!(rules(Lint::default().skip(8)).len(), 4);
    let subject = Subject { text: "create table a (); begin; create table b ();", ..subject };
    let found = |lint: Lint| told(&lint, &subject).into_iter().map(|(rule, _)| rule).next();
    assert_eq!(found(Lint::default()), Some(Rule::TransactionControl));
    assert_eq!(found(Lint::default().skip(7)), None, "the server only warns");
}

/// Files with their statements.
const SPLIT: &[(&str, &[&str])] = &[
    ("", &[]),
    (" ; ;-- x\n;", &[]),
    (
        "\u{feff}-- no-transaction\r\nselect 1;\r\n\r\nselect 2 -- two; really\r\n",
        &["select 1", "select 2"],
    ),
    ("select ';'; select $$;$$; select \";\"", &["select ';'", "select $$;$$", "select \";\""]),
    (
        "create rule r as on insert to t do (select 1; select 2); select 3",
        &["create rule r as on insert to t do (select 1; select 2)", "select 3"],
    ),
    (
        "create function f() returns int begin atomic select case when a then 1 end; end; select 1",
        &[
            "create function f() returns int begin atomic select case when a then 1 end; end",
            "select 1",
        ],
    ),
    (
        "create function begin() returns int language sql as 'select 1'; select 2",
        &["create function begin() returns int language sql as 'select 1'", "select 2"],
    ),
    (
        "create function \"x\".begin(a int) returns begin as 'x'; select 2; end",
        &["create function \"x\".begin(a int) returns begin as 'x'", "select 2", "end"],
    ),
    (
        "create procedure p() begin atomic select t.end as case, 1 as end; end; select 2",
        &["create procedure p() begin atomic select t.end as case, 1 as end; end", "select 2"],
    ),
    ("/* ; */ select 1 /* ; */ ;", &["select 1"]),
    ("begin; select 1; end;", &["begin", "select 1", "end"]),
];

#[test]
fn statements_are_found_as_psql_finds_them() {
    for &(text, expected) in SPLIT {
        let found: Vec<_> = statements(text).into_iter().map(|part| &text[part]).collect();
        assert_eq!(found, expected, "{text}");
    }
}

proptest! {
    #[test]
    fn nothing_that_is_read_is_too_odd(text in ".{0,200}", parts in prop::collection::vec(
        prop::sample::select(vec![
            "create ", "table ", "public", ".", "\"", "'", "$$", "$x$", "/*", "*/", "--", "\n", ";", "(", ")",
            "begin ", "atomic ", "end ", "case ", "from ", "set ", "search_path ", "\\", "E'", "U&\"", ",", "::",
            "function ", "language ", "plpgsql ", "do ", "schema ", "on ", "ü", "\u{feff}", "\0",
        ]), 0..60)) {
        for text in [text, parts.concat()] {
            for of in [Of::Tenant, Of::Shared] {
                found(&text, of, true);
            }
            let mut end = 0;
            for part in statements(&text) {
                prop_assert!(part.start >= end && part.end <= text.len() && part.start < part.end);
                prop_assert!(text.get(part.clone()).is_some());
                end = part.end;
            }
        }
    }
}

/// Files in a `begin` and a `commit`, with what is between the two.
const PAIRS: &[(&str, &str)] = &[
    ("begin; select 1; commit;", " select 1; "),
    ("BEGIN TRANSACTION;\nselect 1;\nEND;", "\nselect 1;\n"),
    ("-- x\n/* y */ start transaction; select 1; end transaction -- z\n", " select 1; "),
    ("begin work;select 1;select 2;commit work;", "select 1;select 2;"),
    ("; begin read write; select 1; commit;;", " select 1; "),
    ("begin; do $$ begin null; end $$; commit", " do $$ begin null; end $$; "),
    ("begin; savepoint s; rollback to s; commit", " savepoint s; rollback to s; "),
    ("begin; commit;", " "),
];

const NO_PAIRS: &[&str] = &[
    "",
    "select 1",
    "begin; select 1;",
    "select 1; commit",
    "begin; select 1; commit; select 2",
    "select 0; begin; select 1; commit",
    "begin; select 1; commit; begin; select 2; commit;",
    "begin; select 1; rollback;",
    "begin isolation level serializable; select 1; commit",
    "begin; select 1; commit and chain",
    "begin; set transaction read only; select 1; commit",
    "begin; select 'x; commit;",
];

#[test]
fn a_pair_around_a_file_is_no_part_of_it() {
    for &(text, within) in PAIRS {
        assert_eq!(within_pair(text).map(|part| &text[part]), Some(within), "{text}");
        assert_eq!(in_a_tenant(text), [], "{text}");
        assert!(!found(text, Of::Tenant, false).is_empty(), "{text}");
    }
    for text in NO_PAIRS {
        assert_eq!(within_pair(text), None, "{text}");
    }
    assert_eq!(in_a_tenant("begin;\nselect public.f();\ncommit;"), [(Rule::ForeignSchema, 2)]);
}

/// Statements with the warning that each gets.
const HARMFUL: &[(&str, Rule)] = &[
    ("alter table t alter a type bigint", Rule::TableRewrite),
    ("alter table t alter column a set data type int using a::int", Rule::TableRewrite),
    ("alter table t alter a type text using a || 'x'", Rule::TableRewrite),
    ("alter table t alter a type timestamptz", Rule::TableRewrite),
    ("alter table t alter a type numeric(10, 2)", Rule::TableRewrite),
    ("alter table t alter a type int[]", Rule::TableRewrite),
    ("alter table t add column a uuid default gen_random_uuid()", Rule::TableRewrite),
    ("alter table t add a uuid not null default pg_catalog.uuid_generate_v4()", Rule::TableRewrite),
    ("alter table t add a float default random() * 2", Rule::TableRewrite),
    ("alter table t add a bigserial", Rule::TableRewrite),
    ("alter table t add a int generated always as identity", Rule::TableRewrite),
    ("alter table t add a int generated always as (b * 2) stored", Rule::TableRewrite),
    ("alter table t set tablespace x", Rule::TableRewrite),
    ("alter table t set logged", Rule::TableRewrite),
    ("alter table t set unlogged", Rule::TableRewrite),
    ("alter table t set access method x", Rule::TableRewrite),
    ("cluster t using i", Rule::TableRewrite),
    ("vacuum full t", Rule::TableRewrite),
    ("vacuum (full, analyze) t", Rule::TableRewrite),
    ("alter table t add a int not null", Rule::NotNull),
    ("alter table t add a int, add b int not null", Rule::NotNull),
    ("alter table t alter a set not null", Rule::NotNull),
    ("alter table t add constraint c not null a", Rule::NotNull),
    ("alter table t add foreign key (a) references u (id)", Rule::ConstraintNotValid),
    ("alter table t add constraint c foreign key (a) references u", Rule::ConstraintNotValid),
    ("alter table t add constraint c check (a > 1)", Rule::ConstraintNotValid),
    ("alter table t add a int default 1 references u (id)", Rule::ConstraintNotValid),
    ("alter table t add a int check (a > 1)", Rule::ConstraintNotValid),
    ("create index i on t (a)", Rule::IndexNotConcurrent),
    ("create unique index on t (a) where a > 1", Rule::IndexNotConcurrent),
    ("alter table t add unique (a)", Rule::IndexNotConcurrent),
    ("alter table t add constraint c primary key (a)", Rule::IndexNotConcurrent),
    ("alter table t add a int unique", Rule::IndexNotConcurrent),
    ("alter table t add exclude using gist (a with &&)", Rule::IndexNotConcurrent),
    ("reindex table t", Rule::IndexNotConcurrent),
    ("lock table t in share mode", Rule::LockTable),
    ("alter table t drop column a", Rule::DropColumn),
    ("alter table if exists only t drop if exists a cascade", Rule::DropColumn),
    ("drop table t", Rule::DropTable),
    ("drop table if exists a, b cascade", Rule::DropTable),
    ("alter table t rename a to b", Rule::Rename),
    ("alter table t rename column a to b", Rule::Rename),
    ("alter table t rename to u", Rule::Rename),
    ("alter table t alter a type varchar(20)", Rule::VarcharShrink),
    ("alter table t alter a type character varying (20)", Rule::VarcharShrink),
    ("alter table t alter a type char(3)", Rule::VarcharShrink),
    ("create extension if not exists pg_trgm schema public", Rule::ExtensionInTenant),
    ("create extension hstore with schema extensions cascade", Rule::ExtensionInTenant),
    ("drop extension if exists hstore", Rule::ExtensionInTenant),
    ("alter extension hstore update", Rule::ExtensionInTenant),
    ("do $$ begin create extension hstore schema x; end $$", Rule::ExtensionInTenant),
    ("-- tenantry: allow(no_such_rule)\nselect 1", Rule::UnknownRule),
    ("-- tenantry: allow(transaction_control)\nselect 1", Rule::UnknownRule),
    ("do $$ begin alter table t drop column a; end $$", Rule::DropColumn),
    ("create table x (a int); alter table t add b int not null", Rule::NotNull),
];

#[test]
fn what_hurts_a_running_service_is_warned_of() {
    for &(text, rule) in HARMFUL {
        let found: Vec<_> = warned(text).into_iter().map(|(rule, _)| rule).collect();
        assert_eq!(found, [rule], "{text}");
    }
}

#[test]
fn a_warning_can_be_turned_off() {
    for &(text, rule) in HARMFUL.iter().filter(|(_, rule)| *rule != Rule::UnknownRule) {
        let name = rule.as_str();
        let allowed = format!("{text};\n-- tenantry: allow({name})\n");
        assert_eq!(warned(&allowed), [], "{allowed}");
        let name = name.replace('_', "-");
        let kebab = format!("/* tenantry: allow(lock-table, {name}) */{text}");
        assert_eq!(warned(&kebab), [], "{kebab}");
        let subject = Subject { text, of: Of::Tenant, transactional: false, version: 3 };
        for lint in [
            Lint::default().allow(rule),
            Lint::default().allow_in(3, rule),
            Lint::default().skip_until(3),
        ] {
            assert_eq!(check(&lint, &subject).list, [], "{text}");
        }
        for lint in [Lint::default().allow_in(4, rule), Lint::default().skip_until(2)] {
            assert_eq!(check(&lint, &subject).list.len(), 1, "{text}");
        }
    }
}

/// Statements without a warning.
const HARMLESS: &[&str] = &[
    "alter table t add a int; alter table t add b text default 'x' not null; alter table t add c timestamptz not null default now()",
    "alter table t add a int references u (id)",
    "alter table t add constraint c foreign key (a) references u (id) not valid; alter table t validate constraint c",
    "alter table t add check (a > 1) not valid",
    "alter table t add constraint c check (a is not null) not valid; alter table t validate constraint c; alter table t alter a set not null; alter table t drop constraint c",
    "alter table t add constraint c unique using index i; alter table t add primary key using index j",
    "alter table t alter a type text; alter table t alter a type varchar; alter table t alter a drop not null",
    "alter table t alter a set default 1, alter b drop default, alter c set statistics 5",
    "create table t (a int not null references u (id), b text check (b <> ''), unique (a)); create index on t (a); alter table t add c int not null; alter table t rename b to d; alter table t alter c type bigint; alter table t drop column c; drop table t",
    "create table if not exists \"T\" (a int); create index on \"T\" (a); drop table \"T\"",
    "create table t as select 1 as a; alter table t add primary key (a); select 1 as a into u; create index on u (a)",
    "create table t (a int); alter table t rename to u; create index on u (a); lock_table.x();",
    "create temp table t (a int); create index on t (a); create materialized view m as select 1 as a; create unique index on m (a)",
    "create index on only parts (a); alter index i attach partition j",
    "create function f() returns void language plpgsql as $$ begin lock table t; alter table t drop column a; drop table t; end $$",
    "create extension plpgsql; vacuum t; analyze t; reindex table concurrently t; drop view v; drop index i; alter type mood rename value 'a' to 'b'",
    "update t set a = 1; alter table t enable row level security; alter table t rename constraint a to b; alter view v rename to w",
];

#[test]
fn what_hurts_nobody_is_not_warned_of() {
    for text in HARMLESS {
        let mut warned = warned(text);
        warned.retain(|(rule, _)| *rule != Rule::ForeignSchema);
        assert_eq!(warned, [], "{text}");
    }
    let text = "create index concurrently i on t (a);";
    let subject = Subject { text, of: Of::Tenant, transactional: false, version: 1 };
    assert_eq!(check(&Lint::default(), &subject).list, []);
    let shared = Subject {
        text: "create extension hstore schema x",
        of: Of::Shared,
        transactional: true,
        version: 1,
    };
    assert_eq!(check(&Lint::default(), &shared).list, []);
}

#[test]
fn what_is_in_a_schema_of_extensions_can_be_named() {
    let lint = Lint::default().extension_schema("extensions");
    let rules =
        |text| told(&lint, &Subject { text, of: Of::Tenant, transactional: true, version: 1 });
    for text in [
        "create table t (a extensions.citext, b extensions.vector(3)); select extensions.uuid_generate_v4()",
        "create index i on t using gin (a extensions.gin_trgm_ops)",
        "select a operator(extensions.%) 'x' from t; select * from extensions.pg_stat_statements",
        "create function f() returns int language sql set search_path = extensions as 'select 1'",
    ] {
        assert_eq!(rules(text), [], "{text}");
    }
    for text in
        ["create table extensions.t (a int)", "create schema extensions", "drop schema extensions"]
    {
        assert_eq!(rules(text), [(Rule::ForeignSchema, 1)], "{text}");
    }
}

#[test]
fn findings_are_bounded() {
    let text = "select a::public.x,\n".repeat(20_000) + "1";
    let subject = Subject { text: &text, of: Of::Tenant, transactional: true, version: 1 };
    let found = check(&Lint::default(), &subject);
    assert_eq!((found.list.len(), found.list[49].line, found.more), (50, 50, 19_950));
    // Warnings do not hide errors.
    let text = "alter table t drop column a;\n".repeat(100) + "select public.f();";
    assert_eq!(in_a_tenant(&text), [(Rule::ForeignSchema, 101)]);
    assert_eq!(warned(&text).len(), 50);
}

/// What can be nested, or repeated, as often as one likes.
const NESTED: &[&str] = &[
    "(",
    "[",
    "not ",
    "- ",
    "case when ",
    "explain ",
    "prepare a as ",
    "coalesce(",
    "array[",
    "select (",
    "+ ",
    "@ ",
    "~ ",
    "begin ",
    "if a then ",
    "loop ",
    "<<l>> ",
    "setof ",
    "row(",
    "exists (",
    "with a as (",
    "create schema a ",
    "do also ",
    "cast(",
    "interval ",
    "a.",
    "operator(+) ",
    "::int",
    "a[1]",
    " union select 1",
    " join b on true",
    "declare ",
    "case a when b then ",
    "else if a then ",
    "for r in select 1 loop ",
    "while a loop ",
    "exception when a then ",
    "a in (",
    "(not ",
    "(not not not not not not ",
    "(- - - - explain ",
    "coalesce((a, not not ",
    "explain (a, b) ",
    "all ",
    "any ",
    "$$ ",
    "as ",
    "is not ",
    "between ",
    "like ",
    "collate a ",
    "create rule r as on insert to t do ",
    "returning ",
    "values ",
    "select ",
    "from ",
    "lateral ",
    "only ",
    "grant ",
    "default ",
    "references a ",
    "json_value(",
];

#[test]
fn nothing_is_too_deep() {
    for part in NESTED {
        for text in [
            part.repeat(5_000),
            format!("select {}", part.repeat(2_000)),
            format!("do $x$ begin {} end $x$", part.repeat(2_000)),
        ] {
            in_a_tenant(&text);
        }
    }
}

const ROWS: &str = "create table users (tenant_id text, id int); \
    alter table users enable row level security, force row level security;\n";

#[test]
fn statements_that_miss_or_open_rows_of_tenants_are_warned_of() {
    for (text, rule) in [
        ("update users set id = 1", Rule::RowChange),
        ("UPDATE ONLY \"users\" u SET id = 1", Rule::RowChange),
        ("delete from app.users where id = 1", Rule::RowChange),
        ("insert into users select * from old_users", Rule::RowChange),
        ("with x as (update users set id = 1 returning 1) select from x", Rule::RowChange),
        ("do $$ begin perform 1; delete from users; end $$", Rule::RowChange),
        ("merge into users u using x on x.id = u.id when matched then delete", Rule::RowChange),
        ("truncate users", Rule::RowTruncate),
        ("truncate table only other, users * restart identity", Rule::RowTruncate),
        ("grant truncate on users to app", Rule::RowGrant),
        ("grant select, trigger on table other, users to app", Rule::RowGrant),
        ("grant references (id) on users to app", Rule::RowGrant),
        ("grant all on users to app", Rule::RowGrant),
        ("grant all privileges on all tables in schema app to app", Rule::RowGrant),
        ("create view v as select * from users", Rule::RowView),
        ("create or replace view v as select 1 from x, users", Rule::RowView),
        ("create view v with (security_invoker = false) as select * from users", Rule::RowView),
        ("create materialized view v as select * from x join users using (id)", Rule::RowView),
        ("drop policy tenantry_tenant on users", Rule::RowPolicy),
        ("alter table users disable row level security", Rule::RowPolicy),
        ("alter table users no force row level security", Rule::RowPolicy),
    ] {
        let of_rows = |text: &str| {
            let all = warned(text).into_iter();
            all.filter(|(rule, _)| rule.as_str().starts_with("row_")).collect::<Vec<_>>()
        };
        let file = format!("{ROWS}{text};");
        assert_eq!(of_rows(&file), [(rule, 2)], "{text}");
        // Without row security, nothing is missed or opened.
        assert_eq!(of_rows(text), [], "{text}");
        let allowed = format!("-- tenantry: allow({})\n{file}", rule.as_str());
        assert_eq!(of_rows(&allowed), [], "{text}");
    }
}

#[test]
fn what_tenants_may_do_and_released_tables_are_not_warned_of() {
    for text in [
        "update other set id = 1; select * from users for update; truncate other",
        "insert into other (id) values (1) on conflict (id) do update set id = 2",
        "create function f() returns void language sql as 'update users set id = 1; truncate users'",
        "create trigger t before update on users for each row execute function f()",
        "grant select, insert, update, delete on users to app; grant truncate on other to app",
        "grant usage on schema app to app; grant all on sequence users_id to app",
        "create view v with (security_invoker = true) as select * from users",
        "create view v with (security_invoker) as select * from users",
        "create table v as select 1; create view w as select users from v",
        "create policy mine on users for select using (true); drop policy mine on other",
        "alter table users no force row level security; update users set id = 1; \
         alter table users force row level security",
    ] {
        let found = warned(&format!("{ROWS}{text};")).into_iter();
        let found: Vec<_> = found.filter(|(rule, _)| rule.as_str().starts_with("row_")).collect();
        assert_eq!(found, [], "{text}");
    }
}

#[test]
fn tables_are_known_from_earlier_files() {
    let mut rows = super::RowTables::default();
    rows.note_file("create table users (id int); update users set id = 1;");
    let after = |rows: &super::RowTables| {
        let text = "update users set id = 1; truncate users;";
        let subject = Subject { text, of: Of::Tenant, transactional: true, version: 1 };
        let found = check(&Lint::default().after(rows.clone()), &subject).list;
        found.into_iter().map(|found| found.rule).collect::<Vec<_>>()
    };
    assert_eq!(after(&rows), []);
    rows.note_file(ROWS);
    assert_eq!(after(&rows), [Rule::RowChange, Rule::RowTruncate]);
    rows.note_file("ALTER TABLE users NO FORCE ROW LEVEL SECURITY");
    assert_eq!(after(&rows), [Rule::RowTruncate]);
    rows.note_file("alter table if exists only app.users disable row level security");
    assert_eq!(after(&rows), []);
}

/// Returns the warnings about Citus.
fn refused_by_citus(lint: &Lint, text: &str) -> Vec<(Rule, u32)> {
    let subject = Subject { text, of: Of::Tenant, transactional: true, version: 1 };
    let found = check(lint, &subject).list.into_iter();
    found.filter(|found| found.rule == Rule::Citus).map(|found| (found.rule, found.line)).collect()
}

#[test]
fn what_citus_refuses_is_told_where_files_are_for_it() {
    for text in [
        "create trigger t before insert on users for each row execute function f()",
        "create constraint trigger t after insert on users for each row execute function f()",
        "create table orders (id int) inherits (users)",
        "alter table orders inherit users",
        "alter table users add column n bigserial",
        "alter table users add n serial",
        "create table orders (plan int references shared.plans (id))",
        "alter table users add foreign key (plan) references \"shared\".plans",
        "alter sequence s owned by users.id",
        "create schema s create table t (id int)",
        "update users set code = gen_random_uuid()",
        "insert into users (id) values (1) on conflict (id) do update set code = random()",
        "insert into users (id) values (1) returning now()",
        "delete from users returning id, current_timestamp",
        "do $$ begin update users set code = random(); end $$",
    ] {
        let text = format!("select 1;\n{text};");
        let lint = Lint::default().citus(true);
        assert_eq!(refused_by_citus(&lint, &text), [(Rule::Citus, 2)], "{text}");
        assert_eq!(refused_by_citus(&Lint::default(), &text), [], "{text}");
        assert_eq!(refused_by_citus(&lint.allow(Rule::Citus), &text), [], "{text}");
    }
    for text in [
        "create table users (id serial primary key, plan int references plans (id))",
        "create table users (id bigint generated always as identity, at timestamptz default now())",
        "update users set name = lower(name), at = now() returning id",
        "insert into users values (gen_random_uuid()) returning id",
        "create function f() returns trigger language plpgsql as $$ begin update users set c = random(); end $$",
        "create event trigger e on ddl_command_end execute function f()",
        "create index on users (name)",
        "select random(), now()",
        "create schema s; create table t (id int)",
    ] {
        assert_eq!(refused_by_citus(&Lint::default().citus(true), text), [], "{text}");
    }
}
