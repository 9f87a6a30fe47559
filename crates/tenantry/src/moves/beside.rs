//! What a tenant's own database has besides the schema that is moved.

/// What a database has besides a schema: other schemas with objects that belong to no extension, large objects, event
/// triggers and settings. Parameters: the schema, and that of the records of moves.
pub(super) const BESIDE: &str = "\
    select \
      (select pg_catalog.string_agg(n.nspname::pg_catalog.text, ', ' order by n.nspname) from pg_catalog.pg_namespace n \
        where n.nspname operator(pg_catalog.<>) all (array[$1, $2, 'information_schema']::pg_catalog.name[]) \
          and not pg_catalog.starts_with(n.nspname::pg_catalog.text, 'pg_') \
          and (exists (select from pg_catalog.pg_class c where c.relnamespace operator(pg_catalog.=) n.oid \
            and not exists (select from pg_catalog.pg_depend d where d.objid operator(pg_catalog.=) c.oid \
              and d.classid operator(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass \
              and d.deptype operator(pg_catalog.=) any (array['e', 'i', 'a']::pg_catalog.\"char\"[]))) \
          or exists (select from pg_catalog.pg_proc p where p.pronamespace operator(pg_catalog.=) n.oid \
            and not exists (select from pg_catalog.pg_depend d where d.objid operator(pg_catalog.=) p.oid \
              and d.classid operator(pg_catalog.=) 'pg_catalog.pg_proc'::pg_catalog.regclass \
              and d.deptype operator(pg_catalog.=) 'e')))), \
      (select case when pg_catalog.count(*) operator(pg_catalog.>) 0 then pg_catalog.count(*)::pg_catalog.text end \
        from pg_catalog.pg_largeobject_metadata), \
      (select pg_catalog.string_agg(e.evtname::pg_catalog.text, ', ' order by e.evtname) from pg_catalog.pg_event_trigger e), \
      (select pg_catalog.string_agg(s.name, ', ' order by s.name) from pg_catalog.pg_db_role_setting r \
        join pg_catalog.pg_database d on d.oid operator(pg_catalog.=) r.setdatabase \
          and d.datname operator(pg_catalog.=) pg_catalog.current_database() \
        cross join lateral pg_catalog.unnest(r.setconfig) as s (name))";
