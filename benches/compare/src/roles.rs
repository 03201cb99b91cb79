//! What a child process does: it forwards, relays, dials, echoes, or moves files, in one of the ways that are compared.

mod copies;
mod net;
mod ours;
mod relays;
mod rivals;

use std::io::{BufRead, Write};

use crate::child;

pub use relays::{neighbour, wait};

/// Plays a role until the parent ends it.
pub fn play(role: &str, arguments: &[String]) {
    child::prepare(usize::from(role == "echo"));
    let argument = |n: usize| arguments.get(n).map_or("", String::as_str);
    match role {
        "copy-forward" => copies::forward(argument(0)),
        "copy-receive" => copies::receive(argument(0)),
        "copy-send" => copies::send(argument(0), argument(1)),
        "dc-net" => net::peers(argument(0).parse().expect("a size")),
        "dc-net-node" => net::node(argument(0), argument(1)),
        "receive-file" => relays::receive_file(argument(0), argument(1)),
        "relay-mio" => relays::relay_by_mio(argument(0)),
        "relay-tokio" => relays::relay_by_tokio(argument(0)),
        "send-file" => relays::send_file(argument(0), argument(1), argument(2)),
        "mio" => ours::forward_by_mio(argument(0)),
        "tokio" => ours::forward_by_tokio(argument(0)),
        "send" => rivals::serve(rivals::Way::Send),
        "forward" => rivals::serve(rivals::Way::Forward),
        "echo" => rivals::serve(rivals::Way::Echo),
        "dial-mio" => ours::dial_by_mio(argument(0)),
        "dial-tokio" => ours::dial_by_tokio(argument(0)),
        "dial-tungstenite" => rivals::dial(argument(0)),
        unknown => panic!("there is no role {unknown:?}"),
    }
}

/// Says a line to the parent.
fn say(line: &str) {
    let mut output = std::io::stdout().lock();
    writeln!(output, "{line}").and_then(|()| output.flush()).expect("the parent listens");
}

/// Waits until the parent says something, or for ever.
fn listen() {
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).expect("the parent's words can be read");
}

/// Does as often as the parent says.
fn obey(mut act: impl FnMut(usize)) {
    say("ready");
    for line in std::io::stdin().lock().lines() {
        let line = line.expect("the parent's words can be read");
        act(line.parse().expect("the parent says a number"));
        say("done");
    }
}

/// A runtime of one thread, the same for all that need one.
fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime starts")
}
