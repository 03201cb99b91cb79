//! Which records have been opened: each number counts once (RFC 6347, section 4.1.2.6; RFC 9147, section 4.5.1).

/// How many numbers below the highest are told apart; older ones count as seen.
const WIDTH: u64 = 128;

/// The numbers seen under one key.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Window {
    /// The highest number seen, plus one.
    next: u64,
    /// Bit `n`: the number `next - 1 - n` was seen.
    seen: u128,
}

impl Window {
    /// The number that comes next if nothing is lost or reordered.
    pub(super) const fn next(&self) -> u64 {
        self.next
    }

    /// Whether `number` was not seen and is not too old.
    #[inline]
    pub(super) const fn is_new(&self, number: u64) -> bool {
        if number >= self.next {
            return true;
        }
        let age = self.next - 1 - number;
        age < WIDTH && self.seen & (1 << age) == 0
    }

    /// Marks the number of an authentic record that [is new](Self::is_new).
    #[inline]
    pub(super) const fn mark(&mut self, number: u64) {
        if number < self.next {
            self.seen |= 1 << (self.next - 1 - number);
            return;
        }
        let ahead = number - self.next + 1;
        self.seen = if ahead < WIDTH { self.seen << ahead | 1 } else { 1 };
        self.next = number + 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    use crate::machine::rng::Rng;

    #[test]
    fn a_number_counts_once_in_whatever_order_numbers_come() {
        let mut rng = Rng::from_u64(1);
        let (mut window, mut model) = (Window::default(), BTreeSet::new());
        for step in 0..20_000 {
            let number = (step / 2 + rng.below(300)).saturating_sub(rng.below(300));
            let highest = model.last().copied().unwrap_or(0);
            let is_new = !model.contains(&number) && number + WIDTH > highest;
            assert_eq!(window.is_new(number), is_new, "number {number} after {highest}");
            if is_new {
                window.mark(number);
                model.insert(number);
            }
        }
        assert_eq!(Some(&(window.next() - 1)), model.last());
    }

    #[test]
    fn a_jump_forgets_what_lies_too_far_behind() {
        let mut window = Window::default();
        window.mark(0);
        window.mark(1_000);
        assert!(!window.is_new(0) && !window.is_new(872) && window.is_new(873) && !window.is_new(1_000));
        window.mark(1_000 + 128);
        assert!(!window.is_new(1_000) && window.is_new(1_001));
    }
}
