-- Each tenant has few notes, so building the index takes little time.
-- tenantry: allow(index_not_concurrent)
create index on notes (author_id);
