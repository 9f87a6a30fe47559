//! The progress of a file outside a transaction, and whether another run can resume it.
//!
//! It is recorded in two columns that no other program reads while the file is unfinished: an execution time below -1
//! encodes how many statements have completed and which ones, and the description says what failed first.

use super::{
    checksum,
    lint::{Statement, statements},
};

/// Whether a file is applied or reverted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    Up,
    Down,
}

/// The state of the statement after the completed ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// Nothing of it was done.
    Untouched,
    /// It was started, and its progress is unknown.
    Begun,
    /// It failed in a way that needs manual intervention.
    Failed,
    /// It failed, and the failure was cleared.
    Again,
}

/// The progress of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stage {
    pub(super) way: Way,
    /// The number of completed statements.
    pub(super) ended: usize,
    pub(super) next: Next,
    /// Identifies the completed statements.
    pub(super) print: Print,
}

/// A fingerprint of the first statements of a file, without those that set something for the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Print(u64);

/// The record of an unfinished file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Begun {
    pub(super) execution_time: i64,
    pub(super) description: String,
}

/// Where a run continues.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Resume {
    /// The first statement that is run, from 0 on.
    pub(super) from: usize,
    pub(super) doubt: Doubt,
}

/// Which statements may already have run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Doubt {
    None,
    /// The first that is run.
    First,
    /// The first statement to run, whose effect may have been produced by hand.
    ByHand,
    /// All of them: an older release has not recorded its progress.
    All,
}

/// The value recorded if nothing is known.
const UNKNOWN: i64 = -1;

const FIRST: i64 = -2;

/// The bits of the record's number used for each part.
const NEXT_BITS: u32 = 2;
const WAY_BITS: u32 = 1;
const ENDED_BITS: u32 = 20;
const PRINT_BITS: u32 = 39;
const ENDED_LIMIT: u64 = 1 << ENDED_BITS;

/// Splits numbers, starting with the lowest bits.
fn take(number: &mut u64, bits: u32) -> u64 {
    let taken = *number & ((1 << bits) - 1);
    *number >>= bits;
    taken
}

/// Returns the fingerprints of the first statements of a text: of none, of one, and so on up to all.
pub(super) fn prints(text: &str) -> Vec<Print> {
    let mut prints = vec![Print::default()];
    let mut last = Print::default();
    for place in statements(text) {
        let statement = &text[place];
        if !matches!(Statement::read(statement), Statement::Setting { .. }) {
            let chain = format!("{} {}", last.0, statement.replace("\r\n", "\n"));
            let first = checksum::digest(chain)
                .iter()
                .take(8)
                .fold(0, |sum, byte| sum << 8 | u64::from(*byte));
            last = Print(first & ((1 << PRINT_BITS) - 1));
        }
        prints.push(last);
    }
    prints
}

impl Stage {
    /// Returns the value that represents it in the record.
    pub(super) fn code(self) -> i64 {
        let Ok(ended @ 0..ENDED_LIMIT) = u64::try_from(self.ended) else { return UNKNOWN };
        let way = if self.way == Way::Up { 0 } else { 1 };
        let next = match self.next {
            Next::Untouched => 0,
            Next::Begun => 1,
            Next::Failed => 2,
            Next::Again => 3,
        };
        let number = ((self.print.0 << ENDED_BITS | ended) << WAY_BITS | way) << NEXT_BITS | next;
        i64::try_from(number).map_or(UNKNOWN, |number| FIRST - number)
    }

    fn from_code(code: i64) -> Option<Self> {
        let mut number = u64::try_from(FIRST.checked_sub(code)?).ok()?;
        let next = match take(&mut number, NEXT_BITS) {
            0 => Next::Untouched,
            1 => Next::Begun,
            2 => Next::Failed,
            _ => Next::Again,
        };
        let way = if take(&mut number, WAY_BITS) == 0 { Way::Up } else { Way::Down };
        let ended = usize::try_from(take(&mut number, ENDED_BITS)).ok()?;
        Some(Self { way, ended, next, print: Print(take(&mut number, PRINT_BITS)) })
    }
}

impl Begun {
    /// Returns the progress, if it is known.
    pub(super) fn stage(&self) -> Option<Stage> {
        Stage::from_code(self.execution_time)
    }

    /// Returns `true` if the completed statements are those of this text.
    pub(super) fn is_of(&self, text: &str) -> bool {
        let stage = self.stage();
        stage.is_some_and(|stage| prints(text).get(stage.ended) == Some(&stage.print))
    }

    /// Decides whether a run in this direction can continue a file with these statements.
    pub(super) fn resume(&self, way: Way, statements: &[Statement]) -> Option<Resume> {
        let Some(stage) = self.stage() else {
            let unknown = self.execution_time == UNKNOWN && way == Way::Up;
            let all = unknown && statements.iter().all(may_be_run_again);
            return all.then_some(Resume { from: 0, doubt: Doubt::All });
        };
        let done = statements.get(..stage.ended).filter(|_| stage.way == way)?;
        if done.contains(&Statement::Fleeting) {
            return None;
        }
        let from = stage.ended;
        match (stage.next, statements.get(from)) {
            (Next::Untouched, _) | (_, None) => Some(Resume { from, doubt: Doubt::None }),
            (Next::Again, Some(_)) => Some(Resume { from, doubt: Doubt::ByHand }),
            (Next::Begun, Some(next)) if may_be_run_again(next) => {
                Some(Resume { from, doubt: Doubt::First })
            }
            _ => None,
        }
    }

    /// Returns the progress of the file once the failure is cleared; nothing if it must be run from the start. `text`
    /// is what runs in the stage's direction, and `is_edited` is `true` if the file has changed since.
    pub(super) fn seen_to(&self, text: &str, is_edited: bool) -> Option<Stage> {
        let stage = self.stage()?;
        // The same statements have completed, regardless of their current position.
        let ended = prints(text).iter().position(|print| *print == stage.print)?;
        let places = statements(text);
        let is_fleeting = |text: &str| Statement::read(text) == Statement::Fleeting;
        if places[..ended].iter().any(|place| is_fleeting(&text[place.clone()])) {
            return None;
        }
        // The effect of a different statement cannot have been produced by hand.
        let next = if is_edited { Next::Untouched } else { Next::Again };
        Some(Stage { ended, next, ..stage })
    }

    /// Describes the recorded progress of a file with this description.
    pub(super) fn remark(&self, description: &str) -> String {
        let note = self.description.strip_prefix(description).and_then(note_in);
        let note = note.or_else(|| {
            self.description.split_once(" [").and_then(|(_, rest)| rest.strip_suffix(']'))
        });
        let remark = match (note, self.stage()) {
            (Some(note), _) => note.to_owned(),
            (None, Some(Stage { ended, next: Next::Begun, .. })) => {
                format!("statement {} was started, and its outcome is unknown", ended + 1)
            }
            (None, Some(Stage { ended, next: Next::Again, .. })) => {
                format!("statement {} failed, and the failure was forgotten", ended + 1)
            }
            (None, Some(Stage { ended, .. })) => format!("{ended} statements were run"),
            (None, None) => "its progress is unknown".to_owned(),
        };
        match self.stage() {
            Some(Stage { way: Way::Down, .. }) => format!("while it was reverted, {remark}"),
            _ => remark,
        }
    }

    /// Returns `true` if the record contains why this statement, counted from 0, first failed.
    pub(super) fn has_note(&self, statement: usize, description: &str) -> bool {
        let is_it = self.stage().is_some_and(|stage| stage.ended == statement);
        is_it && self.description.strip_prefix(description).and_then(note_in).is_some()
    }
}

/// Returns a description with a note in it.
pub(super) fn with_note(description: &str, note: &str) -> String {
    format!("{description} [{note}]")
}

fn note_in(rest: &str) -> Option<&str> {
    rest.strip_prefix(" [")?.strip_suffix(']')
}

fn may_be_run_again(statement: &Statement) -> bool {
    matches!(
        statement,
        Statement::Concurrent(_) | Statement::Repeatable { .. } | Statement::Setting { .. }
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stage(way: Way, ended: usize, next: Next) -> Stage {
        Stage { way, ended, next, print: Print::default() }
    }

    fn begun(execution_time: i64) -> Begun {
        Begun { execution_time, description: "orders by user".into() }
    }

    fn read(statements: &[&str]) -> Vec<Statement> {
        statements.iter().map(|text| Statement::read(text)).collect()
    }

    #[test]
    fn every_stage_is_read_as_it_was_written() {
        for way in [Way::Up, Way::Down] {
            for next in [Next::Untouched, Next::Begun, Next::Failed, Next::Again] {
                for ended in [0, 1, 7, 1_000_000] {
                    for print in prints("select 1; select 2") {
                        let stage = Stage { way, ended, next, print };
                        assert_eq!(Stage::from_code(stage.code()), Some(stage));
                    }
                }
            }
        }
        let (way, next, print) = (Way::Up, Next::Again, Print::default());
        let too_many = Stage { way, next, print, ended: usize::MAX };
        assert_eq!(too_many.code(), UNKNOWN);
        for none in [-1, 0, 12_345, i64::MAX] {
            assert_eq!(Stage::from_code(none), None);
        }
        assert!(Stage::from_code(i64::MIN).is_some(), "nothing overflows");
    }

    #[test]
    fn goes_on_where_what_is_in_doubt_may_be_run_again() {
        let (index, insert, block) = (
            "create index concurrently i on t (x)",
            "insert into t values (1)",
            "do $$ begin end $$",
        );
        let up = |ended, next| stage(Way::Up, ended, next).code();
        let from = |from, doubt| Some(Resume { from, doubt });
        for (code, statements, expected) in [
            (up(1, Next::Untouched), vec![index, block], from(1, Doubt::None)),
            (up(1, Next::Begun), vec![insert, index], from(1, Doubt::First)),
            (up(1, Next::Begun), vec![index, block], None),
            (up(1, Next::Failed), vec![insert, index], None),
            (up(1, Next::Again), vec![insert, index], from(1, Doubt::ByHand)),
            (up(1, Next::Again), vec![insert, block], from(1, Doubt::ByHand)),
            (up(1, Next::Again), vec![insert], from(1, Doubt::None)),
            (up(2, Next::Untouched), vec![insert, index], from(2, Doubt::None)),
            (up(3, Next::Untouched), vec![insert, index], None),
            (up(1, Next::Untouched), vec!["create temp table t ()", index], None),
            (-1, vec![index, "set a = 1", index], from(0, Doubt::All)),
            (-1, vec![index, insert], None),
            (17, vec![index], None),
            (stage(Way::Down, 0, Next::Begun).code(), vec![index], None),
        ] {
            assert_eq!(
                begun(code).resume(Way::Up, &read(&statements)),
                expected,
                "{code} {statements:?}"
            );
        }
        let down = stage(Way::Down, 0, Next::Begun).code();
        let drop = read(&["drop index concurrently i"]);
        assert_eq!(begun(down).resume(Way::Down, &drop), from(0, Doubt::First));
        assert_eq!(begun(-1).resume(Way::Down, &drop), None);
    }

    #[test]
    fn what_was_seen_to_is_gone_on_with_after_the_same_statements() {
        let before = "set a = 1; insert into t values (1);\r\ncreate index concurrently i on t (x); do $$ $$";
        let failed = begun(
            Stage { way: Way::Up, ended: 3, next: Next::Failed, print: prints(before)[3] }.code(),
        );
        for (text, expected) in [
            (before, Some(3)),
            (
                "set a = 1;insert into t values (1);create index concurrently i on t (x);\n-- no\n",
                Some(3),
            ),
            ("insert into t values (1); create index concurrently i on t (x); select 1", Some(2)),
            (
                "set a = 1; insert into t values (2); create index concurrently i on t (x); do $$ $$",
                None,
            ),
            ("set a = 1; insert into t values (1)", None),
            ("", None),
        ] {
            let seen_to = failed.seen_to(text, false);
            assert_eq!(seen_to.map(|stage| stage.ended), expected, "{text}");
            assert!(seen_to.is_none_or(|stage| stage.next == Next::Again), "{text}");
        }
        let edited = failed.seen_to(before, true).map(|stage| stage.next);
        assert_eq!(edited, Some(Next::Untouched));
        let fleeting = "create temp table x (); do $$ $$";
        let print = prints(fleeting)[1];
        let code = Stage { way: Way::Up, ended: 1, next: Next::Failed, print }.code();
        assert_eq!(begun(code).seen_to(fleeting, false), None);
        assert_eq!(begun(UNKNOWN).seen_to(before, false), None);
    }

    #[test]
    fn the_note_of_what_failed_first_is_found_again() {
        let mut with = begun(stage(Way::Up, 1, Next::Begun).code());
        assert_eq!(
            with.remark("orders by user"),
            "statement 2 was started, and its outcome is unknown"
        );
        with.description = with_note("orders by user", "statement 2 of 3, line 5: no [55P03]");
        assert!(with.has_note(1, "orders by user") && !with.has_note(2, "orders by user"));
        for description in ["orders by user", "another"] {
            assert_eq!(with.remark(description), "statement 2 of 3, line 5: no [55P03]");
        }
        assert!(begun(-1).remark("orders by user").contains("progress is unknown"));
    }
}
