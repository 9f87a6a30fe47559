/// The distribution of requests over tenants.
#[derive(Debug, Clone)]
pub(crate) enum Popularity {
    /// Always the first.
    One,
    /// Any of this many, with equal probability.
    Uniform(usize),
    /// Few of them often, most of them rarely.
    Zipf(Zipf),
}

impl Popularity {
    pub(crate) fn pick(&self, random: &mut fastrand::Rng) -> usize {
        match self {
            Self::One => 0,
            Self::Uniform(tenants) => random.usize(..tenants),
            Self::Zipf(zipf) => zipf.pick(random),
        }
    }
}

/// Zipf's law: the probability of the `k`-th tenant is proportional to `1 / k^exponent`.
#[derive(Debug, Clone)]
pub(crate) struct Zipf {
    /// The chance of a tenant or one before it.
    cumulated: Vec<f64>,
}

impl Zipf {
    pub(crate) fn new(tenants: usize, exponent: f64) -> Self {
        let mut sum = 0.0;
        let mut cumulated: Vec<f64> = (1..=tenants)
            .map(|rank| {
                sum += (rank as f64).powf(-exponent);
                sum
            })
            .collect();
        for chance in &mut cumulated {
            *chance /= sum;
        }
        Self { cumulated }
    }

    fn pick(&self, random: &mut fastrand::Rng) -> usize {
        let chance = random.f64();
        let index = self.cumulated.partition_point(|&sum| sum <= chance);
        index.min(self.cumulated.len() - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zipf_gives_each_tenant_its_share() {
        let (tenants, draws) = (1_000, 200_000);
        let zipf = Zipf::new(tenants, 1.1);
        let mut random = fastrand::Rng::with_seed(1);
        let mut counts = vec![0_u32; tenants];
        for _ in 0..draws {
            counts[zipf.pick(&mut random)] += 1;
        }
        let total: f64 = (1..=tenants).map(|rank| (rank as f64).powf(-1.1)).sum();
        for rank in [1, 2, 10] {
            let expected = f64::from(draws) * (rank as f64).powf(-1.1) / total;
            let found = f64::from(counts[rank - 1]);
            assert!(
                (found - expected).abs() < expected * 0.1,
                "rank {rank}: {found} instead of {expected}"
            );
        }
    }

    #[test]
    fn uniform_reaches_everybody() {
        let mut random = fastrand::Rng::with_seed(1);
        let mut seen = [false; 8];
        for _ in 0..1_000 {
            seen[Popularity::Uniform(8).pick(&mut random)] = true;
        }
        assert_eq!(seen, [true; 8]);
    }
}
