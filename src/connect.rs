//! From a connection string to a transport.
//!
//! A [`Registry`] knows the types of connection strings; a user's own type is registered beside the built-in
//! ones and is then dialled and listened to in the same way. What a string cannot say (trust, identity, limits,
//! policies) is in [`Options`].
//!
//! | string | what it is | listens |
//! | --- | --- | --- |
//! | `tcp:host:port` | length-delimited frames on a TCP stream | yes |
//! | `tls:host:port` | the same inside TLS | yes |
//! | `ws://host[:port][/path][?query]` | WebSocket | yes |
//! | `wss://host[:port][/path][?query]` | WebSocket inside TLS | yes |
//! | `pair:name` | the other opener of that name in this process | no: both dial |
//! | `offline` | connects at once, discards what is sent | no |
//! | `stun:address:port` | a STUN server over UDP (feature `stun`) | only |
//! | `turn:address:port` | a TURN server over UDP and TCP (feature `turn`) | only |
//! | `turns:address:port` | a TURN server over TLS (features `turn` and `tls`) | only |

mod builtin;
mod endpoint;
#[cfg(feature = "sim")]
pub mod rehearsal;
pub mod settings;
mod string;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

pub use endpoint::{Builder, Endpoint};
pub use string::{ConnectionString, HostPort, Part, mask};

#[cfg(feature = "tls")]
use crate::link::tls;
use crate::machine::limits::Limits;
#[cfg(feature = "turn")]
pub use crate::transport::serve::TurnService;
use crate::transport::{Reconnect, Transport};

/// A transport of any type, as a registry makes it.
pub type AnyTransport = Box<dyn Transport + Send>;

/// What a connection string cannot say.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Every bound.
    pub limits: Limits,
    /// What a dialling transport does after a failure.
    pub reconnect: Reconnect,
    /// Whom to trust when dialling by TLS.
    #[cfg(feature = "tls")]
    pub trust: Option<tls::ClientConfig>,
    /// Who we are when listening by TLS.
    #[cfg(feature = "tls")]
    pub identity: Option<tls::ServerConfig>,
    /// WebSocket subprotocols: offered when dialling, in order of preference when listening.
    #[cfg(feature = "ws")]
    pub subprotocols: Vec<String>,
    /// Further header fields of a WebSocket upgrade that we send.
    #[cfg(feature = "ws")]
    pub headers: Vec<(String, String)>,
    /// Origins of browsers that a WebSocket listener accepts; none: all.
    #[cfg(feature = "ws")]
    pub origins: Option<Vec<String>>,
    /// An HTTP proxy to dial through, as `http://[user:password@]host:port`.
    #[cfg(feature = "ws")]
    pub proxy: Option<String>,
    /// Whom our TURN servers serve, and what of them a relay hands out to its neighbours.
    #[cfg(feature = "turn")]
    pub turn: Option<TurnService>,
}

/// Whether a string is dialled or listened to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// To make connections.
    Dial,
    /// To accept them.
    Listen,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Dial => "dial",
            Self::Listen => "listen",
        })
    }
}

/// Why a string is no transport. The string is shown with its secrets masked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    /// No type of that name is registered.
    #[error("{string}: unknown type {kind:?}; known are {known}")]
    UnknownType {
        /// The string.
        string: String,
        /// Its type.
        kind: String,
        /// The registered types.
        known: String,
    },
    /// A part of the string is wrong.
    #[error("{string}: {part}: {rule}")]
    Malformed {
        /// The string.
        string: String,
        /// The part.
        part: Part,
        /// The rule that it breaks.
        rule: &'static str,
    },
    /// That type can't be dialled, or can't be listened to.
    #[error("{string}: this type is not for `{role}`")]
    WrongRole {
        /// The string.
        string: String,
        /// What was asked for.
        role: Role,
    },
    /// TLS was asked for and nobody to trust was given.
    #[error("{string}: whom to trust is not known: set `Options::trust` (on the command line: --ca FILE)")]
    NoTrust {
        /// The string.
        string: String,
    },
    /// A TURN server was asked for and whom it serves was not said.
    #[cfg(feature = "turn")]
    #[error("{string}: whom a TURN server serves is not known: set `Options::turn`")]
    NoTurn {
        /// The string.
        string: String,
    },
    /// A TLS listener was asked for and no certificate was given.
    #[error(
        "{string}: a TLS listener needs a certificate and its key: set `Options::identity` (on the command line: --cert FILE --key FILE)"
    )]
    NoIdentity {
        /// The string.
        string: String,
    },
}

type Factory = Arc<dyn Fn(&ConnectionString, Role, &Options) -> Result<AnyTransport, ConnectError> + Send + Sync>;

/// The types of connection strings.
#[derive(Clone)]
pub struct Registry {
    types: BTreeMap<String, Factory>,
}

impl Default for Registry {
    fn default() -> Self {
        let mut registry = Self { types: BTreeMap::new() };
        builtin::register(&mut registry);
        registry
    }
}

impl Registry {
    /// A registry of the built-in types.
    pub fn new() -> Self {
        Self::default()
    }

    /// Registers a type, in place of one of that name if there is one.
    pub fn register(
        &mut self,
        kind: &str,
        factory: impl Fn(&ConnectionString, Role, &Options) -> Result<AnyTransport, ConnectError> + Send + Sync + 'static,
    ) {
        self.types.insert(kind.to_owned(), Arc::new(factory));
    }

    /// The transport that dials `string`; not started.
    pub fn dial(&self, string: &str, options: &Options) -> Result<AnyTransport, ConnectError> {
        self.make(string, Role::Dial, options)
    }

    /// The transport that listens on `string`; not started.
    pub fn listen(&self, string: &str, options: &Options) -> Result<AnyTransport, ConnectError> {
        self.make(string, Role::Listen, options)
    }

    /// The names of the registered types.
    pub fn types(&self) -> impl Iterator<Item = &str> {
        self.types.keys().map(String::as_str)
    }

    fn make(&self, string: &str, role: Role, options: &Options) -> Result<AnyTransport, ConnectError> {
        let parsed = ConnectionString::parse(string)?;
        let Some(factory) = self.types.get(parsed.kind()) else {
            let known = self.types().collect::<Vec<_>>().join(", ");
            return Err(ConnectError::UnknownType {
                string: parsed.to_string(),
                kind: parsed.kind().to_owned(),
                known,
            });
        };
        factory(&parsed, role, options)
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.types()).finish()
    }
}
