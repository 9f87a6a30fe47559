//! What one beat grants a process, given the rows of all processes.
//!
//! Every process gets its floor. What is left is lent by max-min: everyone gets what it wants, or
//! the same as all others that want more. Floors for processes that may still come are set aside,
//! and never lent.

use crate::pool::door;

/// What a process says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Claim {
    /// The budget of all processes, as this one is configured.
    pub(crate) budget: usize,
    /// The connections without which it cannot serve.
    pub(crate) floor: usize,
    /// Number of processes for which floors are set aside, this one included.
    pub(crate) processes: usize,
    /// The connections that it could use.
    pub(crate) wanted: usize,
    /// The most connections that it can have before it hears the answer.
    pub(crate) holds: usize,
}

/// Another process, as it is known here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Other {
    /// The budget of all processes, as that one is configured.
    pub(crate) budget: usize,
    pub(crate) floor: usize,
    pub(crate) wanted: usize,
    /// The most connections that it can have.
    pub(crate) holds: usize,
    /// `false` once its lease has expired: it holds what it holds, and wants nothing.
    pub(crate) lives: bool,
    /// `true` if its name comes before that of the process that asks. All processes use the same
    /// order, so that their shares add up.
    pub(crate) precedes: bool,
}

/// The answer of a beat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Grant {
    /// The connections that are counted for the process from now on.
    pub(crate) counted: usize,
    /// Its share. It gives up what it has beyond.
    pub(crate) share: usize,
    /// `false` if the floors of all processes exceed the budget, so that none will come free before
    /// a process ends.
    pub(crate) fits: bool,
}

impl Grant {
    /// Returns the grant of a process that must not get more than it has, because processes that
    /// are not in the table may have the rest.
    pub(crate) fn without_growth(self, me: &Claim) -> Self {
        match me.holds >= me.floor {
            true => Self { counted: me.holds, ..self },
            false => Self { counted: 0, share: me.floor, fits: true },
        }
    }

    /// Returns how many connections the process may have.
    pub(crate) fn most(self) -> usize {
        self.counted.min(self.share)
    }
}

impl Other {
    /// Returns `true` if it has been granted its floor.
    fn is_in(&self) -> bool {
        self.holds >= self.floor
    }

    /// Returns what it wants beyond its floor.
    fn extra(&self) -> usize {
        if self.lives && self.is_in() { self.wanted.saturating_sub(self.floor) } else { 0 }
    }
}

/// Computes what a process gets.
pub(crate) fn allocate(me: &Claim, others: &[Other]) -> Grant {
    let budget = others.iter().filter(|of| of.lives).map(|of| of.budget);
    let budget = budget.fold(me.budget, usize::min);
    let usable = budget.saturating_sub(door(budget));
    let held: usize = others.iter().map(|of| of.holds).sum();
    let free = usable.saturating_sub(held);

    let is_in = me.holds >= me.floor;
    let mut room = usable;
    // First those that hold connections, then those that wait for their floor, in order.
    for of in others {
        let keeps = if of.lives && of.is_in() { of.floor } else { of.holds };
        room = room.saturating_sub(keeps);
    }
    // What is protected of others beyond what they hold: floors that they wait for.
    let mut promised = 0;
    let mut fits = is_in;
    if is_in {
        room = room.saturating_sub(me.floor);
    }
    let mut promise = |room: &mut usize, of: &Other| {
        let lacks = of.floor.saturating_sub(of.holds);
        if of.lives && lacks > 0 && lacks <= *room {
            *room -= lacks;
            promised += lacks;
        }
    };
    others.iter().filter(|of| of.precedes).for_each(|of| promise(&mut room, of));
    if !is_in && me.floor <= room {
        room -= me.floor;
        fits = true;
    }
    others.iter().filter(|of| !of.precedes).for_each(|of| promise(&mut room, of));

    let aside = me.floor * me.processes.saturating_sub(others.len() + 1);
    let lent = room.saturating_sub(aside);
    let share = me.floor + loan(me, others, lent);
    if !is_in && free < me.floor {
        // While it waits for its floor, it keeps the connection on which it asks, if there is room for it. Those for which
        // there is no floor must not keep the last ones from the next that waits.
        let counted = if fits { free.min(1) } else { 0 };
        return Grant { counted, share: me.floor, fits };
    }
    let available = free.saturating_sub(promised + aside).max(me.floor);
    Grant { counted: share.min(available).max(me.holds), share, fits: true }
}

/// Returns the part of the loans that one process gets: what it wants beyond its floor, up to a
/// level that is the same for all.
fn loan(me: &Claim, others: &[Other], lent: usize) -> usize {
    let extra = me.wanted.saturating_sub(me.floor);
    let taken = |level: usize| {
        others.iter().map(|of| of.extra().min(level)).sum::<usize>() + extra.min(level)
    };
    // The highest level at which all loans fit.
    let (mut level, mut above) = (0, lent + 1);
    while above - level > 1 {
        let middle = level + (above - level) / 2;
        if taken(middle) <= lent { level = middle } else { above = middle }
    }
    if extra <= level {
        return extra;
    }
    // The rest goes to the first who want more than the level, one each.
    let rest = lent - taken(level);
    let before = others.iter().filter(|of| of.precedes && of.extra() > level).count();
    level + usize::from(before < rest)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ME: Claim = Claim { budget: 101, floor: 2, processes: 4, wanted: 2, holds: 2 };

    fn other(wanted: usize, holds: usize) -> Other {
        Other { budget: 101, floor: 2, wanted, holds, lives: true, precedes: true }
    }

    #[test]
    fn one_alone_gets_all_that_is_lent() {
        // Of 101, 3 are for asking, and 6 for three processes that may come.
        let alone = Claim { wanted: 500, ..ME };
        assert_eq!(allocate(&alone, &[]), Grant { counted: 92, share: 92, fits: true });
        assert_eq!(allocate(&Claim { wanted: 30, ..ME }, &[]).most(), 30);
        assert_eq!(allocate(&Claim { wanted: 0, ..ME }, &[]).most(), 2);
    }

    #[test]
    fn a_process_that_wants_little_gets_it_and_the_others_share_the_rest() {
        let me = Claim { wanted: 90, processes: 0, ..ME };
        let others = [other(90, 2), other(8, 2)];
        // 98, of which 8 go to the small one.
        assert_eq!(allocate(&me, &others).share, 45);
    }

    #[test]
    fn nothing_is_granted_that_another_holds() {
        let me = Claim { wanted: 90, processes: 0, ..ME };
        let grant = allocate(&me, &[other(90, 80)]);
        assert_eq!((grant.counted, grant.share), (18, 49));
        // The other one is asked to give, and counted for what it has until it has given it.
        let giver = Claim { wanted: 90, holds: 80, processes: 0, ..ME };
        let grant = allocate(&giver, &[Other { precedes: false, ..other(90, 18) }]);
        assert_eq!((grant.counted, grant.share, grant.most()), (80, 49, 49));
    }

    #[test]
    fn a_newcomer_gets_its_floor_from_what_was_set_aside() {
        let newcomer = Claim { holds: 1, ..ME };
        let grant = allocate(&newcomer, &[other(500, 92)]);
        assert_eq!((grant.most(), grant.fits), (2, true));
    }

    #[test]
    fn a_newcomer_beyond_those_waits_until_others_have_given() {
        let newcomer = Claim { holds: 1, ..ME };
        let grant = allocate(&newcomer, &[other(500, 98)]);
        assert_eq!((grant.counted, grant.share, grant.fits), (0, 2, true));
        let giver = Claim { wanted: 500, holds: 98, processes: 0, ..ME };
        let grant = allocate(&giver, &[other(2, 0)]);
        assert_eq!(grant.share, 96);
    }

    #[test]
    fn the_floor_that_another_waits_for_is_not_lent() {
        let me = Claim { wanted: 90, processes: 0, ..ME };
        let grant = allocate(&me, &[other(90, 94), other(2, 0)]);
        assert_eq!((grant.counted, grant.share), (2, 48));
        let grant = allocate(&me, &[other(90, 94)]);
        assert_eq!((grant.counted, grant.share), (4, 49));
    }

    #[test]
    fn without_a_floor_left_a_process_is_told_so() {
        let newcomer = Claim { holds: 1, budget: 8, ..ME };
        let others = [other(9, 2), other(9, 2), other(9, 3)];
        let grant = allocate(&newcomer, &others);
        assert_eq!((grant.counted, grant.fits), (0, false));
    }

    #[test]
    fn the_smallest_budget_counts() {
        let me = Claim { wanted: 90, processes: 0, ..ME };
        let others = [Other { budget: 21, ..other(2, 2) }];
        assert_eq!(allocate(&me, &others).most(), 18);
        let dead = [Other { budget: 21, lives: false, ..other(2, 2) }];
        assert_eq!(allocate(&me, &dead).most(), 90);
    }

    fn any_other() -> impl Strategy<Value = Other> {
        (1..4_usize, 0..60_usize, 0..30_usize, any::<bool>(), any::<bool>()).prop_map(
            |(floor, wanted, holds, lives, precedes)| Other {
                budget: 1_000,
                floor,
                wanted,
                holds,
                lives,
                precedes,
            },
        )
    }

    proptest! {
        #[test]
        fn no_grant_exceeds_the_budget(
            budget in 4..200_usize,
            floor in 1..4_usize,
            processes in 0..20_usize,
            wanted in 0..200_usize,
            holds in 0..40_usize,
            others in proptest::collection::vec(any_other(), 0..20),
        ) {
            let me = Claim { budget, floor, processes, wanted, holds };
            let grant = allocate(&me, &others);
            let held: usize = others.iter().map(|of| of.holds).sum();
            let usable = budget - door(budget).min(budget);
            // It is never counted for less than it has, nor for more than is free.
            let is_in = holds >= floor;
            prop_assert!(!is_in || grant.counted >= holds);
            prop_assert!(
                (is_in && grant.counted == holds) || grant.counted + held <= usable || grant.counted == 0,
                "{grant:?}, {held} of {usable}"
            );
            prop_assert!(!is_in || grant.most() >= floor);
        }

        #[test]
        fn the_shares_of_all_add_up_to_what_is_lent(
            wanted in proptest::collection::vec(0..60_usize, 1..12),
            budget in 50..300_usize,
        ) {
            let shares: Vec<_> = (0..wanted.len()).map(|at| {
                let others: Vec<_> = wanted.iter().enumerate().filter(|(index, _)| *index != at)
                    .map(|(index, wanted)| Other {
                        budget, precedes: index < at, ..other(*wanted, 2)
                    })
                    .collect();
                let me = Claim { budget, floor: 2, processes: 0, wanted: wanted[at], holds: 2 };
                allocate(&me, &others).share
            }).collect();
            let usable = budget - door(budget);
            let all: usize = wanted.iter().map(|wanted| (*wanted).max(2)).sum();
            prop_assert_eq!(shares.iter().sum::<usize>(), all.min(usable), "{:?}", shares);
            // One that gets less than it wants gets as much as any other, but for the rest.
            let most = shares.iter().max().copied().unwrap_or_default();
            for (share, wanted) in shares.iter().zip(&wanted) {
                prop_assert!(share >= wanted || share + 1 >= most);
            }
        }
    }
}
