create table notes (
    id bigint primary key generated always as identity,
    text text not null unique check (text <> '')
);
