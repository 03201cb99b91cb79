//! Sealing packets that may be lost, reordered or repeated.

use std::fmt;

use super::aead::Aead;

/// Bytes that sealing adds to a packet.
pub const TAG: usize = super::aead::TAG;

/// Packets under one key: 2 to this power. So one key seals at most 2^30 blocks of 16 KiB packets, far below what
/// GCM bears (NIST SP 800-38D, section 8.3).
const EPOCH_BITS: u32 = 20;

/// How far behind the newest packet one may come and still be opened.
const WINDOW: u64 = 1024;

/// Words of the window's ring: one more than a whole window fills, as it seldom begins where a word does.
const WORDS: usize = WINDOW as usize / 64 + 1;

/// Seals one direction's packets. Its counter starts at 0.
pub struct Sealer {
    key: Box<Aead>,
    next: u64,
}

impl Sealer {
    /// Seals with this key, which must be fresh: two sealers of one key would give away what they seal.
    pub fn new(key: &[u8; 32]) -> Self {
        Self { key: Box::new(Aead::new(key)), next: 0 }
    }

    /// The counter that the next packet will have; it is authenticated with the packet.
    pub const fn counter(&self) -> u64 {
        self.next
    }

    /// Encrypts `text` in place and authenticates it together with `aad`. Answers the packet's counter and its tag,
    /// which belongs behind the text.
    pub fn seal(&mut self, aad: &[u8], text: &mut [u8]) -> (u64, [u8; TAG]) {
        let counter = self.next;
        if counter != 0 && counter.trailing_zeros() >= EPOCH_BITS {
            *self.key = self.key.next();
        }
        self.next += 1;
        (counter, self.key.seal(counter, aad, text))
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealer").field("next", &self.next).finish_non_exhaustive()
    }
}

/// Opens one direction's packets, each at most once.
pub struct Opener(Box<State>);

/// Why a packet was not opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum OpenError {
    /// Shorter than a tag.
    #[error("a sealed packet is shorter than its tag")]
    Short,
    /// Not sealed by the peer under this counter with these additional data.
    #[error("a sealed packet is forged or damaged")]
    Forged,
    /// Its counter was opened before.
    #[error("a sealed packet came twice")]
    Replayed,
    /// More than 1,024 packets behind the newest.
    #[error("a sealed packet is too far behind the newest")]
    TooOld,
    /// More than one key ahead of the newest.
    #[error("a sealed packet is too far ahead of the newest")]
    TooNew,
}

impl Opener {
    /// Opens what the sealer of this key seals.
    pub fn new(key: &[u8; 32]) -> Self {
        Self(Box::new(State { key: Aead::new(key), previous: None, epoch: 0, window: Window::default() }))
    }

    /// Authenticates `sealed`, a text with its tag behind it, together with `aad` and `counter`, and decrypts the
    /// text in place. Answers its length. After an error the bytes are of no use.
    ///
    /// # Errors
    /// [`OpenError`]; it concerns this packet only.
    pub fn open(&mut self, counter: u64, aad: &[u8], sealed: &mut [u8]) -> Result<usize, OpenError> {
        if sealed.len() < TAG {
            return Err(OpenError::Short);
        }
        self.0.window.check(counter)?;
        let len = self.0.decrypt(counter, aad, sealed)?;
        self.0.window.mark(counter);
        Ok(len)
    }

    /// The same for a link that loses and reorders nothing: the counter is the one after the last.
    ///
    /// # Errors
    /// [`OpenError::Short`], [`OpenError::Forged`]. On such a link either means an attack, so the link is to be
    /// closed.
    pub fn open_next(&mut self, aad: &[u8], sealed: &mut [u8]) -> Result<usize, OpenError> {
        self.open(self.0.window.top, aad, sealed)
    }
}

impl fmt::Debug for Opener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opener").field("next", &self.0.window.top).finish_non_exhaustive()
    }
}

struct State {
    key: Aead,
    /// The key before, for what was overtaken by the first packet under the present one.
    previous: Option<Aead>,
    epoch: u64,
    window: Window,
}

impl State {
    fn decrypt(&mut self, counter: u64, aad: &[u8], sealed: &mut [u8]) -> Result<usize, OpenError> {
        let epoch = counter >> EPOCH_BITS;
        let opened = match epoch.checked_sub(self.epoch) {
            Some(0) => self.key.open(counter, aad, sealed),
            Some(1) => return self.decrypt_ahead(counter, aad, sealed),
            Some(_) => return Err(OpenError::TooNew),
            None => self.previous.as_ref().ok_or(OpenError::TooOld)?.open(counter, aad, sealed),
        };
        opened.ok_or(OpenError::Forged)
    }

    /// Moves on to the next key only if it fits the packet: a forged counter must not make us forget the present one.
    fn decrypt_ahead(&mut self, counter: u64, aad: &[u8], sealed: &mut [u8]) -> Result<usize, OpenError> {
        let next = self.key.next();
        let len = next.open(counter, aad, sealed).ok_or(OpenError::Forged)?;
        self.previous = Some(std::mem::replace(&mut self.key, next));
        self.epoch += 1;
        Ok(len)
    }
}

/// Which of the last 1,024 counters were opened: a ring of bits by counter (RFC 6479).
#[derive(Default)]
struct Window {
    /// One more than the highest opened; 0 before the first.
    top: u64,
    opened: [u64; WORDS],
}

impl Window {
    fn check(&self, counter: u64) -> Result<(), OpenError> {
        if counter >= self.top {
            return Ok(());
        }
        if self.top - counter > WINDOW {
            return Err(OpenError::TooOld);
        }
        let opened = self.opened[slot(counter / 64)] >> (counter % 64) & 1 == 1;
        if opened { Err(OpenError::Replayed) } else { Ok(()) }
    }

    fn mark(&mut self, counter: u64) {
        let word = counter / 64;
        if counter >= self.top {
            let fresh = if self.top == 0 { 0 } else { (self.top - 1) / 64 + 1 };
            for word in fresh.max(word.saturating_sub(WORDS as u64 - 1))..=word {
                self.opened[slot(word)] = 0;
            }
            self.top = counter + 1;
        }
        self.opened[slot(word)] |= 1 << (counter % 64);
    }
}

const fn slot(word: u64) -> usize {
    (word % WORDS as u64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::rng::Rng;
    use std::collections::BTreeSet;

    const KEY: [u8; 32] = [7; 32];
    const EPOCH: u64 = 1 << EPOCH_BITS;

    #[test]
    fn what_is_sealed_opens_once_in_any_order() {
        let (mut sealer, mut opener) = pair();
        let packets: Vec<_> = (0..5).map(|n| seal(&mut sealer, n)).collect();
        for n in [3, 0, 4, 1, 2] {
            assert_eq!(open(&mut opener, &packets[n]), Ok(vec![n as u8; n]));
            assert_eq!(open(&mut opener, &packets[n]), Err(OpenError::Replayed));
        }
    }

    #[test]
    fn a_packet_changed_anywhere_is_forged_and_the_true_one_still_opens() {
        let (mut sealer, mut opener) = pair();
        let (counter, sealed) = seal(&mut sealer, 40);
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert_eq!(open(&mut opener, &(counter, changed)), Err(OpenError::Forged));
        }
        assert_eq!(open(&mut opener, &(counter + 1, sealed.clone())), Err(OpenError::Forged));
        assert_eq!(opener.open(counter, b"other", &mut sealed.clone()), Err(OpenError::Forged));
        assert_eq!(open(&mut opener, &(counter, sealed[..TAG - 1].to_vec())), Err(OpenError::Short));
        assert_eq!(open(&mut opener, &(counter, sealed)), Ok(vec![40; 40]));
    }

    #[test]
    fn an_ordered_link_needs_no_counters() {
        let (mut sealer, mut opener) = pair();
        let (first, second) = (seal(&mut sealer, 1).1, seal(&mut sealer, 2).1);
        let mut open = |sealed: &[u8]| opener.open_next(b"aad", &mut sealed.to_vec());
        assert_eq!(open(&second), Err(OpenError::Forged));
        assert_eq!(open(&first), Ok(1));
        assert_eq!(open(&first), Err(OpenError::Forged));
        assert_eq!(open(&second), Ok(2));
    }

    #[test]
    fn the_window_agrees_with_a_set() {
        let mut rng = Rng::from_u64(1);
        let (mut window, mut opened, mut top) = (Window::default(), BTreeSet::new(), 0u64);
        for _ in 0..200_000 {
            let reach = if rng.chance(0.001) { 5000 } else { 30 };
            let counter = (top + rng.below(reach)).saturating_sub(rng.below(1200));
            let expected = match counter {
                counter if counter + WINDOW < top => Err(OpenError::TooOld),
                counter if opened.contains(&counter) => Err(OpenError::Replayed),
                _ => Ok(()),
            };
            assert_eq!(window.check(counter), expected, "counter {counter} of {top}");
            if expected.is_ok() {
                window.mark(counter);
                opened.insert(counter);
                top = top.max(counter + 1);
            }
        }
        assert!(opened.len() > 20_000 && top > 100_000, "{} opened, up to {top}", opened.len());
    }

    #[test]
    fn keys_change_and_packets_of_the_key_before_still_open() {
        let (mut sealer, mut opener) = pair();
        sealer.next = EPOCH - 2;
        let old = [seal(&mut sealer, 1), seal(&mut sealer, 2)];
        let new = [seal(&mut sealer, 3), seal(&mut sealer, 4)];
        assert_eq!(new[0].0, EPOCH);
        assert_eq!(open(&mut opener, &old[0]), Ok(vec![1; 1]));
        assert_eq!(open(&mut opener, &new[1]), Ok(vec![4; 4]));
        assert_eq!(open(&mut opener, &old[1]), Ok(vec![2; 2]));
        assert_eq!(open(&mut opener, &old[1]), Err(OpenError::Replayed));
        assert_eq!(open(&mut opener, &new[0]), Ok(vec![3; 3]));
    }

    #[test]
    fn a_forged_counter_ahead_changes_nothing() {
        let (mut sealer, mut opener) = pair();
        let (counter, sealed) = seal(&mut sealer, 9);
        assert_eq!(open(&mut opener, &(EPOCH, sealed.clone())), Err(OpenError::Forged));
        assert_eq!(open(&mut opener, &(2 * EPOCH, sealed.clone())), Err(OpenError::TooNew));
        assert_eq!(open(&mut opener, &(u64::MAX, sealed.clone())), Err(OpenError::TooNew));
        assert_eq!(open(&mut opener, &(counter, sealed)), Ok(vec![9; 9]));
    }

    #[test]
    fn sealing_and_opening_allocate_nothing() {
        let (mut sealer, mut opener) = pair();
        let mut packet = vec![0; 1000 + TAG];
        let counted = allocation_counter::measure(|| {
            for _ in 0..100 {
                let (text, room) = packet.split_at_mut(1000);
                let (counter, tag) = sealer.seal(b"aad", text);
                room.copy_from_slice(&tag);
                assert_eq!(opener.open(counter, b"aad", &mut packet), Ok(1000));
            }
        });
        assert_eq!(counted.count_total, 0);
    }

    fn pair() -> (Sealer, Opener) {
        (Sealer::new(&KEY), Opener::new(&KEY))
    }

    fn seal(sealer: &mut Sealer, len: usize) -> (u64, Vec<u8>) {
        let mut text = vec![len as u8; len];
        let (counter, tag) = sealer.seal(b"aad", &mut text);
        text.extend_from_slice(&tag);
        (counter, text)
    }

    fn open(opener: &mut Opener, (counter, sealed): &(u64, Vec<u8>)) -> Result<Vec<u8>, OpenError> {
        let mut bytes = sealed.clone();
        let len = opener.open(*counter, b"aad", &mut bytes)?;
        bytes.truncate(len);
        Ok(bytes)
    }
}
