//! The main job without any set-up: two endpoints and a relay in one process, and a path that dies in the middle.
//!
//! The relay is driven by mio on a thread of its own, the endpoints by tokio; the sockets are real, the ports chosen
//! by the system. Each endpoint has two links to the relay, those of the sender over [`cable`]s that can be killed. It
//! sends numbered messages, the other checks number, order and content of what it receives ([`tally`]).

mod cable;
mod relay;
mod table;
mod tally;

use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use cable::{Cable, State};
use relay::Relay;
use switchboard::connect;
use switchboard::hub::channel::{Channel, ChannelId};
use switchboard::hub::session::event::PathId;
use switchboard::hub::{Event, PathPolicy, SessionId};
use switchboard_tokio::Endpoint;
use table::Style;
use tally::{COUNT, Tally, payload};
use tokio::time::timeout;

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
    path_changes: u64,
    tally: Tally,
}

pub(crate) fn run(json: bool) -> Result<(), Failure> {
    signals::run(async |stop| {
        let steps = Steps { json };
        steps.say("A relay driven by mio, two endpoints driven by tokio, real sockets on 127.0.0.1:\n");
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
    let (a, b) = (endpoint(&cables.each_ref().map(|cable| cable.address))?, endpoint(&relay.addresses)?);
    steps.of("a", &format!("is {}", a.address().id));
    steps.of("b", &format!("is {}", b.address().id));
    let to = present(&b).await?;
    present(&a).await?;
    let opened = tokio::join!(a.open_by(to, vec![Channel::reliable("demo")], PathPolicy::PreferDirect), accept(&b));
    let session = opened.0.map_err(|closed| party::unreached(to, &closed))?;
    steps.of("a", &format!("has a session with b, sealed end to end, and sends {} messages", grouped(COUNT)));
    let outcome = exchange(&a, &b, session, &cables, steps).await;
    a.close(session, 0, "");
    tokio::join!(a.stop(), b.stop());
    relay.finish()?;
    Ok(outcome)
}

fn failed(error: &dyn std::fmt::Display) -> Failure {
    Failure::new(Code::Failed, format!("the demonstration can't go on: {error}"))
}

/// An endpoint with a new key that reaches the relay at both addresses.
fn endpoint(addresses: &[SocketAddr]) -> Result<Endpoint, Failure> {
    let builder = connect::Endpoint::builder(relay::new_key()?).relay(&format!("tcp:{}", addresses[0]));
    Ok(Endpoint::start(builder.relay(&format!("ws://{}/", addresses[1])))?)
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

/// Lets the messages pass, and the cables die; gives up after a long silence.
async fn exchange(a: &Endpoint, b: &Endpoint, session: SessionId, cables: &[Cable; 2], steps: &Steps) -> Outcome {
    let mut outcome = Outcome { sent: 0, path_changes: 0, tally: Tally::new() };
    let sending = send(a, session, cables, steps, &mut outcome.sent);
    let watching = watch(a, steps, &mut outcome.path_changes);
    let receiving = receive(b, &mut outcome.tally);
    let all = async {
        tokio::pin!(receiving);
        tokio::select! {
            () = &mut receiving => {}
            () = watching => {}
            () = async { sending.await; std::future::pending().await } => {}
        }
    };
    _ = timeout(LONGEST, all).await;
    outcome
}

async fn send(a: &Endpoint, session: SessionId, cables: &[Cable; 2], steps: &Steps, sent: &mut u64) {
    let mut pace = tokio::time::interval(PACE);
    while *sent < COUNT {
        pace.tick().await;
        if a.send(session, CHANNEL, &payload(*sent)).await.is_err() {
            return;
        }
        *sent += 1;
        harm(*sent, cables, steps).await;
    }
}

/// What happens to the cables after so many messages.
async fn harm(sent: u64, cables: &[Cable; 2], steps: &Steps) {
    match sent {
        500 => kill(cables, State::Dead, steps, "goes dead: it holds what it is given, and tells nobody").await,
        1400 => kill(cables, State::Cut, steps, "is cut: its connections are closed").await,
        1000 | 1700 => {
            for (number, cable) in cables.iter().enumerate().filter(|(_, cable)| cable.state() != State::Whole) {
                cable.set(State::Whole);
                steps.of("cable", &format!("{} is whole again", number + 1));
            }
        }
        _ => {}
    }
}

/// Harms the cable that the messages are on.
async fn kill(cables: &[Cable; 2], state: State, steps: &Steps, how: &str) {
    let before = [cables[0].passed(), cables[1].passed()];
    tokio::time::sleep(Duration::from_millis(5)).await;
    let busier = usize::from(cables[1].passed() - before[1] > cables[0].passed() - before[0]);
    cables[busier].set(state);
    steps.of("cable", &format!("{}, which is in use, {how}", busier + 1));
}

/// Tells of the sender's path, and counts its changes.
async fn watch(a: &Endpoint, steps: &Steps, changes: &mut u64) {
    let mut current: Option<PathId> = None;
    while let Some(event) = a.next().await {
        match event {
            Event::Path { path, .. } if current != Some(path.path) => {
                *changes += u64::from(current.replace(path.path).is_some());
                steps.of("a", &format!("uses {}: {path}", path.path));
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
    if outcome.is_perfect() {
        return Ok(());
    }
    Err(Failure::new(Code::Imperfect, "not every message arrived, once and in order"))
}

impl Outcome {
    const fn is_perfect(&self) -> bool {
        self.sent == COUNT && self.tally.is_perfect()
    }
}

/// Tells each step as it happens: on standard output, with `--json` on standard error.
struct Steps {
    json: bool,
}

impl Steps {
    fn of(&self, who: &str, text: &str) {
        self.say(&format!("  {who:<5}  {text}"));
    }

    /// A reader that has gone does not end the demonstration.
    fn say(&self, text: &str) {
        if self.json {
            return report::line(text);
        }
        _ = writeln!(io::stdout(), "{text}").and_then(|()| io::stdout().flush());
    }
}
