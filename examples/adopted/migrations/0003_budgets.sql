-- The first one that is new.
create table budgets (
    project_id bigint primary key references projects on delete cascade,
    cents bigint not null check (cents >= 0)
);
