---- a function is there => function f()
-- change
create function f() returns int language sql as 'select 1';
-- undo
drop function f();

---- function: one more of the same name => function f(integer)
create function f() returns int language sql as 'select 1';
-- change
create function f(int) returns int language sql as 'select 1';
-- undo
drop function f(int);

---- function: body => function f()
create function f() returns int language sql as 'select 1';
-- change
create or replace function f() returns int language sql as 'select 2';
-- undo
create or replace function f() returns int language sql as 'select 1';

---- function: body to the last blank => function f()
create function f() returns int language sql as 'select 1';
-- change
create or replace function f() returns int language sql as 'select 1 ';
-- undo
create or replace function f() returns int language sql as 'select 1';

---- function: case of the body => function f()
create function f() returns int language sql as 'select 1';
-- change
create or replace function f() returns int language sql as 'SELECT 1';

---- function: a newline of the body => function f()
create function f() returns int language plpgsql as E'begin return 1; end';
-- change
create or replace function f() returns int language plpgsql as E'begin\n return 1; end';

---- function: line ends of the body => function f()
create function f() returns int language plpgsql as E'begin\n return 1; end';
-- change
create or replace function f() returns int language plpgsql as E'begin\r\n return 1; end';

---- function: dollars in the body => function f()
create function f() returns text language sql as 'select ''$$''';
-- change
create or replace function f() returns text language sql as 'select ''$_$''';

---- function: language => function f()
-- either
create function f() returns int language sql as 'select 1';
-- or
set local check_function_bodies = off;
create function f() returns int language plpgsql as 'select 1';

---- function: volatility => function f()
create function f() returns int language sql as 'select 1';
-- change
alter function f() stable;
-- undo
alter function f() volatile;

---- function: immutable => function f()
create function f() returns int language sql stable as 'select 1';
-- change
alter function f() immutable;
-- undo
alter function f() stable;

---- function: parallel => function f()
create function f() returns int language sql as 'select 1';
-- change
alter function f() parallel safe;
-- undo
alter function f() parallel unsafe;

---- function: parallel restricted => function f()
create function f() returns int language sql parallel safe as 'select 1';
-- change
alter function f() parallel restricted;
-- undo
alter function f() parallel safe;

---- function: strict => function f(integer)
create function f(int) returns int language sql as 'select 1';
-- change
alter function f(int) strict;
-- undo
alter function f(int) called on null input;

---- function: leakproof => function f()
create function f() returns int language sql as 'select 1';
-- change
alter function f() leakproof;
-- undo
alter function f() not leakproof;

---- function: security definer => function f()
create function f() returns int language sql as 'select 1';
-- change
alter function f() security definer;
-- undo
alter function f() security invoker;

---- function: cost => function f()
create function f() returns int language sql as 'select 1';
-- change
alter function f() cost 5;
-- undo
alter function f() cost 100;

---- function: rows => function f()
create function f() returns setof int language sql as 'select 1';
-- change
alter function f() rows 5;
-- undo
alter function f() rows 1000;

---- function: support function => function f(integer)
create function f(int) returns setof int language sql as 'select 1';
-- change
alter function f(int) support generate_series_int4_support;

---- function: a setting => function f()
create function f() returns int language sql as 'select 1';
-- change
alter function f() set work_mem = '64MB';
-- undo
alter function f() reset work_mem;

---- function: search_path => function f()
create function f() returns int language sql as 'select 1';
-- change
alter function f() set search_path = pg_catalog, pg_temp;
-- undo
alter function f() reset search_path;

---- function: an empty search_path => function f()
create function f() returns int language sql as 'select 1';
-- change
alter function f() set search_path = '';
-- undo
alter function f() reset search_path;

---- function: order of the search_path => function f()
create function f() returns int language sql set search_path = pg_catalog, public as 'select 1';
-- change
alter function f() set search_path = public, pg_catalog;

---- function: order of settings => function f()
-- either
create function f() returns int language sql set work_mem = '1MB' set enable_sort = off as 'select 1';
-- or
create function f() returns int language sql set enable_sort = off set work_mem = '1MB' as 'select 1';

---- function: name of an argument => function f(integer) | function f(a integer) | function f(b integer)
-- either
create function f(a int) returns int language sql as 'select 1';
-- or
create function f(b int) returns int language sql as 'select 1';

---- function: mode of an argument => function f(integer) | function f(INOUT a integer) | function f()
-- either
create function f(a int) returns int language sql as 'select 1';
-- or
create function f(inout a int) returns int language sql as 'select 1';

---- function: default of an argument => function f(integer)
create function f(a int) returns int language sql as 'select 1';
-- change
create or replace function f(a int default 3) returns int language sql as 'select 1';

---- function: variadic => function f(integer[])
-- either
create function f(a int[]) returns int language sql as 'select 1';
-- or
create function f(variadic a int[]) returns int language sql as 'select 1';

---- function: result => function f()
-- either
create function f() returns int language sql as 'select 1';
-- or
create function f() returns bigint language sql as 'select 1::bigint';

---- function: result or set of it => function f()
-- either
create function f() returns int language sql as 'select 1';
-- or
create function f() returns setof int language sql as 'select 1';

---- function: table or set of records => function f()
-- either
create function f() returns table (a int, b int) language sql as 'select 1, 2';
-- or
create function f(out a int, out b int) returns setof record language sql as 'select 1, 2';

---- function: name of a result's column => function f()
-- either
create function f() returns table (a int) language sql as 'select 1';
-- or
create function f() returns table (b int) language sql as 'select 1';

---- function: begin atomic => function f()
create table t (a int);
create function f() returns bigint begin atomic select count(*) from t; end;
-- change
create or replace function f() returns bigint begin atomic select count(a) from t; end;
-- undo
create or replace function f() returns bigint begin atomic select count(*) from t; end;

---- function: begin atomic or text => function f()
-- either
create function f() returns int language sql as 'select 1';
-- or
create function f() returns int begin atomic select 1; end;

---- function: return => function f(integer)
create function f(a int) returns int return a + 1;
-- change
create or replace function f(a int) returns int return a + 2;

---- function: C's name and library => function f(double precision)
-- either
create function f(float8) returns float8 language internal strict immutable as 'dsin';
-- or
create function f(float8) returns float8 language internal strict immutable as 'dcos';

---- function: transform => function f(zq_shared.mood)
-- either
create function f(zq_shared.mood) returns int language sql as 'select 1';
-- or
create function f(zq_shared.mood) returns int language sql transform for type zq_shared.mood as 'select 1';

---- function: owner => function f()
create function f() returns int language sql as 'select 1';
-- change
alter function f() owner to zq_owner;
-- undo
alter function f() owner to postgres;

---- function: grant => function f()
create function f() returns int language sql as 'select 1';
-- change
grant execute on function f() to zq_reader;
-- undo
revoke execute on function f() from zq_reader;

---- function: not for everybody => function f()
create function f() returns int language sql as 'select 1';
-- change
revoke execute on function f() from public;
-- undo
grant execute on function f() to public;

---- function: comment => function f()
create function f() returns int language sql as 'select 1';
-- change
comment on function f() is 'one';
-- undo
comment on function f() is null;

---- function: kind => function f() | procedure f()
-- either
create function f() returns void language sql as 'select 1';
-- or
create procedure f() language sql as 'select 1';

---- a window function is there => function f()
-- change
create function f() returns bigint language internal window immutable as 'window_row_number';
-- undo
drop function f();

---- window or not => function f()
-- either
create function f() returns bigint language internal immutable as 'window_row_number';
-- or
create function f() returns bigint language internal window immutable as 'window_row_number';

---- a procedure is there => procedure p(integer)
-- change
create procedure p(a int) language sql as 'select 1';
-- undo
drop procedure p(int);

---- procedure: body => procedure p(integer)
create procedure p(a int) language sql as 'select 1';
-- change
create or replace procedure p(a int) language sql as 'select 2';

---- procedure: security definer => procedure p()
create procedure p() language sql as 'select 1';
-- change
alter procedure p() security definer;
-- undo
alter procedure p() security invoker;

---- procedure: grant => procedure p()
create procedure p() language sql as 'select 1';
-- change
grant execute on procedure p() to zq_reader;
-- undo
revoke execute on procedure p() from zq_reader;

---- procedure: comment => procedure p()
create procedure p() language sql as 'select 1';
-- change
comment on procedure p() is 'one';
-- undo
comment on procedure p() is null;

---- an aggregate is there => aggregate total(integer)
-- change
create aggregate total(int) (sfunc = int4pl, stype = int);
-- undo
drop aggregate total(int);

---- aggregate: initial value => aggregate total(integer)
-- either
create aggregate total(int) (sfunc = int4pl, stype = int);
-- or
create aggregate total(int) (sfunc = int4pl, stype = int, initcond = '0');

---- aggregate: an empty initial value or none => aggregate total(text)
-- either
create aggregate total(text) (sfunc = textcat, stype = text);
-- or
create aggregate total(text) (sfunc = textcat, stype = text, initcond = '');

---- aggregate: transition function => aggregate total(integer)
-- either
create aggregate total(int) (sfunc = int4pl, stype = int);
-- or
create aggregate total(int) (sfunc = int4mul, stype = int);

---- aggregate: final function => aggregate total(double precision)
-- either
create aggregate total(float8) (sfunc = float8_accum, stype = float8[], initcond = '{0,0,0}');
-- or
create aggregate total(float8) (sfunc = float8_accum, stype = float8[], finalfunc = float8_avg, initcond = '{0,0,0}');

---- aggregate: final function's extra arguments, modify => aggregate total(double precision)
-- either
create aggregate total(float8) (sfunc = float8_accum, stype = float8[], finalfunc = float8_avg, initcond = '{0,0,0}');
-- or
create aggregate total(float8) (sfunc = float8_accum, stype = float8[], finalfunc = float8_avg, finalfunc_modify = shareable, initcond = '{0,0,0}');

---- aggregate: combine function => aggregate total(integer)
-- either
create aggregate total(int) (sfunc = int4pl, stype = int);
-- or
create aggregate total(int) (sfunc = int4pl, stype = int, combinefunc = int4pl);

---- aggregate: space => aggregate total(integer)
-- either
create aggregate total(int) (sfunc = int4pl, stype = int);
-- or
create aggregate total(int) (sfunc = int4pl, stype = int, sspace = 100);

---- aggregate: sort operator => aggregate highest(integer)
-- either
create aggregate highest(int) (sfunc = int4larger, stype = int);
-- or
create aggregate highest(int) (sfunc = int4larger, stype = int, sortop = >);

---- aggregate: moving => aggregate total(integer)
-- either
create aggregate total(int) (sfunc = int4pl, stype = int);
-- or
create aggregate total(int) (sfunc = int4pl, stype = int, msfunc = int4pl, minvfunc = int4mi, mstype = int);

---- aggregate: moving, initial value => aggregate total(integer)
-- either
create aggregate total(int) (sfunc = int4pl, stype = int, msfunc = int4pl, minvfunc = int4mi, mstype = int);
-- or
create aggregate total(int) (sfunc = int4pl, stype = int, msfunc = int4pl, minvfunc = int4mi, mstype = int, minitcond = '0');

---- aggregate: parallel => aggregate total(integer)
-- either
create aggregate total(int) (sfunc = int4pl, stype = int);
-- or
create aggregate total(int) (sfunc = int4pl, stype = int, parallel = safe);

---- aggregate: serial functions => aggregate total(bigint)
-- either
create aggregate total(int8) (sfunc = int8_avg_accum, stype = internal, finalfunc = numeric_poly_sum, combinefunc = int8_avg_combine);
-- or
create aggregate total(int8) (sfunc = int8_avg_accum, stype = internal, finalfunc = numeric_poly_sum, combinefunc = int8_avg_combine, serialfunc = int8_avg_serialize, deserialfunc = int8_avg_deserialize);

---- aggregate: hypothetical => aggregate my_rank("any")
-- change
create aggregate my_rank(variadic "any" order by variadic "any") (stype = internal, sfunc = ordered_set_transition_multi, finalfunc = rank_final, finalfunc_extra, hypothetical);
-- undo
drop aggregate my_rank(variadic "any" order by variadic "any");

---- aggregate: ordered set, its direct arguments => aggregate middle(double precision, double precision)
-- change
create aggregate middle(float8 order by float8) (stype = internal, sfunc = ordered_set_transition, finalfunc = percentile_cont_float8_final);
-- undo
drop aggregate middle(float8 order by float8);

---- aggregate: a transition function of its own schema => aggregate total(integer)
create function f(int, int) returns int language sql as 'select 1';
create function g(int, int) returns int language sql as 'select 1';
-- either
create aggregate total(int) (sfunc = f, stype = int);
-- or
create aggregate total(int) (sfunc = g, stype = int);

---- aggregate: owner => aggregate total(integer)
create aggregate total(int) (sfunc = int4pl, stype = int);
-- change
alter aggregate total(int) owner to zq_owner;
-- undo
alter aggregate total(int) owner to postgres;

---- aggregate: grant => aggregate total(integer)
create aggregate total(int) (sfunc = int4pl, stype = int);
-- change
revoke execute on function total(int) from public;
-- undo
grant execute on function total(int) to public;

---- aggregate: comment => aggregate total(integer)
create aggregate total(int) (sfunc = int4pl, stype = int);
-- change
comment on aggregate total(int) is 'sum';
-- undo
comment on aggregate total(int) is null;
