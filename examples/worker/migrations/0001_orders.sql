create table orders (
    id bigint primary key generated always as identity,
    amount bigint not null
);

create table invoices (
    order_id bigint primary key references orders,
    total bigint not null check (total > 0)
);

-- One job per order: write its invoice.
create table jobs (
    order_id bigint primary key references orders,
    attempts integer not null default 0,
    run_at timestamptz not null default now(),
    done_at timestamptz,
    error text
);

create index jobs_open on jobs (run_at) where done_at is null and attempts < 3;
