create table subscriptions (
    id bigint primary key generated always as identity,
    email text not null unique,
    confirmed boolean not null default false
);

create table subscription_tokens (
    token text primary key default gen_random_uuid()::text,
    subscription_id bigint not null references subscriptions on delete cascade
);
