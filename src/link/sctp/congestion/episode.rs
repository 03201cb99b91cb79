//! One reduction of the window: which losses belong to it, and whether they were losses at all.

/// The latest reduction.
#[derive(Debug, Clone, Default)]
pub(super) struct Episode {
    recover: u64,
    lost: u32,
    spurious: u32,
    is_certain: bool,
}

impl Episode {
    /// Begins with a loss; `next` is the first packet that is sent after the reaction.
    pub(super) const fn begin(&mut self, next: u64) {
        *self = Self { recover: next, lost: 1, spurious: 0, is_certain: false };
    }

    /// Begins by what can't prove wrong: a timeout.
    pub(super) const fn begin_certain(&mut self, next: u64) {
        *self = Self { recover: next, lost: 0, spurious: 0, is_certain: true };
    }

    /// Whether a packet was sent before the reaction, so that its loss asks for no other.
    pub(super) const fn covers(&self, number: u64) -> bool {
        number < self.recover
    }

    /// Counts another loss that it covers.
    pub(super) const fn add(&mut self) {
        self.lost = self.lost.saturating_add(1);
    }

    /// Counts a loss that was none. True: with it, all of them were none; said once.
    pub(super) const fn take_back(&mut self, number: u64) -> bool {
        if !self.covers(number) || self.is_certain {
            return false;
        }
        self.spurious = self.spurious.saturating_add(1);
        self.spurious == self.lost
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reduction_is_taken_back_when_all_its_losses_were_none() {
        let mut episode = Episode::default();
        assert!(!episode.covers(0));
        episode.begin(10);
        episode.add();
        assert!(episode.covers(9) && !episode.covers(10));
        assert!(!episode.take_back(4));
        assert!(!episode.take_back(10));
        assert!(episode.take_back(5));
        assert!(!episode.take_back(5));
    }

    #[test]
    fn a_timeout_is_not_taken_back() {
        let mut episode = Episode::default();
        episode.begin_certain(10);
        assert!(!episode.take_back(4));
    }
}
