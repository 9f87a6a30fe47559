create table authors (
    id bigint generated always as identity primary key,
    name text not null unique
);

alter table notes add author_id bigint references authors (id);
