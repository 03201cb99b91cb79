//! The command line.

mod endpoint;
mod links;
mod relay;
mod servers;
mod sim;

use std::time::Duration;

use clap::{Args as ClapArgs, Parser, Subcommand};

pub(crate) use endpoint::{
    ChatArgs, EndpointArgs, ForwardArgs, IdArgs, PathArg, PingArgs, PipeArgs, ReceiveArgs, SendArgs,
};
pub(crate) use links::{DialArgs, Linger, ListenArgs, PeerArgs, Runtime};
pub(crate) use relay::RelayArgs;
pub(crate) use servers::ServerArgs;
pub(crate) use sim::{MatrixArgs, ReplayArgs, RunArgs, ShrinkArgs, SimArgs, SimCommand};

const EXIT_CODES: &str = "\
Exit codes:
    0  all went well, a stop by SIGINT or SIGTERM and a reader that has gone away included
    1  something failed while running
    2  wrong usage, a file that can't be used, or a wrong connection string
    3  could not connect, could not listen, or could not reach the other endpoint
    4  the peer broke a rule or refused, or the link or session was lost
    5  the demo or a simulation found a message lost, repeated or out of order, or did not end well
  130  a second signal came before the links were closed";

const STRINGS: &str = "\
Connection strings:
  tcp:HOST:PORT             length-delimited messages on TCP
  tls:HOST:PORT             the same inside TLS
  ws://HOST[:PORT][/PATH]   WebSocket
  wss://HOST[:PORT][/PATH]  WebSocket inside TLS
An IPv6 address stands in brackets. Port 0 listens on a port of the system's choice.";

/// Carries messages between endpoints over whatever path exists.
#[derive(Debug, Parser)]
#[command(name = "switchboard", version, after_help = EXIT_CODES)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Demo(DemoArgs),
    Relay(Box<RelayArgs>),
    Id(IdArgs),
    Chat(ChatArgs),
    Pipe(PipeArgs),
    Send(SendArgs),
    Receive(ReceiveArgs),
    Forward(ForwardArgs),
    Ping(PingArgs),
    Dial(DialArgs),
    Listen(ListenArgs),
    Sim(SimArgs),
}

/// Shows the library at work: a relay and two endpoints, and paths that die in the middle.
///
/// A relay and two endpoints are started in this process, with real sockets on this machine and two links from each
/// endpoint to the relay. One endpoint sends numbered messages to the other, at first through the relay and soon
/// directly. Then the direct path is cut, the link to the relay goes dead too, both without a word to anybody, and both
/// are mended. The end are tables of the paths and of what arrived. It takes about 10 seconds.
///
/// With --json, standard output gets one object: `sent`, `received`, `lost`, `repeated`, `out_of_order`, `stall_ms`
/// (the longest time without a message), `path_changes`, and `paths`, a list of the paths used with `at_ms`, `stall_ms`
/// (the time without a message around the change), `direct` and `path`. A message that arrives damaged counts as lost.
#[derive(Debug, ClapArgs)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct DemoArgs {
    /// Write one JSON object to standard output, and the steps to standard error.
    #[arg(long)]
    pub(crate) json: bool,
}

fn seconds(text: &str) -> Result<Duration, String> {
    let number = text.parse().map_err(|_| format!("{text:?} is not a number of seconds"))?;
    Duration::try_from_secs_f64(number).map_err(|_| format!("{text:?} is not a time that can be waited for"))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }
}
