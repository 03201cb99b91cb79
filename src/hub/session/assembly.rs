//! Puts messages together from their fragments.
//!
//! A fragment that continues what lies at the *head*, the message begun first, is appended to it; so a large message
//! whose fragments arrive in order is copied once and grows as it arrives. Fragments beyond a gap wait one by one, in
//! *segments* of neighbours, until the gap closes or their own message is complete: messages that overtake each other
//! on an unordered channel need that. Merging segments moves numbers, never bytes, so no order of arrival makes it
//! slow.

use std::collections::BTreeMap;

use super::event::Misbehaved;

/// The incomplete messages of one channel.
#[derive(Debug, Default)]
pub(super) struct Assembly {
    head: Option<Box<Partial>>,
    pieces: BTreeMap<u64, Piece>,
    /// By their first number.
    segments: BTreeMap<u64, Segment>,
    /// In head and pieces.
    bytes: usize,
}

#[derive(Debug)]
struct Partial {
    next: u64,
    runs: u32,
    bytes: Vec<u8>,
}

#[derive(Debug)]
struct Piece {
    bytes: Vec<u8>,
    end: bool,
}

/// Neighbouring fragments of one message.
#[derive(Debug, Clone, Copy)]
struct Segment {
    /// One more than its last number.
    next: u64,
    begin: bool,
    end: bool,
    bytes: usize,
}

/// A fragment as it came.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fragment<'a> {
    pub(super) number: u64,
    pub(super) begin: bool,
    pub(super) end: bool,
    pub(super) body: &'a [u8],
}

/// A message and of how many runs it was made.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Whole {
    pub(super) message: Vec<u8>,
    pub(super) runs: u32,
}

impl Assembly {
    /// Bytes held.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Runs that they came in.
    pub(super) fn runs(&self) -> u64 {
        self.pieces.len() as u64 + self.head.as_ref().map_or(0, |head| u64::from(head.runs))
    }

    /// Whether the message at the head waits for its continuation.
    pub(super) const fn has_head(&self) -> bool {
        self.head.is_some()
    }

    /// Takes a fragment in; answers the message that it completes. At most one, as what lies beyond the end of a
    /// message is another's.
    pub(super) fn add(&mut self, fragment: Fragment<'_>, limit: usize) -> Result<Option<Whole>, Misbehaved> {
        self.bytes += fragment.body.len();
        match &self.head {
            Some(head) if head.next == fragment.number => self.append(fragment, limit),
            None if fragment.begin => {
                let head = Partial { next: fragment.number, runs: 0, bytes: Vec::new() };
                self.head = Some(Box::new(head));
                self.append(Fragment { begin: false, ..fragment }, limit)
            }
            _ => self.set_aside(fragment, limit),
        }
    }

    /// Forgets the message at the head: its continuation will not come.
    pub(super) fn break_off(&mut self) {
        self.bytes -= self.head.take().map_or(0, |head| head.bytes.len());
    }

    /// Forgets every message of which a run below `floor` is missing.
    pub(super) fn forget_below(&mut self, floor: u64) {
        if self.head.as_ref().is_some_and(|head| head.next < floor) {
            self.break_off();
        }
        let dead = |start: u64, segment: &Segment| (!segment.begin && start <= floor) || segment.next < floor;
        let below: Vec<_> = self.segments.range(..=floor).filter(|(start, segment)| dead(**start, segment)).collect();
        let below: Vec<_> = below.into_iter().map(|(start, _)| *start).collect();
        for start in below {
            let Some(segment) = self.segments.remove(&start) else { continue };
            for number in start..segment.next {
                self.bytes -= self.pieces.remove(&number).map_or(0, |piece| piece.bytes.len());
            }
        }
    }

    fn append(&mut self, fragment: Fragment<'_>, limit: usize) -> Result<Option<Whole>, Misbehaved> {
        let Some(head) = &mut self.head else { return Ok(None) };
        if fragment.begin {
            return Err(Misbehaved::FragmentOutOfPlace);
        }
        head.bytes.extend_from_slice(fragment.body);
        head.next += 1;
        head.runs += 1;
        let mut end = fragment.end;
        if let Some(segment) = self.segments.get(&head.next).copied().filter(|segment| !end && !segment.begin) {
            self.segments.remove(&head.next);
            for number in head.next..segment.next {
                let Some(piece) = self.pieces.remove(&number) else { continue };
                head.bytes.extend_from_slice(&piece.bytes);
                head.runs += 1;
            }
            head.next = segment.next;
            end = segment.end;
        }
        if head.bytes.len() > limit {
            return Err(Misbehaved::MessageTooLarge);
        }
        Ok(if end { self.finish() } else { None })
    }

    fn finish(&mut self) -> Option<Whole> {
        let head = self.head.take()?;
        self.bytes -= head.bytes.len();
        Some(Whole { message: head.bytes, runs: head.runs })
    }

    fn set_aside(&mut self, fragment: Fragment<'_>, limit: usize) -> Result<Option<Whole>, Misbehaved> {
        let Fragment { number, begin, end, body } = fragment;
        self.pieces.insert(number, Piece { bytes: body.to_vec(), end });
        let mut start = number;
        let mut merged = Segment { next: number + 1, begin, end, bytes: body.len() };
        if let Some((first, before)) = self.segments.range(..number).next_back()
            && before.next == number
            && !before.end
            && !begin
        {
            start = *first;
            merged = Segment { begin: before.begin, bytes: before.bytes + merged.bytes, ..merged };
        }
        if let Some(after) = self.segments.get(&(number + 1)).filter(|after| !end && !after.begin).copied() {
            self.segments.remove(&(number + 1));
            merged = Segment { next: after.next, end: after.end, bytes: merged.bytes + after.bytes, ..merged };
        }
        if merged.bytes > limit {
            return Err(Misbehaved::MessageTooLarge);
        }
        if !(merged.begin && merged.end) {
            self.segments.insert(start, merged);
            return Ok(None);
        }
        self.segments.remove(&start);
        Ok(Some(self.join(start, merged)))
    }

    fn join(&mut self, start: u64, segment: Segment) -> Whole {
        let mut message = Vec::with_capacity(segment.bytes);
        for number in start..segment.next {
            let Some(piece) = self.pieces.remove(&number) else { continue };
            debug_assert_eq!(piece.end, number + 1 == segment.next);
            message.extend_from_slice(&piece.bytes);
        }
        self.bytes -= message.len();
        Whole { message, runs: (segment.next - start) as u32 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::rng::Rng;

    /// Messages of `sizes` fragments each, two bytes a fragment: message and place.
    fn fragments(sizes: &[u8]) -> Vec<(u64, bool, bool, [u8; 2])> {
        let places =
            sizes.iter().enumerate().flat_map(|(message, size)| (0..*size).map(move |at| (message, at, *size)));
        places.enumerate().map(|(n, (m, at, size))| (n as u64, at == 0, at + 1 == size, [m as u8, at])).collect()
    }

    fn add(assembly: &mut Assembly, (number, begin, end, body): &(u64, bool, bool, [u8; 2])) -> Option<Vec<u8>> {
        let fragment = Fragment { number: *number, begin: *begin, end: *end, body };
        assembly.add(fragment, 1000).unwrap().map(|whole| whole.message)
    }

    fn message(n: u8, size: u8) -> Vec<u8> {
        (0..size).flat_map(|at| [n, at]).collect()
    }

    #[test]
    fn every_order_of_arrival_gives_every_message_once() {
        let mut rng = Rng::from_u64(3);
        for round in 0..500 {
            let sizes: Vec<u8> = (0..=rng.below(5)).map(|_| 1 + rng.below(6) as u8).collect();
            let mut fragments = fragments(&sizes);
            for at in (1..fragments.len()).rev() {
                fragments.swap(at, rng.below(at as u64 + 1) as usize);
            }
            let mut assembly = Assembly::default();
            let mut messages: Vec<_> = fragments.iter().filter_map(|one| add(&mut assembly, one)).collect();
            messages.sort();
            let expected: Vec<_> = sizes.iter().enumerate().map(|(n, size)| message(n as u8, *size)).collect();
            assert_eq!(messages, expected, "round {round}: {sizes:?}");
            assert_eq!(assembly.bytes(), 0);
            assert!(assembly.pieces.is_empty() && assembly.segments.is_empty() && !assembly.has_head());
        }
    }

    #[test]
    fn what_can_not_become_whole_is_forgotten() {
        let mut rng = Rng::from_u64(4);
        for round in 0..500 {
            let sizes = [3, 1, 4, 2];
            let mut assembly = Assembly::default();
            let all = fragments(&sizes);
            let mut kept = all.clone();
            kept.retain(|_| rng.chance(0.7));
            kept.iter().for_each(|one| {
                add(&mut assembly, one);
            });
            assembly.forget_below(all.len() as u64);
            assert_eq!(assembly.bytes(), 0, "round {round}: {kept:?}");
            assert!(assembly.pieces.is_empty() && assembly.segments.is_empty());
        }
    }

    #[test]
    fn what_may_still_become_whole_is_kept() {
        let mut assembly = Assembly::default();
        let all = fragments(&[2, 3]);
        add(&mut assembly, &all[0]);
        add(&mut assembly, &all[2]);
        add(&mut assembly, &all[3]);
        assembly.forget_below(2);
        assert_eq!(assembly.bytes(), 4, "the message of runs 2 to 4 waits for run 4");
        assert_eq!(add(&mut assembly, &all[4]), Some(message(1, 3)));
    }

    #[test]
    fn a_message_beyond_the_limit_is_a_broken_rule_in_any_order() {
        for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0]] {
            let mut assembly = Assembly::default();
            let all = fragments(&[3]);
            let results = order.map(|n: usize| {
                let (number, begin, end, body) = all[n];
                assembly.add(Fragment { number, begin, end, body: &body }, 5)
            });
            assert!(results.contains(&Err(Misbehaved::MessageTooLarge)), "{order:?}: {results:?}");
        }
    }

    #[test]
    fn a_message_that_begins_inside_another_is_a_broken_rule() {
        let mut assembly = Assembly::default();
        let fragment = |number| Fragment { number, begin: true, end: false, body: b"x" };
        assert_eq!(assembly.add(fragment(0), 10), Ok(None));
        assert_eq!(assembly.add(fragment(1), 10), Err(Misbehaved::FragmentOutOfPlace));
    }
}
