//! Messages of channels, both ways.
//!
//! *Kinds* (RFC 8831, section 8): text or binary; SCTP has no empty messages, so an empty one is a byte of zero under a
//! kind of its own. *Taking* follows the order in which messages became whole, over all channels; what the
//! establishment protocol says, and that the peer has closed a channel, take their places in that order, so a channel
//! opens before its first message and closes after its last.

use super::Association;
use super::channels::Phase;
use super::inbound::Next;
use super::outbound::Head;
use crate::machine::time::Instant;
use crate::wire::sctp::ppid;

/// A message of a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message<'a> {
    /// The channel.
    pub stream: u16,
    /// Whether it is binary; else it is text, which is not checked to be UTF-8.
    pub is_binary: bool,
    /// Its bytes.
    pub bytes: &'a [u8],
}

/// What is done with the message that comes next.
enum Verdict {
    Deliver,
    /// It tells that the peer has our channel, as an ACK would (RFC 8832, section 6), and is delivered after that.
    Confirm,
    Establish,
    Ended,
    NoChannel,
    UnknownKind,
}

impl Association {
    /// Bytes that [`write`](Self::write) takes now.
    pub fn room(&self) -> usize {
        if self.state.takes_messages() { self.outbound.room() } else { 0 }
    }

    /// Wants [`Event::Writable`](super::Event::Writable) as soon as half of the bound is free.
    pub fn want_room(&mut self) {
        self.outbound.want_room();
    }

    /// The largest message that the peer takes in, in bytes, as its description says (RFC 8841, section 6.1); in place of
    /// [`Config::peer_max_message`](super::Config::peer_max_message).
    pub const fn set_peer_max_message(&mut self, bytes: usize) {
        self.config.peer_max_message = bytes;
    }

    /// Writes a message: whole or, answering `false`, not at all. That is when it is larger than
    /// [`room`](Self::room) or [`Config::peer_max_message`](super::Config::peer_max_message), or the channel is not
    /// open or has not even been asked for yet. Before the association stands messages wait for it.
    pub fn write(&mut self, now: Instant, stream: u16, is_binary: bool, message: &[u8]) -> bool {
        let is_allowed = self.state.takes_messages() && message.len() <= self.config.peer_max_message;
        let Some(channel) = self.channels.get(stream) else { return false };
        if !is_allowed || !channel.is_writable() {
            return false;
        }
        let ppid = kind(is_binary, message.is_empty());
        let head = Head { ppid, is_ordered: channel.goes_in_order(), reliability: channel.reliability };
        self.now = now;
        self.outbound.write(now, stream, head, if message.is_empty() { &[0] } else { message })
    }

    /// Bytes written that were not sent yet, not even once.
    pub const fn unsent(&self) -> usize {
        self.outbound.unsent()
    }

    /// Takes the next message; it is lent until the next call. Taking makes room for the peer.
    #[inline]
    pub fn recv(&mut self, now: Instant) -> Option<Message<'_>> {
        self.now = now;
        if !self.has_message() && !self.take_control(now) {
            return None;
        }
        let received = self.inbound.take()?;
        let is_empty = matches!(received.ppid, ppid::STRING_EMPTY | ppid::BINARY_EMPTY);
        Some(Message {
            stream: received.stream,
            is_binary: matches!(received.ppid, ppid::BINARY | ppid::BINARY_EMPTY),
            bytes: if is_empty { &[] } else { received.bytes },
        })
    }

    /// Whether messages of a channel shall stay here, where they close the window, while those of others pass.
    pub fn hold(&mut self, stream: u16, held: bool) {
        self.inbound.hold(stream, held);
    }

    /// Whether what comes next is for the user; to be asked when no event is left.
    #[inline]
    pub fn has_message(&mut self) -> bool {
        self.inbound.peek().is_some_and(|next| matches!(self.judge(&next), Verdict::Deliver))
    }

    /// Takes all that is not for the user, up to a message that is, or until too many events wait; whether there is one.
    pub(super) fn take_control(&mut self, now: Instant) -> bool {
        while let Some(next) = self.inbound.peek() {
            match self.judge(&next) {
                Verdict::Deliver => return true,
                _ if self.events.len() >= self.most_events() => return false,
                Verdict::Establish => self.take_establishment(now),
                Verdict::Confirm => self.on_ack(next.stream),
                Verdict::Ended => self.take_mark(next.stream),
                Verdict::NoChannel => self.drop_next(|dropped| &mut dropped.no_channel),
                Verdict::UnknownKind => self.drop_next(|dropped| &mut dropped.kind),
            }
        }
        false
    }

    #[inline]
    fn judge(&mut self, next: &Next) -> Verdict {
        match next.ppid {
            _ if next.is_mark => Verdict::Ended,
            ppid::STRING | ppid::BINARY | ppid::STRING_EMPTY | ppid::BINARY_EMPTY => {
                match self.channels.get(next.stream) {
                    Some(channel) if channel.is_deaf => Verdict::NoChannel,
                    Some(channel) if channel.phase == Phase::Opening => Verdict::Confirm,
                    Some(_) => Verdict::Deliver,
                    None => Verdict::NoChannel,
                }
            }
            ppid::DCEP => Verdict::Establish,
            _ => Verdict::UnknownKind,
        }
    }

    fn drop_next(&mut self, counter: impl Fn(&mut super::Dropped) -> &mut u64) {
        self.inbound.take();
        *counter(&mut self.dropped) += 1;
    }

    const fn most_events(&self) -> usize {
        2 * self.config.max_channels + 8
    }
}

const fn kind(is_binary: bool, is_empty: bool) -> u32 {
    match (is_binary, is_empty) {
        (true, false) => ppid::BINARY,
        (true, true) => ppid::BINARY_EMPTY,
        (false, false) => ppid::STRING,
        (false, true) => ppid::STRING_EMPTY,
    }
}
