//! Who an endpoint is: an Ed25519 public key, and which of its processes.
//!
//! An [`EndpointId`] is written in lower-case base32 (RFC 4648, without padding): 52 characters, of which the first
//! ten are its short form. An [`Address`] adds the instance, a random number that each process draws for itself.

use std::fmt;
use std::str::FromStr;

use super::cursor::{Cursor, Malformed};

const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
/// Characters of an id.
const LEN: usize = 52;

/// An endpoint's Ed25519 public key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EndpointId(pub [u8; 32]);

/// One process of an endpoint: a random number, never 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instance(pub u32);

impl Instance {
    /// Stands for whichever instance is the newest.
    pub const NEWEST: Self = Self(0);
}

/// An endpoint, and which of its processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    /// The endpoint.
    pub id: EndpointId,
    /// The process, or [`Instance::NEWEST`].
    pub instance: Instance,
}

/// Why a text is no endpoint id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an endpoint id has 52 characters of a-z and 2-7")]
pub struct NotAnId;

impl EndpointId {
    /// The first ten characters, for people; not unique.
    pub fn short(&self) -> String {
        self.to_string()[..10].to_owned()
    }
}

impl fmt::Display for EndpointId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mut bits, mut held) = (0u32, 0);
        let mut text = String::with_capacity(LEN);
        for byte in self.0 {
            bits = bits << 8 | u32::from(byte);
            held += 8;
            while held >= 5 {
                held -= 5;
                text.push(char::from(ALPHABET[(bits >> held & 31) as usize]));
            }
        }
        text.push(char::from(ALPHABET[(bits << (5 - held) & 31) as usize]));
        f.write_str(&text)
    }
}

impl fmt::Debug for EndpointId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.short())
    }
}

impl FromStr for EndpointId {
    type Err = NotAnId;

    fn from_str(text: &str) -> Result<Self, NotAnId> {
        if text.len() != LEN {
            return Err(NotAnId);
        }
        let (mut id, mut at) = ([0; 32], 0);
        let (mut bits, mut held) = (0u32, 0);
        for character in text.bytes() {
            let value = ALPHABET.iter().position(|known| *known == character).ok_or(NotAnId)?;
            bits = bits << 5 | value as u32;
            held += 5;
            if held >= 8 {
                held -= 8;
                id[at] = (bits >> held) as u8;
                at += 1;
            }
        }
        let unused = bits & ((1 << held) - 1);
        if unused == 0 { Ok(Self(id)) } else { Err(NotAnId) }
    }
}

impl From<EndpointId> for Address {
    fn from(id: EndpointId) -> Self {
        Self { id, instance: Instance::NEWEST }
    }
}

impl Address {
    /// Bytes of an address in a message: the key, then the instance, big-endian.
    pub const LEN: usize = 36;

    /// Appends it.
    pub fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.id.0);
        out.extend_from_slice(&self.instance.0.to_be_bytes());
    }

    /// Reads it.
    ///
    /// # Errors
    /// [`Malformed::Truncated`].
    pub fn take(cursor: &mut Cursor<'_>) -> Result<Self, Malformed> {
        Ok(Self { id: EndpointId(cursor.array()?), instance: Instance(cursor.u32()?) })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.instance {
            Instance::NEWEST => self.id.fmt(f),
            Instance(number) => write!(f, "{}/{number:08x}", self.id),
        }
    }
}

impl FromStr for Address {
    type Err = NotAnId;

    fn from_str(text: &str) -> Result<Self, NotAnId> {
        let Some((id, instance)) = text.split_once('/') else { return Ok(text.parse::<EndpointId>()?.into()) };
        let number = u32::from_str_radix(instance, 16).map_err(|_| NotAnId)?;
        Ok(Self { id: id.parse()?, instance: Instance(number) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_written_as_other_base32_tools_write_it() {
        let mut key = [0; 32];
        for (n, byte) in key.iter_mut().enumerate() {
            *byte = n as u8;
        }
        let text = EndpointId(key).to_string();
        assert_eq!(text, "aaaqeayeaudaocajbifqydiob4ibceqtcqkrmfyydenbwha5dypq");
        assert_eq!(text.parse(), Ok(EndpointId(key)));
        assert_eq!(EndpointId(key).short(), "aaaqeayeau");
    }

    #[test]
    fn a_text_that_is_no_id_is_refused() {
        let good = EndpointId([255; 32]).to_string();
        assert!(good.parse::<EndpointId>().is_ok());
        for bad in ["", &good[1..], &good.to_uppercase(), &format!("{}7", &good[..51])] {
            assert_eq!(bad.parse::<EndpointId>(), Err(NotAnId), "{bad}");
        }
    }

    #[test]
    fn an_address_names_its_instance_unless_any_will_do() {
        let address = Address { id: EndpointId([7; 32]), instance: Instance(0xab) };
        assert_eq!(address.to_string().parse(), Ok(address));
        assert_eq!(Address::from(address.id).to_string(), address.id.to_string());
    }
}
