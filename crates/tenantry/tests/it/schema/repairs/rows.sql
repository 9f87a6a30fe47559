---- an index over a function whose body differs
create table t (id int, m text);
insert into t values (1, 'Ab');
-- either
create function f(a text) returns text language plpgsql immutable as 'begin return lower(a); end';
create unique index i on t (f(m));
create materialized view mv as select f(m) as m from t;
-- or
create function f(a text) returns text language plpgsql immutable as 'begin return upper(a); end';
create unique index i on t (f(m));
create materialized view mv as select f(m) as m from t;
-- check
set local enable_seqscan = off; select (select count(*) from t where f(m) = 'ab') = 1 and (select m from mv) = 'ab'

---- a generated column and a check over a function whose body differs
-- either
create function f(a int) returns int language plpgsql immutable as 'begin return a + 1; end';
create table t (x int, g int generated always as (f(x)) stored, check (f(x) > 0));
insert into t values (1);
-- or
create function f(a int) returns int language plpgsql immutable as 'begin return a + 2; end';
create table t (x int, g int generated always as (f(x)) stored, check (f(x) > 0));
insert into t values (1);
-- check
select g = 2 from t

---- a partitioned table becomes a plain one
-- either
create table t (id int primary key);
-- or
create table t (id int primary key) partition by range (id);
create table ta partition of t for values from (0) to (10);
insert into t select generate_series(0, 9);
-- check
select count(*) = 10 from t

---- a plain table becomes a partitioned one
-- either
create table t (id int primary key) partition by range (id);
create table ta partition of t for values from (0) to (10);
-- or
create table t (id int primary key);
insert into t select generate_series(0, 9);
-- check
select count(*) = 10 from t

---- a partition too many, beside a default one
create table t (id int primary key) partition by range (id);
create table ta partition of t for values from (0) to (7);
create table td partition of t default;
create table log (id int);
create function f() returns trigger language plpgsql as 'begin insert into log values (new.id); return new; end';
-- either
create trigger x after insert on t for each row execute function f();
-- or
create table tb partition of t for values from (7) to (10);
insert into t select generate_series(0, 12);
create trigger x after insert on t for each row execute function f();
-- check
select (select count(*) from t) = 13 and (select count(*) from td) = 6 and not exists (select from log)

---- a partition that is partitioned itself becomes a leaf
create table t (id int, k int) partition by range (id);
-- either
create table ta partition of t for values from (0) to (10);
-- or
create table ta partition of t for values from (0) to (10) partition by list (k);
create table ta0 partition of ta for values in (0);
create table ta1 partition of ta for values in (1);
insert into t select g, g % 2 from generate_series(0, 9) as g;
-- check
select count(*) = 10 from t

---- partitions with other bounds
create table t (id int primary key, a text) partition by range (id);
create index on t (a);
-- either
create table ta partition of t for values from (0) to (5);
create table tb partition of t for values from (5) to (10);
-- or
create table ta partition of t for values from (0) to (7);
create table tb partition of t for values from (7) to (10);
insert into t select g, 'x' from generate_series(0, 9) as g;
-- check
select (select count(*) from ta) = 5 and (select count(*) from tb) = 5

---- hash partitions of another modulus
create table t (id int) partition by hash (id);
-- either
create table t0 partition of t for values with (modulus 3, remainder 0);
create table t1 partition of t for values with (modulus 3, remainder 1);
create table t2 partition of t for values with (modulus 3, remainder 2);
-- or
create table t0 partition of t for values with (modulus 2, remainder 0);
create table t1 partition of t for values with (modulus 2, remainder 1);
insert into t select generate_series(1, 30);
-- check
select count(*) = 30 from t

---- rows in the default partition that belong in one that is missing
create table t (id int) partition by range (id);
create table td partition of t default;
-- either
create table ta partition of t for values from (0) to (10);
-- or
insert into t select generate_series(0, 19);
-- check
select (select count(*) from ta) = 10 and (select count(*) from td) = 10

---- partitions of partitions with keys and indexes
-- either
create table t (id int, k int, primary key (id, k)) partition by range (id);
create table t1 partition of t for values from (0) to (10) partition by list (k);
create table t11 partition of t1 for values in (1);
create index ix on t (k);
-- or
create table t (id int, k int, primary key (id, k)) partition by range (id);
create table t1 partition of t for values from (0) to (10) partition by range (k);
create table t11 partition of t1 for values from (1) to (2);
create index ix on t (k);
insert into t values (3, 1);
-- check
select count(*) = 1 from t11

---- a partition missing and one with other bounds
-- either
create table t (id int primary key) partition by range (id);
create table ta partition of t for values from (0) to (10);
-- or
create table t (id int primary key) partition by range (id);
create table ta partition of t for values from (0) to (7);
create table tb partition of t for values from (7) to (10);
insert into t select generate_series(0, 6);
-- check
select count(*) = 7 from t
