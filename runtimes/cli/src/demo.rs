//! The main job without any set-up: two endpoints and a relay in one process, and paths that die in the middle.
//!
//! The relay is driven by mio on a thread of its own, the endpoints by tokio; the sockets are real, the ports chosen
//! by the system. Each endpoint has two links to the relay, those of the sender over [`cable`]s that can be killed, and
//! makes direct paths over a [`wire`] that can be cut. It sends numbered messages, the other checks number, order and
//! content of what it receives ([`tally`]), and what happens to the paths is a [`story`].

mod cable;
mod paths;
mod relay;
mod story;
mod table;
mod tally;
mod wire;

use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use cable::Cable;
use paths::Paths;
use relay::Relay;
use story::{InUse, Story};
use switchboard::connect;
use switchboard::hub::channel::{Channel, ChannelId};
use switchboard::hub::{Event, PathPolicy, SessionId};
use switchboard::transport::webrtc::Webrtc;
use switchboard_tokio::Endpoint;
use switchboard_tokio::environment::direct;
use table::Style;
use tally::{COUNT, Tally, payload};
use tokio::sync::watch;
use tokio::time::timeout;
use wire::{Wire, Wired};

use crate::outcome::{Code, Failure};
use crate::table::grouped;
use crate::{party, report, signals};

/// The time from one message to the next, if nothing holds them up.
const PACE: Duration = Duration::from_millis(3);
/// Silence after which what has not come is held to be lost.
const SILENCE: Duration = Duration::from_secs(8);
/// No run takes longer.
const LONGEST: Duration = Duration::from_secs(25);

const CHANNEL: ChannelId = ChannelId::declared(0);

/// What has become of the messages.
struct Outcome {
    sent: u64,
    paths: Paths,
    tally: Tally,
}

pub(crate) fn run(json: bool) -> Result<(), Failure> {
    signals::run(async |stop| {
        let steps = Steps { json, start: Instant::now() };
        steps.say("A relay driven by mio, two endpoints driven by tokio, real sockets on this machine:\n");
        tokio::select! {
            outcome = demonstrate(&steps) => conclude(&outcome?, json),
            () = stop.asked() => Ok(()),
        }
    })
}

async fn demonstrate(steps: &Steps) -> Result<Outcome, Failure> {
    let relay = Relay::start()?;
    let mut cables = Vec::new();
    for address in &relay.addresses {
        cables.push(Cable::lay(*address).await.map_err(|error| failed(&error))?);
    }
    let cables: [Cable; 2] = cables.try_into().map_err(|_| failed(&"the relay has two listeners"))?;
    steps.of("relay", &format!("listens on {} and {}", relay.addresses[0], relay.addresses[1]));
    let wire = Wire::default();
    let a = endpoint(&cables.each_ref().map(|cable| cable.address), &wire)?;
    let b = endpoint(&relay.addresses, &wire)?;
    steps.of("a", &format!("is {}", a.address().id));
    steps.of("b", &format!("is {}", b.address().id));
    let to = present(&b).await?;
    present(&a).await?;
    let opened = tokio::join!(a.open_by(to, vec![Channel::reliable("demo")], PathPolicy::PreferDirect), accept(&b));
    let session = opened.0.map_err(|closed| party::unreached(to, &closed))?;
    steps.of("a", &format!("has a session with b, sealed end to end, and sends {} messages", grouped(COUNT)));
    let outcome = exchange(&a, &b, session, (&cables, &wire), steps).await;
    a.close(session, 0, "");
    tokio::join!(a.stop(), b.stop());
    relay.finish()?;
    Ok(outcome)
}

fn failed(error: &dyn std::fmt::Display) -> Failure {
    Failure::new(Code::Failed, format!("the demonstration can't go on: {error}"))
}

/// An endpoint with a new key that reaches the relay at both addresses, and others by that wire.
fn endpoint(addresses: &[SocketAddr], wire: &Wire) -> Result<Endpoint, Failure> {
    let builder = connect::Endpoint::builder(relay::new_key()?).relay(&format!("tcp:{}", addresses[0]));
    let endpoint = Endpoint::start(builder.relay(&format!("ws://{}/", addresses[1])))?;
    let mut config = direct::config_of("", "")?;
    config.gather.loopback = true;
    let wired = Wired { peers: Webrtc::new(config), wire: wire.clone() };
    endpoint.act(|endpoint, cx| endpoint.set_upgrade(cx, Box::new(wired)));
    Ok(endpoint)
}

/// Waits until both links stand.
async fn present(endpoint: &Endpoint) -> Result<switchboard::wire::identity::Address, Failure> {
    let both = async {
        while endpoint.act(|endpoint, _| endpoint.neighbours().count()) < 2 {
            endpoint.next().await;
        }
    };
    timeout(SILENCE, both).await.map_err(|_| failed(&"an endpoint does not reach the relay"))?;
    Ok(endpoint.address())
}

async fn accept(endpoint: &Endpoint) {
    while let Some(event) = endpoint.next().await {
        if let Event::Incoming { session, .. } = event {
            return endpoint.accept(session);
        }
    }
}

/// Lets the messages pass, and the paths die; gives up after a long silence.
async fn exchange(
    a: &Endpoint,
    b: &Endpoint,
    session: SessionId,
    (cables, wire): (&[Cable; 2], &Wire),
    steps: &Steps,
) -> Outcome {
    let mut outcome = Outcome { sent: 0, paths: Paths::new(steps.start), tally: Tally::new() };
    let (told, in_use) = watch::channel(None);
    let story = Story { cables, wire, in_use, steps };
    let sending = send(a, session, &mut outcome.sent);
    let watching = watch(a, session, &mut outcome.paths, &told, steps);
    let receiving = receive(b, &mut outcome.tally);
    let all = async {
        tokio::select! {
            () = receiving => {}
            () = watching => {}
            () = async { tokio::join!(sending, story.play()); std::future::pending().await } => {}
        }
    };
    _ = timeout(LONGEST, all).await;
    outcome
}

async fn send(a: &Endpoint, session: SessionId, sent: &mut u64) {
    let mut pace = tokio::time::interval(PACE);
    while *sent < COUNT {
        pace.tick().await;
        if a.send(session, CHANNEL, &payload(*sent)).await.is_err() {
            return;
        }
        *sent += 1;
    }
}

/// Tells of the sender's path, and notes its changes.
async fn watch(
    a: &Endpoint,
    session: SessionId,
    paths: &mut Paths,
    told: &watch::Sender<Option<InUse>>,
    steps: &Steps,
) {
    while let Some(event) = a.next().await {
        match event {
            Event::Path { .. } => {
                let Some(explanation) = a.act(|endpoint, cx| endpoint.explain(cx, session)) else { continue };
                if let Some(used) = paths.note(Instant::now(), &explanation) {
                    steps.of("a", &format!("uses {}: {}", used.path, used.text));
                    told.send_replace(Some(InUse { path: used.path, direct: used.direct }));
                }
            }
            Event::Disconnected { .. } => steps.of("a", "has no path to b"),
            Event::Reconnected { .. } => steps.of("a", "has a path to b again"),
            _ => {}
        }
    }
}

async fn receive(b: &Endpoint, tally: &mut Tally) {
    while !tally.is_complete() {
        match timeout(SILENCE, b.next()).await {
            Ok(Some(Event::Message { bytes, .. })) => tally.count(Instant::now(), &bytes),
            Ok(Some(Event::Closed { .. }) | None) | Err(_) => return,
            Ok(Some(_)) => {}
        }
    }
}

fn conclude(outcome: &Outcome, json: bool) -> Result<(), Failure> {
    report::output(&if json { table::json(outcome) } else { table::text(outcome, Style::of_stdout()) })?;
    if !outcome.is_perfect() {
        return Err(Failure::new(Code::Imperfect, "not every message arrived, once and in order"));
    }
    if !outcome.paths.is_whole_story() {
        return Err(Failure::new(Code::Imperfect, "the two did not talk directly before and after the cut"));
    }
    Ok(())
}

impl Outcome {
    const fn is_perfect(&self) -> bool {
        self.sent == COUNT && self.tally.is_perfect()
    }
}

/// Tells each step as it happens: on standard output, with `--json` on standard error.
struct Steps {
    json: bool,
    start: Instant,
}

impl Steps {
    fn of(&self, who: &str, text: &str) {
        self.say(&format!("{:6.2} s  {who:<5}  {text}", self.start.elapsed().as_secs_f64()));
    }

    /// A reader that has gone does not end the demonstration.
    fn say(&self, text: &str) {
        if self.json {
            return report::line(text);
        }
        _ = writeln!(io::stdout(), "{text}").and_then(|()| io::stdout().flush());
    }
}
