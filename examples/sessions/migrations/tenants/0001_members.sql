create table members (
    name text primary key
);

create table notes (
    text text primary key
);
