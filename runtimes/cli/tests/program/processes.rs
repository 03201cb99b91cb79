//! A relay and two pipes, each with two links to the relay, and what dies in the middle of a long stream.
//!
//! `SWITCHBOARD_PIPE_BYTES` is the length of the stream, 32 MiB if unset.

use std::io::{Read as _, Write};
use std::process::ChildStdout;
use std::thread;
use std::time::{Duration, Instant};

use sha2::digest::Output;
use sha2::{Digest as _, Sha256};
use switchboard::machine::rng::Rng;
use tokio::runtime::{Builder, Runtime};

use crate::cable::Cable;
use crate::child::{Program, new_key};

const USUAL_BYTES: u64 = 32 * 1024 * 1024;
const SEED: u64 = 7;
const CHUNK: usize = 64 * 1024;

#[test]
fn a_stream_is_whole_when_the_socket_in_use_is_reset() {
    for side in [Side::Sender, Side::Receiver] {
        let stall = stream(&format!("reset at the {side:?}"), |line, before| line.in_use(side, before).reset());
        assert!(stall < Duration::from_secs(5), "{stall:?}");
    }
}

#[test]
fn a_stream_is_whole_when_the_socket_in_use_falls_silent() {
    for side in [Side::Sender, Side::Receiver] {
        let stall = stream(&format!("silent at the {side:?}"), |line, before| line.in_use(side, before).fall_silent());
        assert!(stall < Duration::from_secs(10), "{stall:?}");
    }
}

#[test]
fn a_stream_is_whole_when_the_relay_is_killed_and_started_again() {
    let stall = stream("the relay killed", |line, _| line.restart_relay(|relay| relay.kill()));
    assert!(stall < Duration::from_secs(20), "{stall:?}");
}

#[cfg(unix)]
#[test]
fn a_stream_is_whole_when_the_relay_is_stopped_and_started_again() {
    let stall = stream("the relay stopped", |line, _| line.restart_relay(|relay| relay.signal("TERM")));
    assert!(stall < Duration::from_secs(20), "{stall:?}");
}

/// How many bytes each cable has passed.
type Passed = [u64; 4];

/// Sends a stream of bytes through two pipes, and harms the line between them when a half of it has arrived. Answers
/// the longest time without a byte.
fn stream(what: &str, harm: impl FnOnce(&mut Line, Passed)) -> Duration {
    let len = std::env::var("SWITCHBOARD_PIPE_BYTES").map_or(USUAL_BYTES, |len| len.parse().unwrap());
    let mut line = Line::new();
    let mut receiving = line.pipe(Side::Receiver, &[]);
    let id = receiving.line_after("waiting as ");
    receiving.end_input();
    let mut sending = line.pipe(Side::Sender, &[&id]);
    let input = sending.take_input();
    let sent = thread::spawn(move || generate(input, len));
    let mut received = Received::from(receiving.take_output());
    received.read(len / 8 * 3);
    let before = line.passed();
    received.read(len / 2);
    harm(&mut line, before);
    received.read(u64::MAX);
    let (sending, receiving) = (sending.ended(), receiving.ended());
    let (took, stall, ended) = (received.last - received.since, received.stall, received.last.elapsed());
    println!("{what}: {len} bytes in {took:.1?}, of which {stall:.1?} without any; {ended:.1?} to the end of both");
    assert_eq!((sending.code, receiving.code), (Some(0), Some(0)), "{}\n{}", sending.stderr, receiving.stderr);
    assert_eq!((received.len, received.hash.finalize()), (len, sent.join().unwrap()));
    stall
}

/// Writes so many bytes of a seeded generator, and answers their hash.
fn generate(mut input: impl Write, len: u64) -> Output<Sha256> {
    let (mut rng, mut hash, mut chunk) = (Rng::from_u64(SEED), Sha256::new(), vec![0; CHUNK]);
    for at in (0..len).step_by(CHUNK) {
        let chunk = &mut chunk[..CHUNK.min((len - at) as usize)];
        rng.fill(chunk);
        hash.update(&*chunk);
        input.write_all(chunk).unwrap();
    }
    hash.finalize()
}

struct Received {
    output: ChildStdout,
    hash: Sha256,
    len: u64,
    since: Instant,
    last: Instant,
    stall: Duration,
}

impl Received {
    fn from(output: ChildStdout) -> Self {
        let now = Instant::now();
        Self { output, hash: Sha256::new(), len: 0, since: now, last: now, stall: Duration::ZERO }
    }

    /// Reads until so many bytes have come, or to the end.
    fn read(&mut self, len: u64) {
        let mut chunk = vec![0; CHUNK];
        while self.len < len {
            let more = self.output.read(&mut chunk).unwrap();
            if more == 0 {
                return;
            }
            self.stall = self.stall.max(self.last.elapsed());
            self.last = Instant::now();
            self.hash.update(&chunk[..more]);
            self.len += more as u64;
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum Side {
    Sender,
    Receiver,
}

/// What stands between the two pipes.
struct Line {
    key: String,
    string: String,
    relay: Program,
    /// Two of the sender, two of the receiver.
    cables: [Cable; 4],
    _runtime: Runtime,
}

impl Line {
    fn new() -> Self {
        let key = new_key();
        let (relay, string) = relay(&key, "tcp:127.0.0.1:0");
        let target = string.strip_prefix("tcp:").unwrap().parse().unwrap();
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let cables = [(); 4].map(|()| runtime.block_on(Cable::lay(target)));
        Self { key, string, relay, cables, _runtime: runtime }
    }

    fn pipe(&self, side: Side, more: &[&str]) -> Program {
        let strings = Self::cables_of(side).map(|at| format!("tcp:{}", self.cables[at].address));
        let key = new_key();
        // A direct path would be above all that happens here.
        let args = ["pipe", "--path", "relay-only", "--key", &key, "--relay", &strings[0], "--relay", &strings[1]];
        Program::start(&[&args, more].concat())
    }

    const fn cables_of(side: Side) -> [usize; 2] {
        match side {
            Side::Sender => [0, 1],
            Side::Receiver => [2, 3],
        }
    }

    fn passed(&self) -> Passed {
        self.cables.each_ref().map(Cable::passed)
    }

    /// The cable of a side that the stream has gone over since then.
    fn in_use(&self, side: Side, before: Passed) -> &Cable {
        let passed = |at: &usize| self.cables[*at].passed() - before[*at];
        let most = Self::cables_of(side).into_iter().max_by_key(passed).unwrap();
        assert!(passed(&most) > 100_000, "nothing passes");
        &self.cables[most]
    }

    /// Ends the relay, and starts it again with its key and at its port.
    fn restart_relay(&mut self, end: impl FnOnce(&mut Program)) {
        end(&mut self.relay);
        self.relay.wait();
        self.relay = relay(&self.key, &self.string).0;
    }
}

fn relay(key: &str, listen: &str) -> (Program, String) {
    let mut relay = Program::start(&["relay", "--key", key, "--listen", listen]);
    let string = relay.line_after("listening on ");
    (relay, string)
}
