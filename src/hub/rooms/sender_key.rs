//! Sealing broadcasts: one chain of keys per sender, and a signature.
//!
//! *Chain.* Broadcast `n` is sealed by AES-256-GCM under a key that is a hash of the chain's key at `n`; that at
//! `n + 1` is another hash of it. Each key seals once. Whoever has the chain's key at `n` can open `n` and what
//! follows, and nothing before.
//!
//! *Generations.* A fresh chain has a fresh number, drawn at random at first. The numbers of broadcasts go on through
//! all chains of a sender, so that one strictly increasing number keeps replays out and counts losses. They begin at
//! the time in nanoseconds, so that a process that leaves a room and comes back never repeats one.
//!
//! *Signature.* Every member could seal in any other's name, since it has the key. So each broadcast is signed with
//! its sender's Ed25519 key, over label, room, sender, generation, number and ciphertext; all but the ciphertext is
//! authenticated by the seal too. The signature is checked first: nobody but a member can make us do more.

use std::collections::VecDeque;

use zeroize::Zeroizing;

use super::Dropped;
use super::secret::{self, RoomSecret};
use crate::link::noise::{self, Identity};
use crate::machine::limits::Limits;
use crate::machine::rng::Rng;
use crate::machine::time::Instant;
use crate::wire::identity::Address;
use crate::wire::room::{Envelope, RoomHash};
use crate::wire::signal::{ChainKey, SenderKey};

/// How many broadcasts of one sender in a row may be lost. One that comes after more is dropped, and the sender asked
/// for its key anew: otherwise a member could make us hash for ever by a large number.
pub const MAX_SKIP: u64 = 4096;

/// A chain at one broadcast.
#[derive(Debug, Clone)]
struct Chain {
    generation: u32,
    sequence: u64,
    key: ChainKey,
}

impl Chain {
    /// The key of this broadcast.
    fn message_key(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(secret::hash("switchboard room message key 1", &[&*self.key.0]))
    }

    /// Goes on to the next broadcast.
    fn advance(&mut self) {
        let next = secret::hash("switchboard room chain 1", &[&*self.key.0]);
        self.key = ChainKey(Zeroizing::new(next));
        self.sequence += 1;
    }
}

/// The head that is signed and sealed along with a broadcast.
fn head(room: RoomHash, from: Address, generation: u32, sequence: u64) -> Vec<u8> {
    let mut head = b"switchboard room broadcast 1".to_vec();
    head.extend_from_slice(&room.0);
    from.put(&mut head);
    head.extend_from_slice(&generation.to_be_bytes());
    head.extend_from_slice(&sequence.to_be_bytes());
    head
}

/// Our own chain.
#[derive(Debug)]
pub struct Sending(Chain);

impl Sending {
    /// A fresh chain.
    pub fn new(now: Instant, rng: &mut Rng) -> Self {
        Self(Chain { generation: rng.u32(), sequence: now.as_nanos(), key: ChainKey(Zeroizing::new(rng.array())) })
    }

    /// A fresh chain in place of this one, which tells nothing about it.
    pub fn renew(&mut self, rng: &mut Rng) {
        self.0.generation = self.0.generation.wrapping_add(1);
        self.0.key = ChainKey(Zeroizing::new(rng.array()));
    }

    /// What `to` needs to open the next broadcast and those after it.
    pub fn key(&self, room: &RoomSecret, from: &Address, to: &Address) -> SenderKey {
        let Chain { generation, sequence, ref key } = self.0;
        let mut key = SenderKey { room: room.hash().tag(), generation, chain: key.clone(), sequence, proof: [0; 32] };
        key.proof = room.key_proof(from, to, &key);
        key
    }

    /// Seals and signs a broadcast, which lends it to `write`.
    pub fn seal<T>(
        &mut self,
        room: RoomHash,
        identity: &Identity,
        text: &[u8],
        write: impl FnOnce(Envelope<'_>) -> T,
    ) -> T {
        let Chain { generation, sequence, .. } = self.0;
        let mut signed = head(room, identity.address(), generation, sequence);
        let start = signed.len();
        signed.extend_from_slice(text);
        let (head, sealed) = signed.split_at_mut(start);
        let tag = noise::seal_once(&self.0.message_key(), head, sealed);
        signed.extend_from_slice(&tag);
        self.0.advance();
        let signature = identity.secret().sign(&signed);
        write(Envelope { generation, sequence, signature, sealed: &signed[start..] })
    }
}

/// Whether `from` has signed a broadcast.
pub fn is_signed(room: RoomHash, from: Address, envelope: &Envelope<'_>) -> bool {
    let mut signed = head(room, from, envelope.generation, envelope.sequence);
    signed.extend_from_slice(envelope.sealed);
    noise::verify(&from.id, &signed, &envelope.signature)
}

/// What we have of another's chains: the newest, and the one before it for what is still under way.
#[derive(Debug, Default)]
pub struct Receiving {
    next: Option<u64>,
    current: Option<Chain>,
    previous: Option<Chain>,
}

/// A broadcast in plain text.
#[derive(Debug, PartialEq, Eq)]
pub struct Opened {
    /// What was said.
    pub bytes: Vec<u8>,
    /// How many broadcasts are missing before it.
    pub missed: u64,
}

impl Receiving {
    /// Takes a key whose proof was checked.
    ///
    /// # Errors
    /// [`Dropped::Replayed`]: a later one was used already.
    pub fn take(&mut self, key: &SenderKey) -> Result<(), Dropped> {
        if let Some(chain) = self.chain(key.generation) {
            // The same again, unless we are so far behind that we could not follow.
            if key.sequence.saturating_sub(chain.sequence) > MAX_SKIP {
                (chain.sequence, chain.key) = (key.sequence, key.chain.clone());
                self.next = self.next.max(Some(key.sequence));
            }
            return Ok(());
        }
        let next = self.next.unwrap_or(key.sequence);
        let ahead = key.sequence.checked_sub(next).ok_or(Dropped::Replayed)?;
        // The sender began anew, if it is so far ahead: what was before is not counted as missed.
        self.next = Some(if ahead > MAX_SKIP { key.sequence } else { next });
        let chain = Chain { generation: key.generation, sequence: key.sequence, key: key.chain.clone() };
        self.previous = self.current.replace(chain);
        Ok(())
    }

    /// Opens a broadcast whose signature was checked.
    ///
    /// # Errors
    /// One reason per rule; nothing has changed then. [`Dropped::NoKey`]: its key may still come.
    pub fn open(&mut self, room: RoomHash, from: Address, envelope: &Envelope<'_>) -> Result<Opened, Dropped> {
        let Envelope { generation, sequence, sealed, .. } = *envelope;
        let next = self.next.ok_or(Dropped::NoKey)?;
        let missed = sequence.checked_sub(next).ok_or(Dropped::Replayed)?;
        let chain = self.chain(generation).ok_or(Dropped::NoKey)?;
        let at = chain.at(sequence)?;
        let mut bytes = sealed.to_vec();
        let len = noise::open_once(&at.message_key(), &head(room, from, generation, sequence), &mut bytes);
        bytes.truncate(len.ok_or(Dropped::Forged)?);
        *chain = at;
        chain.advance();
        self.next = Some(sequence + 1);
        Ok(Opened { bytes, missed })
    }

    fn chain(&mut self, generation: u32) -> Option<&mut Chain> {
        let chains = self.current.iter_mut().chain(self.previous.iter_mut());
        chains.into_iter().find(|chain| chain.generation == generation)
    }
}

impl Chain {
    /// The chain at a broadcast to come.
    fn at(&self, sequence: u64) -> Result<Self, Dropped> {
        let steps = sequence.checked_sub(self.sequence).ok_or(Dropped::Replayed)?;
        if steps > MAX_SKIP || sequence == u64::MAX {
            return Err(Dropped::TooFar);
        }
        let mut chain = self.clone();
        (0..steps).for_each(|_| chain.advance());
        Ok(chain)
    }
}

/// Broadcasts that came before their keys; bounded in number, bytes and time. What does not fit is refused, and no
/// sender may have more than an eighth of the number, so that none can crowd out the others.
#[derive(Debug)]
pub struct Waiting {
    queue: VecDeque<Waiter>,
    bytes: usize,
    most: usize,
    most_bytes: usize,
}

/// One broadcast that waits.
#[derive(Debug)]
pub struct Waiter {
    since: Instant,
    /// Whose it is.
    pub from: Address,
    generation: u32,
    sequence: u64,
    sealed: Vec<u8>,
}

impl Waiter {
    /// The broadcast; its signature was checked before it waited.
    pub fn envelope(&self) -> Envelope<'_> {
        let Self { generation, sequence, ref sealed, .. } = *self;
        Envelope { generation, sequence, signature: [0; 64], sealed }
    }
}

impl Waiting {
    /// Nothing waits yet.
    pub const fn new(limits: &Limits) -> Self {
        let Limits { room_waiting: most, room_waiting_bytes: most_bytes, .. } = *limits;
        Self { queue: VecDeque::new(), bytes: 0, most, most_bytes }
    }

    /// Lets a broadcast wait.
    ///
    /// # Errors
    /// [`Dropped::Replayed`]: it waits already. [`Dropped::TooMany`]: there is no room for it.
    pub fn push(&mut self, now: Instant, from: Address, envelope: &Envelope<'_>) -> Result<(), Dropped> {
        let Envelope { generation, sequence, sealed, .. } = *envelope;
        let of_sender = self.queue.iter().filter(|waiter| waiter.from == from);
        if of_sender.clone().any(|waiter| waiter.sequence == sequence) {
            return Err(Dropped::Replayed);
        }
        let fits = self.queue.len() < self.most && self.bytes + sealed.len() <= self.most_bytes;
        if !fits || of_sender.count() >= self.most.div_ceil(8) {
            return Err(Dropped::TooMany);
        }
        self.bytes += sealed.len();
        self.queue.push_back(Waiter { since: now, from, generation, sequence, sealed: sealed.to_vec() });
        Ok(())
    }

    /// Takes out one sender's first broadcast under that key.
    pub fn take(&mut self, from: Address, generation: u32) -> Option<Waiter> {
        let at = self.queue.iter().position(|waiter| waiter.from == from && waiter.generation == generation)?;
        self.remove(at)
    }

    /// Takes out the first.
    pub fn take_first(&mut self) -> Option<Waiter> {
        self.remove(0)
    }

    /// Forgets what one sender has waiting.
    pub fn forget(&mut self, from: Address) {
        self.queue.retain(|waiter| waiter.from != from);
        self.bytes = self.queue.iter().map(|waiter| waiter.sealed.len()).sum();
    }

    /// Since when the first has waited.
    pub fn since(&self) -> Option<Instant> {
        self.queue.front().map(|waiter| waiter.since)
    }

    fn remove(&mut self, at: usize) -> Option<Waiter> {
        let waiter = self.queue.remove(at)?;
        self.bytes -= waiter.sealed.len();
        Some(waiter)
    }
}

#[cfg(test)]
mod tests;
