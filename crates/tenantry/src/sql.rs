//! The only place that builds SQL text.
//!
//! [`Sql`] accepts only string literals from the source code, identifiers and quoted values, so its
//! result is safe by construction. No other file of the crate may use [`sqlx::AssertSqlSafe`].

use std::{fmt::Write, ops::Range};

use sqlx::{SqlSafeStr, SqlStr};

use crate::{plain::is_plain, tenant::Ident};

/// SQL text under construction.
#[derive(Debug, Default)]
pub(crate) struct Sql(String);

impl Sql {
    pub(crate) fn new(text: &'static str) -> Self {
        Self(text.to_owned())
    }

    /// Appends a string literal from the source code.
    pub(crate) fn text(&mut self, text: &'static str) -> &mut Self {
        self.0.push_str(text);
        self
    }

    /// Appends an identifier in double quotes.
    pub(crate) fn ident(&mut self, ident: &Ident) -> &mut Self {
        self.display(ident.quoted())
    }

    /// Appends an object name, as stored in the server's catalogs, in double quotes.
    pub(crate) fn name(&mut self, name: &str) -> &mut Self {
        self.0.push('"');
        for character in name.chars().filter(|character| *character != '\0') {
            if character == '"' {
                self.0.push('"');
            }
            self.0.push(character);
        }
        self.0.push('"');
        self
    }

    /// Appends the operator for equality of a schema, as stored in the server's catalogs.
    pub(crate) fn equals_in(&mut self, schema: &str) -> &mut Self {
        self.text(" operator(").name(schema).0.push_str(".=) ");
        self
    }

    /// Appends the beginning of the assignment to a column, as stored in the server's catalogs.
    pub(crate) fn assign(&mut self, column: &str) -> &mut Self {
        self.name(column).0.push_str(" = ");
        self
    }

    /// Appends identifiers in double quotes, with commas between them.
    pub(crate) fn idents(&mut self, idents: &[Ident]) -> &mut Self {
        for (index, ident) in idents.iter().enumerate() {
            self.text(if index == 0 { "" } else { ", " }).ident(ident);
        }
        self
    }

    /// Appends text that is already vouched for, such as a migration file, or part of it.
    pub(crate) fn vouched(&mut self, sql: &SqlStr, part: Range<usize>) -> &mut Self {
        self.0.push_str(sql.as_str().get(part).unwrap_or_default());
        self
    }

    /// Appends a condition written by the operator, on separate lines, so that a comment in it ends
    /// there.
    pub(crate) fn operators_condition(&mut self, condition: &str) -> &mut Self {
        self.display(format_args!("(\n{condition}\n)"))
    }

    /// Appends an application's catalog query in parentheses, on separate lines, so that a comment
    /// in it ends there.
    pub(crate) fn query_of_application(&mut self, query: &str) -> &mut Self {
        self.display(format_args!("(\n{query}\n)"))
    }

    /// Appends a signed integer.
    pub(crate) fn integer(&mut self, number: i64) -> &mut Self {
        self.display(number)
    }

    /// Appends bytes as a constant.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.text("pg_catalog.decode('");
        for byte in bytes {
            self.display(format_args!("{byte:02x}"));
        }
        self.text("', 'hex')")
    }

    /// Appends other SQL.
    pub(crate) fn sql(&mut self, sql: &Self) -> &mut Self {
        self.0.push_str(&sql.0);
        self
    }

    /// Appends SQL as a string constant in dollar quotes, as people write the body of a block.
    pub(crate) fn body(&mut self, body: &Self) -> &mut Self {
        match body.0.contains("$do$") {
            true => self.literal(&body.0),
            false => self.text("$do$").sql(body).text("$do$"),
        }
    }

    /// Returns the text so far.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the length of the text so far, in bytes.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Appends an unsigned integer.
    pub(crate) fn number(&mut self, number: u64) -> &mut Self {
        self.display(number)
    }

    /// Appends a string constant.
    ///
    /// Only for text that must travel in the simple protocol, which has no parameters. Values with
    /// a backslash use the `E''` form, so that they mean the same under any
    /// `standard_conforming_strings`, like PostgreSQL's own
    /// [`quote_literal`](https://www.postgresql.org/docs/current/functions-string.html). A NUL
    /// byte, which no PostgreSQL text can hold, ends the value.
    pub(crate) fn literal(&mut self, value: &str) -> &mut Self {
        let value = value.split('\0').next().unwrap_or_default();
        self.0.push_str(if value.contains('\\') { " E'" } else { "'" });
        for character in value.chars() {
            if matches!(character, '\'' | '\\') {
                self.0.push(character);
            }
            self.0.push(character);
        }
        self.0.push('\'');
        self
    }

    fn display(&mut self, value: impl std::fmt::Display) -> &mut Self {
        write!(self.0, "{value}").expect("writing into a String does not fail");
        self
    }

    #[expect(clippy::disallowed_methods, reason = "every part of the text is checked by its type")]
    pub(crate) fn finish(self) -> SqlStr {
        sqlx::AssertSqlSafe(self.0).into_sql_str()
    }
}

/// SQL for people to read and run: names that would disturb a terminal are escaped.
#[derive(Debug, Default)]
pub(crate) struct Shown(String);

impl Shown {
    pub(crate) fn words(&mut self, text: &'static str) -> &mut Self {
        self.0.push_str(text);
        self
    }

    /// Appends an object name in double quotes, in the form
    /// [`U&""`](https://www.postgresql.org/docs/current/sql-syntax-lexical.html#SQL-SYNTAX-IDENTIFIERS)
    /// if it has invisible characters.
    pub(crate) fn name(&mut self, name: &str) -> &mut Self {
        let as_it_is = name.chars().all(is_plain);
        self.0.push_str(if as_it_is { "\"" } else { "U&\"" });
        for character in name.chars() {
            match character {
                '"' => self.0.push_str("\"\""),
                '\\' if !as_it_is => self.0.push_str("\\\\"),
                plain if is_plain(plain) => self.0.push(plain),
                hidden => {
                    write!(self.0, "\\+{:06X}", u32::from(hidden))
                        .expect("a String takes any text");
                }
            }
        }
        self.0.push('"');
        self
    }

    /// Appends an object name qualified with its schema.
    pub(crate) fn of(&mut self, schema: &Ident, name: &str) -> &mut Self {
        self.name(schema.as_str()).words(".").name(name)
    }

    pub(crate) fn finish(self) -> String {
        self.0
    }
}

/// Vouches for definitions that the server has printed, and for statements built from them.
#[expect(clippy::disallowed_methods, reason = "the server's own words, with its own quotes")]
pub(crate) fn printed_by_server(text: String) -> SqlStr {
    sqlx::AssertSqlSafe(text).into_sql_str()
}

/// Vouches for SQL in a file written by the operator of the service: it is theirs to run, like
/// sqlx's own migrations.
#[expect(clippy::disallowed_methods, reason = "a file of the operator's, as sqlx's migrations are")]
pub(crate) fn operators_file(text: String) -> SqlStr {
    sqlx::AssertSqlSafe(text).into_sql_str()
}

/// Vouches for the one statement that an operator asked to run over tenants, with the operator's
/// privileges: it is the whole message, without any SQL of the library.
#[expect(clippy::disallowed_methods, reason = "the operator's own statement, verbatim")]
pub(crate) fn operators_statement(text: &str) -> SqlStr {
    sqlx::AssertSqlSafe(text).into_sql_str()
}

/// Vouches for a statement in one of the doctor's findings: it is built here or by the operator's
/// own check.
#[expect(clippy::disallowed_methods, reason = "built from quoted names, or by the operator's code")]
pub(crate) fn statement_of_finding(text: &str) -> SqlStr {
    sqlx::AssertSqlSafe(text.to_owned()).into_sql_str()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_values_for_either_setting_of_the_server() {
        let text = |value: &str| {
            let mut sql = Sql::default();
            sql.literal(value);
            sql.0
        };
        assert_eq!(text("plain"), "'plain'");
        assert_eq!(text("it's"), "'it''s'");
        assert_eq!(text(r"\'; drop"), r" E'\\''; drop'");
        assert_eq!(text("cut\0here"), "'cut'");
    }
}
