//! How far a file outside a transaction has come, and whether another run may go on from there.
//!
//! It is recorded in two columns that nobody else reads while the file is not done: the time that it took, below
//! -1, says how many statements have ended, and the description says what failed first.

use super::lint::Statement;

/// Whether a file is applied or taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    Up,
    Down,
}

/// What is known of the statement after those that have ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// Nothing of it was done.
    Untouched,
    /// It was begun, and nobody knows how much of it was done.
    Begun,
    /// It has failed in a way that somebody has to see to.
    Failed,
}

/// How far a file has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stage {
    pub(super) way: Way,
    /// How many statements have ended.
    pub(super) ended: usize,
    pub(super) next: Next,
}

/// What is on record of a file that was begun and not run to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Begun {
    pub(super) execution_time: i64,
    pub(super) description: String,
}

/// Where a run goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Resume {
    /// The first statement that is run, from 0 on.
    pub(super) from: usize,
    pub(super) doubt: Doubt,
}

/// Which statements may have been run already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Doubt {
    None,
    /// The first that is run.
    First,
    /// All of them: an older release has not recorded how far it came.
    All,
}

/// What is recorded where nothing is known.
const UNKNOWN: i64 = -1;

const FIRST: i64 = -2;

impl Stage {
    /// Returns what stands for it in the record.
    pub(super) fn code(self) -> i64 {
        let way = if self.way == Way::Up { 0 } else { 3 };
        let next = match self.next {
            Next::Untouched => 0,
            Next::Begun => 1,
            Next::Failed => 2,
        };
        let ended = i64::try_from(self.ended).unwrap_or(i64::MAX / 8).min(i64::MAX / 8);
        FIRST - (ended * 6 + way + next)
    }

    fn from_code(code: i64) -> Option<Self> {
        let number = FIRST.checked_sub(code).filter(|number| *number >= 0)?;
        let way = if number % 6 < 3 { Way::Up } else { Way::Down };
        let next =
            [Next::Untouched, Next::Begun, Next::Failed][usize::try_from(number % 3).ok()?];
        Some(Self { way, ended: usize::try_from(number / 6).ok()?, next })
    }
}

impl Begun {
    /// Returns how far it has come, when that is known.
    fn stage(&self) -> Option<Stage> {
        Stage::from_code(self.execution_time)
    }

    /// Decides whether a run in this direction may go on with a file of these statements.
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
            (Next::Begun, Some(next)) if may_be_run_again(next) => {
                Some(Resume { from, doubt: Doubt::First })
            }
            _ => None,
        }
    }

    /// Says what has come of a file of this description, as far as that is on record.
    pub(super) fn remark(&self, description: &str) -> String {
        let note = self.description.strip_prefix(description).and_then(note_in);
        let note = note.or_else(|| {
            self.description.split_once(" [").and_then(|(_, rest)| rest.strip_suffix(']'))
        });
        let remark = match (note, self.stage()) {
            (Some(note), _) => note.to_owned(),
            (None, Some(Stage { ended, next: Next::Begun, .. })) => {
                format!("statement {} was begun, and no answer has come", ended + 1)
            }
            (None, Some(Stage { ended, .. })) => format!("{ended} statements were run"),
            (None, None) => "how much of it was done is not known".to_owned(),
        };
        match self.stage() {
            Some(Stage { way: Way::Down, .. }) => format!("while it was taken back, {remark}"),
            _ => remark,
        }
    }

    /// Says whether it is on record why this statement, from 0 on, has failed first.
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

    fn begun(execution_time: i64) -> Begun {
        Begun { execution_time, description: "orders by user".into() }
    }

    fn read(statements: &[&str]) -> Vec<Statement> {
        statements.iter().map(|text| Statement::read(text)).collect()
    }

    #[test]
    fn every_stage_is_read_as_it_was_written() {
        for way in [Way::Up, Way::Down] {
            for next in [Next::Untouched, Next::Begun, Next::Failed] {
                for ended in [0, 1, 7, 1_000_000] {
                    let stage = Stage { way, ended, next };
                    assert_eq!(Stage::from_code(stage.code()), Some(stage));
                }
            }
        }
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
        let up = |ended, next| Stage { way: Way::Up, ended, next }.code();
        let from = |from, doubt| Some(Resume { from, doubt });
        for (code, statements, expected) in [
            (up(1, Next::Untouched), vec![index, block], from(1, Doubt::None)),
            (up(1, Next::Begun), vec![insert, index], from(1, Doubt::First)),
            (up(1, Next::Begun), vec![index, block], None),
            (up(1, Next::Failed), vec![insert, index], None),
            (up(2, Next::Untouched), vec![insert, index], from(2, Doubt::None)),
            (up(3, Next::Untouched), vec![insert, index], None),
            (up(1, Next::Untouched), vec!["create temp table t ()", index], None),
            (-1, vec![index, "set a = 1", index], from(0, Doubt::All)),
            (-1, vec![index, insert], None),
            (17, vec![index], None),
            (Stage { way: Way::Down, ended: 0, next: Next::Begun }.code(), vec![index], None),
        ] {
            assert_eq!(
                begun(code).resume(Way::Up, &read(&statements)),
                expected,
                "{code} {statements:?}"
            );
        }
        let down = Stage { way: Way::Down, ended: 0, next: Next::Begun }.code();
        let drop = read(&["drop index concurrently i"]);
        assert_eq!(begun(down).resume(Way::Down, &drop), from(0, Doubt::First));
        assert_eq!(begun(-1).resume(Way::Down, &drop), None);
    }

    #[test]
    fn the_note_of_what_failed_first_is_found_again() {
        let mut with = begun(Stage { way: Way::Up, ended: 1, next: Next::Begun }.code());
        assert_eq!(with.remark("orders by user"), "statement 2 was begun, and no answer has come");
        with.description = with_note("orders by user", "statement 2 of 3, line 5: no [55P03]");
        assert!(with.has_note(1, "orders by user") && !with.has_note(2, "orders by user"));
        for description in ["orders by user", "another"] {
            assert_eq!(with.remark(description), "statement 2 of 3, line 5: no [55P03]");
        }
        assert!(begun(-1).remark("orders by user").contains("not known"));
    }
}
