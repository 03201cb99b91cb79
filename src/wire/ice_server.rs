//! STUN and TURN servers as people and browsers write them: URIs and the W3C's list of `iceServers`.
//!
//! *URIs* (RFC 7064, RFC 7065) are `stun:host`, `turn:host` and `turns:host`, each with `:port` and, for TURN, with
//! `?transport=udp` or `?transport=tcp`. They carry no user: where somebody wrote one, errors mask it. The port is
//! 3478, or 5349 where TLS protects the connection. `stuns:` and TURN over DTLS are not supported.
//!
//! *The list* (WebRTC, section 4.2.3, `RTCIceServer`) is JSON: objects with `urls`, one string or several, and for TURN
//! `username` and `credential`. Each URI of it becomes a server of its own. Members that are not known are ignored, as
//! browsers do. A list is refused whole on its first mistake, since half a list is found out about too late.
//!
//! Time-limited credentials are in no way special here: what the service gave as `username` and `credential` is used
//! as it is.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

#[cfg(feature = "webrtc")]
use serde_json::Value;
use zeroize::Zeroizing;

/// Servers that one list may have.
pub const MOST_SERVERS: usize = 16;
/// Bytes of one list.
const LONGEST_LIST: usize = 64 * 1024;
/// Bytes of one URI: a host name has 253.
const LONGEST_URI: usize = 300;
/// Bytes of a user's name (RFC 8489, section 14.3) and of a credential.
const LONGEST_WORD: usize = 508;

/// A word that only its owner and a server know. Its `Debug` masks it, and its memory is wiped.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// A secret.
    pub fn new(word: impl Into<String>) -> Self {
        Self(Zeroizing::new(word.into()))
    }

    /// The word itself.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// What a server is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum IceScheme {
    /// Our address as it is seen from outside: `stun`.
    Stun,
    /// A relayed address: `turn`.
    Turn,
    /// A relayed address, asked for inside TLS: `turns`.
    Turns,
}

/// How a server is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum IceTransport {
    /// By UDP.
    Udp,
    /// By TCP.
    Tcp,
    /// By TLS over TCP.
    Tls,
}

/// Where a server is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IceUri {
    /// What it is asked for.
    pub scheme: IceScheme,
    /// A name, an IPv4 address, or an IPv6 address without brackets.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How it is reached: `Tls` with the scheme `Turns` and only with it.
    pub transport: IceTransport,
}

/// A server with the credentials that it wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IceServer {
    /// Where it is.
    pub uri: IceUri,
    /// For TURN: who asks.
    pub username: String,
    /// For TURN: the password.
    pub credential: Secret,
}

/// Why a server can't be used; each is one rule broken. What is quoted has its secrets masked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IceServerError {
    /// The list is longer than 64 KiB.
    #[error("the list of servers is longer than {LONGEST_LIST} bytes")]
    ListTooLong,
    /// It is not JSON.
    #[error("the list of servers is not JSON: line {line}, column {column}")]
    Json {
        /// Where, counted from 1.
        line: usize,
        /// Where in it, counted from 1.
        column: usize,
    },
    /// It is not a list of objects.
    #[error("the servers must be a list of objects")]
    NotAList,
    /// It has more than [`MOST_SERVERS`].
    #[error("there are more than {MOST_SERVERS} servers")]
    TooMany,
    /// An object has no `urls`, or something else than strings there.
    #[error("server {index} needs `urls`: a string, or a list of strings")]
    Urls {
        /// Which object, counted from 0.
        index: usize,
    },
    /// `username` or `credential` is not a string, or too long.
    #[error("`{member}` of server {index} must be a string of at most {LONGEST_WORD} bytes")]
    Word {
        /// Which object, counted from 0.
        index: usize,
        /// Its member.
        member: &'static str,
    },
    /// A TURN server without credentials.
    #[error("{uri}: TURN needs `username` and `credential`")]
    NoCredential {
        /// The server.
        uri: String,
    },
    /// A URI is longer than 300 bytes.
    #[error("{uri}: longer than {LONGEST_URI} bytes")]
    TooLong {
        /// Its beginning.
        uri: String,
    },
    /// The scheme is none of `stun`, `turn` and `turns`.
    #[error("{uri}: it must begin with stun:, turn: or turns:")]
    Scheme {
        /// What was written.
        uri: String,
    },
    /// A user is written in the URI.
    #[error("{uri}: a user has no place in the URI, but in `username` and `credential`")]
    User {
        /// What was written.
        uri: String,
    },
    /// The host is missing or not a host.
    #[error("{uri}: not a host name or address")]
    Host {
        /// What was written.
        uri: String,
    },
    /// The port is not a number from 1 to 65535.
    #[error("{uri}: the port must be a number from 1 to 65535")]
    Port {
        /// What was written.
        uri: String,
    },
    /// What follows `?` is neither `transport=udp` nor `transport=tcp`, or stands after `stun:`.
    #[error("{uri}: only TURN may be followed by ?transport=udp or ?transport=tcp")]
    Query {
        /// What was written.
        uri: String,
    },
    /// `turns` by UDP.
    #[error("{uri}: TURN over DTLS is not supported")]
    Dtls {
        /// What was written.
        uri: String,
    },
}

impl FromStr for IceUri {
    type Err = IceServerError;

    fn from_str(text: &str) -> Result<Self, IceServerError> {
        let uri = mask(text);
        if text.len() > LONGEST_URI {
            return Err(IceServerError::TooLong { uri });
        }
        let Some((scheme, rest)) = split_scheme(text) else { return Err(IceServerError::Scheme { uri }) };
        if rest.contains('@') {
            return Err(IceServerError::User { uri });
        }
        let (authority, query) = rest.split_once('?').map_or((rest, None), |(before, after)| (before, Some(after)));
        let Some(transport) = transport_of(scheme, query) else { return Err(IceServerError::Query { uri }) };
        if scheme == IceScheme::Turns && transport == IceTransport::Udp {
            return Err(IceServerError::Dtls { uri });
        }
        let Some((host, port)) = split_port(authority).filter(|(host, _)| is_host(host)) else {
            return Err(IceServerError::Host { uri });
        };
        let port = match port.map(|port| (port, port.parse::<u16>())) {
            None => default_port(transport),
            Some((digits, Ok(port))) if port > 0 && digits.bytes().all(|byte| byte.is_ascii_digit()) => port,
            Some(_) => return Err(IceServerError::Port { uri }),
        };
        Ok(Self { scheme, host: host.to_ascii_lowercase(), port, transport })
    }
}

fn split_scheme(text: &str) -> Option<(IceScheme, &str)> {
    let (scheme, rest) = text.split_once(':')?;
    let schemes = [("stun", IceScheme::Stun), ("turn", IceScheme::Turn), ("turns", IceScheme::Turns)];
    let (_, scheme) = schemes.into_iter().find(|(name, _)| scheme.eq_ignore_ascii_case(name))?;
    Some((scheme, rest))
}

fn transport_of(scheme: IceScheme, query: Option<&str>) -> Option<IceTransport> {
    match (scheme, query) {
        (IceScheme::Stun | IceScheme::Turn, None) | (IceScheme::Turn, Some("transport=udp")) => Some(IceTransport::Udp),
        (IceScheme::Turns, Some("transport=udp")) => Some(IceTransport::Udp),
        (IceScheme::Turn, Some("transport=tcp")) => Some(IceTransport::Tcp),
        (IceScheme::Turns, None | Some("transport=tcp")) => Some(IceTransport::Tls),
        _ => None,
    }
}

/// The host without brackets, and the port as it is written.
fn split_port(authority: &str) -> Option<(&str, Option<&str>)> {
    if let Some(inner) = authority.strip_prefix('[') {
        let (host, rest) = inner.split_once(']')?;
        host.parse::<std::net::Ipv6Addr>().ok()?;
        return match rest {
            "" => Some((host, None)),
            _ => Some((host, Some(rest.strip_prefix(':')?))),
        };
    }
    let (host, port) = authority.split_once(':').map_or((authority, None), |(host, port)| (host, Some(port)));
    (!port.is_some_and(|port| port.contains(':'))).then_some((host, port))
}

fn is_host(host: &str) -> bool {
    if host.parse::<IpAddr>().is_ok() {
        return true;
    }
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    !host.is_empty() && host.len() <= 253 && !host.starts_with('.') && host.bytes().all(is_letter)
}

const fn default_port(transport: IceTransport) -> u16 {
    match transport {
        IceTransport::Udp | IceTransport::Tcp => 3478,
        IceTransport::Tls => 5349,
    }
}

/// What may be quoted of a URI: its beginning, without a user and without what would garble a terminal.
fn mask(text: &str) -> String {
    let text = match (text.split_once(':'), text.rsplit_once('@')) {
        (Some((scheme, _)), Some((before, host))) if before.len() > scheme.len() => format!("{scheme}:***@{host}"),
        (None, Some((_, host))) => format!("***@{host}"),
        _ => text.to_owned(),
    };
    let shown = text.chars().filter(|c| !c.is_control());
    shown.take(LONGEST_URI).collect()
}

impl fmt::Display for IceUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.scheme {
            IceScheme::Stun => "stun:",
            IceScheme::Turn => "turn:",
            IceScheme::Turns => "turns:",
        })?;
        if self.host.contains(':') {
            write!(f, "[{}]", self.host)?;
        } else {
            f.write_str(&self.host)?;
        }
        if self.port != default_port(self.transport) {
            write!(f, ":{}", self.port)?;
        }
        if self.transport == IceTransport::Tcp {
            f.write_str("?transport=tcp")?;
        }
        Ok(())
    }
}

impl IceServer {
    /// A STUN server.
    ///
    /// # Errors
    /// Which rule `uri` breaks; that it is one of TURN, which needs credentials.
    pub fn stun(uri: &str) -> Result<Self, IceServerError> {
        Self::new(uri, "", "")
    }

    /// A server with credentials, which STUN ignores.
    ///
    /// # Errors
    /// Which rule `uri` breaks; that it is one of TURN and a credential is missing.
    pub fn new(uri: &str, username: &str, credential: &str) -> Result<Self, IceServerError> {
        let uri: IceUri = uri.parse()?;
        if uri.scheme == IceScheme::Stun {
            return Ok(Self { uri, username: String::new(), credential: Secret::default() });
        }
        if username.is_empty() || credential.is_empty() {
            return Err(IceServerError::NoCredential { uri: uri.to_string() });
        }
        Ok(Self { uri, username: username.to_owned(), credential: Secret::new(credential) })
    }
}

/// Reads a list of servers as browsers take it.
///
/// # Errors
/// The first rule that it breaks.
#[cfg(feature = "webrtc")]
pub fn parse_ice_servers(json: &str) -> Result<Vec<IceServer>, IceServerError> {
    if json.len() > LONGEST_LIST {
        return Err(IceServerError::ListTooLong);
    }
    let list: Value = serde_json::from_str(json)
        .map_err(|error| IceServerError::Json { line: error.line(), column: error.column() })?;
    let Value::Array(list) = list else { return Err(IceServerError::NotAList) };
    let mut servers = Vec::new();
    for (index, entry) in list.iter().enumerate() {
        if !entry.is_object() {
            return Err(IceServerError::NotAList);
        }
        let username = word(entry, index, "username")?;
        let credential = word(entry, index, "credential")?;
        for uri in urls(entry, index)? {
            if servers.len() == MOST_SERVERS {
                return Err(IceServerError::TooMany);
            }
            servers.push(IceServer::new(uri, username, credential)?);
        }
    }
    Ok(servers)
}

#[cfg(feature = "webrtc")]
fn word<'a>(entry: &'a Value, index: usize, member: &'static str) -> Result<&'a str, IceServerError> {
    match entry.get(member) {
        None | Some(Value::Null) => Ok(""),
        Some(Value::String(word)) if word.len() <= LONGEST_WORD => Ok(word),
        Some(_) => Err(IceServerError::Word { index, member }),
    }
}

#[cfg(feature = "webrtc")]
fn urls(entry: &Value, index: usize) -> Result<Vec<&str>, IceServerError> {
    match entry.get("urls") {
        Some(Value::String(uri)) => Ok(vec![uri]),
        Some(Value::Array(uris)) if !uris.is_empty() => {
            uris.iter().map(|uri| uri.as_str().ok_or(IceServerError::Urls { index })).collect()
        }
        _ => Err(IceServerError::Urls { index }),
    }
}

#[cfg(all(test, feature = "webrtc"))]
mod tests {
    use super::*;

    #[test]
    fn a_uri_comes_back_as_it_was_written() {
        for text in [
            "stun:stun.example.org",
            "stun:192.0.2.1:19302",
            "turn:[2001:db8::1]:1234",
            "turn:example.org?transport=tcp",
            "turns:example.org:443",
        ] {
            assert_eq!(text.parse::<IceUri>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_left_out_has_the_defaults_of_the_rfcs() {
        let uri = |text: &str| text.parse::<IceUri>().map(|uri| (uri.port, uri.transport)).unwrap();
        assert_eq!(uri("STUN:Example.org"), (3478, IceTransport::Udp));
        assert_eq!(uri("turn:example.org?transport=udp"), (3478, IceTransport::Udp));
        assert_eq!(uri("turns:example.org?transport=tcp"), (5349, IceTransport::Tls));
    }

    #[test]
    fn each_mistake_has_its_own_error() {
        use IceServerError as E;
        let error = |text: &str| text.parse::<IceUri>().unwrap_err();
        assert!(matches!(error("http://example.org"), E::Scheme { .. }));
        assert!(matches!(error("stuns:example.org"), E::Scheme { .. }));
        assert!(matches!(error("turn:"), E::Host { .. }));
        assert!(matches!(error("stun://example.org"), E::Host { .. }));
        assert!(matches!(error("stun:2001:db8::1"), E::Host { .. }));
        assert!(matches!(error("stun:[192.0.2.1]"), E::Host { .. }));
        assert!(matches!(error("stun:a:0"), E::Port { .. }));
        assert!(matches!(error("stun:a:+1"), E::Port { .. }));
        assert!(matches!(error("stun:a?transport=udp"), E::Query { .. }));
        assert!(matches!(error("turn:a?transport=sctp"), E::Query { .. }));
        assert!(matches!(error("turns:a?transport=udp"), E::Dtls { .. }));
        assert!(matches!(error(&format!("stun:{}", "a".repeat(300))), E::TooLong { .. }));
    }

    #[test]
    fn a_secret_is_never_shown() {
        let error = "turn:alice:hunter2@example.org".parse::<IceUri>().unwrap_err();
        assert_eq!(error, IceServerError::User { uri: "turn:***@example.org".into() });
        let server = IceServer::new("turn:example.org", "alice", "hunter2").unwrap();
        assert!(!format!("{server:?}").contains("hunter2"));
    }

    #[test]
    fn a_browsers_list_becomes_one_server_for_each_uri() {
        let json =
            r#"[{"urls": "stun:a"}, {"urls": ["turn:b", "turns:b"], "username": "u", "credential": "c", "x": 1}]"#;
        let servers = parse_ice_servers(json).unwrap();
        let shown: Vec<_> = servers.iter().map(|s| (s.uri.to_string(), &*s.username, s.credential.reveal())).collect();
        assert_eq!(shown, [("stun:a".into(), "", ""), ("turn:b".into(), "u", "c"), ("turns:b".into(), "u", "c")]);
    }

    #[test]
    fn a_list_is_refused_whole_on_its_first_mistake() {
        use IceServerError as E;
        let error = |json: &str| parse_ice_servers(json).unwrap_err();
        assert_eq!(error("[\n{]"), E::Json { line: 2, column: 2 });
        assert_eq!((error("{}"), error("[1]")), (E::NotAList, E::NotAList));
        assert_eq!(error(r#"[{"urls":"stun:a"},{"url":"stun:b"}]"#), E::Urls { index: 1 });
        assert_eq!(error(r#"[{"urls":"turn:a","username":1}]"#), E::Word { index: 0, member: "username" });
        assert_eq!(error(r#"[{"urls":"turn:a"}]"#), E::NoCredential { uri: "turn:a".into() });
        let many = format!(r#"[{{"urls":[{}]}}]"#, ["\"stun:a\""; 17].join(","));
        assert_eq!(error(&many), E::TooMany);
        assert_eq!(error(&" ".repeat(LONGEST_LIST + 1)), E::ListTooLong);
    }
}
