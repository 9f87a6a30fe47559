create table plans (name text primary key);
insert into plans values ('free'), ('pro');
