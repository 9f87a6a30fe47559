//! Parts of a table: constraints, indexes, triggers, rules, policies, statistics.

use super::{
    super::{Attribute, ObjectKind},
    reader::{
        Column,
        Form::{Flag, Printed, Role, Word, Words, Written},
        Reader, at, described, extensions,
    },
};

const COMMENT: Column = at(Attribute::Comment, Written, "d.description");

/// The statistics targets of an index's columns, as `2=500`.
const INDEX_STATISTICS: &str = "(select pg_catalog.array_agg(pg_catalog.concat(ia.attnum, '=', ia.attstattarget) order by ia.attnum) \
     from pg_catalog.pg_attribute ia where ia.attrelid operator(pg_catalog.=) ic.oid and ia.attstattarget operator(pg_catalog.>=) 0)";

const INDEX_TABLESPACE: &str = "select s.spcname from pg_catalog.pg_tablespace s where s.oid operator(pg_catalog.=) ic.reltablespace";

/// Constraints of tables. A partition's constraints that come from its parent have separate names.
pub(super) const CONSTRAINT: Reader = Reader {
    kind: ObjectKind::Constraint,
    from: described!(
        "pg_catalog.pg_class t on t.relnamespace operator(pg_catalog.=) n.oid \
           and t.relkind operator(pg_catalog.=) any (array['r', 'p', 'f']::pg_catalog.\"char\"[]) \
         join pg_catalog.pg_constraint k on k.conrelid operator(pg_catalog.=) t.oid \
           and (k.contype operator(pg_catalog.=) any (array['p', 'u', 'x']::pg_catalog.\"char\"[]) \
             or k.contype operator(pg_catalog.=) 'c'::pg_catalog.\"char\" and (k.conislocal or t.relispartition and k.convalidated) \
             or k.contype operator(pg_catalog.=) 'f'::pg_catalog.\"char\" and k.conparentid operator(pg_catalog.=) 0::pg_catalog.oid) \
         left join pg_catalog.pg_class ic on ic.oid operator(pg_catalog.=) k.conindid \
           and k.contype operator(pg_catalog.<>) 'f'::pg_catalog.\"char\" \
         left join pg_catalog.pg_index i on i.indexrelid operator(pg_catalog.=) ic.oid \
         left join pg_catalog.pg_description id on id.objoid operator(pg_catalog.=) ic.oid \
           and id.classoid operator(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass and id.objsubid operator(pg_catalog.=) 0",
        "pg_constraint",
        "k.oid"
    ),
    of: Some("t.relname"),
    name: "k.conname",
    arguments: None,
    attributes: &[
        at(Attribute::Definition, Printed, "pg_catalog.pg_get_constraintdef(k.oid)"),
        at(
            Attribute::AttachedTo,
            Printed,
            "select h.inhparent::pg_catalog.regclass from pg_catalog.pg_inherits h where h.inhrelid operator(pg_catalog.=) ic.oid",
        ),
        at(Attribute::Options, Words, "ic.reloptions"),
        at(Attribute::Tablespace, Word, INDEX_TABLESPACE),
        at(Attribute::Clustered, Flag, "i.indisclustered"),
        at(Attribute::ReplicaIdentity, Flag, "i.indisreplident"),
        at(Attribute::StatisticsTarget, Words, INDEX_STATISTICS),
        at(Attribute::DependsOnExtensions, Words, extensions!("pg_class", "ic.oid")),
        at(Attribute::IndexComment, Written, "id.description"),
        at(
            Attribute::Comment,
            Written,
            "case when k.conislocal or k.contype operator(pg_catalog.<>) 'c'::pg_catalog.\"char\" then d.description end",
        ),
    ],
};

/// Checks of domains.
pub(super) const DOMAIN_CONSTRAINT: Reader = Reader {
    kind: ObjectKind::Constraint,
    from: described!(
        "pg_catalog.pg_type t on t.typnamespace operator(pg_catalog.=) n.oid \
           and t.typtype operator(pg_catalog.=) 'd'::pg_catalog.\"char\" \
         join pg_catalog.pg_constraint k on k.contypid operator(pg_catalog.=) t.oid \
           and k.contype operator(pg_catalog.=) 'c'::pg_catalog.\"char\"",
        "pg_constraint",
        "k.oid"
    ),
    of: Some("t.typname"),
    name: "k.conname",
    arguments: None,
    attributes: &[
        at(Attribute::Definition, Printed, "pg_catalog.pg_get_constraintdef(k.oid)"),
        COMMENT,
    ],
};

/// The part of an index definition after the table's name, which is always qualified.
const INDEX_DEFINITION: &str = "pg_catalog.substr(pg_catalog.pg_get_indexdef(ic.oid), pg_catalog.length(pg_catalog.concat( \
     'CREATE ', case when i.indisunique then 'UNIQUE ' end, 'INDEX ', pg_catalog.quote_ident(ic.relname), ' ON ', \
     case when ic.relkind operator(pg_catalog.=) 'I'::pg_catalog.\"char\" then 'ONLY ' end, \
     pg_catalog.quote_ident(n.name), '.', pg_catalog.quote_ident(t.relname))) operator(pg_catalog.+) 2)";

/// Valid indexes, and indexes of partitioned tables, that do not belong to a constraint.
pub(super) const INDEX: Reader = Reader {
    kind: ObjectKind::Index,
    from: described!(
        "pg_catalog.pg_class t on t.relnamespace operator(pg_catalog.=) n.oid \
           and t.relkind operator(pg_catalog.=) any (array['r', 'p', 'm']::pg_catalog.\"char\"[]) \
         join pg_catalog.pg_index i on i.indrelid operator(pg_catalog.=) t.oid and i.indisready \
           and (i.indisvalid or t.relkind operator(pg_catalog.=) 'p'::pg_catalog.\"char\") \
         join pg_catalog.pg_class ic on ic.oid operator(pg_catalog.=) i.indexrelid \
           and not exists (select from pg_catalog.pg_constraint k where k.conrelid operator(pg_catalog.=) t.oid \
             and k.conindid operator(pg_catalog.=) ic.oid and k.contype operator(pg_catalog.=) any (array['p', 'u', 'x']::pg_catalog.\"char\"[]))",
        "pg_class",
        "ic.oid"
    ),
    of: None,
    name: "ic.relname",
    arguments: None,
    attributes: &[
        at(Attribute::Table, Word, "t.relname"),
        at(Attribute::Unique, Flag, "i.indisunique"),
        at(Attribute::Definition, Printed, INDEX_DEFINITION),
        at(
            Attribute::AttachedTo,
            Printed,
            "select h.inhparent::pg_catalog.regclass from pg_catalog.pg_inherits h where h.inhrelid operator(pg_catalog.=) ic.oid",
        ),
        at(Attribute::Tablespace, Word, INDEX_TABLESPACE),
        at(Attribute::Clustered, Flag, "i.indisclustered"),
        at(Attribute::ReplicaIdentity, Flag, "i.indisreplident"),
        at(Attribute::StatisticsTarget, Words, INDEX_STATISTICS),
        at(Attribute::DependsOnExtensions, Words, extensions!("pg_class", "ic.oid")),
        COMMENT,
    ],
};

pub(super) const STATISTICS: Reader = Reader {
    kind: ObjectKind::Statistics,
    from: described!(
        "pg_catalog.pg_statistic_ext s on s.stxnamespace operator(pg_catalog.=) n.oid",
        "pg_statistic_ext",
        "s.oid"
    ),
    of: None,
    name: "s.stxname",
    arguments: None,
    attributes: &[
        at(Attribute::Table, Printed, "s.stxrelid::pg_catalog.regclass"),
        at(Attribute::Definition, Printed, "pg_catalog.pg_get_statisticsobjdef_columns(s.oid)"),
        at(
            Attribute::StatisticsKinds,
            Words,
            "(select pg_catalog.array_agg(case when k operator(pg_catalog.=) 'd'::pg_catalog.\"char\" then 'ndistinct' when k operator(pg_catalog.=) 'f'::pg_catalog.\"char\" then 'dependencies' \
               when k operator(pg_catalog.=) 'm'::pg_catalog.\"char\" then 'mcv' else 'expressions' end order by k) from pg_catalog.unnest(s.stxkind) as k)",
        ),
        at(
            Attribute::StatisticsTarget,
            Word,
            "case when s.stxstattarget operator(pg_catalog.>=) 0 then s.stxstattarget end",
        ),
        at(Attribute::Owner, Role, "s.stxowner"),
        COMMENT,
    ],
};

/// An expression on the foreign key `k` and the function `f` of a trigger that implements the key.
macro_rules! key_trigger {
    ($what:literal) => {
        concat!(
            "select pg_catalog.concat(",
            $what,
            ") from pg_catalog.pg_constraint k \
             join pg_catalog.pg_proc f on f.oid operator(pg_catalog.=) g.tgfoid \
             where k.oid operator(pg_catalog.=) g.tgconstraint and k.contype operator(pg_catalog.=) 'f'::pg_catalog.\"char\""
        )
    };
}

pub(super) const TRIGGER: Reader = Reader {
    kind: ObjectKind::Trigger,
    from: described!(
        "pg_catalog.pg_class t on t.relnamespace operator(pg_catalog.=) n.oid \
           and t.relkind operator(pg_catalog.=) any (array['r', 'p', 'f', 'v']::pg_catalog.\"char\"[]) and t.relhastriggers \
         join pg_catalog.pg_trigger g on g.tgrelid operator(pg_catalog.=) t.oid \
           and (not g.tgisinternal and g.tgparentid operator(pg_catalog.=) 0::pg_catalog.oid \
             or g.tgparentid operator(pg_catalog.<>) 0::pg_catalog.oid and g.tgenabled operator(pg_catalog.<>) \
               (select p.tgenabled from pg_catalog.pg_trigger p where p.oid operator(pg_catalog.=) g.tgparentid))",
        "pg_trigger",
        "g.oid"
    ),
    of: Some("t.relname"),
    // A trigger of a key is called by an OID.
    name: concat!("coalesce((", key_trigger!("k.conname, ': ', f.proname"), "), g.tgname)"),
    arguments: None,
    attributes: &[
        at(Attribute::KeyTrigger, Word, key_trigger!("k.conname")),
        at(
            Attribute::ConstraintTrigger,
            Flag,
            "g.tgconstraint operator(pg_catalog.<>) 0::pg_catalog.oid and g.tgparentid operator(pg_catalog.=) 0::pg_catalog.oid",
        ),
        at(Attribute::Definition, Printed, TRIGGER_DEFINITION),
        at(
            Attribute::Enabled,
            Word,
            "case when g.tgenabled operator(pg_catalog.=) 'D'::pg_catalog.\"char\" then 'disabled' when g.tgenabled operator(pg_catalog.=) 'R'::pg_catalog.\"char\" then 'replica' \
             when g.tgenabled operator(pg_catalog.=) 'A'::pg_catalog.\"char\" then 'always' else case when g.tgparentid operator(pg_catalog.<>) 0::pg_catalog.oid then 'origin' end end",
        ),
        at(Attribute::DependsOnExtensions, Words, extensions!("pg_trigger", "g.oid")),
        COMMENT,
    ],
};

/// The part of a trigger definition after its name, with the unqualified name of its table, which PostgreSQL always
/// qualifies. A partition's own trigger is its parent's.
const TRIGGER_DEFINITION: &str = "case when g.tgparentid operator(pg_catalog.=) 0::pg_catalog.oid then \
     pg_catalog.replace(pg_catalog.substr(pg_catalog.pg_get_triggerdef(g.oid), pg_catalog.length(pg_catalog.concat( \
       'CREATE ', case when g.tgconstraint operator(pg_catalog.<>) 0::pg_catalog.oid then 'CONSTRAINT ' end, 'TRIGGER ', \
       pg_catalog.quote_ident(g.tgname))) operator(pg_catalog.+) 2), \
     pg_catalog.concat(' ON ', pg_catalog.quote_ident(n.name), '.', pg_catalog.quote_ident(t.relname), ' '), \
     pg_catalog.concat(' ON ', pg_catalog.quote_ident(t.relname), ' ')) end";

pub(super) const RULE: Reader = Reader {
    kind: ObjectKind::Rule,
    from: described!(
        "pg_catalog.pg_class t on t.relnamespace operator(pg_catalog.=) n.oid and t.relhasrules \
         join pg_catalog.pg_rewrite r on r.ev_class operator(pg_catalog.=) t.oid \
           and r.rulename operator(pg_catalog.<>) '_RETURN'::pg_catalog.name",
        "pg_rewrite",
        "r.oid"
    ),
    of: Some("t.relname"),
    name: "r.rulename",
    arguments: None,
    attributes: &[
        at(
            Attribute::Command,
            Word,
            "case when r.ev_type operator(pg_catalog.=) '1'::pg_catalog.\"char\" then 'select' when r.ev_type operator(pg_catalog.=) '2'::pg_catalog.\"char\" then 'update' \
             when r.ev_type operator(pg_catalog.=) '3'::pg_catalog.\"char\" then 'insert' else 'delete' end",
        ),
        at(Attribute::Definition, Printed, RULE_DEFINITION),
        at(
            Attribute::Enabled,
            Word,
            "case when r.ev_enabled operator(pg_catalog.=) 'D'::pg_catalog.\"char\" then 'disabled' when r.ev_enabled operator(pg_catalog.=) 'R'::pg_catalog.\"char\" then 'replica' \
             when r.ev_enabled operator(pg_catalog.=) 'A'::pg_catalog.\"char\" then 'always' end",
        ),
        COMMENT,
    ],
};

/// The part of a rule definition after the name of its table.
const RULE_DEFINITION: &str = "pg_catalog.substr(pg_catalog.pg_get_ruledef(r.oid), pg_catalog.length(pg_catalog.concat( \
       'CREATE RULE ', pg_catalog.quote_ident(r.rulename), e' AS\\n    ON ', \
       case when r.ev_type operator(pg_catalog.=) '1'::pg_catalog.\"char\" then 'SELECT' when r.ev_type operator(pg_catalog.=) '2'::pg_catalog.\"char\" then 'UPDATE' \
         when r.ev_type operator(pg_catalog.=) '3'::pg_catalog.\"char\" then 'INSERT' else 'DELETE' end, ' TO ', \
       pg_catalog.quote_ident(n.name), '.', pg_catalog.quote_ident(t.relname))) operator(pg_catalog.+) 1)";

pub(super) const POLICY: Reader = Reader {
    kind: ObjectKind::Policy,
    from: described!(
        "pg_catalog.pg_class t on t.relnamespace operator(pg_catalog.=) n.oid \
         join pg_catalog.pg_policy p on p.polrelid operator(pg_catalog.=) t.oid",
        "pg_policy",
        "p.oid"
    ),
    of: Some("t.relname"),
    name: "p.polname",
    arguments: None,
    attributes: &[
        at(
            Attribute::Command,
            Word,
            "case when p.polcmd operator(pg_catalog.=) 'r'::pg_catalog.\"char\" then 'select' when p.polcmd operator(pg_catalog.=) 'a'::pg_catalog.\"char\" then 'insert' \
             when p.polcmd operator(pg_catalog.=) 'w'::pg_catalog.\"char\" then 'update' when p.polcmd operator(pg_catalog.=) 'd'::pg_catalog.\"char\" then 'delete' end",
        ),
        at(Attribute::Restrictive, Flag, "not p.polpermissive"),
        at(
            Attribute::Roles,
            Words,
            "(select pg_catalog.array_agg(r.name order by r.name collate pg_catalog.\"C\") from (select \
               case when o operator(pg_catalog.=) 0::pg_catalog.oid then 'public' when o operator(pg_catalog.=) n.role then '{role}' \
               else pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(o)) end as name \
               from pg_catalog.unnest(p.polroles) as o) as r)",
        ),
        at(Attribute::Using, Printed, "pg_catalog.pg_get_expr(p.polqual, p.polrelid)"),
        at(Attribute::Check, Printed, "pg_catalog.pg_get_expr(p.polwithcheck, p.polrelid)"),
        COMMENT,
    ],
};
