//! Fingerprints of many schemas, computed by the server.

use sqlx::{PgConnection, Row};

use super::{
    super::tokens::{self, Own},
    READERS, Subject, begin, names,
    reader::Form,
    write_facts,
};
use crate::sql::Sql;

/// A hash of a schema's contents: schemas with equal fingerprints have equal models, apart from their names.
///
/// The converse does not always hold: definitions in which the schema's name also occurs as an ordinary word must be
/// compared.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub struct Fingerprint {
    /// SHA-256 of the facts that do not contain the own names.
    hash: Vec<u8>,
    /// The others, without these names.
    own: Vec<String>,
}

/// Computes the fingerprints of schemas in one statement, in this order. There is none for a schema that does not
/// exist or on which the role lacks usage.
pub(crate) async fn fingerprints(
    conn: &mut PgConnection,
    subjects: &[&Subject],
) -> sqlx::Result<Vec<Option<Fingerprint>>> {
    read(conn, subjects, false).await
}

/// Computes the fingerprint of a schema with a statement that stays prepared, for a session that asks again soon:
/// planning takes several times as long as executing. To save it, the session needs
/// `plan_cache_mode = force_generic_plan`.
pub(crate) async fn fingerprint_prepared(
    conn: &mut PgConnection,
    subject: &Subject,
) -> sqlx::Result<Option<Fingerprint>> {
    Ok(read(conn, &[subject], true).await?.pop().flatten())
}

async fn read(
    conn: &mut PgConnection,
    subjects: &[&Subject],
    stays_prepared: bool,
) -> sqlx::Result<Vec<Option<Fingerprint>>> {
    let server_version = begin(conn).await?;
    let mut sql = Sql::default();
    write_facts(&mut sql, server_version);
    // A name with a quote or a backslash looks different in the text of an array.
    sql.text(
        "select l.place, pg_catalog.sha256(pg_catalog.convert_to(coalesce( \
           pg_catalog.string_agg(l.line, '' order by l.line collate pg_catalog.\"C\") filter (where not l.own), ''), 'UTF8')), \
           pg_catalog.array_agg(l.line) filter (where l.own) \
         from (select n.place, f.line, \
             pg_catalog.strpos(f.line, n.name::pg_catalog.text) operator(pg_catalog.>) 0 \
             or n.role_name is not null and pg_catalog.strpos(f.line, n.role_name::pg_catalog.text) operator(pg_catalog.>) 0 \
             or pg_catalog.strpos(n.name::pg_catalog.text, '\"') operator(pg_catalog.>) 0 \
             or pg_catalog.strpos(n.name::pg_catalog.text, '\\') operator(pg_catalog.>) 0 as own \
           from (select f.place, pg_catalog.concat(f.reader, f.fact) as line from f) as f join n on n.place operator(pg_catalog.=) f.place) as l \
         group by l.place",
    );
    let (schemas, roles) = names(subjects);
    let query = sqlx::query(sql.finish()).bind(schemas).bind(roles).persistent(stays_prepared);
    let mut found = vec![None; subjects.len()];
    for row in query.fetch_all(conn).await? {
        let place = usize::try_from(row.try_get::<i32, _>(0)? - 1).unwrap_or(usize::MAX);
        let (Some(found), Some(subject)) = (found.get_mut(place), subjects.get(place)) else {
            continue;
        };
        let own = Own {
            schema: subject.schema.as_str(),
            role: subject.role.as_ref().map(|role| role.as_str()),
        };
        let lines: Option<Vec<String>> = row.try_get(2)?;
        let lines = lines.unwrap_or_default();
        let mut lines: Vec<_> =
            lines.iter().map(|line| without_names(line, server_version, own)).collect();
        lines.sort_unstable();
        *found = Some(Fingerprint { hash: row.try_get(1)?, own: lines });
    }
    Ok(found)
}

/// Removes the own names from the attributes of a fact that can contain them.
fn without_names(line: &str, version: u32, own: Own<'_>) -> String {
    let split = line.find('{').unwrap_or(line.len());
    let (reader, fact) = line.split_at(split);
    let Some(reader) = reader.parse().ok().and_then(|place: usize| READERS.get(place)) else {
        return line.to_owned();
    };
    let forms = reader.columns(version).map(|column| column.form);
    let key = [Form::Word, Form::Word, Form::Printed];
    let forms = key.into_iter().chain(forms);
    let texts = elements(fact);
    let blanked = texts.into_iter().zip(forms).map(|(text, form)| {
        text.map(|text| match form {
            Form::Flag | Form::Word | Form::Role | Form::Words | Form::Grants { .. } => text,
            Form::Printed | Form::PrintedList => tokens::blank(&text, own, false),
            Form::Written | Form::Settings => tokens::blank(&text, own, true),
        })
    });
    format!("{}{:?}", reader.kind.as_str(), blanked.collect::<Vec<_>>())
}

/// Splits the text of a one-dimensional array.
fn elements(array: &str) -> Vec<Option<String>> {
    let inner = array.strip_prefix('{').and_then(|array| array.strip_suffix('}'));
    let mut characters = inner.unwrap_or_default().chars().peekable();
    let mut elements = Vec::new();
    while characters.peek().is_some() {
        let mut text = String::new();
        if characters.next_if_eq(&'"').is_some() {
            while let Some(character) = characters.next() {
                match character {
                    '"' => break,
                    '\\' => text.extend(characters.next()),
                    other => text.push(other),
                }
            }
            elements.push(Some(text));
        } else {
            while let Some(character) = characters.next_if(|character| *character != ',') {
                text.push(character);
            }
            elements.push((text != "NULL").then_some(text));
        }
        characters.next_if_eq(&',');
    }
    elements
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_arrays_apart() {
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(
            elements(r#"{a,NULL,"b c","NULL","","q\"\\",x}"#),
            [text("a"), None, text("b c"), text("NULL"), text(""), text("q\"\\"), text("x")]
        );
        assert_eq!(elements("{}"), []);
    }
}
