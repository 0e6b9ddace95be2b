//! Whose turn it is. Invariant: slots that are free go to shops in turn, one each, and the next deal begins behind the shop that
//! was last given one; no shop has more than its share, whatever the others leave. Pure.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;

/// How many slots there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// For what has begun just now.
    pub at_work: usize,
    /// In all, with what has been waiting for somebody else's answer for a while: waiting costs nothing.
    pub in_all: usize,
    /// For one shop.
    pub per_shop: usize,
}

/// Who has slots now, and where the next deal begins.
#[derive(Debug)]
pub struct Turns<S> {
    room: Room,
    held: HashMap<S, usize>,
    last: Option<S>,
}

impl<S: Copy + Ord + Hash> Turns<S> {
    /// Nobody has any.
    pub fn new(room: Room) -> Self {
        Self { room, held: HashMap::new(), last: None }
    }

    /// How many are free; `waiting` of those that are held wait for somebody else's answer.
    pub fn free(&self, waiting: usize) -> usize {
        let held: usize = self.held.values().sum();
        let at_work = self.room.at_work.saturating_sub(held.saturating_sub(waiting));
        at_work.min(self.room.in_all.saturating_sub(held))
    }

    /// Deals `free` slots out to shops that want some; says how many each may take. Only [`Turns::take`] gives them.
    pub fn deal(&mut self, mut free: usize, wanting: &[(S, usize)]) -> Vec<(S, usize)> {
        let left = |shop: &S| self.room.per_shop.saturating_sub(self.held.get(shop).copied().unwrap_or(0));
        let mut wants: BTreeMap<S, usize> =
            wanting.iter().map(|(shop, want)| (*shop, left(shop).min(*want))).collect();
        wants.retain(|_, want| *want > 0);
        let mut order: Vec<S> = wants.keys().copied().collect();
        let behind = order.partition_point(|shop| self.last.is_some_and(|last| *shop <= last));
        order.rotate_left(behind);
        let mut given: BTreeMap<S, usize> = BTreeMap::new();
        while free > 0 && !wants.is_empty() {
            for shop in &order {
                let Some(want) = wants.get_mut(shop).filter(|_| free > 0) else { continue };
                *want = want.saturating_sub(1);
                if *want == 0 {
                    wants.remove(shop);
                }
                let slots = given.entry(*shop).or_default();
                *slots = slots.saturating_add(1);
                free = free.saturating_sub(1);
                self.last = Some(*shop);
            }
        }
        given.into_iter().collect()
    }

    /// A shop has one more.
    pub fn take(&mut self, shop: S) {
        let held = self.held.entry(shop).or_default();
        *held = held.saturating_add(1);
    }

    /// A shop gives one back.
    pub fn give_back(&mut self, shop: S) {
        if let Some(held) = self.held.get_mut(&shop) {
            *held = held.saturating_sub(1);
            if *held == 0 {
                self.held.remove(&shop);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ROOM: Room = Room { at_work: 8, in_all: 20, per_shop: 3 };

    #[test]
    fn slots_go_round_and_the_next_deal_begins_behind_the_last() {
        let mut turns = Turns::new(Room { per_shop: 9, ..ROOM });
        let all = [('a', 9), ('b', 9), ('c', 9), ('d', 1)];
        assert_eq!(turns.deal(2, &all), [('a', 1), ('b', 1)]);
        assert_eq!(turns.deal(3, &all), [('a', 1), ('c', 1), ('d', 1)]);
        assert_eq!(turns.deal(8, &all), [('a', 2), ('b', 3), ('c', 2), ('d', 1)]);
        assert_eq!(turns.deal(1, &all), [('c', 1)], "behind b, which had the last one");
    }

    #[test]
    fn a_shop_has_no_more_than_its_share_though_slots_stay_free() {
        let mut turns = Turns::new(ROOM);
        for (shop, slots) in turns.deal(8, &[('a', usize::MAX)]) {
            assert_eq!((shop, slots), ('a', 3));
            (0..slots).for_each(|_| turns.take(shop));
        }
        assert_eq!(turns.deal(5, &[('a', 100)]), []);
        assert_eq!(turns.deal(5, &[('a', 100), ('b', 1)]), [('b', 1)]);
        turns.give_back('a');
        assert_eq!(turns.deal(5, &[('a', 100)]), [('a', 1)]);
    }

    #[test]
    fn what_waits_for_another_s_answer_leaves_room_for_what_works() {
        let mut turns = Turns::new(ROOM);
        for shop in 'a'..='f' {
            (0..3).for_each(|_| turns.take(shop));
        }
        assert_eq!((turns.free(0), turns.free(10), turns.free(18)), (0, 0, 2), "18 of 20 are held");
        turns.give_back('a');
        turns.give_back('b');
        assert_eq!((turns.free(8), turns.free(9), turns.free(16)), (0, 1, 4));
    }

    proptest! {
        /// However much the others want: after one round of slots everybody had one.
        #[test]
        fn nobody_is_passed_over(
            wants in proptest::collection::btree_map(0_u8..40, 1_usize..30, 1..40),
            free in 1_usize..20, deals in 1_usize..12,
        ) {
            let mut turns = Turns::new(Room { at_work: 20, in_all: 20, per_shop: 5 });
            let wanting: Vec<(u8, usize)> = wants.into_iter().collect();
            let mut had: BTreeMap<u8, usize> = BTreeMap::new();
            for _ in 0..deals {
                let given = turns.deal(free, &wanting);
                prop_assert!(given.iter().map(|(_, slots)| slots).sum::<usize>() <= free);
                for (shop, slots) in given {
                    prop_assert!(slots <= 5);
                    *had.entry(shop).or_default() += slots;
                }
            }
            prop_assert!(had.len() >= wanting.len().min(deals * free), "{had:?} of {wanting:?}");
        }
    }
}
