-- Written by: tenantry migrate new notes --row-table notes --row-role notes_app
-- Every plan has the same table: in a schema and in a database, the column is the same in all rows.

create table "notes" (
  "tenant_id" text not null default nullif(current_setting('tenantry.tenant', true), ''),
  "id" uuid not null default gen_random_uuid(),
  text text not null,
  at timestamptz not null default clock_timestamp(),
  primary key ("tenant_id", "id")
);

alter table "notes" enable row level security, force row level security;
create policy tenantry_all on "notes" as permissive for all using (true) with check (true);
create policy tenantry_tenant on "notes" as restrictive for all
  using ("tenant_id" = (select nullif(current_setting('tenantry.tenant', true), '')))
  with check ("tenant_id" = nullif(current_setting('tenantry.tenant', true), ''));
grant select, insert, update, delete on "notes" to "notes_app";
