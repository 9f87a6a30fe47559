---- a primary key is there => constraint t.t_pkey
create table t (a int not null);
-- change
alter table t add primary key (a);
-- undo
alter table t drop constraint t_pkey;

---- primary key: name => constraint t.t_pkey | constraint t.pk
create table t (a int primary key);
-- change
alter table t rename constraint t_pkey to pk;
-- undo
alter table t rename constraint pk to t_pkey;

---- primary key: order of its columns => constraint t.t_pkey
-- either
create table t (a int, b int, primary key (a, b));
-- or
create table t (a int, b int, primary key (b, a));

---- primary key: include => constraint t.t_pkey
-- either
create table t (a int primary key, b int);
-- or
create table t (a int, b int, primary key (a) include (b));

---- primary key: fillfactor => constraint t.t_pkey | index t_pkey
create table t (a int primary key);
-- change
alter index t_pkey set (fillfactor = 60);
-- undo
alter index t_pkey reset (fillfactor);

---- primary key: tablespace => constraint t.t_pkey | index t_pkey
create table t (a int primary key);
-- change
alter index t_pkey set tablespace zq_space;
-- undo
alter index t_pkey set tablespace pg_default;

---- unique: deferrable => constraint t.u
-- either
create table t (a int, constraint u unique (a));
-- or
create table t (a int, constraint u unique (a) deferrable);

---- unique: initially deferred => constraint t.u
-- either
create table t (a int, constraint u unique (a) deferrable);
-- or
create table t (a int, constraint u unique (a) deferrable initially deferred);

---- unique: include => constraint t.u
-- either
create table t (a int, b int, constraint u unique (a));
-- or
create table t (a int, b int, constraint u unique (a) include (b));

---- unique: nulls not distinct [15+] => constraint t.u
-- either
create table t (a int, constraint u unique (a));
-- or
create table t (a int, constraint u unique nulls not distinct (a));

---- unique constraint or unique index => constraint t.u | index u
-- either
create table t (a int, constraint u unique (a));
-- or
create table t (a int);
create unique index u on t (a);

---- unique: comment on the constraint => constraint t.u
create table t (a int, constraint u unique (a));
-- change
comment on constraint u on t is 'once';
-- undo
comment on constraint u on t is null;

---- unique: comment on the constraint's index => constraint t.u | index u
create table t (a int, constraint u unique (a));
-- change
comment on index u is 'once';
-- undo
comment on index u is null;

---- a check is there => constraint t.c
create table t (a int);
-- change
alter table t add constraint c check (a > 0);
-- undo
alter table t drop constraint c;

---- check: expression => constraint t.c
-- either
create table t (a int, constraint c check (a > 0));
-- or
create table t (a int, constraint c check (a >= 0));

---- check: not valid => constraint t.c
create table t (a int);
-- either
alter table t add constraint c check (a > 0);
-- or
alter table t add constraint c check (a > 0) not valid;

---- check: no inherit => constraint t.c
-- either
create table t (a int, constraint c check (a > 0));
-- or
create table t (a int, constraint c check (a > 0) no inherit);

---- check: not enforced [18+] => constraint t.c
-- either
create table t (a int, constraint c check (a > 0));
-- or
create table t (a int, constraint c check (a > 0) not enforced);

---- check: comment => constraint t.c
create table t (a int, constraint c check (a > 0));
-- change
comment on constraint c on t is 'positive';
-- undo
comment on constraint c on t is null;

---- check: name => constraint t.c | constraint t.d
create table t (a int, constraint c check (a > 0));
-- change
alter table t rename constraint c to d;
-- undo
alter table t rename constraint d to c;

---- check: calls another function of its own schema => constraint t.c
create function f(int) returns bool immutable language sql as 'select true';
create function g(int) returns bool immutable language sql as 'select true';
-- either
create table t (a int, constraint c check (f(a)));
-- or
create table t (a int, constraint c check (g(a)));

---- check: an inherited one that is local as well => constraint t.c
create table parent (a int, constraint c check (a > 0));
-- either
create table t () inherits (parent);
-- or
create table t (constraint c check (a > 0)) inherits (parent);

---- a foreign key is there => constraint t.fk
create table p (id int primary key);
create table t (a int);
-- change
alter table t add constraint fk foreign key (a) references p;
-- undo
alter table t drop constraint fk;

---- foreign key: another table => constraint t.fk
create table p (id int primary key);
create table q (id int primary key);
-- either
create table t (a int, constraint fk foreign key (a) references p);
-- or
create table t (a int, constraint fk foreign key (a) references q);

---- foreign key: a table of the shared schema => constraint t.fk
create table countries (id int primary key);
-- either
create table t (a int, constraint fk foreign key (a) references countries);
-- or
create table t (a int, constraint fk foreign key (a) references zq_shared.countries);

---- foreign key: another column => constraint t.fk
create table p (id int primary key, code int unique);
-- either
create table t (a int, constraint fk foreign key (a) references p (id));
-- or
create table t (a int, constraint fk foreign key (a) references p (code));

---- foreign key: on delete => constraint t.fk
create table p (id int primary key);
-- either
create table t (a int, constraint fk foreign key (a) references p);
-- or
create table t (a int, constraint fk foreign key (a) references p on delete cascade);

---- foreign key: restrict or no action => constraint t.fk
create table p (id int primary key);
-- either
create table t (a int, constraint fk foreign key (a) references p);
-- or
create table t (a int, constraint fk foreign key (a) references p on delete restrict);

---- foreign key: on update => constraint t.fk
create table p (id int primary key);
-- either
create table t (a int, constraint fk foreign key (a) references p);
-- or
create table t (a int, constraint fk foreign key (a) references p on update set null);

---- foreign key: columns of set null [15+] => constraint t.fk
create table p (a int, b int, primary key (a, b));
-- either
create table t (a int, b int, constraint fk foreign key (a, b) references p on delete set null);
-- or
create table t (a int, b int, constraint fk foreign key (a, b) references p on delete set null (b));

---- foreign key: columns of set default [15+] => constraint t.fk
create table p (a int, b int, primary key (a, b));
-- either
create table t (a int, b int, constraint fk foreign key (a, b) references p on delete set default);
-- or
create table t (a int, b int, constraint fk foreign key (a, b) references p on delete set default (a));

---- foreign key: match full => constraint t.fk
create table p (a int, b int, primary key (a, b));
-- either
create table t (a int, b int, constraint fk foreign key (a, b) references p);
-- or
create table t (a int, b int, constraint fk foreign key (a, b) references p match full);

---- foreign key: deferrable => constraint t.fk
create table p (id int primary key);
create table t (a int, constraint fk foreign key (a) references p);
-- change
alter table t alter constraint fk deferrable;
-- undo
alter table t alter constraint fk not deferrable;

---- foreign key: initially deferred => constraint t.fk
create table p (id int primary key);
create table t (a int, constraint fk foreign key (a) references p deferrable);
-- change
alter table t alter constraint fk deferrable initially deferred;
-- undo
alter table t alter constraint fk deferrable initially immediate;

---- foreign key: not valid => constraint t.fk
create table p (id int primary key);
create table t (a int);
-- either
alter table t add constraint fk foreign key (a) references p;
-- or
alter table t add constraint fk foreign key (a) references p not valid;

---- foreign key: not enforced [18+] => constraint t.fk
create table p (id int primary key);
create table t (a int);
-- either
alter table t add constraint fk foreign key (a) references p;
-- or
alter table t add constraint fk foreign key (a) references p not enforced;

---- foreign key: comment => constraint t.fk
create table p (id int primary key);
create table t (a int, constraint fk foreign key (a) references p);
-- change
comment on constraint fk on t is 'to p';
-- undo
comment on constraint fk on t is null;

---- foreign key: of a partitioned table => constraint t.fk
create table p (id int primary key);
create table t (a int) partition by range (a);
create table t1 partition of t for values from (0) to (10);
-- change
alter table t add constraint fk foreign key (a) references p;
-- undo
alter table t drop constraint fk;

---- foreign key: of a partition alone => constraint t1.fk
create table p (id int primary key);
create table t (a int) partition by range (a);
create table t1 partition of t for values from (0) to (10);
-- change
alter table t1 add constraint fk foreign key (a) references p;
-- undo
alter table t1 drop constraint fk;

---- foreign key: to a partitioned table => constraint t.fk
create table p (id int primary key) partition by range (id);
create table p1 partition of p for values from (0) to (10);
create table t (a int);
-- change
alter table t add constraint fk foreign key (a) references p;
-- undo
alter table t drop constraint fk;

---- exclusion: is there => constraint t.x
create table t (r int4range);
-- change
alter table t add constraint x exclude using gist (r with &&);
-- undo
alter table t drop constraint x;

---- exclusion: operator => constraint t.x
-- either
create table t (r int4range, constraint x exclude using gist (r with &&));
-- or
create table t (r int4range, constraint x exclude using gist (r with -|-));

---- exclusion: predicate => constraint t.x
-- either
create table t (r int4range, constraint x exclude using gist (r with &&));
-- or
create table t (r int4range, constraint x exclude using gist (r with &&) where (not isempty(r)));

---- exclusion: deferrable => constraint t.x
-- either
create table t (r int4range, constraint x exclude using gist (r with &&));
-- or
create table t (r int4range, constraint x exclude using gist (r with &&) deferrable initially deferred);

---- exclusion: include => constraint t.x
-- either
create table t (r int4range, a int, constraint x exclude using gist (r with &&));
-- or
create table t (r int4range, a int, constraint x exclude using gist (r with &&) include (r));

---- without overlaps [18+] => constraint t.t_pkey
-- either
create table t (a int4range, r int4range, primary key (a, r));
-- or
create table t (a int4range, r int4range, primary key (a, r without overlaps));

---- period [18+] => constraint t.fk
create table p (a int4range, r int4range, primary key (a, r without overlaps));
create table t (a int4range, r int4range);
-- change
alter table t add constraint fk foreign key (a, period r) references p (a, period r);
-- undo
alter table t drop constraint fk;

---- not null: name [18+] => column t.a
-- either
create table t (a int not null);
-- or
create table t (a int constraint nn not null);

---- not null: not valid [18+] => column t.a
create table t (a int);
-- either
alter table t add constraint nn not null a;
-- or
alter table t add constraint nn not null a not valid;

---- not null: no inherit [18+] => column t.a
create table t (a int);
-- either
alter table t add constraint nn not null a;
-- or
alter table t add constraint nn not null a no inherit;

---- not null: comment [18+] => column t.a
create table t (a int constraint nn not null);
-- change
comment on constraint nn on t is 'always';
-- undo
comment on constraint nn on t is null;

---- an inherited not null: its own as well [18+] => column t.a
create table parent (a int not null);
-- either
create table t () inherits (parent);
-- or
create table t (a int constraint parent_a_not_null not null) inherits (parent);

---- constraint trigger or trigger => trigger t.x
create table t (a int);
create function f() returns trigger language plpgsql as 'begin return new; end';
-- either
create trigger x after insert on t for each row execute function f();
-- or
create constraint trigger x after insert on t for each row execute function f();
