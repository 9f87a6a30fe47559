//! Functions, procedures and aggregates.

use super::{
    super::{Attribute, ObjectKind},
    reader::{
        Column,
        Form::{Flag, Grants, Printed, PrintedList, Role, Settings, Word, Words, Written},
        Reader, at, described, extensions,
    },
};

/// The types of the arguments that distinguish routines of the same name.
const SIGNATURE: &str = "pg_catalog.oidvectortypes(p.proargtypes)";

const EXTENSIONS: Column =
    at(Attribute::DependsOnExtensions, Words, extensions!("pg_proc", "p.oid"));
const OWNER: Column = at(Attribute::Owner, Role, "p.proowner");
const GRANTS: Column =
    at(Attribute::Grants, Grants { kind: "'f'", owner: "p.proowner" }, "p.proacl");
const COMMENT: Column = at(Attribute::Comment, Written, "d.description");
const ARGUMENTS: Column =
    at(Attribute::Arguments, Printed, "pg_catalog.pg_get_function_arguments(p.oid)");
const LANGUAGE: Column = at(Attribute::Language, Word, "l.lanname");
const BODY: Column =
    at(Attribute::Body, Written, "case when p.prosqlbody is null then p.prosrc end");
const PARSED_BODY: Column =
    at(Attribute::Body, Printed, "pg_catalog.pg_get_function_sqlbody(p.oid)");
const SQL_BODY: Column = at(Attribute::SqlBody, Flag, "p.prosqlbody is not null");
const OBJECT_FILE: Column = at(Attribute::ObjectFile, Word, "p.probin");
const TRANSFORMS: Column = at(
    Attribute::Transforms,
    PrintedList,
    "(select pg_catalog.array_agg(pg_catalog.format_type(t.oid, null) order by t.place) \
     from pg_catalog.unnest(p.protrftypes) with ordinality as t (oid, place))",
);
const SECURITY_DEFINER: Column = at(Attribute::SecurityDefiner, Flag, "p.prosecdef");
const SETTINGS: Column = at(Attribute::Settings, Settings, "p.proconfig");
const PARALLEL: Column = at(
    Attribute::Parallel,
    Word,
    "case when p.proparallel operator(pg_catalog.=) 's'::pg_catalog.\"char\" then 'safe' when p.proparallel operator(pg_catalog.=) 'r'::pg_catalog.\"char\" then 'restricted' end",
);

/// Functions, except those that belong to a range type.
pub(super) const FUNCTION: Reader = Reader {
    kind: ObjectKind::Function,
    from: described!(
        "pg_catalog.pg_proc p on p.pronamespace operator(pg_catalog.=) n.oid \
           and p.prokind operator(pg_catalog.=) any (array['f', 'w']::pg_catalog.\"char\"[]) \
         join pg_catalog.pg_language l on l.oid operator(pg_catalog.=) p.prolang \
           and (l.lanname operator(pg_catalog.<>) 'internal'::pg_catalog.name or not exists (select from pg_catalog.pg_depend i \
             where i.classid operator(pg_catalog.=) 'pg_catalog.pg_proc'::pg_catalog.regclass and i.objid operator(pg_catalog.=) p.oid \
               and i.deptype operator(pg_catalog.=) 'i'::pg_catalog.\"char\"))",
        "pg_proc",
        "p.oid"
    ),
    of: None,
    name: "p.proname",
    arguments: Some(SIGNATURE),
    attributes: &[
        ARGUMENTS,
        at(Attribute::Returns, Printed, "pg_catalog.pg_get_function_result(p.oid)"),
        LANGUAGE,
        BODY,
        PARSED_BODY,
        SQL_BODY,
        OBJECT_FILE,
        TRANSFORMS,
        at(Attribute::Window, Flag, "p.prokind operator(pg_catalog.=) 'w'::pg_catalog.\"char\""),
        at(
            Attribute::Volatility,
            Word,
            "case when p.provolatile operator(pg_catalog.=) 'i'::pg_catalog.\"char\" then 'immutable' when p.provolatile operator(pg_catalog.=) 's'::pg_catalog.\"char\" then 'stable' end",
        ),
        PARALLEL,
        at(Attribute::Strict, Flag, "p.proisstrict"),
        at(Attribute::LeakProof, Flag, "p.proleakproof"),
        SECURITY_DEFINER,
        at(
            Attribute::Cost,
            Word,
            "case when p.procost operator(pg_catalog.<>) (case when l.lanname operator(pg_catalog.=) any (array['internal', 'c']::pg_catalog.name[]) \
             then 1 else 100 end)::pg_catalog.float4 then p.procost end",
        ),
        at(
            Attribute::Rows,
            Word,
            "case when p.proretset and p.prorows operator(pg_catalog.<>) 0::pg_catalog.float4 and p.prorows operator(pg_catalog.<>) 1000::pg_catalog.float4 \
             then p.prorows end",
        ),
        at(
            Attribute::Support,
            Printed,
            "case when p.prosupport operator(pg_catalog.<>) 0::pg_catalog.oid then p.prosupport::pg_catalog.oid::pg_catalog.regprocedure end",
        ),
        SETTINGS,
        EXTENSIONS,
        OWNER,
        GRANTS,
        COMMENT,
    ],
};

pub(super) const PROCEDURE: Reader = Reader {
    kind: ObjectKind::Procedure,
    from: described!(
        "pg_catalog.pg_proc p on p.pronamespace operator(pg_catalog.=) n.oid \
           and p.prokind operator(pg_catalog.=) 'p'::pg_catalog.\"char\" \
         join pg_catalog.pg_language l on l.oid operator(pg_catalog.=) p.prolang",
        "pg_proc",
        "p.oid"
    ),
    of: None,
    name: "p.proname",
    arguments: Some(SIGNATURE),
    attributes: &[
        ARGUMENTS,
        LANGUAGE,
        BODY,
        PARSED_BODY,
        SQL_BODY,
        OBJECT_FILE,
        TRANSFORMS,
        SECURITY_DEFINER,
        SETTINGS,
        EXTENSIONS,
        OWNER,
        GRANTS,
        COMMENT,
    ],
};

macro_rules! function {
    ($column:literal) => {
        concat!(
            "case when a.",
            $column,
            " operator(pg_catalog.<>) 0::pg_catalog.oid then a.",
            $column,
            "::pg_catalog.oid::pg_catalog.regprocedure end"
        )
    };
}

/// A final function with its properties.
macro_rules! final_function {
    ($column:literal, $extra:literal, $modify:literal) => {
        concat!(
            "case when a.",
            $column,
            " operator(pg_catalog.<>) 0::pg_catalog.oid then pg_catalog.concat(a.",
            $column,
            "::pg_catalog.oid::pg_catalog.regprocedure, case when a.",
            $extra,
            " then ' extra' end, case when a.",
            $modify,
            " operator(pg_catalog.=) 'r'::pg_catalog.\"char\" then ' read only' when a.",
            $modify,
            " operator(pg_catalog.=) 's'::pg_catalog.\"char\" then ' shareable' else ' read write' end) end"
        )
    };
}

pub(super) const AGGREGATE: Reader = Reader {
    kind: ObjectKind::Aggregate,
    from: described!(
        "pg_catalog.pg_proc p on p.pronamespace operator(pg_catalog.=) n.oid \
           and p.prokind operator(pg_catalog.=) 'a'::pg_catalog.\"char\" \
         join pg_catalog.pg_aggregate a on a.aggfnoid::pg_catalog.oid operator(pg_catalog.=) p.oid",
        "pg_proc",
        "p.oid"
    ),
    of: None,
    name: "p.proname",
    arguments: Some(SIGNATURE),
    attributes: &[
        ARGUMENTS,
        at(
            Attribute::AggregateKind,
            Word,
            "case when a.aggkind operator(pg_catalog.=) 'o'::pg_catalog.\"char\" then 'ordered-set' when a.aggkind operator(pg_catalog.=) 'h'::pg_catalog.\"char\" then 'hypothetical-set' end",
        ),
        at(
            Attribute::DirectArguments,
            Word,
            "case when a.aggkind operator(pg_catalog.<>) 'n'::pg_catalog.\"char\" then a.aggnumdirectargs end",
        ),
        at(Attribute::Transition, Printed, function!("aggtransfn")),
        at(Attribute::State, Printed, "pg_catalog.format_type(a.aggtranstype, null)"),
        at(
            Attribute::StateSpace,
            Word,
            "case when a.aggtransspace operator(pg_catalog.<>) 0 then a.aggtransspace end",
        ),
        at(Attribute::InitialState, Written, "a.agginitval"),
        at(
            Attribute::Final,
            Printed,
            final_function!("aggfinalfn", "aggfinalextra", "aggfinalmodify"),
        ),
        at(Attribute::Combine, Printed, function!("aggcombinefn")),
        at(Attribute::Serial, Printed, function!("aggserialfn")),
        at(Attribute::Deserial, Printed, function!("aggdeserialfn")),
        at(Attribute::MovingTransition, Printed, function!("aggmtransfn")),
        at(Attribute::MovingInverse, Printed, function!("aggminvtransfn")),
        at(
            Attribute::MovingState,
            Printed,
            "case when a.aggmtranstype operator(pg_catalog.<>) 0::pg_catalog.oid then pg_catalog.format_type(a.aggmtranstype, null) end",
        ),
        at(
            Attribute::MovingStateSpace,
            Word,
            "case when a.aggmtransspace operator(pg_catalog.<>) 0 then a.aggmtransspace end",
        ),
        at(Attribute::MovingInitialState, Written, "a.aggminitval"),
        at(
            Attribute::MovingFinal,
            Printed,
            final_function!("aggmfinalfn", "aggmfinalextra", "aggmfinalmodify"),
        ),
        at(
            Attribute::SortOperator,
            Printed,
            "case when a.aggsortop operator(pg_catalog.<>) 0::pg_catalog.oid then a.aggsortop::pg_catalog.regoperator end",
        ),
        PARALLEL,
        OWNER,
        GRANTS,
        COMMENT,
    ],
};
