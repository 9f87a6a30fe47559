//! Locates an object that a statement has not found: an extension is often in a schema outside the
//! tenants' search path.

use super::SharedDb;
use crate::{error::Error, tenant::Ident};

impl SharedDb {
    /// Returns the location of the type, function, operator or table that an error of this SQLSTATE
    /// reports as missing, if it belongs to an extension or to the shared schema and is not in the
    /// search path. `None` for other errors.
    ///
    /// It never names another tenant's schema.
    pub(crate) async fn elsewhere(
        &self,
        sqlstate: &str,
        message: &str,
        path: &[Ident],
        shared: Option<&Ident>,
    ) -> Result<Option<String>, Error> {
        if !is_of_names(sqlstate) {
            return Ok(None);
        }
        let names = names_in(message);
        let path: Vec<_> = path.iter().map(Ident::as_str).collect();
        let found = sqlx::query_as(FIND)
            .bind(&names)
            .bind(&path)
            .bind(shared.map(Ident::as_str))
            .bind(sqlstate)
            .persistent(false);
        let found: Option<(String, String, String, bool)> = found.fetch_optional(self).await?;
        Ok(found.map(|(kind, name, schema, of_extension)| match of_extension {
            true => format!(
                "the {kind} {name} belongs to an extension in the schema {schema}, which is not in the \
                 search path: put that schema into extension_schemas, or write {schema}.{name}"
            ),
            false => format!(
                "there is a {kind} {name} in the schema {schema}, which is not in the search path: write \
                 {schema}.{name}"
            ),
        }))
    }
}

/// Returns `true` if the SQLSTATE means that a name was not found.
pub(crate) fn is_of_names(sqlstate: &str) -> bool {
    matches!(sqlstate, "42704" | "42883" | "42P01")
}

/// Finds possible names in a server message of any language: quoted text, text before a
/// parenthesis, and operators. Of a qualified name, it returns the last part.
fn names_in(message: &str) -> Vec<&str> {
    let last = |name: &'_ str| -> usize { name.rfind('.').map_or(0, |dot| dot + 1) };
    let quoted = message.split(['"', '„', '“', '”', '«', '»', '‘', '’']).skip(1).step_by(2);
    let called = message.split('(').filter_map(|before| before.split_whitespace().next_back());
    let is_operator = |word: &&str| word.chars().all(|c| "+-*/<>=~!@#%^&|`?".contains(c));
    let operators = message.split_whitespace().filter(is_operator);
    let names = quoted.chain(called).chain(operators).map(|name| &name[last(name)..]);
    names.map(str::trim).filter(|name| !name.is_empty()).collect()
}

/// Finds the first object that has one of these names and is in none of these schemas; objects of
/// an extension come before those of the shared schema.
const FIND: &str = "\
    with named as ( \
      select 'type' as kind, 'pg_catalog.pg_type'::pg_catalog.regclass as classid, oid, \
        typname as name, typnamespace as schema \
      from pg_catalog.pg_type where typname operator(pg_catalog.=) any ($1::pg_catalog.text[]) \
      union all \
      select 'function', 'pg_catalog.pg_proc'::pg_catalog.regclass, oid, proname, pronamespace \
      from pg_catalog.pg_proc where proname operator(pg_catalog.=) any ($1::pg_catalog.text[]) \
      union all \
      select 'operator', 'pg_catalog.pg_operator'::pg_catalog.regclass, oid, oprname, oprnamespace \
      from pg_catalog.pg_operator where oprname operator(pg_catalog.=) any ($1::pg_catalog.text[]) \
      union all \
      select 'operator class', 'pg_catalog.pg_opclass'::pg_catalog.regclass, oid, opcname, opcnamespace \
      from pg_catalog.pg_opclass where opcname operator(pg_catalog.=) any ($1::pg_catalog.text[]) \
      union all \
      select 'collation', 'pg_catalog.pg_collation'::pg_catalog.regclass, oid, collname, collnamespace \
      from pg_catalog.pg_collation where collname operator(pg_catalog.=) any ($1::pg_catalog.text[]) \
      union all \
      select 'text search configuration', 'pg_catalog.pg_ts_config'::pg_catalog.regclass, oid, cfgname, \
        cfgnamespace \
      from pg_catalog.pg_ts_config where cfgname operator(pg_catalog.=) any ($1::pg_catalog.text[]) \
      union all \
      select 'text search dictionary', 'pg_catalog.pg_ts_dict'::pg_catalog.regclass, oid, dictname, \
        dictnamespace \
      from pg_catalog.pg_ts_dict where dictname operator(pg_catalog.=) any ($1::pg_catalog.text[]) \
      union all \
      select case when relkind operator(pg_catalog.=) any (array['v', 'm']::pg_catalog.\"char\"[]) \
          then 'view' else 'table' end, \
        'pg_catalog.pg_class'::pg_catalog.regclass, oid, relname, relnamespace \
      from pg_catalog.pg_class where relname operator(pg_catalog.=) any ($1::pg_catalog.text[]) \
        and relkind operator(pg_catalog.=) any (array['r', 'p', 'v', 'm', 'f']::pg_catalog.\"char\"[])), \
    located as ( \
      select k.kind, k.name, n.nspname, exists (select from pg_catalog.pg_depend d \
        where d.classid operator(pg_catalog.=) k.classid and d.objid operator(pg_catalog.=) k.oid \
        and d.deptype operator(pg_catalog.=) 'e') as of_extension \
      from named k join pg_catalog.pg_namespace n on n.oid operator(pg_catalog.=) k.schema \
      where n.nspname operator(pg_catalog.<>) 'pg_catalog' \
      and not n.nspname operator(pg_catalog.=) any ($2::pg_catalog.text[])) \
    select kind, case when kind operator(pg_catalog.=) 'operator' then name::pg_catalog.text \
        else pg_catalog.quote_ident(name::pg_catalog.text) end, \
      pg_catalog.quote_ident(nspname::pg_catalog.text), of_extension \
    from located \
    where (of_extension or nspname operator(pg_catalog.=) $3) \
    and case when $4 operator(pg_catalog.=) '42883' \
        then kind operator(pg_catalog.=) any (array['function', 'operator']) \
      when $4 operator(pg_catalog.=) '42P01' then kind operator(pg_catalog.=) any (array['table', 'view']) \
      else not kind operator(pg_catalog.=) \
        any (array['function', 'operator', 'table', 'view']) end \
    order by of_extension desc, kind, nspname limit 1";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_in_messages_of_any_language() {
        for (message, name) in [
            (r#"type "citext" does not exist"#, "citext"),
            (r#"type "public.citext" does not exist"#, "citext"),
            (
                r#"operator class "gin_trgm_ops" does not exist for access method "gin""#,
                "gin_trgm_ops",
            ),
            ("function uuid_generate_v4() does not exist", "uuid_generate_v4"),
            ("function public.similarity(text, unknown) does not exist", "similarity"),
            ("operator does not exist: text % unknown", "%"),
            ("operator does not exist: text <-> text", "<->"),
            ("Typ »citext« existiert nicht", "citext"),
            ("le type « citext » n'existe pas", "citext"),
            ("Funktion uuid_generate_v4() existiert nicht", "uuid_generate_v4"),
        ] {
            let found = names_in(message);
            assert!(found.contains(&name), "{message}: {found:?}");
        }
        assert!(names_in("").is_empty());
    }
}
