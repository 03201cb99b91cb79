//! The main job without any set-up: a relay and two clients in one process, over each kind of link.
//!
//! The relay is driven by mio on a thread of its own, the clients by tokio; the sockets are real, the ports chosen
//! by the system, the certificate made on the spot. Each client sends numbered messages, which the relay passes to
//! the other; each checks number, order and content of what it receives ([`tally`]).

mod client;
mod relay;
mod table;
mod tally;

use std::io::{self, Write as _};
use std::time::{Duration, Instant};

use client::Client;
use relay::Relay;
use switchboard::connect::Options;
use switchboard::link::tls::{ClientConfig, ServerConfig};
use table::{Style, grouped};
use tally::{COUNT, Tally};
use tokio::runtime::Builder;

use crate::outcome::{Code, Failure};
use crate::report;
use crate::trust::SelfSigned;

const KINDS: [&str; 4] = ["tcp", "tls", "ws", "wss"];

/// What one kind of link has done.
struct Row {
    kind: &'static str,
    sent: u64,
    tally: Tally,
    time: Duration,
}

pub(crate) fn run(json: bool) -> Result<(), Failure> {
    let steps = Steps { json };
    steps.say("A relay driven by mio, two clients driven by tokio, real sockets on 127.0.0.1:\n");
    let options = options()?;
    let tokio = Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let tokio = tokio.map_err(|error| Failure::new(Code::Failed, format!("tokio can't start: {error}")))?;
    let mut rows = Vec::new();
    for kind in KINDS {
        rows.push(tokio.block_on(exchange(kind, &options, &steps))?);
    }
    conclude(&rows, json)
}

/// Trust and identity, fit for each other.
fn options() -> Result<Options, Failure> {
    let made = SelfSigned::make(None)?;
    let refused = |error| Failure::new(Code::Failed, format!("the certificate made can't be used: {error}"));
    Ok(Options {
        trust: Some(ClientConfig::new([made.der]).map_err(refused)?),
        identity: Some(ServerConfig::new(&made.identity).map_err(refused)?),
        ..Options::default()
    })
}

async fn exchange(kind: &'static str, options: &Options, steps: &Steps) -> Result<Row, Failure> {
    let relay = Relay::start(kind, options)?;
    steps.of(kind, &format!("the relay listens on {}", relay.string));
    let mut a = Client::connect('a', &relay.string, options).await?;
    steps.of(kind, &format!("client a is connected from {}", a.address));
    let mut b = Client::connect('b', &relay.string, options).await?;
    steps.of(kind, &format!("client b is connected from {}", b.address));
    steps.of(kind, &format!("each sends the other {} messages of 16 bytes to 1 MiB", grouped(COUNT)));
    let start = Instant::now();
    tokio::join!(a.exchange(), b.exchange());
    let time = start.elapsed();
    tokio::join!(a.close(), b.close());
    relay.finish()?;
    let row = Row { kind, sent: a.sent + b.sent, tally: a.tally.and(&b.tally), time };
    steps.of(kind, &format!("{} messages have come through, all links are closed", grouped(row.tally.received)));
    Ok(row)
}

fn conclude(rows: &[Row], json: bool) -> Result<(), Failure> {
    let perfect = rows.iter().all(Row::is_perfect);
    let text = if json { table::json(rows, perfect) } else { table::text(rows, perfect, Style::of_stdout()) };
    match writeln!(io::stdout(), "{text}").and_then(|()| io::stdout().flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::new(Code::Failed, format!("standard output: {error}")))
        }
        _ if perfect => Ok(()),
        _ => Err(Failure::new(Code::Imperfect, "not every message arrived, once and in order")),
    }
}

impl Row {
    const fn is_perfect(&self) -> bool {
        self.sent == 2 * COUNT && self.tally.is_perfect()
    }
}

/// Tells each step as it happens: on standard output, with `--json` on standard error.
struct Steps {
    json: bool,
}

impl Steps {
    fn of(&self, kind: &str, text: &str) {
        self.say(&format!("  {kind:<3}  {text}"));
    }

    /// A reader that has gone does not end the demonstration.
    fn say(&self, text: &str) {
        if self.json { report::line(text) } else { _ = writeln!(io::stdout(), "{text}") }
    }
}
