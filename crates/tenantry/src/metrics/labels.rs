use std::collections::{HashMap, HashSet};

use crate::{pool::TenantPoolSnapshot, tenant::TenantId};

/// The tenants that have separate series, and their counts.
///
/// Acquires count in a tenant's series while it has one, and otherwise under `other`: so no counter
/// ever decreases, whichever tenants enter or leave the top K.
#[derive(Debug)]
pub(super) struct Labels {
    most: usize,
    series: HashMap<TenantId, Series>,
    /// Counts of series that are gone.
    gone: u64,
    other: u64,
}

#[derive(Debug, Clone, Copy)]
struct Series {
    /// The tenant pool's count when the series began.
    base: u64,
    /// Its count at the last update.
    last: u64,
}

/// Values of one series.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Figures {
    pub(super) idle: usize,
    pub(super) leased: usize,
    pub(super) waiting: usize,
    pub(super) acquires: u64,
}

/// The label of all tenants without a separate series. It cannot be a tenant id, because ids do not
/// begin with an underscore.
pub(super) const OTHER: &str = "_other";

impl Labels {
    pub(super) fn new(most: usize) -> Self {
        Self { most, series: HashMap::new(), gone: 0, other: 0 }
    }

    /// Updates the series and returns their values, `OTHER` last.
    ///
    /// `granted` is the number of acquires of all tenants so far.
    pub(super) fn update(
        &mut self,
        mut pools: Vec<TenantPoolSnapshot>,
        granted: u64,
    ) -> Vec<(String, Figures)> {
        let busiest = |of: &TenantPoolSnapshot| std::cmp::Reverse((of.acquires, of.waiting));
        if pools.len() > self.most && self.most > 0 {
            pools.select_nth_unstable_by_key(self.most - 1, busiest);
        }
        let rest = pools.split_off(self.most.min(pools.len()));
        self.drop_series(&pools);
        let mut all: Vec<_> =
            pools.iter().map(|of| (of.tenant.to_string(), self.figures(of))).collect();
        all.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        let in_series: u64 = all.iter().map(|(_, figures)| figures.acquires).sum();
        // Never decreases, even if an acquire was counted between two updates.
        self.other = self.other.max(granted.saturating_sub(in_series + self.gone));
        let mut others = Figures { acquires: self.other, ..Figures::default() };
        for of in rest {
            others.idle += of.idle;
            others.leased += of.total - of.idle;
            others.waiting += of.waiting;
        }
        all.push((OTHER.to_owned(), others));
        all
    }

    /// Ends the series of tenants that are not in `pools`, or whose tenant pool is a new one.
    fn drop_series(&mut self, pools: &[TenantPoolSnapshot]) {
        let stay: HashSet<_> = pools
            .iter()
            .filter(|of| {
                self.series.get(&of.tenant).is_some_and(|series| series.last <= of.acquires)
            })
            .map(|of| of.tenant.clone())
            .collect();
        let gone = &mut self.gone;
        self.series.retain(|tenant, series| {
            let stays = stay.contains(tenant);
            if !stays {
                *gone += series.last - series.base;
            }
            stays
        });
    }

    fn figures(&mut self, of: &TenantPoolSnapshot) -> Figures {
        let now = of.acquires;
        let begin = || Series { base: now, last: now };
        let series = self.series.entry(of.tenant.clone()).or_insert_with(begin);
        series.last = now;
        Figures {
            idle: of.idle,
            leased: of.total - of.idle,
            waiting: of.waiting,
            acquires: now - series.base,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn pool(name: &str, acquires: u64) -> TenantPoolSnapshot {
        TenantPoolSnapshot {
            tenant: TenantId::parse(name).unwrap(),
            schema: name.into(),
            total: 1,
            idle: 1,
            waiting: 0,
            acquires,
            cap: 1,
        }
    }

    #[test]
    fn names_the_busiest_and_sums_up_the_rest() {
        let mut labels = Labels::new(2);
        let pools = || vec![pool("a", 5), pool("b", 50), pool("c", 20), pool("d", 1)];
        let names = |all: &[(String, Figures)]| -> Vec<String> {
            all.iter().map(|(name, _)| name.clone()).collect()
        };
        let all = labels.update(pools(), 76);
        assert_eq!(names(&all), ["b", "c", OTHER]);
        assert_eq!(all[2].1, Figures { idle: 2, leased: 0, waiting: 0, acquires: 76 });
        // From here on b and c have separate series; b's pool is evicted.
        let all = labels.update(vec![pool("a", 5), pool("c", 30), pool("d", 1)], 86);
        assert_eq!(names(&all), ["a", "c", OTHER]);
        assert_eq!(all.iter().map(|(_, of)| of.acquires).collect::<Vec<_>>(), [0, 10, 76]);
        assert_eq!(labels.update(Vec::new(), 86).len(), 1, "series vanish with the pools");
    }

    proptest! {
        /// Whatever the tenants do, nothing is counted twice or lost, and no counter decreases.
        #[test]
        fn no_counter_goes_back(
            steps in prop::collection::vec(prop::collection::vec((0_usize..6, 0_u64..9, any::<bool>()), 0..6), 1..20),
            most in 0_usize..4,
        ) {
            let mut labels = Labels::new(most);
            let mut pools: BTreeMap<usize, u64> = BTreeMap::new();
            let (mut granted, mut before) = (0, BTreeMap::<String, u64>::new());
            for step in steps {
                for (tenant, acquires, forgotten) in step {
                    if forgotten {
                        pools.remove(&tenant);
                    }
                    *pools.entry(tenant).or_default() += acquires;
                    granted += acquires;
                }
                let now = pools.iter().map(|(tenant, acquires)| pool(&format!("t{tenant}"), *acquires));
                let all = labels.update(now.collect(), granted);
                prop_assert!(all.len() <= most + 1);
                let now: BTreeMap<_, _> =
                    all.into_iter().map(|(name, of)| (name, of.acquires)).collect();
                let sum: u64 = now.values().sum();
                prop_assert!(sum + labels.gone >= granted);
                prop_assert!(now[OTHER] >= before.get(OTHER).copied().unwrap_or_default());
                before = now;
            }
        }
    }
}
