create table if not exists members (
    name text primary key
);

create table if not exists notes (
    text text primary key
);
