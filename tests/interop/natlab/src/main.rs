//! One of the machines that find out about NATs, on the system's own sockets.
//!
//! ```text
//! switchboard-natlab stun PRIMARY OTHER        a STUN server with RFC 5780, on both addresses and both ports
//! switchboard-natlab meet ADDRESS              where probes meet
//! switchboard-natlab probe BIND STUN MEET WORD what the NATs do, and whether the other probe is reached
//! ```
//!
//! A probe prints two lines, `behaviour MAPPING FILTERING` or `behaviour none`, and `direct` or `not-direct`.

use std::io::Write as _;
use std::ops::ControlFlow;
use std::time::Duration;

use switchboard::link::stun::{Behaviour, Dependence, Discovered, Endpoints};
use switchboard::machine::Machine;
use switchboard::stack::probe::{
    MeetingConfig, PathConfig, PathVerdict, Probe, ProbeConfig, ProbeEvent, Punched, Rendezvous, RendezvousConfig,
    Verdict,
};
use switchboard::stack::stun_server::StunServer;
use switchboard_mio::Driver;

/// How long a probe waits for the other.
const PATIENCE: Duration = Duration::from_secs(30);

type Failed = Box<dyn std::error::Error>;

fn main() -> Result<(), Failed> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["stun", primary, other] => {
            let endpoints = Endpoints { primary: primary.parse()?, other: Some(other.parse()?) };
            serve(StunServer::new(endpoints, None))
        }
        ["meet", address] => serve(Rendezvous::new(RendezvousConfig::new(address.parse()?))),
        ["probe", bind, stun, rendezvous, word] => {
            let path = PathConfig { bind: bind.parse()?, stun: Some(stun.parse()?) };
            let meeting = MeetingConfig { rendezvous: rendezvous.parse()?, word: word.to_owned(), patience: PATIENCE };
            probe(ProbeConfig { meeting: Some(meeting), ..ProbeConfig::new(vec![path]) })
        }
        _ => Err("usage: stun PRIMARY OTHER | meet ADDRESS | probe BIND STUN MEET WORD".into()),
    }
}

/// Until it is ended by force. Each event is a line, so that whoever starts it knows when it listens.
fn serve<M: Machine>(machine: M) -> Result<(), Failed>
where
    M::Event: std::fmt::Debug,
{
    Driver::new(machine)?.run(|_, event| {
        println!("{event:?}");
        _ = std::io::stdout().flush();
        ControlFlow::<()>::Continue(())
    })?;
    Ok(())
}

fn probe(config: ProbeConfig) -> Result<(), Failed> {
    let verdict = Driver::new(Probe::new(config))?.run(|_, event| match event {
        ProbeEvent::Verdict(verdict) => ControlFlow::Break(verdict),
        _ => ControlFlow::Continue(()),
    })?;
    println!("{}", behaviour(&verdict));
    println!("{}", if let Some(Punched::Direct(_)) = verdict.punched { "direct" } else { "not-direct" });
    eprintln!("{verdict:?}");
    Ok(())
}

fn behaviour(verdict: &Verdict) -> String {
    match verdict.paths.first() {
        Some(PathVerdict::Asked(Discovered::Behaviour(Behaviour { mapping, filtering, .. }))) => {
            format!("behaviour {} {}", letters(*mapping), letters(*filtering))
        }
        _ => "behaviour none".to_owned(),
    }
}

const fn letters(dependence: Option<Dependence>) -> &'static str {
    match dependence {
        Some(Dependence::EndpointIndependent) => "ei",
        Some(Dependence::AddressDependent) => "ad",
        Some(Dependence::AddressAndPortDependent) => "apd",
        None => "unknown",
    }
}
