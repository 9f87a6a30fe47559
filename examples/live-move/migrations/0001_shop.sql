create table customers (
    id bigint primary key generated always as identity,
    name text not null,
    orders bigint not null default 0
);

create table orders (
    id bigint primary key generated always as identity,
    customer_id bigint not null references customers,
    placed_at timestamptz not null default now()
);

create index orders_customer on orders (customer_id);

create table items (
    id bigint primary key generated always as identity,
    order_id bigint not null references orders,
    what text not null
);

create index items_order on items (order_id);

-- A shop that exists for some time.
insert into customers (name)
select 'customer ' || n from generate_series(1, 1000) n;

insert into orders (customer_id)
select n % 1000 + 1 from generate_series(1, 20000) n;

insert into items (order_id, what)
select n % 20000 + 1, repeat('something to buy ', 5) from generate_series(1, 60000) n;
