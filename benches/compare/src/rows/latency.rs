//! `latency-relayed`: how much later a message of 64 bytes arrives through a session and a relay than through our
//! plain forwarder, one way, at 1,000 a second.
//!
//! Sender and receiver are two threads of this process, which have one clock. Each drives its machine by mio.

use std::sync::mpsc::{Receiver, Sender, channel as pipe};
use std::time::{Duration, Instant};

use switchboard::connect::{AnyTransport, Options, Registry};
use switchboard::hub::{Event, SessionId};
use switchboard::machine::ids::LinkId;
use switchboard::machine::limits::Limits;
use switchboard::machine::payload::Kind;
use switchboard::transport::alone::AloneEvent;
use switchboard::transport::{Alone, TransportEvent};
use switchboard_compare::exchange::channel;
use switchboard_mio::Driver;

use crate::child::Actor;
use crate::plan::{Comparison, Plan, median};
use crate::roles::{neighbour, wait};

const SIZE: usize = 64;
const PAUSE: Duration = Duration::from_millis(1);
/// Goal in microseconds.
const GOAL: f64 = 200.0;

/// Sends one message.
type Send = Box<dyn FnMut(&[u8])>;
type Plain = Driver<Alone<AnyTransport>>;

pub fn run(plan: &Plan) {
    if !plan.wants_some("latency-relayed/") {
        return;
    }
    let messages = if plan.quick { 200 } else { 1000 };
    let (mut plain, mut relayed) = (plain(), relayed());
    let mut beyond = [Vec::new(), Vec::new()];
    let mut all = [Vec::new(), Vec::new()];
    for slice in 0..=plan.slices {
        let [mut ours, mut base] = [&mut relayed, &mut plain].map(|way| way.slice(messages));
        if slice > 0 {
            beyond[0].push(percentile(&mut ours, 50) - percentile(&mut base, 50));
            beyond[1].push(percentile(&mut ours, 99) - percentile(&mut base, 99));
            all[0].extend(ours);
            all[1].extend(base);
        }
    }
    for (way, figures) in ["relayed", "forwarder"].iter().zip(&mut all) {
        let (p50, p99) = (percentile(figures, 50), percentile(figures, 99));
        eprintln!("latency/{way}: p50 {p50:.1} us, p99 {p99:.1} us");
    }
    for (percent, figures) in ["p50", "p99"].iter().zip(&beyond) {
        let name = format!("latency-relayed/{percent}-beyond-forwarder");
        let mut line = Comparison::with_goal(name, median(figures), GOAL, "us");
        line.goal = line.goal.filter(|_| *percent == "p99");
        plan.report(&line);
    }
}

fn percentile(figures: &mut [f64], percent: usize) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[(figures.len() * percent / 100).min(figures.len() - 1)]
}

/// A sender and what arrives at its receiver, in microseconds.
struct Way {
    send: Send,
    origin: Instant,
    arrived: Receiver<f64>,
    _between: Actor,
}

impl Way {
    fn slice(&mut self, messages: usize) -> Vec<f64> {
        let start = Instant::now();
        for n in 0..messages {
            let at = start + PAUSE * n as u32;
            std::thread::sleep(at.saturating_duration_since(Instant::now()));
            let mut message = [0; SIZE];
            message[..8].copy_from_slice(&(self.origin.elapsed().as_nanos() as u64).to_be_bytes());
            (self.send)(&message);
        }
        let patience = Duration::from_secs(5);
        (0..messages).map(|_| self.arrived.recv_timeout(patience).expect("a message has not arrived")).collect()
    }
}

fn arrive(origin: Instant, message: &[u8], arrived: &Sender<f64>) {
    let now = origin.elapsed().as_nanos() as u64;
    let sent = message.first_chunk().map_or(0, |nanos| u64::from_be_bytes(*nanos));
    _ = arrived.send((now - sent) as f64 / 1e3);
}

fn plain() -> Way {
    let (between, address) = Actor::start("mio", &["ws"]);
    let url = format!("ws://{}/", address.trim());
    let origin = Instant::now();
    let (tell, arrived) = pipe();
    let (mut driver, link) = dial(&url);
    let receiver_url = url;
    let (ready, is_ready) = pipe();
    std::thread::spawn(move || {
        let (mut driver, _) = dial(&receiver_url);
        _ = ready.send(());
        loop {
            driver.turn(None).expect("a driver runs");
            while let Some(message) = driver.act(|alone, cx| alone.recv(cx)) {
                arrive(origin, &message.bytes, &tell);
            }
        }
    });
    is_ready.recv().expect("the receiver connects");
    let send = move |message: &[u8]| {
        driver.act(|alone, cx| alone.send(cx, link, Kind::Binary, message)).expect("a link takes a message");
        while driver.next_now().expect("a driver runs").is_some() {}
    };
    Way { send: Box::new(send), origin, arrived, _between: between }
}

fn dial(url: &str) -> (Plain, LinkId) {
    let transport = Registry::new().dial(url, &Options::default()).expect("the string can be dialled");
    let mut driver = Driver::new(Alone::new(transport, Limits::default())).expect("a driver starts");
    driver.act(Alone::start);
    loop {
        if let Some(AloneEvent::Transport(TransportEvent::Up(link, _))) = driver.turn(None).expect("a driver runs") {
            return (driver, link);
        }
    }
}

fn relayed() -> Way {
    let (between, address) = Actor::start("relay-mio", &["ws://127.0.0.1:0/"]);
    let relay = format!("ws://{}/", address.trim());
    let origin = Instant::now();
    let (tell, arrived) = pipe();
    let (ready, is_ready) = pipe();
    let receiver_relay = relay.clone();
    std::thread::spawn(move || {
        let mut driver = neighbour(5, &receiver_relay);
        _ = ready.send(driver.machine().address());
        loop {
            while let Some(event) = driver.act(|endpoint, cx| endpoint.next(cx)) {
                match event {
                    Event::Incoming { session, .. } => driver.act(|endpoint, cx| endpoint.accept(cx, session)),
                    Event::Message { bytes, .. } => arrive(origin, &bytes, &tell),
                    _ => {}
                }
            }
            driver.turn(None).expect("a driver runs");
        }
    });
    let to = is_ready.recv().expect("the receiver connects");
    let mut driver = neighbour(4, &relay);
    driver.act(|endpoint, cx| _ = endpoint.open_session(cx, to));
    let session = wait(&mut driver, opened);
    let send = move |message: &[u8]| {
        driver.act(|endpoint, cx| endpoint.send(cx, session, channel(), message)).expect("a session takes a message");
        while driver.next_now().expect("a driver runs").is_some() {
            while driver.act(|endpoint, cx| endpoint.next(cx)).is_some() {}
        }
    };
    Way { send: Box::new(send), origin, arrived, _between: between }
}

fn opened(event: Event) -> Option<SessionId> {
    match event {
        Event::Opened { session, .. } => Some(session),
        _ => None,
    }
}
