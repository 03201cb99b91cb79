//! The serving side: any number of sessions, each with its streams.

use std::collections::BTreeMap;

use serde_json::json;
use switchboard::hub::channel::Channel;
use switchboard::hub::{Closed, Event, SessionId};
use switchboard::wire::identity::Address;

use super::LABEL;
use super::tunnel::{Teller, Tunnel, tellers};
use crate::args::ForwardArgs;
use crate::outcome::Failure;
use crate::party::{Party, VIOLATION};

/// Connects whoever comes to what is allowed.
pub(crate) async fn serve(party: &Party, args: &ForwardArgs) -> Result<(), Failure> {
    let allowed = args.allow.iter().map(|service| (service.name.clone(), service.target.clone()));
    let services = allowed.collect();
    let (teller, mut told) = tellers();
    let mut serving = Serving { party, args, services, tunnels: BTreeMap::new(), teller };
    party.announce().await?;
    loop {
        serving.tunnels.values_mut().for_each(|tunnel| tunnel.flush(party));
        tokio::select! {
            event = party.event() => serving.on_event(event?),
            Some((session, stream, news)) = told.recv() => {
                if let Some(tunnel) = serving.tunnels.get_mut(&session) {
                    tunnel.on_news(stream, news);
                }
            }
        }
    }
}

struct Serving<'a> {
    party: &'a Party,
    args: &'a ForwardArgs,
    services: BTreeMap<String, String>,
    tunnels: BTreeMap<SessionId, Tunnel>,
    teller: Teller,
}

impl Serving<'_> {
    fn on_event(&mut self, event: Event) {
        match event {
            Event::Incoming { session, from, channels } => self.on_incoming(session, from, &channels),
            Event::Message { session, bytes, .. } => self.on_message(session, &bytes),
            Event::Closed { session, peer, reason } => self.on_closed(session, peer, &reason),
            _ => {}
        }
    }

    fn on_incoming(&mut self, session: SessionId, from: Address, channels: &[Channel]) {
        if self.party.admits(session, &from, channels, LABEL, &self.args.from) {
            self.tunnels.insert(session, Tunnel::from(session, self.teller.clone()));
        }
    }

    fn on_message(&mut self, session: SessionId, bytes: &[u8]) {
        let Some(tunnel) = self.tunnels.get_mut(&session) else { return };
        if let Err(violation) = tunnel.receive(bytes, self.party, &self.services) {
            self.party.endpoint.close(session, VIOLATION, &violation.to_string());
            self.tunnels.remove(&session);
        }
    }

    fn on_closed(&mut self, session: SessionId, peer: Address, reason: &Closed) {
        if self.tunnels.remove(&session).is_some() {
            let event = json!({"event": "closed", "peer": peer.to_string(), "reason": reason.to_string()});
            self.party.tell(event, &format!("{peer} has gone: {reason}"));
        }
    }
}
