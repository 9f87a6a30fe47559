create table jobs (
    id bigint primary key generated always as identity,
    -- Not a reference to tenants: a job outlives its tenant, and fails.
    tenant text not null,
    state text not null default 'queued' check (state in ('queued', 'running', 'done', 'failed')),
    attempts integer not null default 0,
    claimed_at timestamptz,
    error text
);

create index jobs_open on jobs (id) where state in ('queued', 'running');
