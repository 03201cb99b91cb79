//! How channels open (RFC 8832).
//!
//! The opener takes the lowest free id of its parity (even for the client of DTLS), sends OPEN and then at once its
//! messages, in order until the peer has confirmed, by ACK or by a message of its own that overtakes it. A channel that is
//! refused (too many, names too long, or an OPEN that can't be read: section 6) is reset, which is all that the protocol
//! has for a no. An OPEN for an id in use is counted and changes nothing. Parity is kept, not demanded: a peer that errs
//! harms nobody as long as the id is free.

use std::time::Duration;

use super::Association;
use super::channels::{Channel, ChannelConfig, Phase};
use super::config::Reliability;
use super::events::{Event, OpenError, Opened};
use super::outbound::Head;
use crate::machine::time::Instant;
use crate::wire::sctp::dcep::{self, ChannelType, Message, Open};
use crate::wire::sctp::ppid;

/// What the peer says, with what of it must be kept.
enum Said {
    Open(Opened),
    /// An OPEN that is too long, or can't be read.
    Refused,
    Ack,
    Nonsense,
}

impl Association {
    /// Opens a channel, or takes part in a negotiated one; its id. Messages may be written at once.
    ///
    /// # Errors
    /// Why not; nothing has happened then.
    pub fn open(&mut self, now: Instant, config: ChannelConfig) -> Result<u16, OpenError> {
        let stream = self.choose_stream(&config)?;
        let channel = Channel {
            stream,
            is_ordered: config.is_ordered,
            reliability: config.reliability,
            priority: config.priority,
            phase: if config.negotiated.is_some() { Phase::Open } else { Phase::Asking },
            is_deaf: false,
            owes_ack: false,
            names: config.negotiated.is_none().then(|| Box::new((config.label, config.protocol))),
        };
        self.outbound.set_priority(stream, channel.priority);
        self.channels.insert(channel);
        self.settle(now);
        Ok(stream)
    }

    fn choose_stream(&self, config: &ChannelConfig) -> Result<u16, OpenError> {
        let limit = self.most_streams();
        if !self.state.takes_messages() {
            return Err(OpenError::NoAssociation);
        }
        if config.label.len().max(config.protocol.len()) > self.config.max_label {
            return Err(OpenError::LabelTooLong);
        }
        if self.channels.len() >= self.config.max_channels {
            return Err(OpenError::TooMany);
        }
        match config.negotiated {
            Some(stream) if stream >= limit => Err(OpenError::NoStream(stream)),
            Some(stream) if self.channels.has(stream) => Err(OpenError::InUse(stream)),
            Some(stream) => Ok(stream),
            None => self.channels.free(!self.is_client, limit).ok_or(OpenError::TooMany),
        }
    }

    /// Ids lie below: what both sides have agreed on, or before that what this side wants.
    fn most_streams(&self) -> u16 {
        let agreed = self.remote.map(|remote| remote.agreed(&self.config));
        agreed.map_or(self.config.streams, |agreed| agreed.outbound_streams.min(agreed.inbound_streams))
    }

    /// Closes what was opened before the set-up and has no stream after it.
    pub(super) fn close_channels_beyond(&mut self, now: Instant) {
        let limit = self.most_streams();
        let beyond: Vec<_> = self.channels.streams().filter(|stream| *stream >= limit).collect();
        for stream in beyond {
            self.outbound.discard(stream);
            self.retire(stream);
        }
        self.settle(now);
    }

    /// Sends OPEN; the channel stays as it is if there is no room.
    pub(super) fn send_open(&mut self, now: Instant, stream: u16) {
        let Some(channel) = self.channels.get(stream) else { return };
        let Some(names) = &channel.names else { return };
        let (channel_type, reliability) = channel_type(channel.is_ordered, channel.reliability);
        let priority = channel.priority;
        let open = Open { channel_type, priority, reliability, label: &names.0, protocol: &names.1 };
        let mut bytes = Vec::new();
        Message::Open(open).emit(&mut bytes);
        if self.outbound.write(now, stream, HEAD, &bytes) {
            channel.phase = Phase::Opening;
        }
    }

    /// Sends ACK, if there is room.
    pub(super) fn send_ack(&mut self, now: Instant, stream: u16) {
        let mut bytes = Vec::new();
        Message::Ack.emit(&mut bytes);
        let is_sent = self.outbound.write(now, stream, HEAD, &bytes);
        if let Some(channel) = self.channels.get(stream) {
            channel.owes_ack = !is_sent;
        }
    }

    /// Takes a message of the protocol.
    pub(super) fn take_establishment(&mut self, now: Instant) {
        let most = self.config.max_label;
        let Some(received) = self.inbound.take() else { return };
        let stream = received.stream;
        match read(stream, received.bytes, most) {
            Said::Open(opened) => self.on_open(now, opened),
            Said::Refused => self.refuse_channel(stream),
            Said::Ack => self.on_ack(stream),
            Said::Nonsense => self.dropped.establishment += 1,
        }
    }

    fn on_open(&mut self, now: Instant, opened: Opened) {
        let stream = opened.stream;
        if self.channels.has(stream) {
            self.dropped.second_open += 1;
        } else if stream >= self.most_streams() || self.channels.len() >= self.config.max_channels {
            self.refuse_channel(stream);
        } else {
            self.accept_channel(now, opened);
        }
    }

    fn accept_channel(&mut self, now: Instant, opened: Opened) {
        let stream = opened.stream;
        self.outbound.set_priority(stream, opened.priority);
        self.channels.insert(Channel {
            stream,
            is_ordered: opened.is_ordered,
            reliability: opened.reliability,
            priority: opened.priority,
            phase: Phase::Open,
            is_deaf: false,
            owes_ack: true,
            names: None,
        });
        self.events.push_back(Event::Open(opened));
        self.settle(now);
    }

    fn refuse_channel(&mut self, stream: u16) {
        self.dropped.refused_channel += 1;
        if !self.channels.has(stream) {
            self.ask_reset(stream);
        }
    }

    pub(super) fn on_ack(&mut self, stream: u16) {
        let opened = self.channels.get(stream).and_then(confirm);
        match opened {
            Some(opened) => self.events.push_back(Event::Open(opened)),
            None => self.dropped.establishment += 1,
        }
    }
}

/// Messages of the protocol go in order, and until they arrive.
const HEAD: Head = Head { ppid: ppid::DCEP, is_ordered: true, reliability: Reliability::Reliable };

fn confirm(channel: &mut Channel) -> Option<Opened> {
    if channel.phase != Phase::Opening {
        return None;
    }
    channel.phase = Phase::Open;
    let (label, protocol) = *channel.names.take()?;
    Some(Opened {
        stream: channel.stream,
        is_by_peer: false,
        label,
        protocol,
        is_ordered: channel.is_ordered,
        reliability: channel.reliability,
        priority: channel.priority,
    })
}

fn read(stream: u16, bytes: &[u8], most: usize) -> Said {
    match Message::parse(bytes) {
        Ok(Message::Ack) => Said::Ack,
        Ok(Message::Open(open)) if open.label.len().max(open.protocol.len()) > most => Said::Refused,
        Ok(Message::Open(open)) => Said::Open(Opened {
            stream,
            is_by_peer: true,
            label: open.label.to_owned(),
            protocol: open.protocol.to_owned(),
            is_ordered: open.channel_type.is_ordered(),
            reliability: reliability(open.channel_type, open.reliability),
            priority: open.priority,
        }),
        Err(_) if dcep::is_open(bytes) => Said::Refused,
        Err(_) => Said::Nonsense,
    }
}

fn channel_type(is_ordered: bool, reliability: Reliability) -> (ChannelType, u32) {
    match (reliability, is_ordered) {
        (Reliability::Reliable, true) => (ChannelType::Reliable, 0),
        (Reliability::Reliable, false) => (ChannelType::ReliableUnordered, 0),
        (Reliability::MaxRetransmits(most), true) => (ChannelType::Retransmits, u32::from(most)),
        (Reliability::MaxRetransmits(most), false) => (ChannelType::RetransmitsUnordered, u32::from(most)),
        (Reliability::MaxLifetime(life), true) => (ChannelType::Lifetime, millis(life)),
        (Reliability::MaxLifetime(life), false) => (ChannelType::LifetimeUnordered, millis(life)),
    }
}

fn reliability(channel_type: ChannelType, number: u32) -> Reliability {
    match channel_type {
        ChannelType::Reliable | ChannelType::ReliableUnordered => Reliability::Reliable,
        ChannelType::Retransmits | ChannelType::RetransmitsUnordered => {
            Reliability::MaxRetransmits(u16::try_from(number).unwrap_or(u16::MAX))
        }
        ChannelType::Lifetime | ChannelType::LifetimeUnordered => {
            Reliability::MaxLifetime(Duration::from_millis(number.into()))
        }
    }
}

fn millis(life: Duration) -> u32 {
    u32::try_from(life.as_millis()).unwrap_or(u32::MAX)
}
