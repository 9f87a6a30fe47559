//! Random histories of two schemas, made of what the cases are made of.

use std::ops::Range;

use proptest::{collection::vec, prelude::Strategy, sample::Index};
use sqlx::PgConnection;

use super::{cases::Case, judge::quote};
use crate::support::{run, try_run};

/// Statements that both sides have run, and then each side its own.
#[derive(Clone, Debug)]
pub(crate) struct Pair {
    shared: Vec<String>,
    left: Vec<String>,
    right: Vec<String>,
}

/// What histories are drawn from.
#[derive(Debug)]
pub(crate) struct Pool {
    scripts: Vec<Vec<String>>,
    statements: Vec<String>,
}

/// Names of cases that a history may use instead, so that cases meet or pass one another by.
const NAMES: [(&str, &[&str]); 4] =
    [("t", &["t", "t", "u", "p"]), ("f", &["f", "g"]), ("v", &["v", "w"]), ("a", &["a", "a", "b"])];

impl Pool {
    pub(crate) fn of(cases: &[Case]) -> Self {
        let lines = |script: String| script.lines().map(ToOwned::to_owned).collect::<Vec<_>>();
        let scripts: Vec<_> =
            cases.iter().flat_map(|case| [lines(case.left()), lines(case.right())]).collect();
        let mut statements: Vec<String> = scripts.iter().flatten().cloned().collect();
        statements.sort_unstable();
        statements.dedup();
        Self { scripts, statements }
    }

    /// A pair of histories; where they hold the same in another order, they may well be alike.
    pub(crate) fn pair(&self) -> impl Strategy<Value = Pair> + '_ {
        let scripts = |count: Range<usize>| {
            vec((proptest::prelude::any::<Index>(), [0_u8..12, 0..12, 0..12, 0..12]), count)
        };
        (scripts(1..12), scripts(0..2), scripts(0..3), scripts(0..3)).prop_map(
            |(shared, both, left, right)| {
                let whole = |picks: &[(Index, [u8; 4])]| -> Vec<String> {
                    picks
                        .iter()
                        .flat_map(|(at, names)| {
                            at.get::<Vec<String>>(&self.scripts)
                                .iter()
                                .map(|line| renamed(line, *names))
                        })
                        .collect()
                };
                let single = |picks: &[(Index, [u8; 4])]| -> Vec<String> {
                    picks
                        .iter()
                        .map(|(at, names)| renamed(at.get::<String>(&self.statements), *names))
                        .collect()
                };
                let both = whole(&both);
                Pair {
                    shared: whole(&shared),
                    left: [single(&left), both.clone()].concat(),
                    right: [both, single(&right)].concat(),
                }
            },
        )
    }
}

impl Pair {
    /// Builds both schemas; statements that fail are passed over.
    pub(crate) async fn build(&self, admin: &mut PgConnection, left: &str, right: &str) {
        for (name, own) in [(left, &self.left), (right, &self.right)] {
            let schema = quote(name);
            run(&mut *admin, &format!("create schema {schema}; set search_path = {schema}")).await;
            for statement in self.shared.iter().chain(own) {
                let statement = statement.replace("{left}", &quote(left));
                let statement = statement.replace("{schema}", &schema).replace("{name}", name);
                let _ = try_run(&mut *admin, &statement).await;
            }
            run(&mut *admin, "reset role; reset allow_system_table_mods").await;
        }
    }
}

/// Puts other names into a statement, word by word.
fn renamed(statement: &str, choice: [u8; 4]) -> String {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut text = String::new();
    let mut rest = statement;
    while let Some(start) = rest.find(is_word) {
        let (between, after) = rest.split_at(start);
        let (word, after) = after.split_at(after.find(|c| !is_word(c)).unwrap_or(after.len()));
        let known = NAMES.iter().position(|(name, _)| *name == word);
        text += between;
        text += known.map_or(word, |at| {
            let others = NAMES[at].1;
            others[usize::from(choice[at]) % others.len()]
        });
        rest = after;
    }
    text + rest
}
