---- an operator is there => operator ===(integer, integer)
-- change
create operator === (leftarg = int, rightarg = int, function = int4eq);
-- undo
drop operator === (int, int);

---- operator: function => operator ===(integer, integer)
-- either
create operator === (leftarg = int, rightarg = int, function = int4eq);
-- or
create operator === (leftarg = int, rightarg = int, function = int4ne);

---- operator: commutator => operator ===(integer, integer)
-- either
create operator === (leftarg = int, rightarg = int, function = int4eq);
-- or
create operator === (leftarg = int, rightarg = int, function = int4eq, commutator = ===);

---- operator: restrict => operator ===(integer, integer)
create operator === (leftarg = int, rightarg = int, function = int4eq);
-- change
alter operator === (int, int) set (restrict = eqsel);
-- undo
alter operator === (int, int) set (restrict = none);

---- operator: join => operator ===(integer, integer)
create operator === (leftarg = int, rightarg = int, function = int4eq);
-- change
alter operator === (int, int) set (join = eqjoinsel);
-- undo
alter operator === (int, int) set (join = none);

---- operator: hashes => operator ===(integer, integer)
-- either
create operator === (leftarg = int, rightarg = int, function = int4eq, commutator = ===);
-- or
create operator === (leftarg = int, rightarg = int, function = int4eq, commutator = ===, hashes);

---- operator: merges => operator ===(integer, integer)
-- either
create operator === (leftarg = int, rightarg = int, function = int4eq, commutator = ===);
-- or
create operator === (leftarg = int, rightarg = int, function = int4eq, commutator = ===, merges);

---- operator: negator => operator ===(integer, integer) | operator !==(integer, integer)
-- either
create operator === (leftarg = int, rightarg = int, function = int4eq);
create operator !== (leftarg = int, rightarg = int, function = int4ne);
-- or
create operator === (leftarg = int, rightarg = int, function = int4eq);
create operator !== (leftarg = int, rightarg = int, function = int4ne, negator = ===);

---- operator: prefix => operator !!!(NONE, integer)
-- change
create operator !!! (rightarg = int, function = int4um);
-- undo
drop operator !!! (none, int);

---- operator: owner => operator ===(integer, integer)
create operator === (leftarg = int, rightarg = int, function = int4eq);
-- change
alter operator === (int, int) owner to zq_owner;
-- undo
alter operator === (int, int) owner to postgres;

---- operator: comment => operator ===(integer, integer)
create operator === (leftarg = int, rightarg = int, function = int4eq);
-- change
comment on operator === (int, int) is 'same';
-- undo
comment on operator === (int, int) is null;

---- an operator class is there => operator_class oc using btree | operator_family oc using btree
-- change
create operator class oc for type int using btree as operator 1 <, operator 2 <=, operator 3 =, operator 4 >=, operator 5 >, function 1 btint4cmp(int, int);
-- undo
drop operator family oc using btree;

---- operator class: a member => operator_class oc using btree
-- either
create operator class oc for type int using btree as operator 1 <, operator 2 <=, operator 3 =, operator 4 >=, function 1 btint4cmp(int, int);
-- or
create operator class oc for type int using btree as operator 1 <, operator 2 <=, operator 3 =, operator 4 >=, operator 5 >, function 1 btint4cmp(int, int);

---- operator class: a function => operator_family oc using btree
-- either
create operator class oc for type int using btree as operator 1 <, operator 2 <=, operator 3 =, operator 4 >=, operator 5 >, function 1 btint4cmp(int, int);
-- or
create operator class oc for type int using btree as operator 1 <, operator 2 <=, operator 3 =, operator 4 >=, operator 5 >, function 1 btint4cmp(int, int), function 2 btint4sortsupport(internal);

---- operator class: default => operator_class oc using hash
create type e as enum ('a');
-- either
create operator class oc for type bit using hash as operator 1 =, function 1 zq_shared.hash_bit(bit);
-- or
create operator class oc default for type bit using hash as operator 1 =, function 1 zq_shared.hash_bit(bit);

---- operator class: type => operator_class oc using btree
-- either
create operator class oc for type int using btree as operator 1 <, operator 2 <=, operator 3 =, operator 4 >=, operator 5 >, function 1 btint4cmp(int, int);
-- or
create operator class oc for type int8 using btree as operator 1 <, operator 2 <=, operator 3 =, operator 4 >=, operator 5 >, function 1 btint8cmp(int8, int8);

---- operator class: storage => operator_class oc using gist
-- either
create operator class oc for type point using gist as operator 1 <<, function 1 zq_shared.consistent(internal, point, smallint, oid, internal);
-- or
create operator class oc for type point using gist as operator 1 <<, function 1 zq_shared.consistent(internal, point, smallint, oid, internal), storage box;

---- operator class: comment => operator_class oc using btree
create operator class oc for type int using btree as operator 1 <, operator 2 <=, operator 3 =, operator 4 >=, operator 5 >, function 1 btint4cmp(int, int);
-- change
comment on operator class oc using btree is 'numbers';
-- undo
comment on operator class oc using btree is null;

---- operator class: owner => operator_class oc using btree
create operator class oc for type int using btree as operator 1 <, operator 2 <=, operator 3 =, operator 4 >=, operator 5 >, function 1 btint4cmp(int, int);
-- change
alter operator class oc using btree owner to zq_owner;
-- undo
alter operator class oc using btree owner to postgres;

---- operator class: family => operator_class oc using btree
create operator family fam using btree;
create operator family fam2 using btree;
-- either
create operator class oc for type int using btree family fam as operator 1 <, operator 2 <=, operator 3 =, operator 4 >=, operator 5 >, function 1 btint4cmp(int, int);
-- or
create operator class oc for type int using btree family fam2 as operator 1 <, operator 2 <=, operator 3 =, operator 4 >=, operator 5 >, function 1 btint4cmp(int, int);

---- an operator family is there => operator_family fam using btree
-- change
create operator family fam using btree;
-- undo
drop operator family fam using btree;

---- operator family: a member => operator_family fam using btree
create operator family fam using btree;
-- change
alter operator family fam using btree add operator 1 < (int4, int8);
-- undo
alter operator family fam using btree drop operator 1 (int4, int8);

---- operator family: a function => operator_family fam using btree
create operator family fam using btree;
-- change
alter operator family fam using btree add function 1 btint48cmp(int4, int8);
-- undo
alter operator family fam using btree drop function 1 (int4, int8);

---- operator family: order by => operator_family fam using gist | operator_family sorted using btree
create operator family fam using gist;
create operator family sorted using btree;
-- either
alter operator family fam using gist add operator 15 <-> (point, point) for order by float_ops;
-- or
alter operator family fam using gist add operator 15 <-> (point, point) for order by sorted;

---- operator family: owner => operator_family fam using btree
create operator family fam using btree;
-- change
alter operator family fam using btree owner to zq_owner;
-- undo
alter operator family fam using btree owner to postgres;

---- operator family: comment => operator_family fam using btree
create operator family fam using btree;
-- change
comment on operator family fam using btree is 'numbers';
-- undo
comment on operator family fam using btree is null;

---- a collation is there => collation c
-- change
create collation c (locale = 'POSIX', provider = libc);
-- undo
drop collation c;

---- collation: locale => collation c
-- either
create collation c (locale = 'POSIX', provider = libc);
-- or
create collation c (locale = 'C', provider = libc);

---- collation: lc_ctype => collation c
-- either
create collation c (lc_collate = 'POSIX', lc_ctype = 'POSIX', provider = libc);
-- or
create collation c (lc_collate = 'POSIX', lc_ctype = 'C', provider = libc);

---- collation: provider => collation c
-- either
create collation c (locale = 'en', provider = icu);
-- or
create collation c (locale = 'C', provider = libc);

---- collation: icu's locale => collation c
-- either
create collation c (locale = 'en', provider = icu);
-- or
create collation c (locale = 'de', provider = icu);

---- collation: deterministic => collation c
-- either
create collation c (locale = 'en', provider = icu);
-- or
create collation c (locale = 'en', provider = icu, deterministic = false);

---- collation: rules [16+] => collation c
-- either
create collation c (locale = 'en', provider = icu);
-- or
create collation c (locale = 'en', provider = icu, rules = '&a < g');

---- collation: builtin provider [17+] => collation c
-- either
create collation c (locale = 'C.UTF-8', provider = builtin);
-- or
create collation c (locale = 'C', provider = builtin);

---- collation: owner => collation c
create collation c (locale = 'POSIX', provider = libc);
-- change
alter collation c owner to zq_owner;
-- undo
alter collation c owner to postgres;

---- collation: comment => collation c
create collation c (locale = 'POSIX', provider = libc);
-- change
comment on collation c is 'plain';
-- undo
comment on collation c is null;

---- a conversion is there => conversion c
-- change
create conversion c for 'LATIN1' to 'UTF8' from iso8859_1_to_utf8;
-- undo
drop conversion c;

---- conversion: default => conversion c
-- either
create conversion c for 'LATIN1' to 'UTF8' from iso8859_1_to_utf8;
-- or
create default conversion c for 'LATIN1' to 'UTF8' from iso8859_1_to_utf8;

---- conversion: encodings => conversion c
-- either
create conversion c for 'LATIN2' to 'UTF8' from iso8859_to_utf8;
-- or
create conversion c for 'LATIN3' to 'UTF8' from iso8859_to_utf8;

---- conversion: owner => conversion c
create conversion c for 'LATIN1' to 'UTF8' from iso8859_1_to_utf8;
-- change
alter conversion c owner to zq_owner;
-- undo
alter conversion c owner to postgres;

---- conversion: comment => conversion c
create conversion c for 'LATIN1' to 'UTF8' from iso8859_1_to_utf8;
-- change
comment on conversion c is 'west';
-- undo
comment on conversion c is null;

---- a text search configuration is there => text_search_configuration c
-- change
create text search configuration c (copy = simple);
-- undo
drop text search configuration c;

---- text search configuration: parser => text_search_configuration c
create text search parser p (start = prsd_start, gettoken = prsd_nexttoken, end = prsd_end, lextypes = prsd_lextype);
-- either
create text search configuration c (parser = default);
-- or
create text search configuration c (parser = p);

---- text search configuration: a mapping => text_search_configuration c
create text search configuration c (parser = default);
-- change
alter text search configuration c add mapping for word with simple;
-- undo
alter text search configuration c drop mapping for word;

---- text search configuration: a dictionary => text_search_configuration c
create text search configuration c (copy = simple);
-- change
alter text search configuration c alter mapping for word with english_stem;
-- undo
alter text search configuration c alter mapping for word with simple;

---- text search configuration: order of dictionaries => text_search_configuration c
create text search configuration c (parser = default);
-- either
alter text search configuration c add mapping for word with simple, english_stem;
-- or
alter text search configuration c add mapping for word with english_stem, simple;

---- text search configuration: owner => text_search_configuration c
create text search configuration c (copy = simple);
-- change
alter text search configuration c owner to zq_owner;
-- undo
alter text search configuration c owner to postgres;

---- text search configuration: comment => text_search_configuration c
create text search configuration c (copy = simple);
-- change
comment on text search configuration c is 'plain';
-- undo
comment on text search configuration c is null;

---- a text search dictionary is there => text_search_dictionary d
-- change
create text search dictionary d (template = simple);
-- undo
drop text search dictionary d;

---- text search dictionary: options => text_search_dictionary d
create text search dictionary d (template = simple);
-- change
alter text search dictionary d (accept = false);

---- text search dictionary: template => text_search_dictionary d
create text search template tpl (init = dsimple_init, lexize = dsimple_lexize);
-- either
create text search dictionary d (template = simple);
-- or
create text search dictionary d (template = tpl);

---- text search dictionary: owner => text_search_dictionary d
create text search dictionary d (template = simple);
-- change
alter text search dictionary d owner to zq_owner;
-- undo
alter text search dictionary d owner to postgres;

---- text search dictionary: comment => text_search_dictionary d
create text search dictionary d (template = simple);
-- change
comment on text search dictionary d is 'plain';
-- undo
comment on text search dictionary d is null;

---- a text search parser is there => text_search_parser p
-- change
create text search parser p (start = prsd_start, gettoken = prsd_nexttoken, end = prsd_end, lextypes = prsd_lextype);
-- undo
drop text search parser p;

---- text search parser: headline => text_search_parser p
-- either
create text search parser p (start = prsd_start, gettoken = prsd_nexttoken, end = prsd_end, lextypes = prsd_lextype);
-- or
create text search parser p (start = prsd_start, gettoken = prsd_nexttoken, end = prsd_end, lextypes = prsd_lextype, headline = prsd_headline);

---- text search parser: comment => text_search_parser p
create text search parser p (start = prsd_start, gettoken = prsd_nexttoken, end = prsd_end, lextypes = prsd_lextype);
-- change
comment on text search parser p is 'words';
-- undo
comment on text search parser p is null;

---- a text search template is there => text_search_template tpl
-- change
create text search template tpl (lexize = dsimple_lexize);
-- undo
drop text search template tpl;

---- text search template: init => text_search_template tpl
-- either
create text search template tpl (lexize = dsimple_lexize);
-- or
create text search template tpl (init = dsimple_init, lexize = dsimple_lexize);

---- text search template: comment => text_search_template tpl
create text search template tpl (lexize = dsimple_lexize);
-- change
comment on text search template tpl is 'plain';
-- undo
comment on text search template tpl is null;

---- statistics are there => statistics s
create table t (a int, b int);
-- change
create statistics s on a, b from t;
-- undo
drop statistics s;

---- statistics: kinds => statistics s
create table t (a int, b int);
-- either
create statistics s on a, b from t;
-- or
create statistics s (mcv) on a, b from t;

---- statistics: columns => statistics s
create table t (a int, b int, c int);
-- either
create statistics s on a, b from t;
-- or
create statistics s on a, c from t;

---- statistics: expressions => statistics s
create table t (a int, b int);
-- either
create statistics s on (a + 1), (b + 1) from t;
-- or
create statistics s on (a + 1), (b + 2) from t;

---- statistics: target => statistics s
create table t (a int, b int);
create statistics s on a, b from t;
-- change
alter statistics s set statistics 100;
-- undo
alter statistics s set statistics -1;

---- statistics: owner => statistics s
create table t (a int, b int);
create statistics s on a, b from t;
-- change
alter statistics s owner to zq_owner;
-- undo
alter statistics s owner to postgres;

---- statistics: comment => statistics s
create table t (a int, b int);
create statistics s on a, b from t;
-- change
comment on statistics s is 'both';
-- undo
comment on statistics s is null;

---- a foreign table is there => foreign_table ft
-- change
create foreign table ft (a int) server zq_server;
-- undo
drop foreign table ft;

---- foreign table: server => foreign_table ft
-- either
create foreign table ft (a int) server zq_server;
-- or
create foreign table ft (a int) server zq_server2;

---- foreign table: options => foreign_table ft
create foreign table ft (a int) server zq_server;
-- change
alter foreign table ft options (add remote 'x');
-- undo
alter foreign table ft options (drop remote);

---- foreign table: value of an option => foreign_table ft
create foreign table ft (a int) server zq_server options (remote 'x');
-- change
alter foreign table ft options (set remote 'y');
-- undo
alter foreign table ft options (set remote 'x');

---- foreign table: options of a column => column ft.a | foreign_table ft
create foreign table ft (a int) server zq_server;
-- change
alter foreign table ft alter a options (add remote 'x');
-- undo
alter foreign table ft alter a options (drop remote);

---- foreign table: default => column ft.a | foreign_table ft
create foreign table ft (a int) server zq_server;
-- change
alter foreign table ft alter a set default 1;
-- undo
alter foreign table ft alter a drop default;

---- foreign table: check => constraint ft.c
create foreign table ft (a int) server zq_server;
-- change
alter foreign table ft add constraint c check (a > 0);
-- undo
alter foreign table ft drop constraint c;

---- foreign table: as a partition => foreign_table ft
create table t (a int) partition by range (a);
create foreign table ft (a int) server zq_server;
-- change
alter table t attach partition ft for values from (0) to (10);
-- undo
alter table t detach partition ft;

---- foreign table: trigger => trigger ft.x
create foreign table ft (a int) server zq_server;
create function f() returns trigger language plpgsql as 'begin return new; end';
-- change
create trigger x before insert on ft for each row execute function f();
-- undo
drop trigger x on ft;

---- foreign table: comment => foreign_table ft
create foreign table ft (a int) server zq_server;
-- change
comment on foreign table ft is 'far';
-- undo
comment on foreign table ft is null;

---- foreign table: owner => foreign_table ft
create foreign table ft (a int) server zq_server;
-- change
alter foreign table ft owner to zq_owner;
-- undo
alter foreign table ft owner to postgres;

---- foreign table: grant => foreign_table ft
create foreign table ft (a int) server zq_server;
-- change
grant select on ft to zq_reader;
-- undo
revoke select on ft from zq_reader;
