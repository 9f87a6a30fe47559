---- an index is there => index i
create table t (a int);
-- change
create index i on t (a);
-- undo
drop index i;

---- index: name => index i | index j
create table t (a int);
create index i on t (a);
-- change
alter index i rename to j;
-- undo
alter index j rename to i;

---- index: unique => index i
create table t (a int);
-- either
create index i on t (a);
-- or
create unique index i on t (a);

---- index: nulls not distinct [15+] => index i
create table t (a int);
-- either
create unique index i on t (a);
-- or
create unique index i on t (a) nulls not distinct;

---- index: method => index i
create table t (a int);
-- either
create index i on t (a);
-- or
create index i on t using hash (a);

---- index: brin => index i
create table t (a int);
-- either
create index i on t (a);
-- or
create index i on t using brin (a);

---- index: opclass => index i
create table t (a text);
-- either
create index i on t (a);
-- or
create index i on t (a text_pattern_ops);

---- index: opclass of its own schema or the default => index i
create table t (a int);
create operator class oc for type int using btree as operator 1 <, operator 2 <=, operator 3 =, operator 4 >=, operator 5 >, function 1 btint4cmp(int, int);
-- either
create index i on t (a);
-- or
create index i on t (a oc);

---- index: gin's opclass => index i
create table t (a jsonb);
-- either
create index i on t using gin (a);
-- or
create index i on t using gin (a jsonb_path_ops);

---- index: parameters of an opclass => index i
create table t (a tsvector);
-- either
create index i on t using gist (a);
-- or
create index i on t using gist (a tsvector_ops (siglen = 100));

---- index: brin's parameters of an opclass => index i
create table t (a int);
-- either
create index i on t using brin (a int4_minmax_multi_ops);
-- or
create index i on t using brin (a int4_minmax_multi_ops (values_per_range = 16));

---- index: collation => index i
create table t (a text);
-- either
create index i on t (a);
-- or
create index i on t (a collate "POSIX");

---- index: descending => index i
create table t (a int);
-- either
create index i on t (a);
-- or
create index i on t (a desc);

---- index: nulls first => index i
create table t (a int);
-- either
create index i on t (a);
-- or
create index i on t (a nulls first);

---- index: order of columns => index i
create table t (a int, b int);
-- either
create index i on t (a, b);
-- or
create index i on t (b, a);

---- index: predicate => index i
create table t (a int);
-- either
create index i on t (a);
-- or
create index i on t (a) where a > 0;

---- index: another predicate => index i
create table t (a int);
-- either
create index i on t (a) where a > 1;
-- or
create index i on t (a) where a > 0;

---- index: expression => index i
create table t (a text);
-- either
create index i on t (lower(a));
-- or
create index i on t (upper(a));

---- index: expression with a function of its own schema => index i
create table t (a text);
create function f(text) returns text immutable language sql as 'select $1';
create function g(text) returns text immutable language sql as 'select $1';
-- either
create index i on t (f(a));
-- or
create index i on t (g(a));

---- index: include => index i
create table t (a int, b int);
-- either
create index i on t (a);
-- or
create index i on t (a) include (b);

---- index: fillfactor => index i
create table t (a int);
create index i on t (a);
-- change
alter index i set (fillfactor = 50);
-- undo
alter index i reset (fillfactor);

---- index: fastupdate => index i
create table t (a jsonb);
create index i on t using gin (a);
-- change
alter index i set (fastupdate = off);
-- undo
alter index i reset (fastupdate);

---- index: deduplicate_items => index i
create table t (a int);
create index i on t (a);
-- change
alter index i set (deduplicate_items = off);
-- undo
alter index i reset (deduplicate_items);

---- index: tablespace => index i
create table t (a int);
create index i on t (a);
-- change
alter index i set tablespace zq_space;
-- undo
alter index i set tablespace pg_default;

---- index: statistics target of an expression => index i
create table t (a text);
create index i on t (lower(a));
-- change
alter index i alter column 1 set statistics 300;
-- undo
alter index i alter column 1 set statistics -1;

---- index: comment => index i
create table t (a int);
create index i on t (a);
-- change
comment on index i is 'quick';
-- undo
comment on index i is null;

---- index: of a partitioned table => index i | index t1_a_idx
create table t (a int) partition by range (a);
create table t1 partition of t for values from (0) to (10);
-- change
create index i on t (a);
-- undo
drop index i;

---- index: of a partitioned table alone, its partitions lacking it => index i | index t1_a_idx
create table t (a int) partition by range (a);
create table t1 partition of t for values from (0) to (10);
-- either
create index i on t (a);
-- or
create index i on only t (a);

---- index: of a partition, attached or not => index i1
create table t (a int) partition by range (a);
create table t1 partition of t for values from (0) to (10);
create index i on only t (a);
create index i1 on t1 (a);
-- change
alter index i attach partition i1;

---- index: attached to another of the same columns => index i1 | index i2
create table t (a int) partition by range (a);
create table t1 partition of t for values from (0) to (10);
create index i on only t (a);
create index i1 on t1 (a);
create index i2 on t1 (a);
-- either
alter index i attach partition i1;
-- or
alter index i attach partition i2;

---- index: of a partition alone => index i1
create table t (a int) partition by range (a);
create table t1 partition of t for values from (0) to (10);
-- change
create index i1 on t1 (a);
-- undo
drop index i1;

---- index: name of a partition's => index t1_a_idx | index other
create table t (a int) partition by range (a);
create table t1 partition of t for values from (0) to (10);
create index i on t (a);
-- change
alter index t1_a_idx rename to other;
-- undo
alter index other rename to t1_a_idx;

---- index: an option of a partition's => index t1_a_idx
create table t (a int) partition by range (a);
create table t1 partition of t for values from (0) to (10);
create index i on t (a);
-- change
alter index t1_a_idx set (fillfactor = 40);
-- undo
alter index t1_a_idx reset (fillfactor);

---- index: a primary key that a partition has and its parent lacks => constraint t1.t1_pkey
create table t (a int not null) partition by range (a);
create table t1 partition of t for values from (0) to (10);
-- change
alter table t1 add primary key (a);
-- undo
alter table t1 drop constraint t1_pkey;

---- index: of a materialized view => index i
create materialized view m as select 1 as a;
-- change
create index i on m (a);
-- undo
drop index i;

---- index: clustered, of a materialized view => index i | materialized_view m
create materialized view m as select 1 as a;
create index i on m (a);
-- change
alter materialized view m cluster on i;
-- undo
alter materialized view m set without cluster;

---- index: an invalid one of a partitioned table is drift => index i
create table t (a int) partition by range (a);
create table t1 partition of t for values from (0) to (10);
-- change
create index i on only t (a);
-- undo
drop index i;
