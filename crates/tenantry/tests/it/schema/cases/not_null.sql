---- not null: a name from before the table was renamed [18+] => column t.a
-- either
create table t (a int not null);
-- or
create table u (a int not null);
alter table u rename to t;

---- not null: a name from before the column was renamed [18+] => column t.a
-- either
create table t (a int not null);
-- or
create table t (b int not null);
alter table t rename b to a;

---- not null: renamed before names counted [alike] [17-]
-- either
create table t (a int not null);
-- or
create table t (b int not null);
alter table t rename b to a;

---- not null: comment on one that is not valid [18+] => column t.a
create table t (a int);
alter table t add constraint nn not null a not valid;
-- change
comment on constraint nn on t is 'x';
-- undo
comment on constraint nn on t is null;

---- not null: an inherited column's own as well [18+] => column t.a
create table parent (a int);
create table t () inherits (parent);
-- change
alter table t alter a set not null;
-- undo
alter table t alter a drop not null;

---- not null: an inherited column's own name [18+] => column t.a
create table parent (a int);
create table t () inherits (parent);
-- either
alter table t add constraint nn not null a;
-- or
alter table t add constraint nx not null a;

---- not null: comment on an inherited one [18+] => column t.a
create table parent (a int not null);
create table t () inherits (parent);
-- change
comment on constraint parent_a_not_null on t is 'x';

---- not null: comment on one that is inherited and local [18+] => column t.a
create table parent (a int not null);
create table t (a int not null) inherits (parent);
-- change
comment on constraint t_a_not_null on t is 'x';

---- not null: a partition's [18+] => column t1.b
create table t (a int, b int) partition by range (a);
create table t1 partition of t for values from (0) to (10);
-- change
alter table t1 alter b set not null;
-- undo
alter table t1 alter b drop not null;

---- not null: a partition's name [18+] => column t1.b
create table t (a int, b int) partition by range (a);
create table t1 partition of t for values from (0) to (10);
-- either
alter table t1 add constraint nn not null b;
-- or
alter table t1 alter b set not null;

---- not null: comment on a partition's [18+] => column t1.b
create table t (a int, b int not null) partition by range (a);
create table t1 partition of t for values from (0) to (10);
-- change
comment on constraint t_b_not_null on t1 is 'x';
-- undo
comment on constraint t_b_not_null on t1 is null;

---- not null: a partition's local as well or not [alike] [18+]
create table t (a int, b int not null) partition by range (a);
-- either
create table t1 partition of t for values from (0) to (10);
-- or
create table t1 (a int, b int constraint t_b_not_null not null);
alter table t attach partition t1 for values from (0) to (10);

---- not null: of a primary key, its name [18+] => column t.a
-- either
create table t (a int primary key);
-- or
create table t (a int constraint nn not null primary key);

---- not null: taken away and given again [alike] [18+]
create table t (a int not null);
-- change
alter table t alter a drop not null;
alter table t alter a set not null;

---- not null: validated [alike] [18+]
create table t (a int);
-- either
alter table t add constraint nn not null a;
-- or
alter table t add constraint nn not null a not valid;
alter table t validate constraint nn;

---- domain: comment on not null [18+] => domain d
create domain d as int constraint nn not null;
-- change
comment on constraint nn on domain d is 'x';
-- undo
comment on constraint nn on domain d is null;

---- domain: not null under another name [alike] [16-]
-- either
create domain d as int constraint nn not null;
-- or
create domain d as int not null;

---- a foreign table: not null by name [18+] => column ft.a
create foreign table ft (a int) server zq_server;
-- change
alter foreign table ft add constraint nn not null a;
-- undo
alter foreign table ft drop constraint nn;
