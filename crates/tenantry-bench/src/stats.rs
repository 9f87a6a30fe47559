//! Figures of several runs.

/// Returns the median: for an even number of figures, the mean of the middle two.
pub(crate) fn median(figures: impl IntoIterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = figures.into_iter().collect();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => f64::NAN,
        odd if odd % 2 == 1 => sorted[middle],
        _ => f64::midpoint(sorted[middle - 1], sorted[middle]),
    }
}

/// Returns the figure below which this part of all figures is.
pub(crate) fn percentile(figures: impl IntoIterator<Item = f64>, part: f64) -> f64 {
    let mut figures: Vec<_> = figures.into_iter().collect();
    figures.sort_by(f64::total_cmp);
    let last = figures.len().saturating_sub(1);
    let index = (last as f64 * part).ceil() as usize;
    figures.get(index.min(last)).copied().unwrap_or(f64::NAN)
}

/// Returns the median of the ratios within each round.
///
/// Runs of one round are within seconds of each other, so a machine that slows down from round to round affects both
/// figures of a ratio. The ratio of two medians could combine different rounds.
pub(crate) fn ratio(
    ours: impl IntoIterator<Item = f64>,
    theirs: impl IntoIterator<Item = f64>,
) -> f64 {
    median(ours.into_iter().zip(theirs).map(|(a, b)| a / b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_middle() {
        assert_eq!(median([3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median([4.0, 1.0, 2.0, 3.0]), 2.5);
        assert!(median([]).is_nan());
    }

    #[test]
    fn the_percentile_is_the_highest_of_few() {
        let figures = || (1..=100).map(f64::from);
        assert_eq!([percentile(figures(), 0.99), percentile(figures(), 0.5)], [100.0, 51.0]);
        assert_eq!(percentile([3.0], 0.99), 3.0);
        assert!(percentile([], 0.5).is_nan());
    }

    #[test]
    fn compares_within_a_round() {
        // The machine got ten times slower after the first round.
        assert_eq!(ratio([100.0, 10.0, 10.0], [50.0, 5.0, 5.0]), 2.0);
    }
}
