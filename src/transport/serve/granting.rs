//! Whom a TURN server serves, and what of it is handed out.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use zeroize::Zeroizing;

use crate::stack::turn_server::{TurnSecret, TurnServerConfig, TurnServerStatistics, User};
use crate::wire::identity::EndpointId;
use crate::wire::servers::GrantedServer;

/// Allocations of one endpoint.
const ALLOCATIONS: usize = 2;
/// Bytes a second of one endpoint: 10 Mbit/s.
const RATE: u64 = 1_250_000;
/// How long credentials last.
const LIFETIME: Duration = Duration::from_secs(600);

/// A TURN server of a relay, and how its neighbours hear of it.
#[derive(Debug, Clone)]
pub struct TurnService {
    /// Whom it serves and every bound. By [`Self::new`] one user has two allocations and 10 Mbit/s.
    pub config: TurnServerConfig,
    /// What is handed out: URIs of RFC 7064 and RFC 7065 by which clients reach it. At most
    /// [`MAX_SERVERS`](crate::wire::servers::MAX_SERVERS) are.
    pub uris: Vec<String>,
    /// How long credentials last that are handed out.
    pub lifetime: Duration,
    /// What it has done.
    pub meter: Meter,
    secret: TurnSecret,
}

impl TurnService {
    /// A server for whoever has credentials made from `secret`.
    pub fn new(realm: impl Into<String>, secret: TurnSecret) -> Self {
        let config = TurnServerConfig {
            secret: Some(secret.clone()),
            allocations_per_user: ALLOCATIONS,
            rate_per_user: Some(RATE),
            ..TurnServerConfig::new(realm, [])
        };
        Self { config, uris: Vec::new(), lifetime: LIFETIME, meter: Meter::default(), secret }
    }

    /// What an endpoint is handed at that time since the Unix epoch: its id is the name that quotas count by.
    pub fn grant(&self, id: &EndpointId, unix: Duration) -> Vec<GrantedServer> {
        let user = self.secret.grant(&id.to_string(), unix + self.lifetime);
        let lifetime = u32::try_from(self.lifetime.as_secs()).unwrap_or(u32::MAX);
        let open = User::new("", "");
        let server = |uri: &String| {
            let is_stun = uri.starts_with("stun:") || uri.starts_with("stuns:");
            let User { name, password } = if is_stun { open.clone() } else { user.clone() };
            let lifetime = if is_stun { 0 } else { lifetime };
            GrantedServer { uri: uri.clone(), username: name, credential: Zeroizing::new(password), lifetime }
        };
        self.uris.iter().map(server).collect()
    }
}

/// What a TURN server has at the moment, and has done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TurnFigures {
    /// Clients with an allocation.
    pub allocations: usize,
    /// Connections over TCP and TLS.
    pub connections: usize,
    /// What it has passed on and dropped.
    pub statistics: TurnServerStatistics,
}

/// Where a server shows its figures. Clones show the same.
#[derive(Debug, Clone, Default)]
pub struct Meter(Arc<Mutex<TurnFigures>>);

impl Meter {
    /// The figures of the moment.
    pub fn figures(&self) -> TurnFigures {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set(&self, figures: TurnFigures) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = figures;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_granted_is_bound_to_the_endpoint_and_to_ten_minutes() {
        let mut service = TurnService::new("relay", TurnSecret::new("secret"));
        service.uris = vec!["stun:192.0.2.1:3478".to_owned(), "turn:192.0.2.1:3478".to_owned()];
        let id = EndpointId([7; 32]);
        let [stun, turn] = &service.grant(&id, Duration::from_secs(1_000))[..] else { panic!() };
        assert_eq!((stun.username.as_str(), stun.lifetime), ("", 0));
        assert_eq!((turn.username.clone(), turn.lifetime), (format!("1600:{id}"), 600));
        assert_eq!(turn.credential.len(), 28);
    }
}
