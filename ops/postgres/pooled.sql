-- The user of the pooler in transaction mode. Its own search path has no tables, so that a statement
-- that is bound to no tenant finds none. It may do what the owner of the tables may.
create role pooled login password 'pooled' in role app;
alter role pooled set search_path to pg_catalog;
