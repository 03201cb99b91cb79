//! The part of `relay`'s command line that is about STUN and TURN servers.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use clap::Args as ClapArgs;
use switchboard::stack::turn_server::Prefix;

#[derive(Debug, ClapArgs)]
#[command(next_help_heading = "STUN and TURN")]
pub(crate) struct ServerArgs {
    /// Serve STUN over UDP, and tell neighbours of it [default address: 0.0.0.0:3478]
    #[arg(long, value_name = "ADDRESS:PORT", num_args = 0..=1, default_missing_value = "0.0.0.0:3478")]
    pub(crate) stun: Option<SocketAddr>,

    /// Serve TURN over UDP and TCP, and hand neighbours credentials [default address: 0.0.0.0:3478]
    #[arg(long, value_name = "ADDRESS:PORT", num_args = 0..=1, default_missing_value = "0.0.0.0:3478")]
    pub(crate) turn: Option<SocketAddr>,

    /// Serve TURN over TLS, with the certificate of tls: listeners [default address: 0.0.0.0:5349]
    #[arg(long, value_name = "ADDRESS:PORT", num_args = 0..=1, default_missing_value = "0.0.0.0:5349")]
    pub(crate) turns: Option<SocketAddr>,

    /// The addresses by which others reach this host, one for each family
    #[arg(long, value_name = "ADDRESS", value_delimiter = ',')]
    pub(crate) turn_public: Vec<IpAddr>,

    /// A file with a secret that others share who give out credentials too [default: drawn at each start]
    #[arg(long, value_name = "FILE")]
    pub(crate) turn_secret: Option<PathBuf>,

    /// Relay to addresses in this range only, which may be private (repeatable) [default: all public ones]
    #[arg(long, value_name = "ADDRESS/LENGTH")]
    pub(crate) turn_allow: Vec<Prefix>,

    /// The most TURN allocations of one key [default: 2]
    #[arg(long, value_name = "N")]
    pub(crate) turn_allocations: Option<usize>,

    /// The most bytes a second that TURN relays for one key; what comes beyond is dropped [default: 1250000]
    #[arg(long, value_name = "BYTES")]
    pub(crate) turn_rate: Option<u64>,

    /// Relay to loopback addresses too: for tests, as it opens this host's own services to others
    #[arg(long)]
    pub(crate) turn_loopback: bool,
}

impl ServerArgs {
    /// Whether any server is asked for.
    pub(crate) const fn any(&self) -> bool {
        self.stun.is_some() || self.turn.is_some() || self.turns.is_some()
    }
}
