-- The first migration that Rails does not have.
create table budgets (
    project_id bigint primary key references projects on delete cascade,
    cents bigint not null check (cents >= 0)
);
