create schema if not exists tenant_acme;
create schema if not exists tenant_globex;
