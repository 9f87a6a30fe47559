-- What the test kit asks of the server where names come from the server's own catalogs: a statement
-- is put together by `format`, which quotes, and nowhere else. It lies in a schema that no tenant has.

create schema if not exists tenantry_test;
grant usage on schema tenantry_test to public;

-- The tables of a schema that hold a tenant's data.
create or replace function tenantry_test.tables_of(of_schema text) returns text[]
language sql stable set search_path = pg_catalog, pg_temp as $$
  select coalesce(array_agg(c.relname::text order by c.relname), '{}')
  from pg_class c
  join pg_namespace n on n.oid = c.relnamespace
  where n.nspname = of_schema
    and c.relkind in ('r', 'p')
    and not c.relispartition
    and c.relname not in ('_sqlx_migrations', '_tenantry_seeds')
$$;

-- Drops a schema with everything in it.
create or replace function tenantry_test.drop_schema(of_schema text) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  execute format('drop schema if exists %I cascade', of_schema);
end
$$;

-- Notes that a schema is kept for somebody to look at.
create or replace function tenantry_test.keep_schema(of_schema text) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  execute format('comment on schema %I is %L', of_schema,
    'tenantry-test: kept ' || extract(epoch from now())::bigint);
end
$$;

-- The value of a column in the poison row `i`, as an expression; null where the column is left out.
-- A bold value can be told from any other; a mild one keeps to small numbers, for tables that refuse the bold one.
create or replace function tenantry_test.poison_value(
  of_table oid, of_column pg_catalog.pg_attribute, mark text, base bigint, i int, bold boolean
) returns text
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  kind pg_type;
  type_name text := format_type(of_column.atttypid, of_column.atttypmod);
  room int := null;
  value text := mark || '-' || of_column.attname || '-' || i;
  number bigint := case when bold then base + i else i end;
  reference record;
begin
  select con.confrelid, a.attname into reference
  from pg_constraint con
  join pg_attribute a on a.attrelid = con.confrelid
    and a.attnum = con.confkey[array_position(con.conkey, of_column.attnum)]
  where con.conrelid = of_table and con.contype = 'f' and of_column.attnum = any(con.conkey)
  order by con.oid limit 1;
  if found then
    return format('(select %I from %s order by ctid offset %s limit 1)',
      reference.attname, reference.confrelid::regclass, i - 1);
  end if;
  select * into kind from pg_type where oid = of_column.atttypid;
  while kind.typtype = 'd' loop
    select * into kind from pg_type where oid = kind.typbasetype;
  end loop;
  if kind.typname in ('varchar', 'bpchar') and of_column.atttypmod > 4 then
    room := of_column.atttypmod - 4;
  end if;
  if kind.typname in ('text', 'varchar', 'bpchar', 'citext', 'name') then
    if of_column.attname like '%mail%' then
      value := value || '@poison.invalid';
    end if;
    return format('%L::%s', left(value, coalesce(room, 1000)), type_name);
  elsif kind.typname = 'uuid' then
    return format('%L::%s', right(mark, 8) || '-dead-4ead-8ead-'
      || lpad(to_hex(of_column.attnum::bigint * 65536 + i), 12, '0'), type_name);
  elsif kind.typname in ('json', 'jsonb') then
    return format('%L::%s', json_build_object('poison', value), type_name);
  elsif kind.typname = 'bytea' then
    return format('convert_to(%L, ''UTF8'')', value);
  elsif of_column.atthasdef then
    return null;
  elsif kind.typname = 'int2' then
    return case when bold then 31000 + i else i end::text;
  elsif kind.typname = 'numeric' and of_column.atttypmod > 0 then
    return i::text; -- It may have too few digits.
  elsif kind.typname in ('int4', 'int8', 'numeric', 'float4', 'float8') then
    return number::text;
  elsif kind.typname = '_text' then
    return format('array[%L]', value);
  elsif not of_column.attnotnull then
    return null;
  elsif kind.typname = 'bool' then
    return 'true';
  elsif kind.typname in ('date', 'timestamp', 'timestamptz') then
    return format('%L::%s', '1907-07-07', type_name);
  elsif kind.typname in ('time', 'timetz') then
    return format('%L::%s', '07:07', type_name);
  elsif kind.typname = 'interval' then
    return format('%L::%s', '7 days', type_name);
  elsif kind.typtype = 'e' then
    return (select format('%L::%s', e.enumlabel, type_name) from pg_enum e
      where e.enumtypid = kind.oid order by e.enumsortorder limit 1);
  elsif kind.typcategory = 'A' then
    return format('%L::%s', '{}', type_name);
  end if;
  return null;
end
$$;

-- The statement that inserts the poison row `i` into a table.
create or replace function tenantry_test.poison_row(
  of_table oid, mark text, base bigint, i int, bold boolean
) returns text
language sql stable set search_path = pg_catalog, pg_temp as $$
  select case count(*)
    when 0 then format('insert into %s default values', of_table::regclass)
    else format('insert into %s (%s) values (%s)', of_table::regclass,
      string_agg(quote_ident(v.attname), ', ' order by v.attnum),
      string_agg(v.value, ', ' order by v.attnum))
    end
  from (
    select a.attname, a.attnum, tenantry_test.poison_value(of_table, a, mark, base, i, bold) as value
    from pg_attribute a
    where a.attrelid = of_table and a.attnum > 0 and not a.attisdropped
      and a.attgenerated = '' and a.attidentity = ''
  ) v
  where v.value is not null
$$;

-- Fills the tables of a schema with poison rows, those that others refer to first, and returns for each
-- table why it could not be filled, or null. It runs in a session of that schema, so that triggers find what they use.
create or replace function tenantry_test.poison(of_schema text, mark text, base bigint, row_count int)
returns table (table_name text, problem text)
language plpgsql as $$
declare
  names text[] := tenantry_test.tables_of(of_schema);
  filled text[] := '{}';
  problems jsonb := '{}';
  name text;
  bold boolean;
  has_rows boolean;
  progress boolean := true;
begin
  while progress loop
    progress := false;
    foreach name in array names loop
      continue when name = any(filled);
      foreach bold in array array[true, false] loop
        begin
          for i in 1..row_count loop
            execute tenantry_test.poison_row(
              format('%I.%I', of_schema, name)::regclass, mark, base, i, bold);
          end loop;
          execute format('select exists (select from %I.%I)', of_schema, name) into has_rows;
          if not has_rows then
            raise exception 'no row is there after the inserts: a rule, a trigger or a policy hides or drops them';
          end if;
          filled := filled || name;
          progress := true;
          exit;
        exception when others then
          problems := problems || jsonb_build_object(name, sqlerrm);
        end;
      end loop;
    end loop;
  end loop;
  return query select n, case when n = any(filled) then null else problems ->> n end
    from unnest(names) n;
end
$$;

-- What tables hold, as a text that changes when a row does; `(x.*)::text` is the row, and never a column that is
-- called `x`. Names are looked up in the session's search
-- path, as those of the application are.
create or replace function tenantry_test.contents(names text[]) returns text
language plpgsql as $$
declare
  name text;
  one text;
  result text := '';
begin
  foreach name in array names loop
    execute format(
      'select count(*) || '' rows '' || coalesce(md5(string_agg(o.whole, '','' order by o.whole)), '''')
       from (select (tenantry_test_row.*)::text as whole from %I tenantry_test_row) o',
      name) into one;
    result := result || format(E'%I: %s\n', name, one);
  end loop;
  return result;
end
$$;

-- Rows of a schema that hold one of these texts, one row for each table and text.
create or replace function tenantry_test.find(of_schema text, texts text[])
returns table (table_name text, found text)
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  name text;
begin
  foreach name in array tenantry_test.tables_of(of_schema) loop
    return query execute format(
      'select %L::text, min(left(o.whole, 200))
       from (select (tenantry_test_row.*)::text as whole from %I.%I tenantry_test_row) o, unnest($1) t
       where strpos(lower(o.whole), lower(t)) > 0 group by t',
      name, of_schema, name) using texts;
  end loop;
end
$$;
