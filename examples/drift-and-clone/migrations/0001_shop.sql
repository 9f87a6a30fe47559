create table customers (
    id bigint generated always as identity primary key,
    email text not null unique
);

create table orders (
    id bigint generated always as identity primary key,
    customer_id bigint not null references customers,
    total numeric(10,2) not null default 0
);

create index orders_customer on orders (customer_id);
