//! Prometheus histograms.

use super::Exposition;

/// A Prometheus histogram: cumulative counts of observations up to each bound.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Histogram {
    /// Bounds with their counts, in ascending order; the last is infinite.
    buckets: Vec<(f64, f64)>,
}

impl Histogram {
    pub(super) fn read(metrics: &Exposition, name: &str) -> Self {
        let mut buckets: Vec<(f64, f64)> = Vec::new();
        for sample in metrics.named(name) {
            let bound = sample.label("le").and_then(|bound| bound.parse::<f64>().ok());
            let Some(bound) = bound.filter(|bound| !bound.is_nan()) else { continue };
            match buckets.iter_mut().find(|(known, _)| *known == bound) {
                Some((_, count)) => *count += sample.value,
                None => buckets.push((bound, sample.value)),
            }
        }
        buckets.sort_by(|(one, _), (other, _)| one.total_cmp(other));
        Self { buckets }
    }

    /// Returns the number of observations.
    #[must_use]
    pub fn count(&self) -> f64 {
        self.buckets.last().map_or(0.0, |(_, count)| *count)
    }

    /// Returns the quantile `part`, from 0 to 1; `None` without observations. It is interpolated
    /// between two bounds, like Prometheus' `histogram_quantile`; above the last finite bound it is
    /// that bound.
    #[must_use]
    pub fn quantile(&self, part: f64) -> Option<f64> {
        let rank = part.clamp(0.0, 1.0) * self.count();
        if rank.is_nan() || self.count() <= 0.0 {
            return None;
        }
        let (mut below, mut lower) = (0.0, 0.0);
        for &(bound, count) in &self.buckets {
            if count >= rank {
                if bound.is_infinite() {
                    return Some(lower);
                }
                let inside = count - below;
                let step = if inside > 0.0 { (rank - below) / inside } else { 1.0 };
                return Some(lower + (bound - lower) * step);
            }
            (below, lower) = (count, bound);
        }
        Some(lower)
    }

    /// Returns the observations since an earlier histogram. After a restart, it counts from zero.
    pub(super) fn since(&self, before: &Self) -> Self {
        let bounds = |of: &Self| of.buckets.iter().map(|(bound, _)| *bound).collect::<Vec<_>>();
        if self.count() < before.count() || bounds(self) != bounds(before) {
            return self.clone();
        }
        let both = self.buckets.iter().zip(&before.buckets);
        let more = both.map(|((bound, now), (_, then))| (*bound, (now - then).max(0.0)));
        Self { buckets: more.collect() }
    }
}
