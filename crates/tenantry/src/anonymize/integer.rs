//! A keyed bijection of integers.

use std::fmt;

use super::key::{Key, Purpose, word};

/// Rounds of the Feistel network. Four are enough in theory for large domains; small ones need more.
const ROUNDS: u64 = 8;

/// A keyed one-to-one mapping of integers in which only 0 is mapped to itself.
///
/// An integer keeps its sign, and still fits the smallest of PostgreSQL's types that can hold it: values of
/// `smallint` are mapped to values of `smallint`, and so on. That is why a `bigint` column and the `integer` column
/// that refers to it agree. 0 is mapped to 0: it means "none" in many schemas, and if another integer were mapped to
/// it, checks such as `id > 0` would fail.
#[derive(Clone)]
pub(super) struct IntegerMap {
    keys: (u64, u64),
}

impl fmt::Debug for IntegerMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IntegerMap(redacted)")
    }
}

/// The integers of one type that the next smaller type cannot hold.
#[derive(Debug, Clone, Copy)]
struct Domain {
    from: u64,
    end: u64,
    /// Half the number of bits of the network, which is the smallest even one that covers the domain.
    half: u32,
}

impl Domain {
    fn of(number: u64, first: u64) -> Self {
        match number {
            0..0x8000 => Self { from: first, end: 0x8000, half: 8 },
            0x8000..0x8000_0000 => Self { from: 0x8000, end: 0x8000_0000, half: 16 },
            _ => Self { from: 0x8000_0000, end: 1 << 63, half: 32 },
        }
    }

    fn contains(self, number: u64) -> bool {
        (self.from..self.end).contains(&number)
    }
}

impl IntegerMap {
    pub(super) fn new(key: &Key) -> Self {
        let digest = key.digest(Purpose::Subkey, &[b"integers"]);
        Self { keys: (word(&digest, 0), word(&digest, 1)) }
    }

    pub(super) fn map(&self, number: i64) -> i64 {
        match number {
            0 => 0,
            1.. => self.next(number.unsigned_abs(), 1) as i64,
            // The complement of a negative number is not negative, and has the same smallest type.
            _ => !(self.next((!number).unsigned_abs(), 0) as i64),
        }
    }

    /// Returns the successor of a number in the order that the network imposes on its domain: `P⁻¹(P(x) + 1)`. All
    /// numbers of the domain form one cycle, and none is its own successor.
    fn next(&self, number: u64, first: u64) -> u64 {
        let domain = Domain::of(number, first);
        let place = self.walk(number, domain, Self::encrypt);
        let place = if place + 1 == domain.end { domain.from } else { place + 1 };
        self.walk(place, domain, Self::decrypt)
    }

    /// Repeats a permutation until its result is in the domain. It terminates because the start is in the domain.
    fn walk(&self, number: u64, domain: Domain, step: fn(&Self, u64, u32) -> u64) -> u64 {
        let mut number = step(self, number, domain.half);
        while !domain.contains(number) {
            number = step(self, number, domain.half);
        }
        number
    }

    fn encrypt(&self, number: u64, half: u32) -> u64 {
        let mask = (1 << half) - 1;
        let (mut left, mut right) = (number >> half, number & mask);
        for round in 0..ROUNDS {
            (left, right) = (right, left ^ (self.round(round, right) & mask));
        }
        (left << half) | right
    }

    fn decrypt(&self, number: u64, half: u32) -> u64 {
        let mask = (1 << half) - 1;
        let (mut left, mut right) = (number >> half, number & mask);
        for round in (0..ROUNDS).rev() {
            (left, right) = (right ^ (self.round(round, left) & mask), left);
        }
        (left << half) | right
    }

    /// SipHash-2-4 of a round's number and half of the block.
    fn round(&self, round: u64, half: u64) -> u64 {
        let (key0, key1) = self.keys;
        let mut state = [
            key0 ^ 0x736f_6d65_7073_6575,
            key1 ^ 0x646f_7261_6e64_6f6d,
            key0 ^ 0x6c79_6765_6e65_7261,
            key1 ^ 0x7465_6462_7974_6573,
        ];
        // The second word is the last one of the message, with its length of eight bytes.
        for word in [half | (round << 32), 8 << 56] {
            state[3] ^= word;
            sip_round(&mut state);
            sip_round(&mut state);
            state[0] ^= word;
        }
        state[2] ^= 0xff;
        for _ in 0..4 {
            sip_round(&mut state);
        }
        state[0] ^ state[1] ^ state[2] ^ state[3]
    }
}

fn sip_round([v0, v1, v2, v3]: &mut [u64; 4]) {
    *v0 = v0.wrapping_add(*v1);
    *v1 = v1.rotate_left(13) ^ *v0;
    *v0 = v0.rotate_left(32);
    *v2 = v2.wrapping_add(*v3);
    *v3 = v3.rotate_left(16) ^ *v2;
    *v0 = v0.wrapping_add(*v3);
    *v3 = v3.rotate_left(21) ^ *v0;
    *v2 = v2.wrapping_add(*v1);
    *v1 = v1.rotate_left(17) ^ *v2;
    *v2 = v2.rotate_left(32);
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    fn map() -> IntegerMap {
        IntegerMap::new(&Key::from_bytes([9; 32]).unwrap())
    }

    #[test]
    fn the_smallest_type_is_mapped_one_to_one() {
        let map = map();
        let images: HashSet<_> = (i16::MIN..=i16::MAX)
            .map(|number| {
                let image = map.map(number.into());
                assert_eq!(image == i64::from(number), number == 0, "{number}");
                assert_eq!(image < 0, number < 0, "{number}");
                i16::try_from(image).expect("it fits smallint")
            })
            .collect();
        assert_eq!(images.len(), 1 << 16);
    }

    #[test]
    fn the_round_is_siphash() {
        // The reference vector for the message 00 01 … 07 under the key 00 01 … 0f.
        let map = IntegerMap { keys: (0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908) };
        let expected = 0x93f5_f579_9a93_2462;
        assert_eq!(map.round(0x0706_0504, 0x0302_0100), expected);
    }

    proptest! {
        #[test]
        fn types_are_kept_and_nothing_but_zero_stays(number: i64) {
            let image = map().map(number);
            prop_assert_eq!(number == 0, image == number);
            prop_assert_eq!(i32::try_from(number).is_ok(), i32::try_from(image).is_ok());
            prop_assert_eq!(i16::try_from(number).is_ok(), i16::try_from(image).is_ok());
            prop_assert_eq!(number.signum(), image.signum());
        }

        #[test]
        fn neighbours_stay_apart(number in 1_i64..i64::MAX) {
            prop_assert_ne!(map().map(number), map().map(number - 1));
        }

        #[test]
        fn the_network_can_be_undone(number: u32) {
            let map = map();
            for half in [16, 32] {
                let there = map.encrypt(number.into(), half);
                prop_assert_eq!(map.decrypt(there, half), u64::from(number));
            }
        }

        #[test]
        fn another_key_gives_another_map(number in 1_i64 << 40..i64::MAX) {
            let other = IntegerMap::new(&Key::from_bytes([8; 32]).unwrap());
            prop_assert_ne!(map().map(number), other.map(number));
        }
    }
}
