---- a sequence is there => sequence s
-- change
create sequence s;
-- undo
drop sequence s;

---- sequence: type => sequence s
create sequence s as int;
-- change
alter sequence s as bigint;
-- undo
alter sequence s as int;

---- sequence: type, with the bounds of the other => sequence s
-- either
create sequence s as int maxvalue 100;
-- or
create sequence s as bigint maxvalue 100;

---- sequence: start => sequence s
create sequence s;
-- change
alter sequence s start 100;
-- undo
alter sequence s start 1;

---- sequence: increment => sequence s
create sequence s;
-- change
alter sequence s increment 2;
-- undo
alter sequence s increment 1;

---- sequence: minimum => sequence s
create sequence s;
-- change
alter sequence s minvalue -10;
-- undo
alter sequence s no minvalue;

---- sequence: maximum => sequence s
create sequence s;
-- change
alter sequence s maxvalue 10;
-- undo
alter sequence s no maxvalue;

---- sequence: cache => sequence s
create sequence s;
-- change
alter sequence s cache 50;
-- undo
alter sequence s cache 1;

---- sequence: cycle => sequence s
create sequence s;
-- change
alter sequence s cycle;
-- undo
alter sequence s no cycle;

---- sequence: owned by a column => sequence s
create table t (a int);
create sequence s;
-- change
alter sequence s owned by t.a;
-- undo
alter sequence s owned by none;

---- sequence: owned by another column => sequence s
create table t (a int, b int);
create sequence s owned by t.a;
-- change
alter sequence s owned by t.b;
-- undo
alter sequence s owned by t.a;

---- sequence: unlogged [15+] => sequence s
create sequence s;
-- change
alter sequence s set unlogged;
-- undo
alter sequence s set logged;

---- sequence: owner => sequence s
create sequence s;
-- change
alter sequence s owner to zq_owner;
-- undo
alter sequence s owner to postgres;

---- sequence: comment => sequence s
create sequence s;
-- change
comment on sequence s is 'numbers';
-- undo
comment on sequence s is null;

---- sequence: descending => sequence s
-- either
create sequence s;
-- or
create sequence s increment -1;

---- identity: type of its sequence [alike]
create table t (a int generated always as identity);
-- change
alter sequence t_a_seq as smallint;

---- sequence: the highest value of its type, said or not [alike]
-- either
create sequence s as int;
-- or
create sequence s as int maxvalue 2147483647;

---- sequence: the lowest value of its type, descending => sequence s
-- either
create sequence s as int increment -1;
-- or
create sequence s as int increment -1 minvalue -2147483647;
