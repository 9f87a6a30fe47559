create table messages (
    id bigint primary key generated always as identity,
    text text not null check (length(text) between 1 and 1000)
);
