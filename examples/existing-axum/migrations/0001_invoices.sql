create table customers (
    id bigint primary key generated always as identity,
    name text not null unique
);

create table invoices (
    id bigint primary key generated always as identity,
    customer_id bigint not null references customers on delete cascade,
    currency text not null,
    paid boolean not null default false
);

create table invoice_lines (
    invoice_id bigint not null references invoices on delete cascade,
    description text not null,
    cents bigint not null check (cents > 0)
);
