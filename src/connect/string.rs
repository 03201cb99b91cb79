//! The grammar: `type ':' parameters`, split at the first colon, and the parts that types share.

use std::fmt;

use super::ConnectError;

/// Longest string that is looked at.
const LONGEST: usize = 4096;

/// A part of a connection string, for errors that point at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Part {
    /// The whole.
    #[error("the string")]
    Whole,
    /// What stands before the first colon.
    #[error("the type")]
    Type,
    /// The host name or address.
    #[error("the host")]
    Host,
    /// The port number.
    #[error("the port")]
    Port,
    /// The path and query.
    #[error("the path")]
    Path,
    /// The name of a pair.
    #[error("the name")]
    Name,
    /// User and password.
    #[error("the user and password")]
    User,
    /// The proxy of [`Options`](super::Options).
    #[error("the proxy")]
    Proxy,
}

/// A connection string, split at its first colon. Its `Display` masks secrets.
#[derive(Clone, PartialEq, Eq)]
pub struct ConnectionString {
    kind: String,
    parameters: String,
}

/// A host and, where one is written, a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPort {
    /// A name, an IPv4 address, or an IPv6 address without its brackets.
    pub host: String,
    /// The port.
    pub port: Option<u16>,
}

impl ConnectionString {
    /// Splits a string; its type must be a letter and then letters, digits, `+`, `-` or `.` (RFC 3986, section 3.1).
    pub fn parse(string: &str) -> Result<Self, ConnectError> {
        let (kind, parameters) = string.split_once(':').unwrap_or((string, ""));
        let parsed = Self { kind: kind.to_ascii_lowercase(), parameters: parameters.to_owned() };
        if string.len() > LONGEST {
            return Err(parsed.malformed(Part::Whole, "it is longer than 4,096 bytes"));
        }
        if string.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err(parsed.malformed(Part::Whole, "white space and control characters are not allowed"));
        }
        let mut letters = kind.bytes();
        let starts = letters.next().is_some_and(|byte| byte.is_ascii_alphabetic());
        if !starts || !letters.all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte)) {
            return Err(parsed.malformed(Part::Type, "it must be a letter followed by letters, digits, +, - or ."));
        }
        Ok(parsed)
    }

    /// The type, in lower case.
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// What follows the first colon; secrets are in the clear.
    pub fn parameters(&self) -> &str {
        &self.parameters
    }

    /// The error that points at a part of this string.
    pub fn malformed(&self, part: Part, rule: &'static str) -> ConnectError {
        ConnectError::Malformed { string: self.to_string(), part, rule }
    }

    /// The parameters as `host:port`.
    pub fn host_port(&self) -> Result<(String, u16), ConnectError> {
        let HostPort { host, port } = self.authority(&self.parameters)?;
        let port = port.ok_or_else(|| self.malformed(Part::Port, "it is missing: write host:port"))?;
        Ok((host, port))
    }

    /// The parameters as `//host[:port][/path][?query]`; the path is at least `/`.
    pub fn url(&self) -> Result<(HostPort, String), ConnectError> {
        let Some(rest) = self.parameters.strip_prefix("//") else {
            return Err(self.malformed(Part::Whole, "`//` must follow the colon"));
        };
        let at = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(at);
        if authority.contains('@') {
            return Err(self.malformed(Part::User, "a user has no place in such a string"));
        }
        if path.contains('#') {
            return Err(self.malformed(Part::Path, "a fragment is not allowed (RFC 6455, section 3)"));
        }
        if !path.is_ascii() {
            return Err(self.malformed(Part::Path, "it must be percent-encoded"));
        }
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        Ok((self.authority(authority)?, path))
    }

    fn authority(&self, text: &str) -> Result<HostPort, ConnectError> {
        let (host, rest) = match text.strip_prefix('[') {
            Some(inner) => {
                let Some((host, rest)) = inner.split_once(']') else {
                    return Err(self.malformed(Part::Host, "the bracket of an IPv6 address is not closed"));
                };
                if host.parse::<std::net::Ipv6Addr>().is_err() {
                    return Err(self.malformed(Part::Host, "only an IPv6 address stands in brackets"));
                }
                (host, rest)
            }
            None => text.split_at(text.find(':').unwrap_or(text.len())),
        };
        self.check_host(host)?;
        Ok(HostPort { host: host.to_owned(), port: self.port(rest)? })
    }

    fn check_host(&self, host: &str) -> Result<(), ConnectError> {
        if host.is_empty() {
            return Err(self.malformed(Part::Host, "it is missing"));
        }
        if host.len() > 253 {
            return Err(self.malformed(Part::Host, "it is longer than 253 bytes (RFC 1035, section 2.3.4)"));
        }
        if !host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte)) {
            return Err(self.malformed(Part::Host, "it has a character that no host name has"));
        }
        Ok(())
    }

    fn port(&self, text: &str) -> Result<Option<u16>, ConnectError> {
        if text.is_empty() {
            return Ok(None);
        }
        let Some(digits) = text.strip_prefix(':') else {
            return Err(self.malformed(Part::Port, "a colon must stand before it"));
        };
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(self.malformed(Part::Port, "it must be a number (an IPv6 address stands in brackets)"));
        }
        digits.parse().map(Some).map_err(|_| self.malformed(Part::Port, "it must be at most 65535"))
    }
}

impl fmt::Display for ConnectionString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.parameters.is_empty() {
            return f.write_str(&mask(&self.kind));
        }
        f.write_str(&mask(&format!("{}:{}", self.kind, self.parameters)))
    }
}

impl fmt::Debug for ConnectionString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ConnectionString({self})")
    }
}

/// Names of query parameters whose values are never shown.
const SECRET: &[&str] =
    &["access_token", "auth", "authkey", "credential", "key", "password", "secret", "sig", "signature", "token"];

/// A string with passwords and the values of secret query parameters replaced by `***`.
pub fn mask(text: &str) -> String {
    let text = mask_user(text);
    let Some((head, query)) = text.split_once('?') else { return text };
    let parameters = query.split('&').map(|parameter| match parameter.split_once('=') {
        Some((name, _)) if SECRET.contains(&name.to_ascii_lowercase().as_str()) => format!("{name}=***"),
        _ => parameter.to_owned(),
    });
    format!("{head}?{}", parameters.collect::<Vec<_>>().join("&"))
}

/// A password may hold what should stand percent-encoded in it. So nothing is shown between the first colon of a user
/// and the last `@` of all, though what is there may be a port and a path: too little shown does no harm.
fn mask_user(text: &str) -> String {
    let start = authority_of(text);
    let Some((user, host)) = text[start..].rsplit_once('@') else { return text.to_owned() };
    match user.split_once(':') {
        Some((name, _)) => format!("{}{name}:***@{host}", &text[..start]),
        None if user.contains(['/', '?']) => text.to_owned(),
        None => format!("{}{user}:***@{host}", &text[..start]),
    }
}

/// Where the slashes of a type end, nested types included; slashes may stand in a password too.
fn authority_of(text: &str) -> usize {
    let slashes =
        text.find("//").filter(|at| *at == 0 || text[..*at].ends_with(':') && !text[..*at].contains(['@', '?']));
    slashes.map_or(0, |at| at + 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(string: &str) -> (Part, &'static str) {
        let parsed = ConnectionString::parse(string);
        let error = parsed.and_then(|parsed| {
            if parsed.parameters().starts_with('/') { parsed.url().map(|_| ()) } else { parsed.host_port().map(|_| ()) }
        });
        match error {
            Err(ConnectError::Malformed { part, rule, .. }) => (part, rule),
            other => panic!("{string} gave {other:?}"),
        }
    }

    #[test]
    fn each_wrong_part_is_named() {
        for (string, part) in [
            ("", Part::Type),
            (":x", Part::Type),
            ("1tcp:a:1", Part::Type),
            ("t cp:a:1", Part::Whole),
            ("tcp:a:1\n", Part::Whole),
            ("tcp:", Part::Host),
            ("tcp::7", Part::Host),
            ("tcp:a", Part::Port),
            ("tcp:a:", Part::Port),
            ("tcp:a:x", Part::Port),
            ("tcp:a:65536", Part::Port),
            ("tcp:::1:7", Part::Host),
            ("tcp:[::1:7", Part::Host),
            ("tcp:[a]:7", Part::Host),
            ("tcp:[::1]7", Part::Port),
            ("tcp:u@a:7", Part::Host),
            ("ws:/a", Part::Whole),
            ("ws:///x", Part::Host),
            ("ws://a/x#y", Part::Path),
            ("ws://a/\u{e9}", Part::Path),
            ("ws://u:p@a/", Part::User),
        ] {
            assert_eq!(rule(string).0, part, "{string:?}");
        }
        assert_eq!(rule(&format!("tcp:{}:7", "a".repeat(254))).0, Part::Host);
        assert_eq!(rule(&format!("tcp:{}:7", "a".repeat(5000))).0, Part::Whole);
    }

    #[test]
    fn an_address_in_brackets_loses_them() {
        let parsed = ConnectionString::parse("wss://[::1]:8443/a/b?c=d").unwrap();
        let (HostPort { host, port }, path) = parsed.url().unwrap();
        assert_eq!((host.as_str(), port, path.as_str()), ("::1", Some(8443), "/a/b?c=d"));
    }

    #[test]
    fn secrets_are_masked_wherever_a_string_is_shown() {
        let shown = ConnectionString::parse("livekit:wss://u:p@host/x?access_token=abc&room=r").unwrap();
        assert_eq!(shown.to_string(), "livekit:wss://u:***@host/x?access_token=***&room=r");
        assert!(!format!("{shown:?}").contains("abc"));
        assert_eq!(mask("http://user:pa@ss@proxy:8080"), "http://user:***@proxy:8080");
    }

    #[test]
    fn a_password_is_masked_that_should_have_been_encoded_or_stands_where_no_user_can_be() {
        for password in ["pass", "pa/ss", "pa?ss", "pa//ss", "pass@x://pass"] {
            for string in ["http://user:_@proxy:1", "http//user:_@proxy:1", "user:_@proxy:1", "user:_@?q#://x"] {
                let shown = mask(&string.replace('_', password));
                assert!(!shown.contains("ss"), "{password} in {string} is shown as {shown}");
            }
        }
        let without_type = ConnectionString::parse("user:pass@proxy:8080").unwrap();
        assert_eq!(without_type.malformed(Part::Type, "x").to_string(), "user:***@proxy:8080: the type: x");
        assert_eq!(mask("ws://host/path@x"), "ws://host/path@x");
    }
}
