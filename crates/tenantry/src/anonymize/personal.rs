//! Columns that look personal and have no rule.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use serde::Serialize;

use super::{
    Anonymize, content,
    name::{Kind, holds, holds_text, name_of},
    pattern::ColumnPattern,
    shape::Shape,
    unique,
};
use crate::schema::{Attribute, Object, ObjectKind, SchemaModel, export::keys::foreign_keys};

/// The table of migrations, which describes files.
const BOOKKEEPING: &str = "_sqlx_migrations";

/// A column that looks personal and has no rule. Give it a mask or `keep`.
///
/// Displayed as `users.email: its name, values like e-mail addresses`. It never contains a value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Suspicion {
    /// The table.
    pub table: String,
    /// The column.
    pub column: String,
    /// Why it looks personal.
    pub reasons: Vec<SuspicionReason>,
}

/// Why a column looks personal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SuspicionReason {
    /// The column name, such as `email` or `date_of_birth`.
    Name,
    /// The column name suggests free text, such as `notes`. This is the weakest reason.
    FreeText,
    /// The column comment contains a word such as "personal", "PII" or "GDPR".
    Comment,
    /// The data type holds network addresses or places.
    DataType,
    /// A sampled value contains an e-mail address.
    LooksLikeEmail,
    /// Sampled values look like telephone numbers.
    LooksLikePhone,
    /// A sampled value contains an IBAN with a valid checksum.
    LooksLikeIban,
    /// Sampled values are card numbers with a valid checksum.
    LooksLikeCard,
    /// Sampled values are IP addresses.
    LooksLikeIp,
    /// A sampled JSON value has a key that would be a suspicious column name.
    JsonKeys,
}

impl fmt::Display for SuspicionReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Name => "its name",
            Self::FreeText => "its name, which says free text",
            Self::Comment => "its comment",
            Self::DataType => "its type",
            Self::LooksLikeEmail => "values like e-mail addresses",
            Self::LooksLikePhone => "values like telephone numbers",
            Self::LooksLikeIban => "values like IBANs",
            Self::LooksLikeCard => "values like card numbers",
            Self::LooksLikeIp => "values like IP addresses",
            Self::JsonKeys => "keys in its JSON",
        })
    }
}

impl fmt::Display for Suspicion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reasons: Vec<_> = self.reasons.iter().map(SuspicionReason::to_string).collect();
        write!(f, "{}.{}: {}", self.table, self.column, reasons.join(", "))
    }
}

/// Sampled values of columns, for [`Anonymize::uncovered`]. `Debug` shows none of them.
#[derive(Clone, Default)]
pub struct Samples {
    values: BTreeMap<(String, String), Vec<String>>,
}

impl Samples {
    /// Adds a value of a column.
    pub fn add(
        &mut self,
        table: impl Into<String>,
        column: impl Into<String>,
        value: impl Into<String>,
    ) {
        self.values.entry((table.into(), column.into())).or_default().push(value.into());
    }

    fn of(&self, table: &str, column: &str) -> impl Iterator<Item = &str> {
        let values = self.values.get(&(table.to_owned(), column.to_owned()));
        values.into_iter().flatten().map(String::as_str)
    }
}

impl fmt::Debug for Samples {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Samples({} columns, redacted)", self.values.len())
    }
}

impl Anonymize {
    /// Returns the columns that look personal and have no rule. `keep` is a rule, too.
    ///
    /// Column names are recognised in English, German, French and Spanish. This is a safety net, not a guarantee: a
    /// column can hold personal data without looking like it.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use tenantry::{anonymize::{Anonymize, Samples}, schema::SchemaModel};
    ///
    /// # fn example(rules: Anonymize, model: SchemaModel) {
    /// for suspicion in rules.uncovered(&model, &Samples::default()) {
    ///     println!("{suspicion}");
    /// }
    /// # }
    /// ```
    #[must_use]
    pub fn uncovered(&self, model: &SchemaModel, samples: &Samples) -> Vec<Suspicion> {
        let patterns = self.rules.iter().flat_map(|rule| &rule.columns);
        let patterns: Vec<_> =
            patterns.filter_map(|text| ColumnPattern::parse(text).ok()).collect();
        let keys: BTreeSet<_> = foreign_keys(model)
            .into_iter()
            .flat_map(|key| key.columns.into_iter().map(move |column| (key.table.clone(), column)))
            .collect();
        let tables = model.of_kind(ObjectKind::Table);
        // Partitions follow their table.
        let tables = tables.filter(|(key, table)| {
            table.get(Attribute::PartitionOf).is_none() && key.name != BOOKKEEPING
        });
        let mut found = Vec::new();
        for (table, _) in tables {
            let primary_key = unique::primary_key(model, &table.name);
            for (key, column) in model.columns(&table.name) {
                let is_covered =
                    patterns.iter().any(|pattern| pattern.matches(&table.name, &key.name));
                if is_covered || is_generated(column) {
                    continue;
                }
                let is_key = primary_key.contains(&key.name)
                    || keys.contains(&(table.name.clone(), key.name.clone()));
                let samples = samples.of(&table.name, &key.name);
                let reasons = reasons(model, &key.name, column, is_key, samples);
                if !reasons.is_empty() {
                    let (table, column) = (table.name.clone(), key.name.clone());
                    found.push(Suspicion { table, column, reasons });
                }
            }
        }
        found
    }
}

fn is_generated(column: &Object) -> bool {
    column.get(Attribute::GeneratedStored).is_some()
        || column.get(Attribute::GeneratedVirtual).is_some()
}

fn reasons<'a>(
    model: &SchemaModel,
    name: &str,
    column: &Object,
    is_key: bool,
    samples: impl Iterator<Item = &'a str>,
) -> Vec<SuspicionReason> {
    let data_type = column.text(Attribute::Type).unwrap_or_default();
    let shape = Shape::of(model, data_type);
    let mut reasons = Vec::new();
    match name_of(name) {
        Some(Kind::FreeText) if holds_text(&shape) => reasons.push(SuspicionReason::FreeText),
        Some(kind) if kind.fits(&shape, is_key) => reasons.push(SuspicionReason::Name),
        _ => {}
    }
    if column.text(Attribute::Comment).is_some_and(is_personal_comment) {
        reasons.push(SuspicionReason::Comment);
    }
    let is_place = ["geography", "geometry", "macaddr", "point"]
        .into_iter()
        .any(|word| data_type.rsplit('.').next().unwrap_or_default().starts_with(word));
    if shape == Shape::Network || is_place {
        reasons.push(SuspicionReason::DataType);
    }
    if !matches!(shape, Shape::Uuid | Shape::Boolean | Shape::Date | Shape::Timestamp) {
        let is_personal = |key: &str| matches!(name_of(key), Some(kind) if kind != Kind::FreeText);
        reasons.extend(content::reasons(samples, is_personal));
    }
    reasons
}

fn is_personal_comment(comment: &str) -> bool {
    const WORDS: &str = "personal pii gdpr dsgvo rgpd hipaa phi ccpa sensitive confidential personenbezogen \
     personenbezogene vertraulich personnel personnelle personales";
    let words = comment.split(|c: char| !c.is_alphanumeric()).map(str::to_lowercase);
    words.into_iter().any(|word| holds(WORDS, &word))
}

#[cfg(test)]
mod tests {
    use super::{
        super::{FakeKind, example::Example},
        *,
    };

    fn found(rules: &Anonymize, example: Example, samples: &Samples) -> Vec<String> {
        rules.uncovered(&example.model(), samples).iter().map(Suspicion::to_string).collect()
    }

    fn users() -> Example {
        Example::new()
            .table(
                "users",
                &[
                    "id bigint not null",
                    "email text",
                    "phone bigint",
                    "is_email boolean",
                    "birthday date",
                    "created_at timestamp with time zone",
                    "address uuid",
                    "code text",
                    "data jsonb",
                    "lower_email text generated",
                    "last_seen inet",
                    "notes text",
                ],
            )
            .constraint("users", "PRIMARY KEY (id)")
            .comment("users", "code", "Personal data (GDPR).")
    }

    #[test]
    fn columns_without_a_rule_are_listed() {
        assert_eq!(
            found(&Anonymize::new(), users(), &Samples::default()),
            [
                "users.email: its name",
                "users.phone: its name",
                "users.birthday: its name",
                "users.code: its comment",
                "users.last_seen: its type",
                "users.notes: its name, which says free text",
            ]
        );
        let rules = Anonymize::new()
            .rule("*.email", FakeKind::Email)
            .keep("users.phone")
            .rule_at("users.data", "**", FakeKind::Name)
            .keep("users.[!x]*");
        assert_eq!(found(&rules, users(), &Samples::default()).len(), 4);
        assert_eq!(found(&Anonymize::new().keep("*.*"), users(), &Samples::default()).len(), 0);
    }

    #[test]
    fn samples_are_looked_at_and_never_shown() {
        let mut samples = Samples::default();
        samples.add("users", "data", r#"{"contact": {"lastName": "Miller"}}"#);
        samples.add("users", "id", "4111111111111111");
        let example = Example::new().table("users", &["id bigint not null", "data jsonb"]);
        assert_eq!(
            found(&Anonymize::new(), example, &samples),
            ["users.id: values like card numbers", "users.data: keys in its JSON"]
        );
        assert!(!format!("{samples:?}").contains("4111"));
    }

    #[test]
    fn keys_and_partitions_follow_others() {
        let example = Example::new()
            .table("zip", &["zip integer not null", "city_name text"])
            .constraint("zip", "PRIMARY KEY (zip)")
            .table("homes", &["zip integer", "mail text"])
            .constraint("homes", "FOREIGN KEY (zip) REFERENCES zip(zip)")
            .table("events", &["email text"])
            .table("_sqlx_migrations", &["version bigint not null", "description text"])
            .partition("events_1", "events", &["email text"]);
        assert_eq!(
            found(&Anonymize::new(), example, &Samples::default()),
            ["events.email: its name", "homes.mail: its name", "zip.city_name: its name"]
        );
    }
}
