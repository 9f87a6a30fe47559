-- The last Rails migration, which some customers have not had yet.
alter table projects add archived_at timestamp(6) without time zone;
