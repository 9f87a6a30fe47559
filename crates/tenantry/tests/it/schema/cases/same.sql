---- grant and revoke leave an explicit ACL [alike]
create table t (a int);
-- change
grant select on t to zq_reader;
revoke select on t from zq_reader;

---- grants in another order [alike]
create table t (a int);
-- either
grant select on t to zq_reader;
grant insert on t to zq_writer;
-- or
grant insert on t to zq_writer;
grant select on t to zq_reader;

---- grants at once and one by one [alike]
create table t (a int);
-- either
grant select, insert on t to zq_reader;
-- or
grant insert on t to zq_reader;
grant select on t to zq_reader;

---- grant all and grant each [alike]
create sequence s;
-- either
grant all on sequence s to zq_reader;
-- or
grant select, usage, update on sequence s to zq_reader;

---- a function's execute taken and given back [alike]
create function f() returns int language sql as 'select 1';
-- change
revoke execute on function f() from public;
grant execute on function f() to public;

---- an explicit ACL that equals the default: function [alike]
create function f() returns int language sql as 'select 1';
-- change
grant execute on function f() to postgres;

---- an explicit ACL that equals the default: type [alike]
create type e as enum ('a');
-- change
revoke usage on type e from public;
grant usage on type e to public;

---- an explicit ACL that equals the default: schema [alike]
-- change
grant all on schema {schema} to postgres;

---- column grants made and unmade [alike]
create table t (a int);
-- change
grant select (a) on t to zq_reader;
revoke select (a) on t from zq_reader;

---- a default set to null and dropped [alike]
create table t (a int);
-- change
alter table t alter a set default null;
alter table t alter a drop default;

---- a default that is null [alike]
create table t (a int);
-- change
alter table t alter a set default null;

---- a dropped column [alike]
create table t (a int, b int);
-- change
alter table t drop b, add b int;

---- dropped columns before others, with keys, indexes, grants, comments [alike]
-- either
create table t (a int primary key, b int unique, c text);
create index i on t (c, b);
grant select (b) on t to zq_reader;
comment on column t.c is 'last';
create statistics s on b, c from t;
create view v as select * from t;
-- or
create table t (x int, a int primary key, y text, b int unique, c text);
alter table t drop x, drop y;
create index i on t (c, b);
grant select (b) on t to zq_reader;
comment on column t.c is 'last';
create statistics s on b, c from t;
create view v as select * from t;

---- dropped columns of a partition [alike]
create table t (a int, b int) partition by range (a);
-- either
create table t1 partition of t for values from (0) to (10);
-- or
create table t1 (x int, a int, b int);
alter table t1 drop x;
alter table t attach partition t1 for values from (0) to (10);

---- an index made again [alike]
create table t (a int);
create index i on t (a);
-- change
drop index i;
create index i on t (a);

---- a key made again [alike]
create table t (a int primary key);
-- change
alter table t drop constraint t_pkey;
alter table t add primary key (a);

---- a key from an index [alike]
create table t (a int not null);
-- either
alter table t add constraint u unique (a);
-- or
create unique index i on t (a);
alter table t add constraint u unique using index i;

---- a function made again [alike]
create function f() returns int language sql as 'select 1';
-- change
drop function f();
create function f() returns int language sql as 'select 1';

---- a view made again [alike]
create view v as select 1 as a;
-- change
drop view v;
create view v as select 1 as a;

---- a view written otherwise [alike]
create table t (a int, b int);
-- either
create view v as select a, b from t where a > 0 and b > 0;
-- or
create view v as SELECT T.a AS a, b FROM {schema}.t WHERE (a > 0) AND (t.b > 0);

---- a table made again [alike]
create table t (a int primary key, b serial);
-- change
drop table t;
create table t (a int primary key, b serial);

---- tables in another order [alike]
-- either
create table t (a int);
create table u (a int);
create function f() returns int language sql as 'select 1';
-- or
create function f() returns int language sql as 'select 1';
create table u (a int);
create table t (a int);

---- options set and reset [alike]
create table t (a int);
-- change
alter table t set (fillfactor = 50, autovacuum_enabled = false);
alter table t reset (fillfactor, autovacuum_enabled);

---- options in another order => table t
create table t (a int);
-- either
alter table t set (fillfactor = 50, autovacuum_enabled = false);
-- or
alter table t set (autovacuum_enabled = false, fillfactor = 50);

---- statistics targets set back [alike]
create table t (a int);
-- change
alter table t alter a set statistics 10;
alter table t alter a set statistics -1;

---- unlogged and logged again [alike]
create table t (a int);
-- change
alter table t set unlogged;
alter table t set logged;

---- a partition detached and attached [alike]
create table t (a int) partition by range (a);
create table t1 partition of t for values from (0) to (10);
create index i on t (a);
-- change
alter table t detach partition t1;
alter table t attach partition t1 for values from (0) to (10);

---- a partition as such and one attached [alike]
create table t (a int, b text) partition by range (a);
-- either
create table t1 partition of t for values from (0) to (10);
-- or
create table t1 (a int, b text);
alter table t attach partition t1 for values from (0) to (10);

---- owner changed to and fro [alike]
create table t (a int, b serial);
-- change
alter table t owner to zq_owner;
alter table t owner to postgres;

---- owner changed to and fro, with grants to others [alike]
create table t (a int);
grant select on t to zq_reader;
-- change
alter table t owner to zq_owner;
alter table t owner to postgres;

---- owner changed to and fro, the other had a grant of its own => table t
create table t (a int);
grant select on t to zq_owner;
-- change
alter table t owner to zq_owner;
alter table t owner to postgres;

---- serial and its parts [alike]
-- either
create table t (a serial);
-- or
create sequence t_a_seq as int;
create table t (a int not null default nextval('t_a_seq'));
alter sequence t_a_seq owned by t.a;

---- a sequence that has moved on [alike]
create sequence s;
-- change
select nextval('s'), nextval('s');

---- a sequence made again by identity [alike]
create table t (a int generated always as identity);
-- change
alter table t alter a drop identity;
alter table t alter a add generated always as identity;

---- rows [alike]
create table t (a int);
-- change
insert into t select generate_series(1, 100);
analyze t;

---- a check written otherwise [alike]
-- either
create table t (a int, constraint c check (a in (1, 2)));
-- or
create table t (a int, constraint c check (a = any (array[1, 2])));

---- a check validated [alike]
create table t (a int);
-- either
alter table t add constraint c check (a > 0);
-- or
alter table t add constraint c check (a > 0) not valid;
alter table t validate constraint c;

---- a constraint of the table or of its column [alike]
-- either
create table t (a int constraint c check (a > 0));
-- or
create table t (a int);
alter table t add constraint c check (a > 0);

---- comments set and taken away [alike]
create table t (a int);
-- change
comment on table t is 'x';
comment on column t.a is 'y';
comment on table t is null;
comment on column t.a is '';

---- a name to and fro [alike]
create table t (a serial primary key);
-- change
alter table t rename to u;
alter table u rename to t;
alter table t rename a to b;
alter table t rename b to a;

---- an enum's value in its place [alike]
-- either
create type e as enum ('a', 'b', 'c');
-- or
create type e as enum ('a', 'c');
alter type e add value 'b' before 'c';

---- int and integer [alike]
-- either
create table t (a int, b varchar(3), c timestamptz, d decimal(3));
-- or
create table t (a integer, b character varying(3), c timestamp with time zone, d numeric(3, 0));

---- storage external and extended again [alike]
create table t (a text);
-- change
alter table t alter a set storage external;
alter table t alter a set storage extended;

---- a trigger disabled and enabled again [alike]
create table t (a int);
create function f() returns trigger language plpgsql as 'begin return new; end';
create trigger x before insert on t for each row execute function f();
-- change
alter table t disable trigger all;
alter table t enable trigger all;

---- a trigger of partitions made before and after them [alike]
create table t (a int) partition by range (a);
create function f() returns trigger language plpgsql as 'begin return new; end';
-- either
create trigger x after insert on t for each row execute function f();
create table t1 partition of t for values from (0) to (10);
-- or
create table t1 partition of t for values from (0) to (10);
create trigger x after insert on t for each row execute function f();

---- an index of partitions made before and after them [alike]
create table t (a int) partition by range (a);
-- either
create index i on t (a);
create table t1 partition of t for values from (0) to (10);
-- or
create table t1 partition of t for values from (0) to (10);
create index i on t (a);

---- an index of partitions put together by hand [alike]
create table t (a int) partition by range (a);
create table t1 partition of t for values from (0) to (10);
-- either
create index i on t (a);
-- or
create index i on only t (a);
create index t1_a_idx on t1 (a);
alter index i attach partition t1_a_idx;

---- default privileges that change nothing [alike]
-- change
alter default privileges in schema {schema} grant select on tables to zq_reader;
alter default privileges in schema {schema} revoke select on tables from zq_reader;

---- default privileges before and after a table [alike]
-- either
create table t (a int);
grant select on t to zq_reader;
alter default privileges in schema {schema} grant select on tables to zq_reader;
-- or
alter default privileges in schema {schema} grant select on tables to zq_reader;
create table t (a int);

---- a trigger's arguments quoted otherwise [alike]
create table t (a int);
create function f() returns trigger language plpgsql as 'begin return new; end';
-- either
create trigger x before insert on t for each row execute function f('1', 'a');
-- or
create trigger x before insert on t for each row execute function f(1, a);

---- replica identity set and set back [alike]
create table t (a int primary key);
-- change
alter table t replica identity using index t_pkey;
alter table t replica identity default;

---- row level security on and off [alike]
create table t (a int);
-- change
alter table t enable row level security;
alter table t disable row level security;

---- clustered and not [alike]
create table t (a int primary key);
-- change
cluster t using t_pkey;
alter table t set without cluster;

---- a typed table and back [alike]
create type shape as (a int);
create table t (a int);
-- change
alter table t of shape;
alter table t not of;

---- an extension's objects elsewhere [alike]
create table t (r int4range, a int, constraint x exclude using gist (a with =, r with &&));
-- change
alter table t drop constraint x;
alter table t add constraint x exclude using gist (a with =, r with &&);

---- not null and its default name [alike] [18+]
-- either
create table t (a int not null);
-- or
create table t (a int constraint t_a_not_null not null);

---- not null by a primary key or both [alike] [17-]
-- either
create table t (a int primary key);
-- or
create table t (a int not null primary key);

---- a primary key taken away leaves not null [alike]
-- either
create table t (a int not null);
-- or
create table t (a int not null primary key);
alter table t drop constraint t_pkey;

---- a view's options set and reset [alike]
create view v as select 1 as a;
-- change
alter view v set (security_barrier);
alter view v reset (security_barrier);

---- security_barrier false is not none => view v
create view v as select 1 as a;
-- change
alter view v set (security_barrier = false);
-- undo
alter view v reset (security_barrier);

---- policies' roles in another order [alike]
create table t (a int);
-- either
create policy p on t to zq_reader, zq_writer using (true);
-- or
create policy p on t to zq_writer, zq_reader using (true);

---- rules before and after [alike]
create table t (a int);
-- either
create rule r as on insert to t do instead nothing;
create rule q as on update to t do instead nothing;
-- or
create rule q as on update to t do instead nothing;
create rule r as on insert to t do instead nothing;

---- a domain's checks in another order [alike]
create domain d as int;
-- either
alter domain d add constraint c check (value > 0);
alter domain d add constraint e check (value < 9);
-- or
alter domain d add constraint e check (value < 9);
alter domain d add constraint c check (value > 0);

---- a table's checks in another order [alike]
create table t (a int);
-- either
alter table t add constraint c check (a > 0), add constraint e check (a < 9);
-- or
alter table t add constraint e check (a < 9), add constraint c check (a > 0);

---- a function made without a check of its body [alike]
-- either
create function f() returns int language sql as 'select 1';
-- or
set local check_function_bodies = off;
create function f() returns int language sql as 'select 1';
