create schema if not exists tenant_acme;
create schema if not exists tenant_globex;
create schema if not exists tenant_initech;
create schema if not exists tenant_hooli;

-- All tenants are active again when the program is run once more.
insert into tenants (id)
values ('acme'), ('globex'), ('initech'), ('hooli')
on conflict (id) do update set state = 'active';

create table if not exists jobs (
    id bigint primary key generated always as identity,
    -- Not a reference to tenants: a job outlives its tenant, and fails.
    tenant text not null,
    state text not null default 'queued' check (state in ('queued', 'running', 'done', 'failed')),
    attempts integer not null default 0,
    claimed_at timestamptz,
    error text
);

create index if not exists jobs_open on jobs (id) where state in ('queued', 'running');
