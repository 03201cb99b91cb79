//! The command line of what endpoints do.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args as ClapArgs, ValueEnum};
use switchboard::stack::peer::EngineKind;
use switchboard::wire::identity::{Address, EndpointId};

use super::{EXIT_CODES, seconds};

/// Who we are and how we reach others.
#[derive(Debug, ClapArgs)]
#[command(next_help_heading = "Endpoint")]
pub(crate) struct EndpointArgs {
    /// The file of the secret key, made if there is none [default: key among the settings]
    #[arg(long, value_name = "FILE")]
    pub(crate) key: Option<PathBuf>,

    /// A relay, by its connection string (repeatable) [default: those of SWITCHBOARD_RELAYS, else of the file relays
    /// among the settings, $XDG_CONFIG_HOME/switchboard or ~/.config/switchboard]
    #[arg(long, value_name = "STRING")]
    pub(crate) relay: Vec<String>,

    /// What relays that ask for a token are told
    #[arg(long, env = "SWITCHBOARD_TOKEN", value_name = "TOKEN", hide_env_values = true)]
    pub(crate) token: Option<String>,

    /// Trust the issuers in this PEM file for tls: and wss:, and not those of the system (repeatable)
    #[arg(long, value_name = "FILE")]
    pub(crate) ca: Vec<PathBuf>,

    /// Which paths to the other endpoint may be used
    #[arg(long, value_enum, default_value_t = PathArg::PreferDirect)]
    pub(crate) path: PathArg,

    /// STUN and TURN servers for direct paths, beside those that relays hand out: stun:HOST:PORT, several separated by
    /// commas; or JSON as browsers take it
    #[arg(long, env = "SWITCHBOARD_ICE_SERVERS", value_name = "SERVERS", hide_env_values = true)]
    pub(crate) ice_servers: Option<String>,

    /// Which of our addresses the other endpoint may learn on a direct path: all, or relay for those at TURN servers
    #[arg(long, env = "SWITCHBOARD_CANDIDATES", value_name = "KINDS")]
    pub(crate) candidates: Option<String>,

    /// What carries direct paths: data, this program's own, or str0m; the other endpoint may have either
    #[arg(long, env = "SWITCHBOARD_ENGINE", value_name = "ENGINE", default_value = "data")]
    pub(crate) engine: EngineKind,

    /// Write what happens to standard error as JSON, one object a line
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum PathArg {
    /// A direct one as soon as there is one
    PreferDirect,
    /// Through relays only, so that the other does not learn our address
    RelayOnly,
    /// A direct one only, over links that need no relay from the beginning
    DirectOnly,
}

/// The other endpoint: dialled by its id, or met in a room.
#[derive(Debug, ClapArgs)]
pub(crate) struct WhomArgs {
    /// The other endpoint's id; without it, wait for one that dials us
    #[arg(value_name = "ID")]
    pub(crate) id: Option<Address>,

    /// Meet in this room: whoever comes second dials the first
    #[arg(long, value_name = "ROOM", conflicts_with = "id")]
    pub(crate) room: Option<String>,

    /// The room's secret: who does not know it can't join
    #[arg(long, value_name = "SECRET", requires = "room", env = "SWITCHBOARD_SECRET", hide_env_values = true)]
    pub(crate) secret: Option<String>,
}

/// Writes our endpoint's id, by which others reach us.
///
/// The id is the public half of the key. The key is made if there is none.
#[derive(Debug, ClapArgs)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct IdArgs {
    /// The file of the secret key, made if there is none [default: key among the settings]
    #[arg(long, value_name = "FILE")]
    pub(crate) key: Option<PathBuf>,
}

/// Talks to all who are in a room.
///
/// Lines of standard input are told to the others; what they say, and who comes and goes, is written. Relays can read
/// nothing. `/who` lists the members, `/msg NAME TEXT` tells one of them only, `/quit` or the end of input leaves.
#[derive(Debug, ClapArgs)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct ChatArgs {
    /// The room's name
    pub(crate) room: String,

    /// The name that the others see [default: that of the system's user]
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,

    /// The room's secret: who does not know it can't join
    #[arg(long, value_name = "SECRET", env = "SWITCHBOARD_SECRET", hide_env_values = true)]
    pub(crate) secret: Option<String>,

    #[command(flatten)]
    pub(crate) endpoint: EndpointArgs,
}

/// Joins standard input and output of two programs: what one reads, the other writes.
///
/// Without an id, it writes `waiting as ID` to standard error and waits for whoever dials first. Any bytes pass. The
/// end of input is the end of the other's output; the program ends once both directions have ended.
#[derive(Debug, ClapArgs)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct PipeArgs {
    #[command(flatten)]
    pub(crate) whom: WhomArgs,

    /// Only this endpoint may dial us
    #[arg(long, value_name = "ID", conflicts_with = "id")]
    pub(crate) from: Option<EndpointId>,

    #[command(flatten)]
    pub(crate) endpoint: EndpointArgs,
}

/// Sends files to one who runs `switchboard receive`.
///
/// A broken transfer goes on where it broke when it is started again. The exit code is 0 once the other side has
/// verified all files.
#[derive(Debug, ClapArgs)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct SendArgs {
    /// The files
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,

    /// The id of the endpoint that receives, as it has written it
    #[arg(long, value_name = "ID", required_unless_present = "room")]
    pub(crate) to: Option<Address>,

    /// Meet in this room
    #[arg(long, value_name = "ROOM", conflicts_with = "to")]
    pub(crate) room: Option<String>,

    /// The room's secret
    #[arg(long, value_name = "SECRET", requires = "room", env = "SWITCHBOARD_SECRET", hide_env_values = true)]
    pub(crate) secret: Option<String>,

    #[command(flatten)]
    pub(crate) endpoint: EndpointArgs,
}

/// Receives the files of one who runs `switchboard send`.
///
/// It writes `waiting as ID` to standard error. Each file is verified before it gets its name; a name that is taken
/// is left alone, and the new file called `NAME (1)`. What a broken transfer has brought is kept in `NAME.HASH.part`.
#[derive(Debug, ClapArgs)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct ReceiveArgs {
    /// Where to put the files
    #[arg(long, value_name = "DIRECTORY", default_value = ".")]
    pub(crate) directory: PathBuf,

    /// Replace files that have the same name
    #[arg(long)]
    pub(crate) overwrite: bool,

    /// Refuse files larger than this
    #[arg(long, value_name = "BYTES")]
    pub(crate) max_size: Option<u64>,

    /// Go on after the first who sends
    #[arg(long)]
    pub(crate) keep_listening: bool,

    /// Receive from this endpoint only
    #[arg(long, value_name = "ID")]
    pub(crate) from: Option<EndpointId>,

    /// Meet in this room
    #[arg(long, value_name = "ROOM")]
    pub(crate) room: Option<String>,

    /// The room's secret
    #[arg(long, value_name = "SECRET", requires = "room", env = "SWITCHBOARD_SECRET", hide_env_values = true)]
    pub(crate) secret: Option<String>,

    #[command(flatten)]
    pub(crate) endpoint: EndpointArgs,
}

/// Forwards TCP connections to services of another endpoint.
///
/// The serving side names what it allows: `switchboard forward --allow web=127.0.0.1:8080`. It writes
/// `waiting as ID`. The other side listens: `switchboard forward --to ID web 127.0.0.1:9000`. It writes
/// `listening on ADDRESS`.
#[derive(Debug, ClapArgs)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct ForwardArgs {
    /// The service, by the name that the serving side has given it
    #[arg(requires_all = ["listen", "to"], conflicts_with = "allow", required_unless_present = "allow")]
    pub(crate) service: Option<String>,

    /// Where to listen for TCP connections, as ADDRESS:PORT
    pub(crate) listen: Option<String>,

    /// The id of the endpoint that serves
    #[arg(long, value_name = "ID", requires = "service")]
    pub(crate) to: Option<Address>,

    /// Allow connections to HOST:PORT under this name (repeatable)
    #[arg(long, value_name = "NAME=HOST:PORT", value_parser = service)]
    pub(crate) allow: Vec<ServiceArg>,

    /// Serve this endpoint only (repeatable)
    #[arg(long, value_name = "ID", requires = "allow")]
    pub(crate) from: Vec<EndpointId>,

    #[command(flatten)]
    pub(crate) endpoint: EndpointArgs,
}

/// A service and where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ServiceArg {
    pub(crate) name: String,
    pub(crate) target: String,
}

/// Measures the way to another endpoint, and says which path is used and why.
///
/// The other endpoint must be running; any of the commands that wait answers.
#[derive(Debug, ClapArgs)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct PingArgs {
    /// The other endpoint's id
    pub(crate) id: Address,

    /// How many times
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) count: u32,

    /// Seconds between one and the next
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = seconds)]
    pub(crate) interval: Duration,

    #[command(flatten)]
    pub(crate) endpoint: EndpointArgs,
}

fn service(text: &str) -> Result<ServiceArg, String> {
    let (name, target) = text.split_once('=').ok_or("it must be NAME=HOST:PORT")?;
    let port = target.rsplit_once(':').filter(|(host, _)| !host.is_empty()).map(|(_, port)| port.parse::<u16>());
    match port {
        _ if name.is_empty() || name.len() > 64 => Err("the name must have 1 to 64 bytes".to_owned()),
        Some(Ok(_)) => Ok(ServiceArg { name: name.to_owned(), target: target.to_owned() }),
        _ => Err(format!("{target:?} is not HOST:PORT")),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::super::Args;
    use super::*;

    #[test]
    fn a_service_has_a_name_and_a_place() {
        let good = ServiceArg { name: "web".to_owned(), target: "[::1]:80".to_owned() };
        assert_eq!(service("web=[::1]:80"), Ok(good));
        for wrong in ["web", "=a:1", "web=a", "web=:1", "web=a:b", "web=a:70000"] {
            assert!(service(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_forwarding_either_serves_or_listens() {
        let id = "a".repeat(52);
        let parse = |line: &str| Args::try_parse_from(["switchboard", "forward"].into_iter().chain(line.split(' ')));
        assert!(parse("--allow web=127.0.0.1:80").is_ok());
        assert!(parse(&format!("--to {id} web 127.0.0.1:0")).is_ok());
        for wrong in
            ["web 127.0.0.1:0", &format!("--to {id} web"), &format!("--to {id} --allow web=127.0.0.1:80"), "--json"]
        {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
