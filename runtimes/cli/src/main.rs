//! The program `switchboard`: a relay, what two endpoints do with each other, and both ends of any connection string
//! as a filter.
//!
//! | module | what it does |
//! | --- | --- |
//! | [`args`] | the command line |
//! | [`relay`] | `relay`, with its status over HTTP |
//! | [`party`], [`meeting`], [`path`] | the endpoint of a command, how two find each other, by which path they talk |
//! | [`chat`], [`pipe`], [`ping`] | the commands of these names, and `id` |
//! | [`transfer`] | `send` and `receive` |
//! | [`forward`] | TCP connections through a session |
//! | [`demo`] | two endpoints and a relay, and paths that die |
//! | [`peer`], [`session`], [`drive`] | `dial` and `listen`: from arguments to a session, what it does, what drives it |
//! | [`messages`] | standard input and output as messages |
//! | [`trust`] | certificates: read from files, made on the spot |
//! | [`report`], [`outcome`] | what people and scripts are told; exit codes, and what to do about an error |
//! | [`signals`] | SIGINT and SIGTERM |
//! | [`sim`], [`table`] | `sim`: scenarios in a virtual network; tables for people |

mod args;
mod chat;
mod demo;
mod drive;
mod forward;
mod meeting;
mod messages;
mod outcome;
mod party;
mod path;
mod peer;
mod ping;
mod pipe;
mod relay;
mod report;
mod session;
mod signals;
mod sim;
mod table;
mod transfer;
mod trust;

use std::process::ExitCode;

use args::{Args, Command};
use clap::Parser as _;
use outcome::Code;

fn main() -> ExitCode {
    let (result, json) = match Args::parse().command {
        Command::Demo(args) => (demo::run(args.json), args.json),
        Command::Dial(args) => (peer::dial(&args), args.peer.json),
        Command::Listen(args) => (peer::listen(&args), args.peer.json),
        Command::Relay(args) => (relay::run(&args), args.json),
        Command::Id(args) => (ping::id(&args), false),
        Command::Pipe(args) => (pipe::run(&args), args.endpoint.json),
        Command::Send(args) => (transfer::send(&args), args.endpoint.json),
        Command::Receive(args) => (transfer::receive(&args), args.endpoint.json),
        Command::Forward(args) => (forward::run(&args), args.endpoint.json),
        Command::Ping(args) => (ping::run(&args), args.endpoint.json),
        Command::Chat(args) => (chat::run(&args), args.endpoint.json),
        Command::Sim(args) => (sim::run(&args), args.json),
    };
    let code = match result {
        Ok(()) => Code::Good,
        Err(failure) => {
            report::failure(&failure, json);
            failure.code
        }
    };
    ExitCode::from(code as u8)
}
