//! The STUN and TURN servers of a relay: where they listen, whom they serve, and what they have done.

use std::fs;
use std::net::{IpAddr, SocketAddr};

use switchboard::connect::{Options, TurnService};
use switchboard::hub::TransportId;
use switchboard::stack::turn_server::{Listener, PeerPolicy, TurnSecret};
use switchboard::transport::serve::{self, Meter};
use switchboard_tokio::Endpoint;

use crate::args::ServerArgs;
use crate::outcome::{Code, Failure};

/// What is told of it: a transport, and what it serves.
pub(crate) type Served = (TransportId, &'static str);

/// The servers that the command line asks for.
pub(crate) struct Servers {
    service: TurnService,
    stun: Option<SocketAddr>,
    turn: Vec<(Listener, SocketAddr)>,
}

impl Servers {
    /// None: it asks for none.
    pub(crate) fn of(args: &ServerArgs, options: &Options) -> Result<Option<Self>, Failure> {
        if !args.any() {
            return Ok(None);
        }
        let mut service = TurnService::new("switchboard", secret(args)?);
        service.config.announce = args.turn_public.clone();
        service.config.loopback = args.turn_loopback;
        service.config.rate_per_user = args.turn_rate.or(service.config.rate_per_user);
        service.config.allocations_per_user = args.turn_allocations.unwrap_or(service.config.allocations_per_user);
        if !args.turn_allow.is_empty() {
            service.config.peers = PeerPolicy::AllowList(args.turn_allow.clone());
        }
        service.uris = uris(args)?;
        let turn = listeners(args, options)?;
        // A TURN server answers STUN too.
        let stun = args.stun.filter(|address| args.turn != Some(*address));
        Ok(Some(Self { service, stun, turn }))
    }

    pub(crate) fn service(&self) -> &TurnService {
        &self.service
    }

    pub(crate) fn start(self, endpoint: &Endpoint) -> Vec<Served> {
        let mut served = Vec::new();
        if let Some(address) = self.stun {
            let transport = Box::new(serve::stun(address));
            served.push((endpoint.act(|endpoint, cx| endpoint.add(cx, transport, None)), "STUN"));
        }
        if !self.turn.is_empty() {
            let transport = Box::new(serve::turn(&self.service, self.turn));
            served.push((endpoint.act(|endpoint, cx| endpoint.add(cx, transport, None)), "TURN"));
        }
        served
    }
}

fn secret(args: &ServerArgs) -> Result<TurnSecret, Failure> {
    let Some(file) = &args.turn_secret else {
        let mut secret = [0; 32];
        getrandom::fill(&mut secret).map_err(|error| Failure::new(Code::Failed, format!("no randomness: {error}")))?;
        return Ok(TurnSecret::new(secret));
    };
    let refuse = |error: &dyn std::fmt::Display| Failure::new(Code::Usage, format!("{}: {error}", file.display()));
    let text = fs::read(file).map_err(|error| refuse(&error))?;
    let text = text.trim_ascii();
    if text.len() < 16 {
        return Err(refuse(&"a secret has at least 16 bytes").advise("make one: openssl rand -hex 32 > FILE"));
    }
    Ok(TurnSecret::new(text))
}

fn listeners(args: &ServerArgs, options: &Options) -> Result<Vec<(Listener, SocketAddr)>, Failure> {
    let mut listeners = Vec::new();
    if let Some(address) = args.turn {
        listeners.extend([(Listener::Udp, address), (Listener::Tcp, address)]);
    }
    if let Some(address) = args.turns {
        let identity = options.identity.clone().ok_or_else(|| {
            Failure::new(Code::Usage, "--turns needs a certificate")
                .advise("name one by --tls-cert FILE --tls-key FILE, or make one by --self-signed CERT.pem")
        })?;
        listeners.push((Listener::Tls(identity), address));
    }
    Ok(listeners)
}

/// What neighbours are handed: each server at each address of ours.
fn uris(args: &ServerArgs) -> Result<Vec<String>, Failure> {
    let mut uris = Vec::new();
    for at in args.stun.or(args.turn).map_or(Ok(vec![]), |at| reached(args, at))? {
        uris.push(format!("stun:{at}"));
    }
    for at in args.turn.map_or(Ok(vec![]), |at| reached(args, at))? {
        uris.extend([format!("turn:{at}?transport=udp"), format!("turn:{at}?transport=tcp")]);
    }
    for at in args.turns.map_or(Ok(vec![]), |at| reached(args, at))? {
        uris.push(format!("turns:{at}?transport=tcp"));
    }
    Ok(uris)
}

/// By which addresses a listener is reached.
fn reached(args: &ServerArgs, listener: SocketAddr) -> Result<Vec<SocketAddr>, Failure> {
    if listener.port() == 0 {
        let text = format!("{listener}: a server that others are told of needs a port");
        return Err(Failure::new(Code::Usage, text).advise("the usual ones are 3478, and 5349 for --turns"));
    }
    let fits = |address: &&IpAddr| address.is_ipv4() == listener.is_ipv4() || listener.ip().is_unspecified();
    let public: Vec<_> = args.turn_public.iter().filter(fits).map(|at| SocketAddr::new(*at, listener.port())).collect();
    if !public.is_empty() {
        return Ok(public);
    }
    if listener.ip().is_unspecified() {
        let text = format!("{listener}: by which address others reach this host is not known");
        return Err(Failure::new(Code::Usage, text).advise("say it by --turn-public ADDRESS"));
    }
    Ok(vec![listener])
}

/// The figures of the TURN server for the status line.
pub(crate) fn in_words(meter: &Meter) -> String {
    let figures = meter.figures();
    let bytes = figures.statistics.bytes_to_peers + figures.statistics.bytes_to_clients;
    format!("; TURN: {} allocations, {} relayed", figures.allocations, indicatif::HumanBytes(bytes))
}

/// Every figure of the TURN server, by its name and whether it only grows.
fn figures(meter: &Meter) -> Vec<(&'static str, bool, u64)> {
    let figures = meter.figures();
    let all = figures.statistics;
    vec![
        ("turn_allocations", false, figures.allocations as u64),
        ("turn_connections", false, figures.connections as u64),
        ("turn_bytes_to_peers", true, all.bytes_to_peers),
        ("turn_bytes_to_clients", true, all.bytes_to_clients),
        ("turn_over_rate", true, all.over_rate),
        ("turn_over_quota", true, all.over_quota + all.over_capacity),
        ("turn_forbidden", true, all.forbidden),
        ("turn_overflows", true, all.overflows),
    ]
}

/// In Prometheus' text format.
pub(crate) fn to_prometheus(meter: &Meter) -> String {
    let line = |(name, grows, value): (&str, bool, u64)| {
        let (kind, total) = if grows { ("counter", "_total") } else { ("gauge", "") };
        format!("# TYPE switchboard_{name}{total} {kind}\nswitchboard_{name}{total} {value}\n")
    };
    figures(meter).into_iter().map(line).collect()
}

/// As further fields of a JSON object.
pub(crate) fn into_json(json: &str, meter: &Meter) -> String {
    let fields: String = figures(meter).iter().map(|(name, _, value)| format!(",\"{name}\":{value}")).collect();
    format!("{}{fields}}}", json.strip_suffix('}').unwrap_or(json))
}
