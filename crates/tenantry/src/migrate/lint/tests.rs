use proptest::prelude::*;

use super::{Lint, Of, Rule, Subject, check, statements};

fn found(text: &str, of: Of, transactional: bool) -> Vec<(Rule, u32)> {
    let subject = Subject { text, of, transactional, version: 1 };
    check(&Lint::default(), &subject).iter().map(|found| (found.rule, found.line)).collect()
}

fn in_a_tenant(text: &str) -> Vec<(Rule, u32)> {
    found(text, Of::Tenant, true)
}

#[test]
fn what_names_no_schema_is_fine() {
    for text in [
        "",
        "-- nothing but a comment; really",
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
        "select * from users u, u.tags;",
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
        "create function f() returns int language plpython3u as $$ from public.x import y\nplpy.execute('select public.f()') $$;",
    ] {
        assert_eq!(in_a_tenant(text), [], "{text}");
    }
}

#[test]
fn what_names_a_schema_is_found_with_its_line() {
    for text in [
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
        "select nextval('other.s')",
        "select tenant_globex.f(1)",
    ] {
        let text = format!("select 1;\n\n{text};\nselect 2");
        let found = in_a_tenant(&text);
        assert_eq!(found.first(), Some(&(Rule::ForeignSchema, 3)), "{text}: {found:?}");
        assert_eq!(
            super::check(
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

#[test]
fn what_breaks_other_rules_is_found_with_its_line() {
    use Rule as R;
    for (text, rule) in [
        ("begin", R::TransactionControl),
        ("begin transaction isolation level serializable", R::TransactionControl),
        ("start transaction", R::TransactionControl),
        ("COMMIT", R::TransactionControl),
        ("end", R::TransactionControl),
        ("rollback", R::TransactionControl),
        ("rollback work", R::TransactionControl),
        ("abort", R::TransactionControl),
        ("prepare transaction 'x'", R::TransactionControl),
        ("set transaction read only", R::TransactionControl),
        ("set session characteristics as transaction read only", R::TransactionControl),
        ("create index concurrently i on users (id)", R::NotInTransaction),
        ("create unique index concurrently i on users (id)", R::NotInTransaction),
        ("drop index concurrently i", R::NotInTransaction),
        ("reindex index concurrently i", R::NotInTransaction),
        ("reindex (verbose) table concurrently users", R::NotInTransaction),
        ("vacuum users", R::NotInTransaction),
        ("create database x", R::NotInTransaction),
        ("alter system set x = 1", R::NotInTransaction),
        ("copy users from stdin", R::ClientCommand),
        ("copy users (id) to stdout", R::ClientCommand),
        ("\\connect other", R::ClientCommand),
        ("set search_path to x", R::SearchPath),
        ("set local search_path = x", R::SearchPath),
        ("SET SESSION search_path = x", R::SearchPath),
        ("set schema 'x'", R::SearchPath),
        ("reset search_path", R::SearchPath),
        ("set \"search_path\" = x", R::SearchPath),
        ("set local \"search_path\" to x", R::SearchPath),
        ("select set_config($$search_path$$, 'x', true)", R::SearchPath),
        ("reset all", R::SearchPath),
        ("discard all", R::SearchPath),
        ("select set_config('search_path', 'x', false)", R::SearchPath),
        ("select pg_catalog.set_config('search_path', '', false)", R::SearchPath),
        ("alter role app set search_path = x", R::SearchPath),
        ("do $$ begin perform set_config('search_path', 'x', true); end $$", R::SearchPath),
        ("do $$ begin set local search_path to x; end $$", R::SearchPath),
        ("create extension pgcrypto", R::ExtensionWithoutSchema),
        ("create extension if not exists \"uuid-ossp\" cascade", R::ExtensionWithoutSchema),
    ] {
        let text = format!("select 1;\n{text};\n");
        assert_eq!(in_a_tenant(&text), [(rule, 2)], "{text}");
    }
    for (text, line) in [
        ("select 'x", 1),
        ("select 1;\nselect \"x", 2),
        ("select 1;\n\n/* x\n /* y */\n", 3),
        ("do $x$ begin\nend $y$;", 1),
        ("select E'x\\';\n", 1),
        ("select 1;\nselect 2\0;", 2),
        ("select N'x", 1),
    ] {
        assert_eq!(in_a_tenant(text).first(), Some(&(R::Unterminated, line)), "{text:?}");
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
    let rules = |lint: Lint| check(&lint, &subject).iter().map(|f| f.rule).collect::<Vec<_>>();
    assert_eq!(rules(Lint::default().skip(7)), [Rule::TransactionControl, Rule::Unterminated]);
    assert_eq!(rules(Lint::default().skip(8)).len(), 4);
}

#[test]
fn statements_are_found_as_psql_finds_them() {
    let cases: [(&str, &[&str]); 8] = [
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
        ("/* ; */ select 1 /* ; */ ;", &["select 1"]),
        ("begin; select 1; end;", &["begin", "select 1", "end"]),
    ];
    for (text, expected) in cases {
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
