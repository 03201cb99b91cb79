//! What chance makes of a conversation, and what must hold of it all the same: of associations, and of whole peers.

use std::time::Duration;

use crate::machine::campaign;
use crate::machine::rng::Rng;

/// How packets fare.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Link {
    pub(crate) delay: Duration,
    pub(crate) jitter: Duration,
    pub(crate) loss: f64,
    pub(crate) duplication: f64,
}

impl Link {
    pub(crate) const GOOD: Self =
        Self { delay: Duration::from_millis(10), jitter: Duration::ZERO, loss: 0.0, duplication: 0.0 };

    /// With up to 30 % of loss.
    pub(crate) fn by_chance(rng: &mut Rng) -> Self {
        Self {
            delay: Duration::from_millis(1 + rng.below(50)),
            jitter: Duration::from_millis(rng.below(60)),
            loss: rng.below(31) as f64 / 100.0,
            duplication: rng.below(20) as f64 / 100.0,
        }
    }
}

/// Those of a test: ten times as many in a campaign.
pub(crate) fn seeds(few: u64) -> std::ops::Range<u64> {
    0..if campaign::is_full() { 10 * few } else { few }
}

/// A message tells its number, and its length and bytes follow from that and a seed.
pub(crate) fn message(seed: u64, channel: u16, number: u32, most: u64) -> Vec<u8> {
    let mut rng = Rng::from_u64(seed ^ u64::from(channel) << 32 ^ u64::from(number) << 48);
    let len = if rng.chance(0.5) { rng.below(60) } else { rng.below(most) };
    let mut bytes = vec![0; len as usize + 4];
    rng.fill(&mut bytes);
    bytes[..4].copy_from_slice(&number.to_be_bytes());
    bytes
}

/// What a channel promises, and how many messages it was given.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Promise {
    pub(crate) is_ordered: bool,
    pub(crate) is_reliable: bool,
    pub(crate) sent: u32,
}

impl Promise {
    /// How many came on a channel, all of them as they may: as they were, none twice, in order, and all.
    pub(crate) fn check<'a>(
        &self,
        came: impl Iterator<Item = &'a [u8]>,
        message: impl Fn(u32) -> Vec<u8>,
        context: &str,
    ) -> usize {
        let mut numbers = Vec::new();
        for bytes in came {
            let number = u32::from_be_bytes(bytes[..4].try_into().unwrap());
            assert_eq!(bytes, message(number), "{context}");
            numbers.push(number);
        }
        let mut sorted = numbers.clone();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(sorted.len(), numbers.len(), "{context}: one came twice");
        assert!(!self.is_ordered || sorted == numbers, "{context}: out of order");
        assert!(sorted.last().is_none_or(|last| *last < self.sent), "{context}");
        assert!(!self.is_reliable || sorted.len() == self.sent as usize, "{context}: one is missing");
        numbers.len()
    }
}

/// What the seeds produced, by tenths of loss: seeds, reliable messages, others that were sent, and those that came.
#[derive(Debug, Default)]
pub(crate) struct Histogram([[usize; 4]; 4]);

impl Histogram {
    /// Counts a seed.
    pub(crate) fn add(&mut self, loss: f64) {
        self.row(loss)[0] += 1;
    }

    /// Counts the messages of a channel.
    pub(crate) fn add_channel(&mut self, loss: f64, promise: &Promise, came: usize) {
        let row = self.row(loss);
        if promise.is_reliable {
            row[1] += came;
        } else {
            (row[2], row[3]) = (row[2] + promise.sent as usize, row[3] + came);
        }
    }

    pub(crate) fn print(&self) {
        for (tenth, [seeds, reliable, sent, came]) in self.0.iter().enumerate() {
            println!("loss from {tenth}0 %: {seeds} seeds, {reliable} reliable messages, of {sent} others {came} came");
        }
    }

    /// Where little is lost, at least half of what may get lost comes: to drop it all would keep every other promise.
    pub(crate) fn assert_useful(&self) {
        let [_, _, sent, came] = self.0[0];
        assert!(2 * came >= sent, "of {sent} others only {came} came");
    }

    fn row(&mut self, loss: f64) -> &mut [usize; 4] {
        &mut self.0[(loss * 10.0) as usize]
    }
}
