---- grant: on a table => table t
create table t (a int);
-- change
grant select on t to zq_reader;
-- undo
revoke select on t from zq_reader;

---- grant: another privilege => table t
create table t (a int);
grant select on t to zq_reader;
-- change
grant insert on t to zq_reader;
-- undo
revoke insert on t from zq_reader;

---- grant: with grant option => table t
create table t (a int);
grant select on t to zq_reader;
-- change
grant select on t to zq_reader with grant option;
-- undo
revoke grant option for select on t from zq_reader;

---- grant: grant option of one of several => table t
create table t (a int);
grant select, insert, update on t to zq_reader;
-- change
grant insert on t to zq_reader with grant option;
-- undo
revoke grant option for insert on t from zq_reader;

---- grant: to everybody => table t
create table t (a int);
-- change
grant select on t to public;
-- undo
revoke select on t from public;

---- grant: to another role => table t
create table t (a int);
-- either
grant select on t to zq_reader;
-- or
grant select on t to zq_writer;

---- grant: who granted => table t
create table t (a int);
grant usage on schema {schema} to zq_owner;
grant select on t to zq_owner with grant option;
-- either
grant select on t to zq_reader;
-- or
set role zq_owner;
grant select on t to zq_reader;
reset role;

---- grant: the owner's own taken away => table t
create table t (a int);
-- change
revoke delete on t from postgres;
-- undo
grant delete on t to postgres;

---- grant: all of the owner's own taken away => table t
create table t (a int);
-- change
revoke all on t from postgres;
-- undo
grant all on t to postgres;

---- grant: on a view => view v
create view v as select 1 as a;
-- change
grant select on v to zq_reader;
-- undo
revoke select on v from zq_reader;

---- grant: on a sequence => sequence s
create sequence s;
-- change
grant usage on sequence s to zq_reader;
-- undo
revoke usage on sequence s from zq_reader;

---- grant: to everybody on a function that not everybody may execute => function f()
create function f() returns int language sql as 'select 1';
revoke all on function f() from public;
-- change
grant execute on function f() to public;
-- undo
revoke execute on function f() from public;

---- grant: on a column, of all columns of a table => column t.a | column t.b
create table t (a int, b int);
-- either
grant select (a) on t to zq_reader;
-- or
grant select (b) on t to zq_reader;

---- grant: on a table and on a column => column t.a
create table t (a int, b int);
grant select on t to zq_reader;
-- change
grant select (a) on t to zq_reader;

---- schema: grant => schema {schema}
-- change
grant usage on schema {schema} to zq_reader;
-- undo
revoke usage on schema {schema} from zq_reader;

---- schema: create => schema {schema}
grant usage on schema {schema} to zq_reader;
-- change
grant create on schema {schema} to zq_reader;
-- undo
revoke create on schema {schema} from zq_reader;

---- schema: grant option => schema {schema}
grant usage on schema {schema} to zq_reader;
-- change
grant usage on schema {schema} to zq_reader with grant option;
-- undo
revoke grant option for usage on schema {schema} from zq_reader;

---- schema: comment => schema {schema}
-- change
comment on schema {schema} is 'ours';
-- undo
comment on schema {schema} is null;

---- schema: owner => schema {schema}
-- change
alter schema {schema} owner to zq_owner;
-- undo
alter schema {schema} owner to postgres;

---- default privileges: tables => default_privileges
-- change
alter default privileges in schema {schema} grant select on tables to zq_reader;
-- undo
alter default privileges in schema {schema} revoke select on tables from zq_reader;

---- default privileges: sequences => default_privileges
-- change
alter default privileges in schema {schema} grant usage on sequences to zq_reader;
-- undo
alter default privileges in schema {schema} revoke usage on sequences from zq_reader;

---- default privileges: functions => default_privileges
-- change
alter default privileges in schema {schema} grant execute on functions to zq_reader;
-- undo
alter default privileges in schema {schema} revoke execute on functions from zq_reader;

---- default privileges: types => default_privileges
-- change
alter default privileges in schema {schema} grant usage on types to zq_reader;
-- undo
alter default privileges in schema {schema} revoke usage on types from zq_reader;

---- default privileges: for another role => default_privileges
-- either
alter default privileges in schema {schema} grant select on tables to zq_reader;
-- or
alter default privileges for role zq_owner in schema {schema} grant select on tables to zq_reader;

---- default privileges: grant option => default_privileges
alter default privileges in schema {schema} grant select on tables to zq_reader;
-- change
alter default privileges in schema {schema} grant select on tables to zq_reader with grant option;
-- undo
alter default privileges in schema {schema} revoke grant option for select on tables from zq_reader;

---- grant: maintain [17+] => table t
create table t (a int);
-- change
grant maintain on t to zq_reader;
-- undo
revoke maintain on t from zq_reader;
---- table: who has granted what is swapped [alike] [compared]
create table t (a int);
grant usage on schema {schema} to zq_reader, zq_owner;
grant select, insert on t to zq_reader, zq_owner with grant option;
-- either
set role zq_reader; grant select on t to zq_writer; set role zq_owner; grant insert on t to zq_writer; reset role;
-- or
set role zq_reader; grant insert on t to zq_writer; set role zq_owner; grant select on t to zq_writer; reset role;
---- column: who has granted what is swapped [alike] [compared]
create table t (a int);
grant usage on schema {schema} to zq_reader, zq_owner;
grant select, insert on t to zq_reader, zq_owner with grant option;
-- either
set role zq_reader; grant select (a) on t to zq_writer; set role zq_owner; grant insert (a) on t to zq_writer; reset role;
-- or
set role zq_reader; grant insert (a) on t to zq_writer; set role zq_owner; grant select (a) on t to zq_writer; reset role;
---- table: both are granted by one => table t
create table t (a int);
grant usage on schema {schema} to zq_reader, zq_owner;
grant select, insert on t to zq_reader, zq_owner with grant option;
-- either
set role zq_reader; grant select, insert on t to zq_writer; reset role;
-- or
set role zq_reader; grant insert on t to zq_writer; set role zq_owner; grant select on t to zq_writer; reset role;
