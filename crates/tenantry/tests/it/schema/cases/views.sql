---- a view is there => view v
-- change
create view v as select 1 as a;
-- undo
drop view v;

---- view: definition => view v
create view v as select 1 as a;
-- change
create or replace view v as select 2 as a;
-- undo
create or replace view v as select 1 as a;

---- view: a column more => view v
-- either
create view v as select 1 as a;
-- or
create view v as select 1 as a, 2 as b;

---- view: select * before a column was added => view v
create table t (a int);
-- either
create view v as select * from t;
alter table t add b int;
-- or
alter table t add b int;
create view v as select * from t;

---- view: keeps the names of its columns => view v
-- either
create table t (b int);
create view v as select b from t;
-- or
create table t (a int);
create view v as select a from t;
alter table t rename a to b;

---- view: name of a column => view v | column v.a | column v.b
create view v as select 1 as a;
-- change
alter view v rename column a to b;
-- undo
alter view v rename column b to a;

---- view: security_barrier => view v
create view v as select 1 as a;
-- change
alter view v set (security_barrier);
-- undo
alter view v reset (security_barrier);

---- view: security_invoker [15+] => view v
create view v as select 1 as a;
-- change
alter view v set (security_invoker = true);
-- undo
alter view v reset (security_invoker);

---- view: local check option => view v
create table t (a int);
create view v as select a from t where a > 0;
-- change
alter view v set (check_option = local);
-- undo
alter view v reset (check_option);

---- view: local or cascaded check option => view v
create table t (a int);
create view v as select a from t where a > 0;
-- either
alter view v set (check_option = local);
-- or
alter view v set (check_option = cascaded);

---- view: default of a column => column v.a | view v
create table t (a int);
create view v as select a from t;
-- change
alter view v alter a set default 5;
-- undo
alter view v alter a drop default;

---- view: comment => view v
create view v as select 1 as a;
-- change
comment on view v is 'one';
-- undo
comment on view v is null;

---- view: comment on a column => column v.a | view v
create view v as select 1 as a;
-- change
comment on column v.a is 'one';
-- undo
comment on column v.a is null;

---- view: grant on a column => column v.a | view v
create view v as select 1 as a;
-- change
grant select (a) on v to zq_reader;
-- undo
revoke select (a) on v from zq_reader;

---- view: owner => view v
create view v as select 1 as a;
-- change
alter view v owner to zq_owner;
-- undo
alter view v owner to postgres;

---- view: recursive => view v
-- either
create view v as select 1 as n;
-- or
create recursive view v (n) as select 1 union all select n + 1 from v where n < 3;

---- view on another of two views => view w
create view v1 as select 1 as a;
create view v2 as select 1 as a;
-- either
create view w as select a from v1;
-- or
create view w as select a from v2;

---- view: a table of the shared schema or its own => view v
create table countries (id int, name text);
-- either
create view v as select id from countries;
-- or
create view v as select id from zq_shared.countries;

---- view: alias of a table => view v
create table t (a int);
-- either
create view v as select x.a from t x;
-- or
create view v as select y.a from t y;

---- view or table => view x | table x
-- either
create table x (a int);
-- or
create view x as select 1 as a;

---- view or materialized view => view x | materialized_view x
-- either
create view x as select 1 as a;
-- or
create materialized view x as select 1 as a;

---- a materialized view is there => materialized_view m
-- change
create materialized view m as select 1 as a;
-- undo
drop materialized view m;

---- materialized view: definition => materialized_view m
-- either
create materialized view m as select 1 as a;
-- or
create materialized view m as select 2 as a;

---- materialized view: options => materialized_view m
create materialized view m as select 1 as a;
-- change
alter materialized view m set (autovacuum_enabled = false);
-- undo
alter materialized view m reset (autovacuum_enabled);

---- materialized view: options of its TOAST => materialized_view m
create materialized view m as select 'x'::text as a;
-- change
alter materialized view m set (toast.autovacuum_enabled = false);
-- undo
alter materialized view m reset (toast.autovacuum_enabled);

---- materialized view: statistics target => column m.a | materialized_view m
create materialized view m as select 1 as a;
-- change
alter materialized view m alter a set statistics 44;
-- undo
alter materialized view m alter a set statistics -1;

---- materialized view: storage => column m.a | materialized_view m
create materialized view m as select 'x'::text as a;
-- change
alter materialized view m alter a set storage external;
-- undo
alter materialized view m alter a set storage extended;

---- materialized view: compression => column m.a | materialized_view m
create materialized view m as select 'x'::text as a;
-- change
alter materialized view m alter a set compression pglz;
-- undo
alter materialized view m alter a set compression default;

---- materialized view: n_distinct => column m.a | materialized_view m
create materialized view m as select 1 as a;
-- change
alter materialized view m alter a set (n_distinct = 5);
-- undo
alter materialized view m alter a reset (n_distinct);

---- materialized view: access method [15+] => materialized_view m
create materialized view m as select 1 as a;
-- change
alter materialized view m set access method zq_heap;
-- undo
alter materialized view m set access method heap;

---- materialized view: tablespace => materialized_view m
create materialized view m as select 1 as a;
-- change
alter materialized view m set tablespace zq_space;
-- undo
alter materialized view m set tablespace pg_default;

---- materialized view: comment => materialized_view m
create materialized view m as select 1 as a;
-- change
comment on materialized view m is 'one';
-- undo
comment on materialized view m is null;

---- materialized view: owner => materialized_view m
create materialized view m as select 1 as a;
-- change
alter materialized view m owner to zq_owner;
-- undo
alter materialized view m owner to postgres;

---- materialized view: grant => materialized_view m
create materialized view m as select 1 as a;
-- change
grant select on m to zq_reader;
-- undo
revoke select on m from zq_reader;
