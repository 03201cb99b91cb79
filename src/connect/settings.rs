//! What people keep in files and in the environment: their secret key, and the relays they use.
//!
//! Here is only how both are written; drivers read the files. A key file is one line of 64 hexadecimal digits, the
//! 32 bytes of an Ed25519 seed (RFC 8032). A list of relays is one connection string a line, with comments on lines
//! that begin with `#`; in a variable, strings are separated by white space or commas. STUN and TURN servers are written
//! in a variable as JSON, as browsers take them, or those without credentials by their URIs, separated in the same way.

use zeroize::Zeroizing;

use super::{ConnectError, ConnectionString};
#[cfg(feature = "webrtc")]
use crate::wire::ice_server::{IceServer, IceServerError, parse_ice_servers};

/// A text is not that of a secret key. It says nothing of the text, which may be a secret after all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is not a secret key: 64 hexadecimal digits in one line")]
pub struct NotAKey;

/// The text of a secret key, with a line feed.
pub fn secret_text(seed: &[u8; 32]) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(65));
    for digit in seed.iter().flat_map(|byte| [byte >> 4, byte & 15]) {
        text.push(char::from_digit(digit.into(), 16).unwrap_or_default());
    }
    text.push('\n');
    text
}

/// The secret key of a text; white space around it is passed over.
///
/// # Errors
/// [`NotAKey`].
pub fn parse_secret(text: &str) -> Result<Zeroizing<[u8; 32]>, NotAKey> {
    let digits = text.trim_ascii().as_bytes();
    let mut seed = Zeroizing::new([0; 32]);
    if digits.len() != 64 {
        return Err(NotAKey);
    }
    for (byte, pair) in seed.iter_mut().zip(digits.chunks(2)) {
        *byte = hex(pair[0])? << 4 | hex(pair[1])?;
    }
    Ok(seed)
}

fn hex(digit: u8) -> Result<u8, NotAKey> {
    char::from(digit).to_digit(16).map(|digit| digit as u8).ok_or(NotAKey)
}

/// The relays of a file: one connection string a line.
///
/// # Errors
/// Of the first line that is no connection string.
pub fn relays_of_file(text: &str) -> Result<Vec<String>, ConnectError> {
    checked(text.lines().map(str::trim).filter(|line| !line.starts_with('#')))
}

/// The relays of a variable: connection strings separated by white space or commas.
///
/// # Errors
/// Of the first that is no connection string.
pub fn relays_of_variable(text: &str) -> Result<Vec<String>, ConnectError> {
    checked(words(text))
}

/// The STUN and TURN servers of a variable: a list of W3C `RTCIceServer` in JSON, or URIs.
///
/// # Errors
/// The first rule that is broken.
#[cfg(feature = "webrtc")]
pub fn servers_of_variable(text: &str) -> Result<Vec<IceServer>, IceServerError> {
    if text.trim_start().starts_with('[') {
        return parse_ice_servers(text);
    }
    words(text).filter(|uri| !uri.is_empty()).map(IceServer::stun).collect()
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|character: char| character == ',' || character.is_whitespace())
}

fn checked<'a>(strings: impl Iterator<Item = &'a str>) -> Result<Vec<String>, ConnectError> {
    let strings = strings.filter(|string| !string.is_empty());
    strings.map(|string| ConnectionString::parse(string).map(|_| string.to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_as_it_was_written() {
        let seed = std::array::from_fn(|at| (at * 37) as u8);
        assert_eq!(*parse_secret(&secret_text(&seed)).unwrap(), seed);
        assert_eq!(secret_text(&[0xa0; 32]).trim_end(), "a0".repeat(32));
    }

    #[test]
    fn what_is_no_key_is_refused() {
        for text in ["", "a0", &"a0".repeat(33), &"g0".repeat(32), &"ä".repeat(32)] {
            assert_eq!(parse_secret(text), Err(NotAKey), "{text}");
        }
    }

    #[test]
    fn relays_are_listed_by_lines_and_by_commas() {
        let file = "# mine\ntcp:a.example:1\n\n  ws://b.example/x \n#tcp:c.example:1\n";
        assert_eq!(relays_of_file(file).unwrap(), ["tcp:a.example:1", "ws://b.example/x"]);
        assert_eq!(relays_of_variable(" tcp:a:1,ws://b/ \n tcp:c:2,").unwrap(), ["tcp:a:1", "ws://b/", "tcp:c:2"]);
        assert_eq!(relays_of_variable(""), Ok(vec![]));
    }

    #[test]
    fn a_relay_that_is_no_connection_string_is_an_error() {
        assert!(relays_of_file("tcp:a:1\n:x").is_err());
    }

    #[cfg(feature = "webrtc")]
    #[test]
    fn servers_are_listed_by_uris_or_by_json() {
        let uris = |text: &str| {
            let servers = servers_of_variable(text).unwrap();
            servers.iter().map(|server| server.uri.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(uris(" stun:a.example,stun:b.example:1 "), ["stun:a.example", "stun:b.example:1"]);
        assert_eq!(uris(r#"[{"urls": "turn:c", "username": "u", "credential": "p"}]"#), ["turn:c"]);
        assert_eq!(uris(" "), Vec::<String>::new());
        assert!(matches!(servers_of_variable("turn:d"), Err(IceServerError::NoCredential { .. })));
    }
}
