---- a table is there => table t
-- change
create table t (id int);
-- undo
drop table t;

---- a table without columns is there => table t
-- change
create table t ();
-- undo
drop table t;

---- table: unlogged => table t
create table t (id int);
-- change
alter table t set unlogged;
-- undo
alter table t set logged;

---- table: fillfactor => table t
create table t (id int);
-- change
alter table t set (fillfactor = 70);
-- undo
alter table t reset (fillfactor);

---- table: the value of a storage option => table t
create table t (id int) with (fillfactor = 80);
-- change
alter table t set (fillfactor = 70);
-- undo
alter table t set (fillfactor = 80);

---- table: autovacuum options => table t
create table t (id int);
-- change
alter table t set (autovacuum_enabled = false, autovacuum_vacuum_scale_factor = 0.01);
-- undo
alter table t reset (autovacuum_enabled, autovacuum_vacuum_scale_factor);

---- table: options of its TOAST => table t
create table t (id int, body text);
-- change
alter table t set (toast.autovacuum_vacuum_threshold = 100);
-- undo
alter table t reset (toast.autovacuum_vacuum_threshold);

---- table: access method [15+] => table t
create table t (id int);
-- change
alter table t set access method zq_heap;
-- undo
alter table t set access method heap;

---- table: access method from the start => table t
-- either
create table t (id int);
-- or
create table t (id int) using zq_heap;

---- table: tablespace => table t
create table t (id int);
-- change
alter table t set tablespace zq_space;
-- undo
alter table t set tablespace pg_default;

---- table: replica identity full => table t
create table t (id int);
-- change
alter table t replica identity full;
-- undo
alter table t replica identity default;

---- table: replica identity nothing => table t
create table t (id int);
-- change
alter table t replica identity nothing;
-- undo
alter table t replica identity default;

---- table: replica identity by an index => table t | index t_id
create table t (id int not null);
create unique index t_id on t (id);
-- change
alter table t replica identity using index t_id;
-- undo
alter table t replica identity default;

---- table: replica identity by a constraint's index => table t | index t_pkey | constraint t.t_pkey
create table t (id int primary key);
-- change
alter table t replica identity using index t_pkey;
-- undo
alter table t replica identity default;

---- table: row level security => table t
create table t (id int);
-- change
alter table t enable row level security;
-- undo
alter table t disable row level security;

---- table: row level security forced => table t
create table t (id int);
alter table t enable row level security;
-- change
alter table t force row level security;
-- undo
alter table t no force row level security;

---- table: row level security forced, though off => table t
create table t (id int);
-- change
alter table t force row level security;
-- undo
alter table t no force row level security;

---- table: cluster on an index => index t_id | table t
create table t (id int);
create index t_id on t (id);
-- change
alter table t cluster on t_id;
-- undo
alter table t set without cluster;

---- table: cluster on a constraint's index => index t_pkey | constraint t.t_pkey | table t
create table t (id int primary key);
-- change
alter table t cluster on t_pkey;
-- undo
alter table t set without cluster;

---- table: of a type => table t
create type shape as (id int, name text);
create table t (id int, name text);
-- change
alter table t of shape;
-- undo
alter table t not of;

---- table: inherits => table t
create table parent (id int);
create table t (id int);
-- change
alter table t inherit parent;

---- table: order of inheritance => table t
-- either
create table p1 (id int);
create table p2 (id int);
create table t () inherits (p1, p2);
-- or
create table p1 (id int);
create table p2 (id int);
create table t () inherits (p2, p1);

---- table: inherits from nobody any more => table t
create table parent (id int);
create table t () inherits (parent);
-- change
alter table t no inherit parent;

---- no inherit and inherit again => column t.id | table t
create table parent (id int);
create table t () inherits (parent);
-- change
alter table t no inherit parent;
alter table t inherit parent;

---- a column of a parent is local as well => column t.id
-- either
create table parent (id int);
create table t () inherits (parent);
-- or
create table parent (id int);
create table t (id int) inherits (parent);

---- partitioned or not => table t
-- either
create table t (id int);
-- or
create table t (id int) partition by range (id);

---- partitions: strategy => table t
-- either
create table t (id int) partition by list (id);
-- or
create table t (id int) partition by range (id);

---- partitions: hash or list => table t
-- either
create table t (id int) partition by list (id);
-- or
create table t (id int) partition by hash (id);

---- partitions: key column => table t
-- either
create table t (id int, day date) partition by range (id);
-- or
create table t (id int, day date) partition by range (day);

---- partitions: key expression => table t
-- either
create table t (id int) partition by range ((id % 10));
-- or
create table t (id int) partition by range ((id % 20));

---- partitions: opclass of the key => table t
-- either
create table t (name text) partition by range (name);
-- or
create table t (name text) partition by range (name text_pattern_ops);

---- partitions: collation of the key => table t
-- either
create table t (name text) partition by range (name);
-- or
create table t (name text) partition by range (name collate "POSIX");

---- partitions: bounds => table t1
create table t (id int) partition by range (id);
-- either
create table t1 partition of t for values from (0) to (10);
-- or
create table t1 partition of t for values from (0) to (20);

---- partitions: list bounds => table t1
create table t (id int) partition by list (id);
-- either
create table t1 partition of t for values in (1, 2);
-- or
create table t1 partition of t for values in (1, 2, null);

---- partitions: modulus => table t1
create table t (id int) partition by hash (id);
-- either
create table t1 partition of t for values with (modulus 4, remainder 0);
-- or
create table t1 partition of t for values with (modulus 8, remainder 0);

---- partitions: default or not => table t1
create table t (id int) partition by list (id);
-- either
create table t1 partition of t default;
-- or
create table t1 partition of t for values in (1);

---- partitions: attached or not => table t1
create table t (id int) partition by range (id);
create table t1 (id int);
-- change
alter table t attach partition t1 for values from (0) to (10);
-- undo
alter table t detach partition t1;

---- partitions: one more => table t2
create table t (id int) partition by range (id);
create table t1 partition of t for values from (0) to (10);
-- change
create table t2 partition of t for values from (10) to (20);
-- undo
drop table t2;

---- partitions of partitions: bounds below => table t11
create table t (a int, b int) partition by range (a);
create table t1 partition of t for values from (0) to (10) partition by list (b);
-- either
create table t11 partition of t1 for values in (1);
-- or
create table t11 partition of t1 for values in (2);

---- partition: a default of its own => column t1.name
create table t (id int, name text) partition by range (id);
create table t1 partition of t for values from (0) to (10);
-- change
alter table t1 alter name set default 'x';
-- undo
alter table t1 alter name drop default;

---- partition: order of its columns => column t1.name | column t1.id | table t1
create table t (id int, name text) partition by range (id);
-- either
create table t1 (id int, name text);
alter table t attach partition t1 for values from (0) to (10);
-- or
create table t1 (name text, id int);
alter table t attach partition t1 for values from (0) to (10);

---- partition: storage option => table t1
create table t (id int) partition by range (id);
create table t1 partition of t for values from (0) to (10);
-- change
alter table t1 set (fillfactor = 50);
-- undo
alter table t1 reset (fillfactor);

---- partition: unlogged => table t1
create table t (id int) partition by range (id);
create table t1 partition of t for values from (0) to (10);
-- change
alter table t1 set unlogged;
-- undo
alter table t1 set logged;

---- a partition's tablespace => table t1
create table t (id int) partition by range (id);
create table t1 partition of t for values from (0) to (10);
-- change
alter table t1 set tablespace zq_space;
-- undo
alter table t1 set tablespace pg_default;

---- a partitioned table's tablespace => table t
create table t (id int) partition by range (id);
-- change
alter table t set tablespace zq_space;
-- undo
alter table t set tablespace pg_default;

---- a partitioned table's access method [17+] => table t
create table t (id int) partition by range (id);
-- change
alter table t set access method zq_heap;
-- undo
alter table t set access method default;

---- table: owner => table t
create table t (id int);
-- change
alter table t owner to zq_owner;
-- undo
alter table t owner to postgres;

---- table: comment => table t
create table t (id int);
-- change
comment on table t is 'all of them';
-- undo
comment on table t is null;

---- table: another comment => table t
create table t (id int);
comment on table t is 'all of them';
-- change
comment on table t is 'all of them ';
-- undo
comment on table t is 'all of them';

---- table: name => table t | table u
create table t (id int);
-- change
alter table t rename to u;
-- undo
alter table u rename to t;

---- table: security label => table t
create table t (id int);
-- change
set local allow_system_table_mods = on;
insert into pg_seclabel values ('t'::regclass, 'pg_class'::regclass, 0, 'dummy', 'secret');
-- undo
set local allow_system_table_mods = on;
delete from pg_seclabel where objoid = 't'::regclass;

---- column: security label => column t.id | table t
create table t (id int);
-- change
set local allow_system_table_mods = on;
insert into pg_seclabel values ('t'::regclass, 'pg_class'::regclass, 1, 'dummy', 'secret');
-- undo
set local allow_system_table_mods = on;
delete from pg_seclabel where objoid = 't'::regclass;
