//! `dial` and `listen`, from arguments to a session.

use std::fs;
use std::path::Path;

use switchboard::connect::{AnyTransport, ConnectionString, Options, Registry, Role};
use switchboard::link::tls::Identity;
use switchboard::machine::limits::Limits;
use switchboard::transport::{Alone, Reconnect};

use crate::args::{DialArgs, Linger, ListenArgs, PeerArgs};
use crate::messages::{self, Framing, Output};
use crate::outcome::{Code, Failure};
use crate::report::Report;
use crate::session::{Plan, Session};
use crate::trust::Files;
use crate::{drive, trust};

pub(crate) fn dial(args: &DialArgs) -> Result<(), Failure> {
    let string = ConnectionString::parse(&args.peer.string)?;
    let mut options = options(&args.peer);
    (options.reconnect, options.proxy) = (args.reconnect, args.proxy.clone());
    if is_by_tls(&string) {
        options.trust = Some(trust::client(files(&args.peer))?);
    }
    let transport = Registry::new().dial(&args.peer.string, &options)?;
    let plan = Plan::of(&args.peer, args.linger(), args.reconnect);
    let report = Report { string, role: Role::Dial, json: args.peer.json, made: None };
    run(&args.peer, transport, &options.limits, report, plan)
}

pub(crate) fn listen(args: &ListenArgs) -> Result<(), Failure> {
    let string = ConnectionString::parse(&args.peer.string)?;
    let mut options = options(&args.peer);
    options.origins = Some(args.origin.clone()).filter(|origins| !origins.is_empty());
    if args.self_signed.is_some() && !is_by_tls(&string) {
        return Err(Failure::new(
            Code::Usage,
            format!("--self-signed is for tls: and wss:, {string} shows no certificate"),
        ));
    }
    let made = args.self_signed.as_deref().map(|file| trust::self_signed(file, &string)).transpose()?;
    let result = listen_as(args, string, options, made);
    if let (Some(file), Err(Failure { code: Code::Usage | Code::Unreachable, .. })) = (&args.self_signed, &result) {
        forget(file);
    }
    result
}

fn listen_as(
    args: &ListenArgs,
    string: ConnectionString,
    mut options: Options,
    made: Option<Identity>,
) -> Result<(), Failure> {
    if is_by_tls(&string) {
        options.identity = trust::server(files(&args.peer), made)?;
    }
    let transport = Registry::new().listen(&args.peer.string, &options)?;
    let plan = Plan::of(&args.peer, Linger::Forever, Reconnect::Never);
    let report = Report { string, role: Role::Listen, json: args.peer.json, made: args.self_signed.clone() };
    run(&args.peer, transport, &options.limits, report, plan)
}

fn run(args: &PeerArgs, transport: AnyTransport, limits: &Limits, report: Report, plan: Plan) -> Result<(), Failure> {
    let framing = if args.binary { Framing::Lengths } else { Framing::Lines };
    drive::run(args.runtime, Alone::new(transport, limits.clone()), |waker, stop| {
        let input = (!args.echo).then(|| messages::read(framing, limits.message, waker.clone()));
        Session::new(report, plan, stop, input, Output::new(framing, waker))
    })
}

fn options(args: &PeerArgs) -> Options {
    Options {
        limits: Limits { message: args.max_message, ..Limits::default() },
        subprotocols: args.subprotocol.clone(),
        headers: args.header.clone(),
        ..Options::default()
    }
}

fn files(args: &PeerArgs) -> Files<'_> {
    Files { ca: &args.ca, own: args.cert.as_deref().zip(args.key.as_deref()) }
}

pub(crate) fn is_by_tls(string: &ConnectionString) -> bool {
    ["tls", "wss"].contains(&string.kind())
}

/// A certificate that nobody was ever shown is of no use, and would be in the way of the next attempt.
fn forget(file: &Path) {
    _ = fs::remove_file(file);
}
