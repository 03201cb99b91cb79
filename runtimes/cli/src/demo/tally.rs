//! The messages of the demonstration, which can be told apart and checked, and the count of those that came.

use switchboard::machine::payload::Kind;

/// Messages that each client sends.
pub(super) const COUNT: u64 = 2000;

/// The message of one sender with one number: its size and content follow from both, one in four is text.
pub(super) fn payload(sender: char, number: u64) -> (Kind, Vec<u8>) {
    let mut bytes = format!("{sender} {number:08} ").into_bytes();
    bytes.resize(size(number), b'a' + (number % 26) as u8);
    (if number.is_multiple_of(4) { Kind::Text } else { Kind::Binary }, bytes)
}

const fn size(number: u64) -> usize {
    match number {
        number if number % 1000 == 999 => 1024 * 1024,
        number if number % 100 == 50 => 64 * 1024,
        number => [16, 60, 250, 1_000, 4_000, 16_000][(number % 6) as usize],
    }
}

/// What has come from one sender, or from both.
#[derive(Debug, Clone)]
pub(super) struct Tally {
    sender: char,
    seen: Vec<bool>,
    highest: Option<u64>,
    pub(super) received: u64,
    pub(super) lost: u64,
    pub(super) repeated: u64,
    pub(super) out_of_order: u64,
    pub(super) bytes: u64,
}

impl Tally {
    /// Nothing yet: all is lost.
    pub(super) fn of(sender: char) -> Self {
        let seen = vec![false; COUNT as usize];
        Self { sender, seen, highest: None, received: 0, lost: COUNT, repeated: 0, out_of_order: 0, bytes: 0 }
    }

    /// Counts one message; one that is not exactly as it was sent is passed over, and so stays lost.
    pub(super) fn count(&mut self, kind: Kind, bytes: &[u8]) {
        let Some(number) = number(bytes).filter(|number| payload(self.sender, *number) == (kind, bytes.to_vec()))
        else {
            return;
        };
        self.received += 1;
        self.bytes += bytes.len() as u64;
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

    /// Whether the last message has come.
    pub(super) fn is_complete(&self) -> bool {
        self.highest == Some(COUNT - 1)
    }

    /// Whether each message has come once and in order.
    pub(super) const fn is_perfect(&self) -> bool {
        self.lost == 0 && self.repeated == 0 && self.out_of_order == 0
    }

    /// The counts of both directions.
    pub(super) fn and(&self, other: &Self) -> Self {
        Self {
            received: self.received + other.received,
            lost: self.lost + other.lost,
            repeated: self.repeated + other.repeated,
            out_of_order: self.out_of_order + other.out_of_order,
            bytes: self.bytes + other.bytes,
            ..self.clone()
        }
    }
}

fn number(bytes: &[u8]) -> Option<u64> {
    let digits = str::from_utf8(bytes.get(2..10)?).ok()?;
    digits.parse().ok().filter(|number| *number < COUNT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_messages_in_order_are_perfect() {
        let tally = counted(0..COUNT);
        assert!(tally.is_complete() && tally.is_perfect());
        assert_eq!(tally.received, COUNT);
    }

    #[test]
    fn a_missing_a_repeated_and_a_late_message_are_told_apart() {
        assert_eq!(counts(&counted((0..COUNT).filter(|number| *number != 7))), (1, 0, 0));
        assert_eq!(counts(&counted((0..COUNT).chain([7]))), (0, 1, 0));
        assert_eq!(counts(&counted((0..COUNT).filter(|number| *number != 7).chain([7]))), (0, 0, 1));
    }

    #[test]
    fn a_damaged_message_and_one_of_another_sender_stay_lost() {
        let mut tally = Tally::of('a');
        let (kind, mut bytes) = payload('a', 1);
        tally.count(Kind::Text, &bytes);
        bytes[12] ^= 1;
        tally.count(kind, &bytes);
        tally.count(kind, &payload('b', 1).1);
        tally.count(kind, b"x");
        assert_eq!((tally.received, tally.lost), (0, COUNT));
    }

    fn counted(numbers: impl Iterator<Item = u64>) -> Tally {
        let mut tally = Tally::of('a');
        for (kind, bytes) in numbers.map(|number| payload('a', number)) {
            tally.count(kind, &bytes);
        }
        tally
    }

    fn counts(tally: &Tally) -> (u64, u64, u64) {
        (tally.lost, tally.repeated, tally.out_of_order)
    }
}
