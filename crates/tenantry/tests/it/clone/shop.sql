create type {s}.mood as enum ('sad', 'ok', 'happy');
create type {s}.address as (street text, postcode varchar(10));
create type {s}.span as range (subtype = int4, multirange_type_name = {s}.spans);
create domain {s}.moods as {s}.mood[];
create domain {s}.email as text check (value ~ '@');
create function {s}.is_fine(text) returns bool immutable language sql as 'select $1 is distinct from ''bad''';
create table {s}.users (
    id bigint generated always as identity primary key,
    email {s}.email not null unique,
    name text check ({s}.is_fine(name)),
    mood {s}.mood default 'ok', moods {s}.moods, address {s}.address, spans {s}.spans,
    born date,
    lower_name text generated always as (lower(name)) stored
);
create table {s}.orders (
    id serial primary key,
    user_id bigint not null references {s}.users,
    total numeric(10,2) check (total >= 0),
    placed_in regclass default '{s}.users'::regclass, by regprocedure, home regnamespace,
    document jsonb, tags text[], picture bytea, whole {s}.users
);
create index orders_user on {s}.orders (user_id);
create table {s}.audit (at timestamptz default now(), what text, after jsonb);
create function {s}.note() returns trigger language plpgsql set search_path = {s}, pg_temp as $$
begin insert into {s}.audit (what, after) values (tg_op, to_jsonb(new)); return new; end $$;
create trigger noted after insert on {s}.users for each row execute function {s}.note();
create table {s}.folders (id int primary key, parent int references {s}.folders, name text);
create table {s}.hens (id int primary key, egg int);
create table {s}.eggs (id int primary key, hen int references {s}.hens);
alter table {s}.hens add foreign key (egg) references {s}.eggs deferrable initially deferred;
create table {s}.events (id bigint, at date not null, kind text) partition by range (at);
create table {s}.events_1 partition of {s}.events for values from ('2024-01-01') to ('2024-07-01');
create table {s}.events_2 partition of {s}.events for values from ('2024-07-01') to ('2025-01-01') partition by list (kind);
create table {s}.events_2x partition of {s}.events_2 for values in ('x');
create table {s}.events_2d partition of {s}.events_2 default;
create materialized view {s}.spent as
    select u.id, sum(o.total) as total from {s}.users u join {s}.orders o on o.user_id = u.id group by u.id;
create unique index on {s}.spent (id);
create materialized view {s}.spent_by_all as select sum(total) as total from {s}.spent;
create materialized view {s}.not_yet as select 1 as one with no data;
create table {s}.nothing ();
create unlogged table {s}.parent (a int);
create table {s}.child (b int) inherits ({s}.parent);
create function {s}.twice(int) returns int immutable language sql as 'select $1 * 2';
create function {s}.four_times(int) returns int immutable language sql as 'select {s}.twice({s}.twice($1))';
create table {s}.rooms (
    id int primary key, half int, whole int generated always as ({s}.four_times(half)) stored,
    taken int4range, exclude using gist (taken with &&)
);
create function {s}.is_whole({s}.rooms) returns bool immutable language sql as 'select ($1).half is not null';
create domain {s}.room as {s}.rooms check ({s}.is_whole(value));
create view {s}.big_rooms as select * from {s}.rooms where whole > 10;
create view {s}.big_taken_rooms as select id, taken from {s}.big_rooms where taken is not null;
create function {s}.last_room() returns int language sql begin atomic select max(id) from {s}.big_taken_rooms; end;
create sequence {s}.loose start 100 increment 5;
create table {s}._sqlx_migrations (
    version bigint primary key, description text not null, installed_on timestamptz not null default now(),
    success boolean not null, checksum bytea not null, execution_time bigint not null
);
insert into {s}._sqlx_migrations (version, description, success, checksum, execution_time) values (1, 'all', true, '\x00', 1);
insert into {s}.users (email, name, mood, moods, address, spans, born)
    select 'u' || i || '@ex.com', E'Na\\me\t' || i, 'happy', '{sad,happy}', row ('s,' || i, 'p' || i)::{s}.address, '{[1,3),[5,8)}', date '2000-01-01' + i
    from generate_series(1, 100) i;
insert into {s}.orders (user_id, total, by, home, document, tags, picture)
    select 1 + i % 100, i, '{s}.is_fine(text)'::regprocedure, '{s}'::regnamespace, jsonb_build_object('n', i), array['a', null, 'b"c'], '\x00ff'
    from generate_series(1, 500) i;
update {s}.orders o set whole = u from {s}.users u where u.id = o.user_id and o.id < 10;
insert into {s}.folders select i, nullif(i / 2, 0), 'f' || i from generate_series(1, 50) i;
begin; insert into {s}.hens values (1, 1); insert into {s}.eggs values (1, 1); commit;
insert into {s}.events select i, date '2024-01-01' + i, case when i % 2 = 0 then 'x' else 'y' end from generate_series(1, 360) i;
insert into {s}.rooms (id, half, taken) select i, i, int4range(i * 10, i * 10 + 5) from generate_series(1, 20) i;
insert into {s}.nothing select from generate_series(1, 3);
insert into {s}.parent values (1); insert into {s}.child values (2, 2);
select nextval('{s}.loose'), nextval('{s}.loose');
refresh materialized view {s}.spent; refresh materialized view {s}.spent_by_all;
alter table {s}.users enable row level security;
create policy mine on {s}.users using (id < 50);
grant select on {s}.users to public;
comment on table {s}.users is 'who buys in {name}';
comment on schema {s} is 'a shop';
