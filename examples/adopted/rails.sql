-- The database of a Rails application with the gem apartment: a list of accounts in the schema public, and for each a
-- schema with the same tables and Rails' migration records.
create table public.accounts (
    id bigserial primary key,
    subdomain character varying not null unique,
    plan character varying not null,
    suspended_at timestamp(6) without time zone
);

insert into public.accounts (subdomain, plan, suspended_at)
values ('acme', 'large', null), ('globex', 'small', null), ('initech', 'small', '2024-05-01');

create function public.rails_migrate(customer text) returns void language plpgsql as $$
begin
    execute format('create schema %1$I; set local search_path to %1$I', customer);
    create table schema_migrations (version character varying not null primary key);
    create table users (
        id bigserial primary key,
        email character varying not null,
        created_at timestamp(6) without time zone not null default now()
    );
    create unique index index_users_on_email on users (email);
    create table projects (
        id bigserial primary key,
        user_id bigint not null,
        name character varying not null default '',
        constraint fk_rails_b872a6760a foreign key (user_id) references users (id)
    );
    create index index_projects_on_user_id on projects (user_id);
    insert into schema_migrations values ('20240110093000'), ('20240214101500');
    insert into users (email) select format('%s@%s.example', name, customer) from unnest(array['ada', 'grace']) as name;
    insert into projects (user_id, name) select id, 'project of ' || email from users;
end $$;

select public.rails_migrate('customer_' || id) from public.accounts order by id;
drop function public.rails_migrate;

-- The third customer has not had the last migration yet.
alter table customer_1.projects add archived_at timestamp(6) without time zone;
insert into customer_1.schema_migrations values ('20240320160000');
alter table customer_2.projects add archived_at timestamp(6) without time zone;
insert into customer_2.schema_migrations values ('20240320160000');

-- A schema that does not belong to a customer.
create schema audit;
create table audit.events (id bigserial primary key, what text not null);
