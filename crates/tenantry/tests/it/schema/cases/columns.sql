---- a column is there => column t.name
create table t (id int);
-- change
alter table t add name text;
-- undo
alter table t drop name;

---- columns: order => column t.a | column t.b | table t
-- either
create table t (a int, b int);
-- or
create table t (b int, a int);

---- columns: order after one was dropped and added => column t.a | column t.b | table t
create table t (a int, b int);
-- change
alter table t drop a, add a int;

---- column: name => column t.a | column t.b
create table t (a int);
-- change
alter table t rename a to b;
-- undo
alter table t rename b to a;

---- column: type => column t.a
create table t (a int);
-- change
alter table t alter a type bigint;
-- undo
alter table t alter a type int;

---- column: varchar with a length => column t.a
create table t (a varchar);
-- change
alter table t alter a type varchar(255);
-- undo
alter table t alter a type varchar;

---- column: varchar or text => column t.a
create table t (a varchar);
-- change
alter table t alter a type text;
-- undo
alter table t alter a type varchar;

---- column: numeric's scale => column t.a
create table t (a numeric(10, 2));
-- change
alter table t alter a type numeric(10, 3);
-- undo
alter table t alter a type numeric(10, 2);

---- column: precision of a timestamp => column t.a
create table t (a timestamptz);
-- change
alter table t alter a type timestamptz(3);
-- undo
alter table t alter a type timestamptz;

---- column: timestamp with a zone => column t.a
create table t (a timestamp);
-- change
alter table t alter a type timestamptz;
-- undo
alter table t alter a type timestamp;

---- column: fields of an interval => column t.a
create table t (a interval);
-- change
alter table t alter a type interval day to second;
-- undo
alter table t alter a type interval;

---- column: bit length => column t.a
create table t (a bit(3));
-- change
alter table t alter a type bit(4) using a::bit(4);
-- undo
alter table t alter a type bit(3) using a::bit(3);

---- column: array => column t.a
-- either
create table t (a int);
-- or
create table t (a int[]);

---- column: collation => column t.a
create table t (a text);
-- change
alter table t alter a type text collate "POSIX";
-- undo
alter table t alter a type text collate "default";

---- column: collation "C" => column t.a
create table t (a text);
-- change
alter table t alter a type text collate "C";
-- undo
alter table t alter a type text;

---- column: collation of its own schema => column t.a
create collation coll (locale = 'POSIX', provider = libc);
create table t (a text);
-- change
alter table t alter a type text collate coll;
-- undo
alter table t alter a type text;

---- column: a domain's collation or another => column t.a
create domain d as text collate "POSIX";
create table t (a d);
-- change
alter table t alter a type d collate "C";
-- undo
alter table t alter a type d;

---- column: statistics target => column t.a
create table t (a int);
-- change
alter table t alter a set statistics 500;
-- undo
alter table t alter a set statistics -1;

---- column: statistics target 0 => column t.a
create table t (a int);
-- change
alter table t alter a set statistics 0;
-- undo
alter table t alter a set statistics -1;

---- column: storage => column t.a
create table t (a text);
-- change
alter table t alter a set storage external;
-- undo
alter table t alter a set storage extended;

---- column: storage plain => column t.a
create table t (a text);
-- change
alter table t alter a set storage plain;
-- undo
alter table t alter a set storage extended;

---- column: storage main of a numeric, its own is main => column t.a
create table t (a numeric);
-- change
alter table t alter a set storage extended;
-- undo
alter table t alter a set storage main;

---- column: compression => column t.a
create table t (a text);
-- change
alter table t alter a set compression pglz;
-- undo
alter table t alter a set compression default;

---- column: n_distinct => column t.a
create table t (a int);
-- change
alter table t alter a set (n_distinct = -0.5);
-- undo
alter table t alter a reset (n_distinct);

---- column: n_distinct_inherited => column t.a
create table t (a int);
-- change
alter table t alter a set (n_distinct_inherited = 100);
-- undo
alter table t alter a reset (n_distinct_inherited);

---- column: not null => column t.a | constraint t.t_a_not_null
create table t (a int);
-- change
alter table t alter a set not null;
-- undo
alter table t alter a drop not null;

---- column: default => column t.a
create table t (a int);
-- change
alter table t alter a set default 1;
-- undo
alter table t alter a drop default;

---- column: another default => column t.a
create table t (a int default 1);
-- change
alter table t alter a set default 2;
-- undo
alter table t alter a set default 1;

---- column: type of a default => column t.a
-- either
create table t (a text default 'x');
-- or
create table t (a text default 'x'::varchar);

---- column: now or clock => column t.a
create table t (a timestamptz default now());
-- change
alter table t alter a set default clock_timestamp();
-- undo
alter table t alter a set default now();

---- column: now or current_timestamp => column t.a
create table t (a timestamptz default now());
-- change
alter table t alter a set default current_timestamp;
-- undo
alter table t alter a set default now();

---- column: default null where a domain has a default => column t.a
create domain d as int default 7;
create table t (a d);
-- change
alter table t alter a set default null;
-- undo
alter table t alter a drop default;

---- column: default by a function of its own schema => column t.a
create function f() returns int language sql as 'select 1';
create function g() returns int language sql as 'select 1';
create table t (a int default f());
-- change
alter table t alter a set default g();
-- undo
alter table t alter a set default f();

---- column: default from another sequence => column t.a
create sequence s1;
create sequence s2;
create table t (a int default nextval('s1'));
-- change
alter table t alter a set default nextval('s2');
-- undo
alter table t alter a set default nextval('s1');

---- column: serial or plain => column t.a | sequence t_a_seq
-- either
create table t (a int not null);
-- or
create table t (a serial);

---- column: serial or identity => column t.a | sequence t_a_seq
-- either
create table t (a serial);
-- or
create table t (a int generated by default as identity);

---- column: identity => column t.a | sequence t_a_seq
create table t (a int not null);
-- change
alter table t alter a add generated always as identity;
-- undo
alter table t alter a drop identity;

---- column: kind of identity => column t.a
create table t (a int generated always as identity);
-- change
alter table t alter a set generated by default;
-- undo
alter table t alter a set generated always;

---- identity: increment => sequence t_a_seq | column t.a
create table t (a int generated always as identity);
-- change
alter table t alter a set increment 10;
-- undo
alter table t alter a set increment 1;

---- identity: start => sequence t_a_seq | column t.a
create table t (a int generated always as identity);
-- change
alter table t alter a set start 1000;
-- undo
alter table t alter a set start 1;

---- identity: cache => sequence t_a_seq | column t.a
create table t (a int generated always as identity);
-- change
alter table t alter a set cache 20;
-- undo
alter table t alter a set cache 1;

---- identity: cycle => sequence t_a_seq | column t.a
create table t (a int generated always as identity);
-- change
alter table t alter a set cycle;
-- undo
alter table t alter a set no cycle;

---- identity: maximum => sequence t_a_seq | column t.a
create table t (a int generated always as identity);
-- change
alter table t alter a set maxvalue 5000;
-- undo
alter table t alter a set no maxvalue;

---- identity: name of its sequence => sequence t_a_seq | sequence other | column t.a
create table t (a int generated always as identity);
-- change
alter sequence t_a_seq rename to other;
-- undo
alter sequence other rename to t_a_seq;

---- identity: comment on its sequence => sequence t_a_seq
create table t (a int generated always as identity);
-- change
comment on sequence t_a_seq is 'numbers';
-- undo
comment on sequence t_a_seq is null;

---- identity: grant on its sequence => sequence t_a_seq
create table t (a int generated always as identity);
-- change
grant usage on sequence t_a_seq to zq_reader;
-- undo
revoke usage on sequence t_a_seq from zq_reader;

---- column: generated => column t.b
-- either
create table t (a int, b int);
-- or
create table t (a int, b int generated always as (a * 2) stored);

---- column: generated or default => column t.b
-- either
create table t (a int, b int default 2);
-- or
create table t (a int, b int generated always as (2) stored);

---- column: another expression => column t.b
-- either
create table t (a int, b int generated always as (a * 3) stored);
-- or
create table t (a int, b int generated always as (a * 2) stored);

---- column: generated no longer => column t.b
create table t (a int, b int generated always as (a * 2) stored);
-- change
alter table t alter b drop expression;

---- column: virtual or stored [18+] => column t.b
-- either
create table t (a int, b int generated always as (a * 2) virtual);
-- or
create table t (a int, b int generated always as (a * 2) stored);

---- column: generated by a function of its own schema => column t.b
create function f(int) returns int immutable language sql as 'select 1';
create function g(int) returns int immutable language sql as 'select 1';
-- either
create table t (a int, b int generated always as (f(a)) stored);
-- or
create table t (a int, b int generated always as (g(a)) stored);

---- column: comment => column t.a
create table t (a int);
-- change
comment on column t.a is 'first';
-- undo
comment on column t.a is null;

---- column: grant => column t.a
create table t (a int, b int);
-- change
grant select (a) on t to zq_reader;
-- undo
revoke select (a) on t from zq_reader;

---- column: privilege => column t.a
create table t (a int, b int);
grant select (a) on t to zq_reader;
-- change
grant update (a) on t to zq_reader;
-- undo
revoke update (a) on t from zq_reader;

---- column: grant option => column t.a
create table t (a int, b int);
grant select (a) on t to zq_reader;
-- change
grant select (a) on t to zq_reader with grant option;
-- undo
revoke grant option for select (a) on t from zq_reader;

---- an inherited column: default of its own => column t.a
create table parent (a int default 1);
create table t () inherits (parent);
-- change
alter table t alter a set default 2;
-- undo
alter table t alter a set default 1;

---- an inherited column: not null of its own [17-] => column t.a
create table parent (a int);
create table t () inherits (parent);
-- change
alter table t alter a set not null;
-- undo
alter table t alter a drop not null;

---- an inherited column: statistics target => column t.a
create table parent (a int);
create table t () inherits (parent);
-- change
alter table t alter a set statistics 77;
-- undo
alter table t alter a set statistics -1;

---- an inherited column: storage => column t.a
create table parent (a text);
create table t () inherits (parent);
-- change
alter table t alter a set storage main;
-- undo
alter table t alter a set storage extended;

---- column: of another type of its own schema => column t.a
create type e1 as enum ('x');
create type e2 as enum ('x');
-- either
create table t (a e1);
-- or
create table t (a e2);

---- column: of a shared type or its own => column t.a
create type mood as enum ('sad', 'happy');
-- either
create table t (a mood);
-- or
create table t (a zq_shared.mood);

---- a partition's column: not null of its own [17-] => column t1.b
create table t (a int, b int) partition by range (a);
create table t1 partition of t for values from (0) to (10);
-- change
alter table t1 alter b set not null;
-- undo
alter table t1 alter b drop not null;

---- a typed table's column: default => column t.id
create type shape as (id int);
create table t of shape;
-- change
alter table t alter id set default 3;
-- undo
alter table t alter id drop default;
