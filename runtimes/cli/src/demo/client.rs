//! One of the two who talk to each other through the relay, driven by tokio.

use std::time::Duration;

use switchboard::connect::{ConnectionString, Options, Registry, Role};
use switchboard::machine::Cx;
use switchboard::machine::ids::LinkId;
use switchboard::transport::alone::AloneEvent;
use switchboard::transport::{Alone, TransportEvent};
use switchboard_tokio::Handle;

use super::tally::{COUNT, Tally, payload};
use crate::outcome::{Code, Failure};
use crate::session::Links;

/// Silence after which what has not come is held to be lost.
const SILENCE: Duration = Duration::from_secs(5);

pub(super) struct Client {
    /// Where it is connected from.
    pub(super) address: String,
    /// How many messages the link has taken.
    pub(super) sent: u64,
    /// What has come from the other.
    pub(super) tally: Tally,
    name: char,
    links: Handle<Links>,
    link: LinkId,
}

impl Client {
    pub(super) async fn connect(name: char, string: &str, options: &Options) -> Result<Self, Failure> {
        let transport = Registry::new().dial(string, options)?;
        let links = switchboard_tokio::spawn(Alone::new(transport, options.limits.clone()));
        links.act(|links, cx| links.start(cx));
        while let Some(event) = links.next().await {
            match event {
                AloneEvent::Transport(TransportEvent::Up(link, info)) => {
                    let address = info.local.map(|address| address.to_string()).unwrap_or_default();
                    let tally = Tally::of(if name == 'a' { 'b' } else { 'a' });
                    return Ok(Self { address, sent: 0, tally, name, links, link });
                }
                AloneEvent::Transport(TransportEvent::Failed(reason)) => {
                    let text = format!("client {name} could not connect to {string}: {reason}");
                    let shown = ConnectionString::parse(string)?.to_string();
                    return Err(Failure::of(Code::Failed, text, &reason, Role::Dial, &shown));
                }
                _ => {}
            }
        }
        Err(Failure::new(Code::Failed, "tokio has ended"))
    }

    /// Sends all its messages and receives all of the other's; ends early with the link and after a long silence.
    pub(super) async fn exchange(&mut self) {
        while !self.turn() {
            match tokio::time::timeout(SILENCE, self.links.next()).await {
                Ok(Some(AloneEvent::Transport(_)) | None) | Err(_) => return,
                Ok(Some(_)) => {}
            }
        }
    }

    /// Closes the link, and counts what still comes.
    pub(super) async fn close(&mut self) {
        self.links.act(|links, cx| links.stop(cx));
        while let Some(event) = self.links.next().await {
            self.receive();
            if event == AloneEvent::Transport(TransportEvent::Stopped) {
                return;
            }
        }
    }

    /// Does what can be done at once; whether all is done.
    fn turn(&mut self) -> bool {
        let (name, link, first) = (self.name, self.link, self.sent);
        self.sent = self.links.act(|links, cx| send(links, cx, link, name, first));
        self.receive();
        self.sent == COUNT && self.tally.is_complete()
    }

    fn receive(&mut self) {
        let messages = self.links.act(|links, cx| std::iter::from_fn(|| links.recv(cx)).collect::<Vec<_>>());
        for message in messages {
            self.tally.count(message.kind, &message.bytes);
        }
    }
}

/// Sends from `next` on until the link's queue is full; answers the number to go on with.
fn send(links: &mut Links, cx: &mut Cx<'_>, link: LinkId, name: char, mut next: u64) -> u64 {
    while next < COUNT {
        let (kind, bytes) = payload(name, next);
        if links.send(cx, link, kind, &bytes).is_err() {
            break;
        }
        next += 1;
    }
    next
}
