alter table customers add column name text not null default '', add column phone text;

create table messages (
    id bigint generated always as identity primary key,
    customer_id bigint not null references customers,
    body jsonb not null
);

create index messages_customer on messages (customer_id);
