create schema {s}; set search_path = {s}, public;
create table people (
    id int generated always as identity primary key,
    email varchar(60) not null unique check (email like '%_@_%._%'),
    name text not null, phone text, born date, height numeric(4,1), salary int,
    code varchar(12) unique, note text, avatar bytea, ip inet,
    label text generated always as (name || ' <' || email || '>') stored
);
create table logins (email varchar(60) primary key references people (email), last timestamptz, token uuid);
create table letters (id serial primary key, recipient varchar(60) not null references people (email), cc text[], body text);
create table sessions (id serial primary key, email varchar(60) references logins (email), started date, ended date, person int references people);
create table documents (id serial primary key, owner int references people, content jsonb, raw json);
create type contact as (kind text, value text);
create table contacts (id serial primary key, person int references people, main contact, others contact[]);
create table audit (id serial primary key, at timestamptz default now(), old_row jsonb, new_row jsonb);
create domain tag as text check (value !~ '@');
create table plans (id int primary key, title text, label tag);
create function note() returns trigger language plpgsql as $$
begin insert into {s}.audit (old_row, new_row) values (case when tg_op = 'UPDATE' then to_jsonb(old) end, to_jsonb(new)); return new; end $$;
create trigger noted after insert or update on people for each row execute function note();
create materialized view directory as select name, email, phone from people;
create view adults as select * from people where born < now() - interval '18 years';
create index on people (lower(email));
insert into people (email, name, phone, born, height, salary, code, note, avatar, ip)
    select 'person.number' || i || '@personal-' || i % 7 || '.org', 'Xaver' || i || ' Quillon' || i, '+49 30 ' || (5550000 + i), date '1950-01-01' + i * 30,
        150 + i % 50, 30000 + i * 7, 'C' || (100000 + i), 'met Xaver' || i || ' Quillon' || i || ' at the fair', convert_to('portrait-' || i, 'UTF8'), ('10.1.' || i % 200 || '.' || i % 250)::inet
    from generate_series(1, {rows}) i;
update people set salary = salary + 1 where id % 10 = 0;
insert into logins select email, now() - id * interval '1 hour', md5(email)::uuid from people;
insert into letters (recipient, cc, body) select email, array[email, 'person.number' || 1 + id % 9 || '@personal-' || (1 + id % 9) % 7 || '.org', null], 'Dear ' || name || E',\nyour phone is ' || phone from people;
insert into sessions (email, started, ended, person) select email, date '2024-01-01' + id % 300, date '2024-01-03' + id % 300, id from people;
insert into documents (owner, content, raw) select id, jsonb_build_object('contact', jsonb_build_object('email', email, 'phones', jsonb_build_array(phone, 'none')), 'n', id), json_build_object('name', name) from people;
insert into contacts (person, main, others) select id, ('email', email)::contact, array[('phone', phone)::contact, ('email', email)::contact] from people;
insert into plans values (1, 'basic plan'), (2, 'gold plan');
