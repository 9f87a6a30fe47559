create table plans (
    id uuid primary key default gen_random_uuid(),
    name varchar(100) not null unique,
    max_users varchar(50),
    price varchar(50)
);

insert into plans (name, max_users, price)
values ('free', '3', '0'), ('team', '50', '49.00'), ('enterprise', 'unlimited', 'ask us');
