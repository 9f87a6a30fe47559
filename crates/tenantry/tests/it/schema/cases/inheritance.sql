---- an inherited column: its default dropped => column t.a
create table parent (a int default 1);
create table t () inherits (parent);
-- change
alter table t alter a drop default;

---- an inherited column: the parent's default as its own [alike]
create table parent (a int default 1);
create table t () inherits (parent);
-- change
alter table t alter a set default 1;

---- an inherited column: grant => column t.a
create table parent (a int);
create table t () inherits (parent);
-- change
grant select (a) on t to zq_reader;
-- undo
revoke select (a) on t from zq_reader;

---- an inherited column: comment => column t.a
create table parent (a int);
create table t () inherits (parent);
-- change
comment on column t.a is 'x';
-- undo
comment on column t.a is null;

---- an inherited column: not null in the parent alone [17-] => column parent.a
create table parent (a int);
create table t () inherits (parent);
-- change
alter table only parent alter a set not null;

---- an inherited column: not null where the parent has it, or not [alike] [17-]
create table parent (a int);
create table t () inherits (parent);
-- either
alter table only parent alter a set not null;
-- or
alter table parent alter a set not null;

---- an inherited check: comment [alike]
create table parent (a int, constraint c check (a > 0));
create table t () inherits (parent);
-- change
comment on constraint c on t is 'x';

---- an inherited check: not valid in the child [alike]
create table parent (a int);
create table t () inherits (parent);
insert into t values (-1);
-- either
alter table parent add constraint c check (a > 0) not valid;
delete from t;
-- or
alter table parent add constraint c check (a > 0) not valid;
delete from t;
alter table t validate constraint c;

---- a partition's check: its own as well [alike]
create table t (a int, constraint c check (a > 0)) partition by range (a);
-- either
create table t1 partition of t for values from (0) to (10);
-- or
create table t1 (a int, constraint c check (a > 0));
alter table t attach partition t1 for values from (0) to (10);

---- a partition's check: comment on the inherited one [alike]
create table t (a int, constraint c check (a > 0)) partition by range (a);
create table t1 partition of t for values from (0) to (10);
-- change
comment on constraint c on t1 is 'x';

---- a partition's check: comment on one of its own => constraint t1.k
create table t (a int) partition by range (a);
create table t1 partition of t for values from (0) to (10);
alter table t1 add constraint k check (a > 0);
-- change
comment on constraint k on t1 is 'x';
-- undo
comment on constraint k on t1 is null;

---- a partition's trigger: comment [alike]
create table t (a int) partition by range (a);
create table t1 partition of t for values from (0) to (10);
create function f() returns trigger language plpgsql as 'begin return new; end';
create trigger x after insert on t for each row execute function f();
-- change
comment on trigger x on t1 is 'x';

---- a partition's trigger: comment on one that is disabled by itself => trigger t1.x
create table t (a int) partition by range (a);
create table t1 partition of t for values from (0) to (10);
create function f() returns trigger language plpgsql as 'begin return new; end';
create trigger x after insert on t for each row execute function f();
alter table t1 disable trigger x;
-- change
comment on trigger x on t1 is 'x';
-- undo
comment on trigger x on t1 is null;

---- a partition's foreign key: comment [alike]
create table p (id int primary key);
create table t (a int, constraint fk foreign key (a) references p) partition by range (a);
create table t1 partition of t for values from (0) to (10);
-- change
comment on constraint fk on t1 is 'x';

---- a partition's foreign key: its own, then taken over by the parent's [alike]
create table p (id int primary key);
create table t (a int, constraint fk foreign key (a) references p) partition by range (a);
-- either
create table t1 partition of t for values from (0) to (10);
-- or
create table t1 (a int, constraint fk foreign key (a) references p);
alter table t attach partition t1 for values from (0) to (10);

---- a partition's primary key: comment => constraint t1.t1_pkey
create table t (a int primary key) partition by range (a);
create table t1 partition of t for values from (0) to (10);
-- change
comment on constraint t1_pkey on t1 is 'x';
-- undo
comment on constraint t1_pkey on t1 is null;

---- a partition's primary key: name => constraint t1.t1_pkey | constraint t1.pk
create table t (a int primary key) partition by range (a);
create table t1 partition of t for values from (0) to (10);
-- change
alter index t1_pkey rename to pk;
-- undo
alter index pk rename to t1_pkey;

---- a partition's index: comment => index t1_a_idx
create table t (a int) partition by range (a);
create table t1 partition of t for values from (0) to (10);
create index i on t (a);
-- change
comment on index t1_a_idx is 'x';
-- undo
comment on index t1_a_idx is null;

---- a partition's index: statistics target => index t1_expr_idx
create table t (a int) partition by range (a);
create table t1 partition of t for values from (0) to (10);
create index i on t ((a + 1));
-- change
alter index t1_expr_idx alter column 1 set statistics 9;
-- undo
alter index t1_expr_idx alter column 1 set statistics -1;

---- a partition's column: its default dropped => column t1.b
create table t (a int, b int default 1) partition by range (a);
create table t1 partition of t for values from (0) to (10);
-- change
alter table t1 alter b drop default;
-- undo
alter table t1 alter b set default 1;

---- a partition: of the same columns, local or not [alike]
create table t (a int, b int) partition by range (a);
-- either
create table t1 partition of t for values from (0) to (10);
-- or
create table t1 (a int, b int);
alter table t attach partition t1 for values from (0) to (10);

---- a partition: owner => table t1
create table t (a int) partition by range (a);
create table t1 partition of t for values from (0) to (10);
-- change
alter table t1 owner to zq_owner;
-- undo
alter table t1 owner to postgres;

---- a partition: grant => table t1
create table t (a int) partition by range (a);
create table t1 partition of t for values from (0) to (10);
-- change
grant select on t1 to zq_reader;
-- undo
revoke select on t1 from zq_reader;

---- a partition: in the schema, its parent is a table of the shared schema => table t1
create table t1 (a int);
-- change
create table zq_shared.{name}_parent (a int) partition by range (a);
alter table zq_shared.{name}_parent attach partition t1 for values from (0) to (10);

---- a table inherits from one of the shared schema => table t
-- either
create table t (id int, name text);
-- or
create table t () inherits (zq_shared.countries);

---- a column that two parents have [alike]
create table p1 (a int);
create table p2 (a int);
-- either
create table t () inherits (p1, p2);
-- or
create table t () inherits (p1, p2);
alter table t alter a drop default;

---- multiple levels: a check in the middle => constraint mid.c
create table top (a int);
create table mid () inherits (top);
create table low () inherits (mid);
-- change
alter table mid add constraint c check (a > 0);
-- undo
alter table mid drop constraint c;

---- generated in the parent and the child [alike]
create table parent (a int, b int generated always as (a * 2) stored);
create table t () inherits (parent);

---- generated in the child, plain in the parent => column parent.b | column t.b
create table parent (a int, b int generated always as (a * 2) stored);
create table t () inherits (parent);
-- change
alter table parent alter b drop expression;
