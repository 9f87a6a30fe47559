//! Numbers with random noise.

use super::key::Chooser;

/// The maximum change of a number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Reach {
    /// A share of the number; 1 is all of it.
    Share(f64),
    Amount(f64),
}

/// The numbers that a type holds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Number {
    /// Integers up to this one.
    Integer(i64),
    /// Decimals with a precision and a scale.
    Decimal(Option<(u32, i32)>),
    /// Floats of some bytes.
    Float(u32),
}

/// The result for a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Moved {
    Done,
    /// 0 has no percentage that it could change by; `NaN` and infinities have no neighbours.
    Stays,
    NotANumber,
}

/// The number of digits that change; later ones are unchanged.
const MAX_DIGITS: usize = 30;

impl Number {
    /// Changes a number and appends the result.
    pub(super) fn shift(
        self,
        text: &str,
        reach: Reach,
        chooser: &mut Chooser,
        out: &mut Vec<u8>,
    ) -> Moved {
        let unit = chooser.signed_unit();
        match self {
            Self::Float(bytes) => shift_float(text, bytes, reach, unit, out),
            Self::Integer(max) => shift_decimal(text, Some(max.into()), 0, reach, unit, out),
            Self::Decimal(limits) => {
                if matches!(text, "NaN" | "Infinity" | "-Infinity") {
                    return Moved::Stays;
                }
                if text.contains(['e', 'E']) {
                    return shift_float(text, 8, reach, unit, out);
                }
                let max = limits.and_then(|(precision, scale)| {
                    // With a negative scale, zeros follow the digits of the precision.
                    let digits = precision.saturating_add(scale.min(0).unsigned_abs());
                    Some(10_i128.checked_pow(digits)? - 1)
                });
                let zeros = limits.map_or(0, |(_, scale)| scale.min(0).unsigned_abs() as usize);
                shift_decimal(text, max, zeros, reach, unit, out)
            }
        }
    }
}

/// Changes a number that is written as digits. `max` is the highest number that its digits without the point can
/// form; `zeros` is the number of trailing digits that the type rounds away.
fn shift_decimal(
    text: &str,
    max: Option<i128>,
    zeros: usize,
    reach: Reach,
    unit: f64,
    out: &mut Vec<u8>,
) -> Moved {
    let Some((sign, whole, fraction)) = parts(text) else { return Moved::NotANumber };
    let digits = format!("{whole}{fraction}");
    let digits = digits.trim_start_matches('0');
    let kept = digits.len().saturating_sub(MAX_DIGITS).max(zeros.min(digits.len()));
    let (head, tail) = digits.split_at(digits.len() - kept);
    let head: i128 = head.parse().unwrap_or_default();
    let of_head = 10_f64.powi(i32::try_from(kept).unwrap_or(i32::MAX));
    let distance = match reach {
        Reach::Share(_) if digits.is_empty() => return Moved::Stays,
        Reach::Share(share) => head as f64 * share * unit,
        Reach::Amount(amount) => {
            let scale = 10_f64.powi(i32::try_from(fraction.len()).unwrap_or(i32::MAX));
            amount * unit * scale / of_head
        }
    };
    let max = max.map(|max| max / 10_i128.checked_pow(kept as u32).unwrap_or(i128::MAX));
    let Some(moved) = moved_by(head, distance, unit, max) else { return Moved::Stays };
    let width = fraction.len() + 1;
    let moved = format!("{moved}{tail}");
    let moved = format!("{moved:0>width$}");
    let (whole, fraction) = moved.split_at(moved.len() - fraction.len());
    let point = if fraction.is_empty() { "" } else { "." };
    out.extend_from_slice(format!("{sign}{whole}{point}{fraction}").as_bytes());
    Moved::Done
}

/// Splits a number into its sign and the digits before and after the point.
fn parts(text: &str) -> Option<(&str, &str, &str)> {
    let (sign, unsigned) = match text.strip_prefix('-') {
        Some(unsigned) => ("-", unsigned),
        None => ("", text),
    };
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    let mut digits = whole.bytes().chain(fraction.bytes());
    let is_number = !whole.is_empty() && digits.all(|byte| byte.is_ascii_digit());
    is_number.then_some((sign, whole, fraction))
}

/// Moves a number by a distance, in the direction of `unit` if possible, and by at least 1. The result keeps the sign
/// and respects the limit.
fn moved_by(number: i128, distance: f64, unit: f64, max: Option<i128>) -> Option<i128> {
    // A cast of a float saturates.
    let distance = (distance.abs().round() as i128).clamp(1, i128::MAX / 4);
    let distance = if unit < 0.0 { -distance } else { distance };
    let is_valid =
        |moved: &i128| *moved != number && *moved > 0 && max.is_none_or(|max| *moved <= max);
    let choices = [number + distance, number - distance, number - 1, number + 1, 0];
    choices.into_iter().find(is_valid).or((number != 0).then_some(0))
}

fn shift_float(text: &str, bytes: u32, reach: Reach, unit: f64, out: &mut Vec<u8>) -> Moved {
    let Ok(number) = text.parse::<f64>() else { return Moved::NotANumber };
    if !number.is_finite() {
        return Moved::Stays;
    }
    let distance = match reach {
        Reach::Share(_) if number == 0.0 => return Moved::Stays,
        Reach::Share(share) => number.abs() * share * unit,
        Reach::Amount(amount) => amount * unit,
    };
    let (max, narrow) = match bytes {
        4 => (f64::from(f32::MAX), true),
        _ => (f64::MAX, false),
    };
    let round = |number: f64| if narrow { f64::from(number as f32) } else { number };
    let keeps_sign =
        |moved: f64| number == 0.0 || (moved != 0.0 && (moved < 0.0) == (number < 0.0));
    let neighbour = match narrow {
        true => f64::from((number as f32).next_up()),
        false => number.next_up(),
    };
    let choices = [number + distance, number - distance, neighbour, number * 2.0, number / 2.0];
    let moved = choices.into_iter().map(round).find(|moved| {
        moved.is_finite() && moved.abs() <= max && *moved != number && keeps_sign(*moved)
    });
    let Some(moved) = moved else { return Moved::Stays };
    let is_plain = (1e-5..1e15).contains(&moved.abs());
    let shown = match (narrow, is_plain) {
        (true, true) => format!("{}", moved as f32),
        (true, false) => format!("{:e}", moved as f32),
        (false, true) => format!("{moved}"),
        (false, false) => format!("{moved:e}"),
    };
    out.extend_from_slice(shown.as_bytes());
    Moved::Done
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn moved(text: &str, number: Number, reach: Reach, seed: u8) -> Result<String, Moved> {
        let mut out = Vec::new();
        match number.shift(text, reach, &mut Chooser::new(&[seed; 32]), &mut out) {
            Moved::Done => Ok(String::from_utf8(out).unwrap()),
            other => Err(other),
        }
    }

    #[test]
    fn nothing_but_zero_stays() {
        let decimal = Number::Decimal(None);
        assert_eq!(moved("0", decimal, Reach::Share(0.1), 1), Err(Moved::Stays));
        assert_eq!(moved("0.00", decimal, Reach::Share(0.1), 1), Err(Moved::Stays));
        assert_eq!(moved("NaN", decimal, Reach::Share(0.1), 1), Err(Moved::Stays));
        assert_eq!(moved("Infinity", Number::Float(8), Reach::Amount(1.0), 1), Err(Moved::Stays));
        assert_eq!(moved("0", Number::Float(8), Reach::Share(0.1), 1), Err(Moved::Stays));
        assert_eq!(moved("x", decimal, Reach::Share(0.1), 1), Err(Moved::NotANumber));
        assert_eq!(moved("", decimal, Reach::Share(0.1), 1), Err(Moved::NotANumber));
        assert_eq!(moved("-", decimal, Reach::Share(0.1), 1), Err(Moved::NotANumber));
        assert!(moved("0.00", decimal, Reach::Amount(5.0), 1).is_ok());
    }

    #[test]
    fn the_type_limits_the_result() {
        for seed in 0..100 {
            let small = moved("32767", Number::Integer(i16::MAX.into()), Reach::Share(1.0), seed);
            assert!(small.unwrap().parse::<i16>().unwrap() > 0);
            let one = moved("9", Number::Decimal(Some((1, 0))), Reach::Amount(50.0), seed);
            assert_eq!(one.unwrap().len(), 1);
            let price = moved("999.99", Number::Decimal(Some((5, 2))), Reach::Share(0.5), seed);
            let price = price.unwrap();
            assert!(price.parse::<f64>().unwrap() < 1_000.0, "{price}");
            let hundreds = moved("12300", Number::Decimal(Some((3, -2))), Reach::Share(0.5), seed);
            let hundreds = hundreds.unwrap();
            assert!(hundreds.ends_with("00") && hundreds != "12300", "{hundreds}");
            let float = moved("3.4e38", Number::Float(4), Reach::Share(1.0), seed).unwrap();
            assert!(float.parse::<f32>().unwrap().is_finite());
        }
    }

    #[test]
    fn a_long_number_keeps_its_tail() {
        let long = "1".repeat(50) + ".50";
        let result = moved(&long, Number::Decimal(None), Reach::Share(0.5), 3).unwrap();
        assert_eq!(result.len(), long.len());
        assert!(result.ends_with("11.50"));
        assert_ne!(result, long);
    }

    proptest! {
        #[test]
        fn decimals_keep_sign_and_scale(
            text in "-?[0-9]{1,12}\\.[0-9]{1,4}", share in 0.001..1.0_f64, seed: u8,
        ) {
            match moved(&text, Number::Decimal(None), Reach::Share(share), seed) {
                Ok(result) => {
                    let (before, after): (f64, f64) = (text.parse().unwrap(), result.parse().unwrap());
                    prop_assert_ne!(before, after);
                    prop_assert!(after == 0.0 || before.is_sign_negative() == after.is_sign_negative());
                    let scale = |text: &str| text.split_once('.').map(|(_, digits)| digits.len());
                    prop_assert_eq!(scale(&text), scale(&result));
                    let unit = 10_f64.powi(-(scale(&text).unwrap() as i32));
                    prop_assert!((before - after).abs() <= (before.abs() * share).max(unit) * 1.01 + unit);
                }
                Err(moved) => {
                    prop_assert_eq!(moved, Moved::Stays);
                    prop_assert_eq!(text.parse::<f64>().unwrap(), 0.0);
                }
            }
        }

        #[test]
        fn integers_are_moved_by_the_amount(number: i32, amount in 1_u16.., seed: u8) {
            let integer = Number::Integer(i32::MAX.into());
            let result = moved(&number.to_string(), integer, Reach::Amount(amount.into()), seed).unwrap();
            let result: i32 = result.parse().unwrap();
            prop_assert_ne!(result, number);
            prop_assert!((i64::from(result) - i64::from(number)).abs() <= i64::from(amount));
            prop_assert!(result == 0 || (result < 0) == (number < 0));
        }

        #[test]
        fn floats_are_moved(number: f64, share in 0.001..1.0_f64, seed: u8) {
            if number.is_finite() && number != 0.0 {
                let result = moved(&number.to_string(), Number::Float(8), Reach::Share(share), seed);
                let result: f64 = result.unwrap().parse().unwrap();
                prop_assert_ne!(result, number);
                prop_assert_eq!(result.is_sign_negative(), number.is_sign_negative());
            }
        }
    }
}
