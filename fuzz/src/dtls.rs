//! DTLS: datagrams that are damaged, repeated, cut and made up, after a handshake and during it.

use std::collections::BTreeSet;
use std::sync::LazyLock;
use std::time::Duration;

use switchboard::link::dtls::{Context, Dtls, Event, Provider, Version};
use switchboard::machine::time::{Epoch, Instant};

use crate::script::Script;

/// Datagrams on their way at once.
const MOST_WIRE: usize = 100;
const NOW: Instant = Instant::ZERO;

static CONTEXT: LazyLock<Context> = LazyLock::new(context);

/// Data, goodbyes and damage in any order: what is delivered was sent, and was not delivered before; after a handshake
/// nothing ends a connection but its ends. The top bit of the first byte says which version, the next whether the handshake
/// is left to the script.
pub fn dtls_records(data: &[u8]) {
    let mut script = Script::new(data);
    let how = script.byte();
    let mut pair = Pair::new(if how & 0x80 == 0 { Version::Dtls13 } else { Version::Dtls12 }, how & 0x40 == 0);
    script.play(200, |script| pair.act(script));
    pair.carry();
    assert!(!pair.is_whole || pair.ends.iter().all(|end| !end.has_failed), "damage has ended a connection");
}

struct Pair {
    ends: [End; 2],
    /// The handshake was complete before anything was damaged.
    is_whole: bool,
}

struct End {
    dtls: Dtls,
    /// Numbers of what was sealed, and of what the other end has delivered.
    sealed: u32,
    delivered: BTreeSet<u32>,
    /// On its way to the other end.
    wire: Vec<Vec<u8>>,
    has_failed: bool,
}

impl Pair {
    fn new(version: Version, is_whole: bool) -> Self {
        let end = |is_client| End {
            dtls: Dtls::new(&CONTEXT, NOW, version, is_client, CONTEXT.fingerprint(), None),
            sealed: 0,
            delivered: BTreeSet::new(),
            wire: Vec::new(),
            has_failed: false,
        };
        let mut pair = Self { ends: [end(true), end(false)], is_whole };
        if is_whole {
            pair.carry();
            for from in [0, 1, 0] {
                pair.ends[from].seal(8);
                pair.carry();
            }
            assert!(pair.ends.iter().all(|end| end.dtls.has_own_records()), "the handshake fails");
        }
        pair
    }

    /// The top bit says from which side, the others what.
    fn act(&mut self, script: &mut Script<'_>) {
        let action = script.byte();
        let end = &mut self.ends[usize::from(action >> 7)];
        match action & 7 {
            0 => self.carry(),
            1 => end.dtls.close(NOW),
            _ if end.wire.len() >= MOST_WIRE => {}
            2 | 3 => end.seal(script.word() % 1_500),
            4 => end.damage(script, |datagram, at, script| {
                let bits = script.byte();
                datagram.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= bits);
            }),
            5 => end.damage(script, |datagram, at, script| {
                let end = at + usize::from(script.byte());
                datagram.drain(at..end.min(datagram.len()));
            }),
            6 => end.wire.push(script.bytes().to_vec()),
            _ => end.wire.extend(end.wire.last().cloned()),
        }
    }

    /// Until neither side has anything to send.
    fn carry(&mut self) {
        for round in 0.. {
            assert!(round < 50, "the ends never fall silent");
            let mut is_silent = true;
            for from in [0, 1] {
                let [client, server] = &mut self.ends;
                let (sender, receiver) = if from == 0 { (client, server) } else { (server, client) };
                sender.fill();
                is_silent &= sender.wire.is_empty();
                for datagram in std::mem::take(&mut sender.wire) {
                    receiver.take(datagram, sender);
                }
            }
            if is_silent {
                return;
            }
        }
    }
}

impl End {
    /// A text that begins with its number.
    fn seal(&mut self, len: usize) {
        let mut datagram = Vec::new();
        let start = self.dtls.begin(&mut datagram);
        datagram.extend_from_slice(&self.sealed.to_be_bytes());
        datagram.resize(datagram.len() + len, 7);
        let can = self.dtls.is_connected();
        assert_eq!(self.dtls.seal(NOW, &mut datagram, start), can);
        if can {
            self.sealed += 1;
            self.wire.push(datagram);
        } else {
            assert!(datagram.is_empty());
        }
    }

    fn fill(&mut self) {
        let mut datagram = Vec::new();
        while self.dtls.fill(NOW, &mut datagram) {
            self.wire.push(std::mem::take(&mut datagram));
        }
        assert!(datagram.is_empty());
    }

    /// Changes the last datagram on its way, at a place that the script says.
    fn damage(&mut self, script: &mut Script<'_>, change: impl FnOnce(&mut Vec<u8>, usize, &mut Script<'_>)) {
        let at = script.word();
        self.fill();
        let Some(datagram) = self.wire.last_mut() else { return };
        let at = at % (datagram.len() + 1);
        change(datagram, at, script);
    }

    fn take(&mut self, mut datagram: Vec<u8>, sender: &mut Self) {
        self.dtls.receive(NOW, &mut datagram, |text| {
            let (number, rest) = text.split_first_chunk().expect("a number");
            let number = u32::from_be_bytes(*number);
            assert!(number < sender.sealed && rest.iter().all(|byte| *byte == 7), "other data than was sent");
            assert!(sender.delivered.insert(number), "data comes twice");
        });
        let events = std::iter::from_fn(|| self.dtls.poll_event());
        self.has_failed |= events.into_iter().any(|event| matches!(event, Event::Failed(_)));
    }
}

#[allow(clippy::disallowed_methods, reason = "any moment will do; nothing depends on it")]
fn context() -> Context {
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).expect("a key");
    let certificate = rcgen::CertificateParams::default().self_signed(&key).expect("a certificate");
    let epoch = Epoch::new(std::time::Instant::now(), Duration::ZERO);
    let provider = Provider::system().expect("primitives");
    Context::new(provider, certificate.der().to_vec(), key.serialize_der(), epoch).expect("a context")
}
