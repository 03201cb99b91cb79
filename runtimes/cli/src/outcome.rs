//! Exit codes, and what a person can do about an error.

use switchboard::connect::{ConnectError, Role};
use switchboard::link::http::HttpError;
use switchboard::link::tls::TlsError;
use switchboard::machine::port::PortError;
use switchboard::stack::dial::DialError;
use switchboard::stack::stream::{During, StreamError};
use switchboard::transport::DownReason;

/// The exit codes that `--help` documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Code {
    Good = 0,
    Failed = 1,
    Usage = 2,
    Unreachable = 3,
    Lost = 4,
    Imperfect = 5,
}

/// How a command ends that did not do what it was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) code: Code,
    pub(crate) text: String,
    pub(crate) advice: Option<String>,
}

impl Failure {
    pub(crate) fn new(code: Code, text: impl Into<String>) -> Self {
        Self { code, text: text.into(), advice: None }
    }

    #[must_use]
    pub(crate) fn advise(mut self, advice: impl Into<String>) -> Self {
        self.advice = Some(advice.into());
        self
    }

    /// A failure with the advice that belongs to `reason`, for the one who wrote `string`.
    pub(crate) fn of(code: Code, text: String, reason: &DownReason, role: Role, string: &str) -> Self {
        let advice = match role {
            Role::Dial => for_dialling(reason, string),
            Role::Listen => for_listening(reason),
        };
        Self { code, text, advice }
    }
}

impl From<ConnectError> for Failure {
    fn from(error: ConnectError) -> Self {
        let failure = Self::new(Code::Usage, error.to_string());
        match error {
            ConnectError::NoIdentity { .. } => failure.advise("for a trial, --self-signed CERT.pem makes one"),
            ConnectError::UnknownType { .. } | ConnectError::Malformed { .. } => {
                failure.advise("`switchboard dial --help` lists the connection strings")
            }
            _ => failure,
        }
    }
}

fn for_dialling(reason: &DownReason, string: &str) -> Option<String> {
    let kind = string.split(':').next().unwrap_or_default();
    Some(match reason {
        DownReason::Dial(DialError::Connect(PortError::Refused)) => {
            format!("is anything listening there? start something with `switchboard listen {string}`")
        }
        DownReason::Dial(DialError::Connect(_)) => {
            "are host and port right, and does no firewall stand between? --proxy URL dials through a proxy".into()
        }
        DownReason::Dial(DialError::Resolve(_)) => "is the host name spelled right, and is there a network?".into(),
        DownReason::Stream(StreamError::Tls(TlsError::UnknownIssuer | TlsError::BadCertificate(_))) => {
            "if it is to be trusted, name its present certificate or that of its issuer: --ca FILE".into()
        }
        DownReason::Stream(StreamError::Tls(TlsError::NotTls)) => {
            format!("if it speaks without TLS, dial {}:", kind.replace("wss", "ws").replace("tls", "tcp"))
        }
        DownReason::Stream(StreamError::Tls(TlsError::PeerAlert(_))) => {
            "does it ask for a certificate of ours? --cert FILE --key FILE".into()
        }
        DownReason::HandshakeTimeout | DownReason::Stream(StreamError::Ended(During::TlsHandshake)) => {
            format!("does the other side speak {kind}, and on this port?")
        }
        DownReason::Stream(StreamError::Ended(During::Upgrade)) => {
            "does the other side speak WebSocket on this port, and without TLS if this is ws?".into()
        }
        DownReason::Stream(StreamError::Http(HttpError::ProxyAuthentication)) => {
            "name them with the proxy: --proxy http://USER:PASSWORD@HOST:PORT".into()
        }
        DownReason::Stream(StreamError::Http(HttpError::ProxyRefused(_))) => {
            "can the proxy reach host and port, and does it allow them?".into()
        }
        DownReason::Stream(StreamError::Http(_)) => "does the other side speak WebSocket at this path?".into(),
        _ => return None,
    })
}

fn for_listening(reason: &DownReason) -> Option<String> {
    let advice = match reason {
        DownReason::Port(PortError::AddressInUse) => {
            "another program listens there: name another port, or 0 for any that is free"
        }
        DownReason::Port(PortError::PermissionDenied) => "ports below 1024 are for privileged programs: name another",
        DownReason::Port(PortError::AddressNotAvailable) => {
            "name an address of this machine: 127.0.0.1, or 0.0.0.0 for all of them"
        }
        DownReason::Dial(DialError::Resolve(_)) => "name an address of this machine: 127.0.0.1, or 0.0.0.0 for all",
        DownReason::Stream(StreamError::Tls(TlsError::PeerAlert(_))) => {
            "the client may not trust our certificate: `switchboard dial --ca FILE` does"
        }
        DownReason::Stream(StreamError::Tls(TlsError::NoCertificate)) => {
            "--ca was given: clients need a certificate, as in `switchboard dial --cert FILE --key FILE`"
        }
        _ => return None,
    };
    Some(advice.to_owned())
}
