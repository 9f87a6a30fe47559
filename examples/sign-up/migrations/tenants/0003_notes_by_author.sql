-- A tenant has few notes: the index is built at once.
-- tenantry: allow(index_not_concurrent)
create index on notes (author_id);
