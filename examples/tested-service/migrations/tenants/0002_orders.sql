create table orders (
    id bigint generated always as identity primary key,
    customer_id bigint not null references customers (id),
    item text not null,
    quantity int not null check (quantity > 0)
);

create index orders_customer_id on orders (customer_id);
