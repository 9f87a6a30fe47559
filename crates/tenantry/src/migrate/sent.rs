//! Several steps, sent as one text.

use futures_util::TryStreamExt;
use sqlx::{PgConnection, SqlStr};

use super::{
    Action, Failure,
    lint::statements,
    plan::{Kept, Step},
    script::Script,
    source::Migrations,
    tracking,
};
use crate::{citus::Citus, sql::Sql, tenant::Ident};

/// Positions of the steps in a text that is sent.
pub(crate) struct Sent {
    places: Vec<Place>,
    /// Statements before the first of them.
    before: usize,
}

struct Place {
    step: Step,
    /// The byte position of the file.
    begins: usize,
}

impl Sent {
    /// Appends the statements that give a new schema all files and their records.
    pub(crate) fn all(sql: &mut Sql, set: &Migrations, schema: &Ident) -> Self {
        tracking::create(sql, schema);
        let versions = set.files().iter().map(|file| file.version);
        let steps: Vec<_> = versions
            .map(|version| Step { action: Action::Applied, version, kept: Kept::Nothing })
            .collect();
        Self::write(sql, set, schema, &steps)
    }

    /// Appends steps, followed by the statements that record them.
    pub(super) fn write(sql: &mut Sql, set: &Migrations, schema: &Ident, steps: &[Step]) -> Self {
        let before = statements(sql.as_str()).len();
        let mut places = Vec::new();
        for step in steps {
            places.push(Place { step: *step, begins: sql.len() });
            if let Some(script) = Script::of(set, step) {
                // Ends a comment at the end of the file.
                sql.vouched(script.sql, script.body.clone()).text("\n;\n");
            }
        }
        tracking::check_schema(sql, schema);
        write_records(sql, set, schema, steps);
        Self { places, before }
    }

    /// Adds to a failure which file and position it concerns, given the sent text and the number of completed
    /// statements.
    pub(crate) fn blame(
        &self,
        set: &Migrations,
        failure: Failure,
        sql: &SqlStr,
        ended: usize,
    ) -> Failure {
        if failure.sqlstate.as_deref() == Some("22P02") && self.is_check(set, ended) {
            return Failure::search_path();
        }
        // A mistake in the syntax is found before anything is run.
        let byte = failure.byte_in(sql.as_str());
        let place = match byte {
            Some(byte) => self.places.iter().rfind(|place| place.begins <= byte),
            None => self.place_after(set, ended),
        };
        let script = place.and_then(|place| Script::of(set, &place.step));
        match (place, script) {
            (Some(place), Some(script)) => {
                let failure = failure.unless_plain(script.text()).with_hint_on_locks(script.text());
                script.blame(failure, sql, place.begins, 0)
            }
            _ => failure,
        }
    }

    /// Returns `true` if it was the search path check after all files.
    fn is_check(&self, set: &Migrations, ended: usize) -> bool {
        let scripts = self.places.iter().filter_map(|place| Script::of(set, &place.step));
        let lengths = scripts.map(|script| statements(script.text()).len());
        ended == self.before + lengths.sum::<usize>()
    }

    /// Finds the file that was running after this number of completed statements.
    fn place_after(&self, set: &Migrations, ended: usize) -> Option<&Place> {
        let mut left = ended.checked_sub(self.before)?;
        self.places.iter().find(|place| {
            let script = Script::of(set, &place.step);
            let length = script.map_or(0, |script| statements(script.text()).len());
            let is_here = left < length;
            left = left.saturating_sub(length);
            is_here
        })
    }
}

/// Appends the statements that record completed steps.
fn write_records(sql: &mut Sql, set: &Migrations, schema: &Ident, steps: &[Step]) {
    let applied = steps.iter().filter(|step| step.action == Action::Applied);
    let mut applied = applied.filter_map(|step| set.file(step.version)).peekable();
    if applied.peek().is_some() {
        tracking::record_done(sql, schema, applied);
    }
    for step in steps {
        match (step.action, set.file(step.version), step.kept) {
            (Action::Applied, ..) => {}
            (Action::Marked, Some(file), _) => tracking::record_anyway(sql, schema, file),
            (Action::Forgotten, Some(file), Kept::Stage(kept)) => {
                tracking::note_seen_to(sql, schema, file, kept);
            }
            (Action::Forgotten, _, Kept::All) => {}
            _ => tracking::delete(sql, schema, step.version),
        }
    }
}

/// How far a string of several statements came.
#[derive(Debug, Default)]
pub(crate) struct Ran {
    /// The number of completed statements.
    pub(crate) ended: usize,
    /// The byte at which the message begins that was sent last.
    pub(crate) from: usize,
}

/// Runs a string of several statements in the open transaction, or one that opens and ends its own. On Citus, each
/// statement is a message: its coordinator passes the text of the whole message on to workers for some statements, and
/// they take one statement only.
pub(crate) async fn run_script_on(
    citus: Option<Citus>,
    conn: &mut PgConnection,
    sql: &SqlStr,
    ran: &mut Ran,
) -> sqlx::Result<()> {
    if citus.is_none() {
        return run_script(conn, sql.clone(), &mut ran.ended).await;
    }
    for part in statements(sql.as_str()) {
        ran.from = part.start;
        let mut statement = Sql::default();
        statement.vouched(sql, part);
        run_script(conn, statement.finish(), &mut ran.ended).await?;
    }
    Ok(())
}

/// Runs a string of several statements, and counts the completed ones.
pub(crate) async fn run_script(
    conn: &mut PgConnection,
    sql: SqlStr,
    ended: &mut usize,
) -> sqlx::Result<()> {
    let mut answers = sqlx::raw_sql(sql).fetch_many(conn);
    while let Some(answer) = answers.try_next().await? {
        *ended += usize::from(answer.is_left());
    }
    Ok(())
}
