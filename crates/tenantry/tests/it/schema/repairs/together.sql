---- an enum in another order, and the columns, too
-- either
create type e as enum ('a', 'b');
create table t (k e, z int);
-- or
create type e as enum ('b', 'a');
create table t (z int, k e);
insert into t values (1, 'a');
-- check
select k = 'a' and z = 1 from t

---- a domain of another type, and the columns in another order
-- either
create domain d as int check (value > 0);
create table t (x d, y int);
-- or
create domain d as bigint;
create table t (y int, x d);
insert into t values (1, 2);
-- check
select x = 2 and y = 1 from t

---- a function with another argument that a check calls, and the columns in another order
-- either
create function f(a int) returns boolean language sql immutable as 'select a > 0';
create table t (x int, y int, check (f(x)));
-- or
create function f(b int) returns boolean language sql immutable as 'select b > 0';
create table t (y int, x int, check (f(x)));
insert into t values (1, 2);
-- check
select x = 2 from t

---- a function that a generated column and a check call
-- either
create function f(a int) returns boolean language sql immutable as 'select a > 0';
create table t (x int, g boolean generated always as (f(x)) stored, check (f(x)));
-- or
create function f(b int) returns boolean language sql immutable as 'select b > 0';
create table t (x int, g boolean generated always as (f(x)) stored, check (f(x)));
insert into t values (2);
-- check
select g from t

---- an enum in another order, of a generated column that goes
-- either
create type e as enum ('a', 'b');
create table t (id int);
-- or
create type e as enum ('b', 'a');
create table t (id int, l e generated always as ('a'::e) stored);
insert into t values (2);
-- check
select id = 2 from t

---- an enum in another order, with a generated column and a check on it
-- either
create type e as enum ('a', 'b');
create table t (k e, g boolean generated always as (k = 'a') stored, check (k <> 'b'));
-- or
create type e as enum ('b', 'a');
create table t (k e, g boolean generated always as (k = 'a') stored, check (k <> 'b'));
insert into t values ('a');
-- check
select g from t

---- a function that names what is in another schema of the path
set local search_path = {schema}, public;
create extension if not exists citext schema public;
create table t (m text);
insert into t values ('a');
create function f(text) returns boolean language sql immutable as $$ select $1::citext = 'a' $$;
-- either
alter table t add check (f(m));
-- or
-- check
select count(*) = 1 from t
