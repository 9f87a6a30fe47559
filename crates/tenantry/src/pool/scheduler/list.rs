/// The links of doubly linked lists of small integers.
///
/// Any number of [`List`]s share one `Links`, and every integer is in at most one of them. All
/// operations take constant time, and none allocates once an integer has been seen.
#[derive(Debug, Default)]
pub(super) struct Links(Vec<Link>);

#[derive(Debug, Clone, Copy, Default)]
struct Link {
    previous: Option<u32>,
    next: Option<u32>,
    linked: bool,
}

/// The two ends of a list; its links are in a [`Links`].
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct List {
    front: Option<u32>,
    back: Option<u32>,
    len: usize,
}

impl List {
    pub(super) fn front(&self) -> Option<usize> {
        self.front.map(|index| index as usize)
    }

    pub(super) fn back(&self) -> Option<usize> {
        self.back.map(|index| index as usize)
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn iter(&self, links: &Links) -> impl Iterator<Item = usize> {
        let next = |index: &u32| links.0[*index as usize].next;
        std::iter::successors(self.front, next).map(|index| index as usize)
    }
}

impl Links {
    pub(super) fn push_back(&mut self, list: &mut List, index: usize) {
        if self.0.len() <= index {
            self.0.resize(index + 1, Link::default());
        }
        debug_assert!(!self.0[index].linked, "{index} is in a list already");
        let id = narrow(index);
        self.0[index] = Link { previous: list.back, next: None, linked: true };
        match list.back {
            Some(back) => self.0[back as usize].next = Some(id),
            None => list.front = Some(id),
        }
        list.back = Some(id);
        list.len += 1;
    }

    pub(super) fn remove(&mut self, list: &mut List, index: usize) {
        let link = std::mem::take(&mut self.0[index]);
        debug_assert!(link.linked, "{index} is in no list");
        match link.previous {
            Some(previous) => self.0[previous as usize].next = link.next,
            None => list.front = link.next,
        }
        match link.next {
            Some(next) => self.0[next as usize].previous = link.previous,
            None => list.back = link.previous,
        }
        list.len -= 1;
    }
}

fn narrow(index: usize) -> u32 {
    u32::try_from(index).expect("there are fewer connections and tenant pools than 2^32")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_order_whatever_is_removed() {
        let (mut links, mut list) = (Links::default(), List::default());
        for index in 0..5 {
            links.push_back(&mut list, index);
        }
        for index in [2, 0, 4] {
            links.remove(&mut list, index);
        }
        links.push_back(&mut list, 0);
        assert_eq!((list.front(), list.back(), list.len()), (Some(1), Some(0), 3));
        for expected in [1, 3, 0] {
            assert_eq!(list.front(), Some(expected));
            links.remove(&mut list, expected);
        }
        assert_eq!((list.front(), list.back(), list.len()), (None, None, 0));
    }
}
