create table orders (
    id bigint primary key,
    amount bigint not null
);

create table invoices (
    -- A job that is run a second time writes no second invoice.
    job bigint primary key,
    total bigint not null
);
