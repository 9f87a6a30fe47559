//! Operators with their classes and families, collations, conversions.

use super::{
    super::{Attribute, ObjectKind},
    reader::{
        Column,
        Form::{Flag, Printed, PrintedList, Role, Word, Words, Written},
        Reader, at, described,
    },
};

const COMMENT: Column = at(Attribute::Comment, Written, "d.description");

macro_rules! function {
    ($column:literal) => {
        concat!(
            "case when o.",
            $column,
            " operator(pg_catalog.<>) 0::pg_catalog.oid then o.",
            $column,
            "::pg_catalog.oid::pg_catalog.regprocedure end"
        )
    };
}

macro_rules! operator {
    ($column:literal) => {
        concat!(
            "case when o.",
            $column,
            " operator(pg_catalog.<>) 0::pg_catalog.oid then o.",
            $column,
            "::pg_catalog.oid::pg_catalog.regoperator end"
        )
    };
}

pub(super) const OPERATOR: Reader = Reader {
    kind: ObjectKind::Operator,
    from: described!(
        "pg_catalog.pg_operator o on o.oprnamespace operator(pg_catalog.=) n.oid \
           and o.oprcode operator(pg_catalog.<>) 0::pg_catalog.oid",
        "pg_operator",
        "o.oid"
    ),
    of: None,
    name: "o.oprname",
    arguments: Some(
        "pg_catalog.concat(case when o.oprleft operator(pg_catalog.=) 0::pg_catalog.oid then 'NONE' else pg_catalog.format_type(o.oprleft, null) end, \
         ', ', case when o.oprright operator(pg_catalog.=) 0::pg_catalog.oid then 'NONE' else pg_catalog.format_type(o.oprright, null) end)",
    ),
    attributes: &[
        at(Attribute::Function, Printed, function!("oprcode")),
        at(Attribute::Commutator, Printed, operator!("oprcom")),
        at(Attribute::Negator, Printed, operator!("oprnegate")),
        at(Attribute::Restrict, Printed, function!("oprrest")),
        at(Attribute::Join, Printed, function!("oprjoin")),
        at(Attribute::Hashes, Flag, "o.oprcanhash"),
        at(Attribute::Merges, Flag, "o.oprcanmerge"),
        at(Attribute::Owner, Role, "o.oprowner"),
        COMMENT,
    ],
};

/// The operators and functions that belong to an operator class, or directly to a family.
macro_rules! members {
    ($class:literal, $oid:literal, $kind:literal) => {
        concat!(
            "(select pg_catalog.array_agg(m.member order by m.member collate pg_catalog.\"C\") from ( \
             select pg_catalog.concat('operator ', a.amopstrategy, ' ', a.amopopr::pg_catalog.regoperator, \
               case when a.amopsortfamily operator(pg_catalog.<>) 0::pg_catalog.oid then (select pg_catalog.concat(' for order by ', \
                 pg_catalog.quote_ident(s.nspname), '.', pg_catalog.quote_ident(f.opfname)) \
                 from pg_catalog.pg_opfamily f join pg_catalog.pg_namespace s on s.oid operator(pg_catalog.=) f.opfnamespace \
                 where f.oid operator(pg_catalog.=) a.amopsortfamily) end) as member \
               from pg_catalog.pg_depend x join pg_catalog.pg_amop a on a.oid operator(pg_catalog.=) x.objid \
               where x.refclassid operator(pg_catalog.=) 'pg_catalog.",
            $class,
            "'::pg_catalog.regclass and x.refobjid operator(pg_catalog.=) ",
            $oid,
            " and x.classid operator(pg_catalog.=) 'pg_catalog.pg_amop'::pg_catalog.regclass and x.deptype operator(pg_catalog.=) any (",
            $kind,
            ") \
             union all \
             select pg_catalog.concat('function ', a.amprocnum, ' (', pg_catalog.format_type(a.amproclefttype, null), ', ', \
                 pg_catalog.format_type(a.amprocrighttype, null), ') ', a.amproc::pg_catalog.oid::pg_catalog.regprocedure) \
               from pg_catalog.pg_depend x join pg_catalog.pg_amproc a on a.oid operator(pg_catalog.=) x.objid \
               where x.refclassid operator(pg_catalog.=) 'pg_catalog.",
            $class,
            "'::pg_catalog.regclass and x.refobjid operator(pg_catalog.=) ",
            $oid,
            " and x.classid operator(pg_catalog.=) 'pg_catalog.pg_amproc'::pg_catalog.regclass and x.deptype operator(pg_catalog.=) any (",
            $kind,
            ")) as m)"
        )
    };
}

pub(super) const OPERATOR_FAMILY: Reader = Reader {
    kind: ObjectKind::OperatorFamily,
    from: described!(
        "pg_catalog.pg_opfamily f on f.opfnamespace operator(pg_catalog.=) n.oid \
         join pg_catalog.pg_am am on am.oid operator(pg_catalog.=) f.opfmethod",
        "pg_opfamily",
        "f.oid"
    ),
    of: Some("am.amname"),
    name: "f.opfname",
    arguments: None,
    attributes: &[
        at(
            Attribute::Members,
            PrintedList,
            members!("pg_opfamily", "f.oid", "array['a']::pg_catalog.\"char\"[]"),
        ),
        at(Attribute::Owner, Role, "f.opfowner"),
        COMMENT,
    ],
};

pub(super) const OPERATOR_CLASS: Reader = Reader {
    kind: ObjectKind::OperatorClass,
    from: described!(
        "pg_catalog.pg_opclass c on c.opcnamespace operator(pg_catalog.=) n.oid \
         join pg_catalog.pg_am am on am.oid operator(pg_catalog.=) c.opcmethod \
         join pg_catalog.pg_opfamily f on f.oid operator(pg_catalog.=) c.opcfamily \
         join pg_catalog.pg_namespace s on s.oid operator(pg_catalog.=) f.opfnamespace",
        "pg_opclass",
        "c.oid"
    ),
    of: Some("am.amname"),
    name: "c.opcname",
    arguments: None,
    attributes: &[
        at(Attribute::Type, Printed, "pg_catalog.format_type(c.opcintype, null)"),
        at(
            Attribute::Storage,
            Printed,
            "case when c.opckeytype operator(pg_catalog.<>) 0::pg_catalog.oid then pg_catalog.format_type(c.opckeytype, null) end",
        ),
        at(Attribute::IsDefault, Flag, "c.opcdefault"),
        at(
            Attribute::Family,
            Printed,
            "case when s.oid operator(pg_catalog.=) n.oid then pg_catalog.quote_ident(f.opfname) else \
             pg_catalog.concat(pg_catalog.quote_ident(s.nspname), '.', pg_catalog.quote_ident(f.opfname)) end",
        ),
        at(
            Attribute::Members,
            PrintedList,
            members!("pg_opclass", "c.oid", "array['a', 'i']::pg_catalog.\"char\"[]"),
        ),
        at(Attribute::Owner, Role, "c.opcowner"),
        COMMENT,
    ],
};

pub(super) const COLLATION: Reader = Reader {
    kind: ObjectKind::Collation,
    from: described!(
        "pg_catalog.pg_collation c on c.collnamespace operator(pg_catalog.=) n.oid",
        "pg_collation",
        "c.oid"
    ),
    of: None,
    name: "c.collname",
    arguments: None,
    attributes: &[
        at(
            Attribute::CollationParameters,
            Words,
            "(select pg_catalog.array_agg(p order by place) from pg_catalog.unnest(array[ \
               pg_catalog.concat('provider = ', case when c.collprovider operator(pg_catalog.=) 'i'::pg_catalog.\"char\" then 'icu' when c.collprovider operator(pg_catalog.=) 'c'::pg_catalog.\"char\" then 'libc' \
                 when c.collprovider operator(pg_catalog.=) 'b'::pg_catalog.\"char\" then 'builtin' else 'default' end), \
               case when not c.collisdeterministic then 'deterministic = false' end, \
               case when c.collcollate is not null then pg_catalog.concat('lc_collate = ', pg_catalog.quote_literal(c.collcollate::pg_catalog.text)) end, \
               case when c.collctype is not null then pg_catalog.concat('lc_ctype = ', pg_catalog.quote_literal(c.collctype::pg_catalog.text)) end \
             ]::pg_catalog.text[]) with ordinality as u (p, place) where p is not null)",
        ),
        at(Attribute::Locale, Word, "c.colliculocale").since(15).before(17),
        at(Attribute::Locale, Word, "c.colllocale").since(17),
        at(Attribute::Rules, Word, "c.collicurules").since(16),
        at(Attribute::Owner, Role, "c.collowner"),
        COMMENT,
    ],
};

pub(super) const CONVERSION: Reader = Reader {
    kind: ObjectKind::Conversion,
    from: described!(
        "pg_catalog.pg_conversion c on c.connamespace operator(pg_catalog.=) n.oid",
        "pg_conversion",
        "c.oid"
    ),
    of: None,
    name: "c.conname",
    arguments: None,
    attributes: &[
        at(
            Attribute::Encodings,
            Words,
            "array[pg_catalog.pg_encoding_to_char(c.conforencoding)::pg_catalog.text, pg_catalog.pg_encoding_to_char(c.contoencoding)::pg_catalog.text]",
        ),
        at(Attribute::Function, Printed, "c.conproc::pg_catalog.oid::pg_catalog.regprocedure"),
        at(Attribute::IsDefault, Flag, "c.condefault"),
        at(Attribute::Owner, Role, "c.conowner"),
        COMMENT,
    ],
};
