//! INIT and INIT ACK with their parameters (RFC 9260, sections 3.3.2 and 3.3.3).
//!
//! *Unknown parameters.* Their two highest bits say what to do (RFC 9260, section 3.2.1): whether those that follow are
//! read, and whether the sender is told. What stands after one that ends the list counts as absent.

use super::chunk::HEAD;
use super::list::{self, Entry};
use super::{LEAST_WINDOW, Malformed, Tsn, kind, u16_at, u32_at};

const IPV4_ADDRESS: u16 = 5;
const IPV6_ADDRESS: u16 = 6;
const STATE_COOKIE: u16 = 7;
const UNRECOGNIZED: u16 = 8;
const COOKIE_PRESERVATIVE: u16 = 9;
const HOST_NAME: u16 = 11;
const ADDRESS_TYPES: u16 = 12;
const ECN: u16 = 0x8000;
const ZERO_CHECKSUM: u16 = 0x8001;
const PADDING: u16 = 0x8005;
const SUPPORTED_EXTENSIONS: u16 = 0x8008;
const FORWARD_TSN_SUPPORTED: u16 = 0xc000;

/// Bytes of the value before its parameters.
const FIXED: usize = 16;

/// What is understood, or may be ignored although it is there: addresses mean nothing inside DTLS.
const UNDERSTOOD: [u16; 11] = [
    IPV4_ADDRESS,
    IPV6_ADDRESS,
    STATE_COOKIE,
    UNRECOGNIZED,
    COOKIE_PRESERVATIVE,
    ADDRESS_TYPES,
    ECN,
    ZERO_CHECKSUM,
    PADDING,
    SUPPORTED_EXTENSIONS,
    FORWARD_TSN_SUPPORTED,
];

/// An INIT or an INIT ACK.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Init<'a> {
    /// The verification tag that its sender wants to see; not zero.
    pub tag: u32,
    /// The sender's window in bytes, at least [`LEAST_WINDOW`].
    pub window: u32,
    /// Streams that the sender wants to send on; not zero.
    pub outbound_streams: u16,
    /// Streams that it takes at most; not zero.
    pub inbound_streams: u16,
    /// The number of its first DATA chunk.
    pub initial_tsn: Tsn,
    parameters: &'a [u8],
}

impl<'a> Init<'a> {
    /// Reads an INIT chunk that stands alone, as SNAP sends it in the description (draft-hancke-tsvwg-snap).
    ///
    /// # Errors
    /// Which rule it breaks: [`Malformed::ChunkLength`] if it is no INIT, or if anything but padding follows.
    pub fn parse(chunk: &'a [u8]) -> Result<Self, Malformed> {
        let Some((&[kind, _, high, low], _)) = chunk.split_first_chunk::<HEAD>() else {
            return Err(Malformed::ChunkHead);
        };
        let len = usize::from(u16::from_be_bytes([high, low]));
        let is_whole = chunk.len() == len || chunk.len() == len.next_multiple_of(4);
        if kind != kind::INIT || len < HEAD || !is_whole {
            return Err(Malformed::ChunkLength(kind));
        }
        Self::read(kind, &chunk[HEAD..len])
    }

    pub(super) fn read(kind: u8, value: &'a [u8]) -> Result<Self, Malformed> {
        if value.len() < FIXED {
            return Err(Malformed::ChunkLength(kind));
        }
        let init = Self {
            tag: u32_at(value, 0),
            window: u32_at(value, 4),
            outbound_streams: u16_at(value, 8),
            inbound_streams: u16_at(value, 10),
            initial_tsn: Tsn(u32_at(value, 12)),
            parameters: &value[FIXED..],
        };
        init.check_fields()?;
        check_parameters(init.parameters)?;
        Ok(init)
    }

    fn check_fields(&self) -> Result<(), Malformed> {
        if self.tag == 0 {
            return Err(Malformed::ZeroInitiateTag);
        }
        if self.outbound_streams == 0 || self.inbound_streams == 0 {
            return Err(Malformed::ZeroStreams);
        }
        if self.window < LEAST_WINDOW { Err(Malformed::SmallWindow(self.window)) } else { Ok(()) }
    }

    /// The cookie, which INIT ACK must have.
    pub fn cookie(&self) -> Option<&'a [u8]> {
        self.value(STATE_COOKIE)
    }

    /// Whether the sender lists that type of chunk among its extensions (RFC 5061, section 4.2.7).
    pub fn supports(&self, chunk: u8) -> bool {
        self.value(SUPPORTED_EXTENSIONS).is_some_and(|kinds| kinds.contains(&chunk))
    }

    /// Whether it takes FORWARD-TSN (RFC 3758, section 3.1).
    pub fn is_forward_tsn(&self) -> bool {
        self.value(FORWARD_TSN_SUPPORTED).is_some()
    }

    /// By which means it can do without checksums: 1 is DTLS (RFC 9653, section 4).
    pub fn zero_checksum(&self) -> Option<u32> {
        self.value(ZERO_CHECKSUM).map(|means| u32_at(means, 0))
    }

    /// Parameters that are not known and of which the sender wants to be told, each whole, without padding.
    pub fn unrecognized(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let is_told = |entry: &Entry<'_>| entry.kind & 0x4000 != 0 && !UNDERSTOOD.contains(&entry.kind);
        self.entries().filter(is_told).map(|entry| entry.whole)
    }

    fn value(&self, kind: u16) -> Option<&'a [u8]> {
        self.entries().find(|entry| entry.kind == kind).map(|entry| entry.value)
    }

    /// All up to the first unknown one that ends the list, itself included.
    fn entries(&self) -> impl Iterator<Item = Entry<'a>> + use<'a> {
        let mut rest = self.parameters;
        std::iter::from_fn(move || {
            let entry = list::next(&mut rest)?.ok()?;
            if ends_the_list(entry.kind) {
                rest = &[];
            }
            Some(entry)
        })
    }
}

fn ends_the_list(kind: u16) -> bool {
    kind & 0x8000 == 0 && !UNDERSTOOD.contains(&kind)
}

fn check_parameters(mut parameters: &[u8]) -> Result<(), Malformed> {
    while let Some(entry) = list::next(&mut parameters) {
        let Entry { kind, value, .. } = entry?;
        match kind {
            HOST_NAME => return Err(Malformed::HostName),
            FORWARD_TSN_SUPPORTED if !value.is_empty() => return Err(Malformed::ParameterLength(kind)),
            ZERO_CHECKSUM if value.len() != 4 => return Err(Malformed::ParameterLength(kind)),
            _ if ends_the_list(kind) => return Ok(()),
            _ => {}
        }
    }
    Ok(())
}

/// A parameter to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parameter<'a> {
    /// The cookie of INIT ACK.
    Cookie(&'a [u8]),
    /// FORWARD-TSN is taken.
    ForwardTsn,
    /// Checksums may be zero by that means: 1 is DTLS.
    ZeroChecksum(u32),
    /// Types of chunks beyond RFC 9260 that are understood.
    Extensions(&'a [u8]),
    /// In INIT ACK: a parameter of INIT that was not known, whole.
    Unrecognized(&'a [u8]),
}

impl Parameter<'_> {
    const fn kind(&self) -> u16 {
        match self {
            Self::Cookie(_) => STATE_COOKIE,
            Self::ForwardTsn => FORWARD_TSN_SUPPORTED,
            Self::ZeroChecksum(_) => ZERO_CHECKSUM,
            Self::Extensions(_) => SUPPORTED_EXTENSIONS,
            Self::Unrecognized(_) => UNRECOGNIZED,
        }
    }

    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::ForwardTsn => list::put(out, self.kind(), &[]),
            Self::ZeroChecksum(means) => list::put(out, self.kind(), &[&means.to_be_bytes()]),
            Self::Cookie(value) | Self::Extensions(value) | Self::Unrecognized(value) => {
                list::put(out, self.kind(), &[value]);
            }
        }
    }

    const fn len(&self) -> usize {
        let value = match self {
            Self::ForwardTsn => 0,
            Self::ZeroChecksum(_) => 4,
            Self::Cookie(value) | Self::Extensions(value) | Self::Unrecognized(value) => value.len(),
        };
        (list::HEAD + value).next_multiple_of(4)
    }
}

/// The fields of an INIT or INIT ACK to be written; [`Init`] says what each means, and what is too small.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InitHead {
    /// The sender's verification tag.
    pub tag: u32,
    /// Its window.
    pub window: u32,
    /// Streams that it wants to send on.
    pub outbound_streams: u16,
    /// Streams that it takes.
    pub inbound_streams: u16,
    /// The number of its first DATA chunk.
    pub initial_tsn: Tsn,
}

impl InitHead {
    /// Appends an INIT chunk, or an INIT ACK, without the padding after it.
    pub fn emit(&self, out: &mut Vec<u8>, is_ack: bool, parameters: &[Parameter<'_>]) {
        let start = out.len();
        out.extend_from_slice(&[if is_ack { kind::INIT_ACK } else { kind::INIT }, 0, 0, 0]);
        out.extend_from_slice(&self.tag.to_be_bytes());
        out.extend_from_slice(&self.window.to_be_bytes());
        out.extend_from_slice(&self.outbound_streams.to_be_bytes());
        out.extend_from_slice(&self.inbound_streams.to_be_bytes());
        out.extend_from_slice(&self.initial_tsn.0.to_be_bytes());
        for parameter in parameters {
            list::pad(out, start);
            parameter.put(out);
        }
        let len = list::length(out.len() - start);
        out[start + 2..start + HEAD].copy_from_slice(&len.to_be_bytes());
    }

    /// Bytes that it takes with these, padding included.
    pub(super) fn len(parameters: &[Parameter<'_>]) -> usize {
        HEAD + FIXED + parameters.iter().map(Parameter::len).sum::<usize>()
    }
}
