---- a body that names its own schema [alike]
create table t (a int);
create function f() returns bigint language sql as 'select count(*) from {schema}.t';

---- a body that names its own schema in a string [alike]
create function f() returns void language plpgsql as $$ begin execute 'truncate {schema}.t'; perform '{schema}.t'::regclass; end $$;

---- a body that names its own schema and one that does not => function f()
create table t (a int);
-- either
create function f() returns bigint language sql as 'select count(*) from {schema}.t';
-- or
create function f() returns bigint language sql as 'select count(*) from t';

---- a body that names another schema => function f()
-- either
create table countries (id int);
create function f() returns bigint language sql as 'select count(*) from {schema}.countries';
-- or
create table countries (id int);
create function f() returns bigint language sql as 'select count(*) from zq_shared.countries';

---- a search_path with its own schema [alike]
create function f() returns int language sql set search_path = {schema}, pg_temp as 'select 1';

---- a search_path with its own schema or another => function f()
create function f() returns int language sql as 'select 1';
-- either
alter function f() set search_path = {schema};
-- or
alter function f() set search_path = zq_shared;

---- a default from its own sequence [alike]
create sequence s;
create table t (a int default nextval('{schema}.s'));

---- a default by text [alike]
create sequence s;
create table t (a int default nextval('{schema}.s'::text));

---- its own name as a default => column t.a
-- either
create table t (a text default '{name}');
-- or
create table t (a text default 'zq_shared');

---- its own name as a default on both sides [alike]
create table t (a text default '{name}', b text default 'in {name} only');

---- its own name in a comment [alike]
create table t (a int);
comment on table t is 'the table of {name}';
comment on schema {schema} is '{name} itself';

---- its own name in a check [alike]
create table t (a text, constraint c check (a <> '{name}'));

---- its own name in a view [alike]
create view v as select '{name}'::text as a, current_schema() as b;

---- its own name in a policy [alike]
create table t (a text);
create policy p on t using (a = current_setting('{name}.tenant', true));

---- its own name in a trigger's argument [alike]
create table t (a text);
create function f() returns trigger language plpgsql as 'begin return new; end';
create trigger x before insert on t for each row execute function f('{name}', '{schema}.t');

---- its own name in an index [alike]
create table t (a text);
create index i on t (a) where a = '{name}';

---- its own name as part of a longer one => function f()
-- either
create function f() returns text language sql as $$ select '{name}_x'::text $$;
-- or
create function f() returns text language sql as $$ select 'zq_shared_x'::text $$;

---- regclass, regtype, regproc and others in a view [alike]
create table t (a int);
create type e as enum ('a');
create function fu() returns int language sql as 'select 1';
create text search configuration tc (copy = simple);
create view v as select '{schema}.t'::regclass as a, '{schema}.e'::regtype as b, '{schema}.fu()'::regprocedure as c, '{schema}.fu'::regproc as d, '{schema}.tc'::regconfig as e, '{schema}'::regnamespace as f;

---- a begin atomic body with qualified names [alike]
create table t (a int);
create function f() returns bigint begin atomic select count(*) from {schema}.t; end;

---- its own type in arguments and results [alike]
create type e as enum ('a');
create table t (a e);
create function f(x {schema}.e, y t) returns setof {schema}.t language sql as 'select * from t';
create function g(x e[] default array['a']::{schema}.e[]) returns table (a e) language sql as 'select $1[1]';

---- operators of its own schema [alike]
create function eq(int, int) returns bool immutable language sql as 'select true';
create operator === (leftarg = int, rightarg = int, function = eq, commutator = ===);
create table t (a int, constraint c check (a operator({schema}.===) 1));
create view v as select a from t where a operator({schema}.===) 2;
create index i on t (a) where a operator({schema}.===) 3;

---- a domain whose check calls a function that takes a table's row [alike]
create table t (a int);
create function f(t) returns bool immutable language sql as 'select true';
create function g(int) returns bool immutable language sql as 'select true';
create domain d as int check (g(value));
alter table t add b d, add constraint c check (f(t.*));

---- circular foreign keys [alike]
create table t (a int primary key, b int);
create table u (a int primary key, b int references t);
alter table t add foreign key (b) references u deferrable;

---- an enum in an array in a domain [alike]
create type e as enum ('a', 'b');
create domain d as e[] default array['a']::e[] check (cardinality(value) > 0);
create table t (a d, b d[]);

---- columns of the same name as the table and its schema [alike]
create table t (t int, a int);
create view v as select t.t, t.a from {schema}.t;

---- a body that names the other schema => function f()
create table t (a int);
-- either
create function f() returns bigint language sql as 'select count(*) from {schema}.t';
-- or
create function f() returns bigint language sql as 'select count(*) from {left}.t';

---- a view of the other schema's table => view v
create table t (a int);
-- either
create view v as select a from {schema}.t;
-- or
create view v as select a from {left}.t;

---- a default from the other schema's sequence => column t.a
create sequence s;
-- either
create table t (a int default nextval('{schema}.s'));
-- or
create table t (a int default nextval('{left}.s'));

---- a default by text from the other schema's sequence => column t.a
create sequence s;
-- either
create table t (a int default nextval('{schema}.s'::text));
-- or
create table t (a int default nextval('{left}.s'::text));

---- a foreign key to the other schema's table => constraint t.fk
create table p (a int primary key);
-- either
create table t (a int, constraint fk foreign key (a) references {schema}.p);
-- or
create table t (a int, constraint fk foreign key (a) references {left}.p);

---- a type of the other schema => column t.a
create type e as enum ('a');
-- either
create table t (a {schema}.e);
-- or
create table t (a {left}.e);

---- a search_path with the other schema => function f()
-- either
create function f() returns int language sql set search_path = {schema} as 'select 1';
-- or
create function f() returns int language sql set search_path = {left} as 'select 1';

---- a trigger's function in the other schema => trigger t.x
create table t (a int);
create function f() returns trigger language plpgsql as 'begin return new; end';
-- either
create trigger x before insert on t for each row execute function {schema}.f();
-- or
create trigger x before insert on t for each row execute function {left}.f();

---- another function of the name of a trigger's => function f(integer)
create table t (a int);
create function f() returns trigger language plpgsql as 'begin return new; end';
create trigger x before insert on t for each row execute function f();
-- change
create function f(a int default 1) returns int language sql as 'select 1';
-- undo
drop function f(int);
---- view: a with query hides a table [alike]
create table t (a int);
create table u (a int);
create view v as with t as (select x.a from {schema}.u, {schema}.t x) select t.a from t;
---- view: a with query hides a table of the other schema => view v
create table t (a int);
-- either
create view v as with t as (select x.a from {schema}.t x) select t.a from t;
-- or
create view v as with t as (select x.a from {left}.t x) select t.a from t;
---- a default that is the other schema => column t.a
create table t (a regnamespace);
-- either
alter table t alter a set default '{schema}'::regnamespace;
-- or
alter table t alter a set default '{left}'::regnamespace;
---- a default that is the schema [alike]
create table t (a regnamespace default '{schema}'::regnamespace);
---- a body that names the other schema as a constant => function f()
-- either
create function f() returns text language sql as $$select '{schema}'::regnamespace::text$$;
-- or
create function f() returns text language sql as $$select '{left}'::regnamespace::text$$;
---- namesake: a column of a table that is called like the schema [alike]
create table t (t int, v int);
create table v (t int, v int);
create function f() returns int language sql as 'select t.t + v.v from t, v';
create function e() returns int language sql as 'select t.t + v.v from {schema}.t join {schema}.v on true';
---- namesake: the other schema's table in a body => function f()
create table t (t int);
-- either
create function f() returns int language sql as 'select t.t from {schema}.t';
-- or
create function f() returns int language sql as 'select t.t from {left}.t';
---- namesake: a column of a table whose alias is the schema's name [alike]
create type t as enum ('x');
create table u (t t, v t);
create function f() returns t language sql as 'select t.t from {schema}.u t';
create function e() returns t language sql as 'select v.t from {schema}.u v';
---- the other schema's name before one that is put together => function f()
-- either
create function f() returns text language sql as $$select '{schema}.' || 'x' || format('{schema}.%I', 'x')$$;
-- or
create function f() returns text language sql as $$select '{schema}.' || 'x' || format('{left}.%I', 'x')$$;
---- the other schema's tables in a text that is put together => function f()
-- either
create function f() returns void language plpgsql as $$begin execute format('delete from {schema}.%I', 'x'); end$$;
-- or
create function f() returns void language plpgsql as $$begin execute format('delete from {left}.%I', 'x'); end$$;
