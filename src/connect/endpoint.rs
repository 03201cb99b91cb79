//! The everyday API: a hub that knows connection strings.
//!
//! ```
//! use switchboard::connect::Endpoint;
//! use switchboard::link::noise::SecretKey;
//! use switchboard::machine::rng::Rng;
//!
//! let mut rng = Rng::from_u64(1);
//! let endpoint = Endpoint::builder(SecretKey::generate(&mut rng)).relay("ws://127.0.0.1:7000/").build(&mut rng)?;
//! println!("I am {}", endpoint.address());
//! # Ok::<(), switchboard::connect::ConnectError>(())
//! ```
//!
//! An [`Endpoint`] is a machine: a driver or a world runs it, and the driver's crate wraps it once more for its own
//! style of waiting. [`Endpoint::start`] dials and listens; all else is the [`Hub`]'s, to which it dereferences.

use std::ops::{Deref, DerefMut};

use super::{ConnectError, Options, Registry};
use crate::hub::channel::Channel;
use crate::hub::{Config, Hub, News, Policy, Quotas, ServersFor, SessionId, TransportId};
use crate::link::noise::{Identity, SecretKey, Token};
use crate::machine::buf::Buf;
use crate::machine::ids::PortId;
use crate::machine::rng::Rng;
use crate::machine::{Cx, Fill, Input, Machine, Output};
#[cfg(feature = "webrtc")]
use crate::transport::webrtc::{Webrtc, WebrtcConfig};
use crate::transport::{Reconnect, Transport};
use crate::wire::identity::Address;

/// Relays are used in the order in which they were given: the first has this priority, the next one less.
const FIRST_PRIORITY: u8 = 200;

/// A hub with its connection strings.
pub struct Endpoint {
    hub: Hub,
    registry: Registry,
    options: Options,
    channels: Vec<Channel>,
    waiting: Vec<(Box<dyn Transport + Send>, Option<u8>)>,
    #[cfg(feature = "webrtc")]
    direct: Option<WebrtcConfig>,
}

/// What an [`Endpoint`] is made from.
pub struct Builder {
    secret: SecretKey,
    registry: Registry,
    options: Options,
    policy: Policy,
    quotas: Quotas,
    token: Option<Token>,
    relays: Vec<String>,
    listeners: Vec<String>,
    channels: Vec<Channel>,
    #[cfg(feature = "webrtc")]
    direct: Option<WebrtcConfig>,
    servers_for: Option<ServersFor>,
    wants_servers: bool,
}

impl Builder {
    /// Dials this connection string, again whenever the link is lost; a relay behind it is used for whatever is not
    /// a neighbour. The first one given is preferred.
    #[must_use]
    pub fn relay(mut self, string: &str) -> Self {
        self.relays.push(string.to_owned());
        self
    }

    /// Listens on this connection string.
    #[must_use]
    pub fn listen(mut self, string: &str) -> Self {
        self.listeners.push(string.to_owned());
        self
    }

    /// Declares a channel of the sessions that [`Endpoint::open_session`] opens. Without any there is one, reliable
    /// and ordered, labelled `messages`.
    #[must_use]
    pub fn channel(mut self, channel: Channel) -> Self {
        self.channels.push(channel);
        self
    }

    /// Trust, identity, limits, policies: what connection strings can't say.
    #[must_use]
    pub fn options(mut self, options: Options) -> Self {
        self.options = options;
        self
    }

    /// Types of connection strings of one's own.
    #[must_use]
    pub fn registry(mut self, registry: Registry) -> Self {
        self.registry = registry;
        self
    }

    /// Makes the endpoint a relay for whom the policy admits.
    #[must_use]
    pub fn relays_for(mut self, policy: Policy, quotas: Quotas) -> Self {
        (self.policy, self.quotas) = (policy, quotas);
        self
    }

    /// The word that relays want which admit by join token.
    #[must_use]
    pub fn token(mut self, token: Token) -> Self {
        self.token = Some(token);
        self
    }

    /// Gives sessions direct paths, by WebRTC.
    #[cfg(feature = "webrtc")]
    #[must_use]
    pub fn direct(mut self, config: WebrtcConfig) -> Self {
        self.direct = Some(config);
        self
    }

    /// As a relay: hands neighbours that ask other STUN and TURN servers than those of [`Options`].
    #[must_use]
    pub fn servers_for(mut self, servers: ServersFor) -> Self {
        self.servers_for = Some(servers);
        self
    }

    /// Asks relays for STUN and TURN servers, read by [`Hub::servers`].
    #[must_use]
    pub const fn wants_servers(mut self) -> Self {
        self.wants_servers = true;
        self
    }

    /// The endpoint, with an instance drawn from `rng`; not started.
    ///
    /// # Errors
    /// A connection string that is none.
    pub fn build(self, rng: &mut Rng) -> Result<Endpoint, ConnectError> {
        let mut waiting = Vec::new();
        let dialling = Options { reconnect: reconnect(self.options.reconnect), ..self.options.clone() };
        for (n, string) in self.relays.iter().enumerate() {
            let priority = FIRST_PRIORITY.saturating_sub(n.min(usize::from(u8::MAX)) as u8);
            waiting.push((self.registry.dial(string, &dialling)? as Box<dyn Transport + Send>, Some(priority)));
        }
        for string in &self.listeners {
            waiting.push((self.registry.listen(string, &self.options)?, None));
        }
        #[cfg(feature = "webrtc")]
        let wants_servers = self.wants_servers || self.direct.is_some();
        #[cfg(not(feature = "webrtc"))]
        let wants_servers = self.wants_servers;
        let config = Config {
            limits: self.options.limits.clone(),
            policy: self.policy,
            quotas: self.quotas,
            token: self.token,
            servers_for: self.servers_for.or_else(|| granted(&self.options)),
            wants_servers,
        };
        let hub = Hub::new(Identity::new(self.secret, rng), config);
        let channels = if self.channels.is_empty() { vec![Channel::reliable("messages")] } else { self.channels };
        Ok(Endpoint {
            hub,
            registry: self.registry,
            options: self.options,
            channels,
            waiting,
            #[cfg(feature = "webrtc")]
            direct: self.direct,
        })
    }
}

impl Endpoint {
    /// What an endpoint with this key is made from.
    pub fn builder(secret: SecretKey) -> Builder {
        Builder {
            secret,
            registry: Registry::new(),
            options: Options::default(),
            policy: Policy::Closed,
            quotas: Quotas::default(),
            token: None,
            relays: Vec::new(),
            listeners: Vec::new(),
            channels: Vec::new(),
            #[cfg(feature = "webrtc")]
            direct: None,
            servers_for: None,
            wants_servers: false,
        }
    }

    /// Dials the relays and opens the listeners.
    pub fn start(&mut self, cx: &mut Cx<'_>) {
        for (transport, priority) in std::mem::take(&mut self.waiting) {
            self.hub.add(cx, transport, priority);
        }
        #[cfg(feature = "webrtc")]
        if let Some(config) = self.direct.take() {
            self.hub.set_upgrade(cx, Box::new(Webrtc::new(config)));
        }
    }

    /// Dials a further connection string.
    ///
    /// # Errors
    /// A connection string that is none.
    pub fn dial(&mut self, cx: &mut Cx<'_>, string: &str, priority: Option<u8>) -> Result<TransportId, ConnectError> {
        let dialling = Options { reconnect: reconnect(self.options.reconnect), ..self.options.clone() };
        let transport = self.registry.dial(string, &dialling)?;
        Ok(self.hub.add(cx, transport, priority))
    }

    /// Listens on a further connection string.
    ///
    /// # Errors
    /// A connection string that is none.
    pub fn listen(&mut self, cx: &mut Cx<'_>, string: &str) -> Result<TransportId, ConnectError> {
        let transport = self.registry.listen(string, &self.options)?;
        Ok(self.hub.add(cx, transport, None))
    }

    /// Opens a session with the channels that the builder was given.
    pub fn open_session(&mut self, cx: &mut Cx<'_>, to: impl Into<Address>) -> SessionId {
        self.hub.open(cx, to, self.channels.clone())
    }
}

/// What a relay that serves TURN hands out.
#[cfg(feature = "turn")]
fn granted(options: &Options) -> Option<ServersFor> {
    let service = options.turn.clone()?;
    Some(ServersFor::new(move |id, unix| service.grant(id, unix)))
}

#[cfg(not(feature = "turn"))]
const fn granted(_: &Options) -> Option<ServersFor> {
    None
}

/// An endpoint wants its relays back, unless somebody has said otherwise.
fn reconnect(policy: Reconnect) -> Reconnect {
    use std::time::Duration;
    match policy {
        Reconnect::Never => Reconnect::Backoff { first: Duration::from_millis(500), cap: Duration::from_secs(30) },
        policy => policy,
    }
}

impl Deref for Endpoint {
    type Target = Hub;

    fn deref(&self) -> &Hub {
        &self.hub
    }
}

impl DerefMut for Endpoint {
    fn deref_mut(&mut self) -> &mut Hub {
        &mut self.hub
    }
}

impl Machine for Endpoint {
    type Command = <Hub as Machine>::Command;
    type Event = News;

    fn handle(&mut self, cx: &mut Cx<'_>, input: Input<'_, Self::Command>) {
        self.hub.handle(cx, input);
    }

    fn poll(&mut self, cx: &mut Cx<'_>) -> Output<News> {
        self.hub.poll(cx)
    }

    fn fill(&mut self, cx: &mut Cx<'_>, port: PortId, buf: &mut Buf) -> Fill {
        self.hub.fill(cx, port, buf)
    }
}
