create table users (
    id uuid primary key default gen_random_uuid(),
    email varchar(255) not null unique,
    name varchar(255) not null,
    active boolean not null default true,
    created_at timestamptz not null default now()
);

create table posts (
    id uuid primary key default gen_random_uuid(),
    title varchar(255) not null,
    content varchar(5000),
    author_id uuid references users (id) on delete cascade,
    created_at timestamptz not null default now()
);
