//! The relay, on a thread driven by mio.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::task::Waker;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use switchboard::connect;
use switchboard::hub::{Event, Policy, Quotas, TransportId};
use switchboard::link::noise::SecretKey;
use switchboard_mio::Endpoint;

use crate::outcome::{Code, Failure};

/// How long goodbyes are waited for.
const FAREWELL: Duration = Duration::from_secs(3);

/// A relay that runs.
pub(super) struct Relay {
    /// Where it listens: for `tcp:`, and for `ws:`.
    pub(super) addresses: Vec<SocketAddr>,
    stop: Arc<AtomicBool>,
    waker: Waker,
    thread: JoinHandle<Result<(), Failure>>,
}

impl Relay {
    /// Listens on ports of the system's choice.
    pub(super) fn start() -> Result<Self, Failure> {
        let builder = connect::Endpoint::builder(new_key()?).relays_for(Policy::Open, Quotas::default());
        let builder = builder.listen("tcp:127.0.0.1:0").listen("ws://127.0.0.1:0/");
        let stop = Arc::new(AtomicBool::new(false));
        let ((waking, wakers), (told, addresses)) = (channel(), channel());
        let asked = stop.clone();
        let thread = thread::spawn(move || {
            let mut endpoint = Endpoint::start(builder).map_err(failed)?;
            _ = waking.send(endpoint.waker());
            serve(&mut endpoint, &asked, &told)
        });
        match wakers.recv() {
            Ok(waker) => {
                let listening: BTreeMap<_, _> = addresses.iter().take(2).collect();
                Ok(Self { addresses: listening.into_values().collect(), stop, waker, thread })
            }
            Err(_) => Err(joined(thread).err().unwrap_or_else(|| failed("it ended at once"))),
        }
    }

    /// Ends it.
    pub(super) fn finish(self) -> Result<(), Failure> {
        self.stop.store(true, Ordering::Release);
        self.waker.wake();
        joined(self.thread)
    }
}

/// The key of an endpoint that lives as long as the demonstration.
pub(super) fn new_key() -> Result<SecretKey, Failure> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(failed)?;
    Ok(SecretKey::from_bytes(&seed))
}

fn serve(endpoint: &mut Endpoint, asked: &AtomicBool, told: &Sender<(TransportId, SocketAddr)>) -> Result<(), Failure> {
    while !asked.load(Ordering::Acquire) {
        match endpoint.turn(None).map_err(failed)? {
            Some(Event::Listening { transport, address }) => _ = told.send((transport, address)),
            Some(Event::Failed { reason, .. }) => return Err(failed(reason)),
            _ => {}
        }
    }
    endpoint.stop();
    let until = Instant::now() + FAREWELL;
    while let Some(rest) = until.checked_duration_since(Instant::now()) {
        if endpoint.turn(Some(rest)).map_err(failed)? == Some(Event::Stopped) {
            break;
        }
    }
    Ok(())
}

fn joined(thread: JoinHandle<Result<(), Failure>>) -> Result<(), Failure> {
    thread.join().unwrap_or_else(|_| Err(failed("its thread has panicked")))
}

fn failed(why: impl std::fmt::Display) -> Failure {
    Failure::new(Code::Failed, format!("the relay has failed: {why}"))
}
