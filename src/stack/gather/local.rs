//! Local candidates, as they follow from sockets, answers and allocations.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::GatherEvent;
use super::config::GatherConfig;
use super::host::Host;
use super::server::Servers;
use crate::wire::candidate::{Candidate, CandidateKind};
use crate::wire::outlook::{Mapping, Outlook, TurnState, UdpReach};

/// A candidate, and where what is sent from it leaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Local {
    pub(super) candidate: Candidate,
    pub(super) base: SocketAddr,
}

/// The candidates that are to be given out as things stand.
pub(super) fn wanted(config: &GatherConfig, hosts: &[Host]) -> Vec<Local> {
    let mut wanted = Vec::new();
    let open: Vec<_> = hosts.iter().filter_map(|host| Some((host, host.local?))).collect();
    for (_, base) in open.iter().filter(|_| config.policy.host) {
        wanted.push(Local { candidate: Candidate::new(CandidateKind::Host, *base, None), base: *base });
    }
    for (host, base) in open.iter().filter(|_| config.policy.srflx) {
        for mapped in host.mapped().filter(|mapped| !hosts.iter().any(|host| host.local == Some(*mapped))) {
            let mut candidate = Candidate::new(CandidateKind::ServerReflexive, mapped, Some(*base));
            candidate.related = Some(if config.policy.host { *base } else { nothing(base.is_ipv4()) });
            add(&mut wanted, Local { candidate, base: *base });
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
    _servers: &Servers,
    locals: &[Local],
    gathered: bool,
) -> Outlook {
    let has = |kind| locals.iter().any(|local| local.candidate.kind == kind);
    Outlook {
        ipv4: hosts.iter().any(|host| host.local.is_some() && host.ip.is_ipv4()),
        ipv6: hosts.iter().any(|host| host.local.is_some() && host.ip.is_ipv6()),
        host: has(CandidateKind::Host),
        reflexive: has(CandidateKind::ServerReflexive),
        relayed: has(CandidateKind::Relayed),
        mapping: mapping(hosts),
        udp: udp(hosts),
        turn: TurnState::NotConfigured,
        policy: config.policy,
        gathered,
    }
}

/// IPv4's where it is known, for that is where NATs are; of several sockets the best.
fn mapping(hosts: &[Host]) -> Mapping {
    let best = |is_ipv4: bool| {
        let known = hosts.iter().filter(|host| host.ip.is_ipv4() == is_ipv4).map(Host::mapping);
        known.filter(|mapping| *mapping != Mapping::Unknown).min_by_key(|mapping| match mapping {
            Mapping::Direct => 0,
            Mapping::EndpointIndependent => 1,
            Mapping::Dependent | Mapping::Unknown => 2,
        })
    };
    best(true).or_else(|| best(false)).unwrap_or(Mapping::Unknown)
}

fn udp(hosts: &[Host]) -> UdpReach {
    let verdicts: Vec<_> = hosts.iter().map(Host::is_answered).collect();
    match verdicts.contains(&Some(true)) {
        true => UdpReach::Answers,
        false if !verdicts.is_empty() && verdicts.iter().all(|verdict| *verdict == Some(false)) => UdpReach::Silent,
        false => UdpReach::Unknown,
    }
}
