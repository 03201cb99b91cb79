//! Local candidates, as they follow from sockets, answers and allocations.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::GatherEvent;
use super::config::GatherConfig;
use super::host::Host;
use super::relay::{Relay, Way};
use super::server::{ServerError, ServerState, Servers};
use crate::link::turn::{Turn, TurnError};
use crate::wire::candidate::{Candidate, CandidateKind};
use crate::wire::ice_server::IceScheme;
use crate::wire::outlook::{Mapping, Outlook, TurnState, UdpReach};

/// A candidate, and where what is sent from it leaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Local {
    pub(super) candidate: Candidate,
    pub(super) base: SocketAddr,
}

/// The candidates that are to be given out as things stand.
pub(super) fn wanted(config: &GatherConfig, hosts: &[Host], relays: &[Relay]) -> Vec<Local> {
    let mut wanted = Vec::new();
    let open: Vec<_> = hosts.iter().filter_map(|host| Some((host, host.local?))).collect();
    for (_, base) in open.iter().filter(|_| config.policy.host) {
        wanted.push(Local { candidate: Candidate::new(CandidateKind::Host, *base, None), base: *base });
    }
    let is_own = |address: SocketAddr| hosts.iter().any(|host| host.local == Some(address));
    let seen = open.iter().flat_map(|(host, base)| host.mapped().map(|mapped| (*base, mapped)));
    let seen = seen.chain(relays.iter().filter_map(Relay::reflexive));
    for (base, mapped) in seen.filter(|(_, mapped)| config.policy.srflx && !is_own(*mapped)) {
        let mut candidate = Candidate::new(CandidateKind::ServerReflexive, mapped, Some(base));
        candidate.related = Some(if config.policy.host { base } else { nothing(base.is_ipv4()) });
        add(&mut wanted, Local { candidate, base });
    }
    for relay in relays.iter().filter(|_| config.policy.relay) {
        // An address of our own would be a lie that turns what we send against us.
        for relayed in relay.relayed().iter().filter(|relayed| !is_own(**relayed)) {
            let mapped = relay.turn.as_ref().and_then(Turn::mapped).filter(|_| config.policy.srflx);
            let related = mapped.unwrap_or_else(|| nothing(relayed.is_ipv4()));
            let candidate = Candidate::new(CandidateKind::Relayed, *relayed, Some(related));
            add(&mut wanted, Local { candidate, base: *relayed });
        }
    }
    wanted
}

/// Adds a candidate, unless one of its kind has its address.
fn add(wanted: &mut Vec<Local>, local: Local) {
    let key = |local: &Local| (local.candidate.kind, local.candidate.address);
    if !wanted.iter().any(|other| key(other) == key(&local)) {
        wanted.push(local);
    }
}

/// What stands in the place of an address that may not be told.
fn nothing(is_ipv4: bool) -> SocketAddr {
    let ip: IpAddr = if is_ipv4 { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    SocketAddr::new(ip, 9)
}

/// Replaces the candidates, and tells what is lost and what is new.
pub(super) fn replace(locals: &mut Vec<Local>, wanted: Vec<Local>, events: &mut VecDeque<GatherEvent>) {
    let lost = locals.extract_if(.., |local| !wanted.contains(local));
    events.extend(lost.map(|local| GatherEvent::Lost(local.candidate)));
    for local in wanted {
        if !locals.contains(&local) {
            events.push_back(GatherEvent::Candidate(local.candidate.clone()));
            locals.push(local);
        }
    }
}

pub(super) fn outlook(
    config: &GatherConfig,
    hosts: &[Host],
    relays: &[Relay],
    servers: &Servers,
    locals: &[Local],
    gathered: bool,
) -> Outlook {
    let has = |kind| locals.iter().any(|local| local.candidate.kind == kind);
    let is_reachable = |host: &&Host| host.local.is_some() && !host.ip.is_loopback();
    let reachable = |is_ipv4| hosts.iter().filter(is_reachable).any(|host| host.ip.is_ipv4() == is_ipv4);
    Outlook {
        ipv4: reachable(true),
        ipv6: reachable(false),
        host: has(CandidateKind::Host),
        reflexive: has(CandidateKind::ServerReflexive),
        relayed: has(CandidateKind::Relayed),
        mapping: mapping(hosts, relays),
        udp: udp(hosts, relays),
        turn: turn(hosts, relays, servers),
        policy: config.policy,
        gathered,
    }
}

/// IPv4's where it is known, for that is where NATs are; of several sockets the best.
fn mapping(hosts: &[Host], relays: &[Relay]) -> Mapping {
    let of = |host: &Host| {
        let by_turn = relays.iter().filter_map(|relay| match relay.way {
            Way::Udp { port, server, .. } if port == host.port => Some((server, relay.reflexive()?.1)),
            _ => None,
        });
        host.mapping(by_turn)
    };
    let best = |is_ipv4: bool| {
        let known = hosts.iter().filter(|host| host.ip.is_ipv4() == is_ipv4).map(of);
        known.filter(|mapping| *mapping != Mapping::Unknown).min_by_key(|mapping| match mapping {
            Mapping::Direct => 0,
            Mapping::EndpointIndependent => 1,
            Mapping::Dependent | Mapping::Unknown => 2,
        })
    };
    best(true).or_else(|| best(false)).unwrap_or(Mapping::Unknown)
}

/// An answer by any socket counts; silence only if every question has met it.
fn udp(hosts: &[Host], relays: &[Relay]) -> UdpReach {
    let by_turn = relays.iter().filter(|relay| matches!(relay.way, Way::Udp { .. })).map(|relay| match &relay.error {
        Some(ServerError::Turn(TurnError::Silent)) => Some(false),
        Some(_) => Some(true),
        None => relay.turn.as_ref().and_then(Turn::heard).map(|_| true),
    });
    let by_stun = hosts.iter().filter(|host| host.is_asked()).map(Host::is_answered);
    let verdicts: Vec<_> = by_stun.chain(by_turn).collect();
    match verdicts.contains(&Some(true)) {
        true => UdpReach::Answers,
        false if !verdicts.is_empty() && !verdicts.contains(&None) => UdpReach::Silent,
        false => UdpReach::Unknown,
    }
}

/// The best server counts; of failures the one that says most.
fn turn(hosts: &[Host], relays: &[Relay], servers: &Servers) -> TurnState {
    let servers = servers.all().iter().filter(|server| server.given.uri.scheme != IceScheme::Stun);
    let states = servers.map(|server| match server.state(hosts, relays) {
        ServerState::Works => TurnState::Works,
        ServerState::Pending => TurnState::Pending,
        ServerState::Failed(ServerError::Turn(error)) => match (error, error.code()) {
            (TurnError::WrongCredentials, _) => TurnState::WrongCredentials,
            (_, Some(code)) if code >= 300 => TurnState::Refused(code),
            _ => TurnState::Unreachable,
        },
        ServerState::Failed(_) => TurnState::Unreachable,
    });
    let rank = |state: &TurnState| match state {
        TurnState::Works => 0,
        TurnState::Pending => 1,
        TurnState::WrongCredentials => 2,
        TurnState::Refused(_) => 3,
        TurnState::Unreachable => 4,
        TurnState::NotConfigured => 5,
    };
    states.min_by_key(rank).unwrap_or(TurnState::NotConfigured)
}
