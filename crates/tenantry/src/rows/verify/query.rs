//! The statement that reads everything about the tables that hold the rows of all tenants.

/// Parameters: the schema, the tenant column, the roles of tenants' sessions, whether logins are
/// among them, the tables that belong to no tenant, and the logins of dedicated tenants.
///
/// The answer is a [`Facts`](super::facts::Facts).
///
/// A superuser counts as able to become itself only: that is reported anyway. Expressions are
/// printed with the search path of the library's sessions, so a name without a schema is one of
/// `pg_catalog`.
pub(super) const FACTS: &str = "\
    with recursive base as materialized ( \
      select r.oid, r.rolname::pg_catalog.text as name, r.rolsuper, \
        r.rolname::pg_catalog.text operator(pg_catalog.=) any ($3::pg_catalog.text[]) or $4 as bound \
      from pg_catalog.pg_roles r \
      where r.rolname::pg_catalog.text operator(pg_catalog.=) any ($3::pg_catalog.text[]) \
      or r.rolname operator(pg_catalog.=) session_user \
      or r.rolname::pg_catalog.text operator(pg_catalog.=) any ($6::pg_catalog.text[])), \
    becomes as materialized ( \
      select b.name as of, b.bound, r.oid, r.rolname::pg_catalog.text as name, r.rolsuper, r.rolbypassrls, \
        r.rolreplication, r.rolname::pg_catalog.text operator(pg_catalog.=) any (array['pg_read_server_files', \
          'pg_write_server_files', 'pg_execute_server_program']::pg_catalog.text[]) as reaches_files \
      from base b join pg_catalog.pg_roles r on r.oid operator(pg_catalog.=) b.oid \
      or (not b.rolsuper and pg_catalog.pg_has_role(b.oid, r.oid, 'member'))), \
    reaches as materialized (select distinct b.oid from becomes b where b.bound), \
    everything as materialized ( \
      select c.oid, c.relname::pg_catalog.text as name, c.relkind, c.relispartition, c.relrowsecurity, \
        c.relforcerowsecurity, c.relowner, c.relacl, a.attnum, a.attnotnull, a.atttypid, a.atttypmod, \
        a.attcollation \
      from pg_catalog.pg_namespace n \
      join pg_catalog.pg_class c on c.relnamespace operator(pg_catalog.=) n.oid \
        and c.relkind operator(pg_catalog.=) any (array['r', 'p', 'f']::pg_catalog.\"char\"[]) \
      left join pg_catalog.pg_attribute a on a.attrelid operator(pg_catalog.=) c.oid \
        and a.attname operator(pg_catalog.=) $2::pg_catalog.text and a.attnum operator(pg_catalog.>) 0 \
        and not a.attisdropped \
      where n.nspname operator(pg_catalog.=) $1::pg_catalog.text \
      and not c.relname::pg_catalog.text operator(pg_catalog.=) any ($5::pg_catalog.text[]) \
      and (a.attnum is not null or not exists (select from pg_catalog.pg_depend d \
        where d.classid operator(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass \
        and d.objid operator(pg_catalog.=) c.oid and d.deptype operator(pg_catalog.=) 'e'))), \
    parts as ( \
      select i.inhrelid as oid from everything e \
      join pg_catalog.pg_inherits i on i.inhparent operator(pg_catalog.=) e.oid where e.attnum is not null \
      union \
      select i.inhrelid from parts p \
      join pg_catalog.pg_inherits i on i.inhparent operator(pg_catalog.=) p.oid), \
    derived as ( \
      select e.oid from everything e where e.attnum is not null \
      union \
      select w.ev_class from derived o \
      join pg_catalog.pg_depend d on d.refobjid operator(pg_catalog.=) o.oid \
        and d.refclassid operator(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass \
        and d.classid operator(pg_catalog.=) 'pg_catalog.pg_rewrite'::pg_catalog.regclass \
      join pg_catalog.pg_rewrite w on w.oid operator(pg_catalog.=) d.objid), \
    definer as materialized ( \
      select f.oid from pg_catalog.pg_proc f \
      join pg_catalog.pg_namespace n on n.oid operator(pg_catalog.=) f.pronamespace \
      where f.prosecdef and not pg_catalog.starts_with(n.nspname::pg_catalog.text, 'pg_') \
      and n.nspname operator(pg_catalog.<>) 'information_schema' \
      and not exists (select from pg_catalog.pg_depend d \
        where d.classid operator(pg_catalog.=) 'pg_catalog.pg_proc'::pg_catalog.regclass \
        and d.objid operator(pg_catalog.=) f.oid and d.deptype operator(pg_catalog.=) 'e') \
      and (exists (select from reaches b \
          where pg_catalog.has_function_privilege(b.oid, f.oid, 'execute') \
          and pg_catalog.has_schema_privilege(b.oid, n.oid, 'usage')) \
        or exists (select from reaches b join pg_catalog.pg_trigger t on t.tgfoid operator(pg_catalog.=) f.oid \
          where not t.tgisinternal \
          and (pg_catalog.has_any_column_privilege(b.oid, t.tgrelid, 'insert, update') \
            or pg_catalog.has_table_privilege(b.oid, t.tgrelid, 'delete, truncate'))) \
        or exists (select from reaches b join pg_catalog.pg_aggregate g \
          on f.oid operator(pg_catalog.=) any (array[g.aggtransfn, g.aggfinalfn, g.aggcombinefn, g.aggserialfn, \
            g.aggdeserialfn, g.aggmtransfn, g.aggminvtransfn, g.aggmfinalfn]::pg_catalog.oid[]) \
          where pg_catalog.has_function_privilege(b.oid, g.aggfnoid, 'execute'))) \
      order by n.nspname operator(pg_catalog.<>) $1::pg_catalog.text, f.oid limit 1000), \
    called as materialized ( \
      select distinct d.refobjid as oid from everything e \
      join pg_catalog.pg_policy p on p.polrelid operator(pg_catalog.=) e.oid \
      join pg_catalog.pg_depend d on d.objid operator(pg_catalog.=) p.oid \
        and d.classid operator(pg_catalog.=) 'pg_catalog.pg_policy'::pg_catalog.regclass \
        and d.refclassid operator(pg_catalog.=) 'pg_catalog.pg_proc'::pg_catalog.regclass), \
    routine as materialized ( \
      select f.oid, pg_catalog.jsonb_build_object( \
        'schema', n.nspname, 'name', f.proname, \
        'printed', pg_catalog.concat(pg_catalog.quote_ident(n.nspname::pg_catalog.text), '.', \
          pg_catalog.quote_ident(f.proname::pg_catalog.text)), \
        'arguments', f.pronargs, 'signature', f.oid::pg_catalog.regprocedure::pg_catalog.text, \
        'volatility', f.provolatile, 'language', l.lanname, \
        'body', coalesce(pg_catalog.pg_get_function_sqlbody(f.oid), f.prosrc), \
        'owner_escapes', r.rolsuper or r.rolbypassrls) as fact \
      from (select a.oid from definer a union select a.oid from called a) as a \
      join pg_catalog.pg_proc f on f.oid operator(pg_catalog.=) a.oid \
      join pg_catalog.pg_namespace n on n.oid operator(pg_catalog.=) f.pronamespace \
      join pg_catalog.pg_language l on l.oid operator(pg_catalog.=) f.prolang \
      join pg_catalog.pg_roles r on r.oid operator(pg_catalog.=) f.proowner) \
    select pg_catalog.jsonb_build_object( \
      'version', pg_catalog.current_setting('server_version_num')::integer, \
      'schema_exists', exists (select from pg_catalog.pg_namespace n \
        where n.nspname operator(pg_catalog.=) $1::pg_catalog.text), \
      'login', session_user::pg_catalog.text, \
      'missing_roles', pg_catalog.to_jsonb(array(select asked.name \
        from pg_catalog.unnest($3::pg_catalog.text[]) as asked (name) \
        where not exists (select from base b where b.name operator(pg_catalog.=) asked.name) order by 1)), \
      'refused_roles', pg_catalog.to_jsonb(array(select b.name from base b \
        where not pg_catalog.pg_has_role(session_user, b.oid, 'member') \
        and (b.name operator(pg_catalog.=) any ($3::pg_catalog.text[]) \
          or not b.name operator(pg_catalog.=) any ($6::pg_catalog.text[])) order by 1)), \
      'barred_roles', pg_catalog.to_jsonb(array(select b.name from base b \
        join pg_catalog.pg_namespace n on n.nspname operator(pg_catalog.=) $1::pg_catalog.text \
        where not pg_catalog.has_schema_privilege(b.oid, n.oid, 'usage') order by 1)), \
      'roles', coalesce((select pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object( \
          'name', b.name, 'of', b.of, 'bound', b.bound, 'superuser', b.rolsuper, 'bypass_rls', b.rolbypassrls, \
          'replication', b.rolreplication, 'reaches_files', b.reaches_files, \
          'owns', pg_catalog.to_jsonb(array(select e.name from everything e \
            where e.attnum is not null and e.relowner operator(pg_catalog.=) b.oid order by 1 limit 5))) \
          order by b.of, b.name) \
        from becomes b where (b.bound or not exists (select from reaches r where r.oid operator(pg_catalog.=) b.oid)) \
        and (b.rolsuper or b.rolbypassrls or b.rolreplication or b.reaches_files or exists (select from everything e \
          where e.attnum is not null and e.relowner operator(pg_catalog.=) b.oid))), '[]'), \
      'tables', coalesce((select pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object( \
          'oid', e.oid::bigint, 'name', e.name, 'kind', e.relkind, 'is_partition', e.relispartition, \
          'row_security', e.relrowsecurity, 'forced', e.relforcerowsecurity, \
          'column', (select pg_catalog.jsonb_build_object( \
              'type', pg_catalog.format_type(e.atttypid, null), 'not_null', e.attnotnull, \
              'deterministic', coalesce((select c.collisdeterministic from pg_catalog.pg_collation c \
                where c.oid operator(pg_catalog.=) e.attcollation), true), \
              'default', (select pg_catalog.pg_get_expr(x.adbin, x.adrelid) from pg_catalog.pg_attrdef x \
                where x.adrelid operator(pg_catalog.=) e.oid and x.adnum operator(pg_catalog.=) e.attnum)) \
            where e.attnum is not null), \
          'policies', coalesce((select pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object( \
              'name', p.polname, 'permissive', p.polpermissive, 'command', p.polcmd, \
              'public', p.polroles operator(pg_catalog.=) array[0]::pg_catalog.oid[], \
              'using', pg_catalog.pg_get_expr(p.polqual, p.polrelid), \
              'check', pg_catalog.pg_get_expr(p.polwithcheck, p.polrelid)) order by p.polname) \
            from pg_catalog.pg_policy p where p.polrelid operator(pg_catalog.=) e.oid), '[]'), \
          'indexes', coalesce((select pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object( \
              'name', c.relname, 'unique', i.indisunique or i.indisexclusion, 'method', m.amname, \
              'leads', i.indkey[0] operator(pg_catalog.=) e.attnum, \
              'has_column', e.attnum operator(pg_catalog.=) any \
                ((i.indkey::pg_catalog.int2[])[0:i.indnkeyatts operator(pg_catalog.-) 1]), \
              'leaky', 0::pg_catalog.int2 operator(pg_catalog.=) any (i.indkey::pg_catalog.int2[]) \
                or exists (select from rows from (pg_catalog.unnest(i.indclass::pg_catalog.oid[]), pg_catalog.unnest(i.indkey::pg_catalog.int2[])) as k (class, attnum) \
                  join pg_catalog.pg_opclass o on o.oid operator(pg_catalog.=) k.class \
                  where k.attnum operator(pg_catalog.<>) e.attnum \
                  and (pg_catalog.strpos(o.opcname::pg_catalog.text, '_pattern_ops') operator(pg_catalog.>) 0 \
                    or exists (select from pg_catalog.pg_amop s \
                      join pg_catalog.pg_operator t on t.oid operator(pg_catalog.=) s.amopopr \
                      join pg_catalog.pg_proc f on f.oid operator(pg_catalog.=) t.oprcode \
                      where s.amopfamily operator(pg_catalog.=) o.opcfamily \
                      and s.amoplefttype operator(pg_catalog.=) o.opcintype \
                      and (m.amname operator(pg_catalog.<>) 'btree' or s.amoprighttype operator(pg_catalog.=) o.opcintype) \
                      and s.amoppurpose operator(pg_catalog.=) 's' and not f.proleakproof)))) order by c.relname) \
            from pg_catalog.pg_index i \
            join pg_catalog.pg_class c on c.oid operator(pg_catalog.=) i.indexrelid and not c.relispartition \
            join pg_catalog.pg_am m on m.oid operator(pg_catalog.=) c.relam \
            where i.indrelid operator(pg_catalog.=) e.oid and e.attnum is not null), '[]'), \
          'grants', coalesce((select pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object( \
              'grantee', g.grantee, 'privileges', g.privileges) order by g.grantee nulls first) \
            from (select r.rolname as grantee, \
                pg_catalog.jsonb_agg(distinct x.privilege_type) as privileges \
              from (select y.grantee, y.privilege_type from pg_catalog.aclexplode(e.relacl) as y \
                union all select y.grantee, y.privilege_type from pg_catalog.pg_attribute t \
                cross join lateral pg_catalog.aclexplode(t.attacl) as y \
                where t.attrelid operator(pg_catalog.=) e.oid and t.attacl is not null) as x \
              left join pg_catalog.pg_roles r on r.oid operator(pg_catalog.=) x.grantee \
              where x.grantee operator(pg_catalog.<>) e.relowner \
              and (x.grantee operator(pg_catalog.=) 0::pg_catalog.oid or exists (select from reaches b \
                where b.oid operator(pg_catalog.=) x.grantee)) group by r.rolname) as g), '[]'), \
          'reached', exists (select from reaches b where b.oid operator(pg_catalog.<>) e.relowner \
            and (pg_catalog.has_any_column_privilege(b.oid, e.oid, 'select, insert, update, references') \
              or pg_catalog.has_table_privilege(b.oid, e.oid, 'delete, truncate'))), \
          'sequences', pg_catalog.to_jsonb(array(select s.relname::pg_catalog.text from pg_catalog.pg_depend d \
            join pg_catalog.pg_class s on s.oid operator(pg_catalog.=) d.objid and s.relkind operator(pg_catalog.=) 'S' \
            where d.refobjid operator(pg_catalog.=) e.oid and e.attnum is not null \
            and d.classid operator(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass \
            and d.refclassid operator(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass \
            and d.deptype operator(pg_catalog.=) any (array['a', 'i']::pg_catalog.\"char\"[]) order by 1))) \
          order by e.name) from everything e), '[]'), \
      'foreign_keys', coalesce((select pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object( \
          'name', k.conname, 'table', c.relname, 'parent', e.name, \
          'paired', exists (select from rows from (pg_catalog.unnest(k.conkey), pg_catalog.unnest(k.confkey)) as p (child, parent) \
            join pg_catalog.pg_attribute a on a.attrelid operator(pg_catalog.=) k.conrelid \
              and a.attnum operator(pg_catalog.=) p.child \
            where a.attname operator(pg_catalog.=) $2::pg_catalog.text \
            and p.parent operator(pg_catalog.=) e.attnum)) order by c.relname, k.conname) \
        from pg_catalog.pg_constraint k join everything e on e.oid operator(pg_catalog.=) k.confrelid \
        join pg_catalog.pg_class c on c.oid operator(pg_catalog.=) k.conrelid \
        where k.contype operator(pg_catalog.=) 'f' and k.conparentid operator(pg_catalog.=) 0::pg_catalog.oid \
        and e.attnum is not null), '[]'), \
      'views', coalesce((select pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object( \
          'schema', n.nspname, 'name', c.relname, 'materialized', c.relkind operator(pg_catalog.=) 'm', \
          'invoker', exists (select from pg_catalog.pg_options_to_table(c.reloptions) as o (name, value) \
            where o.name operator(pg_catalog.=) 'security_invoker' and o.value::boolean), \
          'owner_escapes', r.rolsuper or r.rolbypassrls) order by n.nspname, c.relname) \
        from derived o join pg_catalog.pg_class c on c.oid operator(pg_catalog.=) o.oid \
          and c.relkind operator(pg_catalog.=) any (array['v', 'm']::pg_catalog.\"char\"[]) \
        join pg_catalog.pg_namespace n on n.oid operator(pg_catalog.=) c.relnamespace \
        join pg_catalog.pg_roles r on r.oid operator(pg_catalog.=) c.relowner \
        where exists (select from reaches b where pg_catalog.has_any_column_privilege(b.oid, c.oid, \
          'select, insert, update, references') or pg_catalog.has_table_privilege(b.oid, c.oid, 'delete'))), '[]'), \
      'parts_elsewhere', coalesce((select pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object( \
          'schema', n.nspname, 'name', c.relname) order by n.nspname, c.relname) \
        from parts p join pg_catalog.pg_class c on c.oid operator(pg_catalog.=) p.oid \
        join pg_catalog.pg_namespace n on n.oid operator(pg_catalog.=) c.relnamespace \
        where n.nspname operator(pg_catalog.<>) $1::pg_catalog.text \
        and not (c.relrowsecurity and exists (select from pg_catalog.pg_policy y \
          where y.polrelid operator(pg_catalog.=) c.oid and not y.polpermissive)) \
        and exists (select from reaches b where pg_catalog.has_schema_privilege(b.oid, n.oid, 'usage') \
          and (pg_catalog.has_any_column_privilege(b.oid, c.oid, 'select, insert, update, references') \
            or pg_catalog.has_table_privilege(b.oid, c.oid, 'delete, truncate')))), '[]'), \
      'rewrites', coalesce((select pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object( \
          'schema', n.nspname, 'table', c.relname, 'name', w.rulename, \
          'owner_escapes', r.rolsuper or r.rolbypassrls) order by n.nspname, c.relname, w.rulename) \
        from pg_catalog.pg_rewrite w join pg_catalog.pg_class c on c.oid operator(pg_catalog.=) w.ev_class \
        join pg_catalog.pg_namespace n on n.oid operator(pg_catalog.=) c.relnamespace \
        join pg_catalog.pg_roles r on r.oid operator(pg_catalog.=) c.relowner \
        where w.ev_type operator(pg_catalog.<>) '1'::pg_catalog.\"char\" \
        and not pg_catalog.pg_get_ruledef(w.oid) operator(pg_catalog.~~) '%DO INSTEAD NOTHING;' \
        and exists (select from pg_catalog.pg_depend d join derived o on o.oid operator(pg_catalog.=) d.refobjid \
          where d.classid operator(pg_catalog.=) 'pg_catalog.pg_rewrite'::pg_catalog.regclass \
          and d.objid operator(pg_catalog.=) w.oid \
          and d.refclassid operator(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass \
          and d.deptype operator(pg_catalog.=) 'n'::pg_catalog.\"char\") \
        and exists (select from reaches b where pg_catalog.has_any_column_privilege(b.oid, c.oid, 'insert, update') \
          or pg_catalog.has_table_privilege(b.oid, c.oid, 'delete'))), '[]'), \
      'functions', coalesce((select pg_catalog.jsonb_agg(f.fact order by f.oid) \
        from definer a join routine f on f.oid operator(pg_catalog.=) a.oid), '[]'), \
      'policy_functions', coalesce((select pg_catalog.jsonb_agg(f.fact order by f.oid) \
        from called a join routine f on f.oid operator(pg_catalog.=) a.oid), '[]')) as facts";

/// Returns which of these tables policies do not apply to, for the role of the session.
pub(super) const UNFILTERED: &str = "\
    select t.name from rows from (pg_catalog.unnest($1::pg_catalog.oid[]), \
      pg_catalog.unnest($2::pg_catalog.text[])) as t (oid, name) \
    where pg_catalog.row_security_active(t.oid) is not true order by t.name";
