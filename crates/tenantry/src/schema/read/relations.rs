//! Tables, views, sequences and their columns.

use super::{
    super::{Attribute, ObjectKind},
    reader::{
        Column,
        Form::{Flag, Grants, Printed, PrintedList, Role, Word, Words, Written},
        Reader, at, described, extensions,
    },
};

/// The options that a statement has set. PostgreSQL keeps the version of each column of a table among them from
/// 15.20 on, as `pg_attver`, which `pg_dump` leaves out, too.
const COLUMN_OPTIONS: &str = "case when a.attoptions is null or pg_catalog.cardinality(a.attoptions) operator(pg_catalog.=) 1 \
       and pg_catalog.starts_with(a.attoptions[1], 'pg_attver=') then null \
     else (select pg_catalog.array_agg(o.option) from pg_catalog.unnest(a.attoptions) as o (option) \
       where not pg_catalog.starts_with(o.option, 'pg_attver=')) end";

const OWNER: Column = at(Attribute::Owner, Role, "c.relowner");
const GRANTS: Column =
    at(Attribute::Grants, Grants { kind: "'r'", owner: "c.relowner" }, "c.relacl");
const COMMENT: Column = at(Attribute::Comment, Written, "d.description");
const UNLOGGED: Column = at(
    Attribute::Unlogged,
    Flag,
    "c.relpersistence operator(pg_catalog.=) 'u'::pg_catalog.\"char\"",
);
const OPTIONS: Column = at(Attribute::Options, Words, "c.reloptions");
const ACCESS_METHOD: Column = at(
    Attribute::AccessMethod,
    Word,
    "select am.amname from pg_catalog.pg_am am where am.oid operator(pg_catalog.=) c.relam",
);
const TABLESPACE: Column = at(
    Attribute::Tablespace,
    Word,
    "select s.spcname from pg_catalog.pg_tablespace s where s.oid operator(pg_catalog.=) c.reltablespace",
);
const TOAST_OPTIONS: Column = at(
    Attribute::ToastOptions,
    Words,
    "(select o.reloptions from pg_catalog.pg_class o \
     where o.oid operator(pg_catalog.=) c.reltoastrelid and c.reltoastrelid operator(pg_catalog.<>) 0::pg_catalog.oid)",
);
const REPLICA_IDENTITY: Column = at(
    Attribute::ReplicaIdentity,
    Word,
    "case when c.relreplident operator(pg_catalog.=) 'f'::pg_catalog.\"char\" then 'full' when c.relreplident operator(pg_catalog.=) 'n'::pg_catalog.\"char\" then 'nothing' end",
);
const COLUMN_ORDER: Column = at(
    Attribute::ColumnOrder,
    Words,
    "(select pg_catalog.array_agg(a.attname::pg_catalog.text order by a.attnum) \
     from pg_catalog.pg_attribute a \
     where a.attrelid operator(pg_catalog.=) c.oid and a.attnum operator(pg_catalog.>) 0 \
       and not a.attisdropped and (a.attislocal or c.relispartition))",
);

pub(super) const TABLE: Reader = Reader {
    kind: ObjectKind::Table,
    from: described!(
        "pg_catalog.pg_class c on c.relnamespace operator(pg_catalog.=) n.oid \
           and c.relkind operator(pg_catalog.=) any (array['r', 'p']::pg_catalog.\"char\"[])",
        "pg_class",
        "c.oid"
    ),
    of: None,
    name: "c.relname",
    arguments: None,
    attributes: &[
        COLUMN_ORDER,
        UNLOGGED,
        at(
            Attribute::OfType,
            Printed,
            "case when c.reloftype operator(pg_catalog.<>) 0::pg_catalog.oid then pg_catalog.format_type(c.reloftype, null) end",
        ),
        at(
            Attribute::Inherits,
            PrintedList,
            "case when c.relispartition then null else \
               (select pg_catalog.array_agg(h.inhparent::pg_catalog.regclass::pg_catalog.text order by h.inhseqno) \
               from pg_catalog.pg_inherits h where h.inhrelid operator(pg_catalog.=) c.oid) end",
        ),
        PARTITION_OF,
        PARTITION_BOUND,
        at(
            Attribute::PartitionKey,
            Printed,
            "case when c.relkind operator(pg_catalog.=) 'p'::pg_catalog.\"char\" then pg_catalog.pg_get_partkeydef(c.oid) end",
        ),
        ACCESS_METHOD,
        TABLESPACE,
        OPTIONS,
        TOAST_OPTIONS,
        REPLICA_IDENTITY,
        at(Attribute::RowSecurity, Flag, "c.relrowsecurity"),
        at(Attribute::ForceRowSecurity, Flag, "c.relforcerowsecurity"),
        OWNER,
        GRANTS,
        COMMENT,
    ],
};

const PARTITION_OF: Column = at(
    Attribute::PartitionOf,
    Printed,
    "case when c.relispartition then \
       (select h.inhparent::pg_catalog.regclass::pg_catalog.text from pg_catalog.pg_inherits h \
       where h.inhrelid operator(pg_catalog.=) c.oid limit 1) end",
);
const PARTITION_BOUND: Column = at(
    Attribute::PartitionBound,
    Printed,
    "case when c.relispartition then pg_catalog.pg_get_expr(c.relpartbound, c.oid) end",
);

pub(super) const FOREIGN_TABLE: Reader = Reader {
    kind: ObjectKind::ForeignTable,
    from: described!(
        "pg_catalog.pg_class c on c.relnamespace operator(pg_catalog.=) n.oid \
           and c.relkind operator(pg_catalog.=) 'f'::pg_catalog.\"char\" \
         join pg_catalog.pg_foreign_table f on f.ftrelid operator(pg_catalog.=) c.oid",
        "pg_class",
        "c.oid"
    ),
    of: None,
    name: "c.relname",
    arguments: None,
    attributes: &[
        COLUMN_ORDER,
        at(
            Attribute::Inherits,
            PrintedList,
            "case when c.relispartition then null else \
               (select pg_catalog.array_agg(h.inhparent::pg_catalog.regclass::pg_catalog.text order by h.inhseqno) \
               from pg_catalog.pg_inherits h where h.inhrelid operator(pg_catalog.=) c.oid) end",
        ),
        PARTITION_OF,
        PARTITION_BOUND,
        at(
            Attribute::Server,
            Word,
            "select s.srvname from pg_catalog.pg_foreign_server s where s.oid operator(pg_catalog.=) f.ftserver",
        ),
        at(Attribute::ForeignOptions, Words, "f.ftoptions"),
        OWNER,
        GRANTS,
        COMMENT,
    ],
};

pub(super) const VIEW: Reader = Reader {
    kind: ObjectKind::View,
    from: described!(
        "pg_catalog.pg_class c on c.relnamespace operator(pg_catalog.=) n.oid \
           and c.relkind operator(pg_catalog.=) 'v'::pg_catalog.\"char\"",
        "pg_class",
        "c.oid"
    ),
    of: None,
    name: "c.relname",
    arguments: None,
    attributes: &[
        at(Attribute::Definition, Printed, "pg_catalog.pg_get_viewdef(c.oid)"),
        OPTIONS,
        OWNER,
        GRANTS,
        COMMENT,
    ],
};

pub(super) const MATERIALIZED_VIEW: Reader = Reader {
    kind: ObjectKind::MaterializedView,
    from: described!(
        "pg_catalog.pg_class c on c.relnamespace operator(pg_catalog.=) n.oid \
           and c.relkind operator(pg_catalog.=) 'm'::pg_catalog.\"char\"",
        "pg_class",
        "c.oid"
    ),
    of: None,
    name: "c.relname",
    arguments: None,
    attributes: &[
        at(Attribute::Definition, Printed, "pg_catalog.pg_get_viewdef(c.oid)"),
        UNLOGGED,
        ACCESS_METHOD,
        TABLESPACE,
        OPTIONS,
        TOAST_OPTIONS,
        REPLICA_IDENTITY,
        at(Attribute::DependsOnExtensions, Words, extensions!("pg_class", "c.oid")),
        OWNER,
        GRANTS,
        COMMENT,
    ],
};

pub(super) const SEQUENCE: Reader = Reader {
    kind: ObjectKind::Sequence,
    from: described!(
        "pg_catalog.pg_class c on c.relnamespace operator(pg_catalog.=) n.oid \
           and c.relkind operator(pg_catalog.=) 'S'::pg_catalog.\"char\" \
         join (select q.*, case when q.seqincrement operator(pg_catalog.>) 0 then 1 else operator(pg_catalog.-) h.highest operator(pg_catalog.-) 1 end as lowest, \
             case when q.seqincrement operator(pg_catalog.>) 0 then h.highest else -1 end as highest \
           from pg_catalog.pg_sequence q \
           cross join lateral (select case when q.seqtypid operator(pg_catalog.=) 'pg_catalog.int2'::pg_catalog.regtype then 32767 \
             when q.seqtypid operator(pg_catalog.=) 'pg_catalog.int4'::pg_catalog.regtype then 2147483647 else 9223372036854775807 end as highest) as h) as s \
           on s.seqrelid operator(pg_catalog.=) c.oid \
         left join pg_catalog.pg_depend o on o.classid operator(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass \
           and o.objid operator(pg_catalog.=) c.oid and o.objsubid operator(pg_catalog.=) 0 \
           and o.refclassid operator(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass and o.refobjsubid operator(pg_catalog.>) 0 \
           and o.deptype operator(pg_catalog.=) any (array['a', 'i']::pg_catalog.\"char\"[]) \
         left join pg_catalog.pg_attribute oa on oa.attrelid operator(pg_catalog.=) o.refobjid \
           and oa.attnum operator(pg_catalog.=) o.refobjsubid",
        "pg_class",
        "c.oid"
    ),
    of: None,
    name: "c.relname",
    arguments: None,
    attributes: &[
        // The type of an identity column's sequence follows from the column, and `pg_dump` does not show it.
        at(
            Attribute::Type,
            Printed,
            "case when o.deptype operator(pg_catalog.=) 'i'::pg_catalog.\"char\" then null else pg_catalog.format_type(s.seqtypid, null) end",
        ),
        at(Attribute::Start, Word, "s.seqstart"),
        at(Attribute::Increment, Word, "s.seqincrement"),
        at(
            Attribute::Minimum,
            Word,
            "case when s.seqmin operator(pg_catalog.<>) s.lowest then s.seqmin end",
        ),
        at(
            Attribute::Maximum,
            Word,
            "case when s.seqmax operator(pg_catalog.<>) s.highest then s.seqmax end",
        ),
        at(Attribute::Cache, Word, "s.seqcache"),
        at(Attribute::Cycle, Flag, "s.seqcycle"),
        UNLOGGED,
        at(
            Attribute::OwnedBy,
            Printed,
            "case when o.deptype operator(pg_catalog.=) 'a'::pg_catalog.\"char\" then \
             pg_catalog.concat(o.refobjid::pg_catalog.regclass, '.', pg_catalog.quote_ident(oa.attname)) end",
        ),
        at(
            Attribute::IdentityOf,
            Printed,
            "case when o.deptype operator(pg_catalog.=) 'i'::pg_catalog.\"char\" then \
             pg_catalog.concat(o.refobjid::pg_catalog.regclass, '.', pg_catalog.quote_ident(oa.attname)) end",
        ),
        OWNER,
        at(Attribute::Grants, Grants { kind: "'s'", owner: "c.relowner" }, "c.relacl"),
        COMMENT,
    ],
};

/// The type of a column is read only if the relation defines it: a view's query determines it.
const HAS_OWN_TYPE: &str = "case when c.relkind operator(pg_catalog.=) any (array['r', 'p', 'f', 'c']::pg_catalog.\"char\"[]) \
       and c.reloftype operator(pg_catalog.=) 0::pg_catalog.oid and (a.attislocal or c.relispartition) \
     then pg_catalog.format_type(a.atttypid, a.atttypmod) end";

/// An expression on the constraint that makes a column not null, if it is the relation's own.
macro_rules! not_null {
    ($what:literal) => {
        concat!(
            "case when a.attnotnull then (select ",
            $what,
            " from pg_catalog.pg_constraint k where k.conrelid operator(pg_catalog.=) c.oid \
               and k.contype operator(pg_catalog.=) 'n'::pg_catalog.\"char\" and k.conkey[1] operator(pg_catalog.=) a.attnum \
               and (k.conislocal or c.relispartition and k.convalidated)) end"
        )
    };
}

pub(super) const COLUMN: Reader = Reader {
    kind: ObjectKind::Column,
    from: "pg_catalog.pg_class c on c.relnamespace operator(pg_catalog.=) n.oid \
           and c.relkind operator(pg_catalog.=) any (array['r', 'p', 'f', 'v', 'm', 'c']::pg_catalog.\"char\"[]) \
         join pg_catalog.pg_attribute a on a.attrelid operator(pg_catalog.=) c.oid \
           and a.attnum operator(pg_catalog.>) 0 and not a.attisdropped \
         join pg_catalog.pg_type t on t.oid operator(pg_catalog.=) a.atttypid \
         left join pg_catalog.pg_attrdef v on v.adrelid operator(pg_catalog.=) a.attrelid and v.adnum operator(pg_catalog.=) a.attnum and a.atthasdef \
         left join pg_catalog.pg_description d on d.objoid operator(pg_catalog.=) c.oid \
           and d.classoid operator(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass and d.objsubid operator(pg_catalog.=) a.attnum \
         where not exists (select from m where m.classid operator(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass \
           and m.objid operator(pg_catalog.=) c.oid \
           or c.relkind operator(pg_catalog.=) 'c'::pg_catalog.\"char\" and m.classid operator(pg_catalog.=) 'pg_catalog.pg_type'::pg_catalog.regclass \
           and m.objid operator(pg_catalog.=) c.reltype)",
    of: Some("c.relname"),
    name: "a.attname",
    arguments: None,
    attributes: &[
        at(Attribute::Type, Printed, HAS_OWN_TYPE),
        at(
            Attribute::Collation,
            Printed,
            "case when a.attcollation operator(pg_catalog.<>) t.typcollation \
               and c.relkind operator(pg_catalog.=) any (array['r', 'p', 'f', 'c']::pg_catalog.\"char\"[]) \
               and (a.attislocal or c.relispartition) then a.attcollation::pg_catalog.regcollation end",
        ),
        at(
            Attribute::NotNull,
            Flag,
            // A child's column is not null if the parent's is.
            "a.attnotnull and (c.relispartition or a.attinhcount operator(pg_catalog.=) 0 or not exists ( \
               select from pg_catalog.pg_inherits h join pg_catalog.pg_attribute p on p.attrelid operator(pg_catalog.=) h.inhparent \
               where h.inhrelid operator(pg_catalog.=) c.oid and p.attname operator(pg_catalog.=) a.attname and p.attnotnull))",
        )
        .before(18),
        at(Attribute::NotNull, Flag, not_null!("true")).since(18),
        at(
            Attribute::NotNullName,
            Word,
            not_null!(
                "case when not k.convalidated or k.conname::pg_catalog.text operator(pg_catalog.<>) \
                   pg_catalog.concat(c.relname, '_', a.attname, '_not_null') then k.conname end"
            ),
        )
        .since(18),
        at(Attribute::NotNullNoInherit, Flag, not_null!("k.connoinherit")).since(18),
        at(Attribute::NotNullInvalid, Flag, not_null!("not k.convalidated")).since(18),
        at(
            Attribute::NotNullComment,
            Written,
            "case when a.attnotnull then (select kd.description from pg_catalog.pg_constraint k \
               join pg_catalog.pg_description kd on kd.objoid operator(pg_catalog.=) k.oid \
                 and kd.classoid operator(pg_catalog.=) 'pg_catalog.pg_constraint'::pg_catalog.regclass \
               where k.conrelid operator(pg_catalog.=) c.oid and k.contype operator(pg_catalog.=) 'n'::pg_catalog.\"char\" \
                 and k.conkey[1] operator(pg_catalog.=) a.attnum and (k.conislocal or k.convalidated)) end",
        )
        .since(18),
        at(
            Attribute::Default,
            Printed,
            "case when a.attgenerated operator(pg_catalog.=) ''::pg_catalog.\"char\" then pg_catalog.pg_get_expr(v.adbin, v.adrelid) end",
        ),
        at(
            Attribute::GeneratedStored,
            Printed,
            "case when a.attgenerated operator(pg_catalog.=) 's'::pg_catalog.\"char\" then pg_catalog.pg_get_expr(v.adbin, v.adrelid) end",
        ),
        at(
            Attribute::GeneratedVirtual,
            Printed,
            "case when a.attgenerated operator(pg_catalog.=) 'v'::pg_catalog.\"char\" then pg_catalog.pg_get_expr(v.adbin, v.adrelid) end",
        )
        .since(18),
        at(
            Attribute::Identity,
            Word,
            "case when a.attidentity operator(pg_catalog.=) 'a'::pg_catalog.\"char\" then 'always' when a.attidentity operator(pg_catalog.=) 'd'::pg_catalog.\"char\" then 'by default' end",
        ),
        at(Attribute::Inherited, Flag, "not a.attislocal and not c.relispartition"),
        at(
            Attribute::StatisticsTarget,
            Word,
            "case when a.attstattarget operator(pg_catalog.>=) 0 then a.attstattarget end",
        ),
        at(
            Attribute::Storage,
            Word,
            "case when a.attstorage operator(pg_catalog.<>) t.typstorage then case when a.attstorage operator(pg_catalog.=) 'p'::pg_catalog.\"char\" then 'plain' \
             when a.attstorage operator(pg_catalog.=) 'e'::pg_catalog.\"char\" then 'external' when a.attstorage operator(pg_catalog.=) 'm'::pg_catalog.\"char\" then 'main' else 'extended' end end",
        ),
        at(
            Attribute::Compression,
            Word,
            "case when a.attcompression operator(pg_catalog.=) 'p'::pg_catalog.\"char\" then 'pglz' when a.attcompression operator(pg_catalog.=) 'l'::pg_catalog.\"char\" then 'lz4' end",
        ),
        at(Attribute::ColumnOptions, Words, COLUMN_OPTIONS),
        at(Attribute::ForeignOptions, Words, "a.attfdwoptions"),
        at(Attribute::Grants, Grants { kind: "", owner: "" }, "a.attacl"),
        COMMENT,
    ],
};
