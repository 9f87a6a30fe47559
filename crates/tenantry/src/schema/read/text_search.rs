//! Parsers, templates, dictionaries and configurations for text search.

use super::{
    super::{Attribute, ObjectKind},
    reader::{
        Column,
        Form::{Printed, PrintedList, Role, Written},
        Reader, at, described,
    },
};

const COMMENT: Column = at(Attribute::Comment, Written, "d.description");

macro_rules! function {
    ($key:literal, $column:literal) => {
        concat!(
            "case when ",
            $column,
            " operator(pg_catalog.<>) 0::pg_catalog.oid then pg_catalog.concat('",
            $key,
            " = ', ",
            $column,
            "::pg_catalog.oid::pg_catalog.regprocedure) end"
        )
    };
}

pub(super) const PARSER: Reader = Reader {
    kind: ObjectKind::TextSearchParser,
    from: described!(
        "pg_catalog.pg_ts_parser p on p.prsnamespace operator(pg_catalog.=) n.oid",
        "pg_ts_parser",
        "p.oid"
    ),
    of: None,
    name: "p.prsname",
    arguments: None,
    attributes: &[
        at(
            Attribute::Functions,
            PrintedList,
            concat!(
                "array[",
                function!("start", "p.prsstart"),
                ", ",
                function!("gettoken", "p.prstoken"),
                ", ",
                function!("end", "p.prsend"),
                ", ",
                function!("headline", "p.prsheadline"),
                ", ",
                function!("lextypes", "p.prslextype"),
                "]"
            ),
        ),
        COMMENT,
    ],
};

pub(super) const TEMPLATE: Reader = Reader {
    kind: ObjectKind::TextSearchTemplate,
    from: described!(
        "pg_catalog.pg_ts_template t on t.tmplnamespace operator(pg_catalog.=) n.oid",
        "pg_ts_template",
        "t.oid"
    ),
    of: None,
    name: "t.tmplname",
    arguments: None,
    attributes: &[
        at(
            Attribute::Functions,
            PrintedList,
            concat!(
                "array[",
                function!("init", "t.tmplinit"),
                ", ",
                function!("lexize", "t.tmpllexize"),
                "]"
            ),
        ),
        COMMENT,
    ],
};

pub(super) const DICTIONARY: Reader = Reader {
    kind: ObjectKind::TextSearchDictionary,
    from: described!(
        "pg_catalog.pg_ts_dict c on c.dictnamespace operator(pg_catalog.=) n.oid \
         join pg_catalog.pg_ts_template t on t.oid operator(pg_catalog.=) c.dicttemplate \
         join pg_catalog.pg_namespace s on s.oid operator(pg_catalog.=) t.tmplnamespace",
        "pg_ts_dict",
        "c.oid"
    ),
    of: None,
    name: "c.dictname",
    arguments: None,
    attributes: &[
        at(
            Attribute::Template,
            Printed,
            "case when s.oid operator(pg_catalog.=) n.oid then pg_catalog.quote_ident(t.tmplname) else \
             pg_catalog.concat(pg_catalog.quote_ident(s.nspname), '.', pg_catalog.quote_ident(t.tmplname)) end",
        ),
        at(Attribute::Options, Written, "c.dictinitoption"),
        at(Attribute::Owner, Role, "c.dictowner"),
        COMMENT,
    ],
};

pub(super) const CONFIGURATION: Reader = Reader {
    kind: ObjectKind::TextSearchConfiguration,
    from: described!(
        "pg_catalog.pg_ts_config c on c.cfgnamespace operator(pg_catalog.=) n.oid \
         join pg_catalog.pg_ts_parser p on p.oid operator(pg_catalog.=) c.cfgparser \
         join pg_catalog.pg_namespace s on s.oid operator(pg_catalog.=) p.prsnamespace",
        "pg_ts_config",
        "c.oid"
    ),
    of: None,
    name: "c.cfgname",
    arguments: None,
    attributes: &[
        at(
            Attribute::Parser,
            Printed,
            "case when s.oid operator(pg_catalog.=) n.oid then pg_catalog.quote_ident(p.prsname) else \
             pg_catalog.concat(pg_catalog.quote_ident(s.nspname), '.', pg_catalog.quote_ident(p.prsname)) end",
        ),
        at(
            Attribute::Mappings,
            PrintedList,
            "(select pg_catalog.array_agg(pg_catalog.concat(m.alias, ' with ', m.dictionaries) order by m.alias collate pg_catalog.\"C\") from ( \
               select (select t.alias from pg_catalog.ts_token_type(c.cfgparser) as t where t.tokid operator(pg_catalog.=) m.maptokentype) as alias, \
                 pg_catalog.string_agg(m.mapdict::pg_catalog.regdictionary::pg_catalog.text, ', ' order by m.mapseqno) as dictionaries \
               from pg_catalog.pg_ts_config_map m where m.mapcfg operator(pg_catalog.=) c.oid group by m.maptokentype) as m)",
        ),
        at(Attribute::Owner, Role, "c.cfgowner"),
        COMMENT,
    ],
};
