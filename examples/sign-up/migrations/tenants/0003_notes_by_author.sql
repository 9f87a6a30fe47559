create index on notes (author_id);
