//! Compares the library with tokio-tungstenite, and with its own goals where it has no rival.
//!
//! `switchboard-compare [--quick] [NAME]` runs every comparison whose name begins with NAME and prints one JSON
//! object for each: `{"name","ours","baseline","ratio","better","unit"}`. The name is `ROW/VARIANT`, `ratio` is ours
//! divided by the baseline whatever is `better`, and without a rival the baseline is the goal.
//!
//! What is compared is the CPU time, user and system, of a process of its own: this program starts itself with a role
//! as its argument. Load comes from the parent, so its cost is in no figure. Slices of the candidates take turns
//! within one run, and the pair of slices with the median ratio is reported: what else the machine does meanwhile
//! hits neighbouring slices alike. Where there are two CPUs, what is measured has the first and the load the second.

mod child;
mod dials;
mod forwarder;
mod load;
mod plan;
mod roles;
mod rows;
mod sessions;
mod websocket;

use plan::Plan;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let Some((role, rest)) = arguments.split_first().filter(|(first, _)| first.starts_with("role:")) {
        return roles::play(&role["role:".len()..], rest);
    }
    let (options, names): (Vec<_>, Vec<_>) = arguments.into_iter().partition(|argument| argument.starts_with("--"));
    let quick = options.iter().any(|option| option == "--quick");
    if names.len() > 1 || options.iter().any(|option| option != "--quick") {
        eprintln!("usage: switchboard-compare [--quick] [NAME]");
        std::process::exit(2);
    }
    child::raise_descriptor_limit();
    child::pin(1);
    rows::run(&Plan::new(quick, names.into_iter().next().unwrap_or_default()));
}
