//! `file-1GiB`: CPU seconds per GiB of a file that is sent from one process through a second to a third, from memory
//! to memory: by a session through a relay, and by `tokio::io::copy` in all three processes. Nobody hashes.

use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use crate::child::Actor;
use crate::plan::{Better, Comparison, Plan, median_pair};

const NAME: &str = "file-1GiB/relay-vs-copy";
const MIB: usize = 1024 * 1024;
const GOAL: f64 = 3.0;

pub fn run(plan: &Plan) {
    if !plan.wants(NAME) {
        return;
    }
    let (size, rounds) = if plan.quick { (64 * MIB, 3) } else { (1024 * MIB, 3) };
    let files = Files::new(size);
    let per_gib = |seconds: f64| seconds * (1024 * MIB) as f64 / size as f64;
    let (mut ours, mut copied) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        ours.push(per_gib(transfer(through_relay(&files))));
        files.check();
        copied.push(per_gib(transfer(by_copy(&files))));
        files.check();
    }
    let (ours, baseline) = median_pair(&ours, &copied);
    let name = NAME.to_owned();
    plan.report(&Comparison { name, ours, baseline, better: Better::Lower, unit: "s/GiB", goal: Some(GOAL) });
}

/// Processes that stand ready: one that sends, one that passes on, one that receives.
struct Party {
    name: &'static str,
    sender: Actor,
    between: Actor,
    receiver: Actor,
}

fn through_relay(files: &Files) -> Party {
    let (between, address) = Actor::start("relay-tokio", &["ws://127.0.0.1:0/"]);
    let relay = format!("ws://{}/", address.trim());
    let (receiver, to) = Actor::start("receive-file", &[&relay, files.to()]);
    let (sender, _) = Actor::start("send-file", &[&relay, &to, files.from()]);
    Party { name: "relay", sender, between, receiver }
}

fn by_copy(files: &Files) -> Party {
    let (receiver, to) = Actor::start("copy-receive", &[files.to()]);
    let (between, through) = Actor::start("copy-forward", &[&to]);
    let (sender, _) = Actor::start("copy-send", &[&through, files.from()]);
    Party { name: "copy", sender, between, receiver }
}

/// CPU seconds of all three.
fn transfer(mut party: Party) -> f64 {
    let cpu = |party: &Party| [&party.sender, &party.between, &party.receiver].map(|actor| actor.cpu().as_secs_f64());
    let before = cpu(&party);
    let start = std::time::Instant::now();
    party.sender.ask("go");
    party.receiver.line();
    let took = start.elapsed().as_secs_f64();
    let [sender, between, receiver] = cpu(&party);
    let [sender, between, receiver] = [sender - before[0], between - before[1], receiver - before[2]];
    let name = party.name;
    eprintln!(
        "file/{name}: sender {sender:.2} s, between {between:.2} s, receiver {receiver:.2} s of CPU; {took:.2} s"
    );
    sender + between + receiver
}

/// Two files in memory, gone with this value.
struct Files {
    paths: [PathBuf; 2],
    size: usize,
}

impl Files {
    fn new(size: usize) -> Self {
        let memory = Path::new("/dev/shm");
        let directory = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
        let path = |name| directory.join(format!("switchboard-compare-{}-{name}", std::process::id()));
        let files = Self { paths: [path("from"), path("to")], size };
        let mut file = File::create(&files.paths[0]).expect("a file can be made");
        for n in 0..size / MIB {
            let part: Vec<u8> = (0..MIB).map(|at| (at * 31 + at / 256 + n) as u8).collect();
            file.write_all(&part).expect("there is room for a file");
        }
        files
    }

    fn from(&self) -> &str {
        self.paths[0].to_str().expect("the path is text")
    }

    fn to(&self) -> &str {
        self.paths[1].to_str().expect("the path is text")
    }

    /// The file that has arrived is the one that was sent.
    fn check(&self) {
        let open = |path: &PathBuf| File::open(path).expect("the file is there");
        let (mut a, mut b) = (open(&self.paths[0]), open(&self.paths[1]));
        assert_eq!(b.metadata().expect("it is a file").len(), self.size as u64, "a part of the file is missing");
        let (mut left, mut right) = (vec![0; MIB], vec![0; MIB]);
        for _ in 0..self.size / MIB {
            a.read_exact(&mut left).and_then(|()| b.read_exact(&mut right)).expect("the files can be read");
            assert!(left == right, "the file has changed under way");
        }
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        self.paths.iter().for_each(|path| _ = std::fs::remove_file(path));
    }
}
