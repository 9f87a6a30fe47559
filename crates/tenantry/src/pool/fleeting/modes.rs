//! How a transaction begins whose begin also binds it: its modes, read from the caller's statement.

use crate::sql::Sql;

/// The beginning of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Begin {
    With(Modes),
    /// The caller's statement is not one that is known to begin a transaction and to do nothing else.
    Unknown,
}

/// The modes of a transaction; `None` means the server's default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Modes {
    isolation: Option<&'static str>,
    access: Option<&'static str>,
    deferrable: Option<&'static str>,
}

const ISOLATION: [(&[&str], &str); 4] = [
    (&["isolation", "level", "serializable"], " isolation level serializable"),
    (&["isolation", "level", "repeatable", "read"], " isolation level repeatable read"),
    (&["isolation", "level", "read", "committed"], " isolation level read committed"),
    (&["isolation", "level", "read", "uncommitted"], " isolation level read uncommitted"),
];

const ACCESS: [(&[&str], &str); 2] =
    [(&["read", "only"], " read only"), (&["read", "write"], " read write")];

const DEFERRABLE: [(&[&str], &str); 2] =
    [(&["not", "deferrable"], " not deferrable"), (&["deferrable"], " deferrable")];

impl Default for Begin {
    fn default() -> Self {
        Self::With(Modes::default())
    }
}

impl Begin {
    /// Reads a statement such as `begin isolation level serializable, read only`. Comments, repeated
    /// modes and anything else are unknown.
    pub(crate) fn read(statement: &str) -> Self {
        Modes::read(statement).map_or(Self::Unknown, Self::With)
    }

    /// Returns `true` if the transaction cannot write.
    pub(crate) fn is_read_only(self) -> bool {
        matches!(self, Self::With(Modes { access: Some(" read only"), .. }))
    }
}

impl Modes {
    fn read(statement: &str) -> Option<Self> {
        let statement = statement.trim().trim_end_matches(';').to_ascii_lowercase();
        let spaced = statement.replace(',', " , ");
        let words: Vec<&str> = spaced.split_ascii_whitespace().collect();
        let mut rest = match &words[..] {
            ["begin", "work" | "transaction", rest @ ..] | ["start", "transaction", rest @ ..] => {
                rest
            }
            ["begin", rest @ ..] => rest,
            _ => return None,
        };
        let mut modes = Self::default();
        let mut is_first = true;
        while !rest.is_empty() {
            if let [",", more @ ..] = rest
                && !is_first
            {
                rest = more;
            }
            let known = [
                (&ISOLATION[..], &mut modes.isolation),
                (&ACCESS[..], &mut modes.access),
                (&DEFERRABLE[..], &mut modes.deferrable),
            ];
            rest = known.into_iter().find_map(|(modes, into)| take(rest, modes, into))?;
            is_first = false;
        }
        Some(modes)
    }

    /// Appends the statement.
    pub(super) fn begin(self, sql: &mut Sql) {
        sql.text("begin");
        for mode in [self.isolation, self.access, self.deferrable].into_iter().flatten() {
            sql.text(mode);
        }
    }
}

/// Takes a mode from the front of the words, unless it was given before.
fn take<'w>(
    words: &'w [&str],
    modes: &[(&[&str], &'static str)],
    into: &mut Option<&'static str>,
) -> Option<&'w [&'w str]> {
    let (rest, text) = modes.iter().find_map(|(mode, text)| {
        let is_it =
            words.len() >= mode.len() && words.iter().zip(*mode).all(|(one, other)| one == other);
        is_it.then(|| (&words[mode.len()..], *text))
    })?;
    into.replace(text).is_none().then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(statement: &str) -> Option<String> {
        let modes = Modes::read(statement)?;
        let mut sql = Sql::default();
        modes.begin(&mut sql);
        Some(sql.as_str().to_owned())
    }

    #[test]
    fn reads_the_modes_of_a_transaction() {
        for (statement, begins) in [
            ("begin", "begin"),
            (" BEGIN work ; ", "begin"),
            ("start transaction", "begin"),
            ("begin read only", "begin read only"),
            (
                "begin transaction isolation level serializable, read only, deferrable",
                "begin isolation level serializable read only deferrable",
            ),
            (
                "Begin Not Deferrable Isolation Level Repeatable Read",
                "begin isolation level repeatable read not deferrable",
            ),
            ("begin read write,isolation level read committed", {
                "begin isolation level read committed read write"
            }),
        ] {
            assert_eq!(read(statement).as_deref(), Some(begins), "{statement}");
        }
    }

    #[test]
    fn knows_nothing_else() {
        for statement in [
            "",
            "commit",
            "begin; select 1",
            "begin; commit",
            "begin -- read only",
            "begin read only, ",
            "begin , read only",
            "begin read only read write",
            "begin read only read only",
            "start",
            "savepoint a",
            "set transaction read only",
        ] {
            assert_eq!(Begin::read(statement), Begin::Unknown, "{statement}");
        }
    }
}
