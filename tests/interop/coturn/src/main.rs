//! Two gatherers in one process that talk through a TURN server.
//!
//! ```text
//! switchboard-coturn SERVERS [AUTHORITY]    servers as browsers take them (JSON), and whom TLS trusts (PEM)
//! ```
//!
//! It prints a line for each candidate of the first, then how each server fares. If both have a relayed address, words
//! go from one to the other and back, first without channels and then by them, and it prints how many came back.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use switchboard::link::tls;
use switchboard::machine::buf::Buf;
use switchboard::machine::ids::PortId;
use switchboard::machine::time::Instant;
use switchboard::machine::{Cx, Deadline, Fill, Input, Machine, Output};
use switchboard::stack::gather::{GatherConfig, GatherEvent, Gatherer, Inbound};
use switchboard::wire::candidate::CandidateKind;
use switchboard::wire::ice_server::parse_ice_servers;
use switchboard_mio::Driver;

/// Words in each round, of 1 to 1,191 bytes.
const WORDS: usize = 120;
/// Words on their way at a time: servers drop what comes in bursts.
const WINDOW: usize = 8;
const ROUND: Duration = Duration::from_secs(3);

type Failed = Box<dyn std::error::Error>;

#[derive(Debug)]
enum Said {
    Gatherer(usize, GatherEvent),
    /// A round is over; so many words came back.
    Echoed(usize),
}

#[derive(Debug, Default)]
struct Round {
    relayed: Option<[SocketAddr; 2]>,
    by_channel: bool,
    sent: usize,
    back: BTreeSet<Vec<u8>>,
    end: Option<Instant>,
}

#[derive(Debug)]
struct Pair {
    both: [Gatherer; 2],
    inbox: Vec<(usize, SocketAddr, SocketAddr, Vec<u8>)>,
    round: Round,
}

fn main() -> Result<(), Failed> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [servers, authority @ ..] = &arguments[..] else { return Err("usage: SERVERS [AUTHORITY]".into()) };
    let config = GatherConfig {
        servers: parse_ice_servers(servers)?,
        loopback: true,
        trust: trust(authority)?,
        ..GatherConfig::default()
    };
    let pair = Pair {
        both: [Gatherer::new(config.clone()), Gatherer::new(config)],
        inbox: Vec::new(),
        round: Round::default(),
    };
    let mut driver = Driver::new(pair)?;
    driver.act(|pair, cx| pair.both.iter_mut().for_each(|gatherer| gatherer.start(cx)));
    let relayed = gather(&mut driver)?;
    if let [Some(one), Some(other)] = relayed {
        permit(&mut driver, [one, other])?;
        for by_channel in [false, true] {
            println!("echoed {}", echo(&mut driver, [one, other], by_channel)?);
        }
    }
    driver.act(|pair, cx| pair.both.iter_mut().for_each(|gatherer| gatherer.stop(cx)));
    while driver.turn(Some(Duration::from_millis(100)))?.is_some() {}
    Ok(())
}

fn trust(authority: &[String]) -> Result<Option<tls::ClientConfig>, Failed> {
    let [path, ..] = authority else { return Ok(None) };
    let roots = CertificateDer::pem_file_iter(path)?.map(|root| Ok(root?.to_vec()));
    Ok(Some(tls::ClientConfig::new(roots.collect::<Result<Vec<_>, Failed>>()?)?))
}

/// Until both are done: the relayed address of each, if it has one.
fn gather(driver: &mut Driver<Pair>) -> Result<[Option<SocketAddr>; 2], Failed> {
    let mut done = [false; 2];
    while done != [true; 2] {
        match driver.turn(None)? {
            Some(Said::Gatherer(0, GatherEvent::Candidate(candidate))) => println!("{candidate}"),
            Some(Said::Gatherer(which, GatherEvent::Done)) => done[which] = true,
            _ => {}
        }
    }
    Ok(driver.act(|pair, _| {
        for (server, state) in pair.both[0].server_states() {
            println!("{} {state:?}", server.uri);
        }
        println!("{:?}", pair.both[0].outlook());
        pair.both.each_ref().map(|gatherer| {
            let mut candidates = gatherer.candidates();
            candidates.find(|candidate| candidate.kind == CandidateKind::Relayed).map(|candidate| candidate.address)
        })
    }))
}

/// Has each server let the other's relayed address through.
fn permit(driver: &mut Driver<Pair>, [one, other]: [SocketAddr; 2]) -> Result<(), Failed> {
    driver.act(|pair, cx| {
        pair.both[0].permit(cx, one, other);
        pair.both[1].permit(cx, other, one);
    });
    let mut permitted = 0;
    while permitted < 2 {
        match driver.turn(None)? {
            Some(Said::Gatherer(_, GatherEvent::Permitted { .. })) => permitted += 1,
            Some(Said::Gatherer(_, GatherEvent::Refused { peer, .. })) => {
                return Err(format!("{peer} is refused").into());
            }
            _ => {}
        }
    }
    Ok(())
}

fn echo(driver: &mut Driver<Pair>, relayed: [SocketAddr; 2], by_channel: bool) -> Result<usize, Failed> {
    driver.act(|pair, cx| {
        if by_channel {
            pair.both[0].bind_channel(cx, relayed[0], relayed[1]);
            pair.both[1].bind_channel(cx, relayed[1], relayed[0]);
        }
        pair.round =
            Round { relayed: Some(relayed), by_channel, sent: 0, back: BTreeSet::new(), end: Some(cx.now + ROUND) };
        (0..WINDOW).for_each(|_| pair.send_next(cx));
    });
    loop {
        if let Some(Said::Echoed(count)) = driver.turn(None)? {
            return Ok(count);
        }
    }
}

impl Pair {
    fn whose(&self, port: PortId) -> Option<usize> {
        self.both.iter().position(|gatherer| gatherer.owns(port))
    }

    fn keep(inbox: &mut Vec<(usize, SocketAddr, SocketAddr, Vec<u8>)>, which: usize, inbound: &Inbound<'_>) {
        inbox.push((which, inbound.local, inbound.source, inbound.data.to_vec()));
    }

    fn send_next(&mut self, cx: &mut Cx<'_>) {
        let Some([one, other]) = self.round.relayed.filter(|_| self.round.sent < WORDS) else { return };
        let mut word = vec![self.round.sent as u8; 1 + self.round.sent * 10];
        word[0] = u8::from(self.round.by_channel);
        self.round.sent += 1;
        self.both[0].send(cx, one, other, &word);
    }

    /// The second sends back what it gets, the first counts.
    fn answer(&mut self, cx: &mut Cx<'_>) {
        for (which, local, source, words) in std::mem::take(&mut self.inbox) {
            if self.round.relayed.is_none_or(|relayed| local != relayed[which] || source != relayed[1 - which]) {
                continue;
            }
            match which {
                0 => {
                    self.round.back.insert(words);
                    self.send_next(cx);
                }
                _ => _ = self.both[1].send(cx, local, source, &words),
            }
        }
        if self.round.back.len() == WORDS {
            self.round.end = self.round.end.map(|_| cx.now);
        }
    }
}

impl Machine for Pair {
    type Command = ();
    type Event = Said;

    fn handle(&mut self, cx: &mut Cx<'_>, input: Input<'_, ()>) {
        let Self { inbox, .. } = self;
        match input {
            Input::Timeout => self.both.iter_mut().for_each(|gatherer| gatherer.on_timeout(cx)),
            Input::Port(port, change) => {
                if let Some(which) = self.whose(port) {
                    self.both[which].on_port(cx, port, change);
                }
            }
            Input::Datagrams(port, datagrams) => {
                let Some(which) = self.both.iter().position(|gatherer| gatherer.owns(port)) else { return };
                for datagram in datagrams {
                    if let Some(inbound) = self.both[which].on_datagram(cx, port, datagram) {
                        Self::keep(inbox, which, &inbound);
                    }
                }
            }
            Input::Receive(port, data) => {
                let Some(which) = self.both.iter().position(|gatherer| gatherer.owns(port)) else { return };
                self.both[which].on_bytes(cx, port, data, &mut |_, inbound| Self::keep(inbox, which, &inbound));
            }
            Input::Command(()) => {}
        }
        self.answer(cx);
    }

    fn poll(&mut self, cx: &mut Cx<'_>) -> Output<Said> {
        for gatherer in &mut self.both {
            if let Some((port, request)) = gatherer.poll_request() {
                return Output::Port(port, request);
            }
        }
        for (which, gatherer) in self.both.iter_mut().enumerate() {
            if let Some(event) = gatherer.poll_event() {
                return Output::Event(Said::Gatherer(which, event));
            }
        }
        if self.round.end.take_if(|end| *end <= cx.now).is_some() {
            return Output::Event(Said::Echoed(self.round.back.len()));
        }
        for gatherer in &mut self.both {
            if let Some(port) = gatherer.poll_ready() {
                return Output::Ready(port);
            }
        }
        let round = self.round.end.map(|at| Deadline::new(at, "end of a round"));
        let deadlines = self.both.iter().filter_map(Gatherer::deadline).chain(round);
        Output::Wait(deadlines.min_by_key(|deadline| deadline.at))
    }

    fn fill(&mut self, cx: &mut Cx<'_>, port: PortId, buf: &mut Buf) -> Fill {
        match self.whose(port) {
            Some(which) => self.both[which].fill(cx, port, buf),
            None => Fill::Done,
        }
    }
}
