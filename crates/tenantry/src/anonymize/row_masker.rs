//! Masks rows in the text format of `COPY` between the source and the copy.

use std::fmt;

use super::{
    Key,
    collector::Collector,
    copy_text,
    literal::Written,
    masker::Masker,
    outcome::Unfit,
    plan::TablePlan,
    row::{Keyed, Row},
    tally::{Sink, Tally},
};

/// Masks the rows of a table.
///
/// It expects the output of `COPY (select …) TO STDOUT` with `client_encoding` UTF8, `DateStyle` ISO and
/// `bytea_output` hex, and writes the input of `COPY … FROM STDIN`. Fields without a mask are copied byte by byte.
#[derive(Debug)]
pub(crate) struct RowMasker {
    table: String,
    columns: Vec<Column>,
    /// The places of the columns that have a mask.
    masked: Vec<usize>,
    identity: Vec<usize>,
    keyed: Keyed,
    rows: u64,
    collector: Option<Collector>,
}

#[derive(Debug)]
struct Column {
    name: String,
    masker: Masker,
    tally: Tally,
    origin: u32,
}

/// Why rows cannot be masked. It names the place and never shows the value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MaskError {
    table: String,
    column: Option<String>,
    row: u64,
    reason: Reason,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Reason {
    Unfit(Unfit),
    Fields { expected: usize, found: usize },
    Incomplete,
}

impl fmt::Display for MaskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "table {}, row {}", self.table, self.row)?;
        if let Some(column) = &self.column {
            write!(f, ", column {column}")?;
        }
        match &self.reason {
            Reason::Unfit(unfit) => write!(f, ": {unfit}"),
            Reason::Fields { expected, found } => {
                write!(f, ": the row has {found} fields instead of {expected}")
            }
            Reason::Incomplete => write!(f, ": the row does not end with a line feed"),
        }
    }
}

impl std::error::Error for MaskError {}

impl RowMasker {
    /// Prepares the masks of a table. `columns` are the column names in the order in which they are copied.
    pub(crate) fn new(plan: &TablePlan, columns: &[String], key: &Key) -> Self {
        let prepared = columns.iter().map(|name| {
            let column = plan.column(name);
            let mut masker = column.map_or(Masker::Keep, |column| column.masker().clone());
            masker.resolve(columns);
            Column {
                name: name.clone(),
                masker,
                tally: Tally::default(),
                origin: column.map_or(0, |column| column.origin()),
            }
        });
        let prepared: Vec<_> = prepared.collect();
        let masked = prepared.iter().enumerate().filter(|(_, column)| !column.masker.is_keep());
        let masked = masked.map(|(at, _)| at).collect();
        let place = |name: &String| columns.iter().position(|column| column == name);
        // Without one of its columns the key identifies nothing.
        let identity: Option<Vec<_>> = plan.primary_key().iter().map(place).collect();
        Self {
            table: plan.name().to_owned(),
            columns: prepared,
            masked,
            identity: identity.unwrap_or_default(),
            keyed: Keyed::new(key),
            rows: 0,
            collector: None,
        }
    }

    /// Collects the source values of masked columns.
    pub(crate) fn collect_into(self, collector: Collector) -> Self {
        Self { collector: Some(collector), ..self }
    }

    /// Appends rows with their values masked. The input consists of complete lines.
    ///
    /// # Errors
    ///
    /// [`MaskError`] if a value does not have the format of its type. Discard what was appended until then.
    pub(crate) fn mask_chunk(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<(), MaskError> {
        out.reserve(input.len() + input.len() / 4);
        let (mut fields, mut mask) = (Vec::with_capacity(self.columns.len()), Vec::new());
        let mut rest = input;
        while !rest.is_empty() {
            fields.clear();
            let end = split_line(rest, &mut fields);
            self.rows += 1;
            let Some(end) = end else { return Err(self.error(None, Reason::Incomplete)) };
            if self.columns.is_empty() && end == 0 {
                fields.clear();
            }
            if fields.len() != self.columns.len() {
                let (expected, found) = (self.columns.len(), fields.len());
                return Err(self.error(None, Reason::Fields { expected, found }));
            }
            self.mask_row(&rest[..end], &fields, &mut mask, out)?;
            out.push(b'\n');
            rest = &rest[end + 1..];
        }
        Ok(())
    }

    fn mask_row(
        &mut self,
        line: &[u8],
        fields: &[&[u8]],
        mask: &mut Vec<u8>,
        out: &mut Vec<u8>,
    ) -> Result<(), MaskError> {
        let row = Row {
            keyed: &self.keyed,
            table: &self.table,
            number: self.rows,
            fields,
            identity: &self.identity,
        };
        // The start of the next field, if the fields before it are copied together.
        let (mut copied, mut start, mut next) = (0, 0, 0);
        for at in &self.masked {
            let Some(column) = self.columns.get_mut(*at) else { continue };
            start += fields[next..*at].iter().map(|field| field.len() + 1).sum::<usize>();
            let field = fields[*at];
            (start, next) = (start + field.len() + 1, at + 1);
            mask.clear();
            let written = match column.mask(field, &row, self.collector.as_mut(), mask) {
                Ok(written) => written,
                Err(unfit) => {
                    let column = Some(column.name.clone());
                    return Err(self.error(column, Reason::Unfit(unfit)));
                }
            };
            let own = start - field.len() - 1;
            out.extend_from_slice(&line[copied..own]);
            match written {
                Written::Null => out.extend_from_slice(copy_text::NULL),
                Written::Same => out.extend_from_slice(field),
                Written::Value => copy_text::encode(mask, out),
            }
            copied = own + field.len();
        }
        out.extend_from_slice(&line[copied..]);
        Ok(())
    }

    /// Returns the counts of each masked column.
    pub(crate) fn tallies(&self) -> impl Iterator<Item = (&str, Tally)> {
        let masked = self.masked.iter().filter_map(|at| self.columns.get(*at));
        masked.map(|column| (&*column.name, column.tally))
    }

    /// Returns the source values that were collected.
    pub(crate) fn into_collector(self) -> Option<Collector> {
        self.collector
    }

    fn error(&self, column: Option<String>, reason: Reason) -> MaskError {
        MaskError { table: self.table.clone(), column, row: self.rows, reason }
    }
}

impl Column {
    /// Appends the mask of a field, and counts it.
    fn mask(
        &mut self,
        field: &[u8],
        row: &Row<'_>,
        collector: Option<&mut Collector>,
        out: &mut Vec<u8>,
    ) -> Result<Written, Unfit> {
        self.tally.rows += 1;
        if field == copy_text::NULL {
            self.tally.nulls += 1;
            return Ok(Written::Same);
        }
        let mut sink = Sink { tally: &mut self.tally, collector, origin: self.origin };
        self.masker.mask(&copy_text::decode(field), row, &mut sink, out)
    }
}

/// Appends the fields of the first line, and returns its length without the line feed, if it has one.
fn split_line<'t>(text: &'t [u8], fields: &mut Vec<&'t [u8]>) -> Option<usize> {
    let mut start = 0;
    for (at, byte) in text.iter().enumerate() {
        if *byte == b'\t' || *byte == b'\n' {
            fields.push(&text[start..at]);
            start = at + 1;
            if *byte == b'\n' {
                return Some(at);
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::{
        super::{
            Anonymize, DateShiftMask, FakeKind, FakeMask, HashMask, Mask, NoiseMask, PartialMask,
            example::Example,
        },
        *,
    };

    fn key() -> Key {
        Key::from_bytes([1; 32]).unwrap()
    }

    fn columns(names: &str) -> Vec<String> {
        names.split(' ').map(str::to_owned).collect()
    }

    fn masker(rules: &Anonymize, example: Example, table: &str, names: &str) -> RowMasker {
        let plan = rules.plan(&example.model()).unwrap();
        RowMasker::new(plan.table(table).unwrap(), &columns(names), &key())
    }

    fn run(masker: &mut RowMasker, input: &str) -> String {
        let mut out = Vec::new();
        masker.mask_chunk(input.as_bytes(), &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    fn users() -> Example {
        Example::new()
            .table(
                "users",
                &[
                    "id bigint not null",
                    "email character varying(80) not null",
                    "tags text[]",
                    "home place",
                    "data jsonb",
                    "born date",
                    "salary numeric(10,2)",
                    "note text",
                ],
            )
            .composite("place", &["city text", "zip text", "old text[]"])
            .constraint("users", "PRIMARY KEY (id)")
            .constraint("users", "UNIQUE (email)")
    }

    #[test]
    fn fields_without_a_mask_are_copied() {
        let rules = Anonymize::new().rule("users.email", HashMask::default().suffix("@x"));
        let mut masker = masker(&rules, users(), "users", "id email note");
        let masked = run(&mut masker, "1\tann@example.org\ta\\tb\\\\c\n2\tbob@example.org\t\\N\n");
        let lines: Vec<_> =
            masked.lines().map(|line| line.split('\t').collect::<Vec<_>>()).collect();
        assert_eq!((lines[0][0], lines[0][2]), ("1", "a\\tb\\\\c"));
        assert_eq!((lines[1][0], lines[1][2]), ("2", "\\N"));
        assert!(lines.iter().all(|line| line[1].len() == 34 && line[1].ends_with("@x")));
        assert_ne!(lines[0][1], lines[1][1]);
        let tallies: Vec<_> = masker.tallies().collect();
        let tally = Tally { rows: 2, masked: 2, ..Tally::default() };
        assert_eq!(tallies, [("email", tally)]);
    }

    #[test]
    fn an_address_is_the_same_everywhere() {
        let rules = Anonymize::new()
            .rule("users.email", HashMask::default())
            .rule("users.tags", HashMask::default())
            .rule_at("users.home", "old[*]", HashMask::default())
            .rule_at("users.data", "**.email", HashMask::default());
        let mut masker = masker(&rules, users(), "users", "email tags home data");
        let input = concat!(
            "ann@example.org\t{x,ann@example.org}\t(Berlin,,\"{ann@example.org}\")",
            "\t{\"email\": \"ann@example.org\", \"list\": [{\"email\": \"ann\\\\u0040example.org\"}]}\n"
        );
        let masked = run(&mut masker, input);
        let hash = masked.split('\t').next().unwrap();
        assert_eq!(masked.matches(hash).count(), 5, "{masked}");
        assert!(!masked.contains("ann") && masked.contains("Berlin"), "{masked}");
    }

    #[test]
    fn every_mask_works_in_a_row() {
        let rules = Anonymize::new()
            .rule("users.id", HashMask::default())
            .rule("users.email", FakeMask::new(FakeKind::Email).unique())
            .rule("users.tags", Mask::Constant("x".to_owned()))
            .rule_at("users.home", "city", FakeKind::City)
            .rule("users.data", Mask::Null)
            .rule("users.born", Mask::DateShift(DateShiftMask::new(10).per("id")))
            .rule("users.salary", Mask::Noise(NoiseMask::percent(10.0)))
            .rule("users.note", Mask::Partial(PartialMask::new(2, 0)));
        let mut masker =
            masker(&rules, users(), "users", "id email tags home data born salary note")
                .collect_into(Collector::new(1_000_000, &key()));
        let input = "1\tann@example.org\t{a,NULL}\t(Springfield,12345,)\t{}\t2000-02-29\t1000.00\tHello \\\\N\n";
        let masked = run(&mut masker, input);
        let before: Vec<_> = input.trim_end().split('\t').collect();
        let after: Vec<_> = masked.trim_end().split('\t').collect();
        for (before, after) in before.iter().zip(&after) {
            assert_ne!(before, after);
        }
        assert_eq!(after[2], "{\"x\",NULL}");
        assert!(after[3].ends_with(",12345,)"), "{}", after[3]);
        assert_eq!(after[4], "\\N");
        assert!(after[5].starts_with("2000-0"));
        assert_eq!(after[7], "He***");
        for (column, tally) in masker.tallies() {
            assert_eq!((tally.rows, tally.masked, tally.unchanged), (1, 1, 0), "{column}");
        }
        // The address, the city and the note; dates and numbers prove nothing, and the others are too short.
        assert_eq!(masker.into_collector().unwrap().len(), 3);
    }

    #[test]
    fn names_and_keys_stay_apart() {
        let rules = Anonymize::new()
            .rule("users.id", HashMask::default())
            .rule("users.email", HashMask::default());
        let mut masker = masker(&rules, users(), "users", "id email");
        let input: String = (1..=5_000).map(|n| format!("{n}\tuser{n}@example.org\n")).collect();
        let masked = run(&mut masker, &input);
        let (mut ids, mut emails) = (HashSet::new(), HashSet::new());
        for (line, number) in masked.lines().zip(1..) {
            let (id, email) = line.split_once('\t').unwrap();
            assert_ne!(id.parse(), Ok(number));
            ids.insert(id.to_owned());
            emails.insert(email.to_owned());
        }
        assert_eq!((ids.len(), emails.len()), (5_000, 5_000));
    }

    #[test]
    fn chunks_may_be_cut_between_any_rows() {
        let rules = Anonymize::new().rule("users.note", Mask::Template("note {row}".to_owned()));
        let mut whole = masker(&rules, users(), "users", "id note");
        let mut parts = masker(&rules, users(), "users", "id note");
        let all = run(&mut whole, "1\ta\n2\tb\n");
        let one = run(&mut parts, "1\ta\n") + &run(&mut parts, "") + &run(&mut parts, "2\tb\n");
        assert_eq!(all, "1\tnote 1\n2\tnote 2\n");
        assert_eq!(one, all);
    }

    #[test]
    fn errors_tell_the_place_and_not_the_value() {
        let rules = Anonymize::new()
            .rule_at("users.data", "a", HashMask::default())
            .rule("users.born", Mask::DateShift(DateShiftMask::new(10)));
        for (input, expected) in [
            (
                "{}\t2024-01-01\n{secret\t\\N\n",
                "table users, row 2, column data: the value is not JSON",
            ),
            (
                "{}\t01.02.2024\n",
                "table users, row 1, column born: the value is not a date in ISO format: set DateStyle to ISO",
            ),
            ("{}\n", "table users, row 1: the row has 1 fields instead of 2"),
            ("{}\t\\N\t\n", "table users, row 1: the row has 3 fields instead of 2"),
            ("{}\t\\N", "table users, row 1: the row does not end with a line feed"),
        ] {
            let mut masker = masker(&rules, users(), "users", "data born");
            let error = masker.mask_chunk(input.as_bytes(), &mut Vec::new()).unwrap_err();
            assert_eq!(error.to_string(), expected);
        }
    }

    #[test]
    fn nothing_is_shown() {
        let rules = Anonymize::new().rule("users.email", HashMask::default());
        let mut masker = masker(&rules, users(), "users", "id email")
            .collect_into(Collector::new(1_000_000, &key()));
        run(&mut masker, "1\tann@example.org\n");
        let shown = format!("{masker:?}");
        assert!(shown.contains("redacted") && !shown.contains("97, 110, 110"), "{shown}");
        let finder = masker.into_collector().unwrap().into_finder();
        assert_eq!(format!("{finder:?}"), "Finder(1 values, redacted)");
    }

    #[test]
    fn it_can_be_sent_to_another_thread() {
        fn is_send<T: Send>() {}
        is_send::<RowMasker>();
    }
}
