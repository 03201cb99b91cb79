//! Why an association ends or complains (RFC 9260, section 3.3.10).

use std::fmt;

use super::list::{self, HEAD};

/// A stream that does not exist: its number, two bytes of nothing.
pub const INVALID_STREAM: u16 = 1;
/// Parameters are missing: their count (four bytes), their types.
pub const MISSING_PARAMETER: u16 = 2;
/// The cookie came too late: by how many microseconds.
pub const STALE_COOKIE: u16 = 3;
/// Something is used up.
pub const OUT_OF_RESOURCE: u16 = 4;
/// An address is of no use: it.
pub const UNRESOLVABLE_ADDRESS: u16 = 5;
/// A chunk is not known: it.
pub const UNRECOGNIZED_CHUNK: u16 = 6;
/// A mandatory parameter has a value that is none.
pub const INVALID_PARAMETER: u16 = 7;
/// Parameters are not known: they.
pub const UNRECOGNIZED_PARAMETERS: u16 = 8;
/// A chunk has no payload: its number.
pub const NO_USER_DATA: u16 = 9;
/// A cookie came while the association was shutting down.
pub const COOKIE_WHILE_SHUTTING_DOWN: u16 = 10;
/// The peer began anew with other addresses: they.
pub const RESTART_WITH_NEW_ADDRESSES: u16 = 11;
/// The user wants it: words for people.
pub const USER_INITIATED: u16 = 12;
/// A rule of the protocol was broken: words for people.
pub const PROTOCOL_VIOLATION: u16 = 13;

/// One cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cause<'a> {
    /// Which, as the constants of this module name them.
    pub code: u16,
    /// What belongs to it.
    pub value: &'a [u8],
}

impl Cause<'_> {
    /// Bytes that it takes, padding included.
    pub(super) const fn len(&self) -> usize {
        (HEAD + self.value.len()).next_multiple_of(4)
    }
}

impl fmt::Display for Cause<'_> {
    /// Its name, and what it says to people, at most [`MOST_WORDS`] bytes of it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match name(self.code) {
            Some(name) => f.write_str(name)?,
            None => write!(f, "cause {}", self.code)?,
        }
        if matches!(self.code, USER_INITIATED | PROTOCOL_VIOLATION) && !self.value.is_empty() {
            let words = &self.value[..self.value.len().min(MOST_WORDS)];
            write!(f, ": {}", String::from_utf8_lossy(words).escape_debug())?;
        }
        Ok(())
    }
}

/// Bytes of a cause's words that are shown.
pub const MOST_WORDS: usize = 128;
/// Causes of a list that are shown.
const MOST_SHOWN: usize = 4;

fn name(code: u16) -> Option<&'static str> {
    Some(match code {
        INVALID_STREAM => "a stream does not exist",
        MISSING_PARAMETER => "a mandatory parameter is missing",
        STALE_COOKIE => "the cookie is stale",
        OUT_OF_RESOURCE => "out of resource",
        UNRESOLVABLE_ADDRESS => "an address is unresolvable",
        UNRECOGNIZED_CHUNK => "a chunk is of an unknown type",
        INVALID_PARAMETER => "a mandatory parameter is invalid",
        UNRECOGNIZED_PARAMETERS => "parameters are unknown",
        NO_USER_DATA => "a chunk has no payload",
        COOKIE_WHILE_SHUTTING_DOWN => "a cookie came while shutting down",
        RESTART_WITH_NEW_ADDRESSES => "a restart came with new addresses",
        USER_INITIATED => "the peer's user ended it",
        PROTOCOL_VIOLATION => "a rule was broken",
        _ => return None,
    })
}

/// The causes that an ABORT or an ERROR lists. One that does not fit ends the list: an ABORT is one, whatever it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Causes<'a> {
    list: &'a [u8],
    is_reflected: bool,
}

impl<'a> Causes<'a> {
    pub(super) const fn new(list: &'a [u8], is_reflected: bool) -> Self {
        Self { list, is_reflected }
    }

    /// Whether its packet carries the sender's own verification tag, because it knows no other: the bit T of ABORT.
    pub const fn is_reflected(&self) -> bool {
        self.is_reflected
    }

    /// Which kind of cause comes first.
    pub fn first(&self) -> Option<Cause<'a>> {
        self.into_iter().next()
    }
}

impl<'a> Iterator for Causes<'a> {
    type Item = Cause<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        let entry = list::next(&mut self.list)?;
        let Ok(entry) = entry else {
            self.list = &[];
            return None;
        };
        Some(Cause { code: entry.kind, value: entry.value })
    }
}

impl fmt::Display for Causes<'_> {
    /// The first four of them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, cause) in self.take(MOST_SHOWN).enumerate() {
            let between = if place == 0 { "" } else { "; " };
            write!(f, "{between}{cause}")?;
        }
        if self.first().is_none() { f.write_str("no cause given") } else { Ok(()) }
    }
}
