create table notes (
    text text primary key
);

insert into notes values ('a first note');
