//! The command line of `dial` and `listen`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args as ClapArgs, ValueEnum};
use switchboard::transport::Reconnect;

use super::{EXIT_CODES, STRINGS, seconds};

/// Dials a connection string; standard input and output are the messages.
///
/// Each line of standard input is sent as a message, each message received is written as a line. Lines that are UTF-8 go out as text, others as binary messages; received messages of both sorts are written as
/// they are, with a line feed. Input waits while there is no link or the peer does not read. When the link ends
/// otherwise than by a proper close, or before all input was sent, the exit code is 4.
#[derive(Debug, ClapArgs)]
#[command(after_help = STRINGS, after_long_help = format!("{STRINGS}\n\n{EXIT_CODES}"))]
pub(crate) struct DialArgs {
    #[command(flatten)]
    pub(crate) peer: PeerArgs,

    /// After the end of input, close the link once no message has come for so many seconds, or `never`
    ///
    /// Everything is sent first. The default is 0.5; with --count, and with --echo, `never`.
    #[arg(long, value_name = "SECONDS", value_parser = linger)]
    linger: Option<Linger>,

    /// What to do when the link or the dial has failed: `never`, `at-once`, SECONDS or `backoff[:FIRST:CAP]`
    ///
    /// `backoff` waits for a time that doubles from FIRST (1) to CAP (60) seconds, of which a random part up to a half
    /// is taken off.
    #[arg(long, value_name = "POLICY", default_value = "never", value_parser = reconnect)]
    pub(crate) reconnect: Reconnect,

    /// Dial through this HTTP proxy: `http://[user:password@]host:port` (the environment is not consulted)
    #[arg(long, value_name = "URL")]
    pub(crate) proxy: Option<String>,
}

/// Listens on a connection string; standard input and output are the messages.
///
/// Each line of standard input is sent as a message on every link, each message received on any link is written as a
/// line. The first line on standard error is `listening on STRING`, the string to dial. Lines that are UTF-8 go out as
/// text, others as binary messages; received messages of both sorts are written as they are, with a line feed. Input
/// waits while there is no link or one does not read; its end does not end the program: SIGINT, SIGTERM and --count
/// do.
#[derive(Debug, ClapArgs)]
#[command(after_help = STRINGS, after_long_help = format!("{STRINGS}\n\n{EXIT_CODES}"))]
pub(crate) struct ListenArgs {
    #[command(flatten)]
    pub(crate) peer: PeerArgs,

    /// Make a certificate for localhost, 127.0.0.1, ::1 and the host listened on, and write it to this new file
    ///
    /// Its key is kept in memory only. An existing file is never overwritten. Dial with --ca of the same file.
    #[arg(long, value_name = "CERT.pem", conflicts_with_all = ["cert", "key"])]
    pub(crate) self_signed: Option<PathBuf>,

    /// Accept browsers from this origin only, as in `https://example.com` (repeatable)
    #[arg(long, value_name = "ORIGIN")]
    pub(crate) origin: Vec<String>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct PeerArgs {
    /// The connection string
    pub(crate) string: String,

    /// Messages are length-prefixed: 4 bytes, big-endian, then as many bytes; all are sent as binary messages
    #[arg(long)]
    pub(crate) binary: bool,

    /// Send each message back as it came, text as text, binary as binary
    ///
    /// Standard input is not read and standard output not written. A peer that does not read holds up the others.
    #[arg(long, conflicts_with = "binary")]
    pub(crate) echo: bool,

    /// Exit after so many received messages
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) count: Option<u64>,

    /// Trust the issuers in this PEM file, and not those of the system (repeatable)
    ///
    /// When listening: refuse clients without a certificate of these issuers.
    #[arg(long, value_name = "FILE")]
    pub(crate) ca: Vec<PathBuf>,

    /// Our certificate and its chain, in PEM
    #[arg(long, value_name = "FILE", requires = "key")]
    pub(crate) cert: Option<PathBuf>,

    /// The certificate's key, in PEM
    #[arg(long, value_name = "FILE", requires = "cert")]
    pub(crate) key: Option<PathBuf>,

    /// A WebSocket subprotocol to offer, or to accept, in order of preference (repeatable)
    #[arg(long, value_name = "NAME")]
    pub(crate) subprotocol: Vec<String>,

    /// A further header of our part of the WebSocket upgrade (repeatable)
    #[arg(long, value_name = "NAME: VALUE", value_parser = header)]
    pub(crate) header: Vec<(String, String)>,

    /// The largest message, in bytes, to send or to receive
    #[arg(long, value_name = "BYTES", default_value_t = 16 * 1024 * 1024)]
    pub(crate) max_message: usize,

    /// Write what happens to standard error as JSON, one object a line
    #[arg(long)]
    pub(crate) json: bool,

    /// What drives the link
    #[arg(long, value_enum, default_value_t = Runtime::Tokio)]
    pub(crate) runtime: Runtime,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Runtime {
    Tokio,
    Mio,
}

/// How long a silent link stays open after the end of input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Linger {
    For(Duration),
    Forever,
}

impl DialArgs {
    pub(crate) fn linger(&self) -> Linger {
        let unasked = if self.peer.count.is_some() || self.peer.echo {
            Linger::Forever
        } else {
            Linger::For(Duration::from_millis(500))
        };
        self.linger.unwrap_or(unasked)
    }
}

fn linger(text: &str) -> Result<Linger, String> {
    if text == "never" { Ok(Linger::Forever) } else { seconds(text).map(Linger::For) }
}

fn reconnect(text: &str) -> Result<Reconnect, String> {
    match text.split(':').collect::<Vec<_>>()[..] {
        ["never"] => Ok(Reconnect::Never),
        ["at-once"] => Ok(Reconnect::AtOnce),
        ["backoff"] => Ok(Reconnect::Backoff { first: Duration::from_secs(1), cap: Duration::from_secs(60) }),
        ["backoff", first, cap] => Ok(Reconnect::Backoff { first: seconds(first)?, cap: seconds(cap)? }),
        [pause] => seconds(pause).map(Reconnect::After),
        _ => Err("it must be never, at-once, SECONDS or backoff[:FIRST:CAP]".to_owned()),
    }
}

fn header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once(':').ok_or("it must be `Name: value`")?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::super::{Args, Command};
    use super::*;

    #[test]
    fn each_policy_of_reconnecting_can_be_written() {
        assert_eq!(reconnect("never"), Ok(Reconnect::Never));
        assert_eq!(reconnect("at-once"), Ok(Reconnect::AtOnce));
        assert_eq!(reconnect("2.5"), Ok(Reconnect::After(Duration::from_millis(2500))));
        let (first, cap) = (Duration::from_millis(100), Duration::from_secs(5));
        assert_eq!(reconnect("backoff:0.1:5"), Ok(Reconnect::Backoff { first, cap }));
        for wrong in ["", "soon", "-1", "backoff:1", "backoff:1:2:3", "1e300"] {
            assert!(reconnect(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn counting_or_echoing_keeps_a_link_open_after_the_end_of_input() {
        let linger = |line: &str| match Args::parse_from(line.split(' ')).command {
            Command::Dial(args) => args.linger(),
            other => panic!("{other:?}"),
        };
        assert_eq!(linger("switchboard dial tcp:a:1"), Linger::For(Duration::from_millis(500)));
        assert_eq!(linger("switchboard dial tcp:a:1 --count 3"), Linger::Forever);
        assert_eq!(linger("switchboard dial tcp:a:1 --count 3 --linger 2"), Linger::For(Duration::from_secs(2)));
    }
}
