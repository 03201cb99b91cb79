//! What a child process does: it forwards, dials, or echoes, in one of the ways that are compared.

mod ours;
mod rivals;

use std::io::{BufRead, Write};

use crate::child;

/// Plays a role until the parent ends it.
pub fn play(role: &str, arguments: &[String]) {
    child::prepare(usize::from(role == "echo"));
    let argument = arguments.first().map_or("", String::as_str);
    match role {
        "mio" => ours::forward_by_mio(argument),
        "tokio" => ours::forward_by_tokio(argument),
        "send" => rivals::serve(rivals::Way::Send),
        "forward" => rivals::serve(rivals::Way::Forward),
        "echo" => rivals::serve(rivals::Way::Echo),
        "dial-mio" => ours::dial_by_mio(argument),
        "dial-tokio" => ours::dial_by_tokio(argument),
        "dial-tungstenite" => rivals::dial(argument),
        unknown => panic!("there is no role {unknown:?}"),
    }
}

/// Says a line to the parent.
fn say(line: &str) {
    let mut output = std::io::stdout().lock();
    writeln!(output, "{line}").and_then(|()| output.flush()).expect("the parent listens");
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
