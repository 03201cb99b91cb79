//! Session descriptions with one data-channel section (RFC 8866, in the profile of RFC 8829).
//!
//! *What is told.* ICE credentials and candidates (RFC 8839), the certificate's SHA-256 fingerprint and the DTLS role
//! (RFC 8842), the SCTP port and the largest message (RFC 8841), and, between endpoints that skip the SCTP handshake,
//! its INIT chunk (`a=sctp-init`, draft-hancke-tsvwg-snap). Anything else in a description is skipped.
//!
//! *Reading.* The first `m=application … webrtc-datachannel` counts, or the older form with `a=sctpmap`. Each attribute
//! is looked for in that section, then at session level, then in the section that leads its BUNDLE group (RFC 9143,
//! section 7.1.3: sections that exist only within a group have no transport of their own). Fingerprints of other
//! algorithms are passed over. Candidates that no socket could use are counted, not fatal: browsers give names in place
//! of addresses.
//!
//! *Writing.* Every other section of an offer is kept as far as its rejection needs it, and written in its place with
//! port 0 (RFC 8829, section 5.3.1), in the answer and in all descriptions after it. Chromium with the policy
//! `max-bundle` takes no answer that rejects the section that leads its group; it should offer data channels alone.
//!
//! *Bounds.* The caller limits the size; 64 sections, 64 candidates. What is kept of a description is smaller than its
//! text.

mod emit;
mod parse;

use std::fmt;

use zeroize::Zeroizing;

use super::candidate::Candidate;
use super::text;

/// The most sections that a description may have.
pub const MAX_SECTIONS: usize = 64;

/// The most candidates that are kept of a description; further ones are counted.
pub const MAX_CANDIDATES: usize = 64;

/// The largest description that passes over sessions, in bytes.
pub const MAX_DESCRIPTION: usize = 16 * 1024;

/// What a peer offers, or how it answers an offer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// ICE's user name fragment, 4 to 256 ICE characters.
    pub ufrag: String,
    /// ICE's password.
    pub password: Password,
    /// Whether it is an ICE lite agent, which only answers checks (RFC 8445, section 2.5).
    pub ice_lite: bool,
    /// The SHA-256 of the certificate that DTLS will show.
    pub fingerprint: [u8; 32],
    /// Who begins the DTLS handshake.
    pub setup: Setup,
    /// The data section's name; empty: it has none.
    pub mid: String,
    /// Whether the data section is of a BUNDLE group; an answer has one only if its offer has.
    pub bundle: bool,
    /// SCTP's port, which only tells associations apart.
    pub sctp_port: u16,
    /// The largest message that is taken, in bytes; 0: any. None is said: 64 KiB (RFC 8841, section 6.1).
    pub max_message: Option<u64>,
    /// An SCTP INIT chunk, by which both sides skip SCTP's handshake.
    pub sctp_init: Option<Vec<u8>>,
    /// The candidates known so far.
    pub candidates: Vec<Candidate>,
    /// Whether no others follow.
    pub end_of_candidates: bool,
    /// How many candidates were left out: unusable ones, and those beyond [`MAX_CANDIDATES`].
    pub skipped: usize,
    /// The sections that are not taken, in their order.
    pub other_sections: Vec<OtherSection>,
    /// How many of them come before the data section.
    pub position: usize,
}

/// A section of an offer that is rejected by the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtherSection {
    /// `audio`, `video`, or another.
    pub media: String,
    /// What carries it, such as `UDP/TLS/RTP/SAVPF`.
    pub protocol: String,
    /// The first of its formats.
    pub format: String,
    /// Its name; empty: it has none.
    pub mid: String,
}

/// Who begins the DTLS handshake (RFC 8842, section 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Setup {
    /// The answer chooses.
    ActPass,
    /// This side is the client.
    Active,
    /// This side is the server.
    Passive,
}

/// ICE's password, 22 to 256 ICE characters; it isn't shown, and is wiped when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(Zeroizing<String>);

/// Why a text is no description that a peer could use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
pub enum SdpError {
    /// It is larger than its caller allows.
    #[error("a description of {0} bytes")]
    TooLarge(usize),
    /// It does not begin with `v=0`.
    #[error("a description that does not begin with v=0")]
    Version,
    /// A line is not a letter, `=`, and a value.
    #[error("line {0} of a description is no letter with a value")]
    Line(usize),
    /// It has more than [`MAX_SECTIONS`].
    #[error("a description of more than {MAX_SECTIONS} sections")]
    TooManySections,
    /// A section's head has not four parts, or no port.
    #[error("the head of a section of a description is malformed")]
    Section,
    /// No section is of data channels.
    #[error("a description without a section of data channels")]
    NoData,
    /// The section of data channels is rejected: its port is 0.
    #[error("a description that rejects data channels")]
    Rejected,
    /// A section's name is not of visible characters.
    #[error("a section's name has characters that are not visible")]
    Mid,
    /// There is no ICE user name fragment.
    #[error("a description without a user name fragment")]
    NoUfrag,
    /// The user name fragment is not 4 to 256 ICE characters.
    #[error("a user name fragment that is not 4 to 256 ICE characters")]
    Ufrag,
    /// There is no ICE password.
    #[error("a description without a password")]
    NoPassword,
    /// The password is not 22 to 256 ICE characters.
    #[error("a password that is not 22 to 256 ICE characters")]
    Password,
    /// There is no SHA-256 fingerprint.
    #[error("a description without a SHA-256 fingerprint")]
    NoFingerprint,
    /// A SHA-256 fingerprint is not 32 bytes in hexadecimal, with colons.
    #[error("a SHA-256 fingerprint that is not 32 bytes in hexadecimal")]
    Fingerprint,
    /// Two SHA-256 fingerprints differ.
    #[error("a description with two different SHA-256 fingerprints")]
    TwoFingerprints,
    /// Nothing says who begins the DTLS handshake.
    #[error("a description without a DTLS role")]
    NoSetup,
    /// The DTLS role is neither `actpass`, `active` nor `passive`.
    #[error("an unknown DTLS role")]
    Setup,
    /// The SCTP port is no number from 1 to 65,535.
    #[error("an SCTP port that is no number from 1 to 65,535")]
    SctpPort,
    /// The largest message is no number.
    #[error("a largest message that is no number")]
    MaxMessage,
    /// The SCTP INIT chunk is not base64.
    #[error("an SCTP INIT chunk that is not base64")]
    SctpInit,
}

impl Password {
    /// Takes 22 to 256 ICE characters.
    ///
    /// # Errors
    /// [`SdpError::Password`].
    pub fn new(password: impl Into<String>) -> Result<Self, SdpError> {
        let password = Zeroizing::new(password.into());
        if text::ice_chars(&password, 22..=256) { Ok(Self(password)) } else { Err(SdpError::Password) }
    }

    /// Its characters.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}

impl Setup {
    /// How an offer with this role is answered; whoever may choose is the client, which saves half a round trip.
    pub const fn answer(self) -> Self {
        match self {
            Self::ActPass | Self::Passive => Self::Active,
            Self::Active => Self::Passive,
        }
    }

    /// Its word in a description.
    pub const fn word(self) -> &'static str {
        match self {
            Self::ActPass => "actpass",
            Self::Active => "active",
            Self::Passive => "passive",
        }
    }
}

impl Description {
    /// What an offer begins with: one section, no candidates, the usual SCTP port.
    pub fn offer(ufrag: String, password: Password, fingerprint: [u8; 32]) -> Self {
        Self {
            ufrag,
            password,
            ice_lite: false,
            fingerprint,
            setup: Setup::ActPass,
            mid: "0".to_owned(),
            bundle: true,
            sctp_port: 5000,
            max_message: None,
            sctp_init: None,
            candidates: Vec::new(),
            end_of_candidates: false,
            skipped: 0,
            other_sections: Vec::new(),
            position: 0,
        }
    }

    /// Takes the shape of what it answers, or continues: the sections in their order, the names, the group. The DTLS
    /// role is the one that suits.
    #[must_use]
    pub fn answering(mut self, offer: &Self) -> Self {
        self.setup = offer.setup.answer();
        self.shaped_like(offer)
    }

    /// Takes the sections, names and group of an earlier description of the same exchange, as every later one must.
    #[must_use]
    pub fn shaped_like(mut self, earlier: &Self) -> Self {
        self.mid.clone_from(&earlier.mid);
        self.bundle = earlier.bundle;
        self.other_sections.clone_from(&earlier.other_sections);
        self.position = earlier.position;
        self
    }

    /// Reads a description of at most `limit` bytes.
    ///
    /// # Errors
    /// One variant per rule.
    pub fn parse(sdp: &str, limit: usize) -> Result<Self, SdpError> {
        parse::description(sdp, limit)
    }

    /// Writes it as the `version`th description of the `session`, two numbers that only tell descriptions apart.
    pub fn to_sdp(&self, session: u64, version: u64) -> String {
        emit::description(self, session, version)
    }
}

#[cfg(test)]
mod tests;
