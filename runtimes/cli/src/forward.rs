//! TCP connections through a session: `forward`.
//!
//! One end listens on a TCP port and opens a stream for each connection that comes; the other end connects to what
//! it has allowed under the name that was asked for, and to nothing else. [`mux`] carries the streams over one
//! channel, each with a window of its own.

mod message;
mod mux;
mod serve;
mod socket;
mod tunnel;

use std::collections::BTreeMap;

use serde_json::json;
use switchboard::hub::{Event, SessionId};
use tokio::net::TcpListener;

use message::Violation;
use tunnel::{Tunnel, tellers};

use crate::args::ForwardArgs;
use crate::outcome::{Code, Failure};
use crate::party::{self, Party};
use crate::signals;

/// What the channel of a forwarding is called.
const LABEL: &str = "forward";

impl From<Violation> for Failure {
    fn from(violation: Violation) -> Self {
        Self::new(Code::Lost, violation.to_string())
    }
}

pub(crate) fn run(args: &ForwardArgs) -> Result<(), Failure> {
    signals::run(async |stop| {
        let party = Party::start(&args.endpoint)?;
        let result = tokio::select! {
            result = forward(&party, args) => result,
            () = stop.asked() => Ok(()),
        };
        party.stop().await;
        result
    })
}

async fn forward(party: &Party, args: &ForwardArgs) -> Result<(), Failure> {
    match (&args.service, &args.listen, args.to) {
        (Some(service), Some(listen), Some(to)) => {
            let listener = TcpListener::bind(listen).await.map_err(|error| {
                let failure = Failure::new(Code::Unreachable, format!("could not listen on {listen}: {error}"));
                failure.advise("name an address of this machine, as in 127.0.0.1:9000; port 0 is any that is free")
            })?;
            let session = party.dial(to, LABEL).await?;
            listening(party, session, listener, service).await
        }
        _ => serve::serve(party, args).await,
    }
}

/// Opens a stream for each connection that comes, until the session ends.
async fn listening(party: &Party, session: SessionId, listener: TcpListener, service: &str) -> Result<(), Failure> {
    let (teller, mut told) = tellers();
    let mut tunnel = Tunnel::to(session, teller);
    let address = listener.local_addr().map(|address| address.to_string()).unwrap_or_default();
    party.tell(json!({"event": "listening", "address": address}), &format!("listening on {address}"));
    loop {
        tunnel.flush(party);
        tokio::select! {
            event = party.event() => match event? {
                Event::Message { session, bytes, .. } if session == tunnel.session => {
                    tunnel.receive(&bytes, party, &BTreeMap::new())?;
                }
                Event::Closed { session, peer, reason } if session == tunnel.session => {
                    return Err(party::ended(peer, &reason));
                }
                _ => {}
            },
            Some((_, stream, news)) = told.recv() => tunnel.on_news(stream, news),
            accepted = listener.accept() => {
                if let Ok((socket, _)) = accepted {
                    tunnel.connect(socket, service);
                }
            }
        }
    }
}
