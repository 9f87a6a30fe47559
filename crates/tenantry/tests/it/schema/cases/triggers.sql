---- a trigger is there => trigger t.x
create table t (a int);
create function f() returns trigger language plpgsql as 'begin return new; end';
-- change
create trigger x before insert on t for each row execute function f();
-- undo
drop trigger x on t;

---- trigger: disabled => trigger t.x
create table t (a int);
create function f() returns trigger language plpgsql as 'begin return new; end';
create trigger x before insert on t for each row execute function f();
-- change
alter table t disable trigger x;
-- undo
alter table t enable trigger x;

---- trigger: replica => trigger t.x
create table t (a int);
create function f() returns trigger language plpgsql as 'begin return new; end';
create trigger x before insert on t for each row execute function f();
-- change
alter table t enable replica trigger x;
-- undo
alter table t enable trigger x;

---- trigger: always => trigger t.x
create table t (a int);
create function f() returns trigger language plpgsql as 'begin return new; end';
create trigger x before insert on t for each row execute function f();
-- change
alter table t enable always trigger x;
-- undo
alter table t enable trigger x;

---- trigger: event => trigger t.x
create table t (a int);
create function f() returns trigger language plpgsql as 'begin return new; end';
-- either
create trigger x before insert on t for each row execute function f();
-- or
create trigger x before insert or update on t for each row execute function f();

---- trigger: before or after => trigger t.x
create table t (a int);
create function f() returns trigger language plpgsql as 'begin return new; end';
-- either
create trigger x before insert on t for each row execute function f();
-- or
create trigger x after insert on t for each row execute function f();

---- trigger: row or statement => trigger t.x
create table t (a int);
create function f() returns trigger language plpgsql as 'begin return new; end';
-- either
create trigger x before insert on t for each row execute function f();
-- or
create trigger x before insert on t for each statement execute function f();

---- trigger: when => trigger t.x
create table t (a int);
create function f() returns trigger language plpgsql as 'begin return new; end';
-- either
create trigger x before insert on t for each row when (new.a > 0) execute function f();
-- or
create trigger x before insert on t for each row when (new.a > 1) execute function f();

---- trigger: columns => trigger t.x
create table t (a int, b int);
create function f() returns trigger language plpgsql as 'begin return new; end';
-- either
create trigger x before update of a on t for each row execute function f();
-- or
create trigger x before update of a, b on t for each row execute function f();

---- trigger: transition tables => trigger t.x
create table t (a int);
create function f() returns trigger language plpgsql as 'begin return null; end';
-- either
create trigger x after insert on t referencing new table as fresh for each statement execute function f();
-- or
create trigger x after insert on t referencing new table as other for each statement execute function f();

---- trigger: deferrable => trigger t.x
create table t (a int);
create function f() returns trigger language plpgsql as 'begin return null; end';
-- either
create constraint trigger x after insert on t for each row execute function f();
-- or
create constraint trigger x after insert on t deferrable for each row execute function f();

---- trigger: initially deferred => trigger t.x
create table t (a int);
create function f() returns trigger language plpgsql as 'begin return null; end';
-- either
create constraint trigger x after insert on t deferrable for each row execute function f();
-- or
create constraint trigger x after insert on t deferrable initially deferred for each row execute function f();

---- trigger: from another table => trigger t.x
create table t (a int);
create table u (a int);
create function f() returns trigger language plpgsql as 'begin return null; end';
-- either
create constraint trigger x after insert on t for each row execute function f();
-- or
create constraint trigger x after insert on t from u for each row execute function f();

---- trigger: arguments => trigger t.x
create table t (a int);
create function f() returns trigger language plpgsql as 'begin return new; end';
-- either
create trigger x before insert on t for each row execute function f('one', 'two');
-- or
create trigger x before insert on t for each row execute function f('one', '2');

---- trigger: where arguments are cut => trigger t.x
create table t (a int);
create function f() returns trigger language plpgsql as 'begin return new; end';
-- either
create trigger x before insert on t for each row execute function f('ab', 'c');
-- or
create trigger x before insert on t for each row execute function f('a', 'bc');

---- trigger: an empty argument => trigger t.x
create table t (a int);
create function f() returns trigger language plpgsql as 'begin return new; end';
-- either
create trigger x before insert on t for each row execute function f();
-- or
create trigger x before insert on t for each row execute function f('');

---- trigger: function => trigger t.x
create table t (a int);
create function f() returns trigger language plpgsql as 'begin return new; end';
create function g() returns trigger language plpgsql as 'begin return new; end';
-- either
create trigger x before insert on t for each row execute function f();
-- or
create trigger x before insert on t for each row execute function g();

---- trigger: a function of the shared schema or its own => trigger t.x
create table t (a int);
create function touch() returns trigger language plpgsql as 'begin return new; end';
-- either
create trigger x before insert on t for each row execute function touch();
-- or
create trigger x before insert on t for each row execute function zq_shared.touch();

---- trigger: name => trigger t.x | trigger t.y
create table t (a int);
create function f() returns trigger language plpgsql as 'begin return new; end';
create trigger x before insert on t for each row execute function f();
-- change
alter trigger x on t rename to y;
-- undo
alter trigger y on t rename to x;

---- trigger: comment => trigger t.x
create table t (a int);
create function f() returns trigger language plpgsql as 'begin return new; end';
create trigger x before insert on t for each row execute function f();
-- change
comment on trigger x on t is 'why';
-- undo
comment on trigger x on t is null;

---- trigger: on a view => trigger v.x
create view v as select 1 as a;
create function f() returns trigger language plpgsql as 'begin return new; end';
-- change
create trigger x instead of insert on v for each row execute function f();
-- undo
drop trigger x on v;

---- trigger: of a partitioned table => trigger t.x
create table t (a int) partition by range (a);
create table t1 partition of t for values from (0) to (10);
create function f() returns trigger language plpgsql as 'begin return new; end';
-- change
create trigger x after insert on t for each row execute function f();
-- undo
drop trigger x on t;

---- trigger: of a partition, disabled by itself => trigger t1.x
create table t (a int) partition by range (a);
create table t1 partition of t for values from (0) to (10);
create function f() returns trigger language plpgsql as 'begin return new; end';
create trigger x after insert on t for each row execute function f();
-- change
alter table t1 disable trigger x;
-- undo
alter table t1 enable trigger x;

---- trigger: of a partition, always by itself => trigger t1.x
create table t (a int) partition by range (a);
create table t1 partition of t for values from (0) to (10);
create function f() returns trigger language plpgsql as 'begin return new; end';
create trigger x after insert on t for each row execute function f();
-- change
alter table t1 enable always trigger x;
-- undo
alter table t1 enable trigger x;

---- trigger: of the parent alone disabled => trigger t.x | trigger t1.x
create table t (a int) partition by range (a);
create table t1 partition of t for values from (0) to (10);
create function f() returns trigger language plpgsql as 'begin return new; end';
create trigger x after insert on t for each row execute function f();
-- change
alter table only t disable trigger x;
-- undo
alter table only t enable trigger x;

---- a rule is there => rule t.r
create table t (a int);
-- change
create rule r as on insert to t do instead nothing;
-- undo
drop rule r on t;

---- rule: action => rule t.r
create table t (a int);
create rule r as on insert to t do instead nothing;
-- change
create or replace rule r as on insert to t do also nothing;
-- undo
create or replace rule r as on insert to t do instead nothing;

---- rule: event => rule t.r
create table t (a int);
-- either
create rule r as on insert to t do instead nothing;
-- or
create rule r as on update to t do instead nothing;

---- rule: condition => rule t.r
create table t (a int);
-- either
create rule r as on insert to t where new.a > 0 do instead nothing;
-- or
create rule r as on insert to t where new.a > 1 do instead nothing;

---- rule: disabled => rule t.r
create table t (a int);
create rule r as on insert to t do instead nothing;
-- change
alter table t disable rule r;
-- undo
alter table t enable rule r;

---- rule: always => rule t.r
create table t (a int);
create rule r as on insert to t do instead nothing;
-- change
alter table t enable always rule r;
-- undo
alter table t enable rule r;

---- rule: comment => rule t.r
create table t (a int);
create rule r as on insert to t do instead nothing;
-- change
comment on rule r on t is 'none';
-- undo
comment on rule r on t is null;

---- rule: on a view => rule v.r
create table t (a int);
create view v as select a from t;
-- change
create rule r as on insert to v do instead insert into t values (new.a);
-- undo
drop rule r on v;

---- rule: comment on a view's own [alike]
create view v as select 1 as a;
-- change
comment on rule "_RETURN" on v is 'it';
-- undo
comment on rule "_RETURN" on v is null;

---- a policy is there => policy t.p
create table t (a int);
-- change
create policy p on t;
-- undo
drop policy p on t;

---- policy: command => policy t.p
create table t (a int);
-- either
create policy p on t for select using (true);
-- or
create policy p on t for delete using (true);

---- policy: roles => policy t.p
create table t (a int);
create policy p on t using (true);
-- change
alter policy p on t to zq_reader;
-- undo
alter policy p on t to public;

---- policy: one role more => policy t.p
create table t (a int);
create policy p on t to zq_reader using (true);
-- change
alter policy p on t to zq_reader, zq_writer;
-- undo
alter policy p on t to zq_reader;

---- policy: restrictive => policy t.p
create table t (a int);
-- either
create policy p on t using (true);
-- or
create policy p on t as restrictive using (true);

---- policy: using => policy t.p
create table t (a int);
create policy p on t using (a > 0);
-- change
alter policy p on t using (a > 1);
-- undo
alter policy p on t using (a > 0);

---- policy: check => policy t.p
create table t (a int);
create policy p on t using (a > 0);
-- change
alter policy p on t with check (a > 1);

---- policy: a function of its own schema => policy t.p
create table t (a int);
create function f() returns bool language sql as 'select true';
create function g() returns bool language sql as 'select true';
create policy p on t using (f());
-- change
alter policy p on t using (g());
-- undo
alter policy p on t using (f());

---- policy: name => policy t.p | policy t.q
create table t (a int);
create policy p on t;
-- change
alter policy p on t rename to q;
-- undo
alter policy q on t rename to p;

---- policy: comment => policy t.p
create table t (a int);
create policy p on t;
-- change
comment on policy p on t is 'who';
-- undo
comment on policy p on t is null;
---- a partition's trigger of a key is disabled [15+] => trigger p1.p_a_fkey: RI_FKey_check_ins | trigger p1.p_a_fkey: RI_FKey_check_upd
create table q (a int primary key);
create table p (a int references q) partition by list (a);
create table p1 partition of p for values in (1);
-- change
alter table p1 disable trigger all;
-- undo
alter table p1 enable trigger all;
---- partitions' triggers of keys are disabled on both sides [alike]
create table q (a int primary key) partition by list (a);
create table q1 partition of q for values in (1);
create table p (a int references q, b int references q);
alter table q1 disable trigger all;
