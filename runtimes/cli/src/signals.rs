//! SIGINT and SIGTERM: the first asks for a proper end, the second ends the process.

use std::io;
use std::sync::Arc;

use tokio::runtime::{Builder, Runtime};
use tokio::sync::Notify;

use crate::outcome::{Code, Failure};

/// Says when a signal has asked for the end.
#[derive(Debug, Clone)]
pub(crate) struct Stop(Arc<Notify>);

impl Stop {
    /// Waits for the signal.
    pub(crate) async fn asked(&self) {
        self.0.notified().await;
    }
}

/// Runs asynchronous work, and leaves behind what still waits for standard input when it is done.
pub(crate) fn run(work: impl AsyncFnOnce(Stop) -> Result<(), Failure>) -> Result<(), Failure> {
    let failed = |error| Failure::new(Code::Failed, format!("tokio can't start: {error}"));
    let tokio = Builder::new_multi_thread().worker_threads(2).enable_all().build().map_err(failed)?;
    let stop = watch(&tokio).map_err(failed)?;
    let result = tokio.block_on(work(stop));
    tokio.shutdown_background();
    result
}

fn watch(tokio: &Runtime) -> io::Result<Stop> {
    let mut signals = Signals::new_in(tokio)?;
    let stop = Stop(Arc::default());
    let told = stop.clone();
    tokio.spawn(async move {
        signals.next().await;
        told.0.notify_one();
        signals.next().await;
        std::process::exit(130);
    });
    Ok(stop)
}

#[cfg(unix)]
pub(crate) struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    pub(crate) fn new_in(tokio: &Runtime) -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let _inside = tokio.enter();
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    pub(crate) async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

#[cfg(not(unix))]
pub(crate) struct Signals;

#[cfg(not(unix))]
impl Signals {
    pub(crate) fn new_in(_: &Runtime) -> io::Result<Self> {
        Ok(Self)
    }

    pub(crate) async fn next(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending().await
        }
    }
}
