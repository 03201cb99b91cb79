//! STUN and TURN servers that a relay hands out to a neighbour, each with credentials of its own.
//!
//! ```text
//! servers := count (1 byte) entry*
//! entry   := lifetime (4 bytes, seconds) uri username credential
//! ```
//!
//! Texts are prefixed by their length as a variable-length number. A URI is one of RFC 7064 or RFC 7065; it is not looked
//! at here. A server that wants no credentials has empty ones.

use std::fmt;

use zeroize::Zeroizing;

use super::cursor::{Cursor, Malformed, put_prefixed};

/// Most servers of one message.
pub const MAX_SERVERS: usize = 8;
/// Most bytes of the texts of one server, together.
pub const MAX_SERVER: usize = 512;

/// One server. Its `Debug` masks the credential.
#[derive(Clone, PartialEq, Eq)]
pub struct GrantedServer {
    /// Where, as `turn:host:port?transport=udp`.
    pub uri: String,
    /// The user name, or nothing.
    pub username: String,
    /// The password, or nothing.
    pub credential: Zeroizing<String>,
    /// How long the credentials last, in seconds; 0: they do not expire.
    pub lifetime: u32,
}

impl fmt::Debug for GrantedServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { uri, username, lifetime, .. } = self;
        let mut out = f.debug_struct("GrantedServer");
        out.field("uri", uri).field("username", username).field("lifetime", lifetime).finish_non_exhaustive()
    }
}

impl GrantedServer {
    fn len(&self) -> usize {
        self.uri.len() + self.username.len() + self.credential.len()
    }
}

/// Why bytes are no list of servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum ServersError {
    /// A part of it is wrong.
    #[error("a list of servers: {0}")]
    Malformed(#[from] Malformed),
    /// There are too many.
    #[error("more than {MAX_SERVERS} servers")]
    TooMany,
    /// One is too long.
    #[error("a server of more than {MAX_SERVER} bytes")]
    TooLong,
    /// Something follows the list.
    #[error("a list of servers with something after its end")]
    Trailing,
}

/// Writes a list; what exceeds a bound is left out.
pub fn encode(servers: &[GrantedServer]) -> Vec<u8> {
    let fitting: Vec<_> = servers.iter().filter(|server| server.len() <= MAX_SERVER).take(MAX_SERVERS).collect();
    let mut out = vec![fitting.len() as u8];
    for server in fitting {
        out.extend_from_slice(&server.lifetime.to_be_bytes());
        for text in [&server.uri, &server.username, &*server.credential] {
            put_prefixed(&mut out, text.as_bytes());
        }
    }
    out
}

/// Reads a list.
///
/// # Errors
/// One variant per rule.
pub fn decode(bytes: &[u8]) -> Result<Vec<GrantedServer>, ServersError> {
    let mut cursor = Cursor::new(bytes);
    let count = usize::from(cursor.u8()?);
    if count > MAX_SERVERS {
        return Err(ServersError::TooMany);
    }
    let servers = (0..count).map(|_| take(&mut cursor)).collect::<Result<_, _>>()?;
    if cursor.is_empty() { Ok(servers) } else { Err(ServersError::Trailing) }
}

fn take(cursor: &mut Cursor<'_>) -> Result<GrantedServer, ServersError> {
    let lifetime = cursor.u32()?;
    let (uri, username, credential) = (cursor.text()?, cursor.text()?, cursor.text()?);
    if uri.len() + username.len() + credential.len() > MAX_SERVER {
        return Err(ServersError::TooLong);
    }
    let credential = Zeroizing::new(credential.to_owned());
    Ok(GrantedServer { uri: uri.to_owned(), username: username.to_owned(), credential, lifetime })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(n: usize) -> GrantedServer {
        let credential = Zeroizing::new("open sesame".to_owned());
        GrantedServer { uri: "turn:a:1".to_owned(), username: "u".repeat(n), credential, lifetime: 600 }
    }

    #[test]
    fn lists_come_back_and_show_no_credential() {
        for list in [vec![], vec![server(1)], vec![server(3); MAX_SERVERS]] {
            assert_eq!(decode(&encode(&list)).as_ref(), Ok(&list));
        }
        assert!(!format!("{:?}", server(1)).contains("sesame"));
    }

    #[test]
    fn what_exceeds_a_bound_is_not_written() {
        let list = [vec![server(MAX_SERVER)], vec![server(1); MAX_SERVERS + 1]].concat();
        assert_eq!(decode(&encode(&list)).unwrap().len(), MAX_SERVERS);
    }

    #[test]
    fn each_broken_rule_has_its_own_error() {
        let whole = encode(&[server(3)]);
        for len in 0..whole.len() {
            assert_eq!(decode(&whole[..len]), Err(ServersError::Malformed(Malformed::Truncated)));
        }
        assert_eq!(decode(&[&whole[..], &[0]].concat()), Err(ServersError::Trailing));
        assert_eq!(decode(&[9]), Err(ServersError::TooMany));
        let mut long = vec![1, 0, 0, 0, 1];
        put_prefixed(&mut long, &[b'x'; MAX_SERVER + 1]);
        long.extend_from_slice(&[0, 0]);
        assert_eq!(decode(&long), Err(ServersError::TooLong));
        assert_eq!(decode(&[1, 0, 0, 0, 1, 1, 0xff, 0, 0]), Err(ServersError::Malformed(Malformed::Utf8)));
    }
}
