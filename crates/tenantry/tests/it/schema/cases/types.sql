---- an enum is there => type e
-- change
create type e as enum ('a', 'b');
-- undo
drop type e;

---- enum: one value more => type e
create type e as enum ('a', 'b');
-- change
alter type e add value 'c';

---- enum: order => type e
-- either
create type e as enum ('a', 'b', 'c');
-- or
create type e as enum ('a', 'c', 'b');

---- enum: a value in the middle => type e
create type e as enum ('a', 'c');
-- either
alter type e add value 'b' before 'c';
-- or
alter type e add value 'b';

---- enum: name of a value => type e
create type e as enum ('a', 'b');
-- change
alter type e rename value 'b' to 'B';
-- undo
alter type e rename value 'B' to 'b';

---- enum: without values => type e
-- either
create type e as enum ();
-- or
create type e as enum ('a');

---- enum: owner => type e
create type e as enum ('a');
-- change
alter type e owner to zq_owner;
-- undo
alter type e owner to postgres;

---- enum: comment => type e
create type e as enum ('a');
-- change
comment on type e is 'one';
-- undo
comment on type e is null;

---- enum: grant => type e
create type e as enum ('a');
-- change
grant usage on type e to zq_reader;
-- undo
revoke usage on type e from zq_reader;

---- enum: not for everybody => type e
create type e as enum ('a');
-- change
revoke usage on type e from public;
-- undo
grant usage on type e to public;

---- a composite is there => type c
-- change
create type c as (a int, b text);
-- undo
drop type c;

---- composite: one attribute more => type c | column c.b
create type c as (a int);
-- change
alter type c add attribute b int;
-- undo
alter type c drop attribute b;

---- composite: type of an attribute => type c | column c.a
create type c as (a int);
-- change
alter type c alter attribute a type bigint;
-- undo
alter type c alter attribute a type int;

---- composite: order => type c | column c.a | column c.b
-- either
create type c as (a int, b int);
-- or
create type c as (b int, a int);

---- composite: collation => type c | column c.a
-- either
create type c as (a text);
-- or
create type c as (a text collate "POSIX");

---- composite: comment => type c
create type c as (a int);
-- change
comment on type c is 'one';
-- undo
comment on type c is null;

---- composite: comment on an attribute => type c | column c.a
create type c as (a int);
-- change
comment on column c.a is 'one';
-- undo
comment on column c.a is null;

---- a domain is there => domain d
-- change
create domain d as int;
-- undo
drop domain d;

---- domain: base => domain d
-- either
create domain d as int;
-- or
create domain d as bigint;

---- domain: length of the base => domain d
-- either
create domain d as varchar(10);
-- or
create domain d as varchar(20);

---- domain: default => domain d
create domain d as int;
-- change
alter domain d set default 1;
-- undo
alter domain d drop default;

---- domain: not null => domain d
create domain d as int;
-- change
alter domain d set not null;
-- undo
alter domain d drop not null;

---- domain: not null: name [18+] => domain d
create domain d as int;
-- either
alter domain d add constraint d_not_null not null;
-- or
alter domain d add constraint nn not null;

---- domain: collation => domain d
-- either
create domain d as text;
-- or
create domain d as text collate "POSIX";

---- domain: check => domain d | constraint d.c
create domain d as int;
-- change
alter domain d add constraint c check (value > 0);
-- undo
alter domain d drop constraint c;

---- domain: expression of a check => domain d | constraint d.c
-- either
create domain d as int constraint c check (value > 0);
-- or
create domain d as int constraint c check (value > 1);

---- domain: name of a check => domain d | constraint d.c | constraint d.k
create domain d as int constraint c check (value > 0);
-- change
alter domain d rename constraint c to k;
-- undo
alter domain d rename constraint k to c;

---- domain: a check that is not valid => domain d | constraint d.c
create domain d as int;
-- either
alter domain d add constraint c check (value > 0);
-- or
alter domain d add constraint c check (value > 0) not valid;

---- domain: comment on a check => domain d | constraint d.c
create domain d as int constraint c check (value > 0);
-- change
comment on constraint c on domain d is 'positive';
-- undo
comment on constraint c on domain d is null;

---- domain: over another type of its own schema => domain d
create type e1 as enum ('a');
create type e2 as enum ('a');
-- either
create domain d as e1;
-- or
create domain d as e2[];

---- domain: comment => domain d
create domain d as int;
-- change
comment on domain d is 'one';
-- undo
comment on domain d is null;

---- domain: owner => domain d
create domain d as int;
-- change
alter domain d owner to zq_owner;
-- undo
alter domain d owner to postgres;

---- domain: grant => domain d
create domain d as int;
-- change
grant usage on domain d to zq_reader;
-- undo
revoke usage on domain d from zq_reader;

---- a range is there => type r
-- change
create type r as range (subtype = float8);
-- undo
drop type r;

---- range: subtype => type r
-- either
create type r as range (subtype = float8);
-- or
create type r as range (subtype = float4);

---- range: subtype_diff => type r
-- either
create type r as range (subtype = float8);
-- or
create type r as range (subtype = float8, subtype_diff = float8mi);

---- range: collation => type r
-- either
create type r as range (subtype = text);
-- or
create type r as range (subtype = text, collation = "POSIX");

---- range: opclass => type r
-- either
create type r as range (subtype = text);
-- or
create type r as range (subtype = text, subtype_opclass = text_pattern_ops);

---- range: name of its multirange => type r
-- either
create type r as range (subtype = float8);
-- or
create type r as range (subtype = float8, multirange_type_name = many);

---- range: comment => type r
create type r as range (subtype = float8);
-- change
comment on type r is 'one';
-- undo
comment on type r is null;

---- a shell type is there => type s
-- change
create type s;
-- undo
drop type s;

---- a base type is there => type b | function b_in(cstring) | function b_out(b)
-- change
create type b;
create function b_in(cstring) returns b language internal immutable strict as 'int4in';
create function b_out(b) returns cstring language internal immutable strict as 'int4out';
create type b (input = b_in, output = b_out, internallength = 4, passedbyvalue);
-- undo
drop type b cascade;

---- base type: category => type b
create type b;
create function b_in(cstring) returns b language internal immutable strict as 'int4in';
create function b_out(b) returns cstring language internal immutable strict as 'int4out';
-- either
create type b (input = b_in, output = b_out, internallength = 4, passedbyvalue);
-- or
create type b (input = b_in, output = b_out, internallength = 4, passedbyvalue, category = 'N', preferred = true);

---- base type: default => type b
create type b;
create function b_in(cstring) returns b language internal immutable strict as 'int4in';
create function b_out(b) returns cstring language internal immutable strict as 'int4out';
-- either
create type b (input = b_in, output = b_out, internallength = 4, passedbyvalue);
-- or
create type b (input = b_in, output = b_out, internallength = 4, passedbyvalue, default = '7');

---- base type: delimiter => type b
create type b;
create function b_in(cstring) returns b language internal immutable strict as 'int4in';
create function b_out(b) returns cstring language internal immutable strict as 'int4out';
-- either
create type b (input = b_in, output = b_out, internallength = 4, passedbyvalue);
-- or
create type b (input = b_in, output = b_out, internallength = 4, passedbyvalue, delimiter = ';');

---- base type: storage => type b
create type b;
create function b_in(cstring) returns b language internal immutable strict as 'textin';
create function b_out(b) returns cstring language internal immutable strict as 'textout';
-- either
create type b (input = b_in, output = b_out);
-- or
create type b (input = b_in, output = b_out, storage = extended);

---- base type: alignment => type b
create type b;
create function b_in(cstring) returns b language internal immutable strict as 'textin';
create function b_out(b) returns cstring language internal immutable strict as 'textout';
-- either
create type b (input = b_in, output = b_out);
-- or
create type b (input = b_in, output = b_out, alignment = double);

---- base type: collatable => type b
create type b;
create function b_in(cstring) returns b language internal immutable strict as 'textin';
create function b_out(b) returns cstring language internal immutable strict as 'textout';
-- either
create type b (input = b_in, output = b_out);
-- or
create type b (input = b_in, output = b_out, collatable = true);

---- type: name => type e | type f
create type e as enum ('a');
-- change
alter type e rename to f;
-- undo
alter type f rename to e;

---- domain or type => domain d | type d
-- either
create domain d as int;
-- or
create type d as enum ('a');
