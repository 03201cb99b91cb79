//! The handshake of a session, end to end, over whatever route carries its packets.
//!
//! Four steps, each a packet of a session: kind 1, the number of the step, its body.
//!
//! | step | from | body |
//! | --- | --- | --- |
//! | 1 | initiator | first message of Noise XX |
//! | 2 | responder | second message; payload: version 1 |
//! | 3 | initiator | third message; payload: version 1, purpose, channels ([`put_channels`]) |
//! | 4 | responder | counter (8 bytes), then sealed with the kind and the step as additional data: the verdict |
//!
//! A verdict is 0 (accepted), 1 (not decided yet) or 2, code, length and text (refused).
//!
//! **Bound to** both addresses, instances included, the initiator's first: they are the prologue. So a relay that
//! answers for another endpoint, or passes the packets to another instance, fails.
//!
//! **Loss and repetition.** The initiator alone has a timer: it sends its last step again after 500 ms, then after
//! twice as long each time, up to 2 s. The responder answers a repeated step by what it has answered before, which
//! for step 3 is the verdict so far. Steps that come late are passed over.
//!
//! **Time.** All must be done within [`Limits::handshake_time`], but for the application's decision: the responder's
//! has [`Limits::decision_time`] for it, and the initiator, once told that nothing is decided yet, waits so long. A
//! responder that has decided stays for one more `handshake_time` to repeat its verdict.
//!
//! **Errors.** Packets of other kinds, of the wrong step or with a forged verdict change nothing. What breaks a rule
//! inside the handshake ends it ([`OpeningError::is_fatal`]): whoever can make such a packet could as well drop it.

mod error;
mod unknown;
mod verdict;

use std::fmt;
use std::time::Duration;

use sha2::{Digest as _, Sha256};

use super::channel::{Channel, put_channels, take_channels};
use crate::link::noise::{Handshake, Identity, Keys, OpenError, Opener, Protocol, Role, Sealer};
use crate::machine::Deadline;
use crate::machine::limits::Limits;
use crate::machine::rng::Rng;
use crate::machine::time::Instant;
use crate::wire::cursor::Cursor;
use crate::wire::identity::Address;
use crate::wire::session::{HANDSHAKE, SessionKey};
pub use error::OpeningError;
pub use unknown::{is_unknown, unknown};
pub use verdict::MAX_TEXT;
use verdict::Verdict;

const VERSION: u8 = 1;
/// First wait before a step is sent again.
const PATIENCE: Duration = Duration::from_millis(500);
/// Longest wait before a step is sent again.
const MOST_PATIENCE: Duration = Duration::from_secs(2);

/// Whom a session is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// The application, which is asked whether it accepts.
    Application,
    /// The members of a room, whose hubs exchange keys on it; the application does not see it.
    Room,
}

/// One session's handshake, on either side.
pub struct Opening {
    stage: Stage,
    role: Role,
    peer: Address,
    purpose: Purpose,
    channels: Vec<Channel>,
    /// The packet sent last: again, if it gets lost.
    last: Vec<u8>,
    due: bool,
    resend: Option<Resend>,
    expires: Option<Deadline>,
    handshake_time: Duration,
    decision_time: Duration,
    /// Hash of the packet taken in last, which may come again.
    heard: [u8; 32],
}

/// What a packet has brought about.
#[derive(Debug)]
pub enum Progress {
    /// The peer has proved who it is and wants a session: [`Opening::decide`].
    Incoming {
        /// Whom it is for.
        purpose: Purpose,
        /// What it declares.
        channels: Vec<Channel>,
    },
    /// The peer has accepted.
    Opened(Established),
    /// The peer has refused.
    Refused {
        /// The application's.
        code: u8,
        /// For people, at most [`MAX_TEXT`] bytes.
        text: String,
    },
}

/// What is to be answered to a session that came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Yes.
    Accept,
    /// No.
    Refuse {
        /// The application's.
        code: u8,
        /// For people; cut to [`MAX_TEXT`] bytes.
        text: String,
    },
}

/// What both sides know when a session is open.
#[derive(Debug)]
pub struct Established {
    /// Names the session.
    pub id: SessionKey,
    /// The other side.
    pub peer: Address,
    /// For what we send, and for what comes. The handshake has used the first counters of one direction.
    pub keys: (Sealer, Opener),
    /// What the initiator declared.
    pub channels: Vec<Channel>,
    /// Whom it is for.
    pub purpose: Purpose,
}

/// How an opening ended by time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// The peer, or this side's application, took too long.
    TimedOut,
    /// The verdict need not be repeated any more.
    Done,
}

impl Opening {
    /// Asks `peer`, whose instance the route has told, for a session.
    pub fn open(
        now: Instant,
        limits: &Limits,
        identity: &Identity,
        peer: Address,
        channels: Vec<Channel>,
        purpose: Purpose,
        rng: &mut Rng,
    ) -> Self {
        let mut handshake = handshake(identity, Role::Initiator, peer, rng);
        let first = handshake.write(b"").expect("it is the initiator's turn");
        let mut opening = Self::new(now, limits, Stage::AwaitAnswer(handshake), Role::Initiator, peer);
        (opening.channels, opening.purpose) = (channels, purpose);
        opening.send(now, packet(1, &first));
        opening
    }

    /// Answers the first step of `peer`, as the route names it; it has yet to prove that it is.
    ///
    /// # Errors
    /// [`OpeningError`]; no packet is to be sent then.
    pub fn answer(
        now: Instant,
        limits: &Limits,
        identity: &Identity,
        peer: Address,
        first: &[u8],
        rng: &mut Rng,
    ) -> Result<Self, OpeningError> {
        let (step, body) = parse(first, limits)?;
        if step != 1 {
            return Err(OpeningError::WrongStep(step));
        }
        if peer == identity.address() {
            return Err(OpeningError::Myself);
        }
        let mut handshake = handshake(identity, Role::Responder, peer, rng);
        if !handshake.read(body)?.is_empty() {
            return Err(OpeningError::EarlyPayload);
        }
        let second = handshake.write(&[VERSION])?;
        let mut opening = Self::new(now, limits, Stage::AwaitProof(handshake), Role::Responder, peer);
        opening.heard = hash(first);
        opening.send(now, packet(2, &second));
        Ok(opening)
    }

    /// Takes a packet in. What comes late or twice changes nothing.
    ///
    /// # Errors
    /// [`OpeningError`], which tells whether it is fatal.
    pub fn receive(&mut self, now: Instant, limits: &Limits, packet: &[u8]) -> Result<Option<Progress>, OpeningError> {
        self.take(now, limits, packet).inspect_err(|error| {
            if error.is_fatal() {
                self.end();
            }
        })
    }

    /// Gives the application's decision; the first counts. Once accepted, the session is open on this side.
    pub fn decide(&mut self, now: Instant, decision: Decision) -> Option<Established> {
        let mut keys = match self.stage.take() {
            Stage::Deciding { keys, .. } => keys,
            other => {
                self.stage = other;
                return None;
            }
        };
        self.stage = Stage::Decided;
        self.expires = Some(Deadline { at: now + self.handshake_time, why: "a verdict to be repeated" });
        self.send(now, verdict::seal(&mut keys.sealer, (&decision).into()));
        (decision == Decision::Accept).then(|| self.established(keys))
    }

    /// The packet to be sent now, if there is one.
    pub fn supply(&mut self) -> Option<Vec<u8>> {
        std::mem::take(&mut self.due).then(|| self.last.clone())
    }

    /// Whether [`supply`](Self::supply) has something.
    pub const fn wants_supply(&self) -> bool {
        self.due
    }

    /// Whether the peer has proved who it is, and the application has not decided yet.
    pub const fn is_deciding(&self) -> bool {
        matches!(self.stage, Stage::Deciding { .. })
    }

    /// The other side; it has proved that it is once it is `Incoming`, `Opened` or `Refused`.
    pub const fn peer(&self) -> Address {
        self.peer
    }

    /// When [`on_timeout`](Self::on_timeout) has something to do; never, once it is over.
    pub fn deadline(&self) -> Option<Deadline> {
        let resend = self.resend.map(|resend| Deadline { at: resend.at, why: "a step of a session's handshake" });
        [resend, self.expires].into_iter().flatten().min_by_key(|deadline| deadline.at)
    }

    /// Sends again, or gives up.
    pub fn on_timeout(&mut self, now: Instant) -> Option<Ended> {
        if self.expires.is_some_and(|expires| expires.at <= now) {
            let done = matches!(self.stage, Stage::Decided);
            self.end();
            return Some(if done { Ended::Done } else { Ended::TimedOut });
        }
        if let Some(resend) = self.resend.as_mut().filter(|resend| resend.at <= now) {
            self.due = true;
            resend.after = (resend.after * 2).min(MOST_PATIENCE);
            resend.at = now + resend.after;
        }
        None
    }

    fn new(now: Instant, limits: &Limits, stage: Stage, role: Role, peer: Address) -> Self {
        Self {
            stage,
            role,
            peer,
            purpose: Purpose::Application,
            channels: Vec::new(),
            last: Vec::new(),
            due: false,
            resend: None,
            expires: Some(Deadline { at: now + limits.handshake_time, why: "a session's handshake" }),
            handshake_time: limits.handshake_time,
            decision_time: limits.decision_time,
            heard: [0; 32],
        }
    }

    fn take(&mut self, now: Instant, limits: &Limits, packet: &[u8]) -> Result<Option<Progress>, OpeningError> {
        let (step, body) = parse(packet, limits)?;
        match (self.stage.take(), step) {
            (Stage::AwaitAnswer(handshake), 2) => self.take_answer(now, handshake, body).map(|()| None),
            (Stage::AwaitVerdict { keys, told }, 4) => self.take_verdict(now, keys, told, body),
            (Stage::AwaitProof(handshake), 3) => {
                self.heard = hash(packet);
                self.take_proof(now, limits, handshake, body).map(Some)
            }
            (stage, step) => {
                self.stage = stage;
                self.take_again(now, step, packet).map(|()| None)
            }
        }
    }

    fn take_answer(&mut self, now: Instant, mut handshake: Handshake, body: &[u8]) -> Result<(), OpeningError> {
        let payload = handshake.read(body)?;
        self.check_peer(&handshake)?;
        let mut cursor = Cursor::new(&payload);
        check_version(&mut cursor)?;
        check_end(&cursor)?;
        let mut proposal = vec![VERSION, self.purpose as u8];
        put_channels(&mut proposal, &self.channels);
        let third = handshake.write(&proposal)?;
        self.stage = Stage::AwaitVerdict { keys: handshake.finish()?, told: false };
        self.send(now, packet(3, &third));
        Ok(())
    }

    fn take_proof(
        &mut self,
        now: Instant,
        limits: &Limits,
        mut handshake: Handshake,
        body: &[u8],
    ) -> Result<Progress, OpeningError> {
        let payload = handshake.read(body)?;
        self.check_peer(&handshake)?;
        let mut cursor = Cursor::new(&payload);
        check_version(&mut cursor)?;
        self.purpose = Purpose::take(&mut cursor)?;
        self.channels = take_channels(&mut cursor, limits)?;
        check_end(&cursor)?;
        self.stage = Stage::Deciding { keys: handshake.finish()?, told: false };
        self.expires = Some(Deadline { at: now + self.decision_time, why: "the decision on a session" });
        self.due = false;
        Ok(Progress::Incoming { purpose: self.purpose, channels: self.channels.clone() })
    }

    fn take_verdict(
        &mut self,
        now: Instant,
        mut keys: Keys,
        told: bool,
        body: &[u8],
    ) -> Result<Option<Progress>, OpeningError> {
        let plain = match verdict::unseal(&mut keys.opener, body) {
            Ok(plain) => plain,
            Err(error) => {
                self.stage = Stage::AwaitVerdict { keys, told };
                return if error == OpenError::Replayed { Ok(None) } else { Err(error.into()) };
            }
        };
        match Verdict::decode(&plain)? {
            Verdict::Pending => {
                self.stage = Stage::AwaitVerdict { keys, told: true };
                if !told {
                    self.expires = Some(Deadline { at: now + self.decision_time, why: "the verdict on a session" });
                }
                Ok(None)
            }
            Verdict::Accepted => {
                self.end();
                Ok(Some(Progress::Opened(self.established(keys))))
            }
            Verdict::Refused { code, text } => {
                self.end();
                Ok(Some(Progress::Refused { code, text: text.to_owned() }))
            }
        }
    }

    /// A step that is not the next one.
    fn take_again(&mut self, now: Instant, step: u8, packet: &[u8]) -> Result<(), OpeningError> {
        match (&self.stage, step) {
            (Stage::Over, _) | (Stage::AwaitVerdict { .. }, 2) | (Stage::Deciding { .. } | Stage::Decided, 1) => Ok(()),
            (Stage::AwaitProof(_), 1) | (Stage::Deciding { .. } | Stage::Decided, 3) if hash(packet) != self.heard => {
                Err(OpeningError::Changed)
            }
            (Stage::AwaitProof(_), 1) | (Stage::Deciding { .. } | Stage::Decided, 3) => {
                self.repeat(now);
                Ok(())
            }
            _ => Err(OpeningError::WrongStep(step)),
        }
    }

    fn repeat(&mut self, now: Instant) {
        match &mut self.stage {
            Stage::Deciding { keys, told } if !*told => {
                *told = true;
                let pending = verdict::seal(&mut keys.sealer, Verdict::Pending);
                self.send(now, pending);
            }
            _ => self.due = true,
        }
    }

    fn check_peer(&self, handshake: &Handshake) -> Result<(), OpeningError> {
        match handshake.peer() {
            Some(peer) if peer != self.peer => Err(OpeningError::WrongPeer(peer)),
            _ => Ok(()),
        }
    }

    fn established(&mut self, keys: Keys) -> Established {
        let (id, _) = keys.hash.split_first_chunk().expect("a hash is longer than an id");
        Established {
            id: SessionKey(*id),
            peer: keys.peer,
            keys: (keys.sealer, keys.opener),
            channels: std::mem::take(&mut self.channels),
            purpose: self.purpose,
        }
    }

    fn send(&mut self, now: Instant, packet: Vec<u8>) {
        (self.last, self.due) = (packet, true);
        if self.role == Role::Initiator {
            self.resend = Some(Resend { at: now + PATIENCE, after: PATIENCE });
        }
    }

    fn end(&mut self) {
        (self.stage, self.due) = (Stage::Over, false);
        (self.resend, self.expires) = (None, None);
    }
}

impl fmt::Debug for Opening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opening").field("peer", &self.peer).field("stage", &self.stage).finish_non_exhaustive()
    }
}

/// Where an opening stands: the initiator's two stages, the responder's three, and the end of both.
#[derive(Debug)]
enum Stage {
    AwaitAnswer(Handshake),
    /// `told`, here and below: the initiator knows that nothing is decided yet.
    AwaitVerdict {
        keys: Keys,
        told: bool,
    },
    AwaitProof(Handshake),
    Deciding {
        keys: Keys,
        told: bool,
    },
    Decided,
    Over,
}

impl Stage {
    const fn take(&mut self) -> Self {
        std::mem::replace(self, Self::Over)
    }
}

#[derive(Debug, Clone, Copy)]
struct Resend {
    at: Instant,
    after: Duration,
}

impl Purpose {
    fn take(cursor: &mut Cursor<'_>) -> Result<Self, OpeningError> {
        match cursor.u8()? {
            0 => Ok(Self::Application),
            1 => Ok(Self::Room),
            other => Err(OpeningError::Purpose(other)),
        }
    }
}

fn handshake(identity: &Identity, role: Role, peer: Address, rng: &mut Rng) -> Handshake {
    let me = identity.address();
    let (initiator, responder) = if role == Role::Initiator { (me, peer) } else { (peer, me) };
    let mut prologue = Vec::with_capacity(2 * Address::LEN);
    initiator.put(&mut prologue);
    responder.put(&mut prologue);
    Handshake::new(identity, role, Protocol::Session, &prologue, rng)
}

fn packet(step: u8, body: &[u8]) -> Vec<u8> {
    [&[HANDSHAKE, step], body].concat()
}

fn parse<'a>(packet: &'a [u8], limits: &Limits) -> Result<(u8, &'a [u8]), OpeningError> {
    if packet.len() > limits.packet {
        return Err(OpeningError::TooLarge);
    }
    match packet {
        [HANDSHAKE, step @ 1..=4, body @ ..] => Ok((*step, body)),
        _ => Err(OpeningError::NotAStep),
    }
}

fn check_version(cursor: &mut Cursor<'_>) -> Result<(), OpeningError> {
    match cursor.u8()? {
        VERSION => Ok(()),
        other => Err(OpeningError::Version(other)),
    }
}

const fn check_end(cursor: &Cursor<'_>) -> Result<(), OpeningError> {
    if cursor.is_empty() { Ok(()) } else { Err(OpeningError::Trailing) }
}

fn hash(packet: &[u8]) -> [u8; 32] {
    Sha256::digest(packet).into()
}

#[cfg(test)]
mod tests;
