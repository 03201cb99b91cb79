//! Channels: what both sides of a session know of the streams of messages in it.
//!
//! The opener of a session declares them, the other side accepts the list as it is. A channel has a number, its place
//! in the list plus one; channel 0 is the session's own, for signals. How a channel delivers is a choice of two
//! questions (W3C WebRTC, `RTCDataChannelInit`): whether order is kept, and how long a lost message is sent again.
//!
//! A list in a message is: count (varint), then of each channel its label (length, UTF-8), a byte of flags (1 ordered,
//! 2 limited by retransmissions, 4 limited by time), its priority, and the limit if there is one (varint;
//! retransmissions, or milliseconds).

use std::fmt;
use std::time::Duration;

use crate::machine::limits::Limits;
use crate::wire::cursor::{Cursor, Malformed, put_prefixed, put_varint};

/// Longest label of a channel, in bytes.
pub const LABEL: usize = 64;

const ORDERED: u8 = 1;
const RETRANSMITS: u8 = 2;
const LIFETIME: u8 = 4;

/// A channel of a session: 0 carries signals, the declared ones follow from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChannelId(pub u16);

impl ChannelId {
    /// The session's own channel.
    pub const SIGNALS: Self = Self(0);

    /// The `index`-th declared channel, counted from 0.
    pub const fn declared(index: usize) -> Self {
        Self(index as u16 + 1)
    }

    /// Its place among all channels, the session's own included.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

impl fmt::Display for ChannelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "channel {}", self.0)
    }
}

/// How long a lost message is sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reliability {
    /// Until it arrives, or the session ends.
    Reliable,
    /// At most so many times.
    MaxRetransmits(u16),
    /// As long as it is no older than this (whole milliseconds, at least one); then it leaves the queue, too.
    MaxLifetime(Duration),
}

/// What is agreed of one channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Channel {
    /// Its name, at most [`LABEL`] bytes; unique within a session.
    pub label: String,
    /// Whether messages arrive in the order in which they were sent.
    pub ordered: bool,
    /// How long a lost message is sent again.
    pub reliability: Reliability,
    /// Channels of a higher priority send first, always.
    pub priority: u8,
}

/// Why a list of channels is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ChannelsError {
    /// It is not of the format.
    #[error("a list of channels is malformed: {0}")]
    Malformed(#[from] Malformed),
    /// More than [`Limits::session_channels`].
    #[error("too many channels")]
    TooMany,
    /// A label is empty or longer than [`LABEL`] bytes.
    #[error("a channel's label has no or too many bytes")]
    Label,
    /// Two channels have one label.
    #[error("two channels have the same label")]
    Twice,
    /// A limit by retransmissions and one by time at once, as in W3C's `createDataChannel`, or unknown flags.
    #[error("a channel has flags that exclude each other or are unknown")]
    Flags,
    /// A limit that does not fit its type.
    #[error("a channel's limit is out of range")]
    Limit,
}

impl Channel {
    /// A reliable, ordered channel of priority 0.
    pub fn reliable(label: &str) -> Self {
        Self { label: label.to_owned(), ordered: true, reliability: Reliability::Reliable, priority: 0 }
    }

    /// The same without order.
    #[must_use]
    pub fn unordered(self) -> Self {
        Self { ordered: false, ..self }
    }

    /// The same with another reliability.
    #[must_use]
    pub fn with(self, reliability: Reliability) -> Self {
        Self { reliability, ..self }
    }

    /// The same with another priority.
    #[must_use]
    pub fn priority(self, priority: u8) -> Self {
        Self { priority, ..self }
    }

    /// Whether nothing may be lost.
    pub fn is_reliable(&self) -> bool {
        self.reliability == Reliability::Reliable
    }
}

/// Checks a list that this side is about to declare.
///
/// # Errors
/// All but [`ChannelsError::Malformed`].
pub fn check_channels(channels: &[Channel], limits: &Limits) -> Result<(), ChannelsError> {
    if channels.len() > limits.session_channels {
        return Err(ChannelsError::TooMany);
    }
    for (n, channel) in channels.iter().enumerate() {
        if channel.label.is_empty() || channel.label.len() > LABEL {
            return Err(ChannelsError::Label);
        }
        if channels[..n].iter().any(|other| other.label == channel.label) {
            return Err(ChannelsError::Twice);
        }
    }
    Ok(())
}

/// Appends a list of channels.
pub fn put_channels(out: &mut Vec<u8>, channels: &[Channel]) {
    put_varint(out, channels.len() as u64);
    for channel in channels {
        put_prefixed(out, channel.label.as_bytes());
        let (flag, limit) = match channel.reliability {
            Reliability::Reliable => (0, None),
            Reliability::MaxRetransmits(times) => (RETRANSMITS, Some(u64::from(times))),
            Reliability::MaxLifetime(time) => (LIFETIME, Some(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))),
        };
        out.push(flag | if channel.ordered { ORDERED } else { 0 });
        out.push(channel.priority);
        if let Some(limit) = limit {
            put_varint(out, limit);
        }
    }
}

/// Reads a list of channels, and checks it.
///
/// # Errors
/// [`ChannelsError`].
pub fn take_channels(cursor: &mut Cursor<'_>, limits: &Limits) -> Result<Vec<Channel>, ChannelsError> {
    let count = cursor.varint()?;
    if count > limits.session_channels as u64 {
        return Err(ChannelsError::TooMany);
    }
    let channels: Vec<_> = (0..count).map(|_| take_channel(cursor)).collect::<Result<_, _>>()?;
    check_channels(&channels, limits)?;
    Ok(channels)
}

fn take_channel(cursor: &mut Cursor<'_>) -> Result<Channel, ChannelsError> {
    let label = cursor.text()?.to_owned();
    let flags = cursor.u8()?;
    let priority = cursor.u8()?;
    let reliability = match flags & !ORDERED {
        0 => Reliability::Reliable,
        RETRANSMITS => Reliability::MaxRetransmits(u16::try_from(cursor.varint()?).map_err(|_| ChannelsError::Limit)?),
        LIFETIME => Reliability::MaxLifetime(Duration::from_millis(cursor.varint()?)),
        _ => return Err(ChannelsError::Flags),
    };
    Ok(Channel { label, ordered: flags & ORDERED != 0, reliability, priority })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list() -> Vec<Channel> {
        vec![
            Channel::reliable("chat"),
            Channel::reliable("files").unordered().priority(3),
            Channel::reliable("position").with(Reliability::MaxRetransmits(0)),
            Channel::reliable("voice").unordered().with(Reliability::MaxLifetime(Duration::from_millis(200))),
        ]
    }

    fn taken(bytes: &[u8]) -> Result<Vec<Channel>, ChannelsError> {
        take_channels(&mut Cursor::new(bytes), &Limits::default())
    }

    #[test]
    fn a_list_comes_back() {
        let mut bytes = Vec::new();
        put_channels(&mut bytes, &list());
        assert_eq!(taken(&bytes), Ok(list()));
        for cut in 0..bytes.len() {
            assert_eq!(taken(&bytes[..cut]), Err(ChannelsError::Malformed(Malformed::Truncated)), "{cut}");
        }
    }

    #[test]
    fn both_limits_at_once_are_an_error() {
        assert_eq!(taken(&[1, 1, b'a', RETRANSMITS | LIFETIME, 0, 1]), Err(ChannelsError::Flags));
        assert_eq!(taken(&[1, 1, b'a', 8, 0]), Err(ChannelsError::Flags));
    }

    #[test]
    fn a_list_beyond_its_limits_is_refused() {
        assert_eq!(taken(&[0xff, 0xff, 3]), Err(ChannelsError::TooMany));
        assert_eq!(taken(&[1, 0, 0, 0]), Err(ChannelsError::Label));
        assert_eq!(taken(&[2, 1, b'a', 0, 0, 1, b'a', 1, 0]), Err(ChannelsError::Twice));
        assert_eq!(taken(&[1, 1, b'a', RETRANSMITS, 0, 0x80, 0x80, 4]), Err(ChannelsError::Limit));
        let long = Channel::reliable(&"x".repeat(LABEL + 1));
        assert_eq!(check_channels(&[long], &Limits::default()), Err(ChannelsError::Label));
    }
}
