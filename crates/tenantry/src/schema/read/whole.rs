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

/// Those of the schema alone: nothing is built in there that they could be equal to.
pub(super) const DEFAULT_PRIVILEGES: Reader = Reader {
    kind: ObjectKind::DefaultPrivileges,
    from: "pg_catalog.pg_default_acl a on a.defaclnamespace operator(pg_catalog.=) n.oid",
    of: Some(
        "case when a.defaclrole operator(pg_catalog.=) n.role then '{role}' else pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(a.defaclrole)) end",
    ),
    name: "case a.defaclobjtype when 'r'::pg_catalog.\"char\" then 'tables' when 'S'::pg_catalog.\"char\" then 'sequences' \
         when 'f'::pg_catalog.\"char\" then 'functions' when 'T'::pg_catalog.\"char\" then 'types' \
         else a.defaclobjtype::pg_catalog.text end",
    arguments: None,
    attributes: &[at(Attribute::Grants, Grants { kind: "", owner: "" }, "a.defaclacl")],
};
