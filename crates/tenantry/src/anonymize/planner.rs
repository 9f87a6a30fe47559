//! Resolves rules for the columns of a schema.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Anonymize, HashMask, Mask, Rule, WrongRule, WrongRules,
    fit::{Fitting, Misfit, fit},
    foreign,
    leaf::{Leaf, Per},
    masker::Masker,
    path::Path,
    pattern::ColumnPattern,
    plan::{ColumnPlan, MaskPlan, Select, TablePlan},
    shape::Shape,
    unique,
};
use crate::schema::{Attribute, Object, ObjectKey, ObjectKind, SchemaModel};

impl Anonymize {
    /// Checks the rules against a schema.
    ///
    /// # Errors
    ///
    /// [`WrongRules`] with every rule that is wrong: a pattern that matches no column, or a mask that does not fit
    /// the type, produces null where null is not allowed, cannot preserve a unique constraint, or differs between the
    /// two sides of a foreign key.
    pub fn check(&self, model: &SchemaModel) -> Result<(), WrongRules> {
        self.plan(model).map(|_| ())
    }

    /// Resolves the rules for a schema.
    ///
    /// # Errors
    ///
    /// As [`check`](Self::check).
    pub(crate) fn plan(&self, model: &SchemaModel) -> Result<MaskPlan, WrongRules> {
        let mut planner = Planner::new(self, model);
        let tables = planner.tables();
        planner.unused_patterns();
        for table in tables.values() {
            planner.wrong.extend(unique::check(model, table));
            planner.wrong.extend(partition_key(model, table));
            planner.wrong.extend(deciding_columns(table));
        }
        planner.wrong.extend(foreign::check(model, &tables));
        planner.wrong.extend(self.hashes_of_several_lengths(&tables));
        let mut wrong = planner.wrong;
        wrong.sort();
        wrong.dedup();
        match wrong.is_empty() {
            true => Ok(MaskPlan { tables }),
            false => Err(WrongRules(wrong)),
        }
    }
}

impl Anonymize {
    /// Returns the rules that would hash equal texts to different lengths, because some of their columns are shorter.
    fn hashes_of_several_lengths(&self, tables: &BTreeMap<String, TablePlan>) -> Vec<WrongRule> {
        let mut wrong = Vec::new();
        for (rule, number) in self.rules.iter().zip(1..) {
            let Mask::Hash(HashMask { length: None, .. }) = rule.mask else { continue };
            let lengths = hash_lengths(number, tables);
            let longest = lengths.iter().map(|(digits, ..)| *digits).max().unwrap_or_default();
            let shortest = lengths.iter().min_by_key(|(digits, ..)| *digits);
            if let Some((digits, table, column)) = shortest.filter(|(digits, ..)| *digits < longest)
            {
                wrong.push(WrongRule {
                    rule: Some(number),
                    column: Some(format!("{}.{}", table.name, column.name)),
                    message: format!(
                        "{} has room for {digits} digits of the hash, and other columns of the rule for {longest}, so equal \
                         values would differ: set length = {digits}, or give the column a separate rule",
                        column.data_type
                    ),
                });
            }
        }
        wrong
    }
}

/// Returns the number of hexadecimal digits of the hashes that a rule makes of texts, with the columns.
fn hash_lengths(
    rule: usize,
    tables: &BTreeMap<String, TablePlan>,
) -> Vec<(usize, &TablePlan, &ColumnPlan)> {
    let columns = tables.values().flat_map(|table| {
        let columns = table.columns.iter().filter(move |column| column.rule == Some(rule));
        columns.map(move |column| (table, column))
    });
    let lengths = columns.flat_map(|(table, column)| {
        column.masker.leaves().into_iter().filter_map(move |leaf| match leaf {
            Leaf::HashText { digits, .. } => Some((*digits, table, column)),
            _ => None,
        })
    });
    lengths.collect()
}

/// A rule that matches a column.
struct Matching<'a> {
    fitting: Fitting<'a>,
    /// A pattern of it names the column without wildcards.
    names_column: bool,
}

/// A rule whose texts have been parsed.
struct Read<'a> {
    number: usize,
    patterns: Vec<(&'a str, ColumnPattern)>,
    path: Option<Path>,
    rule: &'a Rule,
}

struct Planner<'a> {
    model: &'a SchemaModel,
    rules: Vec<Read<'a>>,
    /// The patterns that fit a column.
    used: BTreeSet<(usize, &'a str)>,
    wrong: Vec<WrongRule>,
    origin: u32,
}

impl<'a> Planner<'a> {
    fn new(rules: &'a Anonymize, model: &'a SchemaModel) -> Self {
        let (mut read, mut wrong) = (Vec::new(), Vec::new());
        for (rule, number) in rules.rules.iter().zip(1..) {
            let mut is_wrong = |message: String| {
                wrong.push(WrongRule { rule: Some(number), column: None, message });
            };
            let mut patterns = Vec::new();
            for pattern in &rule.columns {
                match ColumnPattern::parse(pattern) {
                    Ok(parsed) => patterns.push((&**pattern, parsed)),
                    Err(message) => is_wrong(message),
                }
            }
            if rule.columns.is_empty() {
                is_wrong("a rule needs columns, such as users.email".to_owned());
            }
            let path = match rule.path.as_deref().map(Path::parse).transpose() {
                Ok(path) => path,
                Err(message) => {
                    is_wrong(message);
                    continue;
                }
            };
            read.push(Read { number, patterns, path, rule });
        }
        Self { model, rules: read, used: BTreeSet::new(), wrong, origin: 0 }
    }

    fn tables(&mut self) -> BTreeMap<String, TablePlan> {
        let mut tables = BTreeMap::new();
        let of_model: Vec<_> = self.model.of_kind(ObjectKind::Table).collect();
        let (partitions, roots): (Vec<_>, Vec<_>) = of_model
            .into_iter()
            .partition(|(_, table)| table.get(Attribute::PartitionOf).is_some());
        for (key, _) in roots {
            let table = self.table(&key.name);
            tables.insert(key.name.clone(), table);
        }
        for (key, _) in partitions {
            let name = &key.name;
            let mut partition = match root(self.model, name).and_then(|root| tables.get(root)) {
                Some(root) => root.clone(),
                // The partitioned table is in another schema.
                None => self.table(name),
            };
            partition.name.clone_from(name);
            tables.insert(name.clone(), partition);
        }
        tables
    }

    fn table(&mut self, table: &str) -> TablePlan {
        let of_model = self.model.columns(table);
        let columns = of_model.iter().filter_map(|(key, column)| self.column(table, key, column));
        let columns = columns.collect();
        let generated = of_model.iter().filter_map(|(key, column)| {
            Some((key.name.clone(), expression_of(column)?.to_owned()))
        });
        TablePlan {
            name: table.to_owned(),
            columns,
            primary_key: unique::primary_key(self.model, table),
            generated: generated.collect(),
        }
    }

    fn column(&mut self, table: &str, key: &ObjectKey, column: &Object) -> Option<ColumnPlan> {
        let name = &key.name;
        let full_name = format!("{table}.{name}");
        let matching = self.rules_for(table, name);
        if expression_of(column).is_some() {
            for misfit in matching.iter().filter_map(Matching::misfit_of_generated) {
                self.reject(&full_name, misfit);
            }
            return None;
        }
        let fittings: Vec<_> = matching.into_iter().map(|rule| rule.fitting).collect();
        let data_type = column.text(Attribute::Type).unwrap_or_default();
        let shape = Shape::of(self.model, data_type);
        let masker = fit(&fittings, &shape, data_type, name).unwrap_or_else(|misfit| {
            self.reject(&full_name, misfit);
            Masker::Keep
        });
        let winner = fittings.first();
        let whole = winner.filter(|winner| winner.path.is_none());
        let select = select_of(whole).unwrap_or_else(|misfit| {
            self.reject(&full_name, misfit);
            Select::Column
        });
        let is_not_null =
            column.has(Attribute::NotNull) || domain_is_not_null(self.model, data_type);
        if let Some(whole) = whole.filter(|whole| *whole.mask == Mask::Null && is_not_null) {
            let misfit = whole.misfit("the column is not null: use constant or another mask");
            self.reject(&full_name, misfit);
        }
        self.origin += 1;
        Some(ColumnPlan {
            name: name.clone(),
            select,
            masker,
            rule: winner.map(|winner| winner.rule),
            mask: winner.map_or_else(String::new, |winner| winner.mask.to_string()),
            origin: self.origin,
            data_type: data_type.to_owned(),
            shape,
            is_not_null,
            is_numbered: is_numbered(column),
        })
    }

    /// Returns the rules for a column in order, up to the first one for the whole column.
    fn rules_for(&mut self, table: &str, column: &str) -> Vec<Matching<'a>> {
        let (mut matching, mut is_decided) = (Vec::new(), false);
        for read in &self.rules {
            let fits = read.patterns.iter().filter(|(_, pattern)| pattern.matches(table, column));
            let fits: Vec<_> = fits.collect();
            self.used.extend(fits.iter().map(|(text, _)| (read.number, *text)));
            if is_decided || fits.is_empty() {
                continue;
            }
            is_decided = read.path.is_none();
            matching.push(Matching {
                fitting: Fitting {
                    rule: read.number,
                    path: read.path.clone(),
                    mask: &read.rule.mask,
                },
                names_column: fits.iter().any(|(_, pattern)| pattern.names_column()),
            });
        }
        matching
    }

    /// Records that a rule does not fit a column.
    fn reject(&mut self, column: &str, Misfit { rule, message }: Misfit) {
        self.wrong.push(WrongRule { rule: Some(rule), column: Some(column.to_owned()), message });
    }

    /// Records the patterns that match no column.
    fn unused_patterns(&mut self) {
        for read in &self.rules {
            for (text, pattern) in &read.patterns {
                if self.used.contains(&(read.number, *text)) {
                    continue;
                }
                let message = format!("{text} {}", self.why_unused(pattern));
                self.wrong.push(WrongRule { rule: Some(read.number), column: None, message });
            }
        }
    }

    fn why_unused(&self, pattern: &ColumnPattern) -> String {
        let columns = || self.model.of_kind(ObjectKind::Column);
        let hit = columns()
            .find(|(key, _)| key.of.as_deref().is_some_and(|of| pattern.matches(of, &key.name)));
        if let Some(table) = hit.and_then(|(key, _)| key.of.as_deref()) {
            return match root(self.model, table) {
                Some(root) => format!("matches a partition only: use its table {root}"),
                None => {
                    "matches no column of a table: rows of views and foreign tables are not copied"
                        .to_owned()
                }
            };
        }
        let tables = self.model.of_kind(ObjectKind::Table);
        match tables.into_iter().any(|(key, _)| pattern.matches_table(&key.name)) {
            true => "matches no column: the table exists, but has no such column".to_owned(),
            false => "matches no column: there is no such table".to_owned(),
        }
    }
}

impl Matching<'_> {
    /// Returns why the rule is wrong for a generated column, if it names the column.
    fn misfit_of_generated(&self) -> Option<Misfit> {
        let is_wrong = self.names_column && *self.fitting.mask != Mask::Keep;
        is_wrong.then(|| {
            self.fitting.misfit("the column is generated: mask the columns it is computed from")
        })
    }
}

/// Returns what to read from the source for a column, given the rule for the whole column.
fn select_of(whole: Option<&Fitting<'_>>) -> Result<Select, Misfit> {
    let Some(whole) = whole else { return Ok(Select::Column) };
    match whole.mask {
        Mask::Shuffle => Ok(Select::Shuffle),
        Mask::Sql(sql) if sql.expression.trim().is_empty() => {
            Err(whole.misfit("the expression is empty"))
        }
        Mask::Sql(sql) => {
            Ok(Select::Sql { expression: sql.expression.clone(), is_unique: sql.unique })
        }
        _ => Ok(Select::Column),
    }
}

/// Returns the partitioned table at the top of a partition.
fn root<'a>(model: &'a SchemaModel, partition: &str) -> Option<&'a str> {
    let parent = |name: &str| {
        let table = model.get(&ObjectKey::new(ObjectKind::Table, name))?;
        let parent = table.text(Attribute::PartitionOf)?;
        let parent = parent.strip_prefix("{schema}.").unwrap_or(parent);
        let unquoted = match parent.strip_prefix('"').and_then(|name| name.strip_suffix('"')) {
            Some(quoted) => quoted.replace("\"\"", "\""),
            None => parent.to_owned(),
        };
        Some(&*model.objects.get_key_value(&ObjectKey::new(ObjectKind::Table, unquoted))?.0.name)
    };
    let mut top = parent(partition)?;
    // There are no cycles in a real schema, but a handwritten model can contain one.
    for _ in 0..64 {
        match parent(top) {
            Some(above) => top = above,
            None => break,
        }
    }
    Some(top)
}

/// Returns the rules for dates that name a column whose values are not read.
fn deciding_columns(table: &TablePlan) -> Vec<WrongRule> {
    let mut wrong = Vec::new();
    for column in &table.columns {
        for leaf in column.masker.leaves() {
            let Leaf::Shift { per: Per::Column { name, .. }, .. } = leaf else { continue };
            let why = match table.column(name) {
                Some(per) if per.select == Select::Column => continue,
                Some(per) => format!("which {} replaces before the dates are masked", per.mask),
                None if table.generated(name).is_some() => {
                    "which is generated and not copied".to_owned()
                }
                None => format!("which {} does not have", table.name),
            };
            wrong.push(WrongRule {
                rule: column.rule,
                column: Some(format!("{}.{}", table.name, column.name)),
                message: format!("per names the column {name}, {why}: name another, or \"row\""),
            });
        }
    }
    wrong
}

/// Returns the expression of a generated column.
fn expression_of(column: &Object) -> Option<&str> {
    let stored = column.text(Attribute::GeneratedStored);
    stored.or_else(|| column.text(Attribute::GeneratedVirtual))
}

/// Returns the rules that would move rows out of their partition.
fn partition_key(model: &SchemaModel, table: &TablePlan) -> Vec<WrongRule> {
    let object = model.get(&ObjectKey::new(ObjectKind::Table, table.name()));
    let key = object.and_then(|object| object.text(Attribute::PartitionKey));
    let columns = key.into_iter().flat_map(|key| unique::mentioned(key, table));
    let masked = columns.filter(|column| column.is_masked());
    let wrong = masked.map(|column| WrongRule {
        rule: column.rule,
        column: Some(format!("{}.{}", table.name, column.name)),
        message: "the column is part of the partition key, so masked rows would not fit their partition: keep it".to_owned(),
    });
    wrong.collect()
}

/// Returns `true` if a sequence fills a column.
fn is_numbered(column: &Object) -> bool {
    let default = column.text(Attribute::Default).unwrap_or_default();
    column.get(Attribute::Identity).is_some() || default.contains("nextval(")
}

/// Returns `true` if a domain, or one that it is based on, is not null.
fn domain_is_not_null(model: &SchemaModel, data_type: &str) -> bool {
    domains(model, data_type).iter().any(|(_, domain)| domain.has(Attribute::NotNull))
}

/// Returns the domain that a type is, and those that it is based on.
pub(super) fn domains<'a>(model: &'a SchemaModel, data_type: &str) -> Vec<(&'a str, &'a Object)> {
    let (mut found, mut name) = (Vec::new(), data_type.to_owned());
    for _ in 0..16 {
        let bare = name.strip_prefix("{schema}.").unwrap_or(&name);
        let unquoted = match bare.strip_prefix('"').and_then(|bare| bare.strip_suffix('"')) {
            Some(quoted) => quoted.replace("\"\"", "\""),
            None => bare.to_owned(),
        };
        let key = ObjectKey::new(ObjectKind::Domain, unquoted);
        let Some((key, domain)) = model.objects.get_key_value(&key) else { break };
        found.push((&*key.name, domain));
        domain.text(Attribute::Type).unwrap_or_default().clone_into(&mut name);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            DateShiftMask, FakeKind, FakeMask, NoiseMask, PartialMask, SqlMask, example::Example,
        },
        *,
    };

    fn constant() -> Mask {
        Mask::Constant("x".to_owned())
    }

    fn wrong(rules: &Anonymize, example: Example) -> Vec<String> {
        match rules.check(&example.model()) {
            Ok(()) => Vec::new(),
            Err(wrong) => wrong.rules().iter().map(WrongRule::to_string).collect(),
        }
    }

    fn fits(mask: impl Into<Mask>, data_type: &str) -> Option<String> {
        let column = format!("c {data_type}");
        let example = Example::new()
            .table("t", &["id bigint", &column])
            .object(ObjectKind::Enum, "status", &[(Attribute::Labels, "open paid")])
            .object(ObjectKind::Domain, "mail", &[(Attribute::Type, "character varying(20)")])
            .composite("place", &["city text", "point point"]);
        wrong(&Anonymize::new().rule("t.c", mask), example).pop()
    }

    #[test]
    fn masks_fit_types() {
        let hash = HashMask::default;
        for (mask, data_type, expected) in [
            (Mask::from(hash()), "text", true),
            (hash().into(), "uuid", true),
            (hash().into(), "bigint", true),
            (hash().into(), "bytea", true),
            (hash().into(), "mail[]", true),
            (hash().into(), "numeric", false),
            (hash().into(), "boolean", false),
            (hash().into(), "status", false),
            (hash().into(), "jsonb", false),
            (hash().into(), "place", false),
            (hash().length(21).into(), "mail", false),
            (hash().length(10).suffix("@example.org").into(), "mail", false),
            (hash().length(8).suffix("@example.org").into(), "mail", true),
            (hash().length(65).into(), "text", false),
            (hash().suffix("x").into(), "bigint", false),
            (FakeKind::Email.into(), "mail", true),
            (FakeMask::new(FakeKind::Email).unique().into(), "mail", false),
            (FakeKind::Ip.into(), "inet", true),
            (FakeKind::Name.into(), "inet", false),
            (FakeKind::Name.into(), "integer", false),
            (Mask::Template("{hash:8}@example.org".to_owned()), "mail", true),
            (Mask::Template("{hash:9}@example.org".to_owned()), "mail", false),
            (Mask::Template("{nobody}".to_owned()), "text", false),
            (Mask::DateShift(DateShiftMask::new(30)), "date", true),
            (Mask::DateShift(DateShiftMask::new(30)), "timestamp(3) with time zone", true),
            (Mask::DateShift(DateShiftMask::new(30)), "text", false),
            (Mask::DateShift(DateShiftMask::new(0)), "date", false),
            (Mask::DateShift(DateShiftMask::new(30).per("id")), "date", true),
            (Mask::DateShift(DateShiftMask::new(30).per("person")), "date", false),
            (Mask::Noise(NoiseMask::percent(5.0)), "numeric(10,2)", true),
            (Mask::Noise(NoiseMask::percent(5.0)), "text", false),
            (Mask::Noise(NoiseMask::percent(0.0)), "integer", false),
            (Mask::Noise(NoiseMask::default()), "integer", false),
            (Mask::Partial(PartialMask::default()), "text", true),
            (Mask::Partial(PartialMask::default().with("")), "text", false),
            (Mask::Partial(PartialMask::default()), "integer", false),
            (Mask::Constant("open".to_owned()), "status", true),
            (Mask::Constant("x".to_owned()), "status", false),
            (Mask::Constant("{}".to_owned()), "jsonb", true),
            (Mask::Constant("{a,b}".to_owned()), "text[]", true),
            (Mask::Null, "status", true),
            (Mask::Null, "status not null", false),
            (Mask::Shuffle, "status", true),
            (Mask::Sql(SqlMask::new("1")), "status", true),
            (Mask::Sql(SqlMask::new(" ")), "status", false),
            (Mask::Keep, "point", true),
        ] {
            let error = fits(mask.clone(), data_type);
            assert_eq!(error.is_none(), expected, "{mask:?} {data_type}: {error:?}");
            assert!(error.is_none_or(|error| error.starts_with("rule 1, t.c: ")), "{mask:?}");
        }
    }

    #[test]
    fn paths_lead_somewhere() {
        for (path, data_type, expected) in [
            ("email", "jsonb", true),
            ("[*].email", "jsonb[]", true),
            ("email", "jsonb[]", false),
            ("city", "place", true),
            ("[*].city", "place[]", true),
            ("town", "place", false),
            ("point", "place", false),
            ("city.x", "place", false),
            ("**", "jsonb", true),
            ("[*]", "text[]", true),
            ("x", "text", false),
            ("a..b", "jsonb", false),
        ] {
            let column = format!("c {data_type}");
            let example = Example::new()
                .table("t", &[&column])
                .composite("place", &["city text", "point point"]);
            let rules = Anonymize::new().rule_at("t.c", path, HashMask::default());
            assert_eq!(wrong(&rules, example).is_empty(), expected, "{path} {data_type}");
        }
        let example = || Example::new().table("t", &["c jsonb"]);
        let path = Anonymize::new().rule_at("t.c", "a", HashMask::default());
        assert_eq!(wrong(&path.clone().keep("t.*"), example()).len(), 0);
        assert_eq!(wrong(&path.clone().rule("t.*", Mask::Null), example()).len(), 1);
        assert_eq!(wrong(&Anonymize::new().rule_at("t.c", "a", Mask::Shuffle), example()).len(), 1);
    }

    fn shop() -> Example {
        Example::new()
            .table("users", &["id bigint not null", "email text not null", "low text generated"])
            .constraint("users", "PRIMARY KEY (id)")
            .constraint("users", "UNIQUE (email)")
            .table("orders", &["id bigint not null", "email text", "seller text"])
            .constraint("orders", "FOREIGN KEY (email) REFERENCES users(email) ON DELETE CASCADE")
            .object(ObjectKind::View, "v", &[])
            .partition("users_1", "users", &["id bigint not null", "email text not null"])
    }

    #[test]
    fn all_wrong_rules_are_told() {
        let rules = Anonymize::new()
            .rule("users.mail", constant())
            .rule("nothing.*", constant())
            .rule("users.low", constant())
            .rule("users_1.email", HashMask::default())
            .rule("broken", Mask::Keep)
            .rule("users.id", HashMask::default())
            .rule("*.email", HashMask::default());
        assert_eq!(
            wrong(&rules, shop()),
            [
                "rule 1: users.mail matches no column: the table exists, but has no such column",
                "rule 2: nothing.* matches no column: there is no such table",
                "rule 3, users.low: the column is generated: mask the columns it is computed from",
                "rule 4: users_1.email matches a partition only: use its table users",
                "rule 5: \"broken\" names no column: write table.column, such as users.email, *.email or \"a.b\".c",
            ]
        );
        let error = rules.check(&shop().model()).unwrap_err();
        assert_eq!(error.to_string().lines().count(), 5);
    }

    #[test]
    fn a_generated_column_can_be_left_out() {
        let hash = |rules: Anonymize| rules.rule("*.low", HashMask::default());
        let example = || shop().table("other", &["low text"]);
        assert_eq!(wrong(&hash(Anonymize::new()), example()).len(), 1);
        assert_eq!(wrong(&hash(Anonymize::new().keep("users.low")), example()).len(), 0);
    }

    #[test]
    fn the_first_rule_wins_and_partitions_follow() {
        let rules = Anonymize::new()
            .keep("users.id")
            .rule("*.email", HashMask::default())
            .rule("users.*", constant())
            .rule("orders.seller", Mask::Shuffle);
        let plan = rules.plan(&shop().model()).unwrap();
        let (users, part) = (plan.table("users").unwrap(), plan.table("users_1").unwrap());
        assert!(!users.column("id").unwrap().is_masked());
        assert_eq!(users.column("email").unwrap().rule(), Some(2));
        assert_eq!(part.column("email").unwrap().masker(), users.column("email").unwrap().masker());
        assert!(users.column("low").is_none(), "generated columns are not copied");
        assert_eq!(
            plan.table("orders").unwrap().column("seller").unwrap().select(),
            &Select::Shuffle
        );
        assert!(plan.table("v").is_none());
        let origin = users.column("email").unwrap().origin();
        assert_eq!(plan.origin(origin), Some(("users", "email")));
    }

    #[test]
    fn rows_stay_in_their_partitions() {
        let example = || {
            Example::new()
                .object(
                    ObjectKind::Table,
                    "logs",
                    &[(Attribute::PartitionKey, "RANGE (day, lower(who))")],
                )
                .columns_of("logs", &["day date", "who text", "what text"])
        };
        let shift = Mask::DateShift(DateShiftMask::new(30));
        let rules = Anonymize::new().rule("logs.day", shift).rule("logs.wh*", HashMask::default());
        let found = wrong(&rules, example());
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].starts_with("rule 1, logs.day: the column is part of the partition key"));
        let rules = Anonymize::new().keep("logs.day").rule("logs.what", HashMask::default());
        assert_eq!(wrong(&rules, example()), Vec::<String>::new());
    }

    #[test]
    fn a_rule_hashes_to_one_length() {
        let example = || {
            Example::new()
                .table("a", &["mail text"])
                .table("b", &["mail character varying(20)", "n integer"])
        };
        let rules = Anonymize::new().rule("*.*", HashMask::default());
        let found = wrong(&rules, example());
        assert_eq!(found.len(), 1);
        assert!(
            found[0].starts_with("rule 1, b.mail: character varying(20) has room for 20 digits"),
            "{found:?}"
        );
        let rules = Anonymize::new().rule("*.*", HashMask::default().length(20));
        assert_eq!(wrong(&rules, example()).len(), 0);
        let rules =
            Anonymize::new().rule("b.*", HashMask::default()).rule("a.*", HashMask::default());
        assert_eq!(wrong(&rules, example()).len(), 0);
    }

    #[test]
    fn the_column_that_decides_a_shift_is_read() {
        let example = || {
            Example::new()
                .table("t", &["d date", "a text", "b text", "g text generated", "p integer"])
        };
        let rules = |per: &str| {
            Anonymize::new()
                .rule("t.d", Mask::DateShift(DateShiftMask::new(5).per(per)))
                .rule("t.a", Mask::Shuffle)
                .rule("t.b", HashMask::default())
        };
        for (per, expected) in
            [("p", true), ("b", true), ("row", true), ("a", false), ("g", false), ("x", false)]
        {
            assert_eq!(wrong(&rules(per), example()).is_empty(), expected, "{per}");
        }
    }

    #[test]
    fn domains_refuse_null() {
        let mut model = Example::new()
            .table("t", &["a outer"])
            .object(ObjectKind::Domain, "outer", &[(Attribute::Type, "inner")])
            .object(ObjectKind::Domain, "inner", &[(Attribute::Type, "text")])
            .model();
        let rules = Anonymize::new().rule("t.a", Mask::Null);
        assert!(rules.check(&model).is_ok());
        let inner = model.objects.get_mut(&ObjectKey::new(ObjectKind::Domain, "inner")).unwrap();
        inner.set(Attribute::NotNull, crate::schema::Value::Flag(true));
        assert!(rules.check(&model).is_err());
    }

    #[test]
    fn what_cannot_be_proved_is_known() {
        for (mask, expected) in [
            (Mask::from(HashMask::default()), true),
            (FakeKind::Name.into(), true),
            (Mask::Null, true),
            (Mask::Partial(PartialMask::default()), true),
            (Mask::Shuffle, false),
            (Mask::Sql(SqlMask::new("seller")), false),
        ] {
            let plan = Anonymize::new().rule("orders.seller", mask.clone()).plan(&shop().model());
            let plan = plan.unwrap();
            let seller = plan.table("orders").unwrap().column("seller").unwrap();
            assert_eq!(seller.is_provable(), expected, "{mask}");
        }
    }

    #[test]
    fn foreign_keys_are_masked_on_both_sides() {
        let hash = HashMask::default;
        for (parent, child, expected) in [
            (Some(Mask::from(hash())), Some(Mask::from(hash())), true),
            (Some(hash().into()), None, false),
            (None, Some(hash().into()), false),
            (Some(hash().into()), Some(hash().length(20).into()), false),
            (Some(hash().into()), Some(hash().ignore_case().into()), false),
            (Some(hash().into()), Some(Mask::Null), true),
            (None, Some(Mask::Null), true),
            (None, Some(Mask::Shuffle), true),
            (Some(Mask::Shuffle), None, true),
            (Some(Mask::Shuffle), Some(Mask::Shuffle), true),
            (
                Some(Mask::Template("{hash}@x".to_owned())),
                Some(Mask::Template("{hash}@x".to_owned())),
                true,
            ),
            (
                Some(Mask::Template("{row}".to_owned())),
                Some(Mask::Template("{row}".to_owned())),
                false,
            ),
            (None, Some(Mask::Sql(SqlMask::new("email").unique())), false),
        ] {
            let mut rules = Anonymize::new();
            if let Some(parent) = parent.clone() {
                rules = rules.rule("users.email", parent);
            }
            if let Some(child) = child.clone() {
                rules = rules.rule("orders.email", child);
            }
            let wrong = wrong(&rules, shop());
            assert_eq!(wrong.is_empty(), expected, "{parent:?} {child:?} {wrong:?}");
        }
    }
}
