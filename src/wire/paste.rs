//! Descriptions as one line of text, for people who carry them by hand: by mail, by chat, by voice never.
//!
//! ```text
//! base64url without padding (
//!     1 version = 1 | 1 setup | 1 flags | 32 fingerprint | 2 SCTP port | text ufrag | text password | text mid |
//!     varint largest message + 1, 0: not said | bytes SCTP INIT |
//!     varint candidates, each: 1 kind and protocol | 4 priority | 4 or 16 address | 2 port |
//!     4 check )
//! ```
//!
//! Texts and bytes begin with their length, a varint; numbers are big-endian. The check is the first four bytes of the
//! SHA-256 of what comes before it: a line that was cut or mistyped is told apart from one of another version. White
//! space within the line is passed over, as mail programs break lines.
//!
//! A description has nothing but the section of data channels here. What is behind an address (`raddr`) isn't told.
//! About 200 characters with two candidates.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::candidate::{Candidate, CandidateKind, Protocol};
use super::cursor::{Cursor, Malformed, put_prefixed, put_varint};
use super::sdp::{Description, MAX_CANDIDATES, Password, SdpError, Setup};
use super::text::{ice_chars, visible};

/// The longest line that is read, in characters.
pub const MAX_PASTE: usize = 16 * 1024;

const VERSION: u8 = 1;
const CHECK: usize = 4;

/// One line of text that is a description; it has the password in it, so it isn't shown by `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct Paste(Zeroizing<String>);

/// Why a line is no description.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum PasteError {
    /// It is longer than [`MAX_PASTE`].
    #[error("a line of {0} characters")]
    TooLong(usize),
    /// It has characters that are not of base64url.
    #[error("the line has characters that do not belong to it")]
    Base64,
    /// It was cut, or mistyped.
    #[error("the line is not whole, or a character of it is wrong")]
    Check,
    /// It is of another version.
    #[error("the line is of version {0}")]
    Version(u8),
    /// A part of it is wrong.
    #[error("the line: {0}")]
    Malformed(#[from] Malformed),
    /// A role, kind, protocol or name of it has no meaning.
    #[error("the line has a value without a meaning")]
    Value,
    /// The credentials are not what ICE allows.
    #[error(transparent)]
    Credentials(#[from] SdpError),
    /// It has more than [`MAX_CANDIDATES`].
    #[error("the line has {0} candidates")]
    TooManyCandidates(u64),
    /// Something follows the last candidate.
    #[error("the line has something after its end")]
    Trailing,
}

impl Paste {
    /// A description as a line.
    pub fn encode(description: &Description) -> Self {
        // Room for all but long candidate lists: a vector that grows would leave the password behind.
        let mut out = Zeroizing::new(Vec::with_capacity(4096));
        put(&mut out, description);
        let check = check(&out);
        out.extend_from_slice(&check);
        Self(Zeroizing::new(URL_SAFE_NO_PAD.encode(&*out)))
    }

    /// The description in a line.
    ///
    /// # Errors
    /// One variant per rule.
    pub fn decode(line: &str) -> Result<Description, PasteError> {
        if line.len() > MAX_PASTE {
            return Err(PasteError::TooLong(line.len()));
        }
        let line: Zeroizing<String> = Zeroizing::new(line.split_whitespace().collect());
        let bytes = Zeroizing::new(URL_SAFE_NO_PAD.decode(&*line).map_err(|_| PasteError::Base64)?);
        let (body, told) = bytes.split_last_chunk::<CHECK>().ok_or(PasteError::Check)?;
        if check(body) != *told {
            return Err(PasteError::Check);
        }
        take(&mut Cursor::new(body))
    }

    /// The line.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Paste {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Paste(..)")
    }
}

fn check(body: &[u8]) -> [u8; CHECK] {
    let [a, b, c, d, ..]: [u8; 32] = Sha256::digest(body).into();
    [a, b, c, d]
}

fn put(out: &mut Vec<u8>, description: &Description) {
    let Description { setup, bundle, ice_lite, end_of_candidates, .. } = description;
    out.push(VERSION);
    out.push(*setup as u8);
    out.push(u8::from(*bundle) | u8::from(*ice_lite) << 1 | u8::from(*end_of_candidates) << 2);
    out.extend_from_slice(&description.fingerprint);
    out.extend_from_slice(&description.sctp_port.to_be_bytes());
    put_prefixed(out, description.ufrag.as_bytes());
    put_prefixed(out, description.password.expose().as_bytes());
    put_prefixed(out, description.mid.as_bytes());
    put_varint(out, description.max_message.map_or(0, |size| size.saturating_add(1)));
    put_prefixed(out, description.sctp_init.as_deref().unwrap_or_default());
    let candidates = &description.candidates[..description.candidates.len().min(MAX_CANDIDATES)];
    put_varint(out, candidates.len() as u64);
    candidates.iter().for_each(|candidate| put_candidate(out, candidate));
}

fn put_candidate(out: &mut Vec<u8>, candidate: &Candidate) {
    let tcp = u8::from(candidate.protocol == Protocol::Tcp);
    out.push(candidate.kind as u8 | tcp << 2 | u8::from(candidate.address.is_ipv6()) << 3);
    out.extend_from_slice(&candidate.priority.to_be_bytes());
    match candidate.address.ip() {
        IpAddr::V4(ip) => out.extend_from_slice(&ip.octets()),
        IpAddr::V6(ip) => out.extend_from_slice(&ip.octets()),
    }
    out.extend_from_slice(&candidate.address.port().to_be_bytes());
}

fn take(cursor: &mut Cursor<'_>) -> Result<Description, PasteError> {
    let version = cursor.u8()?;
    if version != VERSION {
        return Err(PasteError::Version(version));
    }
    let setup = take_setup(cursor.u8()?)?;
    let flags = cursor.u8()?;
    let (fingerprint, port) = (cursor.array()?, u16::from_be_bytes(cursor.array()?));
    let (ufrag, password, mid) = (cursor.text()?, cursor.text()?, cursor.text()?);
    if !ice_chars(ufrag, 4..=256) {
        return Err(SdpError::Ufrag.into());
    }
    let named = mid.is_empty() || visible(mid);
    if flags > 7 || port == 0 || !named {
        return Err(PasteError::Value);
    }
    let mut description = Description::offer(ufrag.to_owned(), Password::new(password)?, fingerprint);
    description.setup = setup;
    (description.bundle, description.ice_lite) = (flags & 1 != 0, flags & 2 != 0);
    description.end_of_candidates = flags & 4 != 0;
    mid.clone_into(&mut description.mid);
    description.sctp_port = port;
    description.max_message = cursor.varint()?.checked_sub(1);
    description.sctp_init = Some(cursor.prefixed()?.to_vec()).filter(|init| !init.is_empty());
    description.candidates = take_candidates(cursor)?;
    if cursor.is_empty() { Ok(description) } else { Err(PasteError::Trailing) }
}

const fn take_setup(code: u8) -> Result<Setup, PasteError> {
    match code {
        0 => Ok(Setup::ActPass),
        1 => Ok(Setup::Active),
        2 => Ok(Setup::Passive),
        _ => Err(PasteError::Value),
    }
}

fn take_candidates(cursor: &mut Cursor<'_>) -> Result<Vec<Candidate>, PasteError> {
    let count = cursor.varint()?;
    if count > MAX_CANDIDATES as u64 {
        return Err(PasteError::TooManyCandidates(count));
    }
    (0..count).map(|_| take_candidate(cursor)).collect()
}

fn take_candidate(cursor: &mut Cursor<'_>) -> Result<Candidate, PasteError> {
    let form = cursor.u8()?;
    let kind = match form & 3 {
        0 => CandidateKind::Host,
        1 => CandidateKind::ServerReflexive,
        2 => CandidateKind::PeerReflexive,
        _ => CandidateKind::Relayed,
    };
    let priority = cursor.u32()?;
    let ip = if form & 8 == 0 { IpAddr::from(cursor.array::<4>()?) } else { IpAddr::from(cursor.array::<16>()?) };
    let address = SocketAddr::new(ip, u16::from_be_bytes(cursor.array()?));
    let protocol = if form & 4 == 0 { Protocol::Udp } else { Protocol::Tcp };
    let candidate = Candidate { protocol, priority, ..Candidate::new(kind, address, None) };
    // What cannot be said as an attribute cannot be said here either.
    let usable = form < 16 && Candidate::parse(&candidate.to_string()).is_ok();
    if usable { Ok(candidate) } else { Err(PasteError::Value) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn description() -> Description {
        let password = Password::new("p".repeat(24)).unwrap();
        let mut description = Description::offer("aBcD".to_owned(), password, [7; 32]);
        let at = |address: &str| Candidate::new(CandidateKind::ServerReflexive, address.parse().unwrap(), None);
        description.candidates = vec![at("192.0.2.1:5000"), at("[2001:db8::1]:5001")];
        description
    }

    fn full() -> Description {
        Description {
            setup: Setup::Passive,
            bundle: false,
            ice_lite: true,
            end_of_candidates: true,
            mid: String::new(),
            max_message: Some(262_144),
            sctp_init: Some(vec![1, 2, 3]),
            ..description()
        }
    }

    /// A line of these bytes with a check that fits.
    fn line(body: &[u8]) -> String {
        URL_SAFE_NO_PAD.encode([body, &check(body)].concat())
    }

    fn body() -> Vec<u8> {
        let mut out = Vec::new();
        put(&mut out, &description());
        out
    }

    #[test]
    fn a_description_comes_back_from_its_line_even_if_it_was_broken_into_several() {
        for description in [description(), full()] {
            let paste = Paste::encode(&description);
            assert_eq!(Paste::decode(paste.expose()), Ok(description.clone()));
            let (front, back) = paste.expose().split_at(60);
            assert_eq!(Paste::decode(&format!("  {front}\r\n> {back}\n").replace('>', "")), Ok(description));
        }
        assert!(Paste::encode(&description()).expose().len() < 200);
        assert_eq!(format!("{:?}", Paste::encode(&description())), "Paste(..)");
    }

    #[test]
    fn any_character_that_is_wrong_or_missing_is_noticed() {
        let paste = Paste::encode(&description());
        let paste = paste.expose();
        for at in 0..paste.len() {
            let other = if paste.as_bytes()[at] == b'A' { "B" } else { "A" };
            assert!(Paste::decode(&format!("{}{other}{}", &paste[..at], &paste[at + 1..])).is_err());
            assert!(Paste::decode(&paste[..at]).is_err());
        }
    }

    #[test]
    fn each_broken_rule_has_its_own_error() {
        let with = |at: usize, byte: u8| {
            let mut body = body();
            body[at] = byte;
            Paste::decode(&line(&body)).unwrap_err()
        };
        assert_eq!(Paste::decode(&"A".repeat(MAX_PASTE + 1)), Err(PasteError::TooLong(MAX_PASTE + 1)));
        assert_eq!(Paste::decode("a+b"), Err(PasteError::Base64));
        assert_eq!(Paste::decode(""), Err(PasteError::Check));
        assert_eq!(with(0, 2), PasteError::Version(2));
        assert_eq!(with(1, 3), PasteError::Value);
        assert_eq!(with(2, 8), PasteError::Value);
        assert_eq!(with(38, b'!'), PasteError::Credentials(SdpError::Ufrag));
        assert_eq!(with(43, b'!'), PasteError::Credentials(SdpError::Password));
        assert_eq!(with(71, 65), PasteError::TooManyCandidates(65));
        assert_eq!(with(72, 16), PasteError::Value);
        assert_eq!(Paste::decode(&line(&[&body()[..], &[0]].concat())), Err(PasteError::Trailing));
        assert_eq!(Paste::decode(&line(&body()[..50])), Err(PasteError::Malformed(Malformed::Truncated)));
    }
}
