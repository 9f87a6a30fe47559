//! Differences between the statements that create an object, as a unified diff.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use serde::{Serialize, Serializer};
use similar::{Algorithm, DiffOp, capture_diff_slices, group_diff_ops};

use crate::schema::{
    Attribute, Change, Difference, ObjectKey, ObjectKind, SchemaModel, Value, object_ddl,
    tokens::{self, Own},
    told_with,
};

/// The number of context lines around a change.
const CONTEXT: usize = 3;

/// The maximum number of lines in one diff.
const MOST_LINES: usize = 200;

/// The maximum number of lines in all diffs of a cluster.
const MOST_LINES_OF_ALL: usize = 1_000;

/// The maximum number of lines with the own schema's name that a line is compared with.
const MOST_PAIRS: usize = 200;

/// The unified diff of the statements that create one object.
///
/// The schema's own name is omitted where it qualifies a name; elsewhere it is `{schema}`, and `{role}` is the
/// tenant's own role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ObjectDiff {
    /// The object. Columns, identities and checks are shown with their table.
    #[serde(serialize_with = "as_text")]
    #[cfg_attr(feature = "schemars", schemars(with = "String"))]
    pub object: ObjectKey,
    /// The diff, with the reference as `expected` and three lines of context.
    pub diff: String,
    /// Lines omitted at the end, beyond 200 of one object and 1,000 in total.
    #[serde(skip_serializing_if = "is_none_left_out")]
    pub lines_left_out: usize,
}

fn as_text<S: Serializer>(object: &ObjectKey, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(object)
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes it so")]
pub(super) fn is_none_left_out(count: &usize) -> bool {
    *count == 0
}

/// The diffs of all objects with findings.
#[derive(Debug, Clone, Default)]
pub(super) struct Diffs {
    pub(super) shown: Arc<[ObjectDiff]>,
    /// Objects whose diffs were omitted.
    pub(super) left_out: usize,
}

/// Returns the diff of each object that has a finding, as far as its statements show that.
pub(super) fn diffs(
    findings: &[Difference],
    expected: &SchemaModel,
    actual: &SchemaModel,
) -> Diffs {
    let (mut shown, mut left_out, mut room) = (Vec::new(), 0, MOST_LINES_OF_ALL);
    for object in objects_of(findings, [expected, actual]) {
        if room == 0 {
            left_out += 1;
            continue;
        }
        let (left, right) = (lines(expected, &object), lines(actual, &object));
        let mut lines = unified(&object, (&left, expected.own()), (&right, actual.own()));
        if lines.is_empty() {
            continue;
        }
        let kept = lines.len().min(MOST_LINES).min(room);
        let lines_left_out = lines.len() - kept;
        lines.truncate(kept);
        room -= kept;
        shown.push(ObjectDiff { object, diff: lines.join("\n"), lines_left_out });
    }
    Diffs { shown: shown.into(), left_out }
}

/// Returns the objects whose statements include those of the findings.
fn objects_of(findings: &[Difference], models: [&SchemaModel; 2]) -> BTreeSet<ObjectKey> {
    let objects = findings.iter().flat_map(|finding| {
        let there = models.into_iter().filter(|model| model.get(&finding.object).is_some());
        there.map(|model| told_with(model, &finding.object))
    });
    objects.collect()
}

fn lines(model: &SchemaModel, object: &ObjectKey) -> Vec<String> {
    let statements = object_ddl(model, object);
    let lines = statements.iter().flat_map(|statement| {
        let mut lines: Vec<_> = statement.split('\n').map(str::to_owned).collect();
        if let Some(last) = lines.last_mut() {
            last.push(';');
        }
        lines
    });
    lines.collect()
}

/// Returns the lines of a unified diff; none if both are equal.
fn unified(
    object: &ObjectKey,
    (left, left_own): (&[String], Own<'_>),
    (right, right_own): (&[String], Own<'_>),
) -> Vec<String> {
    let (left_ids, right_ids) = numbers((left, left_own), (right, right_own));
    let operations = capture_diff_slices(Algorithm::Myers, &left_ids, &right_ids);
    let changed: Vec<_> =
        operations.iter().filter(|operation| !matches!(operation, DiffOp::Equal { .. })).collect();
    if changed.is_empty() {
        return Vec::new();
    }
    // If two lines differ only by their own schema's name before a dot, the difference is shown.
    let removed = changed.iter().flat_map(|operation| &left[operation.old_range()]);
    let removed: BTreeSet<_> = removed.map(|line| bare(line)).collect();
    let mut added = changed.iter().flat_map(|operation| &right[operation.new_range()]);
    let shown: fn(&str) -> String = match added.any(|line| removed.contains(&bare(line))) {
        true => |line| visible(line),
        false => |line| visible(&bare(line)),
    };
    let mut lines = vec![format!("--- expected {object}"), format!("+++ actual {object}")];
    for operations in group_diff_ops(operations, CONTEXT) {
        lines.extend(hunk(&operations, left, right, shown));
    }
    lines
}

/// Returns the lines of a hunk.
fn hunk(
    operations: &[DiffOp],
    left: &[String],
    right: &[String],
    shown: fn(&str) -> String,
) -> Vec<String> {
    let [first, ..] = operations else { return Vec::new() };
    let last = operations.last().unwrap_or(first);
    let before = place(first.old_range().start, last.old_range().end);
    let after = place(first.new_range().start, last.new_range().end);
    let mut lines = vec![format!("@@ -{before} +{after} @@")];
    for operation in operations {
        let (old, new) = (&left[operation.old_range()], &right[operation.new_range()]);
        if matches!(operation, DiffOp::Equal { .. }) {
            lines.extend(old.iter().map(|line| format!(" {}", shown(line))));
        } else {
            lines.extend(old.iter().map(|line| format!("-{}", shown(line))));
            lines.extend(new.iter().map(|line| format!("+{}", shown(line))));
        }
    }
    lines
}

/// Formats the position of a hunk, its first line and length, like `diff -u`.
fn place(start: usize, end: usize) -> String {
    match end - start {
        0 => format!("{start},0"),
        1 => format!("{}", start + 1),
        length => format!("{},{length}", start + 1),
    }
}

/// Assigns numbers to lines; lines that are equal apart from their own schema's name get the same number.
fn numbers(
    (left, left_own): (&[String], Own<'_>),
    (right, right_own): (&[String], Own<'_>),
) -> (Vec<usize>, Vec<usize>) {
    let mut known = HashMap::<&str, usize>::new();
    let mut left_ids = Vec::with_capacity(left.len());
    for line in left {
        let next = known.len();
        left_ids.push(*known.entry(line).or_insert(next));
    }
    let names = |line: &str, own: Own<'_>| {
        line.contains(own.schema) || own.role.is_some_and(|role| line.contains(role))
    };
    let with_names: Vec<_> =
        left.iter().zip(&left_ids).filter(|(line, _)| names(line, left_own)).collect();
    let blanked: HashMap<_, _> =
        with_names.iter().map(|(line, id)| (tokens::blank(line, left_own, true), **id)).collect();
    let mut right_ids = Vec::with_capacity(right.len());
    for line in right {
        let alike =
            |(other, _): &&(&String, &usize)| tokens::alike(other, left_own, line, right_own, true);
        let of_names = || {
            let id = blanked.get(&tokens::blank(line, right_own, true)).copied();
            // One side's schema name may be a word on the other side.
            id.or_else(|| Some(*with_names.iter().take(MOST_PAIRS).find(alike)?.1))
        };
        let next = known.len();
        let id = known.get(line.as_str()).copied();
        let id = id.or_else(|| names(line, right_own).then(of_names).flatten());
        right_ids.push(id.unwrap_or_else(|| *known.entry(line).or_insert(next)));
    }
    (left_ids, right_ids)
}

/// Removes the own schema's name where it qualifies a name.
fn bare(line: &str) -> String {
    let parts = line.split("{{schema}").map(|part| part.replace("{schema}.", ""));
    parts.collect::<Vec<_>>().join("{schema}").replace("{{role}", "{role}")
}

/// Shows characters that a terminal would interpret.
fn visible(line: &str) -> String {
    let mut text = String::with_capacity(line.len());
    for character in line.chars() {
        match character.is_control() && character != '\t' {
            true => text.extend(character.escape_default()),
            false => text.push(character),
        }
    }
    text
}

/// Returns a difference with the expected and the actual side swapped.
pub(super) fn seen_from_the_other(difference: Difference) -> Difference {
    let change = match difference.change {
        Change::Missing => Change::Unexpected,
        Change::Unexpected => Change::Missing,
        Change::Changed { attribute, expected, actual } => {
            Change::Changed { attribute, expected: actual, actual: expected }
        }
    };
    Difference { change, ..difference }
}

/// Returns the schema without these differences, which were hidden.
pub(super) fn without(
    actual: &SchemaModel,
    hidden: &[Difference],
    expected: &SchemaModel,
) -> SchemaModel {
    let mut model = actual.clone();
    for Difference { object: key, change } in hidden {
        match change {
            Change::Unexpected => {
                model.objects.remove(key);
            }
            Change::Missing => {
                if let Some(object) = expected.get(key) {
                    model.objects.insert(key.clone(), object.clone());
                }
                if key.kind == ObjectKind::Column {
                    put_in_order(&mut model, key, expected);
                }
            }
            Change::Changed { attribute, expected, .. } => {
                let Some(object) = model.objects.get_mut(key) else { continue };
                match expected {
                    Some(value) => object.set(*attribute, value.clone()),
                    None => drop(object.remove(*attribute)),
                }
            }
        }
    }
    model
}

/// Moves a column behind the one that it is expected to follow.
fn put_in_order(model: &mut SchemaModel, column: &ObjectKey, expected: &SchemaModel) {
    let holder = told_with(expected, column);
    let order = expected.get(&holder).map_or(&[][..], |object| object.list(Attribute::ColumnOrder));
    let before = order.iter().take_while(|name| **name != column.name).last();
    let Some(object) = model.objects.get_mut(&holder) else { return };
    let mut order = object.list(Attribute::ColumnOrder).to_vec();
    let at = before.and_then(|before| order.iter().position(|name| name == before));
    order.insert(at.map_or(0, |at| at + 1), column.name.clone());
    object.set(Attribute::ColumnOrder, Value::List(order));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(schema: &str, objects: &[(ObjectKey, &[(Attribute, &str)])]) -> SchemaModel {
        let object = |(key, attributes): &(ObjectKey, &[(Attribute, &str)])| {
            let attributes = attributes.iter();
            let attributes: HashMap<_, _> =
                attributes.map(|(attribute, text)| (attribute.to_string(), *text)).collect();
            serde_json::json!({
                "kind": key.kind, "of": key.of, "name": key.name, "arguments": key.arguments,
                "attributes": attributes,
            })
        };
        let objects: Vec<_> = objects.iter().map(object).collect();
        let json =
            serde_json::json!({ "schema": schema, "server_version": 15, "objects": objects });
        serde_json::from_value(json).expect("it is a model")
    }

    fn changed(object: &ObjectKey, attribute: Attribute) -> Difference {
        let change = Change::Changed { attribute, expected: None, actual: None };
        Difference { object: object.clone(), change }
    }

    fn texts(left: &[&str], right: &[&str]) -> Vec<String> {
        let lines = |texts: &[&str]| texts.iter().map(|&line| line.to_owned()).collect::<Vec<_>>();
        let own = |schema| Own { schema, role: None };
        let key = ObjectKey::new(ObjectKind::Table, "t");
        let lines = [lines(left), lines(right)];
        unified(&key, (&lines[0], own("tenant_a")), (&lines[1], own("tenant_b")))
    }

    #[test]
    fn a_change_is_shown_with_three_lines_around_it() {
        let left: Vec<_> = (0..400).map(|line| format!("line {line}")).collect();
        let mut right = left.clone();
        right[200] = "another".to_owned();
        let lines = |lines: &[String]| {
            texts(
                &left.iter().map(String::as_str).collect::<Vec<_>>(),
                &lines.iter().map(String::as_str).collect::<Vec<_>>(),
            )
        };
        assert_eq!(
            lines(&right),
            [
                "--- expected table t",
                "+++ actual table t",
                "@@ -198,7 +198,7 @@",
                " line 197",
                " line 198",
                " line 199",
                "-line 200",
                "+another",
                " line 201",
                " line 202",
                " line 203",
            ]
        );
        assert_eq!(lines(&left), Vec::<String>::new());
    }

    #[test]
    fn what_is_missing_and_what_is_too_much_are_shown_whole() {
        let (some, none) = (["a;", "b;"], []);
        assert_eq!(texts(&some, &none)[2..], ["@@ -1,2 +0,0 @@", "-a;", "-b;"]);
        assert_eq!(texts(&none, &some)[2..], ["@@ -0,0 +1,2 @@", "+a;", "+b;"]);
    }

    #[test]
    fn own_names_are_no_difference() {
        assert_eq!(
            texts(&["from tenant_a.x", "1"], &["from tenant_b.x", "2"])[2..],
            ["@@ -1,2 +1,2 @@", " from tenant_a.x", "-1", "+2"]
        );
        assert_eq!(texts(&["from tenant_a.x"], &["from tenant_b.x"]), Vec::<String>::new());
        assert_eq!(texts(&["from tenant_a.x"], &["from tenant_a.x;"]).len(), 5);
        // If only one side has its own schema's name, it is treated as a word.
        let (a, b) = (["tenant_b.x from tenant_a.x"], ["tenant_b.x from tenant_b.x"]);
        assert_eq!(texts(&a, &b), Vec::<String>::new());
        assert_eq!(texts(&["from tenant_a.x"], &["from other.x"]).len(), 5);
    }

    #[test]
    fn the_own_name_is_shown_where_nothing_else_differs() {
        let left = ["create table {schema}.t (", "default {schema}.f('{{schema}')"];
        let shown = texts(&left, &["create table {schema}.t (", "default f('{{schema}')"]);
        assert_eq!(shown[4..], ["-default {schema}.f('{{schema}')", "+default f('{{schema}')"]);
        let shown = texts(&left, &["create table {schema}.t (", "default 1"]);
        assert_eq!(shown[3..], [" create table t (", "-default f('{schema}')", "+default 1"]);
    }

    #[test]
    fn what_a_terminal_would_act_on_is_shown() {
        assert_eq!(texts(&["x\r"], &["x\u{1b}[31m"])[3..], ["-x\\r", "+x\\u{1b}[31m"]);
    }

    #[test]
    fn a_column_is_shown_with_its_table_and_bounded() {
        let table = ObjectKey::new(ObjectKind::Table, "t");
        let column = ObjectKey::part(ObjectKind::Column, "t", "c");
        let left =
            model("a", &[(table.clone(), &[]), (column.clone(), &[(Attribute::Type, "text")])]);
        let right =
            model("b", &[(table.clone(), &[]), (column.clone(), &[(Attribute::Type, "int")])]);
        let found = diffs(&[changed(&column, Attribute::Type)], &left, &right);
        assert_eq!(found.shown.len(), 1);
        assert_eq!(found.shown[0].object, table);
        assert_eq!(
            found.shown[0].diff,
            "--- expected table t\n+++ actual table t\n@@ -1,3 +1,3 @@\n create table t (\n-    c text\n+    c int\n );"
        );
        let json = serde_json::to_value(&found.shown[0]).expect("it can be written");
        assert_eq!(json["object"], "table t");
        assert_eq!(json.as_object().map(serde_json::Map::len), Some(2));
    }

    #[test]
    fn a_long_diff_and_many_are_cut_off() {
        let functions = (0..40).map(|number| {
            let mut key = ObjectKey::new(ObjectKind::Function, format!("f{number:02}"));
            key.arguments = Some(String::new());
            key
        });
        let functions: Vec<_> = functions.collect();
        let body: String = (0..300).map(|line| format!("line {line}\n")).collect();
        let attributes = [(Attribute::Body, &*body), (Attribute::Language, "plpgsql")];
        let objects: Vec<_> = functions.iter().map(|key| (key.clone(), &attributes[..])).collect();
        let missing = functions
            .iter()
            .map(|object| Difference { object: object.clone(), change: Change::Missing });
        let found = diffs(&missing.collect::<Vec<_>>(), &model("a", &objects), &model("b", &[]));
        assert_eq!((found.shown.len(), found.left_out), (5, 35));
        for shown in found.shown.iter() {
            assert_eq!(shown.diff.lines().count(), MOST_LINES);
            assert!(shown.lines_left_out > 100, "{}", shown.lines_left_out);
        }
    }

    #[test]
    fn what_was_hidden_is_not_shown() {
        let table = ObjectKey::new(ObjectKind::Table, "t");
        let [a, b, c] = ["a", "b", "c"].map(|name| ObjectKey::part(ObjectKind::Column, "t", name));
        let of = |columns: &[(&ObjectKey, &str)]| {
            let types: Vec<_> =
                columns.iter().map(|(_, text)| [(Attribute::Type, *text)]).collect();
            let mut objects: Vec<(ObjectKey, &[(Attribute, &str)])> = vec![(table.clone(), &[])];
            objects
                .extend(columns.iter().zip(&types).map(|((key, _), of)| ((*key).clone(), &of[..])));
            let mut model = model("x", &objects);
            let order = columns.iter().map(|(key, _)| key.name.clone()).collect();
            model
                .objects
                .entry(table.clone())
                .and_modify(|object| object.set(Attribute::ColumnOrder, Value::List(order)));
            model
        };
        let expected = of(&[(&c, "int"), (&b, "int"), (&a, "int")]);
        let actual = of(&[(&c, "text"), (&a, "text")]);
        let mut hidden = vec![Difference { object: b.clone(), change: Change::Missing }];
        let int = Some(Value::Text("int".to_owned()));
        let change = Change::Changed { attribute: Attribute::Type, expected: int, actual: None };
        hidden.push(Difference { object: c.clone(), change });
        let found = diffs(
            &[changed(&a, Attribute::Type)],
            &expected,
            &without(&actual, &hidden, &expected),
        );
        assert_eq!(
            found.shown[0].diff.lines().skip(3).collect::<Vec<_>>(),
            [" create table t (", "     c int,", "     b int,", "-    a int", "+    a text", " );"]
        );
    }
}
