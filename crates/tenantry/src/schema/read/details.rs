//! All details of schemas.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::{PgConnection, Row, postgres::PgRow};

use super::{
    super::{
        Object, ObjectKey, ObjectKind, SchemaModel, Value,
        tokens::{self, Own},
    },
    READERS, Subject, Unreadable, begin,
    beyond::beyond_of,
    names,
    reader::{Column, Form, Reader},
    write_facts,
};
use crate::sql::Sql;

/// Reads the models of schemas in one snapshot, in this order.
pub(crate) async fn details(
    conn: &mut PgConnection,
    subjects: &[&Subject],
) -> sqlx::Result<Vec<Result<SchemaModel, Unreadable>>> {
    let server_version = begin(conn).await?;
    let mut sql = Sql::default();
    write_facts(&mut sql, server_version);
    sql.text("select f.place, f.reader, f.fact from f");
    let (schemas, roles) = names(subjects);
    let query = sqlx::query(sql.finish()).bind(schemas).bind(roles).persistent(false);
    let rows = query.fetch_all(&mut *conn).await?;
    let mut facts: Vec<Vec<Fact>> = Vec::new();
    facts.resize_with(subjects.len(), Vec::new);
    for row in &rows {
        let place = usize::try_from(row.try_get::<i32, _>(0)? - 1).unwrap_or(usize::MAX);
        if let Some(facts) = facts.get_mut(place) {
            facts.push(Fact::from_row(row)?);
        }
    }
    let names = facts.iter().flatten().filter_map(Fact::named).collect::<BTreeSet<_>>();
    let hidden = hidden(conn, names.into_iter().collect()).await?;
    let beyond = beyond_of(conn, subjects, server_version).await?;
    let mut models = Vec::with_capacity(subjects.len());
    for ((subject, facts), beyond) in subjects.iter().zip(facts).zip(beyond) {
        models.push(match facts.is_empty() {
            true => Err(why_not(conn, subject).await?),
            false => Ok(SchemaModel { beyond, ..model(subject, server_version, &facts, &hidden) }),
        });
    }
    Ok(models)
}

/// Determines which names also exist in `pg_catalog`: only these are qualified by the server in a schema's own
/// definitions.
async fn hidden(conn: &mut PgConnection, names: Vec<String>) -> sqlx::Result<BTreeSet<String>> {
    let query = sqlx::query_scalar(
        "select o.name from pg_catalog.unnest($1::pg_catalog.text[]) as o (name) where \
           exists (select from pg_catalog.pg_class c where c.relname operator(pg_catalog.=) o.name::pg_catalog.name \
             and c.relnamespace operator(pg_catalog.=) 'pg_catalog'::pg_catalog.regnamespace) or \
           exists (select from pg_catalog.pg_type c where c.typname operator(pg_catalog.=) o.name::pg_catalog.name \
             and c.typnamespace operator(pg_catalog.=) 'pg_catalog'::pg_catalog.regnamespace) or \
           exists (select from pg_catalog.pg_proc c where c.proname operator(pg_catalog.=) o.name::pg_catalog.name \
             and c.pronamespace operator(pg_catalog.=) 'pg_catalog'::pg_catalog.regnamespace) or \
           exists (select from pg_catalog.pg_operator c where c.oprname operator(pg_catalog.=) o.name::pg_catalog.name \
             and c.oprnamespace operator(pg_catalog.=) 'pg_catalog'::pg_catalog.regnamespace) or \
           exists (select from pg_catalog.pg_collation c where c.collname operator(pg_catalog.=) o.name::pg_catalog.name \
             and c.collnamespace operator(pg_catalog.=) 'pg_catalog'::pg_catalog.regnamespace) or \
           exists (select from pg_catalog.pg_opclass c where c.opcname operator(pg_catalog.=) o.name::pg_catalog.name \
             and c.opcnamespace operator(pg_catalog.=) 'pg_catalog'::pg_catalog.regnamespace) or \
           exists (select from pg_catalog.pg_ts_config c where c.cfgname operator(pg_catalog.=) o.name::pg_catalog.name \
             and c.cfgnamespace operator(pg_catalog.=) 'pg_catalog'::pg_catalog.regnamespace) or \
           exists (select from pg_catalog.pg_ts_dict c where c.dictname operator(pg_catalog.=) o.name::pg_catalog.name \
             and c.dictnamespace operator(pg_catalog.=) 'pg_catalog'::pg_catalog.regnamespace)",
    );
    let names: Vec<String> = query.bind(names).persistent(false).fetch_all(conn).await?;
    Ok(names.into_iter().collect())
}

fn model(
    subject: &Subject,
    server_version: u32,
    facts: &[Fact],
    hidden: &BTreeSet<String>,
) -> SchemaModel {
    let own = Own {
        schema: subject.schema.as_str(),
        role: subject.role.as_ref().map(|role| role.as_str()),
    };
    let names = Names { objects: facts.iter().filter_map(Fact::named).collect(), hidden };
    let objects = facts.iter().filter_map(|fact| fact.object(server_version, own, &names));
    SchemaModel {
        schema: own.schema.to_owned(),
        role: own.role.map(str::to_owned),
        server_version,
        objects: objects.collect::<BTreeMap<_, _>>(),
        beyond: Vec::new(),
    }
}

/// Determines why nothing was found in a schema, which always has at least an owner.
async fn why_not(conn: &mut PgConnection, subject: &Subject) -> sqlx::Result<Unreadable> {
    let query = sqlx::query(
        "select from pg_catalog.pg_namespace s where s.nspname operator(pg_catalog.=) $1::pg_catalog.name",
    );
    let query = query.bind(subject.schema.as_str()).persistent(false);
    let there = query.fetch_optional(conn).await?.is_some();
    Ok(if there { Unreadable::NoUsage } else { Unreadable::Missing })
}

/// The possible meanings of names in a schema's texts.
struct Names<'a> {
    /// The names of its objects.
    objects: BTreeSet<String>,
    /// The names that also exist in `pg_catalog`.
    hidden: &'a BTreeSet<String>,
}

struct Fact {
    reader: &'static Reader,
    texts: Vec<Option<String>>,
}

impl Fact {
    fn from_row(row: &PgRow) -> sqlx::Result<Self> {
        let reader = usize::try_from(row.try_get::<i32, _>(1)?).unwrap_or(usize::MAX);
        let reader = READERS.get(reader).ok_or(sqlx::Error::RowNotFound)?;
        Ok(Self { reader, texts: row.try_get(2)? })
    }

    fn text(&self, place: usize) -> Option<&str> {
        self.texts.get(place)?.as_deref()
    }

    /// Returns the name of the object, if a qualified name can refer to it.
    fn named(&self) -> Option<String> {
        let part = matches!(
            self.reader.kind,
            ObjectKind::Column
                | ObjectKind::Constraint
                | ObjectKind::Trigger
                | ObjectKind::Rule
                | ObjectKind::Policy
                | ObjectKind::DefaultPrivileges
        );
        (!part).then(|| self.text(1).unwrap_or_default().to_owned())
    }

    fn object(&self, version: u32, own: Own<'_>, names: &Names<'_>) -> Option<(ObjectKey, Object)> {
        let key = ObjectKey {
            kind: self.reader.kind,
            of: self.text(0).map(str::to_owned),
            name: self.text(1)?.to_owned(),
            arguments: self
                .text(2)
                .map(|text| tokens::take_out_of_printed(text, own, (&names.objects, names.hidden))),
        };
        let mut object = Object::default();
        for (place, column) in self.reader.columns(version).enumerate() {
            if let Some(text) = self.text(place + 3) {
                object.set(column.attribute, value(column, text, own, names));
            }
        }
        Some((key, object))
    }
}

fn value(column: &Column, text: &str, own: Own<'_>, names: &Names<'_>) -> Value {
    let list = || -> Vec<String> {
        let list = serde_json::from_str::<Vec<Option<String>>>(text).unwrap_or_default();
        list.into_iter().flatten().collect()
    };
    let each = |change: &dyn Fn(&str) -> String| {
        Value::List(list().iter().map(|text| change(text)).collect())
    };
    match column.form {
        Form::Flag => Value::Flag(true),
        Form::Word | Form::Role => Value::Text(text.to_owned()),
        Form::Printed => {
            Value::Text(tokens::take_out_of_printed(text, own, (&names.objects, names.hidden)))
        }
        Form::Written => Value::Text(tokens::take_out(text, own, &names.objects)),
        Form::Words | Form::Grants { .. } => Value::List(list()),
        Form::PrintedList => {
            each(&|text| tokens::take_out_of_printed(text, own, (&names.objects, names.hidden)))
        }
        Form::Settings => each(&|text| tokens::take_out_of_setting(text, own)),
    }
}
