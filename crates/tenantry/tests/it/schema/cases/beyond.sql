---- an index that is valid on one side only => index i
create table t (a int);
create index i on t (a);
-- change
set local allow_system_table_mods = on;
update pg_index set indisvalid = false where indexrelid = 'i'::regclass;

---- an invalid index that the other lacks [beyond]
create table t (a int);
-- change
create index i on t (a);
set local allow_system_table_mods = on;
update pg_index set indisvalid = false where indexrelid = 'i'::regclass;

---- a cast to a type of its own [beyond]
create type c as (a int);
create function f(c) returns int language sql as 'select 1';
-- change
create cast (c as int) with function f(c);

---- a publication of a table [beyond]
create table t (a int);
-- change
create publication {name}_pub for table t;

---- a publication of the schema [beyond] [15+]
create table t (a int);
-- change
create publication {name}_pub for tables in schema {schema};

---- an event trigger that calls a function [beyond]
create function f() returns event_trigger language plpgsql as 'begin end';
-- change
create event trigger {name}_et on ddl_command_end execute function f();
alter event trigger {name}_et disable;

---- a materialized view that is not populated [beyond]
create materialized view m as select 1 as a;
-- change
refresh materialized view m with no data;

---- a disabled key trigger [beyond]
create table p (a int primary key);
create table t (a int references p);
-- change
alter table t disable trigger all;

---- an extension in the schema [beyond]
-- change
create extension tsm_system_rows schema {schema};

---- a collation's version [beyond]
create collation c (locale = 'en', provider = icu);
-- change
set local allow_system_table_mods = on;
update pg_collation set collversion = '1.0' where oid = 'c'::regcollation;

---- a collation's version of the database [beyond]
create collation c (locale = 'en', provider = icu, version = '1.2');
-- change
alter collation c refresh version;
