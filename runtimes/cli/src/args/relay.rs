//! The command line of `relay`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args as ClapArgs;
use switchboard::wire::identity::EndpointId;

use super::servers::ServerArgs;
use super::{EXIT_CODES, STRINGS};

/// Where a relay listens when nobody says.
pub(crate) const LISTEN: &str = "tcp:0.0.0.0:7433";

/// Runs a relay: endpoints that can reach it can reach each other, find each other in rooms, and it can read nothing.
///
/// Standard error tells `listening on STRING`, the string for `--relay` of the others, for each --listen. On a
/// terminal a status line follows. With --stun, --turn or --turns it also serves those who look for direct paths, tells
/// its neighbours of it, and says `serving STUN on ADDRESS` or `serving TURN on ADDRESS`. SIGINT and SIGTERM stop it; it says goodbye to its neighbours first, so that they
/// take another relay at once.
#[derive(Debug, ClapArgs)]
#[command(after_help = STRINGS, after_long_help = format!("{STRINGS}\n\n{EXIT_CODES}"))]
pub(crate) struct RelayArgs {
    /// Listen on this connection string (repeatable)
    #[arg(long, value_name = "STRING", default_value = LISTEN)]
    pub(crate) listen: Vec<String>,

    /// The file of the relay's own secret key, made if there is none [default: relay-key among the settings]
    #[arg(long, value_name = "FILE")]
    pub(crate) key: Option<PathBuf>,

    /// Serve these endpoints only (repeatable)
    #[arg(long, value_name = "ID", conflicts_with = "token")]
    pub(crate) allow: Vec<EndpointId>,

    /// Serve those only who know this token (their --token)
    #[arg(long, env = "SWITCHBOARD_RELAY_TOKEN", value_name = "TOKEN", hide_env_values = true)]
    pub(crate) token: Option<String>,

    /// The most links of one key
    #[arg(long, value_name = "N")]
    pub(crate) max_links: Option<usize>,

    /// The most sessions of one key that pass
    #[arg(long, value_name = "N")]
    pub(crate) max_sessions: Option<usize>,

    /// The most rooms that one key is in
    #[arg(long, value_name = "N")]
    pub(crate) max_rooms: Option<usize>,

    /// The most bytes a second of one key; what comes beyond is dropped
    #[arg(long, value_name = "BYTES")]
    pub(crate) max_rate: Option<u64>,

    /// Serve /metrics (Prometheus) and /status (JSON) over HTTP here; it is for a trusted network
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(crate) status: Option<SocketAddr>,

    /// The certificate of tls: and wss: listeners, with its chain, in PEM
    #[arg(long, value_name = "FILE", requires = "tls_key", conflicts_with = "self_signed")]
    pub(crate) tls_cert: Option<PathBuf>,

    /// The certificate's key, in PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub(crate) tls_key: Option<PathBuf>,

    /// Make a certificate for localhost, 127.0.0.1, ::1 and the host listened on, and write it to this new file
    #[arg(long, value_name = "CERT.pem")]
    pub(crate) self_signed: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) servers: ServerArgs,

    /// Write what happens to standard error as JSON, one object a line
    #[arg(long)]
    pub(crate) json: bool,
}
