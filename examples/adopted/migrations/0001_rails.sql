-- The schema at the time of adoption.
set local check_function_bodies = off;
create sequence projects_id_seq;
create sequence users_id_seq;
create table projects (
    id bigint not null default nextval('projects_id_seq'::regclass),
    user_id bigint not null,
    name character varying not null default ''::character varying
);
create table schema_migrations (
    version character varying not null
);
create table users (
    id bigint not null default nextval('users_id_seq'::regclass),
    email character varying not null,
    created_at timestamp(6) without time zone not null default now()
);
alter table only projects add constraint projects_pkey PRIMARY KEY (id);
alter table only schema_migrations add constraint schema_migrations_pkey PRIMARY KEY (version);
alter table only users add constraint users_pkey PRIMARY KEY (id);
create index index_projects_on_user_id on projects USING btree (user_id);
create unique index index_users_on_email on users USING btree (email);
alter table projects add constraint fk_rails_b872a6760a FOREIGN KEY (user_id) REFERENCES users(id);
alter sequence projects_id_seq owned by projects.id;
alter sequence users_id_seq owned by users.id;
