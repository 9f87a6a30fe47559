//! Uniqueness that masks must preserve.

use std::collections::BTreeSet;

use super::{
    WrongRule,
    json::JsonMask,
    leaf::Leaf,
    masker::Masker,
    plan::{ColumnPlan, Select, TablePlan},
};
use crate::schema::{
    Attribute, ObjectKind, SchemaModel,
    lint::index::{Index, column_of},
};

/// Columns and expressions that are unique together.
#[derive(Debug)]
struct Unique<'a> {
    /// Its name in messages.
    name: &'a str,
    elements: Vec<Element<'a>>,
    nulls_collide: bool,
    predicate: Option<&'a str>,
}

#[derive(Debug, PartialEq, Eq)]
enum Element<'a> {
    Column(String),
    /// A column in lower or upper case.
    Folded(String),
    Expression(&'a str),
    /// A column or expression that is compared with an operator other than equality.
    Compared(&'a str),
}

/// The effect of a mask on the values of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Effect {
    /// Different values stay different.
    Distinct,
    /// Every value is null.
    Nulls,
    Collides,
}

/// Returns the columns of the primary key, in order.
pub(super) fn primary_key(model: &SchemaModel, table: &str) -> Vec<String> {
    let constraints = model.parts_of(ObjectKind::Constraint, table);
    let definitions = constraints.filter_map(|(_, object)| object.text(Attribute::Definition));
    let key = definitions.filter_map(|text| text.strip_prefix("PRIMARY KEY ")).next();
    let index = key.and_then(|key| Index::parse_elements("btree", key));
    let elements = index.map(|index| index.elements).unwrap_or_default();
    elements.into_iter().filter_map(column_of).collect()
}

/// Returns the rules that cannot preserve a unique or exclusion constraint, or a unique index, of a table.
pub(super) fn check(model: &SchemaModel, table: &TablePlan) -> Vec<WrongRule> {
    if !table.is_masked() {
        return Vec::new();
    }
    let sets = sets(model, table.name());
    let mut wrong = Vec::new();
    for set in &sets {
        wrong.extend(collisions(set, &sets, table));
        wrong.extend(hashed_sequence(set, table));
        wrong.extend(changed_predicate(set, table));
    }
    wrong
}

/// Returns the rules whose masks can make rows of a set equal.
fn collisions(set: &Unique<'_>, sets: &[Unique<'_>], table: &TablePlan) -> Vec<WrongRule> {
    let mut elements = set.elements.iter();
    let nulls = !set.nulls_collide
        && elements.any(|element| element.effect(table, sets, set) == Effect::Nulls);
    let colliding = set.colliding(table, sets);
    if nulls || colliding.is_empty() || set.holds_another(table, sets) {
        return Vec::new();
    }
    let wrong = colliding.into_iter().map(|column| {
        message(table, column, |mask| {
            format!(
                "{mask} cannot keep {} unique: hash the column, use a fake with unique = true, or keep it",
                set.name
            )
        })
    });
    wrong.collect()
}

/// Returns the rule that hashes a unique column that a sequence fills.
fn hashed_sequence(set: &Unique<'_>, table: &TablePlan) -> Option<WrongRule> {
    let [Element::Column(name)] = &*set.elements else { return None };
    let column = table.column(name).filter(|column| column.is_numbered)?;
    (*column.masker() == Masker::Leaf(Leaf::HashInteger)).then(|| {
        message(table, column, |mask| {
            format!("a sequence fills the column and could repeat hashed numbers ({mask}): keep it")
        })
    })
}

/// Returns the rules that change which rows a partial index covers.
fn changed_predicate(set: &Unique<'_>, table: &TablePlan) -> Vec<WrongRule> {
    let mentioned = set.predicate.into_iter().flat_map(|predicate| mentioned(predicate, table));
    let changing = mentioned
        .filter(|column| matches!(column.masker(), Masker::Leaf(Leaf::Null | Leaf::Constant(_))));
    let wrong = changing.map(|column| {
        message(table, column, |mask| {
            format!(
                "{mask} changes which rows the partial index {} covers: use another mask",
                set.name
            )
        })
    });
    wrong.collect()
}

fn message(table: &TablePlan, column: &ColumnPlan, text: impl FnOnce(&str) -> String) -> WrongRule {
    WrongRule {
        rule: column.rule(),
        column: Some(format!("{}.{}", table.name(), column.name())),
        message: text(&column.mask),
    }
}

/// Returns the unique constraints, exclusion constraints and unique indexes of a table. Those that are attached to one
/// of the partitioned table are omitted, because that one is checked itself.
fn sets<'a>(model: &'a SchemaModel, table: &str) -> Vec<Unique<'a>> {
    let constraints = model.parts_of(ObjectKind::Constraint, table);
    let constraints =
        constraints.filter(|(_, object)| object.get(Attribute::AttachedTo).is_none()).filter_map(
            |(key, object)| Unique::of_constraint(&key.name, object.text(Attribute::Definition)?),
        );
    let indexes = model.of_kind(ObjectKind::Index).filter(|(_, object)| {
        object.text(Attribute::Table) == Some(table)
            && object.has(Attribute::Unique)
            && object.get(Attribute::AttachedTo).is_none()
    });
    let indexes = indexes.filter_map(|(key, object)| {
        Unique::of_index(&key.name, object.text(Attribute::Definition)?)
    });
    constraints.chain(indexes).collect()
}

impl<'a> Unique<'a> {
    fn of_constraint(name: &'a str, definition: &'a str) -> Option<Self> {
        let starts = [
            ("UNIQUE NULLS NOT DISTINCT (", true),
            ("UNIQUE (", false),
            ("PRIMARY KEY (", true),
            ("EXCLUDE USING ", false),
        ];
        let (start, nulls_collide) =
            starts.into_iter().find(|(start, _)| definition.starts_with(start))?;
        let is_exclusion = start.starts_with("EXCLUDE ");
        let index = match is_exclusion {
            true => Index::parse(definition.strip_prefix("EXCLUDE ")?)?,
            false => Index::parse_elements("btree", &definition[start.len() - 1..])?,
        };
        let elements = index.elements.iter().map(|element| match is_exclusion {
            true => Element::of_exclusion(element),
            false => Element::of(element),
        });
        let elements = elements.collect();
        Some(Self { name, elements, nulls_collide, predicate: index.predicate })
    }

    fn of_index(name: &'a str, definition: &'a str) -> Option<Self> {
        let index = Index::parse(definition)?;
        Some(Self {
            name,
            elements: index.elements.iter().map(|element| Element::of(element)).collect(),
            nulls_collide: index.nulls_not_distinct,
            predicate: index.predicate,
        })
    }
}

impl<'a> Element<'a> {
    fn of(text: &'a str) -> Self {
        if text.ends_with(" WITHOUT OVERLAPS") {
            return Self::Compared(text);
        }
        if let Some(column) = column_of(text) {
            return Self::Column(column);
        }
        // PostgreSQL prints `lower((email)::text)` for a varchar.
        let folded =
            ["lower(", "upper("].into_iter().find_map(|function| text.strip_prefix(function));
        let inner = folded.and_then(|rest| rest.split_once(')')).map(|(inner, _)| inner);
        let inner = inner.map(|inner| inner.trim_start_matches('('));
        // `column_of` allows a sort order to follow, which would be an operator here.
        let is_name = |inner: &&str| {
            inner.starts_with('"') == inner.ends_with('"')
                && (inner.starts_with('"') || !inner.contains(' '))
        };
        match inner.filter(is_name).and_then(column_of) {
            Some(column) => Self::Folded(column),
            None => Self::Expression(text),
        }
    }

    fn of_exclusion(text: &'a str) -> Self {
        match text.rsplit_once(" WITH ") {
            Some((element, "=")) => Self::of(element),
            Some((element, _)) => Self::Compared(element),
            None => Self::Compared(text),
        }
    }

    /// Returns the columns that it depends on.
    fn columns<'t>(&self, table: &'t TablePlan) -> Vec<&'t ColumnPlan> {
        match self {
            Self::Column(name) | Self::Folded(name) => match table.column(name) {
                Some(column) => vec![column],
                None => mentioned(table.generated(name).unwrap_or_default(), table),
            },
            Self::Expression(text) | Self::Compared(text) => mentioned(text, table),
        }
    }

    fn effect(&self, table: &TablePlan, sets: &[Unique<'_>], of: &Unique<'_>) -> Effect {
        let effects = self.columns(table).into_iter().map(|column| match self {
            Self::Compared(_) if column.is_masked() => Effect::Collides,
            Self::Folded(_) => effect(column, of, true),
            _ => effect(column, of, column.folds_case() || is_unique_without_case(column, sets)),
        });
        let effects: Vec<_> = effects.collect();
        match effects.as_slice() {
            [Effect::Nulls] if !matches!(self, Self::Expression(_)) => Effect::Nulls,
            effects if effects.iter().all(|effect| *effect == Effect::Distinct) => Effect::Distinct,
            _ => Effect::Collides,
        }
    }
}

impl Unique<'_> {
    /// Returns the columns whose masks can make rows equal.
    fn colliding<'t>(&self, table: &'t TablePlan, sets: &[Unique<'_>]) -> Vec<&'t ColumnPlan> {
        let elements = self.elements.iter();
        let colliding =
            elements.filter(|element| element.effect(table, sets, self) != Effect::Distinct);
        colliding
            .flat_map(|element| element.columns(table))
            .filter(|column| column.is_masked())
            .collect()
    }

    /// Returns `true` if some of its columns are unique on their own: another key of non-null columns.
    fn holds_another(&self, table: &TablePlan, sets: &[Unique<'_>]) -> bool {
        let own: BTreeSet<_> = self.plain_columns().collect();
        sets.iter().any(|other| {
            !std::ptr::eq(self, other)
                && other.predicate.is_none()
                && other.colliding(table, sets).is_empty()
                && other.plain_columns().count() == other.elements.len()
                && other.plain_columns().all(|name| {
                    let column = table.column(name);
                    own.contains(name)
                        && column.is_some_and(|column| column.is_not_null || other.nulls_collide)
                })
        })
    }

    fn plain_columns(&self) -> impl Iterator<Item = &String> {
        self.elements.iter().filter_map(|element| match element {
            Element::Column(name) => Some(name),
            _ => None,
        })
    }
}

impl ColumnPlan {
    fn folds_case(&self) -> bool {
        matches!(self.shape, super::shape::Shape::Text { folds_case: true, .. })
    }
}

/// Returns `true` if a unique index on the lower-case column alone distinguishes texts that differ only in case.
fn is_unique_without_case(column: &ColumnPlan, sets: &[Unique<'_>]) -> bool {
    let name = column.name();
    sets.iter().any(|set| {
        set.predicate.is_none()
            && matches!(&*set.elements, [Element::Folded(folded)] if folded == name)
    })
}

/// Returns the effect of a mask on a column of a set. `without_case` means that no texts differ only in case.
fn effect(column: &ColumnPlan, of: &Unique<'_>, without_case: bool) -> Effect {
    match column.select() {
        // Values of other rows can be combined with values of other columns that they were not combined with before.
        Select::Shuffle => match of.elements.len() {
            1 => Effect::Distinct,
            _ => Effect::Collides,
        },
        Select::Sql { is_unique: true, .. } => Effect::Distinct,
        Select::Sql { is_unique: false, .. } => Effect::Collides,
        Select::Column => masker_effect(column.masker(), without_case),
    }
}

fn masker_effect(masker: &Masker, without_case: bool) -> Effect {
    let keeps = |leaf: &Leaf| match without_case {
        true => leaf.keeps_unique_without_case(),
        false => leaf.keeps_unique(),
    };
    let is_kept = match masker {
        Masker::Keep => true,
        Masker::Leaf(Leaf::Null) => return Effect::Nulls,
        Masker::Leaf(leaf) => keeps(leaf),
        Masker::Array(element) => masker_effect(element, without_case) == Effect::Distinct,
        Masker::Composite(fields) => {
            fields.iter().all(|field| masker_effect(field, without_case) == Effect::Distinct)
        }
        Masker::Json(json) => json.rules.iter().all(|(_, mask)| match mask {
            JsonMask::Keep => true,
            JsonMask::Replace(_) => false,
            JsonMask::Scalars { string, .. } => string.as_ref().is_some_and(keeps),
        }),
    };
    if is_kept { Effect::Distinct } else { Effect::Collides }
}

/// Returns the columns of a table that an expression names.
pub(super) fn mentioned<'t>(expression: &str, table: &'t TablePlan) -> Vec<&'t ColumnPlan> {
    let names = names(expression);
    table.columns().iter().filter(|column| names.contains(column.name())).collect()
}

/// Returns the identifiers of an expression: all words outside of strings.
fn names(expression: &str) -> BTreeSet<String> {
    let (mut names, mut rest) = (BTreeSet::new(), expression);
    while let Some(first) = rest.chars().next() {
        let quoted = |quote: char| {
            let end = rest[1..].find(quote).map_or(rest.len(), |end| end + 2);
            rest.split_at(end)
        };
        let is_word = |c: char| c.is_alphanumeric() || c == '_' || c == '$';
        rest = match first {
            '\'' => quoted('\'').1,
            '"' => {
                let (name, after) = quoted('"');
                names.insert(name.trim_matches('"').to_owned());
                after
            }
            _ if is_word(first) => {
                let (name, after) = rest.split_at(rest.find(|c| !is_word(c)).unwrap_or(rest.len()));
                names.insert(name.to_owned());
                after
            }
            _ => &rest[first.len_utf8()..],
        };
    }
    names
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            Anonymize, DateShiftMask, FakeKind, FakeMask, HashMask, Mask, PartialMask, SqlMask,
            example::Example,
        },
        *,
    };

    fn constant() -> Mask {
        Mask::Constant("x".to_owned())
    }

    /// Returns `true` if a mask of `t.a` preserves the uniqueness that `add` adds.
    fn keeps(mask: impl Into<Mask>, add: impl FnOnce(Example) -> Example) -> bool {
        let table = ["id bigint not null", "a text", "b text", "c public.citext", "d date"];
        let example = add(Example::new().table("t", &table).constraint("t", "PRIMARY KEY (id)"));
        Anonymize::new().rule("t.a", mask).check(&example.model()).is_ok()
    }

    #[test]
    fn a_unique_column_needs_a_mask_that_keeps_it() {
        for (mask, expected) in [
            (Mask::from(HashMask::default()), true),
            (HashMask::default().length(10).into(), true),
            (HashMask::default().length(9).into(), false),
            (HashMask::default().ignore_case().into(), false),
            (FakeMask::new(FakeKind::Email).unique().into(), true),
            (FakeKind::Email.into(), false),
            (constant(), false),
            (Mask::Null, true),
            (Mask::Partial(PartialMask::default()), false),
            (Mask::Template("{row}".to_owned()), true),
            (Mask::Template("{hash:10}".to_owned()), true),
            (Mask::Template("{name}".to_owned()), false),
            (Mask::Shuffle, true),
            (Mask::Sql(SqlMask::new("id::text")), false),
            (Mask::Sql(SqlMask::new("id::text").unique()), true),
            (Mask::Keep, true),
        ] {
            let of = |example: Example| example.constraint("t", "UNIQUE (a)");
            assert_eq!(keeps(mask.clone(), of), expected, "{mask:?}");
            let index = |example: Example| example.unique_index("t", "USING btree (a)");
            assert_eq!(keeps(mask.clone(), index), expected, "{mask:?}");
        }
    }

    #[test]
    fn several_columns_stay_unique_together() {
        for (definition, mask, expected) in [
            ("UNIQUE (a, b)", constant(), false),
            ("UNIQUE (a, b)", HashMask::default().into(), true),
            // The key alone distinguishes the rows.
            ("UNIQUE (a, id)", constant(), true),
            ("UNIQUE (a, b)", Mask::Shuffle, false),
            ("UNIQUE (a, id)", Mask::Shuffle, true),
            ("UNIQUE (a, b)", Mask::Null, true),
            ("UNIQUE NULLS NOT DISTINCT (a)", Mask::Null, false),
            ("UNIQUE (b) INCLUDE (a)", constant(), true),
            ("EXCLUDE USING gist (a WITH =, d WITH &&)", constant(), false),
            ("EXCLUDE USING gist (a WITH =, d WITH &&)", HashMask::default().into(), true),
            ("EXCLUDE USING gist (a WITH ~~)", HashMask::default().into(), false),
            ("UNIQUE (b, a WITHOUT OVERLAPS)", HashMask::default().into(), false),
        ] {
            let of = |example: Example| example.constraint("t", definition);
            assert_eq!(keeps(mask.clone(), of), expected, "{definition} {mask:?}");
        }
    }

    #[test]
    fn indexes_over_expressions_are_considered() {
        for (definition, mask, expected) in [
            ("USING btree (lower(a))", Mask::from(HashMask::default()), true),
            ("USING btree (lower((a)::text))", HashMask::default().ignore_case().into(), true),
            ("USING btree (lower(a))", constant(), false),
            ("USING btree (lower((a || b)))", HashMask::default().ignore_case().into(), false),
            ("USING btree (lower(\"a\"))", HashMask::default().ignore_case().into(), true),
            ("USING btree (md5(a))", HashMask::default().into(), true),
            ("USING btree (md5(a))", HashMask::default().ignore_case().into(), false),
            ("USING btree (md5(a))", Mask::Null, false),
            ("USING btree (md5('a'::text), b)", constant(), true),
            ("USING btree (b) WHERE (a = 'x'::text)", constant(), false),
            ("USING btree (b) WHERE (a IS NOT NULL)", HashMask::default().into(), true),
            ("USING btree (a) WHERE (b IS NULL)", constant(), false),
        ] {
            let of = |example: Example| example.unique_index("t", definition);
            assert_eq!(keeps(mask.clone(), of), expected, "{definition} {mask:?}");
        }
    }

    #[test]
    fn a_lower_case_index_makes_up_for_ignored_case() {
        let both = |example: Example| {
            example.unique_index("t", "USING btree (a)").unique_index("t", "USING btree (lower(a))")
        };
        assert!(keeps(HashMask::default().ignore_case(), both));
    }

    #[test]
    fn citext_is_unique_without_case() {
        let example = Example::new().table("t", &["c public.citext"]).constraint("t", "UNIQUE (c)");
        assert!(Anonymize::new().rule("t.c", HashMask::default()).check(&example.model()).is_ok());
    }

    #[test]
    fn json_at_a_place_stays_unique() {
        let example = || {
            Example::new()
                .table("t", &["c jsonb"])
                .unique_index("t", "USING btree (((c ->> 'email'::text)))")
        };
        let rules = |mask: Mask| Anonymize::new().rule_at("t.c", "email", mask);
        assert!(rules(HashMask::default().into()).check(&example().model()).is_ok());
        assert!(rules(constant()).check(&example().model()).is_err());
    }

    #[test]
    fn a_generated_column_is_as_unique_as_what_it_is_made_of() {
        let unique = |example: Example| example.constraint("t", "UNIQUE (g)");
        let example = || unique(Example::new().table("t", &["x text", "g text generated"]));
        let check = |mask: Mask| Anonymize::new().rule("t.x", mask).check(&example().model());
        assert!(check(HashMask::default().into()).is_ok());
        let wrong = check(constant()).unwrap_err();
        assert_eq!(wrong.rules()[0].column.as_deref(), Some("t.x"));
    }

    #[test]
    fn partitions_are_not_told_again() {
        let columns = ["id bigint not null", "a text"];
        let mut model = Example::new()
            .table("t", &columns)
            .partition("t_1", "t", &columns)
            .constraint("t", "UNIQUE (a)")
            .constraint("t_1", "UNIQUE (a)")
            .model();
        for (key, object) in &mut model.objects {
            if key.kind == ObjectKind::Constraint && key.of.as_deref() == Some("t_1") {
                object.set(Attribute::AttachedTo, crate::schema::Value::Text("c".to_owned()));
            }
        }
        let wrong = Anonymize::new().rule("t.a", constant()).check(&model).unwrap_err();
        assert_eq!(wrong.rules().len(), 1, "{wrong}");
    }

    #[test]
    fn numbers_of_a_sequence_are_kept() {
        for (column, expected) in [
            ("id bigint identity not null", false),
            ("id integer serial not null", false),
            ("id bigint not null", true),
        ] {
            let example = Example::new().table("t", &[column]).constraint("t", "PRIMARY KEY (id)");
            let rules = Anonymize::new().rule("t.id", HashMask::default());
            assert_eq!(rules.check(&example.model()).is_ok(), expected, "{column}");
        }
    }

    #[test]
    fn dates_of_a_key_cannot_be_moved() {
        let example =
            Example::new().table("t", &["d date not null"]).constraint("t", "PRIMARY KEY (d)");
        let rules = Anonymize::new().rule("t.d", Mask::DateShift(DateShiftMask::new(5)));
        let wrong = rules.check(&example.model()).unwrap_err();
        assert!(wrong.to_string().starts_with("rule 1, t.d: date_shift cannot keep c"), "{wrong}");
    }

    #[test]
    fn words_of_an_expression_are_found() {
        let found = names(r#"lower(("E mail" || a.b$1)) = 'x y' and é is null"#);
        let expected = ["lower", "E mail", "a", "b$1", "and", "é", "is", "null"];
        assert_eq!(found, expected.into_iter().map(str::to_owned).collect());
        names("'é");
        names("\"");
    }
}
