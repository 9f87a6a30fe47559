//! Walks a file and applies the rules.

use std::collections::HashSet;

use super::{
    Lint, Rule,
    allowed::Allowed,
    citus_rules,
    context::{Context, Subject},
    extension,
    found::{Findings, Found},
    live,
    made::Made,
    parse::parse,
    piece::{Piece, Within, bodies},
    role, row_rules, schemas,
    script::{Kind, Script, Token},
    search_path, stored_name,
    transaction::{self, within_pair},
    tree::Language,
    words::follows,
};

/// The rules, which check statements one by one, including the bodies of routines. They are called in file order; the
/// parts inside a statement follow the statement.
const RULES: &[fn(&Context<'_>, &Piece<'_>, &mut Found<'_>)] = &[
    search_path::check,
    role::check,
    extension::check,
    schemas::check,
    live::check,
    stored_name::check,
    row_rules::check,
    citus_rules::check,
];

/// Checks a file against the rules.
pub(crate) fn check(lint: &Lint, subject: &Subject<'_>) -> Findings {
    let script = Script::new(subject.text);
    let allowed = Allowed::new(&script.comments);
    let is_off =
        |rule: Rule| lint.turns_off(subject.version, rule) || allowed.rules.contains(&rule);
    let mut found = Found::new(subject.text, &is_off);
    check_text(subject.text, &script, &mut found);
    for (at, name) in allowed.unknown {
        let message = format!("{name:?} is not a rule that a file can turn off");
        found.add(at, Rule::UnknownRule, message);
    }
    let rows = lint.row_tables().clone();
    let mut file = File { context: Context { lint, subject, made: Made::default(), rows } };
    let pair = within_pair(subject.text).filter(|_| subject.transactional);
    for statement in script.statements() {
        if pair.as_ref().is_none_or(|within| within.contains(&statement[0].at)) {
            file.check(statement, &mut found);
        }
    }
    for at in file.context.rows.released() {
        found.add(at, Rule::RowPolicy, row_rules::RELEASED);
    }
    found.into_findings()
}

/// Checks what the server would read differently from us.
fn check_text(text: &str, script: &Script<'_>, found: &mut Found<'_>) {
    for (at, what) in &script.unterminated {
        found.add(*at, Rule::Unterminated, format!("{what} starts here and is not terminated"));
    }
    if let Some(at) = text.find('\0') {
        let message = "the file contains a zero byte, at which the server stops reading";
        found.add(at, Rule::Unterminated, message);
    }
}

struct File<'a> {
    context: Context<'a>,
}

impl File<'_> {
    fn check(&mut self, statement: &[Token<'_>], found: &mut Found<'_>) {
        let subject = self.context.subject;
        let skipped = self.context.lint.skips(subject.version);
        transaction::check(subject, statement, skipped, found);
        check_client(statement, found);
        if skipped {
            return;
        }
        let around = HashSet::new();
        let tree = parse(subject.text, statement, Language::Sql);
        let (within, offset) = (Within::File, 0);
        self.apply(&Piece { tokens: statement, tree, within, offset, around: &around }, found);
        for body in bodies(statement) {
            body.each(&mut |piece| self.apply(piece, found));
        }
    }

    fn apply(&mut self, piece: &Piece<'_>, found: &mut Found<'_>) {
        for rule in RULES {
            rule(&self.context, piece, found);
        }
        self.context.made.note(piece);
        if piece.within == Within::File {
            self.context.rows.note(piece.tokens, piece.offset);
        }
    }
}

fn check_client(statement: &[Token<'_>], found: &mut Found<'_>) {
    let message = "only psql supports this: use inserts, or copy the rows with a program";
    let copies = statement[0].is("copy")
        && (follows(statement, &["from", "stdin"]).or(follows(statement, &["to", "stdout"])))
            .is_some();
    let command = statement.iter().find(|token| token.kind == Kind::Backslash);
    match command {
        Some(command) => found.add(command.at, Rule::ClientCommand, message),
        None if copies => found.add(statement[0].at, Rule::ClientCommand, message),
        None => {}
    }
}
