//! Direct paths, as the system's environment says.
//!
//! Relays hand out STUN and TURN servers; further ones are those of the variable `SWITCHBOARD_ICE_SERVERS`, as
//! [`switchboard::connect::settings`] reads it. `SWITCHBOARD_CANDIDATES` is `all`, or `relay`: then the other side
//! learns no address of this host, and everything goes through TURN servers. `SWITCHBOARD_ENGINE` is `data`, or `str0m`:
//! what carries direct paths.

use std::time::{Duration, Instant, SystemTime};

use switchboard::connect::settings::servers_of_variable;
use switchboard::machine::rng::Rng;
use switchboard::machine::time::Epoch;
use switchboard::stack::peer::engine::UnknownEngine;
use switchboard::stack::peer::{Crypto, EngineKind};
use switchboard::transport::webrtc::WebrtcConfig;
use switchboard::wire::ice_server::IceServerError;
use switchboard::wire::outlook::CandidatePolicy;

/// The variable that lists STUN and TURN servers.
pub const ICE_SERVERS: &str = "SWITCHBOARD_ICE_SERVERS";

/// The variable that says which kinds of addresses the other side may learn.
pub const CANDIDATES: &str = "SWITCHBOARD_CANDIDATES";

/// The variable that says what carries direct paths.
pub const ENGINE: &str = "SWITCHBOARD_ENGINE";

/// Why direct paths can't be made as the environment says.
#[derive(Debug, thiserror::Error)]
pub enum DirectError {
    /// A server is not written as one.
    #[error(
        "{ICE_SERVERS}: {0}; write stun:HOST:PORT, several separated by commas, or for TURN JSON as browsers take it: \
         [{{\"urls\": \"turn:HOST:PORT\", \"username\": \"NAME\", \"credential\": \"PASSWORD\"}}]"
    )]
    BadServer(#[from] IceServerError),
    /// There are other words for it.
    #[error("{CANDIDATES}: {0:?} is neither all nor relay")]
    BadCandidates(String),
    /// There are other engines.
    #[error("{ENGINE}: {0}")]
    BadEngine(#[from] UnknownEngine),
    /// The certificate of this process could not be made.
    #[error("no certificate for direct paths could be made: {0}")]
    NoCertificate(String),
}

/// A new certificate, and the servers, kinds of addresses and engine of this process' environment.
///
/// # Errors
/// If a variable is not as it should be.
pub fn config() -> Result<WebrtcConfig, DirectError> {
    let variable = |name| std::env::var(name).unwrap_or_default();
    let mut config = config_of(&variable(ICE_SERVERS), &variable(CANDIDATES))?;
    config.engine = engine(&variable(ENGINE))?;
    Ok(config)
}

/// The same with these values of the first two variables, and the usual engine.
///
/// # Errors
/// If one is not as it should be.
pub fn config_of(servers: &str, candidates: &str) -> Result<WebrtcConfig, DirectError> {
    let mut config = WebrtcConfig::new(certificate()?);
    config.gather.servers = servers_of_variable(servers)?;
    config.gather.policy = policy(candidates)?;
    Ok(config)
}

fn certificate() -> Result<Crypto, DirectError> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(|error| DirectError::NoCertificate(error.to_string()))?;
    let unix = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
    Crypto::new(Epoch::new(Instant::now(), unix), &mut Rng::from_seed(seed)).map_err(DirectError::NoCertificate)
}

fn engine(text: &str) -> Result<EngineKind, UnknownEngine> {
    if text.trim().is_empty() { Ok(EngineKind::default()) } else { text.trim().parse() }
}

fn policy(text: &str) -> Result<CandidatePolicy, DirectError> {
    match text.trim() {
        "" | "all" => Ok(CandidatePolicy::ALL),
        "relay" => Ok(CandidatePolicy::RELAY),
        other => Err(DirectError::BadCandidates(other.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_said_is_all_addresses_and_the_servers_of_relays_alone() {
        let config = config_of("", "").unwrap();
        assert_eq!((config.gather.servers.len(), config.gather.policy), (0, CandidatePolicy::ALL));
    }

    #[test]
    fn servers_are_written_as_uris_or_as_browsers_take_them() {
        let count = |text: &str| config_of(text, "relay").unwrap().gather.servers.len();
        assert_eq!(count("stun:a.example, stun:b.example:1"), 2);
        assert_eq!(count(r#" [{"urls": ["turn:a", "turns:a"], "username": "u", "credential": "c"}]"#), 2);
    }

    #[test]
    fn each_mistake_says_what_to_write_instead() {
        let told = |servers: &str, candidates: &str| config_of(servers, candidates).unwrap_err().to_string();
        assert!(told("turn:a.example", "").contains("\"credential\""), "{}", told("turn:a.example", ""));
        assert!(told("http://a", "").contains("stun:HOST:PORT"));
        assert!(told("", "host").ends_with("neither all nor relay"));
        assert!(engine("usrsctp").unwrap_err().to_string().contains("data"));
    }

    #[test]
    fn each_process_has_a_certificate_of_its_own() {
        let print = || config_of("", "").unwrap().crypto.fingerprint();
        assert_ne!(print(), print());
    }
}
