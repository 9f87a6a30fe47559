---- tables that refer to one another become logged
-- either
create table p (id int primary key);
create table a (id int references p);
-- or
create unlogged table p (id int primary key);
create unlogged table a (id int references p);
insert into p values (1);
insert into a values (1);
-- check
select count(*) = 1 from a

---- tables that refer to one another become unlogged
-- either
create unlogged table p (id int primary key);
create unlogged table a (id int references p);
-- or
create table p (id int primary key);
create table a (id int references p);
insert into p values (1);
insert into a values (1);
-- check
select count(*) = 1 from a

---- the type of a typed table has a field too many
-- either
create type ty as (a int, b text);
create table t of ty;
-- or
create type ty as (a int, b text, c int);
create table t of ty;
insert into t values (1, 'x', 2);
-- check
select b = 'x' from t

---- the type of a typed table lacks a field
-- either
create type ty as (a int, b text);
create table t of ty;
-- or
create type ty as (a int);
create table t of ty;
insert into t values (1);
-- check
select a = 1 from t
