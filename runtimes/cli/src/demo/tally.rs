//! The messages of the demonstration, which can be told apart and checked, and the count of those that came.

use std::time::{Duration, Instant};

/// Messages that are sent.
pub(super) const COUNT: u64 = 3_000;

/// What is so near to a change belongs to it.
const NEAR: Duration = Duration::from_millis(50);

/// The message with one number: its size and content follow from the number.
pub(super) fn payload(number: u64) -> Vec<u8> {
    let mut bytes = format!("{number:08} ").into_bytes();
    bytes.resize(size(number), b'a' + (number % 26) as u8);
    bytes
}

const fn size(number: u64) -> usize {
    match number {
        number if number % 500 == 499 => 256 * 1024,
        number => [16, 60, 250, 1_000, 4_000, 16_000][(number % 6) as usize],
    }
}

/// What has come.
#[derive(Debug, Clone)]
pub(super) struct Tally {
    seen: Vec<bool>,
    highest: Option<u64>,
    /// When each came.
    arrivals: Vec<Instant>,
    pub(super) received: u64,
    pub(super) lost: u64,
    pub(super) repeated: u64,
    pub(super) out_of_order: u64,
    /// The longest time from one message to the next.
    pub(super) stall: Duration,
}

impl Tally {
    /// Nothing yet: all is lost.
    pub(super) fn new() -> Self {
        Self {
            seen: vec![false; COUNT as usize],
            highest: None,
            arrivals: Vec::new(),
            received: 0,
            lost: COUNT,
            repeated: 0,
            out_of_order: 0,
            stall: Duration::ZERO,
        }
    }

    /// Counts one message; one that is not exactly as it was sent is passed over, and so stays lost.
    pub(super) fn count(&mut self, now: Instant, bytes: &[u8]) {
        let Some(number) = number(bytes).filter(|number| payload(*number) == bytes) else { return };
        self.received += 1;
        self.stall = self.stall.max(self.arrivals.last().map_or(Duration::ZERO, |last| now - *last));
        self.arrivals.push(now);
        if std::mem::replace(&mut self.seen[number as usize], true) {
            self.repeated += 1;
            return;
        }
        self.lost -= 1;
        if self.highest > Some(number) {
            self.out_of_order += 1;
        }
        self.highest = self.highest.max(Some(number));
    }

    /// The longest time from one message to the next, around one moment.
    pub(super) fn stall_at(&self, moment: Instant) -> Duration {
        let around = self.arrivals.windows(2).filter(|pair| pair[0] <= moment + NEAR && pair[1] + NEAR >= moment);
        around.map(|pair| pair[1] - pair[0]).max().unwrap_or_default()
    }

    /// Whether each message has come.
    pub(super) const fn is_complete(&self) -> bool {
        self.lost == 0
    }

    /// Whether each message has come once and in order.
    pub(super) const fn is_perfect(&self) -> bool {
        self.lost == 0 && self.repeated == 0 && self.out_of_order == 0
    }
}

fn number(bytes: &[u8]) -> Option<u64> {
    let digits = str::from_utf8(bytes.get(..8)?).ok()?;
    digits.parse().ok().filter(|number| *number < COUNT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_messages_in_order_are_perfect() {
        let tally = counted(0..COUNT);
        assert!(tally.is_complete() && tally.is_perfect());
        assert_eq!((tally.received, tally.stall), (COUNT, Duration::from_millis(1)));
    }

    #[test]
    fn a_missing_a_repeated_and_a_late_message_are_told_apart() {
        assert_eq!(counts(&counted((0..COUNT).filter(|number| *number != 7))), (1, 0, 0));
        assert_eq!(counts(&counted((0..COUNT).chain([7]))), (0, 1, 0));
        assert_eq!(counts(&counted((0..COUNT).filter(|number| *number != 7).chain([7]))), (0, 0, 1));
    }

    #[test]
    fn a_damaged_message_stays_lost() {
        let (mut tally, now) = (Tally::new(), Instant::now());
        let mut bytes = payload(1);
        bytes[12] ^= 1;
        tally.count(now, &bytes);
        tally.count(now, b"x");
        assert_eq!((tally.received, tally.lost), (0, COUNT));
    }

    #[test]
    fn the_longest_pause_is_the_stall() {
        let (mut tally, start) = (Tally::new(), Instant::now());
        for (number, at) in [(0, 5), (1, 6), (2, 306), (3, 400)] {
            tally.count(start + Duration::from_millis(at), &payload(number));
        }
        assert_eq!(tally.stall, Duration::from_millis(300));
        let around = |at| tally.stall_at(start + Duration::from_millis(at)).as_millis();
        assert_eq!((around(100), around(355), around(380)), (300, 300, 94));
    }

    fn counted(numbers: impl Iterator<Item = u64>) -> Tally {
        let (mut tally, mut now) = (Tally::new(), Instant::now());
        for number in numbers {
            now += Duration::from_millis(1);
            tally.count(now, &payload(number));
        }
        tally
    }

    fn counts(tally: &Tally) -> (u64, u64, u64) {
        (tally.lost, tally.repeated, tally.out_of_order)
    }
}
