//! What can be wrong with a head, by the rule that was broken.

/// Why a head was refused. Final for the connection.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HttpError {
    /// More bytes than a head may have.
    #[error("the head is larger than {limit} bytes: send fewer or shorter headers")]
    HeadTooLarge {
        /// The limit.
        limit: usize,
    },
    /// More lines than a head may have.
    #[error("the head has more than {limit} headers: send fewer")]
    TooManyHeaders {
        /// The limit.
        limit: usize,
    },
    /// A line feed without carriage return, or the other way round (RFC 9112, section 2.2).
    #[error("a line does not end with carriage return and line feed")]
    LineEnd,
    /// Not the grammar of HTTP.
    #[error("the head is not HTTP: {0}")]
    Malformed(String),
    /// Several lengths (RFC 9112, section 6.3).
    #[error("there are two Content-Length headers: send one")]
    TwoLengths,
    /// A length beside an encoding (RFC 9112, section 6.3).
    #[error("there are both Content-Length and Transfer-Encoding: send neither")]
    LengthAndEncoding,
    /// An upgrade request has no body.
    #[error("a body is announced: an upgrade request has none")]
    BodyAnnounced,
    /// Only GET upgrades (RFC 6455, section 4.1).
    #[error("the method is {0}: a WebSocket is opened by GET")]
    Method(String),
    /// Only HTTP/1.1 upgrades (RFC 6455, section 4.1).
    #[error("the version is not HTTP/1.1: a WebSocket is opened by that")]
    Version,
    /// No host (RFC 9112, section 3.2).
    #[error("the Host header is missing")]
    HostMissing,
    /// Several hosts (RFC 9112, section 3.2).
    #[error("there are two Host headers: send one")]
    HostTwice,
    /// No upgrade to a WebSocket (RFC 6455, sections 4.1 and 4.2.1).
    #[error("the Upgrade header lacks websocket: only WebSockets are spoken here")]
    UpgradeMissing,
    /// The upgrade isn't for this hop (RFC 6455, sections 4.1 and 4.2.1).
    #[error("the Connection header lacks upgrade: does a proxy between drop it?")]
    ConnectionMissing,
    /// Another version of the WebSocket protocol (RFC 6455, section 4.2.1).
    #[error("the Sec-WebSocket-Version is not 13, the only one spoken here")]
    WebSocketVersion,
    /// No key (RFC 6455, section 4.2.1).
    #[error("the Sec-WebSocket-Key is missing")]
    KeyMissing,
    /// Several keys (RFC 6455, section 11.3.1).
    #[error("there are two Sec-WebSocket-Key headers: send one")]
    KeyTwice,
    /// A key of another form (RFC 6455, section 4.2.1).
    #[error("the Sec-WebSocket-Key is not 16 bytes in base64")]
    KeyInvalid,
    /// Nothing at this path.
    #[error("there is nothing at {0:?}: check the path of the address")]
    PathUnknown(String),
    /// A page of this origin may not connect (RFC 6455, section 10.2).
    #[error("pages of {0:?} may not connect: add the origin to those that are allowed")]
    OriginRefused(String),
    /// The peer speaks something else.
    #[error("the answer is not HTTP: is this the right port?")]
    NotHttp,
    /// The server does not upgrade.
    #[error("the server answers {status} instead of opening a WebSocket{}", at(.location))]
    Status {
        /// What it answers.
        status: u16,
        /// Where it points to, with a status of 300 to 399.
        location: Option<String>,
    },
    /// No proof that the server speaks WebSocket (RFC 6455, section 4.1).
    #[error("the Sec-WebSocket-Accept is missing: the server does not speak WebSocket")]
    AcceptMissing,
    /// A wrong proof, for instance a cached answer (RFC 6455, section 4.1).
    #[error("the Sec-WebSocket-Accept does not match our key: is there a cache between?")]
    AcceptWrong,
    /// The server chose what was not offered (RFC 6455, section 4.1).
    #[error("the server chose the subprotocol {0:?}, which was not offered")]
    SubprotocolUnknown(String),
    /// The server chose none of those offered.
    #[error("the server speaks none of the subprotocols that were offered")]
    SubprotocolMissing,
    /// The server uses an extension that was not offered (RFC 6455, section 4.1).
    #[error("the server uses the extension {0:?}, which was not offered")]
    Extension(String),
    /// The proxy wants to know who asks.
    #[error("the proxy wants a user and a password: give the right ones in its address")]
    ProxyAuthentication,
    /// The proxy does not connect.
    #[error("the proxy answers {0} instead of connecting")]
    ProxyRefused(u16),
    /// Local misuse: this part of the own head would break it.
    #[error("the {0} has characters that are not allowed there")]
    InvalidPart(&'static str),
    /// Local misuse: a header that is written anyway.
    #[error("the header {0:?} is set by the upgrade itself: leave it out")]
    ReservedHeader(String),
    /// Local misuse: bytes after the end.
    #[error("the head has ended already: what follows belongs to the next protocol")]
    Finished,
}

impl HttpError {
    /// The status that a server answers with.
    pub fn status(&self) -> u16 {
        match self {
            Self::OriginRefused(_) => 403,
            Self::PathUnknown(_) => 404,
            Self::Method(method) if is_known(method) => 405,
            Self::Method(_) => 501,
            Self::UpgradeMissing | Self::WebSocketVersion => 426,
            Self::HeadTooLarge { .. } | Self::TooManyHeaders { .. } => 431,
            Self::Version => 505,
            _ => 400,
        }
    }
}

/// The methods of RFC 9110, section 9 and RFC 5789; others are not implemented rather than not allowed.
fn is_known(method: &str) -> bool {
    ["HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"].contains(&method)
}

fn at(location: &Option<String>) -> String {
    location.as_ref().map(|to| format!(" and points to {to:?}")).unwrap_or_default()
}
