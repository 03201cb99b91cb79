//! What one session has to do with direct paths: the attempt under way, those before, and when the next is due.
//!
//! Everything here is decided without a transport, so that both sides can be seen to decide alike.

use std::collections::VecDeque;
use std::time::Duration;

use zeroize::Zeroizing;

use crate::hub::session::event::PathId;
use crate::machine::Deadline;
use crate::machine::ids::LinkId;
use crate::machine::limits::Limits;
use crate::machine::time::Instant;
use crate::transport::upgrade::{PeerEnd, PeerState, Refusal};
use crate::wire::outlook::Outlook;

/// Direct paths have ids from here on; routes never get so far.
const FIRST_PATH: u8 = 128;
/// So many ids each side has for them, taken by turns: what is late names a path that has gone.
const PATHS: u32 = 64;
/// Over which attempts are counted.
const MINUTE: Duration = Duration::from_secs(60);

/// Direct paths of one session.
#[derive(Debug, Default)]
pub(in crate::hub) struct Direct {
    pub(super) attempt: Option<Attempt>,
    /// Attempts that this side has begun.
    begun: u32,
    /// The count of the other side's latest.
    seen: Option<u32>,
    /// When attempts were counted from, and how many there were.
    counted: (Instant, u32),
    /// Attempts that failed since the last that did not.
    failures: u32,
    /// When the next begins.
    pub(in crate::hub) retry: Option<Instant>,
    /// Whether another is wanted after the one under way, whatever comes of that.
    pub(super) again: bool,
    /// Whether nothing but news brings the next.
    pub(super) barred: bool,
    /// How the last ended.
    pub(in crate::hub) last: Option<PeerEnd>,
    /// What the other side knows of its ways out, and what it was told of ours.
    pub(in crate::hub) theirs: Option<Outlook>,
    pub(super) told: Option<Outlook>,
    /// Since when there is no direct path where there was one.
    pub(in crate::hub) lost: Option<Instant>,
    /// Signals that the session could not take yet, bounded by [`Limits::waiting_signals`]; with more the attempt fails.
    pub(super) waiting: VecDeque<Zeroizing<Vec<u8>>>,
}

/// One try to connect the two sides.
#[derive(Debug)]
pub(in crate::hub) struct Attempt {
    pub(in crate::hub) number: u32,
    /// Whether this side has begun it.
    pub(super) offers: bool,
    pub(in crate::hub) since: Instant,
    /// Until when it must be up.
    pub(super) until: Instant,
    pub(in crate::hub) state: PeerState,
    /// `bulk` and `quick`, once they are up.
    pub(super) links: Option<(LinkId, LinkId)>,
    /// When its path is to be replaced, if it is suspect then.
    pub(super) replace: Option<Instant>,
}

impl Attempt {
    pub(super) fn new(number: u32, offers: bool, since: Instant, limits: &Limits) -> Self {
        let until = since + limits.attempt_time;
        Self { number, offers, since, until, state: PeerState::New, links: None, replace: None }
    }

    /// The path that it may become.
    pub(super) const fn path(&self) -> PathId {
        PathId(self.number as u8)
    }

    pub(in crate::hub) const fn is_up(&self) -> bool {
        self.links.is_some()
    }
}

/// Whose turn the next attempt is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    At(Instant),
    /// Only news bring one, or the other side.
    Waits,
}

impl Direct {
    /// The attempt under way.
    pub(in crate::hub) const fn attempt(&self) -> Option<&Attempt> {
        self.attempt.as_ref()
    }

    /// Whether one more attempt may begin now, by either side; it is counted then. Else when.
    pub(super) fn count(&mut self, now: Instant, limits: &Limits) -> Result<(), Instant> {
        if now.since(self.counted.0) >= MINUTE {
            self.counted = (now, 0);
        }
        if self.counted.1 >= limits.attempts {
            return Err(self.counted.0 + MINUTE);
        }
        self.counted.1 += 1;
        Ok(())
    }

    /// Until when there are too many attempts.
    pub(in crate::hub) fn capped(&self, now: Instant, limits: &Limits) -> Option<Instant> {
        let until = self.counted.0 + MINUTE;
        (self.counted.1 >= limits.attempts && until > now).then_some(until)
    }

    /// The number of an attempt that this side begins: in its low byte the path, whose parity tells the side, above it
    /// a count.
    pub(super) const fn next_number(&mut self, initiator: bool) -> u32 {
        let path = FIRST_PATH as u32 + (self.begun % PATHS) * 2 + !initiator as u32;
        let number = self.begun << 8 | path;
        self.begun = (self.begun + 1) & 0xff_ffff;
        number
    }

    /// Whether an attempt that is offered is to be taken. None: it is one of the past, or none of theirs.
    pub(super) fn judge(&mut self, number: u32, initiator: bool) -> Option<Result<(), Refusal>> {
        let path = PathId(number as u8);
        let count = number >> 8;
        if path.0 < FIRST_PATH || path.is_initiators() == initiator || self.seen.is_some_and(|seen| count <= seen) {
            return None;
        }
        self.seen = Some(count);
        let both = self.attempt.as_ref().is_some_and(|attempt| attempt.offers && !attempt.is_up());
        Some(if both && initiator { Err(Refusal::Glare) } else { Ok(()) })
    }

    /// What follows from the end of an attempt. The session's initiator tries again: at once what was up, with pauses
    /// that double what never was; not at all where the other side will not have it.
    pub(super) fn ended(
        &mut self,
        now: Instant,
        end: &PeerEnd,
        was_up: bool,
        initiator: bool,
        limits: &Limits,
    ) -> Next {
        self.failures = if was_up { 0 } else { self.failures + 1 };
        let wanted = matches!(end, PeerEnd::Bye { .. } | PeerEnd::Closed);
        self.lost = if was_up { Some(now).filter(|_| !wanted) } else { self.lost };
        self.last = Some(end.clone());
        let refused = match end {
            PeerEnd::Rejected { code, .. } => Refusal::from_code(*code),
            _ => None,
        };
        match (refused, end) {
            _ if !initiator => Next::Waits,
            (Some(Refusal::NoUpgrade | Refusal::Policy), _) => Next::Waits,
            (_, PeerEnd::Bye { .. }) => Next::At(now + limits.attempt_pause),
            _ if was_up => Next::At(now),
            _ => Next::At(now + self.pause(limits)),
        }
    }

    fn pause(&self, limits: &Limits) -> Duration {
        let doublings = self.failures.saturating_sub(1).min(16);
        (limits.attempt_pause * (1 << doublings)).min(limits.attempt_pause_most)
    }

    /// A direct path is there.
    pub(super) fn succeeded(&mut self) {
        (self.lost, self.last, self.retry) = (None, None, None);
    }

    /// Something has changed: what failed before may not do so now.
    pub(super) const fn forgive(&mut self) {
        (self.failures, self.barred) = (0, false);
    }

    /// Whether the time for the next attempt has not come.
    pub(super) fn waits(&self, now: Instant) -> bool {
        self.barred || self.retry.is_some_and(|at| at > now)
    }

    pub(in crate::hub) fn deadline(&self) -> Option<Deadline> {
        let retry = self.retry.filter(|_| self.attempt.is_none());
        let retry = retry.map(|at| Deadline::new(at, "attempt at a direct path"));
        let attempt = self.attempt.as_ref().and_then(|attempt| match attempt.links {
            Some(_) => attempt.replace.map(|at| Deadline::new(at, "replacement of a suspect path")),
            None => Some(Deadline::new(attempt.until, "end of an attempt at a direct path")),
        });
        retry.into_iter().chain(attempt).min_by_key(|deadline| deadline.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Instant = Instant::from_nanos(1_000_000_000_000);

    fn with_attempt(initiator: bool) -> (Direct, u32) {
        let mut direct = Direct::default();
        let number = direct.next_number(initiator);
        direct.attempt = Some(Attempt::new(number, true, NOW, &Limits::default()));
        (direct, number)
    }

    #[test]
    fn of_two_attempts_that_cross_both_sides_keep_the_initiators() {
        let (mut one, of_one) = with_attempt(true);
        let (mut two, of_two) = with_attempt(false);
        assert_ne!(of_one as u8, of_two as u8);
        assert_eq!(one.judge(of_two, true), Some(Err(Refusal::Glare)));
        assert_eq!(two.judge(of_one, false), Some(Ok(())));
    }

    #[test]
    fn an_attempt_that_is_up_gives_way_to_a_new_one_of_the_other_side() {
        let (mut one, _) = with_attempt(true);
        let mut ids = crate::machine::ids::Ids::new();
        if let Some(attempt) = &mut one.attempt {
            attempt.links = Some((ids.link(), ids.link()));
        }
        let (_, of_two) = with_attempt(false);
        assert_eq!(one.judge(of_two, true), Some(Ok(())));
    }

    #[test]
    fn what_is_late_begins_nothing() {
        let mut one = Direct::default();
        let mut two = Direct::default();
        let numbers: Vec<_> = (0..300).map(|_| two.next_number(false)).collect();
        assert_eq!(one.judge(numbers[0], true), Some(Ok(())));
        assert_eq!(one.judge(numbers[299], true), Some(Ok(())));
        for late in &numbers {
            assert_eq!(one.judge(*late, true), None);
        }
        assert_eq!(two.judge(two.begun << 8 | 129, false), None, "one of its own");
        assert_eq!(two.judge(7 << 8 | 4, false), None, "an id of routes");
    }

    #[test]
    fn pauses_double_up_to_the_longest_and_begin_anew_after_success() {
        let limits = Limits::default();
        let mut direct = Direct::default();
        let mut pause = |was_up| match direct.ended(NOW, &PeerEnd::Failed, was_up, true, &limits) {
            Next::At(at) => (at - NOW).as_secs(),
            Next::Waits => panic!(),
        };
        let pauses: Vec<_> = (0..7).map(|_| pause(false)).collect();
        assert_eq!(pauses, [2, 4, 8, 16, 32, 60, 60]);
        assert_eq!((pause(true), pause(false)), (0, 2));
        assert_eq!(direct.ended(NOW, &PeerEnd::Failed, false, false, &limits), Next::Waits, "it is not its part");
    }

    #[test]
    fn attempts_are_counted_by_the_minute() {
        let limits = Limits::default();
        let mut direct = Direct::default();
        for _ in 0..limits.attempts {
            assert_eq!(direct.count(NOW, &limits), Ok(()));
        }
        assert_eq!(direct.count(NOW + MINUTE / 2, &limits), Err(NOW + MINUTE));
        assert_eq!(direct.capped(NOW + MINUTE / 2, &limits), Some(NOW + MINUTE));
        assert_eq!((direct.capped(NOW + MINUTE, &limits), direct.count(NOW + MINUTE, &limits)), (None, Ok(())));
    }
}
