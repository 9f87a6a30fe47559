//! Properties of a statement that runs outside a transaction: whether it is atomic, and what it leaves behind when it
//! fails, judged by what it creates.

use std::fmt;

use super::script::{Kind, Script, Token};

/// A statement of a file that runs outside a transaction, classified by the consequences of a failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Statement {
    /// It works in several transactions, and the remains of a failure are known.
    Concurrent(Concurrent),
    /// It is atomic, and can share its transaction with others.
    Atomic {
        /// What it creates that would block a second attempt.
        constraint: Option<Constraint>,
    },
    /// It can run any number of times.
    Repeatable {
        /// Whether it only waits for other sessions that do the same.
        blocks_nobody: bool,
    },
    /// It sets something for the rest of the session.
    Setting {
        /// Whether it sets the lock timeout.
        lock_timeout: bool,
    },
    /// It creates something else that lasts until the end of the session, such as a temporary table.
    Fleeting,
    /// It opens a transaction.
    Begin,
    /// It ends a transaction.
    End,
    /// The outcome of a failure is unknown.
    Other,
}

/// A statement that works in several transactions, and leaves something half made when it fails in between.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Concurrent {
    /// `create index concurrently`.
    CreateIndex(NewIndex),
    /// `drop index concurrently`.
    DropIndex(Name),
    /// `reindex … concurrently`.
    Reindex(Reindexed),
    /// `alter table … detach partition … concurrently`.
    Detach {
        /// The partitioned table.
        table: Name,
        /// Its partition.
        partition: Name,
    },
}

/// The index that `create index concurrently` creates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NewIndex {
    /// Its name; if there is none, PostgreSQL chooses it.
    pub(crate) name: Option<String>,
    pub(crate) table: Name,
    /// Its columns, with included columns at the end; an expression is `None`.
    pub(crate) columns: Vec<Option<String>>,
    pub(crate) is_unique: bool,
    /// The index method, such as `btree`.
    pub(crate) method: String,
    /// Whether it covers only some rows.
    pub(crate) is_partial: bool,
    /// Whether nothing is created if the name is already in use.
    pub(crate) if_not_exists: bool,
}

/// The object that `reindex concurrently` rebuilds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reindexed {
    Index(Name),
    Table(Name),
    Schema(String),
    Database,
}

/// A constraint that is declared `not valid`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Constraint {
    pub(crate) table: Name,
    pub(crate) name: String,
}

/// A qualified name, as the server stores it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Name(Vec<String>);

impl Concurrent {
    /// Returns `true` if, while it waits, only statements of the same kind queue behind it.
    ///
    /// Detaching a partition ends with an exclusive lock.
    pub(crate) fn blocks_nobody(&self) -> bool {
        !matches!(self, Self::Detach { .. })
    }
}

impl Statement {
    /// Reads a statement.
    pub(crate) fn read(text: &str) -> Self {
        let script = Script::new(text);
        let reader = Reader { rest: &script.tokens };
        match reader.statement() {
            Self::Atomic { .. } | Self::Other if leaves_something(text, &script.tokens) => {
                Self::Fleeting
            }
            read => read,
        }
    }

    pub(crate) fn blocks_nobody(&self) -> bool {
        match self {
            Self::Concurrent(concurrent) => concurrent.blocks_nobody(),
            Self::Repeatable { blocks_nobody } => *blocks_nobody,
            _ => false,
        }
    }
}

/// Returns `true` if a statement leaves something in the session even though it does not start like such a statement:
/// in a `do`, a `with`, an `into`, or in the name of the created object.
fn leaves_something(text: &str, tokens: &[Token<'_>]) -> bool {
    let Some(first) = tokens.first() else { return false };
    if first.is("create") {
        // The body of a routine is not run.
        return tokens.iter().take(8).any(|token| token.name() == "pg_temp");
    }
    let words: Vec<_> = text.split_ascii_whitespace().map(str::to_ascii_lowercase).collect();
    let words = words.join(" ");
    let makes = ["create ", "create or replace ", "create local ", "create global ", "into "];
    let temporary = |made: &str| {
        ["temp ", "temporary "].iter().any(|word| words.contains(&format!("{made}{word}")))
    };
    words.contains("set_config")
        || words.contains("pg_temp.")
        || makes.iter().any(|made| temporary(made))
}

/// Writes the parts in double quotes, separated by dots, as `to_regclass` expects.
impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, part) in self.0.iter().enumerate() {
            let dot = if index == 0 { "" } else { "." };
            write!(f, "{dot}\"{}\"", part.replace('"', "\"\""))?;
        }
        Ok(())
    }
}

/// The unread tokens of a statement.
#[derive(Clone, Copy)]
struct Reader<'t, 'a> {
    rest: &'t [Token<'a>],
}

impl Reader<'_, '_> {
    fn statement(mut self) -> Statement {
        let all = self;
        let Some(first) = self.next() else { return Statement::Other };
        match first.keyword().as_str() {
            "create" => self.create(),
            "drop" => self.drop(),
            "alter" => self.alter(),
            "reindex" => self.reindex(),
            "refresh" => Statement::Repeatable { blocks_nobody: all.has("concurrently") },
            "vacuum" | "analyze" | "analyse" | "cluster" | "checkpoint" => {
                Statement::Repeatable { blocks_nobody: false }
            }
            "set" | "reset" => self.setting(),
            "select" if all.has("set_config") => {
                Statement::Setting { lock_timeout: all.names("lock_timeout") }
            }
            "begin" | "start" => Statement::Begin,
            // `rollback to` a savepoint stays in the transaction.
            "commit" | "end" | "abort" | "rollback" if all.has("to") => Statement::Other,
            "commit" | "end" | "abort" | "rollback" => Statement::End,
            "prepare" | "declare" | "listen" | "load" => Statement::Fleeting,
            "insert" | "update" | "delete" | "merge" | "truncate" | "comment" | "grant"
            | "revoke" | "select" | "with" => Statement::Atomic { constraint: None },
            _ => Statement::Other,
        }
    }

    fn setting(self) -> Statement {
        let ends_with_transaction =
            self.is_at("local") || self.is_at("constraints") || self.is_at("transaction");
        match ends_with_transaction {
            true => Statement::Other,
            false => Statement::Setting { lock_timeout: self.names("lock_timeout") },
        }
    }

    fn create(mut self) -> Statement {
        if self.has_early(&["temp", "temporary"]) {
            return Statement::Fleeting;
        }
        let mut index = self;
        let is_unique = index.accept("unique");
        if index.accept("index") && index.accept("concurrently") {
            let made = index.new_index(is_unique);
            return made.map_or(Statement::Other, |made| {
                Statement::Concurrent(Concurrent::CreateIndex(made))
            });
        }
        self.atomic_unless_global()
    }

    fn new_index(mut self, is_unique: bool) -> Option<NewIndex> {
        let if_not_exists = self.is_at("if") && self.rest.get(1).is_some_and(|next| next.is("not"));
        if if_not_exists {
            self.skip(3);
        }
        let name = if self.is_at("on") { None } else { Some(self.next()?.name()) };
        let table = self.indexed_table()?;
        let method = if self.accept("using") { self.next()?.name() } else { "btree".to_owned() };
        while !self.rest.is_empty() && !self.is_at_kind(Kind::Open) {
            self.next();
        }
        let mut columns = self.columns();
        if self.accept("include") {
            columns.append(&mut self.columns());
        }
        let is_partial = self.has("where");
        Some(NewIndex { name, table, columns, is_unique, method, is_partial, if_not_exists })
    }

    /// Reads `on t`, `on only t` or `on only (t)`.
    fn indexed_table(&mut self) -> Option<Name> {
        if !self.accept("on") {
            return None;
        }
        let only = self.accept("only");
        let in_parentheses = only && self.accept_kind(Kind::Open);
        let table = self.name()?;
        if in_parentheses {
            self.accept_kind(Kind::Close);
        }
        Some(table)
    }

    /// Reads columns in parentheses.
    fn columns(&mut self) -> Vec<Option<String>> {
        let list = self.parentheses();
        let columns = split(list).into_iter().filter(|column| !column.is_empty());
        let columns = columns.map(|column| match column {
            [name] if name.is_name() => Some(name.name()),
            // An operator class or a sort order can follow.
            [name, next, ..] if name.is_name() && next.is_name() => Some(name.name()),
            // Parentheses do not turn a column into an expression.
            [open, name, close, ..]
                if (open.kind, close.kind) == (Kind::Open, Kind::Close) && name.is_name() =>
            {
                Some(name.name())
            }
            _ => None,
        });
        columns.collect()
    }

    fn drop(mut self) -> Statement {
        let mut index = self;
        if index.accept("index") && index.accept("concurrently") {
            if index.is_at("if") {
                let mut ahead = index;
                ahead.next();
                if ahead.accept("exists") {
                    index = ahead;
                }
            }
            let name = index.name();
            return name.map_or(Statement::Other, |name| {
                Statement::Concurrent(Concurrent::DropIndex(name))
            });
        }
        self.atomic_unless_global()
    }

    fn alter(mut self) -> Statement {
        if self.is_at("system") {
            return Statement::Repeatable { blocks_nobody: false };
        }
        let mut table = self;
        if !table.accept("table") {
            return self.atomic_unless_global();
        }
        if table.is_at("if") {
            table.skip(2);
        }
        table.accept("only");
        let Some(name) = table.name() else { return Statement::Other };
        if table.accept("detach") && table.accept("partition") {
            return match table.name() {
                Some(partition) if table.accept("concurrently") => {
                    Statement::Concurrent(Concurrent::Detach { table: name, partition })
                }
                _ => Statement::Atomic { constraint: None },
            };
        }
        Statement::Atomic { constraint: table.not_valid(name) }
    }

    /// Reads `add constraint … not valid` as the only action of an `alter table`.
    fn not_valid(mut self, table: Name) -> Option<Constraint> {
        if split(self.rest).len() != 1 || !self.accept("add") || !self.accept("constraint") {
            return None;
        }
        let name = self.next()?.name();
        // The condition is in parentheses, and can end with one, too.
        while !self.rest.is_empty() {
            if self.accept("not") && self.is_at("valid") {
                return Some(Constraint { table, name });
            }
            match self.is_at_kind(Kind::Open) {
                true => drop(self.parentheses()),
                false => self.skip(1),
            }
        }
        None
    }

    fn reindex(mut self) -> Statement {
        let has_option = self.is_at_kind(Kind::Open) && is_concurrent(self.parentheses());
        let Some(kind) = self.next() else { return Statement::Other };
        let not_concurrent = Statement::Repeatable { blocks_nobody: false };
        if !self.accept("concurrently") && !has_option {
            return not_concurrent;
        }
        let reindexed = match self.name() {
            Some(name) if kind.is("index") => Reindexed::Index(name),
            Some(name) if kind.is("table") => Reindexed::Table(name),
            Some(Name(mut schema)) if kind.is("schema") => {
                Reindexed::Schema(schema.pop().unwrap_or_default())
            }
            _ if kind.is("database") => Reindexed::Database,
            _ => return not_concurrent,
        };
        Statement::Concurrent(Concurrent::Reindex(reindexed))
    }

    /// Statements about a database or the whole server cannot share a transaction with others.
    fn atomic_unless_global(&mut self) -> Statement {
        let global = ["database", "tablespace", "subscription", "system"];
        let is_global = self.rest.first().is_some_and(|word| word.is_one_of(&global));
        if is_global { Statement::Other } else { Statement::Atomic { constraint: None } }
    }

    fn skip(&mut self, tokens: usize) {
        self.rest = self.rest.get(tokens..).unwrap_or_default();
    }

    fn is_at(&self, keyword: &str) -> bool {
        self.rest.first().is_some_and(|token| token.is(keyword))
    }

    fn is_at_kind(&self, kind: Kind) -> bool {
        self.rest.first().is_some_and(|token| token.kind == kind)
    }

    fn accept(&mut self, keyword: &str) -> bool {
        let is_at = self.is_at(keyword);
        self.skip(usize::from(is_at));
        is_at
    }

    fn accept_kind(&mut self, kind: Kind) -> bool {
        let is_at = self.is_at_kind(kind);
        self.skip(usize::from(is_at));
        is_at
    }

    fn has(&self, keyword: &str) -> bool {
        self.rest.iter().any(|token| token.is(keyword))
    }

    fn has_early(&self, keywords: &[&str]) -> bool {
        self.rest.iter().take(4).any(|token| token.is_one_of(keywords))
    }

    /// Returns `true` if an object has this name, in any quoting.
    fn names(&self, name: &str) -> bool {
        let is_it = |token: &Token<'_>| {
            token.text.trim_matches(['\'', '"', '$']).eq_ignore_ascii_case(name)
        };
        self.rest.iter().any(is_it)
    }

    /// Reads a name, with the schemas before it.
    fn name(&mut self) -> Option<Name> {
        let mut parts = Vec::new();
        loop {
            let part = self.rest.first().filter(|token| token.is_name())?;
            parts.push(part.name());
            self.skip(1);
            if !self.accept_kind(Kind::Dot) {
                return Some(Name(parts));
            }
        }
    }
}

impl<'t, 'a> Reader<'t, 'a> {
    fn next(&mut self) -> Option<Token<'a>> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    /// Reads a parenthesized part, including nested parentheses.
    fn parentheses(&mut self) -> &'t [Token<'a>] {
        if !self.accept_kind(Kind::Open) {
            return &[];
        }
        let (inside, mut depth) = (self.rest, 1_usize);
        for (index, token) in inside.iter().enumerate() {
            match token.kind {
                Kind::Open => depth += 1,
                Kind::Close => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                self.skip(index + 1);
                return &inside[..index];
            }
        }
        self.rest = &[];
        inside
    }
}

/// Returns `true` if the options of a `reindex` include `concurrently`; the last one counts.
fn is_concurrent(options: &[Token<'_>]) -> bool {
    let mut concurrently = split(options).into_iter().filter_map(|option| {
        let (name, value) = option.split_first()?;
        name.is("concurrently").then_some(value)
    });
    concurrently.next_back().is_some_and(|value| {
        let value = value.first().map(|value| value.name());
        let value = value.as_deref().map(|text| text.trim_matches('\''));
        !matches!(value, Some("false" | "off" | "0"))
    })
}

/// Splits at commas outside parentheses.
fn split<'t, 'a>(tokens: &'t [Token<'a>]) -> Vec<&'t [Token<'a>]> {
    let mut depth = 0_usize;
    let ends = |token: &Token<'_>| {
        match token.kind {
            Kind::Open => depth += 1,
            Kind::Close => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth == 0 && token.kind == Kind::Comma
    };
    tokens.split(ends).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(parts: &[&str]) -> Name {
        Name(parts.iter().map(|part| (*part).to_owned()).collect())
    }

    fn index(text: &str) -> NewIndex {
        match Statement::read(text) {
            Statement::Concurrent(Concurrent::CreateIndex(index)) => index,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn an_index_is_known_by_its_name_table_and_columns() {
        type Names = &'static [&'static str];
        type Columns = &'static [Option<&'static str>];
        let cases: [(&str, Option<&str>, Names, bool, Columns); 10] = [
            ("create index concurrently i on t (x)", Some("i"), &["t"], false, &[Some("x")]),
            ("CREATE UNIQUE INDEX CONCURRENTLY I ON T(X)", Some("i"), &["t"], false, &[Some("x")]),
            (
                "create /* a */ index -- b\n concurrently if not exists \"My \"\"i\" on s.\"T\" using gin \
                 (x gin_trgm_ops, y)",
                Some("My \"i"),
                &["s", "T"],
                true,
                &[Some("x"), Some("y")],
            ),
            ("create index concurrently on only t (x desc)", None, &["t"], false, &[Some("x")]),
            ("create index concurrently on only (t) (x)", None, &["t"], false, &[Some("x")]),
            (
                "create index concurrently on t (lower(a), (b + 1), c collate \"C\") include (d, e)",
                None,
                &["t"],
                false,
                &[None, None, Some("c"), Some("d"), Some("e")],
            ),
            ("create index concurrently if on t (x)", Some("if"), &["t"], false, &[Some("x")]),
            (
                "create index concurrently i on t using btree (\"X y\" int4_ops) where x in (1, 2)",
                Some("i"),
                &["t"],
                false,
                &[Some("X y")],
            ),
            (
                "create index concurrently i on a.b.t (f.g(x))",
                Some("i"),
                &["a", "b", "t"],
                false,
                &[None],
            ),
            ("create index concurrently \"on\" on t (x)", Some("on"), &["t"], false, &[Some("x")]),
        ];
        for (text, named, table, if_not_exists, columns) in cases {
            let columns = columns.iter().map(|column| column.map(str::to_owned)).collect();
            let (named, table) = (named.map(str::to_owned), name(table));
            let read = index(text);
            let found = (read.name, read.table, read.columns, read.if_not_exists);
            assert_eq!(found, (named, table, columns, if_not_exists), "{text}");
        }
    }

    #[test]
    fn an_index_is_told_from_others_on_its_columns() {
        for (text, unique, method, partial) in [
            ("create index concurrently on t (x)", false, "btree", false),
            (
                "create unique index concurrently on t (x) include (y) where x > 0",
                true,
                "btree",
                true,
            ),
            (
                "create index concurrently on t using GIN (x) with (fastupdate = off)",
                false,
                "gin",
                false,
            ),
            (
                "create index concurrently on only (t) using hash (x) where (x > 0)",
                false,
                "hash",
                true,
            ),
            ("create index concurrently on t ((select_where(x)))", false, "btree", false),
        ] {
            let read = index(text);
            let found = (read.is_unique, read.method.as_str(), read.is_partial);
            assert_eq!(found, (unique, method, partial), "{text}");
        }
        let read = index(r#"create index concurrently U&"\0069\+000031" on t ((x), ((x) || 'y'))"#);
        assert_eq!(
            (read.name.as_deref(), read.columns),
            (Some("i1"), vec![Some("x".into()), None])
        );
    }

    #[test]
    fn statements_that_work_in_several_transactions_are_known() {
        let reindex = |reindexed| Statement::Concurrent(Concurrent::Reindex(reindexed));
        let drop = |parts: &[&str]| Statement::Concurrent(Concurrent::DropIndex(name(parts)));
        for (text, expected) in [
            ("drop index concurrently i", drop(&["i"])),
            ("drop index concurrently if exists s.\"I\" cascade", drop(&["s", "I"])),
            ("reindex index concurrently i", reindex(Reindexed::Index(name(&["i"])))),
            ("reindex (concurrently) table t", reindex(Reindexed::Table(name(&["t"])))),
            (
                "reindex (verbose, concurrently on) table s.t",
                reindex(Reindexed::Table(name(&["s", "t"]))),
            ),
            ("reindex (verbose) schema concurrently a", reindex(Reindexed::Schema("a".into()))),
            ("reindex database concurrently", reindex(Reindexed::Database)),
            (
                "alter table if exists only s.t detach partition \"P\" concurrently",
                Statement::Concurrent(Concurrent::Detach {
                    table: name(&["s", "t"]),
                    partition: name(&["P"]),
                }),
            ),
        ] {
            let read = Statement::read(text);
            assert_eq!(read, expected, "{text}");
            assert_eq!(read.blocks_nobody(), !text.starts_with("alter"), "{text}");
        }
        let view = Statement::read("refresh materialized view concurrently v");
        assert_eq!(view, Statement::Repeatable { blocks_nobody: true });
    }

    #[test]
    fn others_are_atomic_or_not() {
        let atomic = Statement::Atomic { constraint: None };
        let repeatable = Statement::Repeatable { blocks_nobody: false };
        let not_valid = Constraint { table: name(&["t"]), name: "c".into() };
        for (text, expected) in [
            ("create index \"concurrently\" on t (x)", atomic.clone()),
            ("create table concurrently (id int)", atomic.clone()),
            ("create temp table x (id int)", Statement::Fleeting),
            ("create or replace temporary view x as select 1", Statement::Fleeting),
            ("create table pg_temp.x (id int)", Statement::Fleeting),
            (
                "create function pg_temp.f() returns int language sql as 'select 1'",
                Statement::Fleeting,
            ),
            ("select 1 into temp x", Statement::Fleeting),
            ("do $$ begin perform set_config('a.b', 'c', false); end $$", Statement::Fleeting),
            ("do $$ begin create temp table x (); end $$", Statement::Fleeting),
            ("with q as (select set_config('a.b', 'c', false)) select from q", Statement::Fleeting),
            ("create database x", Statement::Other),
            ("drop table x", atomic.clone()),
            ("alter type e add value 'x'", atomic.clone()),
            ("alter table t detach partition p finalize", atomic.clone()),
            ("alter table t add constraint c check (x > 0)", atomic.clone()),
            (
                "alter table t add constraint c check (x in (1, 2)) not valid",
                Statement::Atomic { constraint: Some(not_valid.clone()) },
            ),
            ("alter table t add constraint c check (not valid)", atomic.clone()),
            (
                "alter table t add constraint c foreign key (x) references u not valid deferrable",
                Statement::Atomic { constraint: Some(not_valid) },
            ),
            (
                "alter table t add constraint c check (x > 0) not valid, add y int not null",
                atomic.clone(),
            ),
            ("alter system set a = 1", repeatable.clone()),
            ("reindex (concurrently false) table t", repeatable.clone()),
            ("reindex table t", repeatable.clone()),
            ("vacuum t", repeatable),
            ("set lock_timeout = '5s'", Statement::Setting { lock_timeout: true }),
            ("set \"lock_timeout\" to 5", Statement::Setting { lock_timeout: true }),
            ("set statement_timeout = 0", Statement::Setting { lock_timeout: false }),
            (
                "select set_config('lock_timeout', '1', false)",
                Statement::Setting { lock_timeout: true },
            ),
            ("select 1", atomic),
            ("begin", Statement::Begin),
            ("start transaction", Statement::Begin),
            ("rollback to savepoint a", Statement::Other),
            ("commit", Statement::End),
            ("do $$ begin end $$", Statement::Other),
            ("call p()", Statement::Other),
        ] {
            assert_eq!(Statement::read(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_cut_off_is_no_index() {
        for text in [
            "create index concurrently",
            "create index concurrently i on",
            "drop index concurrently",
        ] {
            assert_eq!(Statement::read(text), Statement::Other, "{text}");
        }
        assert_eq!(index("create index concurrently on t (").columns, Vec::<Option<String>>::new());
    }
}
