//! Enums, composite types, domains, ranges and base types.

use super::{
    super::{Attribute, ObjectKind},
    reader::{
        Column,
        Form::{Flag, Grants, Printed, PrintedList, Role, Word, Words, Written},
        Reader, at, described,
    },
};

const OWNER: Column = at(Attribute::Owner, Role, "t.typowner");
const GRANTS: Column =
    at(Attribute::Grants, Grants { kind: "'T'", owner: "t.typowner" }, "t.typacl");
const COMMENT: Column = at(Attribute::Comment, Written, "d.description");

pub(super) const ENUM: Reader = Reader {
    kind: ObjectKind::Enum,
    from: described!(
        "pg_catalog.pg_type t on t.typnamespace operator(pg_catalog.=) n.oid \
           and t.typtype operator(pg_catalog.=) 'e'::pg_catalog.\"char\"",
        "pg_type",
        "t.oid"
    ),
    of: None,
    name: "t.typname",
    arguments: None,
    attributes: &[
        at(
            Attribute::Labels,
            Words,
            "(select pg_catalog.array_agg(e.enumlabel::pg_catalog.text order by e.enumsortorder) from pg_catalog.pg_enum e \
             where e.enumtypid operator(pg_catalog.=) t.oid)",
        ),
        OWNER,
        GRANTS,
        COMMENT,
    ],
};

pub(super) const COMPOSITE: Reader = Reader {
    kind: ObjectKind::Composite,
    from: described!(
        "pg_catalog.pg_type t on t.typnamespace operator(pg_catalog.=) n.oid \
           and t.typtype operator(pg_catalog.=) 'c'::pg_catalog.\"char\" \
         join pg_catalog.pg_class c on c.oid operator(pg_catalog.=) t.typrelid and c.relkind operator(pg_catalog.=) 'c'::pg_catalog.\"char\"",
        "pg_type",
        "t.oid"
    ),
    of: None,
    name: "t.typname",
    arguments: None,
    attributes: &[
        at(
            Attribute::ColumnOrder,
            Words,
            "(select pg_catalog.array_agg(a.attname::pg_catalog.text order by a.attnum) from pg_catalog.pg_attribute a \
             where a.attrelid operator(pg_catalog.=) c.oid and a.attnum operator(pg_catalog.>) 0 and not a.attisdropped)",
        ),
        OWNER,
        GRANTS,
        COMMENT,
    ],
};

/// An expression on the constraint that makes a domain not null.
macro_rules! not_null {
    ($what:literal) => {
        concat!(
            "case when t.typnotnull then (select ",
            $what,
            " from pg_catalog.pg_constraint k where k.contypid operator(pg_catalog.=) t.oid \
               and k.contype operator(pg_catalog.=) 'n'::pg_catalog.\"char\") end"
        )
    };
}

pub(super) const DOMAIN: Reader = Reader {
    kind: ObjectKind::Domain,
    from: described!(
        "pg_catalog.pg_type t on t.typnamespace operator(pg_catalog.=) n.oid \
           and t.typtype operator(pg_catalog.=) 'd'::pg_catalog.\"char\" \
         join pg_catalog.pg_type b on b.oid operator(pg_catalog.=) t.typbasetype",
        "pg_type",
        "t.oid"
    ),
    of: None,
    name: "t.typname",
    arguments: None,
    attributes: &[
        at(Attribute::Type, Printed, "pg_catalog.format_type(t.typbasetype, t.typtypmod)"),
        at(
            Attribute::Collation,
            Printed,
            "case when t.typcollation operator(pg_catalog.<>) b.typcollation then t.typcollation::pg_catalog.regcollation end",
        ),
        at(Attribute::NotNull, Flag, "t.typnotnull"),
        at(Attribute::NotNullName, Word, not_null!("k.conname")).since(18),
        at(
            Attribute::NotNullComment,
            Written,
            not_null!(
                "(select kd.description from pg_catalog.pg_description kd where kd.objoid operator(pg_catalog.=) k.oid \
                 and kd.classoid operator(pg_catalog.=) 'pg_catalog.pg_constraint'::pg_catalog.regclass)"
            ),
        )
        .since(18),
        at(
            Attribute::Default,
            Printed,
            "coalesce(pg_catalog.pg_get_expr(t.typdefaultbin, 'pg_catalog.pg_type'::pg_catalog.regclass), t.typdefault)",
        ),
        OWNER,
        GRANTS,
        COMMENT,
    ],
};

pub(super) const RANGE: Reader = Reader {
    kind: ObjectKind::Range,
    from: described!(
        "pg_catalog.pg_type t on t.typnamespace operator(pg_catalog.=) n.oid \
           and t.typtype operator(pg_catalog.=) 'r'::pg_catalog.\"char\" \
         join pg_catalog.pg_range r on r.rngtypid operator(pg_catalog.=) t.oid \
         join pg_catalog.pg_type b on b.oid operator(pg_catalog.=) r.rngsubtype \
         join pg_catalog.pg_opclass o on o.oid operator(pg_catalog.=) r.rngsubopc",
        "pg_type",
        "t.oid"
    ),
    of: None,
    name: "t.typname",
    arguments: None,
    attributes: &[
        at(Attribute::Subtype, Printed, "pg_catalog.format_type(r.rngsubtype, null)"),
        at(Attribute::Multirange, Printed, "pg_catalog.format_type(r.rngmultitypid, null)"),
        at(
            Attribute::SubtypeOperatorClass,
            Printed,
            "case when not o.opcdefault then (select case when o.opcnamespace operator(pg_catalog.=) n.oid then pg_catalog.quote_ident(o.opcname) else \
             pg_catalog.concat(pg_catalog.quote_ident(s.nspname), '.', pg_catalog.quote_ident(o.opcname)) end \
             from pg_catalog.pg_namespace s where s.oid operator(pg_catalog.=) o.opcnamespace) end",
        ),
        at(
            Attribute::Collation,
            Printed,
            "case when r.rngcollation operator(pg_catalog.<>) b.typcollation then r.rngcollation::pg_catalog.regcollation end",
        ),
        at(
            Attribute::Canonical,
            Printed,
            "case when r.rngcanonical operator(pg_catalog.<>) 0::pg_catalog.oid then r.rngcanonical::pg_catalog.oid::pg_catalog.regprocedure end",
        ),
        at(
            Attribute::SubtypeDifference,
            Printed,
            "case when r.rngsubdiff operator(pg_catalog.<>) 0::pg_catalog.oid then r.rngsubdiff::pg_catalog.oid::pg_catalog.regprocedure end",
        ),
        OWNER,
        GRANTS,
        COMMENT,
    ],
};

macro_rules! function {
    ($key:literal, $column:literal) => {
        concat!(
            "case when t.",
            $column,
            " operator(pg_catalog.<>) 0::pg_catalog.oid then pg_catalog.concat('",
            $key,
            " = ', t.",
            $column,
            "::pg_catalog.oid::pg_catalog.regprocedure) end"
        )
    };
}

/// The definition of a base type, in the syntax of `create type`.
const PARAMETERS: &str = concat!(
    "case when t.typisdefined then (select pg_catalog.array_agg(p order by place) \
     from pg_catalog.unnest(array[",
    function!("input", "typinput"),
    ", ",
    function!("output", "typoutput"),
    ", ",
    function!("receive", "typreceive"),
    ", ",
    function!("send", "typsend"),
    ", ",
    function!("typmod_in", "typmodin"),
    ", ",
    function!("typmod_out", "typmodout"),
    ", ",
    function!("analyze", "typanalyze"),
    ", ",
    function!("subscript", "typsubscript"),
    ", pg_catalog.concat('internallength = ', t.typlen), pg_catalog.concat('alignment = ', t.typalign), \
       pg_catalog.concat('storage = ', t.typstorage), pg_catalog.concat('category = ', pg_catalog.quote_literal(t.typcategory::pg_catalog.text)), \
       pg_catalog.concat('delimiter = ', pg_catalog.quote_literal(t.typdelim::pg_catalog.text)), \
       case when t.typispreferred then 'preferred' end, case when t.typbyval then 'passedbyvalue' end, \
       case when t.typcollation operator(pg_catalog.<>) 0::pg_catalog.oid then 'collatable' end, \
       case when t.typelem operator(pg_catalog.<>) 0::pg_catalog.oid then pg_catalog.concat('element = ', pg_catalog.format_type(t.typelem, null)) end, \
       case when t.typdefault is not null then pg_catalog.concat('default = ', pg_catalog.quote_literal(t.typdefault)) end \
     ]::pg_catalog.text[]) with ordinality as u (p, place) where p is not null) end"
);

/// Base types and shells: arrays follow from their elements.
pub(super) const BASE: Reader = Reader {
    kind: ObjectKind::BaseType,
    from: described!(
        "pg_catalog.pg_type t on t.typnamespace operator(pg_catalog.=) n.oid \
           and (t.typtype operator(pg_catalog.=) 'b'::pg_catalog.\"char\" and t.typinput::pg_catalog.oid operator(pg_catalog.<>) \
             'pg_catalog.array_in'::pg_catalog.regproc \
             or t.typtype operator(pg_catalog.=) 'p'::pg_catalog.\"char\" and not t.typisdefined)",
        "pg_type",
        "t.oid"
    ),
    of: None,
    name: "t.typname",
    arguments: None,
    attributes: &[
        at(Attribute::Shell, Flag, "not t.typisdefined"),
        at(Attribute::TypeParameters, PrintedList, PARAMETERS),
        OWNER,
        GRANTS,
        COMMENT,
    ],
};
