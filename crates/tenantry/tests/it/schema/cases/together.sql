---- everything at once: circles, parts of parts, names [alike]
create table t (a int, b text);
create function f(t) returns boolean language sql as 'select $1.a > 0';
create domain d as t check (f(value));
create function g(int) returns int language plpgsql as 'begin return {schema}.h($1 - 1); end';
create function h(int) returns int language plpgsql as 'begin return {schema}.g($1 - 1); end';
alter table t add column c int default g(3);
create type en as enum ('a', 'b');
create domain dd as en[] check (array_length(value, 1) < 3);
create table zero ();
create table c1 (id int primary key, o int); create table c2 (id int primary key, o int references c1); alter table c1 add foreign key (o) references c2 deferrable initially deferred;
create table pp (a int, b int) partition by range (a); create table pp1 partition of pp for values from (0) to (10) partition by list (b); create table pp11 partition of pp1 for values in (1); create table pp12 partition of pp1 default;
create function im(int) returns int immutable language sql as 'select $1 + 1';
create table ge (a int, b int generated always as (im(a)) stored, during tstzrange, exclude using gist (a with =, during with &&));
alter table ge enable row level security; alter table ge force row level security; create policy p on ge using (im(a) > 1);
create view v1 as select * from ge; create view v2 as select * from v1; create view v3 as select v2.a, t.b from v2 join t using (a);
create recursive view rv (n) as values (1) union all select n + 1 from rv where n < 10;
create index on pp (a); create unique index on t (lower(b), a) include (c) where a > 0;
create function tg() returns trigger language plpgsql as 'begin return new; end'; create trigger x instead of insert on v2 for each row execute function tg();
create trigger y after insert on pp referencing new table as nt for each statement execute function tg();
create table "q'u""o\te$" (" sp ace" int default '1'::text::int, "ne
wline" text default E'a\nb\\c''d'); comment on column "q'u""o\te$"." sp ace" is E'x''y\\z\n$$';
create function "f$$x"("a b" int default 3, variadic c text[] default '{}') returns table (x int, "Y" text) language sql as $_$select 1, '$$'$_$;
