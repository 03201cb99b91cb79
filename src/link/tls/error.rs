//! What can go wrong in TLS, by the rule that was broken.

use rustls::{AlertDescription, CertificateError, Error, PeerIncompatible};

/// Why a TLS connection failed. Final for the connection.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TlsError {
    /// The certificate is for other names.
    #[error("the certificate is for {}, not for {expected}: connect by a name it lists or have it issued for this one", list(.presented))]
    WrongName {
        /// The name asked for.
        expected: String,
        /// The names in the certificate.
        presented: Vec<String>,
    },
    /// The certificate's time is over.
    #[error("the certificate has expired: it must be renewed (or this machine's date is wrong)")]
    Expired,
    /// The certificate's time has not begun.
    #[error("the certificate is not valid yet: is this machine's date right?")]
    NotYetValid,
    /// No trusted root has issued the certificate.
    #[error("the certificate's issuer is not known: add its root certificate to those that are trusted")]
    UnknownIssuer,
    /// The peer showed no certificate where one is needed.
    #[error("the peer has shown no certificate: configure one there")]
    NoCertificate,
    /// The certificate breaks another rule.
    #[error("the certificate cannot be accepted: {0}")]
    BadCertificate(String),
    /// No version in common.
    #[error("both sides have no TLS version in common: allow TLS 1.2 or 1.3 on the older one")]
    NoCommonVersion,
    /// No cipher suite, group or signature scheme in common.
    #[error("both sides have no cipher, key exchange or signature in common")]
    NoCommonCipher,
    /// No application protocol in common.
    #[error("both sides have no application protocol (ALPN) in common")]
    NoCommonAlpn,
    /// The peer gave up, and this is the alert it sent.
    #[error("the peer has ended the connection with the alert {0}")]
    PeerAlert(String),
    /// The first bytes are not TLS.
    #[error("the peer does not speak TLS: is this the port for it?")]
    NotTls,
    /// A record is damaged or forged.
    #[error("a record cannot be decrypted: it was changed on its way")]
    Decrypt,
    /// Not a DNS name or IP address.
    #[error("{name:?} is neither a DNS name nor an IP address")]
    InvalidServerName {
        /// What was given.
        name: String,
    },
    /// Local misuse: payload before the handshake's end, or after `close`.
    #[error("nothing can be sent now: wait for the end of the handshake, and send nothing after closing")]
    CannotSend,
    /// The peer broke another rule of TLS.
    #[error("the peer has broken a rule of TLS: {0}")]
    Protocol(String),
}

impl From<Error> for TlsError {
    fn from(error: Error) -> Self {
        match error {
            Error::InvalidCertificate(error) => certificate(error),
            Error::NoCertificatesPresented => Self::NoCertificate,
            Error::PeerIncompatible(error) => incompatible(&error),
            Error::NoApplicationProtocol => Self::NoCommonAlpn,
            Error::AlertReceived(alert) => received(alert),
            Error::DecryptError => Self::Decrypt,
            error => Self::Protocol(error.to_string()),
        }
    }
}

fn certificate(error: CertificateError) -> TlsError {
    match error {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => TlsError::Expired,
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => TlsError::NotYetValid,
        CertificateError::UnknownIssuer => TlsError::UnknownIssuer,
        CertificateError::NotValidForNameContext { expected, presented } => {
            let presented = presented.iter().map(|name| bare(name).to_owned()).collect();
            TlsError::WrongName { expected: expected.to_str().into_owned(), presented }
        }
        error => TlsError::BadCertificate(error.to_string()),
    }
}

/// A name without what rustls puts around it: `DnsName("a.example")`, `IpAddress(127.0.0.1)`.
fn bare(name: &str) -> &str {
    let inside = name.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')'));
    inside.unwrap_or(name).trim_matches('"')
}

fn incompatible(error: &PeerIncompatible) -> TlsError {
    match error {
        PeerIncompatible::ServerDoesNotSupportTls12Or13
        | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig
        | PeerIncompatible::SupportedVersionsExtensionRequired
        | PeerIncompatible::Tls12NotOffered
        | PeerIncompatible::Tls12NotOfferedOrEnabled => TlsError::NoCommonVersion,
        PeerIncompatible::NoCipherSuitesInCommon
        | PeerIncompatible::NoKxGroupsInCommon
        | PeerIncompatible::NoSignatureSchemesInCommon
        | PeerIncompatible::NoCertificateRequestSignatureSchemesInCommon => TlsError::NoCommonCipher,
        error => TlsError::Protocol(format!("it lacks something that is needed here ({error:?})")),
    }
}

/// The peer may be the one that notices; the rule is the same.
fn received(alert: AlertDescription) -> TlsError {
    match alert {
        AlertDescription::ProtocolVersion => TlsError::NoCommonVersion,
        AlertDescription::NoApplicationProtocol => TlsError::NoCommonAlpn,
        alert => TlsError::PeerAlert(format!("{alert:?}")),
    }
}

fn list(names: &[String]) -> String {
    if names.is_empty() { "no name at all".to_owned() } else { names.join(", ") }
}
