//! The examples do what they say.

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};

use switchboard::connect;
use switchboard::hub::{Event, Policy, Quotas};
use switchboard::link::noise::SecretKey;
use switchboard_tokio::Endpoint;

#[test]
fn two_ends_talk_over_a_transport_of_their_own() {
    let example = example("custom_transport");
    let output = Command::new(&example).output();
    let output =
        output.unwrap_or_else(|error| panic!("{}: {error}; build it: cargo test --examples", example.display()));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "hello\n");
}

#[test]
fn the_example_of_a_transport_has_at_most_80_lines() {
    let lines = include_str!("../examples/custom_transport.rs").lines().count();
    assert!(lines <= 80, "{lines} lines");
}

#[test]
fn whoever_comes_to_the_lobby_is_welcomed() {
    let (relay, string) = relay();
    let mut ann = Lobby::enter("ann", &string);
    assert_eq!(ann.line(), "0 others are here");
    let mut bob = Lobby::enter("bob", &string);
    assert_eq!(bob.line(), "1 others are here");
    assert_eq!(ann.line(), "bob comes in");
    assert_eq!(bob.line(), "welcome from ann");
    drop(relay);
}

#[test]
fn the_first_code_of_the_readme_has_about_25_lines() {
    let lines = include_str!("../examples/lobby.rs").lines().count();
    assert!(lines <= 28, "{lines} lines");
}

/// A relay that runs as long as its runtime.
fn relay() -> (tokio::runtime::Runtime, String) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (told, address) = std::sync::mpsc::channel();
    runtime.spawn(async move {
        let builder = connect::Endpoint::builder(SecretKey::from_bytes(&[1; 32])).listen("tcp:127.0.0.1:0");
        let relay = Endpoint::start(builder.relays_for(Policy::Open, Quotas::default())).unwrap();
        while let Some(event) = relay.next().await {
            if let Event::Listening { address, .. } = event {
                told.send(address).unwrap();
            }
        }
    });
    let address = address.recv().unwrap();
    (runtime, format!("tcp:{address}"))
}

/// The example as a child, with settings of its own; it does not outlive its test.
struct Lobby {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Lobby {
    fn enter(name: &str, relay: &str) -> Self {
        let settings = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("lobby-{name}"));
        let variables = [("XDG_CONFIG_HOME", settings.to_str().unwrap()), ("SWITCHBOARD_RELAYS", relay)];
        let mut child =
            Command::new(example("lobby")).arg(name).envs(variables).stdout(Stdio::piped()).spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        Self { child, output }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }
}

impl Drop for Lobby {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

fn example(name: &str) -> PathBuf {
    let here = std::env::current_exe().unwrap();
    here.parent().unwrap().parent().unwrap().join("examples").join(name)
}
