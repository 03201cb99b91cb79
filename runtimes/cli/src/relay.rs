//! `relay`: a hub that forwards for others.
//!
//! It tells by which strings it can be reached, keeps a status line on a terminal, serves its figures over HTTP if
//! asked to, and says goodbye to its neighbours before it ends.

mod servers;
mod status;

use std::io::{self, IsTerminal as _};
use std::sync::Arc;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use switchboard::connect::{ConnectionString, Endpoint as Core, Options, Role};
use switchboard::hub::event::LinkEnd;
use switchboard::hub::{Event, Policy, Quotas, TransportId};
use switchboard_tokio::Endpoint;
use switchboard_tokio::environment::{Environment, secret_key};
use tokio::time::MissedTickBehavior;

use crate::args::RelayArgs;
use crate::outcome::{Code, Failure};
use crate::party::token;
use crate::peer::is_by_tls;
use crate::report::{connectable, line};
use crate::signals::{self, Stop};
use crate::trust::{self, Files};
use servers::{Served, Servers};
use status::{Pages, Status};
use switchboard::transport::serve::Meter;

/// How long goodbyes are waited for.
const FAREWELL: Duration = Duration::from_secs(5);

pub(crate) fn run(args: &RelayArgs) -> Result<(), Failure> {
    signals::run(async |stop| {
        let relay = Relay::start(args)?;
        if let Some(address) = args.status {
            let status = Status::bind(address).await.map_err(|error| {
                Failure::new(Code::Unreachable, format!("could not listen on {address} for the status: {error}"))
            })?;
            let bound = status.address().unwrap_or(address);
            relay.tell(json!({"event": "status", "address": bound.to_string()}), &format!("status on http://{bound}"));
            tokio::spawn(status.serve(Arc::new(Figures(relay.endpoint.clone(), relay.meter.clone()))));
        }
        let result = relay.serve(&stop).await;
        _ = tokio::time::timeout(FAREWELL, relay.endpoint.stop()).await;
        result
    })
}

struct Relay {
    endpoint: Endpoint,
    listeners: Vec<(TransportId, ConnectionString)>,
    served: Vec<Served>,
    meter: Option<Meter>,
    json: bool,
    line: ProgressBar,
}

impl Relay {
    fn start(args: &RelayArgs) -> Result<Self, Failure> {
        let file = args.key.clone().map_or_else(|| Environment::of_process().file("relay-key"), Ok)?;
        let mut options = options(args)?;
        let servers = Servers::of(&args.servers, &options)?;
        options.turn = servers.as_ref().map(|servers| servers.service().clone());
        let meter = options.turn.as_ref().map(|service| service.meter.clone());
        let builder = Core::builder(secret_key(&file)?).options(options);
        let endpoint = Endpoint::start(builder.relays_for(policy(args)?, quotas(args)))?;
        let mut listeners = Vec::new();
        for string in &args.listen {
            let parsed = ConnectionString::parse(string)?;
            listeners.push((endpoint.act(|endpoint, cx| endpoint.listen(cx, string))?, parsed));
        }
        let served = servers.map(|servers| servers.start(&endpoint)).unwrap_or_default();
        let line = if io::stderr().is_terminal() && !args.json { status_line() } else { ProgressBar::hidden() };
        Ok(Self { endpoint, listeners, served, meter, json: args.json, line })
    }

    /// Tells what happens until a signal comes, or it can't listen.
    async fn serve(&self, stop: &Stop) -> Result<(), Failure> {
        let mut tick = tokio::time::interval(Duration::from_secs(1));
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                event = self.endpoint.next() => match event {
                    Some(event) => self.on_event(event)?,
                    None => return Err(Failure::new(Code::Failed, "the relay has ended")),
                },
                _ = tick.tick(), if !self.line.is_hidden() => self.refresh(),
                () = stop.asked() => {
                    self.line.finish_and_clear();
                    return Ok(());
                }
            }
        }
    }

    fn on_event(&self, event: Event) -> Result<(), Failure> {
        match event {
            Event::Listening { transport, address } => {
                if let Some((_, string)) = self.listeners.iter().find(|(id, _)| *id == transport) {
                    let string = connectable(string, address);
                    self.tell(json!({"event": "listening", "string": string}), &format!("listening on {string}"));
                }
                if let Some(what) = self.server(transport) {
                    let event = json!({"event": "serving", "what": what, "address": address.to_string()});
                    self.tell(event, &format!("serving {what} on {address}"));
                }
            }
            Event::Failed { transport, reason } if self.server(transport).is_some() => {
                return Err(self.not_served(transport, &reason));
            }
            Event::Failed { transport, reason } => return Err(self.failed(transport, &reason)),
            Event::NeighbourUp { link, neighbour } if self.json => {
                let (link, id) = (link.to_string(), neighbour.to_string());
                self.tell(json!({"event": "up", "link": link, "id": id}), "");
            }
            Event::NeighbourDown { link, neighbour, reason } if self.json => {
                let (link, id, reason) = (link.to_string(), neighbour.to_string(), reason.to_string());
                self.tell(json!({"event": "down", "link": link, "id": id, "reason": reason}), "");
            }
            Event::Incoming { session, .. } => self.endpoint.refuse(session, 0, "this is a relay"),
            _ => {}
        }
        Ok(())
    }

    /// What a transport serves, if it is a server.
    fn server(&self, transport: TransportId) -> Option<&'static str> {
        self.served.iter().find(|(id, _)| *id == transport).map(|(_, what)| *what)
    }

    fn not_served(&self, transport: TransportId, reason: &LinkEnd) -> Failure {
        let what = self.server(transport).unwrap_or_default();
        let text = format!("could not serve {what}: {reason}");
        Failure::new(Code::Unreachable, text)
            .advise("another program may have the port: name another by --turn ADDRESS:PORT")
    }

    fn failed(&self, transport: TransportId, reason: &LinkEnd) -> Failure {
        let string = self.listeners.iter().find(|(id, _)| *id == transport).map(|(_, string)| string.to_string());
        let string = string.unwrap_or_default();
        let text = format!("could not listen on {string}: {reason}");
        match reason {
            LinkEnd::Down(down) => Failure::of(Code::Unreachable, text, down, Role::Listen, &string),
            _ => Failure::new(Code::Unreachable, text),
        }
    }

    fn refresh(&self) {
        let figures = self.endpoint.act(|endpoint, _| endpoint.statistics());
        let dropped = figures.dropped_quota + figures.dropped_full + figures.dropped_route;
        self.line.set_message(format!(
            "{} links, {} routes, {} rooms; {} packets passed on ({}), {dropped} dropped{}",
            figures.links,
            figures.routes,
            figures.rooms,
            figures.forwarded_packets,
            indicatif::HumanBytes(figures.forwarded_bytes),
            self.meter.as_ref().map(servers::in_words).unwrap_or_default(),
        ));
        self.line.tick();
    }

    fn tell(&self, event: Value, text: &str) {
        self.line.suspend(|| if self.json { line(&event.to_string()) } else { line(text) });
    }
}

fn status_line() -> ProgressBar {
    let style = ProgressStyle::with_template("{msg}").unwrap_or_else(|_| ProgressStyle::default_spinner());
    ProgressBar::new_spinner().with_style(style)
}

fn options(args: &RelayArgs) -> Result<Options, Failure> {
    let mut options = Options::default();
    let by_tls = |string: &&String| ConnectionString::parse(string).is_ok_and(|string| is_by_tls(&string));
    let turns = args.servers.turns.map(|address| format!("turns:{address}"));
    let Some(string) = args.listen.iter().find(by_tls).or(turns.as_ref()) else { return Ok(options) };
    let string = ConnectionString::parse(string)?;
    let made = args.self_signed.as_deref().map(|file| trust::self_signed(file, &string)).transpose()?;
    let files = Files { ca: &[], own: args.tls_cert.as_deref().zip(args.tls_key.as_deref()) };
    options.identity = trust::server(files, made)?;
    Ok(options)
}

fn policy(args: &RelayArgs) -> Result<Policy, Failure> {
    Ok(match &args.token {
        Some(word) => Policy::JoinToken(vec![token(word)?]),
        None if !args.allow.is_empty() => Policy::AllowList(args.allow.iter().copied().collect()),
        None => Policy::Open,
    })
}

fn quotas(args: &RelayArgs) -> Quotas {
    let usual = Quotas::default();
    Quotas {
        links: args.max_links.unwrap_or(usual.links),
        bytes_per_second: args.max_rate.unwrap_or(usual.bytes_per_second),
        sessions: args.max_sessions.unwrap_or(usual.sessions),
        rooms: args.max_rooms.unwrap_or(usual.rooms),
    }
}

/// What the status shows.
struct Figures(Endpoint, Option<Meter>);

impl Pages for Figures {
    fn metrics(&self) -> String {
        let own = self.0.act(|endpoint, _| endpoint.statistics()).to_prometheus();
        own + &self.1.as_ref().map(servers::to_prometheus).unwrap_or_default()
    }

    fn status(&self) -> String {
        let own = self.0.act(|endpoint, _| endpoint.statistics()).to_json();
        self.1.as_ref().map_or_else(|| own.clone(), |meter| servers::into_json(&own, meter))
    }
}
