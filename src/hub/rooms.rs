//! Rooms: how people find each other. A relay keeps the list of who is there; what is said there it cannot read.
//!
//! [`Host`] is the relay's side of all its rooms, [`Membership`] a member's side of one. Both are plain structs that
//! know no link: they are given messages, and answer by calling `out`.
//!
//! **What the relay knows.** Hashes of the room's name and secret ([`RoomSecret`]), who is in it, the display names,
//! and sizes and times of broadcasts. The hash of a secret lets it try words, so a secret of few words is none
//! towards the relay; and a room without a secret is open to whoever knows or guesses its name.
//!
//! **What it cannot do.** Read or change a broadcast, or say something in a member's name: broadcasts are sealed, and
//! signed by their sender. Say something again: each carries a number. Add a member that does not know the secret:
//! members prove to each other that they do, and give their keys to nobody else. It can leave out broadcasts, which
//! `missed` shows, and members, and it can keep quiet about one that has left, who then reads on.
//!
//! **Sender keys** ([`sender_key`]). Each member seals with a key of its own, whatever the number of listeners, so that
//! a broadcast is encrypted once. It gives the key to each other member over a session of the two, at its first
//! broadcast after that member came: who only listens gives none. The key is replaced for each broadcast by a hash of
//! itself, so that newcomers cannot read what was said before. After somebody who has had it has left, the next
//! broadcast is sealed with a fresh one. A broadcast that arrives before its key waits for it; if none comes, the
//! listener asks for it.
//!
//! **Losses.** A relay drops what a link cannot carry, changes of the list included. Lists have versions, so that a
//! member notices, and asks again ([`wire::room`](crate::wire::room)).

pub mod host;
pub mod member;
mod secret;
pub mod sender_key;

pub use host::{Host, HostStatistics};
pub use member::{BroadcastError, JoinError, Membership};
pub use secret::RoomSecret;

use crate::wire::identity::Address;
use crate::wire::room::{LeaveReason, Refusal};
use crate::wire::signal::Signal;

/// Somebody in a room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Who, and which process.
    pub address: Address,
    /// For people; anybody may choose any name.
    pub name: String,
}

/// What a [`Membership`] wants done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Send a room message to the relay.
    ToRelay(Vec<u8>),
    /// Send a signal to a member, over a session that may have to be opened first. If it cannot be delivered, tell
    /// [`Membership::key_lost`].
    ToMember {
        /// To whom.
        to: Address,
        /// What.
        signal: Signal<'static>,
    },
    /// Tell the application.
    Event(RoomEvent),
}

/// What an application may want to know of a room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RoomEvent {
    /// We are in; these are the others.
    Joined(Vec<Member>),
    /// One more is there, or has another name than before.
    MemberJoined(Member),
    /// One less is there.
    MemberLeft {
        /// Who.
        member: Member,
        /// Why; [`LeaveReason::Lost`] also where nobody has told us.
        reason: LeaveReason,
    },
    /// What another member has said, to all.
    Broadcast {
        /// Who; proved.
        from: Member,
        /// What.
        bytes: Vec<u8>,
        /// How many broadcasts of that member before this one did not arrive.
        missed: u64,
    },
    /// It is over; nothing follows.
    Closed(RoomEnd),
}

/// Why we are no member any more, or never were.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum RoomEnd {
    /// The relay refuses.
    #[error("refused: {0}")]
    Refused(#[from] Refusal),
    /// The relay lists more members than [`Limits::room_members`](crate::machine::limits::Limits::room_members).
    #[error("the relay lists {0} members")]
    TooManyMembers(u32),
}

/// Why something that came was not taken. Each is counted: [`Membership::dropped`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
pub enum Dropped {
    /// A broadcast in the name of somebody who is not listed.
    #[error("it is of no member")]
    NotAMember,
    /// A broadcast that its sender has not signed.
    #[error("its sender has not signed it")]
    BadSignature,
    /// A broadcast or a key older than what has been taken already, or once more the same.
    #[error("it is an old one")]
    Replayed,
    /// A broadcast whose key has not come in time.
    #[error("its key has not come in time")]
    NoKey,
    /// A broadcast that its key does not open.
    #[error("its key does not open it")]
    Forged,
    /// A broadcast with a number too far from the last; see [`sender_key::MAX_SKIP`].
    #[error("too many before it are missing")]
    TooFar,
    /// A broadcast larger than it may be.
    #[error("it is too large")]
    TooLarge,
    /// A broadcast or a key, while too many waited already.
    #[error("too many waited already")]
    TooMany,
    /// A listed member that has not proved to know the secret.
    #[error("a member that does not know the secret")]
    Unproven,
    /// A signal whose proof is wrong.
    #[error("its proof is wrong")]
    BadProof,
    /// A part of a list that does not follow what came before.
    #[error("a part of a list out of place")]
    BadList,
}

impl Dropped {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 11] = [
        Self::NotAMember,
        Self::BadSignature,
        Self::Replayed,
        Self::NoKey,
        Self::Forged,
        Self::TooFar,
        Self::TooLarge,
        Self::TooMany,
        Self::Unproven,
        Self::BadProof,
        Self::BadList,
    ];
}

#[cfg(test)]
mod tests;
