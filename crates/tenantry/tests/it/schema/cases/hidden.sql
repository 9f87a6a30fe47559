---- function: depends on an extension => function f()
create function f() returns int language sql as 'select 1';
-- change
alter function f() depends on extension btree_gist;
-- undo
alter function f() no depends on extension btree_gist;

---- procedure: depends on an extension => procedure p()
create procedure p() language sql as 'select 1';
-- change
alter procedure p() depends on extension btree_gist;
-- undo
alter procedure p() no depends on extension btree_gist;

---- trigger: depends on an extension => trigger t.x
create table t (a int);
create function f() returns trigger language plpgsql as 'begin return new; end';
create trigger x before insert on t for each row execute function f();
-- change
alter trigger x on t depends on extension btree_gist;
-- undo
alter trigger x on t no depends on extension btree_gist;

---- index: depends on an extension => index i
create table t (a int);
create index i on t (a);
-- change
alter index i depends on extension btree_gist;
-- undo
alter index i no depends on extension btree_gist;

---- materialized view: depends on an extension => materialized_view m
create materialized view m as select 1 as a;
-- change
alter materialized view m depends on extension btree_gist;
-- undo
alter materialized view m no depends on extension btree_gist;

---- materialized view: replica identity => materialized_view m
create materialized view m as select 1 as a;
-- change
alter table m replica identity full;
-- undo
alter table m replica identity default;

---- comment on a table's row type [alike]
create table t (a int);
-- change
comment on type t is 'x';

---- comment on an array type [alike]
create type e as enum ('a');
-- change
comment on type _e is 'x';

---- comment on a multirange type [alike]
create type r as range (subtype = float8);
-- change
comment on type r_multirange is 'x';

---- grant on a table's row type [alike]
create table t (a int);
-- change
grant usage on type t to zq_reader;

---- a shell operator, named by a commutator => operator ===(integer, bigint)
-- either
create operator === (leftarg = int4, rightarg = int8, function = int48eq);
-- or
create operator === (leftarg = int4, rightarg = int8, function = int48eq, commutator = =!=);

---- a range: its constructor functions follow [alike]
create type r as range (subtype = float8);
-- change
grant execute on function r(float8, float8) to zq_reader;

---- function: cost that is the default of its language [alike]
create function f(float8) returns float8 language internal strict immutable as 'dsin';
-- change
alter function f(float8) cost 1;

---- function: rows that are the default [alike]
create function f() returns setof int language sql as 'select 1';
-- change
alter function f() rows 1000;

---- range: the default opclass by name [alike]
-- either
create type r as range (subtype = text);
-- or
create type r as range (subtype = text, subtype_opclass = text_ops, collation = "default");

---- security label of a schema => schema {schema}
-- change
set local allow_system_table_mods = on;
insert into pg_seclabel values ('{schema}'::regnamespace, 'pg_namespace'::regclass, 0, 'dummy', 'secret');

---- security label of a function => function f()
create function f() returns int language sql as 'select 1';
-- change
set local allow_system_table_mods = on;
insert into pg_seclabel values ('f()'::regprocedure, 'pg_proc'::regclass, 0, 'dummy', 'secret');

---- security label of a type => type e
create type e as enum ('a');
-- change
set local allow_system_table_mods = on;
insert into pg_seclabel values ('e'::regtype, 'pg_type'::regclass, 0, 'dummy', 'secret');

---- security label of a view and its column => view v | column v.a
create view v as select 1 as a;
-- change
set local allow_system_table_mods = on;
insert into pg_seclabel values ('v'::regclass, 'pg_class'::regclass, 0, 'dummy', 'secret');

---- security label of a sequence => sequence s
create sequence s;
-- change
set local allow_system_table_mods = on;
insert into pg_seclabel values ('s'::regclass, 'pg_class'::regclass, 0, 'dummy', 'secret');

---- a role that was dropped from a policy => policy t.p
create table t (a int);
create policy p on t to zq_reader using (true);
-- change
alter policy p on t to current_user;
-- undo
alter policy p on t to zq_reader;

---- view: its own options spelled otherwise => view v
create view v as select 1 as a;
-- either
alter view v set (security_barrier = true);
-- or
alter view v set (security_barrier = on);

---- index: on a partitioned table, its validity follows [alike]
create table t (a int) partition by range (a);
create index i on only t (a);
-- change
create table t1 partition of t for values from (0) to (10);
drop table t1;

---- foreign table: storage of a column => column ft.a
create foreign table ft (a text) server zq_server;
-- change
alter foreign table ft alter a set storage external;
-- undo
alter foreign table ft alter a set storage extended;

---- foreign table: statistics target of a column => column ft.a
create foreign table ft (a int) server zq_server;
-- change
alter foreign table ft alter a set statistics 3;
-- undo
alter foreign table ft alter a set statistics -1;

---- foreign table: not null => column ft.a
create foreign table ft (a int) server zq_server;
-- change
alter foreign table ft alter a set not null;
-- undo
alter foreign table ft alter a drop not null;

---- composite: collation of an attribute that is its type's [alike]
-- either
create type c as (a text);
-- or
create type c as (a text collate "default");

---- column: numeric without a scale [alike]
-- either
create table t (a numeric(10));
-- or
create table t (a numeric(10, 0));

---- column: char and char(1) [alike]
-- either
create table t (a char);
-- or
create table t (a char(1));

---- column: default by a cast or a literal => column t.a
-- either
create table t (a date default '2020-01-01');
-- or
create table t (a date default '2020-01-01'::date + 0);

---- column: a default that another column type would print the same => column t.a
-- either
create table t (a int default 1);
-- or
create table t (a bigint default 1);

---- column: compression that is the server's default, said or not => column t.a
create table t (a text);
-- change
alter table t alter a set compression lz4;
-- undo
alter table t alter a set compression default;

---- column: array dimensions [alike]
-- either
create table t (a int[]);
-- or
create table t (a int[3][3]);

---- function: own type of the same name as a built-in one => function f(text) | function f({schema}.text)
create type {schema}.text as enum ('a');
-- either
create function f(pg_catalog.text) returns int language sql as 'select 1';
-- or
create function f({schema}.text) returns int language sql as 'select 1';

---- column: own type of the same name as a built-in one => column t.a
create domain {schema}.text as pg_catalog.text;
-- either
create table t (a pg_catalog.text);
-- or
create table t (a {schema}.text);

---- default: own function of the same name as a built-in one => column t.a
create function {schema}.now() returns timestamptz language sql as 'select pg_catalog.now()';
-- either
create table t (a timestamptz default pg_catalog.now());
-- or
create table t (a timestamptz default {schema}.now());

---- view: own table of the same name as one of the catalog => view v
create table {schema}.pg_class (oid oid);
-- either
create view v as select oid from pg_catalog.pg_class;
-- or
create view v as select oid from {schema}.pg_class;

---- column: collation of its own schema of the same name as a built-in one => column t.a
create collation {schema}."C" (locale = 'POSIX', provider = libc);
-- either
create table t (a text collate pg_catalog."C");
-- or
create table t (a text collate {schema}."C");

---- check: operator of its own schema of the same name as a built-in one => constraint t.c
create function eq(int4range, int4range) returns bool immutable language internal as 'range_overlaps';
create operator {schema}.&& (leftarg = int4range, rightarg = int4range, function = eq, commutator = &&);
create operator family fam using gist;
-- either
create table t (r int4range, constraint c check (r operator(pg_catalog.&&) '[1,2]'));
-- or
create table t (r int4range, constraint c check (r operator({schema}.&&) '[1,2]'));

---- names that need quotes [alike]
create table "Order" ("select" int, "a""b" text, "x y" int, "ÄÖ" int, constraint "My Check" check ("select" > 0));
create index "Idx 1" on "Order" ("select", lower("a""b"));
create view "V-1" as select "select", "x y" from "Order";
create function "Do It"("Arg" int) returns int language sql as 'select "Arg"';
create type "T.T" as enum ('it''s', 'b"c', '');
create sequence "S;S";
create policy "p'p" on "Order";

---- a name with a quote => table a'b
-- change
create table "a'b" (id int);
-- undo
drop table "a'b";


---- backslashes in a default => column t.a
-- either
create table t (a text default E'a\\b');
-- or
create table t (a text default E'a\\\\b');

---- a comment with quotes and backslashes => table t
create table t (a int);
comment on table t is E'it''s a \\ "thing"';
-- change
comment on table t is E'it''s a \\\\ "thing"';

---- constraint: its index depends on an extension => constraint t.t_pkey
create table t (a int primary key);
-- change
alter index t_pkey depends on extension btree_gist;
-- undo
alter index t_pkey no depends on extension btree_gist;

---- a partition's check: validated there alone => constraint t1.c
create table t (a int) partition by range (a);
create table t1 partition of t for values from (0) to (10);
alter table t add constraint c check (a > 0) not valid;
-- change
alter table t1 validate constraint c;

---- security label of an index [alike]
create table t (a int primary key);
-- change
set local allow_system_table_mods = on;
insert into pg_seclabel values ('t_pkey'::regclass, 'pg_class'::regclass, 0, 'dummy', 'secret');

---- composite: owner => type c
create type c as (a int);
-- change
alter type c owner to zq_owner;
-- undo
alter type c owner to postgres;

---- composite: grant => type c
create type c as (a int);
-- change
grant usage on type c to zq_reader;
-- undo
revoke usage on type c from zq_reader;

---- range: owner => type r
create type r as range (subtype = float8);
-- change
alter type r owner to zq_owner;
-- undo
alter type r owner to postgres;

---- domain over a domain => domain e
create domain d as int check (value > 0);
create domain d2 as int check (value > 0);
-- either
create domain e as d;
-- or
create domain e as d2;

---- a key that a partition's table alone lacks => constraint t.t_pkey | constraint t1.t1_pkey
create table t (a int not null) partition by range (a);
create table t1 partition of t for values from (0) to (10);
-- either
alter table t add primary key (a);
-- or
alter table only t add primary key (a);
