-- A small shop: what the kit's tests and its documentation work on.
create type state as enum ('open', 'paid');

create table users (
    id bigint generated always as identity primary key,
    name text not null,
    email varchar(80) unique,
    created_at timestamptz not null default now()
);

create table orders (
    id bigserial primary key,
    user_id bigint not null references users,
    state state not null default 'open',
    note text
);

create table items (
    order_id bigint not null references orders,
    line int not null,
    sku uuid not null,
    amount numeric(8, 2) not null check (amount < 100000),
    tags text[] not null default '{}',
    details jsonb,
    primary key (order_id, line)
);
