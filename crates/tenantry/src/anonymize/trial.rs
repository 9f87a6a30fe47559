//! Sample masks, for testing the schema's check constraints.

use super::{
    Key,
    leaf::Leaf,
    masker::Masker,
    plan::{ColumnPlan, MaskPlan, Select, TablePlan},
    planner::domains,
    row::{Keyed, Row},
    shape::Shape,
    unique::mentioned,
};
use crate::schema::{Attribute, ObjectKind, SchemaModel};

/// Sample masks of a column, for the server to evaluate a check constraint with before anything is copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Trial {
    pub(crate) table: String,
    pub(crate) column: String,
    /// The column's type as in the model. A cast to it evaluates the checks of a domain.
    pub(crate) data_type: String,
    /// The name and condition of the table's check constraint; `None` for the checks of a domain.
    pub(crate) check: Option<(String, String)>,
    /// Masks of made-up values. Empty if masks depend on the real values, so the check cannot be tested.
    pub(crate) samples: Vec<String>,
}

/// The number of values masked in a trial.
const SAMPLES: usize = 64;

impl MaskPlan {
    /// Returns a trial for each check constraint of a table or domain that involves a masked column.
    ///
    /// A check that involves several columns has no samples.
    pub(crate) fn trials(&self, model: &SchemaModel, key: &Key) -> Vec<Trial> {
        let keyed = Keyed::new(key);
        let mut trials = Vec::new();
        for table in self.tables().filter(|table| table.is_masked()) {
            for (constraint, object) in model.parts_of(ObjectKind::Constraint, table.name()) {
                let definition = object.text(Attribute::Definition).unwrap_or_default();
                let Some(condition) = condition(definition) else { continue };
                let columns = mentioned(condition, table);
                for column in columns.iter().filter(|column| column.is_masked()) {
                    let samples = match columns.len() {
                        1 => samples(table, column, &keyed),
                        _ => Vec::new(),
                    };
                    let check = (constraint.name.clone(), condition.to_owned());
                    trials.push(Trial::new(table, column, Some(check), samples));
                }
            }
            let with_domain = table
                .columns()
                .iter()
                .filter(|column| column.is_masked() && has_checks(model, &column.data_type));
            for column in with_domain {
                trials.push(Trial::new(table, column, None, samples(table, column, &keyed)));
            }
        }
        trials
    }
}

impl Trial {
    fn new(
        table: &TablePlan,
        column: &ColumnPlan,
        check: Option<(String, String)>,
        samples: Vec<String>,
    ) -> Self {
        Self {
            table: table.name().to_owned(),
            column: column.name().to_owned(),
            data_type: column.data_type.clone(),
            check,
            samples,
        }
    }
}

/// Returns the condition of a check constraint.
fn condition(definition: &str) -> Option<&str> {
    let rest = definition.strip_prefix("CHECK (")?;
    Some(&rest[..rest.rfind(')')?])
}

/// Returns `true` if a domain, or one that it is based on, has checks.
fn has_checks(model: &SchemaModel, data_type: &str) -> bool {
    let mut domains = domains(model, data_type).into_iter();
    domains.any(|(name, _)| model.parts_of(ObjectKind::Constraint, name).next().is_some())
}

/// Returns masks of made-up values, unless they depend on the real ones.
fn samples(table: &TablePlan, column: &ColumnPlan, keyed: &Keyed) -> Vec<String> {
    let leaf = match column.masker() {
        Masker::Leaf(leaf) if *column.select() == Select::Column => leaf,
        _ => return Vec::new(),
    };
    if matches!(leaf, Leaf::Null | Leaf::Shift { .. } | Leaf::Noise { .. } | Leaf::Partial { .. }) {
        return Vec::new();
    }
    let samples = (1..=SAMPLES as u64).filter_map(|number| {
        let value = value(&column.shape, number)?;
        let row = Row { keyed, table: table.name(), number, fields: &[], identity: &[] };
        let mut mask = Vec::new();
        leaf.mask(value.as_bytes(), &row, &mut mask).ok()?;
        String::from_utf8(mask).ok()
    });
    let mut samples: Vec<_> = samples.collect();
    samples.dedup();
    samples
}

/// Makes up an input value for a mask.
fn value(shape: &Shape, number: u64) -> Option<String> {
    Some(match shape {
        Shape::Uuid => format!("00000000-0000-4000-8000-{number:012}"),
        Shape::Integer(_) => number.to_string(),
        Shape::Bytea => format!("\\x{number:08x}"),
        Shape::Array(_) | Shape::Composite(_) | Shape::Json => return None,
        _ => format!("sample {}", "x".repeat(number as usize)),
    })
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Anonymize, FakeKind, HashMask, Mask, NoiseMask, example::Example},
        *,
    };

    fn trials(rules: &Anonymize) -> Vec<Trial> {
        let model = Example::new()
            .table("users", &["id bigint not null", "email text", "mail email", "age integer"])
            .object(ObjectKind::Domain, "email", &[(Attribute::Type, "text")])
            .constraint("email", "CHECK ((VALUE ~~ '%@%'::text))")
            .constraint("users", "CHECK ((email ~ '@'::text))")
            .constraint("users", "CHECK (((age > 0) AND (id > 0)))")
            .model();
        let key = Key::from_bytes([1; 32]).unwrap();
        rules.plan(&model).unwrap().trials(&model, &key)
    }

    #[test]
    fn masks_are_tried_against_checks() {
        let hash = HashMask::default().suffix("@example.invalid");
        let found = trials(&Anonymize::new().rule("users.email", hash));
        assert_eq!(found.len(), 1);
        let (_, condition) = found[0].check.clone().unwrap();
        assert_eq!(condition, "(email ~ '@'::text)");
        assert_eq!(found[0].samples.len(), 64);
        assert!(found[0].samples.iter().all(|sample| sample.ends_with("@example.invalid")));
    }

    #[test]
    fn domains_are_tried_by_a_cast() {
        let found = trials(&Anonymize::new().rule("users.mail", FakeKind::Email));
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].check.as_ref(), &*found[0].data_type), (None, "email"));
        assert!(found[0].samples.iter().all(|sample| sample.contains('@')));
    }

    #[test]
    fn a_check_of_several_columns_cannot_be_tried() {
        let found =
            trials(&Anonymize::new().rule("users.age", Mask::Noise(NoiseMask::percent(5.0))));
        assert_eq!(found.len(), 1);
        assert!(found[0].check.is_some() && found[0].samples.is_empty());
        assert_eq!(trials(&Anonymize::new().keep("users.*")), []);
    }
}
