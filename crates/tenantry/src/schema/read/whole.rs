//! The schema itself, its default privileges and security labels.

use super::{
    super::{Attribute, ObjectKind},
    reader::{
        Form::{Grants, Role, Written},
        Reader, at, described,
    },
};

pub(super) const SCHEMA: Reader = Reader {
    kind: ObjectKind::Schema,
    from: described!(
        "pg_catalog.pg_namespace s on s.oid operator(pg_catalog.=) n.oid",
        "pg_namespace",
        "s.oid"
    ),
    of: None,
    name: "''",
    arguments: None,
    attributes: &[
        at(Attribute::Owner, Role, "s.nspowner"),
        at(Attribute::Grants, Grants { kind: "'n'", owner: "s.nspowner" }, "s.nspacl"),
        at(Attribute::Comment, Written, "d.description"),
    ],
};

/// Default privileges of the schema only: there are no built-in ones that they could equal.
pub(super) const DEFAULT_PRIVILEGES: Reader = Reader {
    kind: ObjectKind::DefaultPrivileges,
    from: "pg_catalog.pg_default_acl a on a.defaclnamespace operator(pg_catalog.=) n.oid",
    of: Some(
        "case when a.defaclrole operator(pg_catalog.=) n.role then '{role}' else pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(a.defaclrole)) end",
    ),
    name: "case when a.defaclobjtype operator(pg_catalog.=) 'r'::pg_catalog.\"char\" then 'tables' when a.defaclobjtype operator(pg_catalog.=) 'S'::pg_catalog.\"char\" then 'sequences' \
         when a.defaclobjtype operator(pg_catalog.=) 'f'::pg_catalog.\"char\" then 'functions' when a.defaclobjtype operator(pg_catalog.=) 'T'::pg_catalog.\"char\" then 'types' \
         else a.defaclobjtype::pg_catalog.text end",
    arguments: None,
    attributes: &[at(Attribute::Grants, Grants { kind: "", owner: "" }, "a.defaclacl")],
};

/// Labels of all objects: each provider has at most one for an object.
pub(super) const SECURITY_LABEL: Reader = Reader {
    kind: ObjectKind::SecurityLabel,
    from: "(select s.provider, s.label, s.objsubid, c.relname, c.relkind, a.attname, p.proname, p.proargtypes, p.prokind, t.typname, t.typtype, \
           coalesce(c.relnamespace, p.pronamespace, t.typnamespace, s.objoid) as namespace \
         from pg_catalog.pg_seclabel s \
         left join pg_catalog.pg_class c on c.oid operator(pg_catalog.=) s.objoid \
           and s.classoid operator(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass \
           and c.relkind operator(pg_catalog.=) any (array['r', 'p', 'f', 'v', 'm', 'S']::pg_catalog.\"char\"[]) \
         left join pg_catalog.pg_attribute a on a.attrelid operator(pg_catalog.=) c.oid and a.attnum operator(pg_catalog.=) s.objsubid \
         left join pg_catalog.pg_proc p on p.oid operator(pg_catalog.=) s.objoid \
           and s.classoid operator(pg_catalog.=) 'pg_catalog.pg_proc'::pg_catalog.regclass \
         left join pg_catalog.pg_type t on t.oid operator(pg_catalog.=) s.objoid \
           and s.classoid operator(pg_catalog.=) 'pg_catalog.pg_type'::pg_catalog.regclass \
         where c.oid is not null or p.oid is not null or t.oid is not null \
           or s.classoid operator(pg_catalog.=) 'pg_catalog.pg_namespace'::pg_catalog.regclass) as l \
         on l.namespace operator(pg_catalog.=) n.oid",
    of: Some(
        "case when l.attname is not null then pg_catalog.concat('column ', l.relname, '.', l.attname) \
           when l.relname is not null then pg_catalog.concat(case when l.relkind operator(pg_catalog.=) 'v'::pg_catalog.\"char\" then 'view' \
             when l.relkind operator(pg_catalog.=) 'm'::pg_catalog.\"char\" then 'materialized view' when l.relkind operator(pg_catalog.=) 'S'::pg_catalog.\"char\" then 'sequence' \
             when l.relkind operator(pg_catalog.=) 'f'::pg_catalog.\"char\" then 'foreign table' else 'table' end, ' ', l.relname) \
           when l.proname is not null then pg_catalog.concat(case when l.prokind operator(pg_catalog.=) 'p'::pg_catalog.\"char\" then 'procedure' \
             when l.prokind operator(pg_catalog.=) 'a'::pg_catalog.\"char\" then 'aggregate' else 'function' end, ' ', l.proname, '(', pg_catalog.oidvectortypes(l.proargtypes), ')') \
           when l.typname is not null then pg_catalog.concat(case when l.typtype operator(pg_catalog.=) 'd'::pg_catalog.\"char\" then 'domain' else 'type' end, ' ', l.typname) \
           else 'schema' end",
    ),
    name: "l.provider",
    arguments: None,
    attributes: &[at(Attribute::Label, Written, "l.label")],
};
