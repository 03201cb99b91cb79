//! RE-CONFIG: streams begin anew (RFC 6525).

use std::fmt;

use super::list::{self, Entry, HEAD};
use super::{Malformed, Tsn, u16_at, u32_at};

const OUTGOING_RESET: u16 = 13;
const INCOMING_RESET: u16 = 14;
const TSN_RESET: u16 = 15;
const RESPONSE: u16 = 16;
const ADD_OUTGOING: u16 = 17;
const ADD_INCOMING: u16 = 18;

/// Results of [`Request::Response`] (RFC 6525, section 4.4).
pub mod result {
    /// Success, nothing to do.
    pub const NOTHING_TO_DO: u32 = 0;
    /// Success, performed.
    pub const PERFORMED: u32 = 1;
    /// Denied.
    pub const DENIED: u32 = 2;
    /// Error, wrong SSN: a stream does not exist.
    pub const WRONG_SSN: u32 = 3;
    /// Error, request already in progress: another one is.
    pub const ALREADY_IN_PROGRESS: u32 = 4;
    /// Error, bad sequence number: not the one expected.
    pub const BAD_SEQUENCE: u32 = 5;
    /// In progress: it will be done, ask again.
    pub const IN_PROGRESS: u32 = 6;
}

/// One or two requests and responses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reconfig<'a> {
    list: &'a [u8],
}

/// Streams that a request names; none: all of them.
#[derive(Clone, Copy)]
pub struct Streams<'a>(Source<'a>);

#[derive(Clone, Copy)]
enum Source<'a> {
    Wire(&'a [u8]),
    List(&'a [u16]),
}

/// What one parameter says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request<'a> {
    /// The sender's outgoing streams begin anew after a number.
    OutgoingReset {
        /// The number of the request.
        request: u32,
        /// Which request of the receiver it answers; else one less than the number that the receiver uses next.
        response: u32,
        /// The last DATA chunk before.
        last: Tsn,
        /// Which; none: all.
        streams: Streams<'a>,
    },
    /// The receiver's outgoing streams shall begin anew.
    IncomingReset {
        /// The number of the request.
        request: u32,
        /// Which; none: all.
        streams: Streams<'a>,
    },
    /// All numbers shall begin anew.
    TsnReset {
        /// The number of the request.
        request: u32,
    },
    /// Streams are added.
    AddStreams {
        /// The number of the request.
        request: u32,
        /// Whether they are the sender's outgoing ones.
        is_outgoing: bool,
        /// How many.
        count: u16,
    },
    /// Answers a request.
    Response {
        /// The number of the request.
        request: u32,
        /// As [`result`] names it.
        result: u32,
        /// Answering `TsnReset`: the next number of the sender, and the next that it expects.
        next: Option<(Tsn, Tsn)>,
    },
}

impl<'a> Reconfig<'a> {
    pub(super) fn parse(list: &'a [u8]) -> Result<Self, Malformed> {
        let (mut rest, mut kinds, mut count) = (list, [0; 2], 0);
        while let Some(entry) = list::next(&mut rest) {
            let entry = entry?;
            let Some(place) = kinds.get_mut(count) else { return Err(Malformed::ReconfigParameters) };
            *place = entry.kind;
            count += 1;
            Request::read(entry)?;
        }
        if go_together(&kinds[..count]) { Ok(Self { list }) } else { Err(Malformed::ReconfigParameters) }
    }
}

/// RFC 6525, section 3.1.
fn go_together(kinds: &[u16]) -> bool {
    match *kinds {
        [] => false,
        [_] => true,
        [a, b] => matches!(
            (a.min(b), a.max(b)),
            (OUTGOING_RESET, INCOMING_RESET | RESPONSE) | (ADD_OUTGOING, ADD_INCOMING) | (RESPONSE, RESPONSE)
        ),
        _ => false,
    }
}

impl<'a> Iterator for Reconfig<'a> {
    type Item = Request<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        list::next(&mut self.list).and_then(|entry| Request::read(entry.ok()?).ok())
    }
}

impl<'a> Request<'a> {
    fn read(Entry { kind, value, .. }: Entry<'a>) -> Result<Self, Malformed> {
        let wrong = Malformed::ParameterLength(kind);
        let request = u32_at(value, 0);
        let is_list = |fixed: usize| value.len() >= fixed && value.len() % 2 == 0;
        Ok(match (kind, value.len()) {
            (OUTGOING_RESET, _) if is_list(12) => Self::OutgoingReset {
                request,
                response: u32_at(value, 4),
                last: Tsn(u32_at(value, 8)),
                streams: Streams(Source::Wire(&value[12..])),
            },
            (INCOMING_RESET, _) if is_list(4) => {
                Self::IncomingReset { request, streams: Streams(Source::Wire(&value[4..])) }
            }
            (TSN_RESET, 4) => Self::TsnReset { request },
            (ADD_OUTGOING | ADD_INCOMING, 8) => {
                Self::AddStreams { request, is_outgoing: kind == ADD_OUTGOING, count: u16_at(value, 4) }
            }
            (RESPONSE, 8) => Self::Response { request, result: u32_at(value, 4), next: None },
            (RESPONSE, 16) => Self::Response {
                request,
                result: u32_at(value, 4),
                next: Some((Tsn(u32_at(value, 8)), Tsn(u32_at(value, 12)))),
            },
            (OUTGOING_RESET..=ADD_INCOMING, _) => return Err(wrong),
            _ => return Err(Malformed::ReconfigParameters),
        })
    }

    /// Bytes that it takes, padding included.
    pub(super) fn len(&self) -> usize {
        let value = match self {
            Self::OutgoingReset { streams, .. } => 12 + 2 * streams.len(),
            Self::IncomingReset { streams, .. } => 4 + 2 * streams.len(),
            Self::TsnReset { .. } => 4,
            Self::AddStreams { .. } | Self::Response { next: None, .. } => 8,
            Self::Response { next: Some(_), .. } => 16,
        };
        (HEAD + value).next_multiple_of(4)
    }

    pub(super) fn put(&self, out: &mut Vec<u8>) {
        match *self {
            Self::OutgoingReset { request, response, last, streams } => {
                streams.put(out, OUTGOING_RESET, &[request, response, last.0]);
            }
            Self::IncomingReset { request, streams } => streams.put(out, INCOMING_RESET, &[request]),
            Self::TsnReset { request } => put(out, TSN_RESET, &[request]),
            Self::AddStreams { request, is_outgoing, count } => {
                let kind = if is_outgoing { ADD_OUTGOING } else { ADD_INCOMING };
                put(out, kind, &[request, u32::from(count) << 16]);
            }
            Self::Response { request, result, next: None } => put(out, RESPONSE, &[request, result]),
            Self::Response { request, result, next: Some((own, yours)) } => {
                put(out, RESPONSE, &[request, result, own.0, yours.0]);
            }
        }
    }
}

fn put(out: &mut Vec<u8>, kind: u16, numbers: &[u32]) {
    Streams::of(&[]).put(out, kind, numbers);
}

impl<'a> Streams<'a> {
    /// These.
    pub const fn of(streams: &'a [u16]) -> Self {
        Self(Source::List(streams))
    }

    /// Which.
    pub fn iter(&self) -> impl Iterator<Item = u16> + Clone + use<'a> {
        let (wire, list): (&[u8], &[u16]) = match self.0 {
            Source::Wire(bytes) => (bytes, &[]),
            Source::List(list) => (&[], list),
        };
        wire.chunks_exact(2).map(|two| u16_at(two, 0)).chain(list.iter().copied())
    }

    /// How many.
    pub const fn len(&self) -> usize {
        match self.0 {
            Source::Wire(bytes) => bytes.len() / 2,
            Source::List(list) => list.len(),
        }
    }

    /// Whether none is named, which means all.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn put(&self, out: &mut Vec<u8>, kind: u16, numbers: &[u32]) {
        let len = HEAD + 4 * numbers.len() + 2 * self.len();
        out.extend_from_slice(&kind.to_be_bytes());
        out.extend_from_slice(&list::length(len).to_be_bytes());
        for number in numbers {
            out.extend_from_slice(&number.to_be_bytes());
        }
        for stream in self.iter() {
            out.extend_from_slice(&stream.to_be_bytes());
        }
    }
}

impl fmt::Debug for Streams<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl PartialEq for Streams<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Streams<'_> {}
