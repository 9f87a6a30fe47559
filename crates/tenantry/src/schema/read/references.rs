//! Reads references between schemas: dependencies that the server records, and names in texts.

use std::{collections::BTreeMap, ops::Range};

use sqlx::{
    PgConnection, Row,
    postgres::{PgRow, types::Oid},
};

use super::super::{
    mentions::{self, Form, Mention},
    references::{CrossReference, Described, ReferenceKind},
};
use crate::{sql::Sql, tenant::Ident};

/// The schemas `n`; `$1` are their names.
const SCHEMAS: &str = "with n as materialized (select asked.place::pg_catalog.int4 as place, s.oid, pg_catalog.quote_ident(s.nspname) as path \
     from pg_catalog.unnest($1::pg_catalog.text[]) with ordinality as asked (schema, place) \
     join pg_catalog.pg_namespace s on s.nspname operator(pg_catalog.=) asked.schema::pg_catalog.name)";

/// All objects `h` of the schemas, by catalog and OID, except those that follow from a parent's, such as the index of
/// a partition.
const HOMES: &str = "h as materialized ( \
     select n.place, n.path, o.class, o.object from n cross join lateral ( \
     select 'pg_catalog.pg_namespace'::pg_catalog.regclass::pg_catalog.oid as class, n.oid as object) as o \
     union all select n.place, n.path, 'pg_catalog.pg_class'::pg_catalog.regclass, c.oid \
     from n join pg_catalog.pg_class c on c.relnamespace operator(pg_catalog.=) n.oid and not (c.relispartition and c.relkind operator(pg_catalog.=) any (array['i', 'I']::pg_catalog.\"char\"[])) \
     union all select n.place, n.path, 'pg_catalog.pg_attrdef'::pg_catalog.regclass, v.oid \
     from n join pg_catalog.pg_class c on c.relnamespace operator(pg_catalog.=) n.oid join pg_catalog.pg_attrdef v on v.adrelid operator(pg_catalog.=) c.oid \
     union all select n.place, n.path, 'pg_catalog.pg_rewrite'::pg_catalog.regclass, r.oid \
     from n join pg_catalog.pg_class c on c.relnamespace operator(pg_catalog.=) n.oid join pg_catalog.pg_rewrite r on r.ev_class operator(pg_catalog.=) c.oid \
     union all select n.place, n.path, 'pg_catalog.pg_trigger'::pg_catalog.regclass, g.oid \
     from n join pg_catalog.pg_class c on c.relnamespace operator(pg_catalog.=) n.oid join pg_catalog.pg_trigger g on g.tgrelid operator(pg_catalog.=) c.oid \
     and not g.tgisinternal and g.tgparentid operator(pg_catalog.=) 0::pg_catalog.oid \
     union all select n.place, n.path, 'pg_catalog.pg_policy'::pg_catalog.regclass, y.oid \
     from n join pg_catalog.pg_class c on c.relnamespace operator(pg_catalog.=) n.oid join pg_catalog.pg_policy y on y.polrelid operator(pg_catalog.=) c.oid \
     union all select n.place, n.path, 'pg_catalog.pg_constraint'::pg_catalog.regclass, k.oid \
     from n join pg_catalog.pg_constraint k on k.connamespace operator(pg_catalog.=) n.oid and k.conparentid operator(pg_catalog.=) 0::pg_catalog.oid \
     union all select n.place, n.path, 'pg_catalog.pg_type'::pg_catalog.regclass, t.oid from n join pg_catalog.pg_type t on t.typnamespace operator(pg_catalog.=) n.oid \
     union all select n.place, n.path, 'pg_catalog.pg_proc'::pg_catalog.regclass, p.oid from n join pg_catalog.pg_proc p on p.pronamespace operator(pg_catalog.=) n.oid \
     union all select n.place, n.path, 'pg_catalog.pg_operator'::pg_catalog.regclass, o.oid from n join pg_catalog.pg_operator o on o.oprnamespace operator(pg_catalog.=) n.oid \
     union all select n.place, n.path, 'pg_catalog.pg_opclass'::pg_catalog.regclass, o.oid from n join pg_catalog.pg_opclass o on o.opcnamespace operator(pg_catalog.=) n.oid \
     union all select n.place, n.path, 'pg_catalog.pg_opfamily'::pg_catalog.regclass, o.oid from n join pg_catalog.pg_opfamily o on o.opfnamespace operator(pg_catalog.=) n.oid \
     union all select n.place, n.path, 'pg_catalog.pg_amop'::pg_catalog.regclass, a.oid \
     from n join pg_catalog.pg_opfamily o on o.opfnamespace operator(pg_catalog.=) n.oid join pg_catalog.pg_amop a on a.amopfamily operator(pg_catalog.=) o.oid \
     union all select n.place, n.path, 'pg_catalog.pg_amproc'::pg_catalog.regclass, a.oid \
     from n join pg_catalog.pg_opfamily o on o.opfnamespace operator(pg_catalog.=) n.oid join pg_catalog.pg_amproc a on a.amprocfamily operator(pg_catalog.=) o.oid \
     union all select n.place, n.path, 'pg_catalog.pg_collation'::pg_catalog.regclass, l.oid from n join pg_catalog.pg_collation l on l.collnamespace operator(pg_catalog.=) n.oid \
     union all select n.place, n.path, 'pg_catalog.pg_conversion'::pg_catalog.regclass, l.oid from n join pg_catalog.pg_conversion l on l.connamespace operator(pg_catalog.=) n.oid \
     union all select n.place, n.path, 'pg_catalog.pg_statistic_ext'::pg_catalog.regclass, l.oid from n join pg_catalog.pg_statistic_ext l on l.stxnamespace operator(pg_catalog.=) n.oid \
     union all select n.place, n.path, 'pg_catalog.pg_ts_config'::pg_catalog.regclass, l.oid from n join pg_catalog.pg_ts_config l on l.cfgnamespace operator(pg_catalog.=) n.oid \
     union all select n.place, n.path, 'pg_catalog.pg_ts_dict'::pg_catalog.regclass, l.oid from n join pg_catalog.pg_ts_dict l on l.dictnamespace operator(pg_catalog.=) n.oid \
     union all select n.place, n.path, 'pg_catalog.pg_ts_parser'::pg_catalog.regclass, l.oid from n join pg_catalog.pg_ts_parser l on l.prsnamespace operator(pg_catalog.=) n.oid \
     union all select n.place, n.path, 'pg_catalog.pg_ts_template'::pg_catalog.regclass, l.oid from n join pg_catalog.pg_ts_template l on l.tmplnamespace operator(pg_catalog.=) n.oid)";

/// Dependencies of objects in one schema, `x`, on objects in another, unless that is number `$2`, the shared one.
/// Dependencies that are always within a schema, which are most of them, are omitted: parts of the same object,
/// constraints and defaults of their own tables.
const DEPENDENCIES: &str = "x as materialized (select '' as form, h.place, h.path, d.classid, d.objid, d.objsubid, o.place as other, d.refclassid, d.refobjid \
     from pg_catalog.pg_depend d \
     join h on h.class operator(pg_catalog.=) d.classid and h.object operator(pg_catalog.=) d.objid \
     join h as o on o.class operator(pg_catalog.=) d.refclassid and o.object operator(pg_catalog.=) d.refobjid \
     where h.place operator(pg_catalog.<>) o.place and o.place operator(pg_catalog.<>) $2::pg_catalog.int4 \
     and (d.deptype operator(pg_catalog.<>) 'i'::pg_catalog.\"char\" \
     or d.classid operator(pg_catalog.=) any (array['pg_catalog.pg_amop', 'pg_catalog.pg_amproc']::pg_catalog.regclass[]::pg_catalog.oid[])) \
     and (d.deptype operator(pg_catalog.<>) 'a'::pg_catalog.\"char\" or d.refclassid operator(pg_catalog.<>) 'pg_catalog.pg_class'::pg_catalog.regclass::pg_catalog.oid \
     or d.classid operator(pg_catalog.<>) all (array['pg_catalog.pg_constraint', 'pg_catalog.pg_attrdef']::pg_catalog.regclass[]::pg_catalog.oid[])))";

/// Names in the texts of one schema, `x`, that refer to existing objects in another.
const NAMED: &str = "x as materialized (select m.form, f.place, f.path, m.class as classid, m.object as objid, 0 as objsubid, o.place as other, t.class as refclassid, t.object as refobjid \
     from rows from (pg_catalog.unnest($2::pg_catalog.text[]), pg_catalog.unnest($3::pg_catalog.int4[]), pg_catalog.unnest($4::pg_catalog.oid[]), pg_catalog.unnest($5::pg_catalog.oid[]), \
     pg_catalog.unnest($6::pg_catalog.int4[]), pg_catalog.unnest($7::pg_catalog.text[]), pg_catalog.unnest($8::pg_catalog.bool[])) as m (form, place, class, object, other, name, may_be_routine) \
     join n as f on f.place operator(pg_catalog.=) m.place join n as o on o.place operator(pg_catalog.=) m.other \
     cross join lateral ( \
     select 'pg_catalog.pg_namespace'::pg_catalog.regclass::pg_catalog.oid as class, o.oid as object where m.name operator(pg_catalog.=) '' \
     union all select 'pg_catalog.pg_class'::pg_catalog.regclass, c.oid from pg_catalog.pg_class c where c.relnamespace operator(pg_catalog.=) o.oid and c.relname operator(pg_catalog.=) m.name::pg_catalog.name \
     union all select 'pg_catalog.pg_type'::pg_catalog.regclass, c.oid from pg_catalog.pg_type c where c.typnamespace operator(pg_catalog.=) o.oid and c.typname operator(pg_catalog.=) m.name::pg_catalog.name \
     union all select 'pg_catalog.pg_proc'::pg_catalog.regclass, c.oid from pg_catalog.pg_proc c where m.may_be_routine and c.pronamespace operator(pg_catalog.=) o.oid and c.proname operator(pg_catalog.=) m.name::pg_catalog.name \
     union all select 'pg_catalog.pg_operator'::pg_catalog.regclass, c.oid from pg_catalog.pg_operator c where c.oprnamespace operator(pg_catalog.=) o.oid and c.oprname operator(pg_catalog.=) m.name::pg_catalog.name \
     union all select 'pg_catalog.pg_collation'::pg_catalog.regclass, c.oid from pg_catalog.pg_collation c where c.collnamespace operator(pg_catalog.=) o.oid and c.collname operator(pg_catalog.=) m.name::pg_catalog.name \
     union all select 'pg_catalog.pg_ts_config'::pg_catalog.regclass, c.oid from pg_catalog.pg_ts_config c where c.cfgnamespace operator(pg_catalog.=) o.oid and c.cfgname operator(pg_catalog.=) m.name::pg_catalog.name \
     union all select 'pg_catalog.pg_ts_dict'::pg_catalog.regclass, c.oid from pg_catalog.pg_ts_dict c where c.dictnamespace operator(pg_catalog.=) o.oid and c.dictname operator(pg_catalog.=) m.name::pg_catalog.name) as t)";

/// The descriptions of the objects in `x`. A name of a part of a table, or of its row type, counts as the table.
/// Columns of a view follow from its query, functions of a range from the range.
const DESCRIBED: &str = "select distinct x.form, x.place, x.other, a.type, \
     case when t.oid is not null then array['', t.typname::pg_catalog.text] when kt.oid is not null then array['', kt.typname::pg_catalog.text, k.conname::pg_catalog.text] when i.oid is not null then array['', ic.relname::pg_catalog.text, i.conname::pg_catalog.text] else a.object_names end as names, \
     case when pg_catalog.current_setting('search_path') operator(pg_catalog.=) x.path or pg_catalog.set_config('search_path', x.path, true) is not null \
     then coalesce(pg_catalog.oidvectortypes(p.proargtypes), pg_catalog.array_to_string(case when a.type operator(pg_catalog.=) 'operator' then a.object_args end, ', ')) end as arguments, \
     coalesce(case when p.oid is null then null \
     when p.prokind operator(pg_catalog.=) 'a'::pg_catalog.\"char\" then 'aggregate' \
     when x.refclassid operator(pg_catalog.=) 'pg_catalog.pg_type'::pg_catalog.regclass::pg_catalog.oid \
     and (x.refobjid operator(pg_catalog.=) any (p.proargtypes::pg_catalog.oid[]) or x.refobjid operator(pg_catalog.=) p.prorettype or x.refobjid operator(pg_catalog.=) any (p.proallargtypes)) then 'signature' \
     when p.prosqlbody is not null then 'body' when p.prosupport::pg_catalog.oid operator(pg_catalog.=) x.refobjid then 'support' else 'default' end, \
     t.typtype::pg_catalog.text, k.contype::pg_catalog.text, va.attgenerated::pg_catalog.text, rc.relkind::pg_catalog.text, \
     case when i.oid is not null then 'index' when c.relispartition then 'partition' end, '') as detail, \
     x.refclassid::pg_catalog.regclass::pg_catalog.text as other_catalog, \
     coalesce(tr.relname::pg_catalog.text, \
     case when x.refclassid operator(pg_catalog.=) 'pg_catalog.pg_namespace'::pg_catalog.regclass::pg_catalog.oid then '' end, \
     tt.typname::pg_catalog.text, \
     (pg_catalog.pg_identify_object_as_address(x.refclassid, x.refobjid, 0)).object_names[2]) as other_name \
     from x cross join lateral pg_catalog.pg_identify_object_as_address(x.classid, x.objid, x.objsubid) as a \
     left join pg_catalog.pg_class c on x.classid operator(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass and c.oid operator(pg_catalog.=) x.objid \
     left join pg_catalog.pg_index ii on ii.indexrelid operator(pg_catalog.=) c.oid \
     left join pg_catalog.pg_constraint i on i.conrelid operator(pg_catalog.=) ii.indrelid and i.conindid operator(pg_catalog.=) c.oid and i.contype operator(pg_catalog.=) any (array['p', 'u', 'x']::pg_catalog.\"char\"[]) \
     left join pg_catalog.pg_class ic on ic.oid operator(pg_catalog.=) i.conrelid \
     left join pg_catalog.pg_type t on x.classid operator(pg_catalog.=) 'pg_catalog.pg_type'::pg_catalog.regclass and t.oid operator(pg_catalog.=) x.objid \
     left join pg_catalog.pg_proc p on x.classid operator(pg_catalog.=) 'pg_catalog.pg_proc'::pg_catalog.regclass and p.oid operator(pg_catalog.=) x.objid \
     left join pg_catalog.pg_constraint k on x.classid operator(pg_catalog.=) 'pg_catalog.pg_constraint'::pg_catalog.regclass and k.oid operator(pg_catalog.=) x.objid \
     left join pg_catalog.pg_type kt on kt.oid operator(pg_catalog.=) k.contypid \
     left join pg_catalog.pg_attrdef v on x.classid operator(pg_catalog.=) 'pg_catalog.pg_attrdef'::pg_catalog.regclass and v.oid operator(pg_catalog.=) x.objid \
     left join pg_catalog.pg_attribute va on va.attrelid operator(pg_catalog.=) v.adrelid and va.attnum operator(pg_catalog.=) v.adnum \
     left join pg_catalog.pg_rewrite r on x.classid operator(pg_catalog.=) 'pg_catalog.pg_rewrite'::pg_catalog.regclass and r.oid operator(pg_catalog.=) x.objid \
     left join pg_catalog.pg_class rc on rc.oid operator(pg_catalog.=) r.ev_class \
     left join pg_catalog.pg_type ty on x.refclassid operator(pg_catalog.=) 'pg_catalog.pg_type'::pg_catalog.regclass and ty.oid operator(pg_catalog.=) x.refobjid \
     left join pg_catalog.pg_type tt on tt.oid operator(pg_catalog.=) coalesce((select e.oid from pg_catalog.pg_type e where e.typarray operator(pg_catalog.=) ty.oid), ty.oid) \
     left join pg_catalog.pg_constraint tk on x.refclassid operator(pg_catalog.=) 'pg_catalog.pg_constraint'::pg_catalog.regclass and tk.oid operator(pg_catalog.=) x.refobjid \
     left join pg_catalog.pg_class tr on tr.oid operator(pg_catalog.=) coalesce( \
     case when x.refclassid operator(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass::pg_catalog.oid \
     then coalesce((select ti.indrelid from pg_catalog.pg_index ti where ti.indexrelid operator(pg_catalog.=) x.refobjid), x.refobjid) end, \
     case when tt.typrelid operator(pg_catalog.<>) 0::pg_catalog.oid then tt.typrelid end, \
     tk.conrelid) \
     where (x.objsubid operator(pg_catalog.=) 0 or c.relkind operator(pg_catalog.<>) all (array['v', 'm']::pg_catalog.\"char\"[])) \
     and not exists (select from pg_catalog.pg_depend b where p.oid is not null and b.classid operator(pg_catalog.=) x.classid and b.objid operator(pg_catalog.=) x.objid \
     and b.refclassid operator(pg_catalog.=) 'pg_catalog.pg_type'::pg_catalog.regclass and b.deptype operator(pg_catalog.=) 'i'::pg_catalog.\"char\")";

/// Texts `w` that can name schemas, without duplicates, each with all objects that have it: most tenants have the
/// same. They are materialized, because otherwise the server would also print texts of other schemas to search for
/// dots. Only expressions that have a string with a dot matter: in the stored tree it is the byte 46.
const TEXTS: &str = "w as materialized ( \
     select n.place, n.path, 'pg_catalog.pg_proc'::pg_catalog.regclass as class, p.oid as object, \
     case when l.lanname operator(pg_catalog.=) any (array['sql', 'plpgsql']::pg_catalog.name[]) then 'sql' else 'body' end as form, p.prosrc as text \
     from n join pg_catalog.pg_proc p on p.pronamespace operator(pg_catalog.=) n.oid and p.prosqlbody is null \
     join pg_catalog.pg_language l on l.oid operator(pg_catalog.=) p.prolang and l.lanname operator(pg_catalog.<>) all (array['internal', 'c']::pg_catalog.name[]) \
     union all select n.place, n.path, 'pg_catalog.pg_proc'::pg_catalog.regclass, p.oid, 'path', s.setting \
     from n join pg_catalog.pg_proc p on p.pronamespace operator(pg_catalog.=) n.oid cross join lateral pg_catalog.unnest(p.proconfig) as s (setting) \
     where pg_catalog.starts_with(s.setting, 'search_path=') \
     union all select n.place, n.path, 'pg_catalog.pg_proc'::pg_catalog.regclass, p.oid, 'printed', pg_catalog.pg_get_function_sqlbody(p.oid) \
     from n join pg_catalog.pg_proc p on p.pronamespace operator(pg_catalog.=) n.oid and p.prosqlbody::pg_catalog.text operator(pg_catalog.~) ':consttype (18|19|25|1042|1043|2275) ' \
     union all select n.place, n.path, 'pg_catalog.pg_attrdef'::pg_catalog.regclass, v.oid, 'printed', pg_catalog.pg_get_expr(v.adbin, v.adrelid) \
     from n join pg_catalog.pg_class c on c.relnamespace operator(pg_catalog.=) n.oid join pg_catalog.pg_attrdef v on v.adrelid operator(pg_catalog.=) c.oid \
     and pg_catalog.strpos(v.adbin::pg_catalog.text, ' 46 ') operator(pg_catalog.>) 0 \
     union all select n.place, n.path, 'pg_catalog.pg_constraint'::pg_catalog.regclass, k.oid, 'printed', pg_catalog.pg_get_expr(k.conbin, k.conrelid) \
     from n join pg_catalog.pg_constraint k on k.connamespace operator(pg_catalog.=) n.oid and pg_catalog.strpos(k.conbin::pg_catalog.text, ' 46 ') operator(pg_catalog.>) 0 \
     union all select n.place, n.path, 'pg_catalog.pg_rewrite'::pg_catalog.regclass, r.oid, 'printed', pg_catalog.pg_get_ruledef(r.oid) \
     from n join pg_catalog.pg_class c on c.relnamespace operator(pg_catalog.=) n.oid and c.relhasrules join pg_catalog.pg_rewrite r on r.ev_class operator(pg_catalog.=) c.oid \
     and pg_catalog.strpos(r.ev_action::pg_catalog.text, ' 46 ') operator(pg_catalog.>) 0 \
     union all select n.place, n.path, 'pg_catalog.pg_policy'::pg_catalog.regclass, y.oid, 'printed', \
     pg_catalog.concat(pg_catalog.pg_get_expr(y.polqual, y.polrelid), ' ', pg_catalog.pg_get_expr(y.polwithcheck, y.polrelid)) \
     from n join pg_catalog.pg_class c on c.relnamespace operator(pg_catalog.=) n.oid join pg_catalog.pg_policy y on y.polrelid operator(pg_catalog.=) c.oid \
     union all select n.place, n.path, 'pg_catalog.pg_trigger'::pg_catalog.regclass, g.oid, 'body', pg_catalog.encode(g.tgargs, 'escape') \
     from n join pg_catalog.pg_class c on c.relnamespace operator(pg_catalog.=) n.oid and c.relhastriggers join pg_catalog.pg_trigger g on g.tgrelid operator(pg_catalog.=) c.oid \
     and not g.tgisinternal and g.tgparentid operator(pg_catalog.=) 0::pg_catalog.oid and g.tgnargs operator(pg_catalog.>) 0) \
     select w.form, w.text, w.class::pg_catalog.oid as class, w.form operator(pg_catalog.=) any (array['sql', 'body']) and w.class operator(pg_catalog.=) 'pg_catalog.pg_proc'::pg_catalog.regclass as is_body, \
     pg_catalog.array_agg(w.place) as places, pg_catalog.array_agg(w.object) as objects from (select w.form, w.class, w.place, w.object, w.text collate pg_catalog.\"C\" as text from w \
     where pg_catalog.strpos(w.text, '.') operator(pg_catalog.>) 0 or pg_catalog.strpos(w.text, 'search_path') operator(pg_catalog.>) 0) as w \
     group by w.form, w.text, w.class";

/// Reads all references from the schemas, and from the shared one, into another one of the schemas.
pub(crate) async fn references(
    conn: &mut PgConnection,
    schemas: &[Ident],
    shared: Option<&Ident>,
) -> sqlx::Result<Vec<CrossReference>> {
    let mut search = ReferenceSearch::new(schemas, shared);
    search.dependencies(conn).await?;
    let mentioned = search.texts(conn, 0..search.len()).await?;
    search.resolve(conn, &mentioned).await?;
    Ok(search.finish())
}

/// A search for references, with one statement per step: recorded dependencies, names in texts, and their resolution.
#[derive(Debug)]
pub(crate) struct ReferenceSearch<'a> {
    /// The schemas of tenants, then the shared one.
    names: Vec<&'a str>,
    /// The number of the shared schema, from 1; 0 for none.
    place_of_shared: usize,
    /// The numbers of the tenants' schemas.
    places: BTreeMap<&'a str, usize>,
    found: Vec<CrossReference>,
}

/// A text that names another schema.
#[derive(Debug)]
pub(crate) struct Mentioned {
    form: &'static str,
    place: i32,
    class: Oid,
    object: Oid,
    mention: Mention,
}

impl<'a> ReferenceSearch<'a> {
    pub(crate) fn new(schemas: &'a [Ident], shared: Option<&'a Ident>) -> Self {
        let tenants = schemas.iter().filter(|schema| Some(*schema) != shared);
        let names: Vec<&str> = tenants.chain(shared).map(Ident::as_str).collect();
        let place_of_shared = shared.map_or(0, |_| names.len());
        let places = names.iter().enumerate().filter(|(at, _)| at + 1 != place_of_shared);
        let places = places.map(|(at, name)| (*name, at + 1)).collect();
        Self { names, place_of_shared, places, found: Vec::new() }
    }

    /// Returns the number of schemas.
    pub(crate) fn len(&self) -> usize {
        self.names.len()
    }

    /// Returns the name of a schema by its index.
    pub(crate) fn name(&self, place: usize) -> &'a str {
        self.names.get(place).copied().unwrap_or_default()
    }

    /// Reads the dependencies that the server has recorded.
    pub(crate) async fn dependencies(&mut self, conn: &mut PgConnection) -> sqlx::Result<()> {
        let mut sql = Sql::new(SCHEMAS);
        sql.text(", ").text(HOMES).text(", ").text(DEPENDENCIES).text(DESCRIBED);
        let query = sqlx::query(sql.finish())
            .bind(&self.names)
            .bind(i32::try_from(self.place_of_shared).unwrap_or_default())
            .persistent(false);
        let rows = query.fetch_all(conn).await?;
        self.keep(&rows)
    }

    /// Searches the texts of some of the schemas for names of schemas.
    pub(crate) async fn texts(
        &self,
        conn: &mut PgConnection,
        asked: Range<usize>,
    ) -> sqlx::Result<Vec<Mentioned>> {
        let mut sql = Sql::new(SCHEMAS);
        sql.text(", ").text(TEXTS);
        let names = self.names.iter().enumerate();
        let names: Vec<_> = names.map(|(at, name)| asked.contains(&at).then_some(*name)).collect();
        let rows = sqlx::query(sql.finish()).bind(names).persistent(false).fetch_all(conn).await?;
        let mut mentioned = Vec::new();
        for row in &rows {
            let form = match row.try_get("form")? {
                "sql" => Form::Sql,
                "path" => Form::Setting,
                "printed" => Form::Printed,
                _ => Form::Body,
            };
            let (class, is_body): (Oid, bool) = (row.try_get("class")?, row.try_get("is_body")?);
            let places: Vec<i32> = row.try_get("places")?;
            let objects: Vec<Oid> = row.try_get("objects")?;
            for mention in mentions::mentions(row.try_get("text")?, form, &self.places) {
                let form = match (mention.in_search_path, is_body) {
                    (true, _) => "path",
                    (false, true) => "body",
                    (false, false) => "string",
                };
                let own = i32::try_from(mention.schema).unwrap_or_default();
                for (place, object) in places.iter().zip(&objects) {
                    if *place != own {
                        let (place, object, mention) = (*place, *object, mention.clone());
                        mentioned.push(Mentioned { form, place, class, object, mention });
                    }
                }
            }
        }
        Ok(mentioned)
    }

    /// Keeps the names of existing objects.
    pub(crate) async fn resolve(
        &mut self,
        conn: &mut PgConnection,
        mentioned: &[Mentioned],
    ) -> sqlx::Result<()> {
        if mentioned.is_empty() {
            return Ok(());
        }
        let column = |value: fn(&Mentioned) -> i32| mentioned.iter().map(value).collect::<Vec<_>>();
        let places = column(|m| m.place);
        let others = column(|m| i32::try_from(m.mention.schema).unwrap_or_default());
        let mut sql = Sql::new(SCHEMAS);
        sql.text(", ").text(NAMED).text(DESCRIBED);
        let query = sqlx::query(sql.finish())
            .bind(&self.names)
            .bind(mentioned.iter().map(|m| m.form).collect::<Vec<_>>())
            .bind(places)
            .bind(mentioned.iter().map(|m| m.class).collect::<Vec<_>>())
            .bind(mentioned.iter().map(|m| m.object).collect::<Vec<_>>())
            .bind(others)
            .bind(mentioned.iter().map(|m| m.mention.name.as_str()).collect::<Vec<_>>())
            .bind(mentioned.iter().map(|m| m.mention.may_be_routine).collect::<Vec<_>>());
        let rows = query.persistent(false).fetch_all(conn).await?;
        self.keep(&rows)
    }

    fn keep(&mut self, rows: &[PgRow]) -> sqlx::Result<()> {
        for row in rows {
            self.found.extend(reference(row, &self.names)?);
        }
        Ok(())
    }

    /// Returns the distinct references, in order.
    pub(crate) fn finish(self) -> Vec<CrossReference> {
        // A recorded dependency takes precedence over a name in a text.
        let same = |reference: &CrossReference| {
            let CrossReference { from_schema, object, to_schema, to, .. } = reference.clone();
            (from_schema, object, to_schema, to)
        };
        let mut found = self.found;
        found.sort();
        found.dedup_by_key(|reference| same(reference));
        found
    }
}

fn reference(row: &PgRow, names: &[&str]) -> sqlx::Result<Option<CrossReference>> {
    let schema = |column: &str| {
        let place = usize::try_from(row.try_get::<i32, _>(column)?).unwrap_or_default();
        Ok::<_, sqlx::Error>(place.checked_sub(1).and_then(|place| names.get(place).copied()))
    };
    let (Some(from), Some(to)) = (schema("place")?, schema("other")?) else { return Ok(None) };
    // It no longer exists.
    let words: Option<&str> = row.try_get("type")?;
    let object_names: Option<Vec<String>> = row.try_get("names")?;
    let (Some(words), Some(object_names)) = (words, object_names) else { return Ok(None) };
    let described = Described {
        words,
        names: &object_names,
        arguments: row.try_get("arguments")?,
        detail: row.try_get("detail")?,
        other: row.try_get("other_catalog")?,
    };
    let (object, via) = described.resolve();
    let via = match row.try_get("form")? {
        "path" => ReferenceKind::SearchPath,
        "body" => ReferenceKind::FunctionBody,
        "string" => ReferenceKind::Literal,
        _ => via,
    };
    Ok(Some(CrossReference {
        from_schema: from.to_owned(),
        object,
        to_schema: to.to_owned(),
        to: row.try_get::<Option<String>, _>("other_name")?.unwrap_or_default(),
        via,
    }))
}
