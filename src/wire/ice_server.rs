//! STUN and TURN servers, as their URIs name them (RFC 7064, RFC 7065).

use std::fmt;

use zeroize::Zeroizing;

/// What a server does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum IceScheme {
    /// STUN.
    Stun,
    /// TURN.
    Turn,
    /// TURN over TLS.
    Turns,
}

/// How a server is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum IceTransport {
    /// By datagrams.
    Udp,
    /// Over a TCP connection.
    Tcp,
    /// Over TLS.
    Tls,
}

/// Where a server is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct IceUri {
    /// What it does.
    pub scheme: IceScheme,
    /// Its name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How it is reached.
    pub transport: IceTransport,
}

/// A word that isn't shown, and is wiped when dropped.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Secret(pub Zeroizing<String>);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// One server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IceServer {
    /// Where it is.
    pub uri: IceUri,
    /// As whom it is used; empty for STUN.
    pub username: String,
    /// The proof of that.
    pub credential: Secret,
}
