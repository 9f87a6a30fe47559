//! A mask that is fitted to the type of one value.

use super::{
    FakeKind, FakeMask, PartialMask,
    date::{self, Years},
    hash::{self, Canonical},
    invent,
    key::{Chooser, Purpose, push_hex},
    noise::{Moved, Number, Reach},
    outcome::{Outcome, Unfit},
    partial,
    row::Row,
    template::Template,
};

/// The number of hexadecimal digits that keep the hashes of a table's values distinct.
pub(super) const UNIQUE_DIGITS: usize = 10;

/// How many masks are tried if one equals the value.
const ATTEMPTS: u8 = 16;

/// The operation on a value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Leaf {
    Null,
    Constant(String),
    Template {
        template: Template,
        limit: Option<usize>,
        ignore_case: bool,
    },
    HashText {
        digits: usize,
        prefix: String,
        suffix: String,
        canonical: Canonical,
    },
    HashUuid,
    HashInteger,
    HashBytes {
        digits: usize,
    },
    /// A number in JSON, which need not be an integer.
    HashNumber,
    Fake {
        mask: FakeMask,
        limit: Option<usize>,
        canonical: Canonical,
    },
    Shift {
        max_days: u32,
        per: Per,
        years: Years,
    },
    Noise {
        reach: Reach,
        number: Number,
        column: String,
    },
    Partial {
        mask: PartialMask,
        limit: Option<usize>,
        is_padded: bool,
    },
}

/// What determines a shift.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Per {
    Row,
    Column { name: String, at: Option<usize> },
}

impl Leaf {
    /// Returns `true` if different values get different masks.
    pub(super) fn keeps_unique(&self) -> bool {
        match self {
            Self::HashText { digits, canonical, .. } => {
                *digits >= UNIQUE_DIGITS && !canonical.ignore_case
            }
            Self::HashBytes { digits } => *digits >= UNIQUE_DIGITS,
            Self::HashUuid | Self::HashInteger => true,
            Self::Fake { mask, canonical, .. } => mask.unique && !canonical.ignore_case,
            Self::Template { template, ignore_case, .. } => {
                template.names_row() || template.keeps_unique(UNIQUE_DIGITS) && !ignore_case
            }
            Self::HashNumber
            | Self::Null
            | Self::Constant(_)
            | Self::Shift { .. }
            | Self::Noise { .. }
            | Self::Partial { .. } => false,
        }
    }

    /// Returns `true` if values that differ only in case get different masks, except where they count as equal for
    /// another reason, as in `citext`.
    pub(super) fn keeps_unique_without_case(&self) -> bool {
        match self {
            Self::HashText { digits, .. } => *digits >= UNIQUE_DIGITS,
            Self::Fake { mask, .. } => mask.unique,
            Self::Template { template, .. } => template.keeps_unique(UNIQUE_DIGITS),
            _ => self.keeps_unique(),
        }
    }

    /// Returns `true` if equal values get equal masks everywhere.
    pub(super) fn is_joinable(&self) -> bool {
        match self {
            Self::Template { template, .. } => !template.names_row(),
            Self::Shift { .. } | Self::Noise { .. } | Self::Null => false,
            Self::Constant(_)
            | Self::HashText { .. }
            | Self::HashUuid
            | Self::HashInteger
            | Self::HashBytes { .. }
            | Self::HashNumber
            | Self::Fake { .. }
            | Self::Partial { .. } => true,
        }
    }

    /// Returns `true` if the mask can contain invented words.
    pub(super) fn invents(&self) -> bool {
        matches!(self, Self::Fake { .. } | Self::Template { .. })
    }

    /// Returns `true` if no source value can be the mask of another row.
    pub(super) fn is_provable(&self) -> bool {
        !matches!(self, Self::Shift { .. } | Self::Noise { .. })
    }

    /// Finds the column that determines a shift among those of a row.
    pub(super) fn resolve(&mut self, columns: &[String]) {
        if let Self::Shift { per: Per::Column { name, at }, .. } = self {
            *at = columns.iter().position(|column| column == name);
        }
    }

    /// Appends the mask of a non-null value.
    pub(super) fn mask(
        &self,
        value: &[u8],
        row: &Row<'_>,
        out: &mut Vec<u8>,
    ) -> Result<Outcome, Unfit> {
        let start = out.len();
        for attempt in 0..ATTEMPTS {
            let outcome = self.write(value, attempt, row, out)?;
            if outcome != Outcome::Masked || !self.is_same(value, &out[start..]) {
                return Ok(outcome);
            }
            out.truncate(start);
        }
        out.extend_from_slice(value);
        Ok(Outcome::Unchanged)
    }

    fn is_same(&self, value: &[u8], mask: &[u8]) -> bool {
        let canonical = match self {
            Self::HashText { canonical, .. } | Self::Fake { canonical, .. } => *canonical,
            Self::Template { ignore_case, .. } => {
                Canonical { ignore_case: *ignore_case, ..Canonical::EXACT }
            }
            _ => Canonical::EXACT,
        };
        match canonical.ignore_padding {
            _ if canonical.ignore_case => value.eq_ignore_ascii_case(mask),
            true => value.trim_ascii_end() == mask.trim_ascii_end(),
            false => value == mask,
        }
    }

    fn write(
        &self,
        value: &[u8],
        attempt: u8,
        row: &Row<'_>,
        out: &mut Vec<u8>,
    ) -> Result<Outcome, Unfit> {
        match self {
            Self::Null => return Ok(Outcome::Null),
            Self::Constant(text) => out.extend_from_slice(text.as_bytes()),
            Self::Template { template, limit, ignore_case } => {
                let canonical = Canonical { ignore_case: *ignore_case, ..Canonical::EXACT };
                let digest = hash::digest(value, canonical, attempt, row)?;
                fill(template, hash::text(value)?, &digest, row.number, *limit, out);
            }
            Self::HashText { digits, prefix, suffix, canonical } => {
                let digest = hash::digest(value, *canonical, attempt, row)?;
                out.extend_from_slice(prefix.as_bytes());
                push_hex(&digest, *digits, out);
                out.extend_from_slice(suffix.as_bytes());
            }
            Self::HashUuid => hash::uuid(hash::digest(value, Canonical::EXACT, attempt, row)?, out),
            Self::HashInteger => return hash::integer(value, row, out),
            Self::HashBytes { digits } => {
                let digest = hash::digest(value, Canonical::EXACT, attempt, row)?;
                out.extend_from_slice(b"\\x");
                push_hex(&digest, *digits, out);
            }
            Self::HashNumber => return hash::number(value, attempt, row, out),
            Self::Fake { mask, limit, canonical } => {
                let digest = hash::digest(value, *canonical, attempt, row)?;
                out.extend_from_slice(fake(mask, value, &digest, *limit)?.as_bytes());
            }
            Self::Shift { max_days, per, years } => {
                return shift(hash::text(value)?, *max_days, per, *years, row, out);
            }
            Self::Noise { reach, number, column } => {
                return noise(hash::text(value)?, *number, *reach, column, row, out);
            }
            Self::Partial { mask, limit, is_padded } => {
                let value = hash::text(value)?;
                let value = if *is_padded { value.trim_end_matches(' ') } else { value };
                partial::partial(value, mask, *limit, attempt, out);
            }
        }
        Ok(Outcome::Masked)
    }
}

/// Appends a filled template.
fn fill(
    template: &Template,
    value: &str,
    digest: &[u8; 32],
    row: u64,
    limit: Option<usize>,
    out: &mut Vec<u8>,
) {
    let start = out.len();
    template.write(digest, &mut Chooser::new(digest), row, value, out);
    if let Some(limit) = limit {
        partial::cut(out, start, limit);
    }
}

fn fake(
    mask: &FakeMask,
    value: &[u8],
    digest: &[u8; 32],
    limit: Option<usize>,
) -> Result<String, Unfit> {
    let length = match mask.kind {
        FakeKind::Text => hash::text(value)?.chars().count(),
        _ => 0,
    };
    let unique = mask.unique.then_some(digest);
    Ok(invent::fitting(mask.kind, unique, &mut Chooser::new(digest), limit, length))
}

/// Appends a number with noise that depends on the row, the column and the number.
fn noise(
    value: &str,
    number: Number,
    reach: Reach,
    column: &str,
    row: &Row<'_>,
    out: &mut Vec<u8>,
) -> Result<Outcome, Unfit> {
    let row_digest = row.digest();
    let parts = [&row_digest[..], column.as_bytes(), b"\0", value.as_bytes()];
    let mut chooser = Chooser::new(&row.keyed.key.digest(Purpose::Row, &parts));
    match number.shift(value, reach, &mut chooser, out) {
        Moved::Done => Ok(Outcome::Masked),
        Moved::NotANumber => Err(Unfit::NotANumber),
        Moved::Stays => {
            out.extend_from_slice(value.as_bytes());
            Ok(Outcome::Neutral)
        }
    }
}

fn shift(
    value: &str,
    max_days: u32,
    per: &Per,
    years: Years,
    row: &Row<'_>,
    out: &mut Vec<u8>,
) -> Result<Outcome, Unfit> {
    if matches!(value, "infinity" | "-infinity") {
        out.extend_from_slice(value.as_bytes());
        return Ok(Outcome::Neutral);
    }
    let person = match per {
        Per::Column { at: Some(at), .. } => row.field(*at),
        Per::Row | Per::Column { at: None, .. } => None,
    };
    let digest = match person {
        Some(person) => row.keyed.key.digest(Purpose::Shift, &[person]),
        None => row.digest(),
    };
    let max_days = i64::from(max_days.max(1));
    let place = Chooser::new(&digest).below(max_days.unsigned_abs() * 2) as i64;
    let days = if place < max_days { place + 1 } else { max_days - 1 - place };
    date::shift(value, days, years, out).ok_or(Unfit::NotADate)?;
    Ok(Outcome::Masked)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::{
        super::{key::Key, row::Keyed},
        *,
    };

    fn keyed() -> Keyed {
        Keyed::new(&Key::from_bytes([1; 32]).unwrap())
    }

    fn masked_in(leaf: &Leaf, value: &str, row: &Row<'_>) -> (Outcome, String) {
        let mut out = Vec::new();
        let outcome = leaf.mask(value.as_bytes(), row, &mut out).unwrap();
        (outcome, String::from_utf8(out).unwrap())
    }

    fn masked(leaf: &Leaf, value: &str) -> String {
        let keyed = keyed();
        let row = Row { keyed: &keyed, table: "t", number: 7, fields: &[], identity: &[] };
        let (outcome, mask) = masked_in(leaf, value, &row);
        assert_eq!(outcome, Outcome::Masked, "{value}");
        assert_ne!(mask, value);
        mask
    }

    fn hash(digits: usize, ignore_case: bool) -> Leaf {
        Leaf::HashText {
            digits,
            prefix: "u-".to_owned(),
            suffix: "@x".to_owned(),
            canonical: Canonical { ignore_case, ignore_padding: true },
        }
    }

    #[test]
    fn texts_are_hashed() {
        let mask = masked(&hash(12, false), "ann@example.org");
        assert!(mask.starts_with("u-") && mask.ends_with("@x") && mask.len() == 16, "{mask}");
        assert_eq!(masked(&hash(12, false), "ann@example.org  "), mask);
        assert_ne!(masked(&hash(12, false), "Ann@example.org"), mask);
        assert_eq!(masked(&hash(12, true), "Ann@example.ORG"), mask);
        assert_eq!(masked(&hash(12, true), "ÄNN"), masked(&hash(12, true), "änn"));
    }

    #[test]
    fn a_hash_is_never_the_value() {
        let leaf = Leaf::HashText {
            digits: 1,
            prefix: String::new(),
            suffix: String::new(),
            canonical: Canonical::EXACT,
        };
        for digit in "0123456789abcdef".chars() {
            masked(&leaf, &digit.to_string());
        }
    }

    #[test]
    fn uuids_are_of_version_4() {
        let mut seen = HashSet::new();
        for number in 0..100 {
            let mask = masked(&Leaf::HashUuid, &format!("00000000-0000-0000-0000-{number:012}"));
            assert!(
                super::super::constant::check(&mask, &super::super::shape::Shape::Uuid, "uuid")
                    .is_ok()
            );
            assert_eq!(&mask[14..15], "4");
            assert!("89ab".contains(&mask[19..20]));
            assert!(seen.insert(mask));
        }
    }

    #[test]
    fn numbers_and_bytes_are_hashed() {
        let number = masked(&Leaf::HashInteger, "42");
        assert_eq!(masked(&Leaf::HashNumber, "42"), number);
        assert!(number.parse::<i16>().unwrap() > 0);
        masked(&Leaf::HashNumber, "4.2").parse::<u64>().unwrap();
        assert_eq!(masked(&Leaf::HashBytes { digits: 64 }, "\\x00").len(), 66);
        let keyed = keyed();
        let row = Row { keyed: &keyed, table: "t", number: 1, fields: &[], identity: &[] };
        assert_eq!(masked_in(&Leaf::HashInteger, "0", &row), (Outcome::Neutral, "0".to_owned()));
        let error = Leaf::HashInteger.mask(b"x", &row, &mut Vec::new());
        assert_eq!(error, Err(Unfit::NotANumber));
    }

    #[test]
    fn a_fake_follows_the_value_and_is_never_it() {
        let leaf = Leaf::Fake {
            mask: FakeMask::new(FakeKind::FirstName),
            limit: None,
            canonical: Canonical::EXACT,
        };
        assert_eq!(masked(&leaf, "ann"), masked(&leaf, "ann"));
        let fakes: HashSet<_> = (0..200).map(|number| masked(&leaf, &number.to_string())).collect();
        assert!(fakes.len() > 100);
        // A fake is never its own fake.
        for fake in fakes {
            masked(&leaf, &fake);
        }
    }

    #[test]
    fn ends_are_shown() {
        let partial = |first, last, limit| Leaf::Partial {
            mask: PartialMask::new(first, last),
            limit,
            is_padded: true,
        };
        for (leaf, value, expected) in [
            (partial(1, 0, None), "Miller", "M***"),
            (partial(2, 2, None), "4111111111111111", "41***11"),
            (partial(1, 1, None), "äöü", "ä***ü"),
            (partial(1, 1, None), "ab", "***"),
            (partial(1, 0, None), "", "***"),
            (partial(1, 0, None), "M***", "M******"),
            (partial(1, 2, Some(4)), "Miller   ", "M*er"),
            (partial(usize::MAX, usize::MAX, None), "Miller", "***"),
        ] {
            assert_eq!(masked(&leaf, value), expected, "{value}");
        }
        let keyed = keyed();
        let row = Row { keyed: &keyed, table: "t", number: 1, fields: &[], identity: &[] };
        let full = (Outcome::Unchanged, "***".to_owned());
        assert_eq!(masked_in(&partial(0, 0, Some(3)), "***", &row), full);
    }

    #[test]
    fn a_constant_that_is_there_is_told() {
        let keyed = keyed();
        let row = Row { keyed: &keyed, table: "t", number: 1, fields: &[], identity: &[] };
        let constant = Leaf::Constant("x".to_owned());
        assert_eq!(masked_in(&constant, "x", &row), (Outcome::Unchanged, "x".to_owned()));
        assert_eq!(masked_in(&constant, "y", &row), (Outcome::Masked, "x".to_owned()));
        assert_eq!(masked_in(&Leaf::Null, "y", &row).0, Outcome::Null);
    }

    #[test]
    fn dates_of_a_person_keep_their_distances() {
        let keyed = keyed();
        let shift = |per| Leaf::Shift { max_days: 30, per, years: Years::DATE };
        let per_person = shift(Per::Column { name: "person".to_owned(), at: Some(1) });
        fn row<'a>(keyed: &'a Keyed, number: u64, fields: &'a [&'a [u8]]) -> Row<'a> {
            Row { keyed, table: "t", number, fields, identity: &[0] }
        }
        let one: [&[u8]; 2] = [b"1", b"ann"];
        let two: [&[u8]; 2] = [b"2", b"ann"];
        let other: [&[u8]; 2] = [b"3", b"\\N"];
        let day = |leaf: &Leaf, row: &Row<'_>| masked_in(leaf, "2024-01-15", row).1;
        assert_eq!(
            day(&per_person, &row(&keyed, 1, &one)),
            day(&per_person, &row(&keyed, 2, &two))
        );
        // Without a person the row determines the shift, and it is identified by its key, independently of its
        // number.
        assert_eq!(
            day(&per_person, &row(&keyed, 3, &other)),
            day(&shift(Per::Row), &row(&keyed, 9, &other))
        );
        let shifts: HashSet<_> = (0..500)
            .map(|number| {
                let id = number.to_string();
                let fields: [&[u8]; 2] = [id.as_bytes(), b"x"];
                day(&shift(Per::Row), &row(&keyed, number, &fields))
            })
            .collect();
        assert_eq!(shifts.len(), 60, "all shifts but 0");
        assert!(!shifts.contains("2024-01-15"));
        let infinite = masked_in(&per_person, "infinity", &row(&keyed, 1, &one));
        assert_eq!(infinite, (Outcome::Neutral, "infinity".to_owned()));
    }

    #[test]
    fn noise_differs_by_row() {
        let leaf = Leaf::Noise {
            reach: Reach::Share(0.5),
            number: Number::Decimal(None),
            column: "salary".to_owned(),
        };
        let keyed = keyed();
        let masks: HashSet<_> = (1..100)
            .map(|number| {
                let row = Row { keyed: &keyed, table: "t", number, fields: &[], identity: &[] };
                masked_in(&leaf, "50000.00", &row).1
            })
            .collect();
        assert!(masks.len() > 90);
    }
}
