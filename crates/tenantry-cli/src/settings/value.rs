//! Values of settings.

use std::{fmt, time::Duration};

use jiff::SignedDuration;

use super::{key::Kind, redact};

/// The value of a setting, according to its [`Kind`].
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Text(String),
    List(Vec<String>),
    Count(usize),
    Number(f64),
    Duration(Duration),
    Switch(bool),
    Url(String),
    Secret(String),
}

impl Value {
    /// Parses a variable, a flag or a text in the file.
    ///
    /// # Errors
    ///
    /// A description of the valid values.
    pub(crate) fn parse(kind: Kind, text: &str) -> Result<Self, String> {
        let text = text.trim();
        match kind {
            Kind::Text | Kind::Path => Ok(Self::Text(text.to_owned())),
            Kind::Url => Ok(Self::Url(text.to_owned())),
            Kind::Secret => Ok(Self::Secret(text.to_owned())),
            Kind::List => {
                let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
                Ok(Self::List(parts.map(str::to_owned).collect()))
            }
            Kind::Count => match text.parse() {
                Ok(count) if count > 0 => Ok(Self::Count(count)),
                _ => Err("must be a whole number of at least 1".to_owned()),
            },
            Kind::Number => match text.parse::<f64>() {
                Ok(number) if number.is_finite() => Ok(Self::Number(number)),
                _ => Err("must be a number".to_owned()),
            },
            Kind::Switch => match text {
                "true" | "yes" | "on" | "1" => Ok(Self::Switch(true)),
                "false" | "no" | "off" | "0" => Ok(Self::Switch(false)),
                _ => Err("must be true or false".to_owned()),
            },
            Kind::Duration => duration(text).map(Self::Duration),
            Kind::Choice(choices) if choices.contains(&text) => Ok(Self::Text(text.to_owned())),
            Kind::Choice(choices) => Err(format!("must be {}", choices.join(" or "))),
        }
    }
}

/// Parses a duration such as `5s`, `250ms` or `1h 30m`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || "must be a time such as 5s, 250ms or 1m".to_owned();
    let read: SignedDuration = text.parse().map_err(|_| wrong())?;
    read.try_into().map_err(|_| wrong())
}

impl fmt::Display for Value {
    /// Shows it without secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::List(list) => f.write_str(&list.join(",")),
            Self::Count(count) => count.fmt(f),
            Self::Number(number) => number.fmt(f),
            Self::Duration(duration) => match SignedDuration::try_from(*duration) {
                Ok(duration) => write!(f, "{duration:#}"),
                Err(_) => write!(f, "{duration:?}"),
            },
            Self::Switch(switch) => switch.fmt(f),
            Self::Url(url) => f.write_str(&redact::url(url)),
            Self::Secret(_) => f.write_str("***"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_by_their_kind_and_shown_as_they_were_written() {
        for (kind, text, shown) in [
            (Kind::Duration, "250ms", "250ms"),
            (Kind::Duration, "90s", "1m 30s"),
            (Kind::Count, " 20 ", "20"),
            (Kind::Number, "0.5", "0.5"),
            (Kind::Number, "4", "4"),
            (Kind::Switch, "on", "true"),
            (Kind::List, "a, b,,", "a,b"),
            (Kind::Choice(&["schemas", "table"]), "table", "table"),
            (Kind::Url, "postgres://a:secret@h/d", "postgres://a:***@h/d"),
            (Kind::Secret, "host=h password=secret", "***"),
        ] {
            assert_eq!(Value::parse(kind, text).unwrap().to_string(), shown);
        }
        for (kind, text) in [
            (Kind::Duration, "5"),
            (Kind::Duration, "-5s"),
            (Kind::Duration, ""),
            (Kind::Count, "0"),
            (Kind::Count, "-1"),
            (Kind::Count, "99999999999999999999"),
            (Kind::Number, "nan"),
            (Kind::Number, "many"),
            (Kind::Switch, "maybe"),
            (Kind::Choice(&["schemas", "table"]), "view"),
        ] {
            assert!(Value::parse(kind, text).is_err(), "{text}");
        }
    }
}
