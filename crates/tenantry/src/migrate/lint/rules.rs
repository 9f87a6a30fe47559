//! The rules that a file keeps to.

use std::{borrow::Cow, collections::HashSet};

use super::{
    Finding, Lint, Rule,
    names::{self, Names, Within},
    script::{Kind, Script, Token, line_of},
};

/// Whose schema a file is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Of {
    Tenant,
    Shared,
}

/// A file that is looked at.
#[derive(Clone, Copy)]
pub(crate) struct Subject<'a> {
    pub(crate) text: &'a str,
    pub(crate) of: Of,
    pub(crate) transactional: bool,
    pub(crate) version: i64,
}

/// Findings that are told of a file. Whoever has more has a file of another kind.
const MOST: usize = 50;

/// Looks for what must not be in a file, and tells it in the order of its lines.
pub(crate) fn check(lint: &Lint, subject: &Subject<'_>) -> Vec<Finding> {
    let script = Script::new(subject.text);
    let mut found = Found { text: subject.text, findings: Vec::new() };
    for (at, what) in &script.unterminated {
        found.add(*at, Rule::Unterminated, format!("{what} begins here and is not closed"));
    }
    if let Some(at) = subject.text.find('\0') {
        found.add(
            at,
            Rule::Unterminated,
            "there is a zero byte, at which the server stops reading",
        );
    }
    let file = File { lint, subject };
    for statement in script.statements() {
        if found.findings.len() >= MOST {
            break;
        }
        file.check(statement, &mut found);
    }
    found.findings.sort_by_key(|finding| finding.line);
    found.findings.truncate(MOST);
    found.findings
}

struct Found<'a> {
    text: &'a str,
    findings: Vec<Finding>,
}

impl Found<'_> {
    fn add(&mut self, at: usize, rule: Rule, message: impl Into<String>) {
        let finding = Finding { line: line_of(self.text, at), rule, message: message.into() };
        if !self.findings.contains(&finding) {
            self.findings.push(finding);
        }
    }
}

struct File<'a> {
    lint: &'a Lint,
    subject: &'a Subject<'a>,
}

impl File<'_> {
    fn check(&self, statement: &[Token<'_>], found: &mut Found<'_>) {
        self.check_transaction(statement, found);
        check_client(statement, found);
        if self.lint.skips(self.subject.version) {
            return;
        }
        self.check_search_path(statement, found);
        if self.subject.of == Of::Shared {
            return;
        }
        self.check_extension(statement, found);
        self.check_schemas(statement, &HashSet::new(), Within::File, 0, found);
        self.check_schema_statement(statement, found);
        self.check_bodies(statement, found);
    }

    fn check_transaction(&self, statement: &[Token<'_>], found: &mut Found<'_>) {
        let at = statement[0].at;
        if controls_transaction(statement) {
            let what = statement[0].text.to_ascii_lowercase();
            let why = match self.subject.transactional {
                true => "the file is in a transaction with its record",
                false => "the statements of the file are sent one by one",
            };
            found.add(at, Rule::TransactionControl, format!("{what}: {why}; leave it out"));
        }
        if self.subject.transactional && must_be_alone(statement) {
            let message = "this cannot be in a transaction: put it into a file by itself, which begins \
                           with -- no-transaction";
            found.add(at, Rule::NotInTransaction, message);
        }
    }

    fn check_search_path(&self, statement: &[Token<'_>], found: &mut Found<'_>) {
        let says = |keywords: &[&str]| starts(statement, keywords);
        let is_set = says(&["set", "search_path"])
            || says(&["set", "session", "search_path"])
            || says(&["set", "local", "search_path"])
            || says(&["set", "schema"])
            || says(&["reset", "search_path"])
            || says(&["reset", "all"])
            || says(&["discard", "all"]);
        let of_role = statement[0].is("alter")
            && statement.get(1).is_some_and(|what| what.is_one_of(&["role", "user", "database"]))
            && follows(statement, &["set", "search_path"]).is_some();
        if is_set || of_role {
            found.add(statement[0].at, Rule::SearchPath, SEARCH_PATH);
        }
        check_set_config(statement, 0, found);
    }

    fn check_extension(&self, statement: &[Token<'_>], found: &mut Found<'_>) {
        let creates = starts(statement, &["create", "extension"]);
        if creates && !statement.iter().any(|token| token.is("schema")) {
            let message = "create extension without a schema puts it into that of the first tenant: add \
                           schema …, such as schema public";
            found.add(statement[0].at, Rule::ExtensionWithoutSchema, message);
        }
    }

    /// Looks at the names of a statement; `offset` is where the text that it is in begins.
    fn check_schemas(
        &self,
        statement: &[Token<'_>],
        around: &HashSet<String>,
        within: Within,
        offset: usize,
        found: &mut Found<'_>,
    ) {
        let allowed = |schema: &str| self.lint.allows(schema);
        let names = Names { allowed: &allowed, within, around };
        for (at, schema) in names::foreign(statement, names) {
            found.add(offset + at, Rule::ForeignSchema, foreign(&schema));
        }
    }

    /// Looks at statements that are about schemas, and at the search path of a function.
    fn check_schema_statement(&self, statement: &[Token<'_>], found: &mut Found<'_>) {
        let first = &statement[0];
        let second = statement.get(1);
        let about = first.is_one_of(&["create", "alter", "drop"])
            && second.is_some_and(|token| token.is("schema"));
        let of_schema = match () {
            () if about => Some(1),
            () if first.is("alter") => follows(statement, &["set", "schema"])
                .or_else(|| follows(statement, &["in", "schema"])),
            () if first.is_one_of(&["grant", "revoke", "comment"]) => {
                follows(statement, &["on", "schema"])
                    .or_else(|| follows(statement, &["in", "schema"]))
            }
            () => None,
        };
        if let Some(keyword) = of_schema {
            let between =
                |token: &&Token<'_>| !token.is_one_of(&["if", "not", "exists", "authorization"]);
            let name =
                statement[keyword + 1..].iter().find(between).filter(|token| token.is_name());
            if let Some(name) = name.filter(|name| !self.lint.allows(&name.name())) {
                found.add(name.at, Rule::ForeignSchema, foreign(&name.name()));
            }
        }
        if is_routine(statement)
            && let Some(setting) = follows(statement, &["set", "search_path"])
        {
            self.check_setting(&statement[setting + 1..], found);
        }
    }

    /// Looks at the search path that a function sets for itself.
    fn check_setting(&self, value: &[Token<'_>], found: &mut Found<'_>) {
        for token in value.iter().skip(1) {
            let name = match token.kind {
                Kind::Comma => continue,
                Kind::Text | Kind::Quoted if matches!(token.text, "''" | "\"\"") => continue,
                Kind::Text => token.text.trim_matches('\'').to_owned(),
                Kind::Word
                    if token.is_one_of(&[
                        "as",
                        "language",
                        "security",
                        "stable",
                        "immutable",
                        "volatile",
                        "strict",
                        "parallel",
                        "set",
                        "cost",
                        "rows",
                        "returns",
                        "begin",
                        "return",
                        "current",
                        "leakproof",
                        "called",
                        "owner",
                        "support",
                        "window",
                    ]) =>
                {
                    return;
                }
                Kind::Word | Kind::Quoted => token.name(),
                _ => return,
            };
            if !self.lint.allows(&name) {
                found.add(token.at, Rule::ForeignSchema, foreign(&name));
            }
        }
    }

    /// Looks into the body of a function, where it is SQL.
    fn check_bodies(&self, statement: &[Token<'_>], found: &mut Found<'_>) {
        if !is_routine(statement) && !statement[0].is("do") {
            return;
        }
        let language =
            statement.windows(2).find(|pair| pair[0].is("language")).map(|pair| &pair[1]);
        let language =
            language.map(|name| name.text.trim_matches(['\'', '"']).to_ascii_lowercase());
        if !matches!(language.as_deref(), None | Some("sql" | "plpgsql")) {
            return;
        }
        for (index, token) in statement.iter().enumerate() {
            let before = index.checked_sub(1).map(|index| &statement[index]);
            let is_body =
                before.is_some_and(|word| word.is_one_of(&["as", "do", "sql", "plpgsql"]));
            if let Some((inner, offset)) = body_of(token).filter(|_| is_body) {
                self.check_body(statement, &inner, offset, found);
            }
        }
    }

    fn check_body(&self, routine: &[Token<'_>], body: &str, offset: usize, found: &mut Found<'_>) {
        let script = Script::new(body);
        // What is declared at its beginning, and the parameters, are known to all of its statements.
        let mut around = names::declared(&script.tokens);
        around.extend(routine.iter().filter(|token| token.is_name()).map(Token::name));
        for statement in script.statements() {
            self.check_schemas(statement, &around, Within::Body, offset, found);
            check_set_config(statement, offset, found);
            if let Some(set) = sets_search_path(statement) {
                found.add(offset + set, Rule::SearchPath, SEARCH_PATH);
            }
        }
    }
}

/// Returns the text of a body, and where it begins. In one in single quotes those inside are doubled: one of
/// them gives way to a blank, so that everything stays where it is.
fn body_of<'a>(token: &Token<'a>) -> Option<(Cow<'a, str>, usize)> {
    match token.kind {
        Kind::Dollar => {
            let tag = token.text.get(1..)?.find('$')? + 2;
            let inner = token.text.get(tag..token.text.len().checked_sub(tag)?)?;
            Some((inner.into(), token.at + tag))
        }
        Kind::Text => {
            let inner = token.text.strip_prefix('\'')?.strip_suffix('\'')?;
            Some((inner.replace("''", "' ").into(), token.at + 1))
        }
        _ => None,
    }
}

const SEARCH_PATH: &str = "the search_path is that of the tenant; what follows would be about another schema: leave this out";

fn foreign(schema: &str) -> String {
    format!(
        "names the schema {schema:?}, which is the same one for every tenant: leave it out, or allow it \
         with Lint::allow_schema"
    )
}

/// Says whether a statement begins with these words.
fn starts(statement: &[Token<'_>], keywords: &[&str]) -> bool {
    statement.len() >= keywords.len()
        && statement.iter().zip(keywords).all(|(token, keyword)| match *keyword {
            // The one word that is no keyword, and so may be in quotes.
            "search_path" => token.is_name() && token.name() == "search_path",
            keyword => token.is(keyword),
        })
}

/// Finds these words in a row, and returns where the last of them is.
fn follows(statement: &[Token<'_>], keywords: &[&str]) -> Option<usize> {
    let at = (0..statement.len()).find(|index| starts(&statement[*index..], keywords))?;
    Some(at + keywords.len() - 1)
}

fn is_routine(statement: &[Token<'_>]) -> bool {
    statement[0].is_one_of(&["create", "alter"])
        && statement.iter().take(4).any(|token| token.is_one_of(&["function", "procedure"]))
}

fn controls_transaction(statement: &[Token<'_>]) -> bool {
    let second = |keywords: &[&str]| statement.get(1).is_some_and(|word| word.is_one_of(keywords));
    let first = &statement[0];
    // `rollback to` a savepoint stays in the transaction.
    let to_savepoint = first.is("rollback") && statement.iter().take(4).any(|word| word.is("to"));
    first.is_one_of(&["begin", "commit", "end", "abort"])
        || (first.is("rollback") && !to_savepoint)
        || (first.is_one_of(&["start", "prepare", "set"]) && second(&["transaction"]))
        || starts(statement, &["set", "session", "characteristics"])
        || starts(statement, &["set", "local", "transaction"])
}

/// Says whether the server refuses a statement in a transaction; see the chapters of these commands.
fn must_be_alone(statement: &[Token<'_>]) -> bool {
    let first = &statement[0];
    let second = |keywords: &[&str]| statement.get(1).is_some_and(|word| word.is_one_of(keywords));
    let concurrent = first.is_one_of(&["create", "drop", "reindex"])
        && statement.iter().take(6).any(|word| word.is("concurrently"))
        && !starts(statement, &["drop", "table"]);
    concurrent
        || first.is("vacuum")
        || (first.is_one_of(&["create", "drop"])
            && second(&["database", "tablespace", "subscription"]))
        || starts(statement, &["alter", "system"])
}

fn check_client(statement: &[Token<'_>], found: &mut Found<'_>) {
    let message = "only psql can do that: copy rows with inserts, or by a program";
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

/// Finds `set_config('search_path', …)`.
fn check_set_config(statement: &[Token<'_>], offset: usize, found: &mut Found<'_>) {
    for window in statement.windows(3) {
        let [function, open, name] = window else { continue };
        let text = matches!(name.kind, Kind::Text | Kind::Dollar);
        let named = text && name.text.trim_matches(['\'', '$']).eq_ignore_ascii_case("search_path");
        if function.is("set_config") && open.kind == Kind::Open && named {
            found.add(offset + function.at, Rule::SearchPath, SEARCH_PATH);
        }
    }
}

/// Finds a `set search_path` that is a statement of a function's body.
fn sets_search_path(statement: &[Token<'_>]) -> Option<usize> {
    let begins = |index: usize| {
        index
            .checked_sub(1)
            .is_none_or(|before| statement[before].is_one_of(&["begin", "then", "else", "loop"]))
    };
    let sets = |index: &usize| {
        let rest = &statement[*index..];
        begins(*index)
            && [&["set", "search_path"][..], &["set", "local", "search_path"]]
                .iter()
                .any(|words| starts(rest, words))
    };
    (0..statement.len()).find(sets).map(|index| statement[index].at)
}
