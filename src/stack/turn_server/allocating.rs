//! From an Allocate that the engine lets in to its answer, and to the end of the allocation.
//!
//! The engine asks for a port of each family. All are opened at once; when the last is open or has failed, the client
//! is answered. What an engine gives up is closed.

use std::net::{IpAddr, SocketAddr};

use turn_server_proto::api::SocketAllocateError;
use turn_server_proto::types::AddressFamily;
use turn_server_proto::types::message::ALLOCATE;
use turn_server_proto::types::stun::attribute::ErrorCode;

use super::client::{Asked, Asking, Client, Step};
use super::config::Misbehaviour;
use super::deadlines::Due;
use super::forbidden::unspecified;
use super::peers::Peers;
use super::{MOMENT, Relay, Tuple, TurnServer, TurnServerEvent, request};
use crate::machine::Cx;
use crate::machine::ids::PortId;
use crate::machine::port::{PortRequest, PortSpec};
use crate::machine::time::Instant;

/// Why an address is not relayed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refusal {
    Quota,
    Capacity,
    Family,
}

/// Where a relayed port is opened, and by which address peers reach it, if that is another one.
#[derive(Debug, Clone, Copy)]
struct Place {
    bind: IpAddr,
    announce: Option<IpAddr>,
}

impl TurnServer {
    /// Does all that a client's engine wants, and sets the client's deadline.
    pub(super) fn settle(&mut self, cx: &mut Cx<'_>, client: Tuple, mut asking: Option<Asking>) {
        loop {
            let Some(state) = self.clients.get_mut(&client) else { return };
            match state.poll(cx.now) {
                Step::Ask(family) => {
                    state.asking = state.asking.take().or_else(|| asking.take());
                    self.ask(cx, client, family);
                }
                Step::Close(relayed) => self.release(client, relayed),
                Step::Wait(_) if self.conclude(cx.now, client) => {}
                Step::Wait(at) => return self.rearm(cx.now, client, at),
            }
        }
    }

    /// The engine waits for a port of that family.
    fn ask(&mut self, cx: &mut Cx<'_>, client: Tuple, family: AddressFamily) {
        let verdict = self.may_relay(client, family);
        let Some(asking) = self.clients.get_mut(&client).and_then(|state| state.asking.as_mut()) else { return };
        let (mut port, mut result) = (None, None);
        match verdict {
            Ok(Place { bind, announce }) => {
                let id = cx.ids.port();
                self.relays.insert(id, Relay { client, announce, address: None });
                self.requests.push_back((id, PortRequest::Open(PortSpec::Bind(SocketAddr::new(bind, 0)))));
                port = Some(id);
            }
            Err(Refusal::Family) => result = Some(Err(SocketAllocateError::AddressFamilyNotSupported)),
            Err(refusal) => {
                asking.is_over_quota |= refusal == Refusal::Quota;
                result = Some(Err(SocketAllocateError::InsufficientCapacity));
            }
        }
        asking.families.push(Asked { family, port, result });
    }

    fn may_relay(&self, client: Tuple, family: AddressFamily) -> Result<Place, Refusal> {
        match self.misbehaviour {
            Some(Misbehaviour::QuotaReached) => return Err(Refusal::Quota),
            Some(Misbehaviour::WrongFamily) => return Err(Refusal::Family),
            _ => {}
        }
        let user = self.clients.get(&client).and_then(Client::holder);
        let others = self.clients.iter().filter(|(other, state)| **other != client && state.holds());
        let (all, own) =
            others.fold((0, 0), |(all, own), (_, state)| (all + 1, own + usize::from(state.holder() == user)));
        if own >= self.config.allocations_per_user {
            return Err(Refusal::Quota);
        }
        if all >= self.config.allocations {
            return Err(Refusal::Capacity);
        }
        self.place(client, family == AddressFamily::IPV4).ok_or(Refusal::Family)
    }

    fn place(&self, client: Tuple, is_v4: bool) -> Option<Place> {
        let of_family = |addresses: &[IpAddr]| addresses.iter().copied().find(|address| address.is_ipv4() == is_v4);
        let own = self.listen_address(client).map(|address| address.ip()).filter(|_| self.config.relays.is_empty());
        let bind = of_family(&self.config.relays).or_else(|| of_family(own.as_slice()))?;
        let seen = (bind == unspecified(is_v4)).then_some(client.local).flatten();
        let announce = of_family(&self.config.announce).or_else(|| of_family(seen.as_slice()));
        (announce.is_some() || bind != unspecified(is_v4)).then_some(Place { bind, announce })
    }

    /// Answers an Allocate once all its ports are open or have failed. False: there is none, or it must wait.
    fn conclude(&mut self, now: Instant, client: Tuple) -> bool {
        let Some(state) = self.clients.get_mut(&client) else { return false };
        let is_complete = |asking: &mut Asking| asking.families.iter().all(|asked| asked.result.is_some());
        let Some(asking) = state.asking.take_if(is_complete) else { return false };
        let answer = state.allocated(now, &asking.families);
        let relays = asking.families.iter().filter_map(|asked| Some((asked.result?.ok()?, asked.port?)));
        state.relays = relays.collect();
        let answer = match state.relays.first() {
            None if asking.is_over_quota => {
                request::refusal(ALLOCATE, asking.transaction, ErrorCode::ALLOCATION_QUOTA_REACHED, &asking.signer)
            }
            _ => answer,
        };
        state.answered = answer.clone().map(|answer| (asking.transaction, answer));
        self.tell_allocated(client, asking);
        self.answer(client, answer);
        true
    }

    fn tell_allocated(&mut self, client: Tuple, asking: Asking) {
        let Some(state) = self.clients.get_mut(&client) else { return };
        for &(relayed, _) in &state.relays {
            let user = asking.user.clone();
            self.events.push_back(TurnServerEvent::Allocated { client: client.address, relayed, user });
        }
        if !state.relays.is_empty() {
            state.user = Some(asking.user);
        } else if asking.is_over_quota {
            self.statistics.over_quota += 1;
        } else if asking.is_over_capacity() {
            self.statistics.over_capacity += 1;
        }
    }

    /// The engine has no use for a relayed address any more.
    pub(super) fn release(&mut self, client: Tuple, relayed: SocketAddr) {
        let Some(state) = self.clients.get_mut(&client) else { return };
        let Some(place) = state.relays.iter().position(|(address, _)| *address == relayed) else { return };
        let (_, port) = state.relays.remove(place);
        if state.relays.is_empty() {
            (state.user, state.answered) = (None, None);
            state.peers = Peers::default();
        }
        self.events.push_back(TurnServerEvent::Released { client: client.address, relayed });
        self.abort(port);
    }

    /// Forgets a client and what it has.
    pub(super) fn lose(&mut self, client: Tuple) {
        self.deadlines.set(client, None);
        let Some(mut state) = self.clients.remove(&client) else { return };
        for (relayed, port) in state.relays {
            self.events.push_back(TurnServerEvent::Released { client: client.address, relayed });
            self.abort(port);
        }
        let asking = state.asking.take().map(|asking| asking.families).unwrap_or_default();
        for port in asking.iter().filter_map(|asked| asked.port) {
            self.abort(port);
        }
    }

    /// Closes a port, unless it is gone already.
    pub(super) fn abort(&mut self, port: PortId) {
        self.outbox.forget(port);
        let relay = self.relays.remove(port);
        if let Some(address) = relay.as_ref().and_then(|relay| relay.address) {
            self.relayed.remove(&address);
        }
        if relay.is_some() {
            self.requests.push_back((port, PortRequest::Abort));
        }
    }

    fn rearm(&mut self, now: Instant, client: Tuple, expiry: Instant) {
        let Some(state) = self.clients.get(&client) else { return };
        let deadline = match (&state.asking, state.relays.is_empty()) {
            (Some(_), _) => None,
            (None, false) => Some((Due::Expiry, expiry)),
            (None, true) => Some((Due::Silence, now + self.config.stranger_time.max(MOMENT))),
        };
        self.deadlines.set(client, deadline);
    }
}
