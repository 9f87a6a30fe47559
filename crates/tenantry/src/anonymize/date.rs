//! Dates in PostgreSQL's text format, shifted by days.

/// The years that a type holds; the year before 1 is 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Years {
    from: i64,
    to: i64,
}

impl Years {
    pub(super) const DATE: Self = Self { from: -4_711, to: 5_874_896 };
    pub(super) const TIMESTAMP: Self = Self { from: -4_711, to: 294_275 };
    /// Four digits, according to ISO 8601.
    pub(super) const ISO: Self = Self { from: 1, to: 9_999 };

    fn contains(self, year: i64) -> bool {
        (self.from..=self.to).contains(&year)
    }
}

/// Shifts a date with any suffix, such as a time, and appends the result. At the end of the type's range it is
/// shifted in the opposite direction. Returns `None` if the text is not a date.
pub(super) fn shift(text: &str, days: i64, years: Years, out: &mut Vec<u8>) -> Option<()> {
    let (text, is_before_christ) = match text.strip_suffix(" BC") {
        Some(text) => (text, true),
        None => (text, false),
    };
    let end = text.find([' ', 'T', 't']).unwrap_or(text.len());
    let (date, rest) = text.split_at(end);
    let mut numbers = date.split('-').map(number);
    let (year, month, day) = (numbers.next()??, numbers.next()??, numbers.next()??);
    let is_date = numbers.next().is_none()
        && (1..=12).contains(&month)
        && (1..=days_of(year, month)).contains(&day);
    if !is_date {
        return None;
    }
    let year = if is_before_christ { 1 - year } else { year };
    let start = days_from_civil(year, month, day);
    let moved = [days, -days].into_iter().map(|days| civil_from_days(start + days));
    let (year, month, day) = moved.into_iter().find(|(year, ..)| years.contains(*year))?;
    let (year, era) = if year < 1 { (1 - year, " BC") } else { (year, "") };
    out.extend_from_slice(format!("{year:04}-{month:02}-{day:02}{rest}{era}").as_bytes());
    Some(())
}

fn number(digits: &str) -> Option<i64> {
    let is_number = (2..=7).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
    is_number.then(|| digits.parse().ok()).flatten()
}

/// Returns the number of days of a month. A leap day of a year before 1 is accepted: the arithmetic handles it.
fn days_of(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 || year % 4 == 1 => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Counts days from 1970-01-01 in the proleptic Gregorian calendar
/// ([Howard Hinnant's algorithms](https://howardhinnant.github.io/date_algorithms.html)).
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shifted(text: &str, days: i64, years: Years) -> Option<String> {
        let mut out = Vec::new();
        shift(text, days, years, &mut out)?;
        String::from_utf8(out).ok()
    }

    #[test]
    fn dates_are_moved() {
        for (text, days, expected) in [
            ("2024-02-28", 1, "2024-02-29"),
            ("2023-02-28", 1, "2023-03-01"),
            ("2024-01-01", -1, "2023-12-31"),
            ("2000-02-29", 366, "2001-03-01"),
            ("2024-01-31 12:34:56.789+05:30", 1, "2024-02-01 12:34:56.789+05:30"),
            ("2024-01-31T12:34:56Z", 1, "2024-02-01T12:34:56Z"),
            ("0001-01-01", -1, "0001-12-31 BC"),
            ("0001-12-31 BC", 1, "0001-01-01"),
            ("0044-03-15 12:00:00 BC", 1, "0044-03-16 12:00:00 BC"),
            ("12024-01-31", 1, "12024-02-01"),
        ] {
            assert_eq!(
                shifted(text, days, Years::DATE).as_deref(),
                Some(expected),
                "{text} {days}"
            );
        }
    }

    #[test]
    fn the_end_of_the_type_turns_the_shift_round() {
        assert_eq!(shifted("9999-12-31", 1, Years::ISO).as_deref(), Some("9999-12-30"));
        assert_eq!(shifted("0001-01-01", -1, Years::ISO).as_deref(), Some("0001-01-02"));
        assert_eq!(shifted("0001-01-01", -9_999_999, Years::ISO), None);
    }

    #[test]
    fn what_is_no_date_is_refused() {
        for text in ["", "x", "2024", "2024-13-01", "2024-02-30", "2024-01-01-01", "infinity"] {
            assert_eq!(shifted(text, 1, Years::DATE), None, "{text}");
        }
        assert_eq!(shifted("é-01-01", 1, Years::DATE), None);
    }

    proptest! {
        #[test]
        fn a_day_is_a_day(days in -2_000_000_i64..100_000_000) {
            let (year, month, day) = civil_from_days(days);
            prop_assert_eq!(days_from_civil(year, month, day), days);
            prop_assert!((1..=12).contains(&month) && (1..=31).contains(&day));
        }

        #[test]
        fn a_shift_can_be_undone(days in 0_i64..200_000, by in -5_000_i64..5_000) {
            let (year, month, day) = civil_from_days(days);
            let date = format!("{year:04}-{month:02}-{day:02} 01:02:03+00");
            let there = shifted(&date, by, Years::DATE).unwrap();
            prop_assert_eq!(there == date, by == 0);
            prop_assert_eq!(shifted(&there, -by, Years::DATE).unwrap(), date);
        }
    }
}
